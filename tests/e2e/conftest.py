"""Starts the service for the tests: a free port, a data folder of its own, ready when they begin."""
import contextlib
import http.client
import json
import pathlib
import signal
import socket
import sqlite3
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(pathlib.Path(__file__).parent))
START_S = 120  # sanitizer builds load slowly


def pytest_addoption(parser):
    parser.addoption("--binary", default=str(ROOT / "build" / "hydraglot"), help="what to test")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Service:
    """A running `hydraglot serve`."""

    def __init__(self, binary, data, *flags):
        self.binary = binary
        self.flags = flags
        self.port = free_port()
        self.data = data
        self.log = data / "log.txt"
        self.url = f"http://127.0.0.1:{self.port}"
        self.ws_url = f"ws://127.0.0.1:{self.port}/v1/live"
        self.start()

    def start(self):
        listen = f"127.0.0.1:{self.port}"
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--listen", listen, "--data", str(self.data),
                 *self.flags],
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def restart(self):
        """Again, on the same port and data, after the process ended."""
        assert self.process.poll() is not None
        self.start()
        self.wait_ready()

    def http(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)

    def get(self, path, method="GET", headers=None, body=None):
        """(status, headers, body); the path goes out as it is."""
        with contextlib.closing(self.http()) as connection:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

    def wait_ready(self):
        end = time.monotonic() + START_S
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if self.get("/readyz")[0] == 200:
                    return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError("not ready: " + self.log.read_text())

    def metric(self, name):
        """The value of a sample, by its whole name with labels."""
        for line in self.get("/metrics")[2].decode().splitlines():
            if line.startswith(name + " "):
                return float(line.rsplit(" ", 1)[1])
        raise AssertionError(f"no metric {name}")

    def batches(self, session):
        """Rows of the log, with the statuses of their lanes."""
        database = sqlite3.connect(f"file:{self.data}/hydraglot.db?mode=ro", uri=True)
        try:
            rows = database.execute("SELECT id, lanes FROM batch WHERE session = ?", (session,))
            return {
                id: (
                    lanes,
                    [
                        row[0]
                        for row in database.execute(
                            "SELECT status FROM lane WHERE batch_id = ?", (id,)
                        )
                    ],
                )
                for id, lanes in rows.fetchall()
            }
        finally:
            database.close()

    def stop(self):
        """SIGTERM, as an operator would. Returns the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError("did not stop: " + self.log.read_text())

    @contextlib.contextmanager
    def running(self):
        """Ready inside of `with`; behind it, it stops as an operator would have it."""
        try:
            self.wait_ready()
            yield self
        finally:
            code = self.stop()
        assert code == 0, self.log.read_text()


@pytest.fixture(scope="session")
def service(request, tmp_path_factory):
    """One service for all tests; who ends it starts it again."""
    found = Service(request.config.getoption("--binary"), tmp_path_factory.mktemp("data"))
    with found.running():
        yield found


@pytest.fixture
def fresh_service(request, tmp_path):
    """A service for one test, just started: perhaps it does not even listen yet."""
    found = Service(request.config.getoption("--binary"), tmp_path)
    try:
        yield found
    finally:
        found.stop()


@pytest.fixture
def own_service(fresh_service):
    """A service for one test that ends it."""
    fresh_service.wait_ready()
    return fresh_service


@pytest.fixture(autouse=True)
def stays_healthy(request):
    """After each test the service is alive and answers."""
    yield
    if "service" in request.fixturenames:
        found = request.getfixturevalue("service")
        assert found.process.poll() is None, found.log.read_text()
        status, _, body = found.get("/healthz")
        assert status == 200 and json.loads(body)["ok"] and json.loads(body)["computes"]
