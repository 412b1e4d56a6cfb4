"""What an operator does: a file of settings, SIGHUP, SIGTERM with requests under way, the installed
tree, the systemd unit, the container's file."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from conftest import ROOT, Service

DEPLOY = ROOT / "docs" / "deploy"
PAGE = "https://chat.example.org"


def wait(test, what, seconds=30):
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, what()
        time.sleep(0.02)


class Configured(Service):
    """A service with a file of settings; it tells a service manager what it does, which is us."""

    def __init__(self, binary, data, text):
        self.config = data / "conf"
        self.config.write_text(text)
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(data / "notify"))
        self.manager.settimeout(60)
        os.environ["NOTIFY_SOCKET"] = str(data / "notify")
        try:
            super().__init__(binary, data, "--config", str(self.config))
        finally:
            del os.environ["NOTIFY_SOCKET"]

    def told(self):
        return self.manager.recv(256).decode()

    def reload(self, text):
        """New text in the file, then SIGHUP. What the log says of it."""
        before = len(self.log.read_text())
        self.config.write_text(text)
        self.process.send_signal(signal.SIGHUP)
        assert (self.told(), self.told()) == ("RELOADING=1", "READY=1")
        return self.log.read_text()[before:]

    def knows(self, origin):
        return self.get("/healthz", headers={"Origin": origin})[0] == 200


def test_the_file_and_sighup(request, tmp_path):
    first = f"# of a test\n\nallow-origin = {PAGE}\n  log-level=warn\r\nagreement = 2\nbatches = no\n"
    binary = request.config.getoption("--binary")
    other = tmp_path / "web"
    other.mkdir()
    (other / "index.html").write_text("another page")
    (tmp_path / "bad").write_text(first)
    refused = subprocess.run([binary, "serve", "--config", str(tmp_path / "bad")],
                             capture_output=True, text=True)
    assert "bad:6: no setting \"batches\"" in refused.stderr and refused.returncode == 2
    first = first.replace("batches = no\n", "")
    service = Configured(binary, tmp_path, first)
    with service.running():
        assert service.told() == "READY=1"
        assert service.knows(PAGE) and not service.knows("https://b.example")
        assert " info " not in service.log.read_text(), "log-level of the file"
        said = service.reload(f"allow-origin = https://b.example\nweb = {other}\nagreement = 3\n"
                              "log-level = info\nlisten = 127.0.0.1:1\n")
        assert "reloaded: --allow-origin, --web, --log-level" in said
        assert "only a restart changes --agreement" in said and "--listen" not in said, "a flag wins"
        assert service.knows("https://b.example") and not service.knows(PAGE)
        assert service.get("/")[2] == b"another page"
        for broken, why in [
            ("allow-origin = nobody\n", '"nobody" is not an origin'),
            (f"allow-origin = {PAGE}\nthreads = many\n", 'conf:2: threads: "many" is not a number'),
            ("allow-orgin = x\n", "did you mean allow-origin?"),
            ("log-level\n", "expected `name = value`"),
            ("tls-cert = /none\n", "TLS is begun and ended by a restart only"),
        ]:
            said = service.reload(broken)
            assert "not reloaded: " in said and why in said, said
            assert service.knows("https://b.example") and not service.knows(PAGE)
        assert service.reload(first) == "", "warn again"
        assert service.knows(PAGE) and service.get("/")[2] != b"another page"
    assert service.told() == "STOPPING=1"


def test_variables_win_over_the_file(request, tmp_path, monkeypatch):
    config = tmp_path / "conf"
    config.write_text("log-level = nonsense\n")
    command = [request.config.getoption("--binary"), "model", "info", "--config", str(config)]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2 and f"{config}:1: log-level" in ended.stderr
    config.write_text("log-level = error\nlisten = of another command\n")
    assert subprocess.run(command, stdout=subprocess.DEVNULL).returncode == 0
    monkeypatch.setenv("HYDRAGLOT_LOG_LEVEL", "loud")
    assert "HYDRAGLOT_LOG_LEVEL" in subprocess.run(command, capture_output=True, text=True).stderr
    command[command.index(str(config))] = str(tmp_path / "none")
    monkeypatch.delenv("HYDRAGLOT_LOG_LEVEL")
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 1 and "none" in ended.stderr


def test_sigterm_answers_every_request(own_service):
    """Long translations over HTTP are under way; each gets its answer, whole, and no further begins."""
    service = own_service
    body = json.dumps({"q": ["A sentence that takes its time, number %d." % n for n in range(400)],
                       "source": "en", "target": ["de", "ja", "ru", "fr"]})
    answers = []

    def ask():
        answers.append(service.get(
            "/translate", "POST", {"Content-Type": "application/json"}, body))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait(lambda: service.metric("hydraglot_engine_jobs") > 0, lambda: "nothing runs")
    began = time.monotonic()
    assert service.stop() == 0, service.log.read_text()
    assert time.monotonic() - began < 10
    for thread in threads:
        thread.join()
    assert len(answers) == 4
    for status, headers, text in answers:
        assert status in (200, 503) and len(text) == int(headers["content-length"]), status
        assert json.loads(text).keys() & {"error", "translatedText"}
    assert 503 in {status for status, _, _ in answers}
    assert all(headers.get("retry-after") for status, headers, _ in answers if status == 503)


@pytest.fixture(scope="module")
def installed(request, tmp_path_factory):
    if request.config.getoption("--binary") != str(ROOT / "build" / "hydraglot"):
        pytest.skip("installs the usual build")
    root = tmp_path_factory.mktemp("root")
    subprocess.run([DEPLOY / "install", root], check=True)
    return root


def test_the_installed_tree_stands_alone(installed, tmp_path):
    """Everything is found beside the installed binary, by way of its link."""
    link = installed / "usr" / "local" / "bin" / "hydraglot"
    config = installed / "etc" / "hydraglot.conf"
    assert os.path.realpath(link) == str(installed / "usr/local/lib/hydraglot/build/hydraglot")
    ended = subprocess.run(
        [link, "translate", "--config", config, "--to", "de", "--from", "en", "Hello."], cwd="/",
        capture_output=True, text=True, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
    assert ended.returncode == 0 and ended.stdout.strip(), ended.stderr
    config.write_text("listen = 127.0.0.1:1\n")
    subprocess.run([DEPLOY / "install", installed], check=True)
    assert config.read_text() == "listen = 127.0.0.1:1\n", "an operator's file is kept"


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_the_unit(installed, tmp_path):
    unit = tmp_path / "hydraglot.service"
    text = (DEPLOY / "hydraglot.service").read_text()
    unit.write_text(text.replace("/usr/local", f"{installed}/usr/local"))
    verified = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True,
                              text=True)
    about = [line for line in verified.stderr.splitlines() if "hydraglot" in line]
    assert verified.returncode == 0 and not about, verified.stderr
    judged = subprocess.run(["systemd-analyze", "security", "--offline=true", unit],
                            capture_output=True, text=True)
    found = re.search(r"Overall exposure level.*?: ([\d.]+)", judged.stdout)
    assert found and float(found[1]) < 3, judged.stdout[-2000:] + judged.stderr
    print(f"\nexposure {found[1]}")


def test_the_container_s_file_installs_what_the_build_needs():
    """The packages that it builds with are those of `make deps`, and what it runs is installed."""
    container = (DEPLOY / "Containerfile").read_text().replace("\\\n", " ")
    wanted = re.search(r'^build="([^"]*)"', (ROOT / ".ci" / "deps").read_text(), re.M)[1].split()
    building = re.search(r"install -y --no-install-recommends (gcc.*)", container)[1].split()
    assert building == wanted
    assert "USER hydraglot" in container and "/readyz" in container
    libraries = subprocess.run(["ldd", ROOT / "build" / "hydraglot"], capture_output=True, text=True)
    for name in re.findall(r"^\s+(lib[a-z_-]+?)(?:\d*)?\.so", libraries.stdout, re.M):
        package = {"libsqlite": "libsqlite3", "libicui18n": "libicu", "libicuuc": "libicu",
                   "libicudata": "libicu", "libcrypto": "libssl", "libz": "zlib1g"}.get(name, name)
        ours = name in ("libwebsockets", "libsqlite", "libicui18n", "libicuuc", "libjansson",
                        "libssl", "libarchive", "libz")
        assert not ours or package in container.split("FROM")[2], name
