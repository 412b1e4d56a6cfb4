"""What `make gpu-check` and `make gpu-bench` need of a machine: without a card they say so, and none of the
packages that only the rest is built with is asked for."""
import os
import pathlib
import re
import subprocess
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGES = re.compile(r"/(libwebsockets|unicode|sqlite3|cmocka|jansson|openssl|archive)\b")


def make_without_card(target):
    if pathlib.Path("/dev/nvidiactl").exists():
        pytest.skip("a card is there")
    ran = subprocess.run(["make", "--no-print-directory", target], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ran.stderr.startswith("no card: ") and "NVIDIA driver" in ran.stderr.splitlines()[0]
    return ran


def test_without_a_card_the_check_fails():
    assert make_without_card("gpu-check").returncode != 0


def test_without_a_card_the_figures_are_marked_as_computed():
    ran = make_without_card("gpu-bench")
    assert ran.returncode == 0 and ran.stdout.startswith("Computed, not measured")
    assert "| 8 lanes, r16 adapter each |" in ran.stdout


def test_figures_become_tables(tmp_path):
    lines = ["card\tcuda: X", "copy\t2000.0", "step\t1\tnone\t0\t2.5", "step\t8\tnone\t0\t2.6",
             "step\t8\tdistinct\t16\t3.0", "prefill\t2048\t60.0\twhole chunks", "request\t16\tdistinct\t16\t400",
             "left\trequest\t2\tsame\t64"]
    (tmp_path / "a").write_text("\n".join(lines))
    (tmp_path / "b").write_text("torch\t2\npeer\t1\t5.0\ngemm\t4096\t4096\t600\n")
    out = subprocess.run(["python3", "tests/gpu/report.py", tmp_path / "a", tmp_path / "b"], cwd=ROOT, check=True,
                         capture_output=True, text=True).stdout
    # 4.15 GB at 2,000 GB/s are 2.08 ms of 2.5; 671 MB of adapters beside 2.6 ms; 1,600 tokens in 0.4 s.
    assert "| 1 lane | 4.15 | 2.50 ms | 83 % |  |  | 5.00 ms, 2.00 x |" in out
    assert "| 8 lanes, r16 adapter each | 4.92 | 3.00 ms | 82 % | 1.15 | +2.2 % |  |" in out
    assert "600 TFLOP/s, 82 %" in out and "| 16 | 16 | unique | 4,000/s | 400 ms |" in out
    assert "Left out, for want of time: request of 2 (same, rank 64)." in out


def test_the_time_bound(tmp_path):
    """What the build left is given to our rows, less PyTorch's part; after all of it nothing is begun."""
    bench = tmp_path / "bench"
    bench.write_text("#!/bin/sh\nprintf 'card\\tX %s\\ncopy\\t2000\\nleft\\tstep\\t1\\tnone\\t0\\n' $3\n")
    bench.chmod(0o755)

    def run(built_s):
        begun = str(int(time.time()) - built_s)
        return subprocess.run(["bash", "tests/gpu/bench.sh", tmp_path, begun], cwd=ROOT, capture_output=True, text=True,
                              timeout=60, env={**os.environ, "GPU_PYTHON": "/usr/bin/python3"})

    card, seconds = run(100).stdout.split(",")[0].split()
    assert card == "X" and 0 < int(seconds) <= 240
    assert "Left out, for want of time: step of 1." in run(0).stdout
    late = run(400)
    assert late.returncode == 1 and "the build left no time" in late.stderr


def test_no_package_is_needed():
    # What the build for a card would compile, with the emulator's runtime in the toolkit's place.
    planned = subprocess.run(["make", "--no-print-directory", "-n", "-B", "V=1", "gpu-build", "BUILD=build/none", "OPT=",
                              "PKG_CFLAGS=-Itests/arm -DHG_ON_CARD", "CUDA_RUNTIME=-Itests/cuda_emulator", "NVCC=nvcc"],
                             cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    sources = sorted(set(re.findall(r"-c (\S+\.c) ", planned)))
    assert "tests/unit/test_cuda_kernels.c" in sources and "kernels/cuda/step.c" in sources and len(sources) > 30
    for source in sources:
        assert not PACKAGES.search(source)
    seen = subprocess.run(["gcc", "-M", "-D_GNU_SOURCE", "-I.", "-Itests/arm", "-Itests/cuda_emulator", "-DHG_ON_CARD",
                           *[s for s in sources if "/avx" not in s]], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    found = {word for word in seen.stdout.split() if PACKAGES.search(word) and not word.startswith("tests/arm/")}
    assert not found
