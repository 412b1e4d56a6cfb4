"""model quantize, verify and merge, by the real binary on hydra-tiny."""
import json
import subprocess
import time

from conftest import ROOT

TEXT = "Where is the train station? The house is old, and the garden is large. " * 12


def run(request, *arguments):
    return subprocess.run([request.config.getoption("--binary"), *arguments], cwd=ROOT,
                          capture_output=True, encoding="utf-8", timeout=300)


def test_quantised_model_is_read_and_compared(request, tmp_path):
    text = tmp_path / "text"
    text.write_text(TEXT)
    made = run(request, "model", "quantize", "--method", "rtn", "--bits", "8", "--out",
               str(tmp_path / "q8"), "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["weight_error"] < 1e-4
    config = json.loads((tmp_path / "q8" / "config.json").read_text())
    assert config["quantization_config"]["config_groups"]["group_0"]["weights"]["num_bits"] == 8
    compared = run(request, "model", "verify", "--model", str(tmp_path / "q8"), "--against",
                   "models/hydra-tiny", "--text", str(text), "--json")
    assert compared.returncode == 0, compared.stderr
    report = json.loads(compared.stdout)
    assert len(report["layers"]) == 8
    assert all(layer["output_error"] < 1e-3 for layer in report["layers"])
    assert abs(report["perplexity"] / report["perplexity_against"] - 1) < 0.02


def test_nothing_stands_under_a_taken_name(request, tmp_path):
    again = run(request, "model", "quantize", "--method", "rtn", "--out", str(tmp_path))
    assert again.returncode == 1 and "is there already" in again.stderr
    assert run(request, "model", "quantize").returncode == 2


def test_alora_cannot_be_merged(request, tmp_path):
    merged = run(request, "model", "merge", "--plugin", "nl", "--out", str(tmp_path / "nl"))
    assert merged.returncode == 1 and "activated LoRA" in merged.stderr
    assert list(tmp_path.iterdir()) == []


def test_interrupted_run_is_begun_anew(request, tmp_path):
    """Killed while it writes, it leaves no folder under the name; the next run clears the rest."""
    command = [request.config.getoption("--binary"), "model", "quantize", "--method", "rtn",
               "--out", str(tmp_path / "q4")]
    partial = tmp_path / "q4.partial"
    first = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
    while not (partial / "tokenizer.json").exists():
        assert first.poll() is None
        time.sleep(0.001)
    first.kill()
    first.wait()
    assert partial.exists() and not (tmp_path / "q4").exists()
    (partial / "left over").write_text("x")
    again = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["q4"]
    assert not (tmp_path / "q4" / "left over").exists()
    assert [path.name for path in (tmp_path / "q4").iterdir() if path.name[0] == "."] == []
