"""Who may ask what: tokens, scopes, rates, expiry, proxies, other origins, the base path."""
import asyncio
import json
import re
import socket
import sqlite3
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import websockets
from client import SUBPROTOCOL, TIMEOUT_S, connect, run
from conftest import ROOT, Service

PROXY = {"X-Forwarded-For": "192.0.2.1"}
Q = {"q": "Where is the station?", "source": "en", "target": "de"}


@pytest.fixture(scope="module")
def service(request, tmp_path_factory):
    """One that allows a page of another origin."""
    found = Service(request.config.getoption("--binary"), tmp_path_factory.mktemp("data"),
                    "--allow-origin", "https://chat.example.org, http://other.example:3000")
    with found.running():
        yield found


@pytest.fixture(scope="module")
def token(service):
    """token(*flags) -> (its text, its id): made beside the running service."""

    def add(*flags):
        out = subprocess.run([service.binary, "token", "add", "--json", "--data", str(service.data),
                              *flags], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        made = json.loads(out)
        return made["token"], made["id"]

    return add


def cli(service, *arguments):
    return subprocess.run([service.binary, "token", *arguments, "--data", str(service.data)],
                          cwd=ROOT, capture_output=True, text=True)


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def post(service, path, fields, headers=None):
    headers = {"Content-Type": "application/json", **(headers or {})}
    status, got, body = service.get(path, "POST", headers, json.dumps(fields))
    return status, got, json.loads(body)


def test_first_start_makes_one_admin_token(service):
    shown = re.findall(r"admin token, shown this once: (\S{43})\n", service.log.read_text())
    assert len(shown) == 1
    assert service.get("/metrics", headers={**PROXY, **bearer(shown[0])})[0] == 200
    assert service.stop() == 0
    service.restart()
    assert len(re.findall("admin token", service.log.read_text())) == 1
    assert service.get("/metrics", headers={**PROXY, **bearer(shown[0])})[0] == 200


def test_through_a_proxy_a_token_is_needed(service, token):
    text, _ = token("--scope", "translate", "--label", "a chat app")
    status, headers, answer = post(service, "/translate", Q, PROXY)
    assert status == 401 and headers["www-authenticate"] == "Bearer" and "error" in answer
    assert post(service, "/translate", Q, {**PROXY, **bearer("x" * 43)})[0] == 401
    status, _, answer = post(service, "/translate", {**Q, "api_key": "x" * 43}, PROXY)
    assert (status, answer) == (403, {"error": "Invalid API key"})
    for fields, headers in ((Q, bearer(text)), ({**Q, "api_key": text}, {})):
        status, _, answer = post(service, "/translate", fields, {**PROXY, **headers})
        assert (status, answer) == (200, {"translatedText": "Wo ist der Bahnhof?"})
    for path in ("/", "/healthz", "/health", "/languages"):
        assert service.get(path, headers=PROXY)[0] == 200, "no secret is there"
    settings = json.loads(service.get("/frontend/settings", headers=PROXY)[2])
    assert settings["keyRequired"] and settings["apiKeys"]
    # On loopback none is needed, and one that nobody knows is as good as none.
    assert post(service, "/translate", {**Q, "api_key": "x"}, bearer("sk-0"))[0] == 200
    assert not json.loads(service.get("/frontend/settings")[2])["keyRequired"]


@pytest.mark.parametrize("value", ["x", ""])
@pytest.mark.parametrize("name", ["Forwarded", "Via", "X-Real-IP"] + [
    "X-Forwarded-" + of for of in ("By", "For", "Host", "Port", "Prefix", "Proto", "Server", "SSL")])
def test_each_header_of_a_proxy_counts_even_if_empty(service, name, value):
    assert post(service, "/translate", Q, {name: value})[0] == 401


def test_bodies_that_never_come_hold_no_room(service):
    head = (f"POST /translate HTTP/1.1\r\nHost: 127.0.0.1:{service.port}\r\n"
            "Content-Type: application/json\r\nContent-Length: 1000000\r\n\r\n{").encode()
    idle = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(80)]
    try:
        for connection in idle:
            connection.sendall(head)
        assert post(service, "/translate", Q)[0] == 200
    finally:
        for connection in idle:
            connection.close()


