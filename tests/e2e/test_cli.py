"""The command line, as a person or a script uses it: the real binary, a data folder of its own."""
import fcntl
import json
import os
import pty
import re
import shutil
import socket
import struct
import subprocess
import termios

import pytest
from conftest import ROOT, Service

NINE = {"de", "es", "fr", "ja", "nl", "ru", "sv", "tr", "zh-Hans"}
TIMEOUT_S = 300  # sanitizer builds are slow


@pytest.fixture
def cli(request, tmp_path):
    """Runs the binary; returns what subprocess.run returns. No setting comes from outside."""
    binary = request.config.getoption("--binary")
    clean = {k: v for k, v in os.environ.items() if not k.startswith("HYDRAGLOT_")}

    def run(*arguments, stdin="", env=None):
        return subprocess.run(
            [binary, *arguments],
            input=stdin,
            capture_output=True,
            encoding="utf-8",
            timeout=TIMEOUT_S,
            cwd=tmp_path,
            env={**clean, **(env or {})},
        )

    return run


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


# ---- usage ----


def test_version_and_help(cli):
    assert re.fullmatch(r"hydraglot \d+\.\d+\.\d+\n", cli("--version").stdout)
    usage = cli("--help")
    assert usage.returncode == 0 and "translate" in usage.stdout
    nothing = cli()
    assert nothing.returncode == 2 and nothing.stdout == "" and "usage:" in nothing.stderr
    for command in re.findall(r"^  (\S+(?: \S+)?)  ", usage.stdout, re.M):
        help_ = cli(*command.split(), "--help")
        assert help_.returncode == 0 and f"usage: hydraglot {command}" in help_.stdout


@pytest.mark.parametrize(
    "arguments, says",
    [
        (["trnslate", "x"], "did you mean `hydraglot translate`"),
        (["plugin", "lst"], "did you mean `hydraglot plugin list`"),
        (["translate", "--too", "de", "x"], "--too: no such flag; did you mean --to?"),
        (["translate", "--listen", "x", "x"], "--listen: this command does not take it"),
        (["translate", "--to"], "--to: the value TAGS is missing"),
        (["translate", "two", "words"], "words: unexpected"),
        (["translate", "--to", "tlh", "x"], '--to: no enabled plugin serves "tlh"'),
        (["translate", "--to", ",", "x"], "--to: "),
        (["translate", "--from", "sw", "x"], '--from: no enabled plugin takes "sw"'),
        (["translate", "--from", "!!", "x"], "--from: "),
        (["translate", "--file", "no-such-file"], "--file: no-such-file: No such file"),
        (["translate", "--device", "tpu", "x"], '--device: "tpu" is not auto|cpu|cuda'),
        (["bench", "--runs", "0"], "--runs: \"0\" is not a number from 1"),
        (["serve", "--listen", "example.org:8080"], "--listen"),
        (["serve", "--allow-origin", "example.org"], "--allow-origin"),
        (["serve", "--listen", "127.0.0.1"], "--listen"),
    ],
)
def test_wrong_usage(cli, arguments, says):
    result = cli(*arguments)
    assert says in result.stderr
    assert result.returncode == 2
    assert result.stdout == ""


def test_wrong_environment(cli):
    result = cli("bench", env={"HYDRAGLOT_THREADS": "many"})
    assert result.returncode == 2
    assert 'HYDRAGLOT_THREADS: "many"' in result.stderr


# ---- translate ----


def test_translate_one_language_prints_the_bare_text(cli):
    result = cli("translate", "--to", "de", "Good morning.")
    assert result.returncode == 0, result.stderr
    assert result.stdout.endswith("\n") and "\t" not in result.stdout
    assert len(result.stdout.splitlines()) == 1 and len(result.stdout) > 3


def test_translate_all_languages(cli):
    result = cli("translate", "I like tea.")
    assert result.returncode == 0, result.stderr
    rows = dict(row.split("\t") for row in result.stdout.splitlines())
    assert set(rows) == NINE
    assert all(rows.values())


def test_lines_keep_their_order_and_equal_json(cli):
    lines = ["It is raining.", "", "Hello.", "Where is the station?"] * 12 + ["The end."]
    plain = cli("translate", "--to", "de", stdin="\n".join(lines))
    assert plain.returncode == 0, plain.stderr
    texts = plain.stdout.split("\n")[:-1]
    assert len(texts) == len(lines)
    for line, text in zip(lines, texts):
        assert bool(line) == bool(text)
    found = objects(cli("translate", "--to", "de", "--json", stdin="\n".join(lines)).stdout)
    by_line = {o["line"]: o["text"] for o in found if "language" in o}
    assert [by_line[i] for i in range(len(lines))] == texts


