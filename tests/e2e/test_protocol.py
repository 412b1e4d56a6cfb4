"""hydraglot.v1 as docs/PROTOCOL.md promises it, against the real service and model."""
import asyncio
import json
import statistics
import time

import pytest
import websockets

from client import SUBPROTOCOL, TIMEOUT_S, check_counts, committed, connect, done, run

NINE = ["de", "es", "fr", "ja", "nl", "ru", "sv", "tr", "zh"]
BOOK = {"de": "Buch", "es": "libro", "fr": "livre", "ja": "本", "nl": "boek", "ru": "книг", "sv": "bok",
        "tr": "kitap", "zh": "书"}
LONG = "The weather is very nice today, so we will go to the park and eat our lunch there."


# ---- the session ----


@run
async def test_session_ready(service):
    async with connect(service) as client:
        ready = client.ready
        assert ready["seq"] == 1
        assert len(ready["session"]) >= 16 and len(ready["key"]) >= 32
        assert ready["model"]["name"] and ready["model"]["device"]
        tags = {language["tag"]: language for language in ready["languages"]}
        assert {"de", "es", "fr", "ja", "nl", "ru", "sv", "tr", "zh-Hans"} <= set(tags)
        assert tags["de"]["native"] == "Deutsch" and tags["de"]["name"] == "German"
        assert tags["ja"]["native"] == "日本語"
        assert all(language["direction"] in ("ltr", "rtl") for language in tags.values())
        assert "en" in tags["de"]["sources"] and tags["de"]["generation"] >= 1
        assert ready["limits"]["max_text"] == 8000
        assert ready["limits"]["resume_grace_ms"] > 0
        assert client.ws.subprotocol == SUBPROTOCOL
        async with connect(service) as other:
            assert other.ready["session"] != ready["session"]
            assert other.ready["key"] != ready["key"]


@run
async def test_ping_echoes_any_value(service):
    async with connect(service) as client:
        for t in (1764000000123, 0.5, "x", None, [1, {"a": "é"}]):
            await client.send(type="ping", t=t)
            pong = await client.event()
            assert pong == {"type": "pong", "t": t}
        await client.send(type="ping")
        assert await client.event() == {"type": "pong"}


@run
async def test_unknown_fields_are_ignored(service):
    async with connect(service) as client:
        events = await client.translate("m1", 1, "Yes.", ["de"], source="en", novel={"a": [1]})
        check_counts(events, ["de"])


@run
async def test_languages_changed(fresh_service):
    """Who comes while plugins are still being read is told when more can be used."""
    while True:
        assert fresh_service.process.poll() is None, fresh_service.log.read_text()
        try:
            async with connect(fresh_service) as client:
                await all_languages_come(client)
                return
        except ConnectionRefusedError:
            await asyncio.sleep(0.001)


async def all_languages_come(client):
    languages = client.ready["languages"]
    while len(languages) < 10:
        languages = (await client.until_type("languages.changed"))["languages"]
    assert {"de", "ja", "zh-Hans"} <= {language["tag"] for language in languages}
    check_counts(await client.translate("m1", 1, "Yes.", NINE, source="en"), NINE)


# ---- translations ----


@run
async def test_nine_languages(service):
    async with connect(service) as client:
        events = await client.translate(
            "m1", 1, "She is reading a book.", NINE, source="en", final=True
        )
        check_counts(events, NINE)
        ends = done(events)
        for language, word in BOOK.items():
            assert word in ends[language]["text"]
        for language in NINE:
            end = ends[language]
            assert end["status"] == "ok" and end["stop"] == "eos"
            assert end["plugin"] == language and end["generation"] >= 1
            assert end["source"] == "en" and end["tokens"] > 0 and end["epoch"] == 0
            assert 0 < end["first_ms"] <= end["total_ms"]
            assert committed(events, language) == end["text"]
        batch = events[-1]
        assert batch["lanes"] == 9 and batch["batch"] > 0
        assert batch["decode_tokens"] >= sum(end["tokens"] for end in ends.values())
        assert batch["shared_tokens"] > 0, "the source's KV is shared by the lanes"
        assert 0 < batch["first_ms"] <= batch["total_ms"] and batch["tokens_per_s"] > 0


