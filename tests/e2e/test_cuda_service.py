"""The whole service on a CUDA device whose calls fail. The device is the emulator's, a library that stands
beside the binary in the place of the real one (tests/cuda_emulator/outside.cpp); a file that both
sides map says which calls fail, and how.

After a failed kernel every call of CUDA's fails until the context is made anew; other errors come
once, and are no less a reason not to trust the card. The sweep lets the n-th call of a translation
be the one, or the first, that fails: some n, drawn from a fixed seed, and with HYDRAGLOT_LONG every one.
"""
import itertools
import json
import mmap
import os
import random
import shutil
import struct
import subprocess
import time

import pytest
import websockets
from client import check_counts, connect, done, run
from conftest import ROOT, Service
from small_base import write_model, write_plugin

LONG = os.environ.get("HYDRAGLOT_LONG") == "1"
LIBRARY = "libhydraglot_cuda.so"
TEXT, LANGUAGES, TOKENS = "Good morning.", ["de", "fr"], 4
TIMEOUT_S = 120
OUT_OF_MEMORY, LAUNCH_FAILURE = 2, 719
WAYS = None, 1, 2  # of a failure: it alone; all until the context is made anew; until the second time


class Card:
    """The words of emulator_control; an attribute is a word of shared memory."""

    WORDS = "calls", "fail_at", "fail_with", "loses", "resets_left", "memory_bytes", "faults", "left_behind", "holds"

    def __init__(self, path):
        with open(path, "w+b") as file:
            file.truncate(8 * len(self.WORDS))
            self.__dict__["words"] = mmap.mmap(file.fileno(), 8 * len(self.WORDS))
        self.fail_at, self.memory_bytes = -1, 4 << 30

    def __getattr__(self, name):
        return struct.unpack_from("q", self.words, 8 * self.WORDS.index(name))[0]

    def __setattr__(self, name, value):
        struct.pack_into("q", self.words, 8 * self.WORDS.index(name), value)

    def fail(self, n, error, resets=None):
        """The n-th call from now fails; so do all behind it until so many resets, 0: for ever, None:
        it alone does."""
        self.loses, self.resets_left, self.fail_with = resets is not None, resets or 0, error
        self.fail_at = self.calls + n

    def lose(self, n, resets):
        self.fail(n, LAUNCH_FAILURE, resets)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    folder = tmp_path_factory.mktemp("base")
    invoked = json.loads((ROOT / "plugins" / "fr" / "adapter_config.json").read_text())["alora_invocation_tokens"]
    write_model(folder / "small")
    write_plugin(folder / "plugins" / "de", "de")
    write_plugin(folder / "plugins" / "fr", "fr", alora_invocation_tokens=invoked)
    return "--model", str(folder / "small"), "--plugins", str(folder / "plugins"), "--lanes", "2", "--adapters", "2"


@pytest.fixture
def bench(request, tmp_path, base):
    """(binary, card, start): start(device, ...) gives a service beside the emulated library."""
    built = ROOT / "build" / "emulated" / LIBRARY
    assert built.exists(), "make build/emulated/" + LIBRARY
    binary = shutil.copy(request.config.getoption("--binary"), tmp_path / "hydraglot")
    shutil.copy(built, tmp_path)
    card, started = Card(tmp_path / "cuda.control"), []
    (tmp_path / "data").mkdir()

    def start(device, *flags):
        started.append(Service(binary, tmp_path / "data", "--device", device, *base, *flags))
        return started[-1]

    yield binary, card, start
    card.holds = 0
    for service in started:
        service.process.kill()
        service.process.wait()
    assert not card.faults, "a kernel did what none may"


def until(service, met):
    """Waits for met(); the service must not end meanwhile."""
    end = time.monotonic() + TIMEOUT_S
    while not met():
        assert service.process.poll() is None and time.monotonic() < end, service.log.read_text()
        time.sleep(0.01)


def health(service):
    return json.loads(service.get("/healthz")[2])


def serves_again(service):
    """Until every device that was lost has been replaced, and it says so."""
    until(service, lambda: service.metric("hydraglot_device_recoveries_total")
          == service.metric("hydraglot_device_losses_total"))
    until(service, lambda: service.metric("hydraglot_adapters") == len(LANGUAGES))
    assert service.get("/readyz")[0] == 200 and health(service)["computes"]


class Sentences:
    """Of one connection, each under an id of its own."""

    def __init__(self, client):
        self.client, self.count = client, 0

    async def ask(self):
        """{language: (status, text or code)}; where the request is refused, {"": (error, its code)}."""
        self.count += 1
        name = f"s{self.count}"
        await self.client.send(type="translate", id=name, rev=1, text=TEXT, targets=LANGUAGES, final=True,
                               options={"max_tokens": TOKENS})
        last = await self.client.until(lambda e: e.get("id") == name and e["type"] in ("batch.done", "error"))
        if last["type"] == "error":
            assert last["retry"]
            return {"": ("error", last["code"])}
        events = self.client.of(name, 1)
        check_counts(events, LANGUAGES)
        return {language: (end["status"], end["text"] if end["status"] == "ok" else end["code"])
                for language, end in done(events).items()}

    async def told(self):
        """The same of a card that is well: status ok throughout."""
        answer = await self.ask()
        assert {status for status, _ in answer.values()} == {"ok"}
        return answer