def test_a_file_is_read_like_standard_input(cli, tmp_path):
    (tmp_path / "in.txt").write_text("Hello.\nIt is raining.\n")
    piped = cli("translate", "--to", "fr", stdin="Hello.\nIt is raining.\n")
    filed = cli("translate", "--to", "fr", "--file", "in.txt")
    assert filed.returncode == 0 and filed.stdout == piped.stdout
    assert filed.stderr == ""  # no progress bar where there is no terminal
    both = cli("translate", "--file", "in.txt", "text")
    assert both.returncode == 2 and "--file" in both.stderr


def test_json_objects(cli):
    result = cli("translate", "--to", "de,ja", "--from", "en", "--json", stdin="Hello.\nTea?\n")
    assert result.returncode == 0, result.stderr
    found = objects(result.stdout)
    lanes = [o for o in found if "language" in o]
    batches = [o for o in found if "batch" in o]
    assert sorted((o["line"], o["language"]) for o in lanes) == [
        (0, "de"), (0, "ja"), (1, "de"), (1, "ja"),
    ]
    for o in lanes:
        assert list(o) == ["line", "language", "text", "status", "tokens", "first_ms", "total_ms"]
        assert o["status"] == "ok" and o["text"] and o["tokens"] > 0
        assert 0 < o["first_ms"] <= o["total_ms"]
    assert [list(o) for o in batches] == [["line", "batch"]] * 2
    for line in range(2):
        ends = [i for i, o in enumerate(found) if o["line"] == line]
        assert "batch" in found[ends[-1]], "the batch is the last of its line"
    for o in batches:
        assert set(o["batch"]) == {
            "id", "rev", "batch", "lanes", "prefill_tokens", "shared_tokens", "decode_tokens",
            "drafted", "accepted", "queue_ms", "prefill_ms", "first_ms", "total_ms", "tokens_per_s",
        }
        assert o["batch"]["lanes"] == 2
        assert o["batch"]["shared_tokens"] > 0, "the source is computed once for both"


def test_bad_lines_fail_alone(cli):
    source = ["Hello.", "x" * 8001, "y" * 70000, "Hello."]
    result = cli("translate", "--to", "de", stdin="\n".join(source) + "\n")
    assert result.returncode == 1
    texts = result.stdout.split("\n")[:-1]
    assert texts[0] == texts[3] != "" and texts[1] == texts[2] == ""
    assert "line 2:" in result.stderr and "8000" in result.stderr
    assert "line 3:" in result.stderr
    found = objects(cli("translate", "--to", "de", "--json", stdin="\n".join(source)).stdout)
    errors = {o["line"]: o["error"]["code"] for o in found if "error" in o}
    assert errors == {1: "text_too_long", 2: "text_too_long"}


def test_invalid_utf8_is_refused(request, tmp_path):
    result = subprocess.run(
        [request.config.getoption("--binary"), "translate", "--to", "de"],
        input=b"caf\xe9\n", capture_output=True, timeout=TIMEOUT_S, cwd=tmp_path,
    )
    assert result.returncode == 1
    assert b"byte 3 is not UTF-8" in result.stderr


