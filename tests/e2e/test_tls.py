"""TLS of the service's own: foreign clients over it, certificates that cannot be served, new ones while
it runs. Certificates are made by the openssl program."""
import contextlib
import http.client
import signal
import socket
import ssl
import subprocess
import time

import pytest
import websockets
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from browser import PATIENCE_S, chromium
from client import connect, done, run
from conftest import ROOT, Service

CA = """[ca]
default_ca = here
[here]
database = {0}/index
new_certs_dir = {0}
rand_serial = yes
default_md = sha256
policy = any
x509_extensions = names
unique_subject = no
[any]
commonName = supplied
[names]
subjectAltName = IP:127.0.0.1,DNS:localhost
basicConstraints = CA:true
[req]
distinguished_name = nobody
[nobody]
"""


def openssl(*arguments):
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)


EC = ("EC", "-pkeyopt", "ec_paramgen_curve:P-256")


def make(folder, name, start="20200101000000Z", end="20990101000000Z", kind=EC):
    """A self-signed certificate of 127.0.0.1 and localhost: (cert, key)."""
    config, key, request, cert = (folder / f"{name}.{kind}" for kind in ("cnf", "key", "csr", "crt"))
    config.write_text(CA.format(folder))
    (folder / "index").write_text("")
    openssl("genpkey", "-out", key, "-algorithm", *kind)
    openssl("req", "-new", "-config", config, "-key", key, "-subj", f"/CN={name}", "-out", request)
    openssl("ca", "-config", config, "-batch", "-notext", "-selfsign", "-keyfile", key, "-in", request,
            "-startdate", start, "-enddate", end, "-out", cert)
    return cert, key


class TlsService(Service):
    """A service that speaks TLS; its certificate is trusted."""

    def __init__(self, binary, data, cert, key):
        self.trust = ssl.create_default_context(cafile=cert)
        super().__init__(binary, data, "--tls-cert", str(cert), "--tls-key", str(key))
        self.url = self.url.replace("http:", "https:")
        self.ws_url = self.ws_url.replace("ws:", "wss:")

    def http(self):
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=self.trust)


@pytest.fixture(scope="module")
def tls(request, tmp_path_factory):
    data = tmp_path_factory.mktemp("tls")
    found = TlsService(request.config.getoption("--binary"), data, *make(data, "first"))
    with found.running():
        yield found


def curl(*arguments):
    return subprocess.run(["curl", "-sS", *map(str, arguments)], capture_output=True, text=True)


def test_curl(tls):
    cert = tls.data / "first.crt"
    answer = curl("--cacert", cert, "-w", "%{http_version}", tls.url + "/healthz")
    assert answer.stdout.startswith('{"ok":true') and answer.stdout.endswith("}1.1"), answer.stderr
    body = '{"q": "Hello.", "source": "en", "target": "de"}'
    answer = curl("--cacert", cert, "-H", "Content-Type: application/json", "-d", body,
                  tls.url + "/translate")
    assert "translatedText" in answer.stdout
    assert curl(tls.url + "/healthz").returncode == 60, "an unknown certificate must not be trusted"
    page = curl("--cacert", cert, tls.url + "/hydraglot.js").stdout
    assert page == (ROOT / "web" / "hydraglot.js").read_text(), "a body of many pieces"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version, good", [
    (ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True), (ssl.TLSVersion.TLSv1_3, True)])
def test_versions(tls, version, good):
    context = ssl.create_default_context(cafile=tls.data / "first.crt")
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    with socket.create_connection(("127.0.0.1", tls.port)) as plain:
        if not good:
            with pytest.raises(ssl.SSLError):
                context.wrap_socket(plain, server_hostname="localhost")
            return
        with context.wrap_socket(plain, server_hostname="localhost") as found:
            assert found.version() == version.name.replace("_", ".")


def test_http_in_clear_is_not_served(tls):
    with contextlib.closing(Service.http(tls)) as clear:
        with pytest.raises((http.client.HTTPException, OSError)):
            clear.request("GET", "/healthz")
            clear.getresponse()
    assert tls.get("/healthz")[0] == 200


@run
async def test_websocket(tls):
    async with connect(tls, ssl=tls.trust) as client:
        events = await client.translate("a", 1, "Where is the train station?", ["de", "ja"], final=True)
        assert {end["status"] for end in done(events).values()} == {"ok"}


