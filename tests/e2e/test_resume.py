"""Sessions that outlive their connections: what is lost on the way comes again, once; who stops
reading costs bounded memory and may come back. HYDRAGLOT_LONG=1: a thousand kills instead of 25."""
import asyncio
import contextlib
import json
import os
import pathlib
import random

import pytest
import websockets

from client import (SUBPROTOCOL, Client, check_counts, committed, connect, done, resident_bytes,
                    run)
from conftest import Service, free_port
from test_node import WS

LANGUAGES = ["de", "ja", "fr"]
SENTENCES = [
    "She has been learning to play the piano since she was six.",
    "I would like a cup of coffee and a piece of cake, please.",
    "My brother bought a new car last week.",
    "Where is the train station?",
]
LONG = os.environ.get("HYDRAGLOT_LONG") == "1"
KILLS = 1000 if LONG else 25
MIB = 1 << 20


class Kept:
    """A client that keeps its session over connections, as hydraglot.js does."""

    def __init__(self, service, port=None):
        self.service = service
        self.port = port or service.port  # or of somebody on the way
        self.heard = []  # what has a seq, in the order of arrival, each once
        self.waiting = {}  # requests without an answer, by (id, rev)
        self.session = None

    async def open(self):
        """One connection: a new session, or the old one again. Raises when it breaks."""
        self.ws = await websockets.connect(
            self.service.ws_url, host="127.0.0.1", port=self.port, subprotocols=[SUBPROTOCOL],
            ping_interval=None, max_size=None)
        self.client = Client(self.ws)
        self.ready = ready = await self.client.event()
        if not self.session:
            self.session, self.key, self.last_seq = ready["session"], ready["key"], ready["seq"]
            return
        await self.client.send(type="resume", session=self.session, key=self.key,
                               last_seq=self.last_seq)
        resumed = await self.client.until(lambda e: e["type"] != "languages.changed")
        assert resumed["type"] == "session.resumed", resumed
        assert resumed["session"] == self.session and resumed["from_seq"] == self.last_seq + 1
        assert resumed["key"] != self.key
        self.key = resumed["key"]
        self.client.seq = self.last_seq
        for message in list(self.waiting.values()):  # the service may not have got them
            await self.client.send(**message)

    async def translate(self, id, rev, text, **fields):
        message = dict(type="translate", id=id, rev=rev, text=text, source="en", **fields)
        self.waiting[id, rev] = message
        await self.client.send(**message)

    async def event(self):
        event = await self.client.event()  # checks that seq rises
        if "seq" not in event:
            return event
        self.last_seq = event["seq"]
        self.heard.append(event)
        if event["type"] == "batch.done":
            self.waiting.pop((event["id"], event["rev"]), None)
        elif event["type"] == "error":
            assert event["code"] in ("busy", "stale_rev", "id_final"), event
            if event["code"] == "busy":
                await asyncio.sleep(event["retry_after_ms"] / 1000)
                if (event["id"], event["rev"]) in self.waiting:
                    await self.client.send(**self.waiting[event["id"], event["rev"]])
        return event

    async def answers(self):
        while self.waiting:
            await self.event()

    async def break_off(self):
        self.ws.transport.abort()
        await self.ws.wait_closed()


def check_whole(events, asked):
    """Of each request all ends once, and committed text that joins to them."""
    by_request = {}
    for event in events:
        if event["type"] != "error":
            by_request.setdefault((event.get("id"), event.get("rev")), []).append(event)
    for request, message in asked.items():
        mine = by_request[request]
        check_counts(mine, message["targets"])
        for language, end in done(mine).items():
            whole = committed(mine, language)
            assert end["status"] == "ok"
            assert end["text"] == whole if message["final"] else end["text"].startswith(whole)


@run
async def test_what_was_missed_comes_again(service):
    kept = Kept(service)
    await kept.open()
    await kept.translate("a", 1, SENTENCES[0], targets=LANGUAGES, final=True)
    asked = dict(kept.waiting)
    first = await kept.event()
    await kept.break_off()
    rows = {}
    while not rows:  # the lanes run on without a reader
        await asyncio.sleep(0.05)
        rows = service.batches(kept.session)
    assert list(rows.values()) == [(3, ["ok"] * 3)]
    await kept.open()
    await kept.answers()
    assert kept.heard[0] == first
    check_whole(kept.heard, asked)
    # It goes on under the same numbers, and the session still knows the sentence.
    await kept.client.send(type="translate", id="a", rev=2, text="No.", targets=["de"], source="en")
    assert (await kept.client.until(lambda e: e.get("rev") == 2))["code"] == "id_final"
    await kept.ws.close()