def test_a_request_ends_with_its_token(service, token):
    text, id_ = token()
    long = {**Q, "q": " ".join(f"Where is station {i}?" for i in range(2000))}
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(post, service, "/translate", long, {**PROXY, **bearer(text)})
        time.sleep(0.5)
        assert not answer.done() and cli(service, "revoke", id_).returncode == 0
        assert answer.result(TIMEOUT_S)[0] == 401


def test_scopes(service, token):
    translate, _ = token()
    metrics, _ = token("--scope", "metrics")
    admin, _ = token("--scope", "admin")
    wanted = {(translate, "/metrics"): 403, (metrics, "/metrics"): 200, (admin, "/metrics"): 200}
    for (text, path), status in wanted.items():
        assert service.get(path, headers={**PROXY, **bearer(text)})[0] == status
    assert service.get("/metrics", headers=PROXY)[0] == 401
    assert post(service, "/translate", Q, {**PROXY, **bearer(metrics)})[0] == 403
    assert post(service, "/translate", Q, {**PROXY, **bearer(admin)})[0] == 200


def test_only_digests_are_kept_and_all_is_audited(service, token):
    text, id_ = token("--label", "kept")
    content = b"".join(p.read_bytes() for p in service.data.glob("hydraglot.db*"))
    assert text.encode() not in content and b"kept" in content
    listed = [json.loads(line) for line in cli(service, "list", "--json").stdout.splitlines()]
    assert [t["label"] for t in listed if t["id"] == id_] == ["kept"]
    assert all("token" not in t for t in listed)
    assert id_ in cli(service, "list").stdout
    assert cli(service, "revoke", id_).returncode == 0
    gone = cli(service, "revoke", id_)
    assert gone.returncode == 1 and "no token has this id" in gone.stderr
    assert cli(service, "revoke", "a").returncode == 2
    rows = sqlite3.connect(service.data / "hydraglot.db").execute(
        "SELECT actor, action FROM audit WHERE object = ? ORDER BY id", (id_,)).fetchall()
    assert rows == [("command line", "token.add"), ("command line", "token.revoke")]


def test_minting(service, token):
    maker, id_ = token("--scope", "translate", "--rate", "100", "--expires", "1")
    status, _, minted = post(service, "/v1/tokens", {"expires_s": 60, "label": "a tab"}, bearer(maker))
    assert status == 200 and minted["scopes"] == "translate" and minted["rate"] == 100
    assert post(service, "/translate", Q, {**PROXY, **bearer(minted["token"])})[0] == 200
    assert post(service, "/v1/tokens", {}, bearer(minted["token"]))[0] == 403
    assert post(service, "/v1/tokens", {})[0] == 401
    for fields, status in (({"scopes": "metrics"}, 403), ({"scopes": "admin"}, 403),
                           ({"scopes": "fly"}, 400), ({"scopes": ["translate"]}, 400),
                           ({"expires_s": 0}, 400), ({"expires_s": 86401}, 400),
                           ({"expires_s": "1"}, 400), ({"rate": -2}, 400), ({"label": 3}, 400)):
        assert post(service, "/v1/tokens", fields, bearer(maker))[0] == status, fields
    assert post(service, "/v1/tokens", {"rate": 1000}, bearer(maker))[2]["rate"] == 100
    assert post(service, "/v1/tokens", {"rate": 0}, bearer(maker))[2]["rate"] == 100
    assert post(service, "/v1/tokens", {"rate": 5}, bearer(maker))[2]["rate"] == 5
    assert cli(service, "revoke", id_).returncode == 0
    status = post(service, "/translate", Q, {**PROXY, **bearer(minted["token"])})[0]
    assert status == 401, "what was minted ends with its maker"