def test_browser(tls):
    """The page opens its own wss and translates. The browser is told to take the certificate."""
    with chromium() as driver:
        driver.execute_cdp_cmd("Security.setIgnoreCertificateErrors", {"ignore": True})
        driver.get(tls.url.replace("127.0.0.1", "localhost"))
        box = driver.find_element(By.ID, "text")
        WebDriverWait(driver, PATIENCE_S).until(
            lambda d: d.find_elements(By.CSS_SELECTOR, ".card"))
        box.send_keys("Where is the train station?", Keys.ENTER)
        WebDriverWait(driver, PATIENCE_S).until(lambda d: d.execute_script(
            "return document.querySelector('.card[data-language=de]').dataset.state === 'ok'"))
        assert driver.execute_script(
            "return document.querySelector('.card[data-language=de] .committed').textContent")
        assert driver.execute_script("return isSecureContext")


def refused(request, tmp_path, *flags):
    """What serve says when it does not even begin, and its exit code."""
    ended = subprocess.run(
        [request.config.getoption("--binary"), "serve", "--listen", "127.0.0.1:0", "--data",
         str(tmp_path / "data"), *map(str, flags)], cwd=ROOT, capture_output=True, text=True,
        timeout=60)
    assert ended.returncode in (1, 2) and ended.stdout == ""
    return ended.stderr, ended.returncode


def test_what_cannot_be_served_is_named(request, tmp_path):
    cert, key = make(tmp_path, "one")
    _, other = make(tmp_path, "other")
    (late, late_key) = make(tmp_path, "late", end="20210101000000Z")
    (early, early_key) = make(tmp_path, "early", start="20980101000000Z")
    locked, empty, noise = tmp_path / "locked.key", tmp_path / "empty", tmp_path / "noise"
    openssl("pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", locked)
    empty.touch()
    noise.write_text("noise\n")
    for cert_path, key_path, wanted in [
        (tmp_path / "none", key, f"--tls-cert {tmp_path}/none: No such file"),
        (cert, tmp_path / "none", f"--tls-key {tmp_path}/none: No such file"),
        (tmp_path, key, f"--tls-cert {tmp_path}: Is a directory"),
        (empty, key, f"--tls-cert {empty}: the file is empty"),
        (noise, key, f"--tls-cert {noise}: not a PEM certificate"),
        (cert, noise, f"--tls-key {noise}: not a PEM private key"),
        (cert, locked, f"--tls-key {locked}: not a PEM private key without a password"),
        (cert, other, f"--tls-key {other}: not the key of --tls-cert {cert}"),
        (late, late_key, f"--tls-cert {late}: the certificate has expired"),
        (early, early_key, f"--tls-cert {early}: the certificate is not valid yet"),
    ]:
        said, code = refused(request, tmp_path, "--tls-cert", cert_path, "--tls-key", key_path)
        assert wanted in said and code == 1, said
    for flag, path in [("--tls-cert", cert), ("--tls-key", key)]:
        said, code = refused(request, tmp_path, flag, path)
        assert f"{flag} is given without" in said and code == 2, said


def served(service):
    """The subject of the certificate that a new connection gets."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with socket.create_connection(("127.0.0.1", service.port)) as plain:
        with context.wrap_socket(plain) as found:
            der = found.getpeercert(binary_form=True)
    text = subprocess.run(["openssl", "x509", "-inform", "der", "-noout", "-subject"], input=der,
                          capture_output=True, check=True).stdout.decode()
    return text.strip().rsplit(" ", 1)[1]


def hang_up(service, wanted):
    """Sends SIGHUP and waits until the log says what is wanted."""
    service.process.send_signal(signal.SIGHUP)
    end = time.monotonic() + PATIENCE_S
    while wanted not in service.log.read_text():
        assert time.monotonic() < end, service.log.read_text()
        time.sleep(0.02)


@run
async def test_new_files_are_served_after_sighup(request, tmp_path):
    cert, key = make(tmp_path, "first")
    service = TlsService(request.config.getoption("--binary"), tmp_path, cert, key)
    with service.running():
        async with connect(service, ssl=service.trust) as client:
            assert served(service) == "first"
            key.write_text("noise\n")
            hang_up(service, "not reloaded: --tls-key")
            assert served(service) == "first"
            for name, kind in [("second", EC), ("third", ("RSA",)), ("fourth", EC)]:
                for found, old in zip(make(tmp_path, name, kind=kind), (cert, key)):
                    found.replace(old)
                service.log.write_text("")
                hang_up(service, "serve: reloaded: ")
                assert served(service) == name, "of another kind of key too"
            events = await client.translate("a", 1, "Hello.", ["de"], final=True)
            assert done(events)["de"]["status"] == "ok", "an open connection goes on"
