"""Compression is agreed on, true, and bounded: websockets by Python's `websockets` in every shape of
offer (it checks windows and contexts itself), HTTP by curl and Python's gzip."""
import asyncio
import contextlib
import gzip
import itertools
import json
import random
import re
import struct
import subprocess
import zlib

import pytest
import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Offer

from client import SUBPROTOCOL, connect, done, run
from conftest import ROOT

TEXT = "Where is the train station, and when does the next train leave?"


def answered(client):
    return client.ws.response_headers.get("Sec-WebSocket-Extensions")


async def talk(client, rounds=6):
    """The same sentence again and again: contexts that differ would garble it. Returns the ends."""
    ends = []
    for n in range(rounds):
        events = await client.translate(f"s{n}", 1, TEXT, ["de", "ja", "ru"], final=True)
        ends.append({tag: end["text"] for tag, end in done(events).items()})
    return ends


@run
async def test_with_and_without(service):
    async with connect(service) as client:
        agreed = answered(client)
        packed = await talk(client)
    assert agreed == "permessage-deflate; client_max_window_bits=12"
    async with connect(service, compression=None) as client:
        assert answered(client) is None
        assert await talk(client) == packed
    assert len({json.dumps(ends) for ends in packed}) == 1 and all(packed[0].values())


@pytest.mark.parametrize("resets", itertools.product((False, True), repeat=2))
@run
async def test_every_offer(service, resets):
    """(bits of ours that are offered, of the client's; what is answered, None: no compression)"""
    server_resets, client_resets = resets
    for server, client_bits, wanted in [
        (None, True, (None, 12)), (None, 15, (None, 12)), (9, True, (9, 12)), (15, 10, (12, 10)),
        (None, None, (None, None)), (10, None, (10, None)), (None, 9, (None, 9)), (8, True, None),
    ]:
        offer = Offer(server_resets, client_resets, server, client_bits)
        async with connect(service, extensions=[offer], compression=None) as client:
            found = answered(client)
            assert all((await talk(client, 2))[1].values()), (server, client_bits)
        if wanted is None:
            assert found is None, (server, client_bits)
            continue
        for name, bits in zip(("server_max_window_bits", "client_max_window_bits"), wanted):
            assert re.findall(rf"{name}=(\d+)", found) == ([str(bits)] if bits else []), found
        assert ("server_no_context_takeover" in found) == server_resets
        assert ("client_no_context_takeover" in found) == client_resets


@contextlib.asynccontextmanager
async def relay(service):
    """(port, counts): a way to the service that counts the bytes coming back."""
    counts = [0]

    async def pump(reader, writer, count):
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                counts[0] += count * len(data)
                writer.write(data)
                await writer.drain()
        writer.close()

    async def serve(reader, writer):
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", service.port)
        await asyncio.gather(pump(reader, far_writer, 0), pump(far_reader, writer, 1))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], counts


@run
async def test_it_saves_bytes(service):
    sizes = []
    for compression in ("deflate", None):
        async with relay(service) as (port, counts):
            way = {"host": "127.0.0.1", "port": port}
            async with connect(service, compression=compression, **way) as client:
                await talk(client, 10)
            sizes.append(counts[0])
    print(f"\n{sizes[1]} bytes in clear, {sizes[0]} compressed")
    assert sizes[0] * 2 < sizes[1]


def memory(service):
    """Peak resident KiB of the service since it was last asked."""
    status = open(f"/proc/{service.process.pid}/status").read()
    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1])
    with open(f"/proc/{service.process.pid}/clear_refs", "w") as refs:
        refs.write("5")
    return peak


def frame(payload, first=0xC1):
    """A masked frame: FIN, RSV1 and text by default."""
    assert 125 < len(payload) < 1 << 16
    head = struct.pack("!BBH", first, 0x80 | 126, len(payload))
    return head + bytes(4) + payload  # a mask of zeros leaves it as it is


