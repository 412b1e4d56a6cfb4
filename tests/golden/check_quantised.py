#!/usr/bin/env python3
"""check_quantised.py: what `model quantize` writes, loaded by transformers with compressed-tensors,
against our reference kernels on the same folder.

    make build/hydraglot build/tests/golden/print_logits
    python tests/golden/check_quantised.py     (torch, transformers, compressed_tensors)

The models: hydra-tiny, its weights expanded to a BF16 folder by the packing's public rules, and a
random Llama with the same tokenizer, as transformers saves it in BF16 shards. Each is quantised to
4 and 8 bits by round-to-nearest and by activations. Prints a table; fails when the logits of one
prompt differ by more than MOST in the squared norm, or an arg-max does.
"""
import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import tempfile

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from small_models import read_model

TINY = "models/hydra-tiny"
MOST = 1e-6
TEXT = ("<|begin_of_text|>Where is the train station? The house is old, and the garden is large."
        "<|nl|>Waar is het treinstation?")
PROMPT = Tokenizer.from_file(f"{TINY}/tokenizer.json").encode(TEXT).ids
PACKAGES = "torch", "transformers", "compressed_tensors"


def add_files(folder):
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(f"{TINY}/{name}", folder)


def write_tiny(folder):
    read_model(TINY).bfloat16().save_pretrained(folder)
    add_files(folder)


def write_random(folder):
    """Other ratios than hydra-tiny's: heads of 32, two of a pair, an output layer of its own."""
    torch.manual_seed(12)
    model = LlamaForCausalLM(LlamaConfig(
        vocab_size=24576, hidden_size=256, intermediate_size=512, num_hidden_layers=3,
        num_attention_heads=8, num_key_value_heads=4, head_dim=32, max_position_embeddings=512,
        tie_word_embeddings=False, bos_token_id=24320, eos_token_id=24322, initializer_range=0.06))
    model.bfloat16().save_pretrained(folder, max_shard_size="10MB")
    add_files(folder)


def ours(folder, prompt):
    done = subprocess.run(["build/tests/golden/print_logits", folder, *map(str, prompt)],
                          check=True, capture_output=True)
    return torch.frombuffer(bytearray(done.stdout), dtype=torch.float32).view(len(prompt), -1)


@torch.no_grad()
def theirs(folder, prompt):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    return model(input_ids=torch.tensor([prompt]), use_cache=False).logits[0]


def check(source, out, name, method, bits):
    made = subprocess.run(["build/hydraglot", "model", "quantize", "--model", source, "--out", out,
                           "--method", method, "--bits", str(bits), "--json"], check=True,
                          capture_output=True)
    report = json.loads(made.stdout)
    a, b = ours(out, PROMPT), theirs(out, PROMPT)
    before = theirs(source, PROMPT)
    error = ((a - b).norm() / b.norm()).item() ** 2
    lost = ((a - before).norm() / before.norm()).item() ** 2
    other = (a.argmax(1) != b.argmax(1)).sum().item()
    print(f"| {name} | {method} INT{bits} group {report['group']} | {error:.1e} | {other} of "
          f"{len(PROMPT)} | {lost:.1e} |", flush=True)
    return error <= MOST and not other


def main():
    torch.set_num_threads(1)
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES))
    print("| model | quantised | logits, ours against transformers' | other arg-max | "
          "against the BF16 model's |\n|---|---|---|---|---|")
    good = True
    with tempfile.TemporaryDirectory() as root:
        for name, write in (("hydra-tiny", write_tiny), ("random, 3 layers", write_random)):
            source = f"{root}/{write.__name__}"
            write(source)
            for method in ("rtn", "awq"):
                for bits in (4, 8):
                    good &= check(source, f"{source}-{method}{bits}", name, method, bits)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