def points(calls, some):
    return range(calls) if LONG else sorted(random.Random(6).sample(range(calls), some))


def test_whichever_call_fails_lanes_end_with_a_code_and_it_recovers(bench):
    _, card, start = bench
    service = start("cuda")
    service.wait_ready()
    assert health(service)["device"] == "cuda: Emulator"

    @run
    async def session():
        async with connect(service) as client:
            sentences, failed = Sentences(client), 0
            await sentences.told()
            before = card.calls
            want = await sentences.told()
            swept = points(card.calls - before, len(WAYS))
            swept = list(itertools.product(swept, WAYS) if LONG else zip(swept, WAYS))
            for n, resets in swept:
                card.lose(n, resets)
                while card.calls <= card.fail_at:  # its steps may be cut otherwise, into fewer calls
                    for language, said in (await sentences.ask()).items():
                        failed += said[0] != "ok"
                        assert said in (("failed", "device"), ("error", "device"), want.get(language)), n
                serves_again(service)
                assert await sentences.told() == want, n
            assert failed >= len(swept) == service.metric("hydraglot_device_losses_total")

    session()
    assert card.left_behind == 0 and health(service)["device"] == "cuda: Emulator"
    assert service.stop() == 0


def test_while_the_card_is_away_everything_else_is_answered(bench):
    """A reset that does not return holds the engine's thread up, and nobody else."""
    _, card, start = bench
    service = start("cuda")
    service.wait_ready()

    @run
    async def session():
        async with connect(service) as client:
            sentences = Sentences(client)
            want = await sentences.told()
            card.holds = 1
            card.lose(3, resets=1)
            assert set((await sentences.ask()).values()) == {("failed", "device")}
            until(service, lambda: not health(service)["computes"])
            assert service.get("/readyz")[0] == 503 and service.metric("hydraglot_device_up") == 0
            for _ in range(3):
                assert await sentences.ask() == {"": ("error", "device")}
            body = json.dumps({"q": TEXT, "source": "en", "target": "de"})
            status, _, answer = service.get("/translate", "POST", {"Content-Type": "application/json"}, body)
            assert status == 500 and "device" in json.loads(answer)["error"]
            card.holds = 0
            serves_again(service)
            assert service.metric("hydraglot_device_up") == 1
            assert await sentences.told() == want

    session()
    assert service.stop() == 0


@pytest.mark.parametrize("policy", ["fallback", pytest.param("recover", marks=pytest.mark.skipif(
    not LONG, reason="waits between the tries: HYDRAGLOT_LONG=1"))])
def test_the_processor_takes_over(bench, policy):
    """At once, or when the card has not come back in five tries."""
    _, card, start = bench
    service = start("cuda", "--on-device-error", policy)
    service.wait_ready()

    @run
    async def session():
        async with connect(service) as client:
            sentences = Sentences(client)
            await sentences.told()
            card.lose(5, resets=0)
            assert ("failed", "device") in (await sentences.ask()).values()
            serves_again(service)
            assert health(service)["device"].startswith("cpu: ")
            assert await sentences.told() == await sentences.told()

    session()
    tries = service.log.read_text().count("no device yet")
    assert tries == {"fallback": 0, "recover": 4}[policy]
    assert service.stop() == 0


def test_it_ends_where_it_is_told_to(bench):
    _, card, start = bench
    service = start("cuda", "--on-device-error", "stop")
    service.wait_ready()

    @run
    async def session():
        async with connect(service) as client:
            sentences = Sentences(client)
            await sentences.told()
            card.lose(0, resets=0)
            assert set((await sentences.ask()).values()) == {("failed", "device")}
            with pytest.raises(websockets.ConnectionClosed) as closed:
                while True:
                    await client.event()
            assert closed.value.rcvd.code == 1001

    session()
    assert service.process.wait(TIMEOUT_S) == 1


def translate(bench, base, device):
    binary, _, _ = bench
    flags = "--to", ",".join(LANGUAGES), "--max-tokens", str(TOKENS), "--data", str(binary) + ".data", *base
    return subprocess.run([binary, "translate", "--device", device, *flags, TEXT], capture_output=True,
                          encoding="utf-8", timeout=TIMEOUT_S)


def test_memory_that_is_not_there_at_start(bench, base):
    """Whichever call is told that the card is full: asked for the card it says so, else the processor
    serves; a call that can be done without may have failed for both."""
    _, card, start = bench
    before = card.calls
    well = translate(bench, base, "cuda")
    assert well.returncode == 0
    opening = (card.calls - before) // 2
    for n in points(opening, 2):
        card.fail(n, OUT_OF_MEMORY)
        asked = translate(bench, base, "cuda")
        assert (asked.returncode, asked.stdout) == (0, well.stdout) or (
            asked.returncode == 1 and "cudaErrorMemoryAllocation" in asked.stderr), n
        card.fail(n, OUT_OF_MEMORY)
        other = translate(bench, base, "auto")
        assert other.returncode == 0 and other.stdout.count("\n") >= len(LANGUAGES), n
    card.memory_bytes = (1 << 30) + (1 << 20)
    asked = translate(bench, base, "cuda")
    assert asked.returncode == 1 and "the card less its reserve" in asked.stderr
    service = start("auto")
    service.wait_ready()
    assert health(service)["device"].startswith("cpu: ") and "not on cuda: " in service.log.read_text()
    assert service.stop() == 0
