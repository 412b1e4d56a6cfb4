"""The CUDA library where it cannot be used: the program says why, and serves on the processor."""
import ctypes
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
