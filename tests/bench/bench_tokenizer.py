#!/usr/bin/env python3
"""bench_tokenizer.py: build/tests/bench/bench_tokenizer beside the libraries, in one run.

    python3 tests/bench/bench_tokenizer.py

Needs `tokenizers`, `tiktoken` and Meta's tokenizer.model (make fixtures). The text is all dev files
of tests/golden/data, both sides, line by line. Processor time of one thread, the least of five."""
import glob
import lzma
import os
import subprocess
import tempfile
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import tiktoken
import tiktoken.load
from tokenizers import Tokenizer

TINY, META = "models/hydra-tiny/tokenizer.json", "build/fixtures/llama3-tokenizer.model"
RUNS = 5
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def dev_lines():
    for path in sorted(glob.glob("tests/golden/data/dev.en-*.tsv.xz")):
        with lzma.open(path, "rt", encoding="utf-8", newline="\n") as file:
            for line in file:
                yield from line.rstrip("\n").split("\t")


def least_s(work):
    def once():
        start = time.process_time()
        work()
        return time.process_time() - start
    return min(once() for _ in range(RUNS))


def show(name, lines, opened, encode):
    size = sum(len(line.encode()) + 1 for line in lines) / 1e6
    took = least_s(lambda: [encode(line) for line in lines])
    print(f"{name}: opened in {least_s(opened) * 1e3:.0f} ms, line by line {size / took:.1f} MB/s")


def main():
    lines = list(dev_lines())
    tiny = Tokenizer.from_file(TINY)
    tiny.encode_special_tokens = True
    show("tokenizers, hydra-tiny", lines, lambda: Tokenizer.from_file(TINY),
         lambda line: tiny.encode(line, add_special_tokens=False).ids)

    def open_meta():
        return tiktoken.Encoding("llama3", pat_str=LLAMA3, special_tokens={},
                                 mergeable_ranks=tiktoken.load.load_tiktoken_bpe(META))

    meta = open_meta()
    show("tiktoken, Meta's", lines, open_meta, meta.encode_ordinary)
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as text:
        text.write("".join(line + "\n" for line in lines))
        text.flush()
        for path in (TINY, META):
            subprocess.run(["build/tests/bench/bench_tokenizer", path, text.name], check=True)


if __name__ == "__main__":
    main()
