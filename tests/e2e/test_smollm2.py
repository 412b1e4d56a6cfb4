"""SmolLM2-135M-Instruct as a GGUF file (`make fixtures` fetches it) with two plugins: translate, bench
and serve.

The adapters are written here in PEFT's file format, small random numbers by plain Python: what is
checked is that everything runs, that adapters act, and that lanes do not touch each other. Trained
ones are made by tests/golden/make_smollm2_adapters.py.
"""
import json
import os
import subprocess

import pytest
from client import check_counts, committed, connect, run
from conftest import ROOT, Service
from small_base import numbers, write_safetensors

MODEL = ROOT / "build" / "fixtures" / "SmolLM2-135M-Instruct.Q4_1.gguf"
LAYERS, HIDDEN, CACHE = 30, 576, 192
SIZES = {"q_proj": (HIDDEN, HIDDEN), "v_proj": (CACHE, HIDDEN)}
TEXT, TOKENS = "The house is old.", 8
IM_START = 1  # the last of them opens the assistant's turn


def write_adapter(folder, rank, size, **config):
    """A LoRA on q and v of all layers; size 0: B as training begins with it, which changes nothing."""
    tensors = {}
    for layer in range(LAYERS):
        for module, (rows, columns) in SIZES.items():
            name = f"base_model.model.model.layers.{layer}.self_attn.{module}.lora_"
            a, b = numbers(name, rank * columns, columns ** -0.5), numbers(name + "B", rows * rank, size)
            tensors[name + "A.weight"] = "F32", [rank, columns], a
            tensors[name + "B.weight"] = "F32", [rows, rank], b
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    (folder / "adapter_config.json").write_text(json.dumps({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": rank, "lora_alpha": rank,
        "target_modules": list(SIZES), **config}))


def write_plugin(folder, language, **fields):
    folder.mkdir(parents=True)
    (folder / "plugin.json").write_text(json.dumps({
        "schema": "hydraglot.plugin/1", "kind": "language", "name": language, "title": language,
        "language": language, "sources": ["en"], "base": {"name": "SmolLM2-135M-Instruct"},
        "template": "chatml", "stop": [], **fields}))
    return folder


@pytest.fixture(scope="module")
def plugins(tmp_path_factory):
    """Folders of plugins. adapted: de is a LoRA of rank 8, fr an aLoRA of rank 16; still: the same with
    B of zeros; bare: the base alone."""
    folder = tmp_path_factory.mktemp("plugins")
    for name, size in ("adapted", 0.5), ("still", 0):
        write_adapter(write_plugin(folder / name / "de", "de"), 8, size)
        write_adapter(write_plugin(folder / name / "fr", "fr"), 16, size,
                      alora_invocation_tokens=[IM_START])
    for language in "de", "fr":
        write_plugin(folder / "bare" / language, language, adapter=None)
    return folder


def call(request, cwd, *arguments, timeout=600):
    binary = request.config.getoption("--binary")
    result = subprocess.run([binary, *arguments], capture_output=True, encoding="utf-8",
                            timeout=timeout, cwd=cwd)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def translate(request, cwd, plugins, languages):
    flags = ("--model", str(MODEL), "--plugins", str(plugins), "--to", languages, "--max-tokens",
             str(TOKENS), "--json")
    rows = call(request, cwd, "translate", *flags, TEXT)
    return {row["language"]: row["text"] for row in rows if "language" in row}


def test_translate_with_two_adapters(request, tmp_path, plugins):
    together = translate(request, tmp_path, plugins / "adapted", "de,fr")
    assert set(together) == {"de", "fr"} and all(together.values())
    for language, text in together.items():
        assert translate(request, tmp_path, plugins / "adapted", language) == {language: text}
    bare = translate(request, tmp_path, plugins / "bare", "de,fr")
    assert translate(request, tmp_path, plugins / "still", "de,fr") == bare
    assert all(together[language] != bare[language] for language in bare)


@pytest.mark.skipif(not os.environ.get("HYDRAGLOT_LONG"), reason="takes minutes: HYDRAGLOT_LONG=1")
def test_bench(request, tmp_path, plugins):
    flags = ("--model", str(MODEL), "--plugins", str(plugins / "still"), "--to", "de,fr", "--runs",
             "1", "--sentences", "1", "--json")
    assert call(request, tmp_path, "bench", *flags, timeout=1800)


def test_serve(request, tmp_path, plugins):
    """Over a websocket comes what the command line prints."""
    flags = ("--model", str(MODEL), "--plugins", str(plugins / "adapted"))
    expected = translate(request, tmp_path, plugins / "adapted", "de,fr")
    service = Service(request.config.getoption("--binary"), tmp_path, *flags)

    @run
    async def session():
        async with connect(service) as client:
            assert client.ready["model"]["name"] == "Smollm2 135M 8k Lc100K Mix1 Ep2"
            events = await client.translate("a", 1, TEXT, ["de", "fr"], final=True,
                                            options={"max_tokens": TOKENS})
            check_counts(events, ["de", "fr"])
            assert {language: committed(events, language).strip() for language in expected} == {
                language: text.strip() for language, text in expected.items()}

    with service.running():
        session()
