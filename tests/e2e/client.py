"""A client of hydraglot.v1 on Python's `websockets`, which shares no code with the service."""
import asyncio
import functools
import json
import os
import socket

import websockets

SUBPROTOCOL = "hydraglot.v1"
TIMEOUT_S = 60  # of a wait that must end; generous, because sanitizer builds are slow
TEST_S = 6000 if os.environ.get("HYDRAGLOT_LONG") == "1" else 600


def run(test):
    """Makes a plain test of a coroutine."""

    @functools.wraps(test)
    def wrapper(*args, **kwargs):
        asyncio.run(asyncio.wait_for(test(*args, **kwargs), TEST_S))

    return wrapper


class Client:
    """One connection. Events are kept in the order of arrival; seq is checked on the way."""

    def __init__(self, ws):
        self.ws = ws
        self.events = []
        self.seq = 0
        self.ready = None

    async def send(self, **message):
        await self.ws.send(json.dumps(message))

    async def send_raw(self, text):
        await self.ws.send(text)

    async def event(self):
        frame = await asyncio.wait_for(self.ws.recv(), TIMEOUT_S)
        assert isinstance(frame, str)
        event = json.loads(frame)
        if event["type"] in ("pong", "session.resumed"):
            assert "seq" not in event
        else:
            assert event["seq"] > self.seq, "seq must rise"
            self.seq = event["seq"]
        self.events.append(event)
        return event

    async def until(self, wanted):
        """The first event from now on for which wanted(event) is true."""
        while True:
            event = await self.event()
            if wanted(event):
                return event

    async def until_type(self, type_):
        return await self.until(lambda e: e["type"] == type_)

    async def error(self):
        return await self.until_type("error")

    async def sync(self):
        """Waits until the service has read all that was sent."""
        token = f"sync {len(self.events)} {self.seq}"
        await self.send(type="ping", t=token)
        await self.until(lambda e: e["type"] == "pong" and e.get("t") == token)

    async def translate(self, id, rev, text, targets, **fields):
        """Sends a request and returns its events, up to its batch.done."""
        await self.send(type="translate", id=id, rev=rev, text=text, targets=targets, **fields)
        return await self.finish(id, rev)

    async def finish(self, id, rev):
        await self.until(
            lambda e: e["type"] == "batch.done" and (e["id"], e["rev"]) == (id, rev)
        )
        return self.of(id, rev)

    def of(self, id, rev):
        return [e for e in self.events if e.get("id") == id and e.get("rev") == rev]


class connect:
    """async with connect(service) as client: ... ; the session is ready inside. Raises
    ConnectionRefusedError, as where nobody listens, while the model is still being loaded."""

    def __init__(self, service, small_buffer=False, **options):
        self.options = {"subprotocols": [SUBPROTOCOL], "ping_interval": None, "max_size": None,
                        "open_timeout": TIMEOUT_S}
        self.options.update(options)
        if small_buffer:
            sock = socket.socket()
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.connect(("127.0.0.1", service.port))
            self.options["sock"] = sock
        self.url = service.ws_url

    async def __aenter__(self):
        self.ws = await websockets.connect(self.url, **self.options)
        client = Client(self.ws)
        client.ready = await client.event()
        if client.ready.get("code") == "starting":
            await self.ws.close()
            raise ConnectionRefusedError(client.ready["message"])
        assert client.ready["type"] == "session.ready"
        return client

    async def __aexit__(self, *exception):
        await self.ws.close()


def done(events):
    """translation.done by language; each language at most once."""
    ends = [e for e in events if e["type"] == "translation.done"]
    by_language = {e["language"]: e for e in ends}
    assert len(by_language) == len(ends), "one end a language"
    return by_language


def committed(events, language, epoch=None):
    return "".join(
        e["text"]
        for e in events
        if e["type"] == "translation.committed"
        and e["language"] == language
        and epoch in (None, e["epoch"])
    )


def check_counts(events, languages):
    """Exactly one end for each language, then exactly one batch.done."""
    types = [e["type"] for e in events]
    assert types.count("batch.done") == 1 and types[-1] == "batch.done"
    assert sorted(done(events)) == sorted(languages)
    assert types.count("translation.done") == len(languages)
    assert "error" not in types


def resident_bytes(service):
    """What the service's process holds in memory."""
    with open(f"/proc/{service.process.pid}/status") as status:
        line = next(line for line in status if line.startswith("VmRSS"))
    return int(line.split()[1]) * 1024