@run
async def test_pieces_grow_to_the_end(service):
    """At every moment, committed and tentative text are a prefix-stable view of the end."""
    async with connect(service) as client:
        events = await client.translate("m1", 1, LONG, ["de", "ja"], source="en", final=True)
        for language in ("de", "ja"):
            end = done(events)[language]["text"]
            so_far = ""
            pieces = [e for e in events if e.get("language") == language]
            assert [e["type"] for e in pieces].count("translation.committed") > 1
            for event in pieces:
                if event["type"] == "translation.committed":
                    so_far += event["text"]
                    assert event["text"] and end.startswith(so_far)
            assert so_far == end


@run
async def test_not_final_is_tentative(service):
    async with connect(service) as client:
        events = await client.translate("m1", 1, "Where is the", ["de", "fr"], source="en")
        check_counts(events, ["de", "fr"])
        end = done(events)["de"]
        assert end["status"] == "ok"
        assert end["text"].startswith(committed(events, "de"))


@run
async def test_typing_revision_by_revision(service):
    """What a person sees: committed text of an epoch never changes, the final text joins up."""
    words = LONG.split(" ")
    async with connect(service) as client:
        kept = {"de": {}, "ja": {}}
        for rev in range(1, len(words) + 1):
            final = rev == len(words)
            text = " ".join(words[:rev])
            events = await client.translate("m1", rev, text, ["de", "ja"], source="en", final=final)
            check_counts(events, ["de", "ja"])
            for language in kept:
                end = done(events)[language]
                for event in events:
                    if event["type"] == "translation.committed" and event["language"] == language:
                        epoch = event["epoch"]
                        kept[language][epoch] = kept[language].get(epoch, "") + event["text"]
                assert end["text"].startswith(kept[language].get(end["epoch"], ""))
                if final:
                    assert kept[language][end["epoch"]] == end["text"]


@run
async def test_epoch_rises_on_edit(service):
    """The person changes a word that commits rest on: the language begins anew."""
    async with connect(service) as client:
        first = await client.translate("m1", 1, LONG, ["de"], source="en", final=True)
        assert done(first)["de"]["epoch"] == 0
        # A final end closes the id, so commits must come from a final rev that is replaced.
        await client.send(
            type="translate", id="m2", rev=1, text=LONG, targets=["de"], source="en", final=True
        )
        await client.until(lambda e: e["type"] == "translation.committed" and e["id"] == "m2")
        edited = LONG.replace("The weather", "My coffee")
        events = await client.translate("m2", 2, edited, ["de"], source="en", final=True)
        old = [e for e in client.of("m2", 1)]
        if done(old)["de"]["status"] == "superseded":
            end = done(events)["de"]
            assert end["epoch"] == 1
            assert committed(events, "de", epoch=1) == end["text"]
            assert all(e["epoch"] == 1 for e in events if "epoch" in e)


@run
async def test_sentences_close_as_more_follow(service):
    """A text of several sentences says what they say alone, in their order; typing on costs what
    the last one costs; an edit in the first raises the epoch, one in the last does not."""
    text = ["Where is the train station?", "I drink tea.", "My brother bought a new car last week."]
    async with connect(service) as client:
        alone = []
        for i, sentence in enumerate(text):
            events = await client.translate(f"a{i}", 1, sentence, NINE, source="en", final=True)
            alone.append(done(events))
        costs, joined = [], {}
        words = " ".join(text).split(" ")
        for rev in range(1, len(words) + 1):
            typed = " ".join(words[:rev])
            events = await client.translate("m1", rev, typed, NINE, source="en",
                                            final=rev == len(words))
            costs.append(events[-1]["prefill_tokens"])
            for event in events:
                if event["type"] == "translation.committed":
                    assert event["epoch"] == 0
                    joined[event["language"]] = joined.get(event["language"], "") + event["text"]
        ends = done(events)
        for language in NINE:
            assert ends[language]["text"] == joined[language]
            assert ends[language]["text"].startswith(alone[0][language]["text"] + " ")
        assert max(costs) <= 9 * 12, "nothing is read that was read before"
        first = done(await client.translate("m2", 1, " ".join(text), NINE, source="en"))
        edited = [text[0].replace("train", "bus"), *text[1:]]
        again = done(await client.translate("m2", 2, " ".join(edited), NINE, source="en"))
        on = done(await client.translate("m2", 3, " ".join(edited) + " It was", NINE, source="en"))
        for language in NINE:
            assert (first[language]["epoch"], again[language]["epoch"]) == (0, 1)
            assert on[language]["epoch"] == 1


