"""Autobahn's testsuite against the service's socket layer (echo_server.c), in check-long. Its cases
are run by `kosoku`, a runner for today's Python from PyPI, which `make autobahn` installs."""
import fnmatch
import json
import os
import subprocess
import time

import pytest

from conftest import ROOT, free_port

RUNNER = ROOT / "build" / "autobahn"
ECHO = ROOT / "build" / "tests" / "e2e" / "echo_server"
# What does not apply, and why.
NOT_OURS = {
    "1.2.*": "binary messages: hydraglot.v1 closes them with 1003",
    "9.2.*": "binary", "9.4.*": "binary", "9.6.*": "binary", "9.8.*": "binary",
    "12.2.*": "binary", "12.3.*": "binary", "12.5.*": "binary",
    "13.7.*": "libwebsockets hangs up on offers of extensions longer than some 250 bytes",
    "2.10": "libwebsockets leaves pings unanswered that come while a pong waits", "2.11": "likewise",
}
GOOD = ("OK", "NON-STRICT", "INFORMATIONAL")

pytestmark = pytest.mark.skipif(os.environ.get("HYDRAGLOT_LONG") != "1",
                                reason="minutes, and a package of PyPI")


def test_cases_that_apply_pass(tmp_path):
    port = free_port()
    echo = subprocess.Popen([str(ECHO), str(port)])
    try:
        time.sleep(0.5)
        ran = subprocess.run(
            [str(RUNNER / "bin" / "kosoku"), f"127.0.0.1:{port}", "--outdir", str(tmp_path),
             "--parallelism", "3"],
            env={**os.environ, "PYTHONPATH": str(RUNNER)}, capture_output=True, text=True, timeout=1800)
        assert echo.poll() is None, "the echo died"
    finally:
        echo.terminate()
        echo.wait()
    (cases,) = json.loads((tmp_path / "index.json").read_text()).values()
    failed = {case: (end["behavior"], end["behaviorClose"]) for case, end in cases.items()
              if end["behavior"] not in GOOD or end["behaviorClose"] not in GOOD}
    applies = {case for case in cases if not any(fnmatch.fnmatch(case, p) for p in NOT_OURS)}
    print(f"{len(applies)} of {len(cases)} cases apply, {len(set(failed) & applies)} of them failed")
    assert len(applies) > 400, ran.stdout
    assert not set(failed) & applies, {case: failed[case] for case in set(failed) & applies}
    assert all(fnmatch.filter(failed, pattern) for pattern in NOT_OURS), "this list is old"
