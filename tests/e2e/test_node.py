"""web/hydraglot.js outside the browser: its types, Node on the `ws` package, the example chat."""
import asyncio
import json
import pathlib
import random
import shutil
import subprocess
import time

import pytest
import websockets

from client import run
from conftest import ROOT, free_port
from fake import Fake

WS = pathlib.Path("/usr/share/nodejs/ws")  # where Debian's node-ws lies
TARGETS = ("de", "ja", "ru")
SENTENCES = 25


def test_its_types_are_sound(tmp_path):
    command = ["tsc", "--noEmit", "--allowJs", "--checkJs", "--strict", "--target", "es2022",
               "--module", "es2022", "--skipLibCheck",
               "--moduleResolution", "node", "--lib", "es2022,dom,dom.iterable",
               "--typeRoots", str(tmp_path), str(ROOT / "web" / "hydraglot.js")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout


def node(fake):
    url = fake.url.replace("http", "ws") + "/v1/live"
    script = pathlib.Path(__file__).with_name("node_client.mjs")
    return subprocess.Popen(["node", str(script), url, str(WS), str(SENTENCES)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


# Where sessions are not kept the pauses between two tries grow, so fewer losses are as long.
@pytest.mark.parametrize("resumes, most", [(True, 40), (False, 4)])
def test_a_client_killed_at_random_moments_loses_and_doubles_nothing(resumes, most):
    dice = random.Random(7)
    with Fake(TARGETS, step_s=0.004, resumes=resumes) as fake:
        process = node(fake)
        kills = 0
        end = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < end:
            time.sleep(dice.uniform(0.02, 0.4))
            if kills < most:
                kills += fake.kill()
        process.kill()
        out, trouble = process.communicate()
        accepted = [(id, rev) for _, id, rev, _ in fake.accepted]
        resumed = fake.resumed
    assert process.returncode == 0, trouble
    heard = json.loads(out)
    assert heard["translations"] == [
        [f"{tag} This is the sentence number {n} of many." for tag in TARGETS]
        for n in range(SENTENCES)]
    assert heard["errors"] == [] and heard["doubled"] == [] and heard["batches"] == SENTENCES
    assert heard["ends"] == SENTENCES * len(TARGETS)
    assert heard["states"]["ready"] > 2 and kills > 2
    if resumes:
        assert resumed > 4 and heard["taken_back"] == []
        assert len(accepted) == len(set(accepted)), "nothing was translated twice"


@pytest.fixture
def chat(service, tmp_path):
    """The example as it lies in the tree, with `ws` where Node looks for it."""
    (tmp_path / "docs").mkdir()
    shutil.copytree(ROOT / "docs" / "examples", tmp_path / "docs" / "examples")
    shutil.copytree(ROOT / "web", tmp_path / "web")
    (tmp_path / "node_modules").mkdir()
    (tmp_path / "node_modules" / "ws").symlink_to(WS)
    process = subprocess.Popen(
        ["node", "docs/examples/chat.mjs", str(free_port()), service.ws_url], cwd=tmp_path,
        stdout=subprocess.PIPE, text=True)
    address = process.stdout.readline().strip()
    assert address.startswith("http://127.0.0.1:"), "the example did not start"
    yield address
    process.terminate()
    process.communicate()


@run
async def test_each_member_of_the_chat_reads_their_own_language(chat):
    room = chat.replace("http", "ws")
    members = {language: await websockets.connect(f"{room}?name={language}&language={language}")
               for language in ("en", "de", "fr", "ru")}

    async def read(language, about):
        while True:
            line = json.loads(await asyncio.wait_for(members[language].recv(), 60))
            if line["status"] != "running" and line["name"] == about:
                return line["text"]

    await members["en"].send("She is reading a book.")
    assert await read("en", "en") == "She is reading a book."
    assert "Buch" in await read("de", "en")
    assert "livre" in await read("fr", "en")
    assert "книг" in await read("ru", "en")
    await members["de"].send("Ich habe einen Hund.")
    assert "dog" in await read("en", "de")
    assert await read("fr", "de") == "Ich habe einen Hund.", "what the model cannot do stays"
    for socket in members.values():
        await socket.close()