@run
async def test_stream_false_gives_ends_only(service):
    async with connect(service) as client:
        events = await client.translate(
            "m1", 1, LONG, ["de", "fr"], source="en", final=True, options={"stream": False}
        )
        types = {e["type"] for e in events}
        assert types == {"translation.done", "batch.done"}
        streamed = await client.translate("m2", 1, LONG, ["de", "fr"], source="en", final=True)
        for language in ("de", "fr"):
            assert done(events)[language]["text"] == done(streamed)[language]["text"]


@run
async def test_readings_in_latin_letters(service):
    """As asked, of what ends, where there are right ones: not of kanji, not of Latin letters."""
    targets = ["ru", "zh", "ja", "de", "en"]
    async with connect(service) as client:
        read = {tag for tag in (e["tag"] for e in client.ready["languages"] if e["reading"])}
        assert read == {"ru", "zh-Hans"}
        for rev, final in ((1, False), (2, True)):
            ends = done(await client.translate("m", rev, "She is reading a book.", targets,
                                               source="en", final=final,
                                               options={"reading": True}))
            readings = {tag: end["reading"] for tag, end in ends.items() if "reading" in end}
            assert set(readings) == {"ru", "zh"}
            assert "knig" in readings["ru"] and "shū" in readings["zh"], readings
        ends = done(await client.translate("n", 1, "She is reading a book.", targets, source="en"))
        assert not any("reading" in end for end in ends.values())
        await client.send(type="translate", id="o", rev=1, text="Yes.", targets=["ru"],
                          options={"reading": 1})
        assert (await client.error())["code"] == "bad_field"


@run
async def test_same_text_alone_and_in_company(service):
    async with connect(service) as client:
        together = await client.translate("m1", 1, LONG, NINE, source="en", final=True)
        for language in ("de", "ja", "tr"):
            alone = await client.translate(f"a {language}", 1, LONG, [language], source="en", final=True)
            assert done(alone)[language]["text"] == done(together)[language]["text"]


@run
async def test_max_tokens(service):
    async with connect(service) as client:
        events = await client.translate(
            "m1", 1, LONG, ["de"], source="en", final=True, options={"max_tokens": 3}
        )
        end = done(events)["de"]
        assert end["status"] == "ok" and end["stop"] == "length" and end["tokens"] == 3


@run
async def test_deadline(service):
    async with connect(service) as client:
        events = await client.translate("m1", 1, 8 * LONG, NINE, source="en", final=True,
                                        options={"deadline_ms": 1})
        check_counts(events, NINE)
        for language, end in done(events).items():
            assert (end["status"], end["code"]) == ("failed", "deadline")
            assert end["text"].startswith(committed(events, language))
        events = await client.translate("m1", 2, "Yes.", ["de"], source="en", final=True,
                                        options={"deadline_ms": 60000})
        assert done(events)["de"]["status"] == "ok", "the id goes on"


@run
async def test_a_seed_decides(service):
    async with connect(service) as client:
        texts = []
        for i, seed in enumerate((1, 1, 2, 3, 4)):
            events = await client.translate(f"m{i}", 1, LONG, ["de"], source="en", final=True,
                                            options={"temperature": 1.5, "seed": seed})
            texts.append(done(events)["de"]["text"])
        assert texts[0] == texts[1] and len(set(texts)) > 1


@run
async def test_auto_says_how_sure_it_is(service):
    async with connect(service) as client:
        sure = await client.translate("m1", 1, "Ich habe gestern ein neues Buch gekauft.", ["en"],
                                      final=True)
        end = done(sure)["en"]
        assert end["source"] == "de" and 80 <= end["confidence"] <= 100
        unsure = done(await client.translate("m2", 1, "123", ["de"], final=True))["de"]
        assert unsure["source"] == "en" and 0 <= unsure["confidence"] < 80
        named = done(await client.translate("m3", 1, "Yes.", ["de"], source="en", final=True))["de"]
        assert "confidence" not in named