def test_minting_pays_and_shares_the_makers_rate(service, token):
    maker, _ = token("--rate", "4")
    first, second = (post(service, "/v1/tokens", {}, bearer(maker))[2]["token"] for _ in "ab")
    two = {**Q, "target": ["de", "fr"]}
    assert post(service, "/translate", two, {**PROXY, **bearer(first)})[0] == 200
    for spent in (first, second, maker):
        assert post(service, "/translate", two, {**PROXY, **bearer(spent)})[0] == 429
    assert post(service, "/v1/tokens", {}, bearer(maker))[0] == 429


def test_rate_over_http(service, token):
    text, _ = token("--rate", "10")
    headers = {**PROXY, **bearer(text)}
    nine = ["de", "es", "fr", "ja", "nl", "ru", "sv", "tr", "zh"]
    assert post(service, "/translate", {**Q, "target": nine}, headers)[0] == 200
    status, got, answer = post(service, "/translate", {**Q, "target": nine}, headers)
    assert status == 429 and 0 < int(got["retry-after"]) <= 60 and "Slowdown" in answer["error"]
    assert post(service, "/translate", Q, headers)[0] == 200, "one lane was left"


# ---- websockets ----


@run
async def test_websocket_with_a_token(service, token):
    text, _ = token("--rate", "3")
    entry = [SUBPROTOCOL, "hydraglot.token." + text]
    with pytest.raises(websockets.InvalidStatusCode) as refused:
        await websockets.connect(service.ws_url, subprotocols=[SUBPROTOCOL], extra_headers=PROXY)
    assert refused.value.status_code == 401
    wrong, _ = token("--scope", "metrics")
    with pytest.raises(websockets.InvalidStatusCode) as refused:
        await websockets.connect(service.ws_url, subprotocols=[SUBPROTOCOL],
                                 extra_headers={**PROXY, **bearer(wrong)})
    assert refused.value.status_code == 403
    async with connect(service, extra_headers={**PROXY, **bearer(text)}) as client:
        assert client.ready["limits"]["lanes_per_minute"] == 3
    async with connect(service, subprotocols=entry, extra_headers=PROXY) as client:
        assert client.ws.subprotocol == SUBPROTOCOL
        for _ in range(3):  # what is refused costs nothing
            await client.send(type="translate", id="x" * 64, rev=-1, text="Hi.", targets=["de"])
            await client.error()
            await client.send(type="translate", id="r", rev=1, text="Hi.", source="no tag",
                              targets=["de"])
            assert (await client.error())["code"] != "rate"
        await client.translate("a", 1, "Good morning.", ["de", "fr", "DE", "fr"], final=True)
        await client.send(type="translate", id="b", rev=1, text="Hello.", targets=["de", "fr"])
        error = await client.error()
        assert error["code"] == "rate" and error["retry"] and 0 < error["retry_after_ms"] <= 60000
        await client.translate("c", 1, "Good morning.", ["de"], final=True)


@run
async def test_a_session_ends_with_its_token(service, token):
    text, id_ = token()
    maker, _ = token()
    minted = post(service, "/v1/tokens", {"expires_s": 3}, bearer(maker))[2]["token"]
    async with connect(service, extra_headers={**PROXY, **bearer(text)}) as revoked, \
            connect(service, extra_headers={**PROXY, **bearer(minted)}) as expired, \
            connect(service) as free:
        expiring = await expired.until_type("token.expiring")
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", expiring["expires_at"])
        assert cli(service, "revoke", id_).returncode == 0
        await asyncio.wait_for(revoked.ws.wait_closed(), TIMEOUT_S)
        await asyncio.wait_for(expired.ws.wait_closed(), TIMEOUT_S)
        assert (revoked.ws.close_code, expired.ws.close_code) == (1008, 1008)
        await free.sync()


# ---- origins, the base path ----


