"""lint.py: what a machine can check of the house style (docs/DESIGN.md, section 13).

    python3 tests/lint/lint.py [--jobs N] [--fix] [--fast] [--deep]

For every tracked or new C file: clang-format, gcc's warnings as errors, clang-tidy (.clang-tidy), which has
clang's warnings as errors too; its analyzer follows 40,000 states of a function, with --deep 225,000, in three
times the time. For every source file: its length, the length of its functions, columns, an opening comment, no
tabs and no white space at line ends. For all text: no path of one machine. Ends with a table of the sizes,
and with 1 when anything was found. --fix lets clang-format mend.
"""
import argparse
import concurrent.futures
import pathlib
import re
import shlex
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FILE_MOST = {"kernels": 400, "header": 120, "other": 600}
FUNCTION_MOST, FUNCTION_MEDIAN, COLUMNS = 70, 15, 100
MAKEFILE_MOST, TREE_MOST = 200, 60 << 20
PACKAGES = "libwebsockets sqlite3 icu-i18n icu-uc jansson openssl libarchive zlib".split()
ISA = {"avx2": "-mavx2 -mfma -mf16c",
       "avxvnni": "-mavxvnni -mavx2 -mfma -mf16c",
       "avx512": "-mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vnni -mavx2 -mfma -mf16c"}
ISA["amx"] = ISA["avx512"] + " -mamx-tile -mamx-int8 -mxsave"
NODES = "-Xclang -analyzer-config -Xclang max-nodes=40000"
MACHINE_PATH = re.compile(r"(?<![\w.])/(home|root|work|Users)/\w+")


def run(command):
    p = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return p.returncode, p.stdout + p.stderr


def files():
    _, out = run(["git", "ls-files", "--cached", "--others", "--exclude-standard"])
    return [f for f in out.split("\n") if f and (ROOT / f).is_file()]


def most_lines(name):
    if name.endswith((".h", ".cuh")):
        return FILE_MOST["header"]
    return FILE_MOST["kernels" if name.startswith("kernels/") else "other"]


def flags(name):
    base = "-std=c11 -D_GNU_SOURCE -I. -Ibuild -Wall -Wextra -Wshadow -Wpointer-arith -Wstrict-prototypes " \
           "-Wmissing-prototypes -Wwrite-strings -Wvla -Wno-missing-field-initializers -Werror"
    isa = next((f for k, f in ISA.items() if pathlib.Path(name).name.startswith(k)), "")
    packages = subprocess.run(["pkg-config", "--cflags", *PACKAGES], capture_output=True, text=True).stdout
    # The CUDA device's host files need no toolkit here: the emulator has the runtime's header.
    card = name.startswith(("kernels/cuda/", "tests/gpu/", "tests/unit/test_cuda_"))
    cuda = "-Itests/cuda_emulator" if card else ""
    return shlex.split(f"{base} {cuda} {isa if name.startswith('kernels/cpu/') else ''} {packages}")


def compiled(name, deep):
    """Findings of gcc and clang-tidy in one .c file."""
    found = []
    code, out = run(["gcc", *flags(name), "-O1", "-fsyntax-only", name])
    if code:
        found.append(out)
    # cmocka's fail() does not say that it never returns: the analyzer would go on behind it.
    checks = ["--checks=-clang-analyzer-*"] if name.startswith("tests/") else []
    code, out = run(["clang-tidy", "--quiet", *checks, name, "--", *flags(name), *(() if deep else NODES.split())])
    if code:
        found.append("\n".join(l for l in out.splitlines() if "warnings generated" not in l and "warnings treated" not in l))
    return found


def functions(text):
    """(line, length) of each function of a clang-formatted C file."""
    lines, start = text.split("\n"), None
    for i, line in enumerate(lines, 1):
        if line == "{" and i > 1 and not lines[i - 2].endswith("="):
            start = i
        elif line == "}" and start:
            yield start, i - start - 1
            start = None


def shape(name, text, lengths):
    """Findings about one source file's layout; adds its functions' lengths to lengths."""
    lines = text.split("\n")
    if len(lines) - 1 > most_lines(name):
        yield f"{name}: {len(lines) - 1} lines, up to {most_lines(name)} are allowed"
    if not text.startswith(("/*", "//", "<!doctype", "#!", '"""')):
        yield f"{name}:1: a file opens with what it is for"
    for i, line in enumerate(lines, 1):
        if len(line) > COLUMNS:
            yield f"{name}:{i}: {len(line)} columns, up to {COLUMNS} are allowed"
        if line != line.rstrip():
            yield f"{name}:{i}: white space at the end"
        if "\t" in line:
            yield f"{name}:{i}: a tab"
        if re.search(r"\b(TODO|FIXME|XXX)\b|^#if 0", line):
            yield f"{name}:{i}: unfinished business"
    if name.endswith((".c", ".h")):
        for line, length in functions(text):
            lengths.append(length)
            if length > FUNCTION_MOST:
                yield f"{name}:{line}: a function of {length} lines, up to {FUNCTION_MOST} are allowed"


def everything(names):
    """Findings about any text file, and about the tree."""
    for name in names:
        data = (ROOT / name).read_bytes()
        if b"\0" in data[:4096] or name == "tests/lint/lint.py" or len(data) > 4 << 20:
            continue
        for i, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
            if MACHINE_PATH.search(line):
                yield f"{name}:{i}: a path of one machine"
    makefile = (ROOT / "Makefile").read_text().count("\n")
    if makefile > MAKEFILE_MOST:
        yield f"Makefile: {makefile} lines, up to {MAKEFILE_MOST} are allowed"
    size = sum((ROOT / n).stat().st_size for n in names)
    if size > TREE_MOST:
        yield f"the tree has {size} bytes, up to {TREE_MOST} are allowed"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--fix", action="store_true")
    parser.add_argument("--fast", action="store_true", help="leave the compilers and clang-tidy out")
    parser.add_argument("--deep", action="store_true", help="let the analyzer take its time")
    args = parser.parse_args()
    names, lengths, found = files(), [], []
    c_files = [n for n in names if n.endswith((".c", ".h"))]
    sources = c_files + [n for n in names if n.endswith((".js", ".css", ".cu", ".cuh"))]
    code, out = run(["clang-format", *(["-i"] if args.fix else ["--dry-run", "-Werror"]), *c_files])
    found += [out] if code else []
    for name in sources:
        found += shape(name, (ROOT / name).read_text(), lengths)
    found += everything(names)
    if not args.fast:
        with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
            for result in pool.map(lambda n: compiled(n, args.deep), [n for n in c_files if n.endswith(".c")]):
                found += result
    median = statistics.median(lengths)
    if median > FUNCTION_MEDIAN:
        found.append(f"functions have a median of {median} lines, up to {FUNCTION_MEDIAN} is the aim")
    print("\n".join(found) if found else "", end="\n" if found else "")
    print(f"lint: {len(c_files)} C files, {len(lengths)} functions (median {median:g}, "
          f"95 % up to {sorted(lengths)[int(len(lengths) * .95)]}, longest {max(lengths)} lines), "
          f"{len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