@run
async def test_null_is_absent(service):
    async with connect(service) as client:
        await client.send(type="session.update", source="en", targets=["de"])
        await client.send(type="session.update", source=None, targets=None, glossary=None)
        await client.send(type="translate", id="m1", rev=1, text="Yes.", source=None, targets=None,
                          final=None, context=None, options=None)
        events = await client.finish("m1", 1)
        check_counts(events, ["de"])
        assert done(events)["de"]["source"] == "en"


# ---- ends that need no lane, or have none ----


@run
async def test_targets_that_end_alone(service):
    async with connect(service) as client:
        targets = ["de", "xx", "en", "fr"]
        events = await client.translate("m1", 1, "Good morning.", targets, source="en", final=True)
        check_counts(events, targets)
        ends = done(events)
        assert ends["xx"]["status"] == "failed" and ends["xx"]["code"] == "unknown_language"
        assert ends["en"]["status"] == "ok" and ends["en"]["stop"] == "unchanged"
        assert ends["en"]["text"] == "Good morning."
        assert ends["de"]["status"] == ends["fr"]["status"] == "ok"
        assert "code" not in ends["de"]


@run
async def test_unsupported_source(service):
    async with connect(service) as client:
        events = await client.translate("m1", 1, "Bonjour.", ["de", "ja"], source="fr", final=True)
        check_counts(events, ["de", "ja"])
        for end in done(events).values():
            assert end["status"] == "failed" and end["code"] == "unsupported_source"


@run
async def test_duplicates_merge(service):
    async with connect(service) as client:
        events = await client.translate("m1", 1, "Yes.", ["de", "fr", "de"], source="en", final=True)
        check_counts(events, ["de", "fr"])
        assert events[-1]["lanes"] == 2


@run
async def test_target_by_plugin(service):
    async with connect(service) as client:
        events = await client.translate("m1", 1, "Yes.", ["plugin:de"], source="en", final=True)
        check_counts(events, ["plugin:de"])
        assert done(events)["plugin:de"]["plugin"] == "de"


@run
async def test_only_unserved_targets(service):
    async with connect(service) as client:
        events = await client.translate("m1", 1, "Yes.", ["xx", "yy"], source="en", final=True)
        check_counts(events, ["xx", "yy"])


# ---- newer, older, cancelled ----


@run
async def test_superseded(service):
    async with connect(service) as client:
        for rev in range(1, 6):
            await client.send(
                type="translate", id="m1", rev=rev, text=LONG + f" {rev}", targets=NINE, source="en"
            )
        await client.finish("m1", 5)
        await client.sync()
        for rev in range(1, 6):
            events = client.of("m1", rev)
            check_counts(events, NINE)
            statuses = {end["status"] for end in done(events).values()}
            assert statuses <= ({"ok"} if rev == 5 else {"ok", "superseded"})
        assert any(
            e.get("status") == "superseded" for e in client.events
        ), "five revisions at once cannot all have been finished"


@run
async def test_cancel(service):
    async with connect(service) as client:
        await client.send(type="translate", id="m1", rev=1, text=LONG, targets=NINE, source="en")
        await client.send(type="cancel", id="m1")
        events = await client.finish("m1", 1)
        check_counts(events, NINE)
        assert "cancelled" in {end["status"] for end in done(events).values()}
        await client.send(type="cancel", id="m1")
        await client.send(type="cancel", id="never heard of")
        await client.sync()
        assert not [e for e in client.events if e["type"] == "error"]


@run
async def test_stale_rev(service):
    async with connect(service) as client:
        await client.translate("m1", 5, "Yes.", ["de"], source="en")
        for rev in (5, 4, 0):
            await client.send(type="translate", id="m1", rev=rev, text="No.", targets=["de"])
            error = await client.error()
            assert error["code"] == "stale_rev" and (error["id"], error["rev"]) == ("m1", rev)
            assert error["retry"] is False
        events = await client.translate("m1", 6, "No.", ["de"], source="en")
        check_counts(events, ["de"])
        assert not [e for e in client.of("m1", 4) if e["type"] != "error"]