@run
async def test_a_bomb_ends_its_connection_and_costs_no_memory(service):
    """64 MiB in a frame of 64 KiB: the close code of a frame that is too large, as without."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    bomb = packer.compress(bytes(64 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
    async with connect(service) as client:
        await talk(client, 1)
        memory(service)
        before = memory(service)
        client.ws.transport.write(frame(bomb[:65000]))
        with pytest.raises(websockets.ConnectionClosed) as ended:
            await client.until_type("never")
    assert ended.value.code == 1009, ended.value
    assert memory(service) - before < 8 << 10
    async with connect(service) as client:
        await client.send(type="translate", id="x", rev=1, text="a" * 9000, targets=["de"])
        assert (await client.error())["code"] == "text_too_long", "what fits a frame is read"
        await client.ws.send(json.dumps({"type": "ping", "t": "a" * 70000}))
        with pytest.raises(websockets.ConnectionClosed) as ended:
            await client.until_type("never")
        assert ended.value.code == 1009


@run
async def test_noise_instead_of_deflate_ends_its_connection(service):
    for noise in (b"\xff" * 300, random.Random(7).randbytes(4000), b"\x00" * 200):
        async with connect(service) as client:
            client.ws.transport.write(frame(noise))
            with pytest.raises(websockets.ConnectionClosed) as ended:
                await client.until_type("never")
        assert ended.value.code == 1007, ended.value
    async with connect(service) as client:
        assert (await talk(client, 1))[0]["de"]


def short_frame(first, payload=b""):
    return bytes([first, 0x80 | len(payload)]) + bytes(4) + payload


RESERVED = {
    "RSV2": [(0xA1,)], "RSV3": [(0x91,)], "all three": [(0xF1,)], "RSV2 of a ping": [(0xA9,)],
    "RSV1 of a close frame": [(0xC8, b"\x03\xe8")],
    "RSV1 of a continuation": [(0x01, b"{"), (0xC0, b"}")],
    "RSV1 of a later one": [(0x01, b"{"), (0x00, b" "), (0xC0, b"}")],
}


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", RESERVED)
@run
async def test_reserved_bits_end_the_connection(service, name, packed):
    """RFC 6455, 5.2, and 7692, 6: only the first frame of a data message may have RSV1, and none the
    others. (RSV1 of pings and pongs libwebsockets passes over.)"""
    async with connect(service, compression="deflate" if packed else None) as client:
        client.ws.transport.write(b"".join(short_frame(*frame) for frame in RESERVED[name]))
        with pytest.raises(websockets.ConnectionClosed) as ended:
            await client.until_type("never")
    assert ended.value.rcvd and ended.value.rcvd.code == 1002, ended.value


# ---- HTTP ----


def get(service, path, accept):
    headers = {} if accept is None else {"Accept-Encoding": accept}
    status, headers, body = service.get(path, headers=headers)
    assert status == 200 and "Accept-Encoding" in headers["vary"]
    assert int(headers["content-length"]) == len(body)
    return headers, body


@pytest.mark.parametrize("accept, packed", [
    (None, False), ("gzip", True), ("deflate, gzip;q=1.0, *;q=0.5", True), ("*", True),
    ("br", False), ("gzip;q=0", False), ("identity, *;q=0", False), ("GZIP", True),
    ("x" * 300, False)])
def test_answers_are_packed_where_asked_for(service, accept, packed):
    for path in ("/hydraglot.js", "/style.css", "/", "/openapi.json", "/metrics", "/languages"):
        headers, body = get(service, path, accept)
        assert (headers.get("content-encoding") == "gzip") == packed, path
        plain = gzip.decompress(body) if packed else body
        if path == "/style.css":
            assert plain == (ROOT / "web" / "style.css").read_bytes()
            assert not packed or len(body) * 2 < len(plain)
    for path in ("/healthz", "/icons/" + next((ROOT / "web" / "icons").glob("*.png")).name):
        assert "content-encoding" not in get(service, path, accept)[0], "not worth it"


def test_curl_reads_it(service):
    for flags in ([], ["--compressed"]):
        read = subprocess.run(["curl", "-sS", *flags, service.url + "/app.js"], capture_output=True)
        assert read.stdout == (ROOT / "web" / "app.js").read_bytes()
    body = json.dumps({"q": [TEXT] * 20, "source": "en", "target": ["de", "ja", "ru"]})
    answers = [service.get("/translate", "POST", {"Content-Type": "application/json", **more}, body)
               for more in ({}, {"Accept-Encoding": "gzip"})]
    assert answers[1][1]["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(answers[1][2])) == json.loads(answers[0][2])


def test_a_tag_holds_for_both_forms(service):
    plain, packed = (get(service, "/app.js", accept)[0]["etag"] for accept in (None, "gzip"))
    assert packed == "W/" + plain
    for tag in (plain, packed):
        status, _, body = service.get("/app.js", headers={"If-None-Match": tag,
                                                          "Accept-Encoding": "gzip"})
        assert status == 304 and body == b""


def test_a_packed_body_is_refused(service):
    """So nothing can be blown up here."""
    status, _, body = service.get(
        "/translate", "POST", {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        gzip.compress(b'{"q": "Hi.", "source": "en", "target": "de"}'))
    assert status == 415 and "Content-Encoding" in json.loads(body)["error"]
