"""The CUDA library where it cannot be used: the program says why, and serves on the processor."""
import ctypes
import json
import pathlib
import shutil
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARY = "libhydraglot_cuda.so"
TIMEOUT_S = 300  # sanitizer builds are slow


def has_driver():
    try:
        ctypes.CDLL("libcuda.so.1")
        return True
    except OSError:
        return False


@pytest.fixture(params=["absent", "damaged", "driverless"])
def beside(request, tmp_path):
    """A copy of the binary beside the library in that state, and what is then said."""
    binary = shutil.copy(request.config.getoption("--binary"), tmp_path / "hydraglot")
    if request.param == "absent":
        return binary, "build it with `make cuda`"
    if request.param == "damaged":
        (tmp_path / LIBRARY).write_bytes(b"\x7fELF of nothing")
        return binary, "cannot be opened"
    if not (ROOT / "build" / LIBRARY).exists() or has_driver():
        pytest.skip("needs the library, and no driver")
    shutil.copy(ROOT / "build" / LIBRARY, tmp_path)
    return binary, "no NVIDIA driver is installed"


def arguments(command, device, data):
    return [command, "--device", device, "--data", str(data), "--model", str(ROOT / "models/hydra-tiny"),
            "--plugins", str(ROOT / "plugins")]


def translate(binary, device, data):
    return subprocess.run([binary, *arguments("translate", device, data), "--to", "de", "Good morning."],
                          capture_output=True, encoding="utf-8", timeout=TIMEOUT_S)


def test_asked_for_it_says_what_is_missing(beside, tmp_path):
    binary, says = beside
    result = translate(binary, "cuda", tmp_path / "data")
    assert result.returncode == 1 and says in result.stderr and not result.stdout


def test_otherwise_the_processor_serves(beside, tmp_path):
    binary, says = beside
    result = translate(binary, "auto", tmp_path / "data")
    assert result.returncode == 0 and result.stdout.strip()
    log = tmp_path / "log"
    with log.open("w") as out:
        command = [binary, *arguments("serve", "auto", tmp_path / "data"), "--listen", "127.0.0.1:0"]
        service = subprocess.Popen(command, stdout=out, stderr=out)
    deadline = time.monotonic() + TIMEOUT_S
    while "not on cuda" not in log.read_text() and service.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    service.terminate()
    service.wait(TIMEOUT_S)
    line = next(l for l in log.read_text().splitlines() if "not on cuda" in l)
    assert says in line


def plan(binary, *arguments):
    return subprocess.run([binary, "doctor", "--plan", *arguments], capture_output=True, encoding="utf-8",
                          timeout=TIMEOUT_S)


def test_the_plan_of_usual_cards(request, tmp_path):
    if not (ROOT / "build" / LIBRARY).exists():
        pytest.skip("needs the library")
    binary = shutil.copy(request.config.getoption("--binary"), tmp_path / "hydraglot")
    assert "make cuda" in plan(binary).stderr
    shutil.copy(ROOT / "build" / LIBRARY, tmp_path)
    result = plan(binary, "--shape", "8b", "--json")
    cards = [json.loads(line) for line in result.stdout.splitlines()]
    assert [c["card"] for c in cards][:4] == ["8 GiB", "12 GiB", "16 GiB", "24 GiB"]
    for card in cards:
        parts = sum(card[f"{part}_bytes"] for part in ("weights", "kv", "adapters", "workspace", "graphs"))
        assert parts <= card["budget_bytes"] and card["lanes"] >= 1 and card["adapters"] >= 1
        # 32 layers, K and V, 8 heads of 128, F16; 512 tokens a lane
        assert card["kv_bytes"] == card["lanes"] * 512 * 32 * 2 * 8 * 128 * 2
    assert 0 < cards[0]["lanes"] < 32 and (cards[3]["lanes"], cards[3]["adapters"]) == (32, 16)
    full = plan(binary, "--shape", "8b", "--lanes", "64", "--adapters", "30")
    assert full.returncode == 1 and "8 GiB: the card less its reserve: 7.00 GiB; 64 lanes" in full.stderr
    assert "would fit" in full.stderr and full.stdout.splitlines()[-1].startswith("24 GiB")
    tiny = plan(binary, "--model", str(ROOT / "models/hydra-tiny"))
    assert tiny.returncode == 0 and tiny.stdout.count("GiB") == 5