@run
async def test_id_final(service):
    async with connect(service) as client:
        await client.translate("m1", 1, "Yes.", ["de"], source="en", final=True)
        await client.send(type="translate", id="m1", rev=2, text="No.", targets=["de"], source="en")
        error = await client.error()
        assert error["code"] == "id_final" and (error["id"], error["rev"]) == ("m1", 2)
        check_counts(await client.translate("m2", 1, "No.", ["de"], source="en"), ["de"])


@run
async def test_session_defaults(service):
    async with connect(service) as client:
        await client.send(type="translate", id="m0", rev=1, text="Yes.")
        error = await client.error()
        assert error["code"] == "bad_field" and "targets" in error["message"]
        await client.send(type="session.update", source="en", targets=["de", "sv"])
        await client.send(type="translate", id="m1", rev=1, text="Yes.", final=True)
        events = await client.finish("m1", 1)
        check_counts(events, ["de", "sv"])
        assert done(events)["de"]["source"] == "en"
        await client.send(type="session.update", targets=["fr"])
        check_counts(await client.translate("m2", 1, "Yes.", ["nl"], final=True), ["nl"])
        await client.send(type="translate", id="m3", rev=1, text="Yes.", final=True)
        check_counts(await client.finish("m3", 1), ["fr"])


@run
async def test_resume_is_gone(service):
    async with connect(service) as client:
        await client.send(type="resume", session="s", key="k", last_seq=3)
        assert (await client.error())["code"] == "resume_gone"
        check_counts(await client.translate("m1", 1, "Yes.", ["de"], source="en"), ["de"])


# ---- several clients ----


@run
async def test_two_clients_do_not_mix(service):
    texts = {"a": "The cat sleeps on the sofa.", "b": "I would like a cup of coffee."}

    async def one(client, name):
        found = []
        for i in range(10):
            events = await client.translate(f"m{i}", 1, texts[name], ["de", "fr"], source="en", final=True)
            check_counts(events, ["de", "fr"])
            found.append({l: e["text"] for l, e in done(events).items()})
        return found

    async with connect(service) as a, connect(service) as b:
        of_a, of_b = await asyncio.gather(one(a, "a"), one(b, "b"))
        assert all(x == of_a[0] for x in of_a) and all(x == of_b[0] for x in of_b)
        assert of_a[0] != of_b[0]
        assert "Katze" in of_a[0]["de"] and "Kaffee" in of_b[0]["de"]


@run
async def test_batches_are_logged(service):
    async with connect(service) as client:
        events = await client.translate("m1", 1, "Yes.", ["de", "fr"], source="en", final=True)
        batch = events[-1]["batch"]
        rows = await logged(service, client.ready["session"], 1)
        assert rows == {batch: (2, ["ok", "ok"])}


async def logged(service, session, count):
    """The log's rows of a session, once there are count of them."""
    end = time.monotonic() + TIMEOUT_S
    while True:
        rows = service.batches(session)
        if len(rows) >= count or time.monotonic() > end:
            return rows
        await asyncio.sleep(0.05)


@run
async def test_client_that_leaves_mid_batch(service):
    async with connect(service) as client:
        session = client.ready["session"]
        await client.send(type="translate", id="m1", rev=1, text=LONG, targets=NINE, source="en")
        await client.until(lambda e: e["type"].startswith("translation."))
        client.ws.transport.abort()
    rows = await logged(service, session, 1)
    assert len(rows) == 1
    lanes, statuses = next(iter(rows.values()))
    assert lanes == 9 and len(statuses) == 9
    async with connect(service) as client:
        check_counts(await client.translate("m1", 1, "Yes.", NINE, source="en"), NINE)


# ---- latency, backpressure, end ----


@run
async def test_nine_languages_stream_without_lag(service):
    """Events leave when they are made: from the request to the last event it takes us not much
    longer than the service says it took itself. (Gathering small writes would cost 40 ms each.)"""
    async with connect(service) as client:
        await client.translate("warm", 1, LONG, NINE, source="en", final=True)
        here, there = [], []
        for i in range(9):
            start = time.monotonic()
            events = await client.translate(f"m{i}", 1, f"{i} {LONG}", NINE, source="en", final=True)
            here.append((time.monotonic() - start) * 1000)
            there.append(events[-1]["total_ms"])
        assert statistics.median(here) < 3 * statistics.median(there)


