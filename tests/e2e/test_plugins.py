"""`plugin add` and `plugin verify` from the command line, and docs/plugin.schema.json against a foreign validator."""
import json
import pathlib
import shutil
import subprocess
import tarfile

import jsonschema
import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def binary(request):
    return request.config.getoption("--binary")


@pytest.fixture(scope="module")
def schema(binary):
    printed = subprocess.run([binary, "doctor", "--plugin-schema"], capture_output=True, text=True, check=True).stdout
    committed = (ROOT / "docs" / "plugin.schema.json").read_text()
    assert printed == committed, "docs/plugin.schema.json is old; run docs/print_tables.py"
    jsonschema.Draft202012Validator.check_schema(json.loads(committed))
    return jsonschema.Draft202012Validator(json.loads(committed))


def test_schema_takes_what_is_shipped(schema):
    for path in sorted(ROOT.glob("plugins/*/plugin.json")):
        schema.validate(json.loads(path.read_text()))


def test_schema_refuses(schema):
    good = json.loads((ROOT / "plugins/de/plugin.json").read_text())
    for field, value in [("schema", "hydraglot.plugin/2"), ("kind", "voice"), ("name", "A b"), ("language", None),
                         ("sources", []), ("sources", ["?"]), ("base", {}), ("stop", [""]), ("template", "a b"),
                         ("rules", []), ("licence", {}), ("adapter", True)]:
        assert list(schema.iter_errors({**good, field: value})), field
    task = {**good, "kind": "task", "language": None, "sources": []}
    schema.validate(task)
    assert list(schema.iter_errors({**task, "language": "de"}))


def run(binary, *arguments):
    return subprocess.run([binary, "plugin", *map(str, arguments)], capture_output=True, text=True)


def test_adds_what_peft_saved(binary, tmp_path):
    saved = tmp_path / "saved"
    saved.mkdir()
    for name in ("adapter_config.json", "adapter_model.safetensors"):
        shutil.copy(ROOT / "plugins/fr" / name, saved)
    with tarfile.open(tmp_path / "french.tar.gz", "w:gz") as out:
        out.add(saved, "saved")
    data = ("--data", tmp_path / "data")
    refused = run(binary, "add", tmp_path / "french.tar.gz", *data)
    assert refused.returncode == 1 and "--language" in refused.stderr
    done = run(binary, "add", tmp_path / "french.tar.gz", "--language", "fr", *data)
    assert done.returncode == 0, done.stderr
    assert "generation 1, not enabled" in done.stdout
    row = json.loads(run(binary, "list", "--json", *data).stdout)
    assert (row["name"], row["language"], row["generation"], row["enabled"]) == ("french", "fr", 1, False)
    folder = pathlib.Path(row["folder"])
    assert folder.name == row["digest"]
    assert (folder / "adapter_model.safetensors").read_bytes() == (saved / "adapter_model.safetensors").read_bytes()
    again = run(binary, "add", tmp_path / "french.tar.gz", "--language", "fr", *data, "--json")
    assert json.loads(again.stdout)["plugin"]["generation"] == 1


def test_gate_judges(binary, tmp_path):
    """A plugin with pairs becomes ready; adding it once more without the gate takes nothing back."""
    some = tmp_path / "dutch"
    shutil.copytree(ROOT / "plugins/nl", some)
    pairs = (ROOT / "plugins/nl/validation.tsv").read_text().splitlines(keepends=True)
    (some / "validation.tsv").write_text("".join(pairs[:12]))
    data = ("--data", tmp_path / "data")
    looked_at = run(binary, "verify", some, "--gate", *data)
    assert "nl: ready: chrF" in looked_at.stdout and "12 pairs" in looked_at.stdout, looked_at.stderr
    assert not (tmp_path / "data" / "hydraglot.db").exists()
    done = run(binary, "add", some, "--gate", "--json", *data)
    assert done.returncode == 0, done.stderr
    gate = json.loads(done.stdout)["gate"]
    assert gate["verdict"] == "ready" and gate["pairs"] == 12 and gate["chrf"] > 40 and not gate["reasons"]
    assert run(binary, "add", some, *data).returncode == 0
    assert json.loads(run(binary, "list", "--json", *data).stdout)["state"] == "ready"
    judged = run(binary, "add", some, "--gate", "--gate-chrf", "100", *data)
    assert "below 100" in judged.stdout
    assert json.loads(run(binary, "list", "--json", *data).stdout)["state"] == "failed"


def test_verify_names_every_problem(binary, tmp_path):
    spoilt = tmp_path / "spoilt"
    shutil.copytree(ROOT / "plugins/sv", spoilt)
    config = json.loads((spoilt / "adapter_config.json").read_text())
    (spoilt / "adapter_config.json").write_text(json.dumps({**config, "use_dora": True, "bias": "all"}))
    (spoilt / "validation.tsv").write_text("one\n")
    data = ("--data", tmp_path / "data")
    result = run(binary, "verify", spoilt, *data)
    assert result.returncode == 1
    for words in ("DoRA", "field bias", "validation.tsv: line 1", "3 problems"):
        assert words in result.stderr, words
    assert [p.name for p in (tmp_path / "data" / "plugins").iterdir()] == [".lock"]
    assert run(binary, "verify", ROOT / "plugins/sv", *data).returncode == 0
    assert run(binary, "verify", tmp_path / "nothing", *data).returncode == 1
    assert run(binary, "verify", *data).returncode == 2