@run
async def test_who_may_resume(service):
    async with connect(service) as old, connect(service) as other:
        session, key = old.ready["session"], old.ready["key"]
        for wrong in (
            {"session": session, "key": other.ready["key"], "last_seq": 1},
            {"session": session, "key": "", "last_seq": 1},
            {"session": "0" * 32, "key": key, "last_seq": 1},
            {"session": session, "key": key, "last_seq": 1000},
        ):
            async with connect(service) as client:
                await client.send(type="resume", **wrong)
                assert (await client.error())["code"] in ("resume_gone", "bad_field")
                await client.translate("m1", 1, "Yes.", ["de"], source="en", final=True)
        await other.sync()
        await other.send(type="resume", session=session, key=key, last_seq=1)
        assert (await other.error())["code"] == "resume_gone"  # not its first message
        # A connection that nobody has missed yet is taken over; a used key stays good once more.
        for _ in range(2):
            async with connect(service) as client:
                await client.send(type="resume", session=session, key=key, last_seq=1)
                resumed = await client.event()
                assert resumed["type"] == "session.resumed"
                client.ws.transport.abort()
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await old.ws.recv()
        assert closed.value.rcvd.code == 1000
        async with connect(service) as client:
            await client.send(type="resume", session=session, key=resumed["key"], last_seq=1)
            assert (await client.event())["type"] == "session.resumed"
        # Who says goodbye means it.
        async with connect(service) as client:
            await client.send(type="resume", session=session, key=key, last_seq=1)
            assert (await client.error())["code"] == "resume_gone"


@run
async def test_a_close_without_goodbye_may_be_resumed(service):
    """As a browser's socket.close() without a code, by which a silent connection is given up."""
    kept = Kept(service)
    await kept.open()
    await kept.ws.write_frame(True, 8, b"")
    await kept.ws.wait_closed()
    await kept.open()
    await kept.translate("a", 1, SENTENCES[3], targets=["de"], final=True)
    await kept.answers()
    await kept.ws.close()


@run
async def test_defaults_and_new_languages_outlive_the_connection(service):
    kept = Kept(service)
    await kept.open()
    await kept.client.send(type="session.update", source="en", targets=["de", "sv"])
    await kept.client.sync()
    await kept.break_off()
    await kept.open()
    await kept.client.send(type="translate", id="m", rev=1, text="Yes.", final=True)
    check_counts(await kept.client.finish("m", 1), ["de", "sv"])
    await kept.ws.close()


@pytest.mark.skipif(not LONG, reason="waits for the grace to end")
@run
async def test_nobody_comes_back(service):
    kept = Kept(service)
    await kept.open()
    grace_s = kept.ready["limits"]["resume_grace_ms"] / 1000
    await kept.break_off()
    await asyncio.sleep(0.5)
    assert service.metric("hydraglot_sessions_detached") >= 1
    await asyncio.sleep(grace_s + 3)
    async with connect(service) as client:
        await client.send(type="resume", session=kept.session, key=kept.key, last_seq=1)
        assert (await client.error())["code"] == "resume_gone"


# ---- readers that stop ----


async def fill(kept, size):
    """Asks and reads nothing until the connection is given up: ends that need no lane, each with a
    text of that many code points."""
    kept.ws.transport.pause_reading()
    slow = kept.service.metric("hydraglot_slow_readers_total")
    number = 0
    while kept.service.metric("hydraglot_slow_readers_total") == slow:
        for _ in range(40):
            number += 1
            message = dict(type="translate", id=f"f{number}", rev=1, text="é" * size,
                           targets=["en"], source="en")
            with contextlib.suppress(websockets.ConnectionClosed, asyncio.TimeoutError):
                await asyncio.wait_for(kept.client.send(**message), 1)
        assert number < 20000, "nobody who reads nothing is served for ever"
    return number


@pytest.mark.parametrize("size", [1, 2000])
@run
async def test_a_slow_reader_is_closed_and_may_resume(service, size):
    kept = Kept(service)
    await kept.open()
    asked = await fill(kept, size)
    kept.ws.transport.resume_reading()
    with pytest.raises(websockets.ConnectionClosed) as closed:
        for _ in range(100):  # of what was on its way, this much arrives
            await kept.event()
        kept.ws.transport.pause_reading()
        await asyncio.sleep(0.1)
        kept.ws.transport.abort()
        while True:
            await kept.ws.recv()
    assert closed.value.rcvd is None or closed.value.rcvd.code == 4008
    await kept.open()
    await kept.client.send(type="ping", t=1)
    while (await kept.event())["type"] != "pong":
        pass
    ends = [int(e["id"][1:]) for e in kept.heard if e["type"] == "translation.done"]
    assert ends == list(range(1, len(ends) + 1)) and len(ends) <= asked
    assert [e["seq"] for e in kept.heard] == list(range(2, 2 + len(kept.heard)))
    await kept.ws.close()