@run
async def test_slow_reader_is_closed(service):
    """A reader that stops costs bounded memory: it is closed with 4008."""
    text = "😀" * 2000
    async with connect(service, small_buffer=True, max_queue=1, read_limit=4096) as client:
        with pytest.raises(websockets.ConnectionClosed):
            for i in range(2000):
                await client.send(
                    type="translate", id=f"m{i}", rev=1, text=text, targets=["en"], source="en"
                )
                await asyncio.sleep(0)
            while True:
                await client.ws.recv()
        assert client.ws.close_code == 4008
    assert service.metric("hydraglot_slow_readers_total") >= 1


@run
async def test_going_away(own_service):
    """SIGTERM: what runs may end for a moment and what cannot has failed, nothing new is taken, and
    everybody is told; each request has its ends."""
    async with connect(own_service) as client, connect(own_service) as idle:
        jobs = 8
        for i in range(jobs):
            await client.send(type="translate", id=f"m{i}", rev=1, text=f"{i} " + 8 * LONG, targets=NINE,
                              source="en", final=True)
        await client.until(lambda e: e["type"].startswith("translation."))
        session = client.ready["session"]
        loop = asyncio.get_running_loop()
        code = loop.run_in_executor(None, own_service.stop)
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                await asyncio.wait_for(idle.ws.recv(), TIMEOUT_S)
        await client.send(type="translate", id="new", rev=1, text="No.", targets=["de"])
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                await client.event()
        assert client.ws.close_code == idle.ws.close_code == 1001
        assert await code == 0
    (refused,) = client.of("new", 1)
    assert (refused["code"], refused["retry"]) == ("shutting_down", True)
    ends = []
    for i in range(jobs):
        events = client.of(f"m{i}", 1)
        check_counts(events, NINE)
        ends += [(end["status"], end.get("code")) for end in done(events).values()]
    assert set(ends) <= {("ok", None), ("failed", "shutting_down")}
    assert len(own_service.batches(session)) == jobs


# ---- HTTP beside it ----


def test_pages(service):
    status, headers, body = service.get("/")
    assert status == 200 and headers["content-type"].startswith("text/html") and b"<" in body
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert headers["x-content-type-options"] == "nosniff"
    status, headers, nothing = service.get("/", method="HEAD")
    assert status == 200 and nothing == b"" and int(headers["content-length"]) == len(body)
    status, _, nothing = service.get("/", headers={"If-None-Match": headers["etag"]})
    assert status == 304 and nothing == b""
    status, headers, body = service.get("/hydraglot.js")
    assert status == 200 and headers["content-type"].startswith("text/javascript")


def test_health_ready_metrics(service):
    health = json.loads(service.get("/healthz")[2])
    assert health["ok"] and health["computes"] and health["device"].startswith("cpu: ")
    assert json.loads(service.get("/readyz")[2]) == {"ready": True}
    status, headers, _ = service.get("/metrics")
    assert status == 200 and headers["content-type"].startswith("text/plain; version=0.0.4")
    assert service.metric("hydraglot_ready") == 1
    assert service.metric("hydraglot_languages") >= 9


@run
async def test_metrics_count(service):
    names = [
        'hydraglot_lanes_total{status="ok"}',
        'hydraglot_errors_total{code="unknown_language"}',
        "hydraglot_batches_total",
        "hydraglot_translate_requests_total",
        "hydraglot_batch_seconds_count",
    ]
    before = [service.metric(name) for name in names]
    async with connect(service) as client:
        assert service.metric("hydraglot_sessions") >= 1
        await client.translate("m1", 1, "Yes.", ["de", "fr", "xx"], source="en", final=True)
    after = [service.metric(name) for name in names]
    assert [b - a for a, b in zip(before, after)] == [2, 1, 1, 1, 1]


def test_not_found_and_methods(service):
    status, headers, body = service.get("/nothing")
    assert status == 404 and headers["content-type"] == "application/json"
    assert json.loads(body) == {"error": "not found"}
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
        status, headers, _ = service.get("/", method=method, body=b"x=1")
        assert status == 405 and headers["allow"] == "GET, HEAD"
    for path in ("/../Makefile", "/%2e%2e/Makefile", "/..%2fMakefile", "/.git/config", "//etc/passwd"):
        assert service.get(path)[0] in (403, 404)
