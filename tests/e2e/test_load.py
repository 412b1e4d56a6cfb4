"""Many websocket clients beside the engine: no event is lost, the service thread stays idle enough,
memory does not grow. HYDRAGLOT_LONG=1: 1,000 idle and 100 active clients for half an hour."""
import asyncio
import os
import random
import resource
import time

import websockets

from client import SUBPROTOCOL, TIMEOUT_S, Client, check_counts, committed, done, resident_bytes, run

LONG = os.environ.get("HYDRAGLOT_LONG") == "1"
IDLE, ACTIVE, SECONDS = (1000, 100, 1800) if LONG else (200, 20, 4)
PAUSE_S = 4 if LONG else 1  # between two sentences of one client
TARGETS = ["de", "ja"]
TEXTS = [
    "She has been learning to play the piano since she was six.",
    "Where is the train station?",
    "My brother bought a new car last week.",
    "Please close the window, it is cold in here.",
]
MIB = 1 << 20


async def client_of(service):
    ws = await websockets.connect(service.ws_url, subprotocols=[SUBPROTOCOL], ping_interval=None,
                                  open_timeout=TIMEOUT_S)
    client = Client(ws)
    client.ready = await client.event()
    return client


async def many(service, count):
    """So many clients, fifty at a time."""
    clients = []
    while len(clients) < count:
        some = min(50, count - len(clients))
        clients += await asyncio.gather(*(client_of(service) for _ in range(some)))
    return clients


def service_thread_s(service):
    """Processor time of the service thread, which is the process's first."""
    with open(f"/proc/{service.process.pid}/task/{service.process.pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def talk(client, rng, end):
    """Sentence after sentence, each typed in two revisions; how many there were."""
    number = 0
    await asyncio.sleep(rng.uniform(0, PAUSE_S))
    while time.monotonic() < end:
        number += 1
        text, id = rng.choice(TEXTS), f"s{number}"
        half = text[: len(text) // 2]
        for rev, (typed, final) in enumerate(((half, False), (text, True)), 1):
            message = dict(type="translate", id=id, rev=rev, text=typed, targets=TARGETS, source="en",
                           final=final)
            await client.send(**message)
            while (await answer(client, id, rev))["type"] == "error":
                await asyncio.sleep(0.1)
                await client.send(**message)
            events = [e for e in client.of(id, rev) if e["type"] != "error"]
            check_counts(events, TARGETS)
            for language, found in done(events).items():
                assert found["status"] == "ok"
                assert found["text"].startswith(committed(events, language))
        client.events.clear()
        await asyncio.sleep(PAUSE_S * rng.uniform(0.5, 1.5))
    return number


async def answer(client, id, rev):
    event = await client.until(lambda e: e["type"] in ("batch.done", "error")
                               and (e["id"], e["rev"]) == (id, rev))
    assert event["type"] == "batch.done" or event["code"] == "busy", event
    return event


@run
async def test_many_clients(own_service):
    await load(own_service, IDLE, ACTIVE, SECONDS / 2)


async def load(service, idle_count, active_count, seconds):
    """Two waves of clients. A session keeps its sentences and its replay up to their bounds, so that
    memory is compared at the ends of both."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    try:
        first = await wave(service, idle_count, active_count, seconds)
        second = await wave(service, idle_count, active_count, seconds)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert second - first < 8 * MIB


async def wave(service, idle_count, active_count, seconds):
    """What is resident at its end."""
    idle = await many(service, idle_count)
    active = await many(service, active_count)
    began, used = time.monotonic(), service_thread_s(service)
    sentences = sum(await asyncio.gather(
        *(talk(c, random.Random(i), began + seconds) for i, c in enumerate(active))))
    share = (service_thread_s(service) - used) / (time.monotonic() - began)
    resident = resident_bytes(service)
    print(f"{idle_count} idle and {active_count} active clients, {time.monotonic() - began:.0f} s: "
          f"{sentences} sentences, service thread {share:.3f} of a core, resident "
          f"{resident / MIB:.1f} MiB")
    for client in idle:
        await client.sync()
        assert [e["type"] for e in client.events] == ["session.ready", "pong"]
    assert service.metric("hydraglot_sessions") == idle_count + active_count
    await asyncio.gather(*(c.ws.close() for c in idle + active))
    assert sentences >= active_count / 4 and share < 0.2
    return resident
