"""print_tables.py: puts the program's own tables into OPERATIONS.md and PROTOCOL.md, and its messages
into asyncapi.yaml and plugin.schema.json.

    python3 docs/print_tables.py [build/hydraglot]

A table stands below the line `<!-- hydraglot doctor --NAME -->`. Run it when a row of limits.h,
codes.h, settings.c, metrics.c, message.c or event.c has changed; tests/e2e compares.
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGES = [ROOT / "docs" / name for name in ("OPERATIONS.md", "PROTOCOL.md")]
binary = sys.argv[1] if len(sys.argv) > 1 else str(ROOT / "build" / "hydraglot")


def table(flag):
    command = [binary, "doctor", flag]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def printed(match):
    return match[1] + table(match[2])


for page in PAGES:
    text = page.read_text()
    page.write_text(re.sub(r"(<!-- hydraglot doctor (--\w+) -->\n)(?:\|.*\n)*", printed, text))
(ROOT / "docs" / "asyncapi.yaml").write_text(table("--asyncapi"))
(ROOT / "docs" / "plugin.schema.json").write_text(table("--plugin-schema"))
