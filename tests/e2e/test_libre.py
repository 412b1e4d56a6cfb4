"""LibreTranslate's API: its own Python client unmodified, what Mastodon's and Rocket.Chat's
providers send (read in their sources), and what comes of bad requests."""
import importlib.util
import json
import urllib.error
import urllib.parse

import pytest
from conftest import ROOT

NINE = {"de", "es", "fr", "ja", "nl", "ru", "sv", "tr", "zh-Hans"}


@pytest.fixture(scope="module")
def client(service):
    """libretranslatepy, as PyPI has it (.ci/fixtures)."""
    path = ROOT / "build" / "fixtures" / "libretranslatepy.py"
    spec = importlib.util.spec_from_file_location("libretranslatepy", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.LibreTranslateAPI(service.url)


def post(service, fields, path="/translate", headers=None):
    """(status, answer) of a JSON request."""
    headers = {"Content-Type": "application/json", **(headers or {})}
    status, got, body = service.get(path, "POST", headers, json.dumps(fields))
    assert got["content-type"] == "application/json"
    return status, json.loads(body)


def translated(service, q, target="de", **more):
    status, answer = post(service, {"q": q, "source": "en", "target": target, **more})
    assert status == 200, answer
    return answer


# ---- clients ----


def test_libretranslatepy(client):
    languages = {entry["code"]: entry for entry in client.languages()}
    assert set(languages) == NINE | {"en"} and languages["zh-Hans"]["name"] == "Simplified Chinese"
    assert client.translate("Where is the station?", "en", "de") == "Wo ist der Bahnhof?"
    assert client.translate("Where is the station? & more = 100 %", "en", "fr")
    with pytest.raises(urllib.error.HTTPError) as refused:
        client.translate("Where is the station?", "en", "tlh")
    assert refused.value.code == 400
    assert json.loads(refused.value.read()) == {"error": "tlh is not supported"}


def test_libretranslatepy_sends_a_body_with_get(client, service):
    """Its api_key for /languages goes out as the body of a GET; the connection must survive it."""
    client.api_key = "0000"
    try:
        assert len(client.languages()) == 10
    finally:
        client.api_key = None


def test_rocket_chat(service):
    """Each line of a message an entry of q; the answers are joined line by line."""
    status, _, body = service.get("/languages")
    assert status == 200
    assert all(set(entry) == {"code", "name", "targets"} for entry in json.loads(body))
    lines = "Good morning.\n\nWhere is the station?\n:smile:".split("\n")
    body = {"q": lines, "source": "auto", "target": "zh", "format": "text"}
    status, answer = post(service, body)
    assert status == 200 and len(answer["translatedText"]) == len(lines)
    assert answer["translatedText"][1] == "" and answer["translatedText"][0]


def test_true_targets(service):
    languages = {e["code"]: e["targets"] for e in json.loads(service.get("/languages")[2])}
    assert set(languages["en"]) == NINE
    for code in NINE:
        assert languages[code] == ["en"]
    for source, targets in languages.items():
        for target in targets:
            status, _ = post(service, {"q": "1", "source": source, "target": target})
            assert status == 200


# ---- the shape of answers ----


def test_shapes(service):
    one = "Where is the station?"
    expected = translated(service, one)["translatedText"]
    assert expected == "Wo ist der Bahnhof?"
    texts = [one, "", one, "How are you?"]
    many = translated(service, texts)
    assert set(many) == {"translatedText"}
    assert many["translatedText"][:3] == [expected, "", expected] and len(many["translatedText"]) == 4
    both = translated(service, texts, ["de", "fr", "DE"])["translatedText"]
    assert list(both) == ["de", "fr", "DE"] and both["de"] == both["DE"] == many["translatedText"]
    assert translated(service, one, ["de"])["translatedText"] == {"de": expected}
    detected = post(service, {"q": texts, "source": "auto", "target": "de"})[1]["detectedLanguage"]
    assert len(detected) == 4 and isinstance(detected[0]["confidence"], int)
    assert detected[0]["language"] == "en"


def test_chinese_by_any_name(service):
    expected = translated(service, "I like you.", "zh-Hans")["translatedText"]
    for tag in ("zh", "zh-CN", "ZH-hans"):
        assert translated(service, "I like you.", tag)["translatedText"] == expected
    status, answer = post(service, {"q": "1", "source": "en", "target": "zh-Hant"})
    assert (status, answer) == (400, {"error": "zh-Hant is not supported"})
    for tag in ("zh", "zh-Hans", "zh-CN"):
        status, answer = post(service, {"q": "我喜欢你。", "source": tag, "target": "en"})
        assert status == 200 and "like" in answer["translatedText"]


def test_longer_texts_keep_what_stands_between(service):
    one, two = "Where is the station?", "I like you."
    text = f"\n{one}  {two}\n\n * {one}\r\n{two} 🙂\n"
    found = translated(service, text)["translatedText"]
    a, b = (translated(service, x)["translatedText"] for x in (one, two))
    assert found == f"\n{a}  {b}\n\n * {a}\r\n{b} 🙂\n" or found.startswith(f"\n{a}  {b}\n\n")
    lines = translated(service, "\n".join([one] * 40))["translatedText"].split("\n")
    assert lines == [a] * 40, "more sentences than a session may have running"


def test_alternatives(service):
    text = "I would like to go for a walk with you this evening."
    answer = translated(service, text, alternatives=3)
    assert answer["translatedText"] == translated(service, text)["translatedText"]
    others = answer["alternatives"]
    assert 0 < len(others) <= 3 and len({answer["translatedText"], *others}) == len(others) + 1
    assert len(translated(service, [text, ""], alternatives="2")["alternatives"]) == 2
    for bad in (-1, 9, "many", 1.5, [1]):
        status, answer = post(service, {"q": "x", "source": "en", "target": "de", "alternatives": bad})
        assert status == 400 and "alternatives" in answer["error"]


def test_forms(service):
    fields = {"q": "Where is the station?\r\nI like you.", "source": "en", "target": "de"}
    expected = translated(service, fields["q"].replace("\r\n", "\n"))["translatedText"]
    form = urllib.parse.urlencode(fields)
    for headers in ({"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}, {}):
        status, _, body = service.get("/translate", "POST", headers, form)
        assert status == 200 and json.loads(body)["translatedText"] == expected
    parts = "".join(f'--b7\r\nContent-Disposition: form-data; name="{k}"\r\n\r\n{v}\r\n'
                    for k, v in fields.items()) + "--b7--\r\n"
    headers = {"Content-Type": 'multipart/form-data; boundary="b7"'}
    status, _, body = service.get("/translate", "POST", headers, parts.encode())
    assert status == 200 and json.loads(body)["translatedText"] == expected


# ---- refusals ----


@pytest.mark.parametrize(
    "fields, says",
    [
        ({}, "missing q"),
        ({"q": "", "source": "en", "target": "de"}, "missing q"),
        ({"q": [], "source": "en", "target": "de"}, "missing q"),
        ({"q": None, "source": "en", "target": "de"}, "missing q"),
        ({"q": "x", "target": "de"}, "missing source"),
        ({"q": "x", "source": "en"}, "missing target"),
        ({"q": "x", "source": "en", "target": []}, "missing target"),
        ({"q": 3, "source": "en", "target": "de"}, "q must be"),
        ({"q": ["x", 3], "source": "en", "target": "de"}, "q must be"),
        ({"q": "x", "source": 3, "target": "de"}, "source must be"),
        ({"q": "x", "source": "en", "target": ["de", None]}, "target must be"),
        ({"q": "x", "source": "en", "target": "!!"}, "!! is not supported"),
        ({"q": "x", "source": "sw", "target": "de"}, "sw is not supported"),
        ({"q": "x", "source": "de", "target": "fr"},
         "French (fr) is not available as a target language from German (de)"),
        ({"q": "x", "source": "en", "target": "de", "format": "pdf"}, "pdf format is not supported"),
        ({"q": "x " * 30000, "source": "en", "target": "de"}, "exceeds text limit (50000)"),
        ({"q": ["x"] * 1001, "source": "en", "target": "de"}, "exceeds text limit (1000)"),
        ({"q": "x", "source": "en", "target": ["de"] * 33}, "more than 32 targets"),
    ],
)
def test_refused(service, fields, says):
    status, answer = post(service, fields)
    assert status == 400 and set(answer) == {"error"} and says in answer["error"]


@pytest.mark.parametrize(
    "type_, body, status",
    [
        ("application/json", b"", 400),
        ("application/json", b"[]", 400),
        ("application/json", b'{"q":', 400),
        ("application/json", b'{"q":"\xff"}', 400),
        ("application/json", b'{"q":"a\\u0000"}', 400),
        ("application/json", b'{"q":"a","q":"b"}', 400),
        ("application/json", b"[" * 100000, 400),
        ("application/x-www-form-urlencoded", b"q=%ff", 400),
        ("application/x-www-form-urlencoded", b"q=%00", 400),
        ("multipart/form-data", b"x", 400),
        ("multipart/form-data; boundary=b", b"--b\r\n\r\nx", 400),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--', 400),
        ("text/plain", b"q=x", 415),
        ("application/xml", b"<q/>", 415),
        ("x" * 500, b"q=x", 415),
    ],
)
def test_bad_bodies(service, type_, body, status):
    got, headers, answer = service.get("/translate", "POST", {"Content-Type": type_}, body)
    assert got == status and set(json.loads(answer)) == {"error"}


def test_methods_and_sizes(service):
    for method, path, status, allow in (("GET", "/translate", 405, "POST"),
                                        ("POST", "/languages", 405, "GET, HEAD"),
                                        ("DELETE", "/translate", 405, "GET, HEAD"),
                                        ("POST", "/index.html", 405, "GET, HEAD")):
        got, headers, answer = service.get(path, method, {}, b"" if method == "POST" else None)
        assert (got, headers["allow"]) == (status, allow) and b"error" in answer
    json_type = {"Content-Type": "application/json"}
    assert service.get("/translate", "POST", json_type, b" " * (1 << 20))[0] == 400
    assert service.get("/translate", "POST", json_type, b" " * ((1 << 20) + 1))[0] == 413
    chunked = {"Transfer-Encoding": "chunked"}
    assert service.get("/translate", "POST", chunked, b"2\r\n{}\r\n0\r\n\r\n")[0] == 411