def test_a_terminal_sees_the_text_grow(request, tmp_path):
    """The last block on the screen is the whole text; before it, shorter ones were drawn over."""
    main, other = pty.openpty()
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    process = subprocess.Popen(
        [request.config.getoption("--binary"), "translate", "--to", "de,ja",
         "--kernel", "reference", "My brother works in a small bakery near the harbour."],
        stdin=subprocess.DEVNULL, stdout=other, stderr=subprocess.PIPE, cwd=tmp_path,
    )
    os.close(other)
    seen = b""
    while True:
        try:
            piece = os.read(main, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not piece:
            break
        seen += piece
    os.close(main)
    assert process.wait(TIMEOUT_S) == 0, process.stderr.read()
    process.stderr.close()
    blocks = seen.decode().replace("\r\n", "\n").split("\033[2A\r\033[J")
    assert len(blocks) > 2
    final = dict(row.split("  ") for row in blocks[-1].splitlines())
    assert set(final) == {"de", "ja"} and len(final["de"]) > 20


# ---- models that are not there or broken ----


def test_missing_model(cli):
    result = cli("translate", "--model", "nowhere", "x")
    assert result.returncode == 1
    assert "nowhere" in result.stderr


def test_broken_model(cli, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(ROOT / "models" / "hydra-tiny", broken)
    weights = broken / "model.safetensors"
    with open(weights, "r+b") as file:
        file.truncate(weights.stat().st_size // 2)
    for command in (["translate", "x"], ["model", "info"], ["serve", "--listen", "127.0.0.1:0"]):
        result = cli(*command, "--model", str(broken), env={"HYDRAGLOT_DATA": str(tmp_path / "d")})
        assert result.returncode == 1
        assert "model.safetensors" in result.stderr.splitlines()[-1]
    found = {o["check"]: o for o in objects(cli("doctor", "--json", "--model", str(broken)).stdout)}
    assert found["model"]["verdict"] == "fail"
    assert "model.safetensors" in found["model"]["message"]


def test_model_info(cli):
    info = json.loads(cli("model", "info", "--json").stdout)
    config = json.loads((ROOT / "models" / "hydra-tiny" / "config.json").read_text())
    assert info["hidden"] == config["hidden_size"]
    assert info["layers"] == config["num_hidden_layers"]
    assert info["kv_heads"] == config["num_key_value_heads"]
    assert info["vocabulary"] == config["vocab_size"]
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", info["fingerprint"])
    text = cli("model", "info").stdout
    assert info["fingerprint"] in text and info["name"] in text


# ---- the database ----


def test_listings_without_a_database(cli, tmp_path):
    for command in (["batches"], ["plugin", "list"]):
        result = cli(*command, "--data", str(tmp_path / "none"))
        assert result.returncode == 1
        assert "none/hydraglot.db" in result.stderr and "serve" in result.stderr
    assert not (tmp_path / "none").exists(), "reading makes nothing"


def test_translate_logs_only_where_told(cli, tmp_path):
    data = tmp_path / "data"
    assert cli("translate", "--to", "de,ja", "--data", str(data), "Hello.").returncode == 0
    (batch,) = objects(cli("batches", "--json", "--data", str(data)).stdout)
    assert batch["lanes"] == 2 and batch["source_chars"] == 6
    assert [(o["language"], o["status"]) for o in batch["languages"]] == [
        ("de", "ok"), ("ja", "ok"),
    ]
    assert "Hello" not in json.dumps(batch)
    assert b"Hello." not in (data / "hydraglot.db").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]


def test_plugin_list(cli, tmp_path):
    data = ["--data", str(tmp_path / "data")]
    assert cli("translate", "--to", "de", *data, "Hello.").returncode == 0
    rows = {o["name"]: o for o in objects(cli("plugin", "list", "--json", *data).stdout)}
    assert set(rows) == {p.parent.name for p in (ROOT / "plugins").glob("*/plugin.json")}
    for name, row in rows.items():
        described = json.loads((ROOT / "plugins" / name / "plugin.json").read_text())
        adapter = json.loads((ROOT / "plugins" / name / "adapter_config.json").read_text())
        assert row["title"] == described["title"]
        assert row["sources"] == described["sources"]
        assert row["rank"] == adapter["r"]
        assert row["generation"] == 1 and row["state"] == "enabled" and row["default"]
    text = cli("plugin", "list", *data).stdout.splitlines()
    assert text[0].split()[:3] == ["name", "title", "language"]
    assert len(text) == 1 + len(rows)


def test_a_session_with_a_service(cli, request, tmp_path):
    """The listings work beside the service; a second one on the folder or the port is refused."""
    binary = request.config.getoption("--binary")
    service = Service(binary, tmp_path)
    data = ["--data", str(tmp_path)]
    try:
        service.wait_ready()
        assert f"open http://127.0.0.1:{service.port}/" in service.log.read_text()
        assert len(objects(cli("plugin", "list", "--json", *data).stdout)) >= 10
        assert cli("batches", "--json", *data).returncode == 0
        second = cli("serve", "--listen", "127.0.0.1:0", *data)
        assert second.returncode == 1
        assert f"process {service.process.pid}" in second.stderr and "--data" in second.stderr
        taken = cli(
            "serve", "--listen", f"127.0.0.1:{service.port}", "--data", str(tmp_path / "other")
        )
        assert taken.returncode == 1
        assert str(service.port) in taken.stderr.splitlines()[-1]
        doctor = objects(
            cli("doctor", "--json", "--listen", f"127.0.0.1:{service.port}", *data).stdout
        )
        verdicts = {o["check"]: o["verdict"] for o in doctor}
        assert verdicts["address"] == "warn" and verdicts["database"] == "ok"
    finally:
        assert service.stop() == 0


# ---- doctor, bench ----


def test_doctor(cli, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    result = cli("doctor", "--listen", f"127.0.0.1:{port}", "--data", str(tmp_path / "new"))
    assert result.returncode == 0, result.stdout
    for what in ("processor", "model", "tokenizer", "plugin de", "database", "address"):
        assert re.search(rf"^ok +{what} ", result.stdout, re.M), what
    assert result.stdout.endswith("0 failures\n")
    assert not (tmp_path / "new").exists()
    bad = cli("doctor", "--kernel", "abacus", "--plugins", str(tmp_path))
    assert bad.returncode == 1
    assert "abacus" in bad.stdout and "reference" in bad.stdout and "plugin.json" in bad.stdout


def test_the_documentation_is_printed_from_the_tables(cli):
    pages = {"--settings": "OPERATIONS", "--limits": "OPERATIONS", "--metrics": "OPERATIONS", "--codes": "PROTOCOL",
             "--templates": "OPERATIONS"}
    for flag, page in pages.items():
        table = cli("doctor", flag).stdout
        assert table.count("\n") > 5
        text = (ROOT / "docs" / f"{page}.md").read_text()
        assert table in text, f"docs/{page}.md: the table of {flag} is old; run docs/print_tables.py"


def check_steps(roofline, lanes):
    """Every step has its bytes, operations and times; the least is no more than the most."""
    assert roofline["kernel"] and roofline["threads"] > 0 and roofline["weights_bytes"] > 1 << 20
    assert roofline["int8_peak_per_s"] > 0 or roofline["kernel"] == "reference"
    steps = roofline["steps"]
    for step in steps:
        assert step["rows"] == step["lanes"] * (1 if step["kind"] == "decode" else step["rows"] // step["lanes"])
        assert (step["rank"] > 0) == (step["adapters"] != "none")
        assert step["bytes"] >= roofline["step_bytes"] > roofline["weights_bytes"] / 2 and step["operations"] > 0 and step["tokens_per_s"] > 0
        for part in ("step_us", "read_bytes_per_s", "roofline_share"):
            assert 0 < step[part]["least"] <= step[part]["median"] <= step[part]["most"], part
    assert {s["lanes"] for s in steps if s["kind"] == "decode"} == lanes
    distinct = {s["rank"]: s["bytes"] for s in steps
                if s["kind"] == "decode" and s["lanes"] == 8 and s["adapters"] == "distinct"}
    none = next(s["bytes"] for s in steps if s["kind"] == "decode" and s["lanes"] == 8 and s["adapters"] == "none")
    assert none < distinct[16]
    return distinct


def test_bench(cli):
    result = cli("bench", "--json", "--runs", "1", "--sentences", "2", "--to", "de,fr,ja")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert figures["lanes"] == 3
    for part in ("one_lane", "all_lanes", "parallel"):
        assert figures[part]["tokens_per_s"] > 0 and figures[part]["step_ms"] > 0
    shared, computed = (figures["all_lanes"][k] for k in ("shared_tokens", "prefill_tokens"))
    assert shared > computed > 0, "most of three prompts is the shared source"
    assert figures["prefill_shared_ms"] > 0 and figures["prefill_alone_ms"] > 0
    assert figures["ready_ms"] > 0 and figures["resident_bytes"] > 1 << 20
    drafts = figures["drafts"]
    assert drafts["sentences"] > 2 and drafts["tokens"] > 0 and drafts["faster"] > 0
    assert 0 <= drafts["accepted"] <= drafts["drafted"]
    typed = drafts["typed"]
    assert typed["revisions"] > 2 and typed["faster"] > 0 and 0 < typed["tokens"] < typed["plain_tokens"]
    for part in ("clients", "websocket"):
        assert [c["clients"] for c in figures[part]] == [1, 4, 16]
        for crowd in figures[part]:
            assert crowd["sentences"] >= 16
            assert 0 < crowd["first_ms"] <= crowd["p99_ms"]
            assert crowd["p50_ms"] <= crowd["p95_ms"] <= crowd["p99_ms"]
    assert figures["websocket_over_steps"] > 0.9, "the way to the client holds the engine's steps"
    distinct = check_steps(figures["roofline"], {1, 2, 4, 8, 16, 32})
    assert sorted(distinct) == [8, 16, 32, 64] and distinct[16] < distinct[32] < distinct[64]


def test_bench_of_a_shape(cli):
    result = cli("bench", "--json", "--runs", "1", "--shape", "tiny")
    assert result.returncode == 0, result.stderr
    figures = json.loads(result.stdout)
    assert "one_lane" not in figures and "websocket" not in figures
    check_steps(figures["roofline"], {1, 8, 32})
    steps = figures["roofline"]["steps"]
    rows = [s["rows"] for s in steps if s["kind"] == "prefill"]
    assert rows[0] == 1 and rows[-1] == 64 and rows == sorted(set(rows)), "one lane's prompts by their rows"
    text = cli("bench", "--runs", "1", "--shape", "tiny").stdout
    assert re.search(r"^step +lanes +rows +adapters +rank ", text, re.M)
    assert len(re.findall(r"^(?:decode|prefill) ", text, re.M)) == len(steps)
    wrong = cli("bench", "--shape", "70b")
    assert wrong.returncode == 2 and "tiny|135m|1b|8b" in wrong.stderr