def test_cors_only_for_allowed_origins(service):
    for origin in ("https://chat.example.org", "http://other.example:3000"):
        status, headers, _ = post(service, "/translate", Q, {"Origin": origin})
        assert status == 200 and headers["access-control-allow-origin"] == origin
        assert headers["vary"] == "Origin" and "access-control-allow-credentials" not in headers
        asks = {"Origin": origin, "Access-Control-Request-Method": "POST"}
        status, headers, body = service.get("/translate", "OPTIONS", asks)
        assert status == 204 and body == b"" and headers["access-control-allow-origin"] == origin
        assert "Authorization" in headers["access-control-allow-headers"]
    own = f"http://127.0.0.1:{service.port}"
    status, headers, _ = post(service, "/translate", Q, {"Origin": own})
    assert status == 200 and "access-control-allow-origin" not in headers
    for origin in ("http://chat.example.org", "https://evil.example", "null"):
        assert post(service, "/translate", Q, {"Origin": origin})[0] == 403
        assert service.get("/translate", "OPTIONS", {"Origin": origin})[0] == 403
    assert service.get("/", headers={"Host": "chat.example.org"})[0] == 200
    assert service.get("/", headers={"Host": "evil.example"})[0] == 403
    forged = {"X-Forwarded-Host": "chat.example.org", "Host": "evil.example"}
    assert service.get("/", headers=forged)[0] == 403, "no proxy is trusted"


def test_base_path_and_proxy(request, tmp_path):
    found = Service(request.config.getoption("--binary"), tmp_path, "--base-path", "/talk/",
                    "--trust-proxy", "--allow-origin", "https://tr.example.org")
    end = time.monotonic() + 60
    try:
        while found.get("/talk/readyz")[0] != 200 and time.monotonic() < end:
            time.sleep(0.05)
    except OSError:
        time.sleep(3)
    try:
        while found.get("/talk/readyz")[0] != 200 and time.monotonic() < end:
            time.sleep(0.05)
        assert f"open http://127.0.0.1:{found.port}/talk/\n" in found.log.read_text()
        assert post(found, "/talk/translate", Q)[0] == 200
        assert b"<title>" in found.get("/talk/")[2]
        for path in ("/", "/healthz", "/talk", "/talkhealthz", "/talk/talk/healthz"):
            assert found.get(path)[0] == 404, path
        forwarded = {"Host": "10.0.0.9", "X-Forwarded-Host": "tr.example.org"}
        assert found.get("/talk/healthz", headers=forwarded)[0] == 200
        assert found.get("/talk/metrics", headers=forwarded)[0] == 401
        forwarded["X-Forwarded-Host"] = "evil.example"
        assert found.get("/talk/healthz", headers=forwarded)[0] == 403

        @run
        async def live():
            url = f"ws://127.0.0.1:{found.port}/talk/v1/live"
            async with websockets.connect(url, subprotocols=[SUBPROTOCOL]) as ws:
                assert json.loads(await ws.recv())["type"] == "session.ready"

        live()
    finally:
        assert found.stop() == 0


def test_beyond_loopback_everybody_needs_a_token(request, tmp_path):
    class Wide(Service):
        def start(self):
            with open(self.log, "ab") as log:
                self.process = subprocess.Popen(
                    [self.binary, "serve", "--listen", f"0.0.0.0:{self.port}", "--data",
                     str(self.data)], cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)

    found = Wide(request.config.getoption("--binary"), tmp_path)
    with found.running():
        token = re.search(r"shown this once: (\S{43})\n", found.log.read_text())[1]
        assert "unless a proxy with TLS" in found.log.read_text()
        assert post(found, "/translate", Q)[0] == 401
        assert found.get("/metrics")[0] == 401
        assert post(found, "/translate", Q, bearer(token))[0] == 200
        assert found.get("/", headers={"Host": f"10.1.2.3:{found.port}"})[0] == 200
        assert found.get("/", headers={"Host": f"evil.example:{found.port}"})[0] == 403


@pytest.mark.parametrize("flags, says", [
    (["--scope", "fly"], '--scope: "fly" is no scope'),
    (["--expires", "-1"], "--expires"),
    (["--rate", "many"], "--rate"),
])
def test_wrong_tokens(service, flags, says):
    result = cli(service, "add", *flags)
    assert result.returncode == 2 and says in result.stderr
