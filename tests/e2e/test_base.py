"""What another base than the embedded one brings along: its licence's notice, where its tokenizer
lies, and prompts by the name of a template."""
import json
import os
import shutil
import subprocess

import pytest
from browser import chromium
from client import connect, run
from conftest import ROOT, Service
from test_page import Page

TINY = ROOT / "models" / "hydra-tiny"
LICENCE = "LLAMA 3.1 COMMUNITY LICENSE AGREEMENT\nLlama 3.1 Version Release Date: July 23, 2024\n"
NOTICE = ("Built with Llama. Llama 3.1 is licensed under the Llama 3.1 Community License, "
          "Copyright © Meta Platforms, Inc. All Rights Reserved.")


def model_folder(path, without=("NOTICE",)):
    """hydra-tiny under another roof, without some of its files."""
    path.mkdir()
    for file in TINY.iterdir():
        if file.name not in without:
            os.symlink(file, path / file.name)
    return path


@pytest.fixture
def llama_service(request, tmp_path):
    model = model_folder(tmp_path / "Llama-3.1-tiny")
    (model / "LICENSE").write_text(LICENCE, encoding="utf-8")
    (tmp_path / "data").mkdir()
    found = Service(request.config.getoption("--binary"), tmp_path / "data", "--model", str(model))
    with found.running():
        yield found


def test_the_licences_notice_reaches_session_and_page(llama_service):
    @run
    async def session():
        async with connect(llama_service) as client:
            assert client.ready["model"]["name"] == "Llama-3.1-tiny"
            assert client.ready["model"]["notice"] == NOTICE

    session()
    with chromium() as driver:
        page = Page(driver, llama_service)
        page.until(lambda: NOTICE in page.find("#model").text)
        assert page.find("#model").is_displayed()


def translate(request, cwd, *flags):
    binary = request.config.getoption("--binary")
    result = subprocess.run([binary, "translate", "--to", "de", *flags, "Where is my book?"],
                            capture_output=True, encoding="utf-8", timeout=300, cwd=cwd)
    return result.returncode, result.stdout, result.stderr


def plugin_folder(path, **changes):
    path.mkdir(parents=True)
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(ROOT / "plugins" / "de" / name, path / name)
    description = json.loads((ROOT / "plugins" / "de" / "plugin.json").read_text())
    (path / "plugin.json").write_text(json.dumps({**description, **changes}))
    return str(path.parent)


def test_a_template_by_name_and_its_stop_tokens(request, tmp_path):
    code, expected, _ = translate(request, tmp_path)
    assert code == 0 and "Buch" in expected
    named = plugin_folder(tmp_path / "named" / "de", template="hydra-tiny", stop=[])
    assert translate(request, tmp_path, "--plugins", named)[:2] == (0, expected)
    # A base that says nothing of its end: the template's stop tokens are all there is.
    endless = model_folder(tmp_path / "endless", without=("config.json", "generation_config.json"))
    config = json.loads((TINY / "config.json").read_text())
    del config["eos_token_id"]
    (endless / "config.json").write_text(json.dumps(config))
    spelled = plugin_folder(tmp_path / "spelled" / "de", stop=[])

    def tokens(plugins):
        flags = ("--json", "--model", str(endless), "--plugins", plugins)
        code, out, error = translate(request, tmp_path, *flags)
        assert code == 0, error
        lane = json.loads(out.splitlines()[0])
        return lane["text"] + "\n" == expected and lane["tokens"]

    assert 0 < tokens(named) < tokens(spelled), "nothing ends the second but a bound"
    unknown = plugin_folder(tmp_path / "unknown" / "de", template="llama-9")
    code, _, error = translate(request, tmp_path, "--plugins", unknown)
    assert code == 1 and '"llama-9"' in error and "doctor --templates" in error
    other = plugin_folder(tmp_path / "other" / "de", template="llama-3-instruct")
    code, _, error = translate(request, tmp_path, "--plugins", other)
    assert code == 1 and "<|start_header_id|>" in error and "no special token" in error


def test_a_folder_without_a_tokenizer_and_with_a_wrong_one(request, tmp_path):
    folder = model_folder(tmp_path / "bare", without=("tokenizer.json",))
    code, _, error = translate(request, tmp_path, "--model", str(folder))
    assert code == 1 and "neither tokenizer.json nor Meta's tokenizer.model" in error
    (folder / "tokenizer.model").write_bytes(b"\n\x0e\n\x05<unk>\x15\x00\x00\x00\x00\x18\x02")
    code, _, error = translate(request, tmp_path, "--model", str(folder))
    assert code == 1 and "tokenizer.model: line 1" in error and "SentencePiece" in error
