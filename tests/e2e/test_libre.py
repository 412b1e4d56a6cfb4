"""LibreTranslate's API: its own Python client unmodified, what Mastodon's and Rocket.Chat's
providers send (read in their sources), and what comes of bad requests."""
import importlib.util
import json
import urllib.error
import urllib.parse

import pytest
from client import connect, run
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
        ({"q": "Hi.\n" * 2500, "source": "en", "target": sorted(NINE)}, "send it in parts"),
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


# ---- detection, HTML ----


MENTION = ('<span class="h-card" translate="no"><a href="https://example.org/@bob" class="u-url '
           'mention">@<span>bob</span></a></span>')


def test_mastodon(service):
    """A post's texts as HTML; api_key may be null; each text's language comes back by its index."""
    status, _, body = service.get("/languages", headers={"Content-Type": "application/json"})
    pairs = {e["code"]: [t for t in e["targets"] if t != e["code"]] for e in json.loads(body)}
    assert status == 200 and pairs["de"] == ["en"]
    post_ = ('<p>Good morning, ' + MENTION + '!<br />Where is the <b>station</b>?</p>')
    emoji = 'I like you <span translate="no">:blobcat:</span>'
    body = {"q": [post_, emoji, ""], "source": "auto", "target": "de", "format": "html",
            "api_key": None}
    status, answer = post(service, body)
    assert status == 200 and len(answer["translatedText"]) == 3
    assert [d["language"] for d in answer["detectedLanguage"]] == ["en"] * 3
    first, second, third = answer["translatedText"]
    assert first.startswith("<p>") and first.endswith("</p>") and third == ""
    for tag in (MENTION, "<br />", "Wo ist der <b>Bahnhof</b>?"):
        assert tag in first, first
    assert '<span translate="no">:blobcat:</span>' in second


def test_html_keeps_what_must_stay(service):
    kept = '<i class="notranslate">a  &amp; <b>B</b></i>'
    found = translated(service, f"<p>I like {kept} &amp; you.</p>", format="html")["translatedText"]
    assert kept in found and found.startswith("<p>") and found.endswith("</p>")
    both = translated(service, "<b>I like you.</b>", ["de", "ja"], format="html")["translatedText"]
    assert both["de"].startswith("<b>") and both["ja"].endswith("</b>")


def test_detect(client, service):
    for text, language in (("Entschuldigung, wo ist hier die Apotheke?", "de"),
                           ("Où se trouve la gare ?", "fr"), ("請問，車站在哪裡？", "zh"),
                           ("Where is the station?", "en")):
        [guess] = client.detect(text)
        assert guess["language"] == language
        assert isinstance(guess["confidence"], int) and 80 <= guess["confidence"] <= 100
    assert client.detect("123 !") == [{"confidence": 0, "language": "en"}]
    status, answer = post(service, {"q": "Ich mag dich.", "source": "auto", "target": "en"})
    assert status == 200 and answer["detectedLanguage"]["language"] == "de"
    assert "like" in answer["translatedText"]
    status, answer = post(service, {"q": "Ich mag dich sehr.", "source": "auto", "target": "fr"})
    assert status == 400 and "not available as a target language from German" in answer["error"]
    assert post(service, {"q": ""}, "/detect")[0] == 400


@run
async def test_auto_over_the_websocket(service):
    async with connect(service) as client:
        for text, source, target in (("Wo ist der Bahnhof?", "de", "en"),
                                     ("Where is the station?", "en", "de")):
            events = await client.translate(text[:9], 1, text, [target], source="auto")
            [done] = [e for e in events if e["type"] == "translation.done"]
            assert (done["source"], done["status"]) == (source, "ok")
            assert 80 <= done["confidence"] <= 100
        events = await client.translate("said", 1, "Where?", ["de"], source="en")
        assert not any("confidence" in e for e in events)