@run
async def test_slow_readers_cost_bounded_memory(own_service):
    readers, before = 12, None
    for number in range(readers + 2):
        kept = Kept(own_service)
        await kept.open()
        await fill(kept, 2000)
        kept.ws.transport.abort()
        if number == 1:
            before = resident_bytes(own_service)
    grown = resident_bytes(own_service) - before
    print(f"resident: {grown / readers / MIB:.2f} MiB for each of {readers} slow readers")
    # What waits (1 MiB, stretched by what may be replayed), what was sent, the allocator's rest.
    assert own_service.metric("hydraglot_sessions_detached") == readers + 2
    assert grown < readers * 4 * MIB


# ---- killed at random ----


class Cutter:
    """A way to the service that breaks each connection after a random number of bytes, wherever
    that is: in the handshake, in the middle of a frame, of the replay."""

    def __init__(self, service, rng, kills, port=0):
        self.service, self.rng, self.kills, self.cut, self.port = service, rng, kills, 0, port

    async def __aenter__(self):
        self.server = await asyncio.start_server(self.carry, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception):
        self.server.close()

    async def carry(self, reader, writer):
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self.service.port)
        self.left = self.rng.randrange(6000) if self.cut < self.kills else 1 << 40
        pumps = [asyncio.ensure_future(self.pump(reader, there_writer)),
                 asyncio.ensure_future(self.pump(there_reader, writer))]
        await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        self.cut += self.left == 0
        for pump in pumps:
            pump.cancel()
        for side in (writer, there_writer):
            side.transport.abort()

    async def pump(self, source, sink):
        with contextlib.suppress(OSError):
            while self.left and (data := await source.read(65536)):
                data = data[: self.left]
                self.left -= len(data)
                sink.write(data)
                await sink.drain()


BROKEN = (OSError, websockets.ConnectionClosed, websockets.InvalidMessage)


@run
async def test_killed_at_random_moments(service):
    """However often the connection breaks, each request has its ends once, each event comes once."""
    rng = random.Random(20261124)
    asked, number = {}, 0
    async with Cutter(service, rng, KILLS) as cutter:
        kept = Kept(service, cutter.port)

        async def reopen():
            while True:
                try:
                    return await kept.open()
                except BROKEN:
                    pass

        await reopen()
        while cutter.cut < KILLS or kept.waiting:
            try:
                while len(kept.waiting) < 4 and cutter.cut < KILLS:
                    number += 1
                    words = rng.choice(SENTENCES).split()
                    final = rng.random() < 0.6
                    text = " ".join(words if final else words[: rng.randrange(1, len(words))])
                    asked[f"s{number}", 1] = dict(targets=LANGUAGES, final=final)
                    await kept.translate(f"s{number}", 1, text, targets=LANGUAGES, final=final)
                await kept.event()
            except BROKEN:
                await reopen()
        await kept.ws.close()
    seqs = [e["seq"] for e in kept.heard]
    assert seqs == sorted(set(seqs)), "no event came twice"
    check_whole(kept.heard, asked)
    print(f"{cutter.cut} kills, {len(asked)} requests, {len(kept.heard)} events")
    assert cutter.cut >= KILLS and service.metric("hydraglot_sessions_resumed_total") > KILLS / 3


@run
async def test_hydraglot_js_killed_at_random_moments(request, tmp_path):
    """The client of web/ and the service agree on resuming: each sentence ends once in each
    language, nothing is taken back, no error is seen, however often the connection breaks."""
    port = free_port()
    service = Service(request.config.getoption("--binary"), tmp_path, "--allow-origin",
                      f"http://127.0.0.1:{port}")
    sentences, kills, least = (150, 100, 100) if LONG else (25, 12, 6)
    try:
        service.wait_ready()
        async with Cutter(service, random.Random(7), kills, port) as cutter:
            script = pathlib.Path(__file__).with_name("node_client.mjs")
            node = await asyncio.create_subprocess_exec(
                "node", str(script), f"ws://127.0.0.1:{port}/v1/live", str(WS), str(sentences),
                stdout=asyncio.subprocess.PIPE)
            heard = json.loads((await node.communicate())[0])
        resumed = service.metric("hydraglot_sessions_resumed_total")
    finally:
        service.stop()
    assert node.returncode == 0 and heard["errors"] == [] and heard["taken_back"] == []
    assert heard["doubled"] == [] and heard["batches"] >= sentences
    assert len(heard["translations"]) == sentences and all(map(all, heard["translations"]))
    print(f"{cutter.cut} kills, {resumed:.0f} resumed")
    assert cutter.cut >= least and resumed > 3
