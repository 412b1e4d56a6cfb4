"""model merge by the real binary: the Dutch adapter as a plain LoRA on hydra-tiny, folded in and
beside it. A merged model's weights differ by BF16's rounding only, far too little for these
sentences to come out differently."""
import asyncio
import json
import shutil
import subprocess

import pytest

from client import TIMEOUT_S, connect
from conftest import ROOT, Service

SENTENCES = ["Good morning.", "Where is the train station?", "My sister lives in the city.",
             "He does not eat meat."]


def run(binary, *arguments, text=None):
    return subprocess.run([binary, *arguments], cwd=ROOT, input=text, capture_output=True,
                          encoding="utf-8", timeout=300)


@pytest.fixture(scope="module")
def binary(request):
    return request.config.getoption("--binary")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A folder of plugins with one: nl without its invocation, so that it acts on every token."""
    plugins = tmp_path_factory.mktemp("plain")
    shutil.copytree(ROOT / "plugins" / "nl", plugins / "nl")
    path = plugins / "nl" / "adapter_config.json"
    config = json.loads(path.read_text())
    del config["alora_invocation_tokens"]
    path.write_text(json.dumps(config))
    return plugins


@pytest.fixture(scope="module")
def merged(binary, plain, tmp_path_factory):
    out = tmp_path_factory.mktemp("merged") / "tiny-nl"
    made = run(binary, "model", "merge", "--plugins", str(plain), "--plugin", "nl", "--out",
               str(out), "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["bits"] == 16
    return out


def translate(binary, *flags):
    """The lines and how many tokens each took, by the reference kernels."""
    done = run(binary, "translate", "--kernel", "reference", "--to", "nl", "--json", *flags,
               text="\n".join(SENTENCES) + "\n")
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return [(line["text"], line["tokens"]) for line in lines if "text" in line]


def test_merged_model_translates_as_the_adapter_did(binary, plain, merged):
    beside = translate(binary, "--plugins", str(plain))
    folded = translate(binary, "--model", str(merged), "--plugins", str(merged / "plugins"))
    assert folded == beside and len(beside) == len(SENTENCES)
    assert beside[0][0] == "Goedemorgen."


def test_the_plugin_says_that_it_has_no_adapter(merged):
    plugin = json.loads((merged / "plugins" / "nl" / "plugin.json").read_text())
    assert plugin["adapter"] is None and plugin["base"]["name"] == "tiny-nl"
    files = sorted(path.name for path in (merged / "plugins" / "nl").iterdir())
    assert files == ["plugin.json", "validation.tsv"]


def test_other_adapters_still_run_beside_it(binary, merged, tmp_path):
    """Lanes with and without an adapter in one step."""
    shutil.copytree(merged / "plugins" / "nl", tmp_path / "nl")
    shutil.copytree(ROOT / "plugins" / "de", tmp_path / "de")
    done = run(binary, "translate", "--kernel", "reference", "--model", str(merged), "--plugins",
               str(tmp_path), "--to", "nl,de", "--json", text=SENTENCES[0] + "\n")
    assert done.returncode == 0, done.stderr
    lines = {line["language"]: line for line in map(json.loads, done.stdout.splitlines())
             if "language" in line}
    assert lines["nl"]["text"] == "Goedemorgen." and lines["de"]["status"] == "ok"


def test_merged_model_is_served(binary, merged, tmp_path):
    """Quantised while it is loaded, as --quantize says, and asked over the websocket."""
    service = Service(binary, tmp_path, "--model", str(merged), "--plugins",
                      str(merged / "plugins"), "--quantize", "int8")

    async def ask():
        async with connect(service) as client:
            assert [language["tag"] for language in client.ready["languages"]] == ["nl"]
            return await client.translate("m1", 1, SENTENCES[0], ["nl"], source="en", final=True)

    with service.running():
        events = asyncio.run(asyncio.wait_for(ask(), TIMEOUT_S))
    done = [event for event in events if event["type"] == "translation.done"]
    assert [event["text"] for event in done] == ["Goedemorgen."]


def test_merged_and_quantised_model_translates(binary, plain, tmp_path):
    out = tmp_path / "q8"
    made = run(binary, "model", "merge", "--plugins", str(plain), "--plugin", "nl", "--out",
               str(out), "--quantize", "--bits", "8", "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["bits"] == 8
    beside = translate(binary, "--plugins", str(plain))
    folded = translate(binary, "--model", str(out), "--plugins", str(out / "plugins"))
    assert folded[0] == beside[0]
