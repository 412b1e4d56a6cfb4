#!/usr/bin/env python3
"""make_smollm2_adapters.py: two small PEFT adapters for SmolLM2-135M-Instruct as plugins.

    python tests/golden/make_smollm2_adapters.py [--steps N] [--out FOLDER]
                                                 (torch, transformers, gguf, peft; `make fixtures` first)

Writes var/smollm2-plugins/{de,fr}: de a LoRA of rank 8, fr an aLoRA of rank 16 that acts from the
assistant's turn on. They are trained for a few minutes on a CPU, on the committed pairs of
tests/golden/data: enough that the model answers in the language, not enough to be good. Then:

    build/hydraglot translate --model build/fixtures/SmolLM2-135M-Instruct.Q4_1.gguf \\
        --plugins var/smollm2-plugins --to de,fr "Where is the station?"

The base is what transformers makes of the same GGUF file. peft 0.21.2, transformers 5.24.0 and torch
2.15.0 were used.
"""
import argparse
import json
import lzma
import os
import time

import torch
from peft import LoraConfig, get_peft_model
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

FIXTURES, FILE = "build/fixtures", "SmolLM2-135M-Instruct.Q4_1.gguf"
BATCH, LONGEST, HELD_OUT = 8, 24, 50
IM_START = 1
# The template "chatml" of core/translate/templates.c, for a known source and no context.
PROMPT = ("<|im_start|>system\nTranslate the user's text from English to {language}. Answer with the "
          "translation only.<|im_end|>\n<|im_start|>user\n{source}<|im_end|>\n<|im_start|>assistant\n")
PLUGINS = {
    "de": ("German", dict(r=8, lora_alpha=16)),
    "fr": ("French", dict(r=16, lora_alpha=32, alora_invocation_tokens=[IM_START])),
}


def read_pairs(language):
    with lzma.open(f"tests/golden/data/dev.en-{language}.tsv.xz", "rt", encoding="utf-8") as file:
        return [line.rstrip("\n").split("\t") for line in file]


def read_tokenizer():
    """With the splits that transformers forgets; see make_smollm2_goldens.py."""
    tokenizer = AutoTokenizer.from_pretrained(FIXTURES, gguf_file=FILE)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    return tokenizer


def batch_of(tokenizer, pairs, name):
    """ids, mask, labels: the loss counts the answer only, its end included."""
    rows = []
    for source, target in pairs:
        prompt = tokenizer(PROMPT.format(language=name, source=source), add_special_tokens=False)["input_ids"]
        answer = tokenizer(target + "<|im_end|>", add_special_tokens=False)["input_ids"]
        rows.append((prompt + answer, [-100] * len(prompt) + answer))
    width = max(len(ids) for ids, _ in rows)
    pad = lambda row, value: row + [value] * (width - len(row))
    return (torch.tensor([pad(ids, tokenizer.pad_token_id) for ids, _ in rows]),
            torch.tensor([pad([1] * len(ids), 0) for ids, _ in rows]),
            torch.tensor([pad(labels, -100) for _, labels in rows]))


def train(tokenizer, language, name, options, steps):
    base = AutoModelForCausalLM.from_pretrained(FIXTURES, gguf_file=FILE, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(
        task_type="CAUSAL_LM", target_modules=["q_proj", "k_proj", "v_proj", "o_proj"], **options))
    pairs = [p for p in read_pairs(language) if len(p[0].split()) <= LONGEST]
    held_out, pairs = pairs[:HELD_OUT], pairs[HELD_OUT:]
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    begin = time.time()
    for step in range(steps):
        chosen = [pairs[i] for i in torch.randint(len(pairs), (BATCH,)).tolist()]
        ids, mask, labels = batch_of(tokenizer, chosen, name)
        loss = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        if step % 10 == 0 or step == steps - 1:
            print(f"{language} step {step}: loss {loss.item():.3f}, {time.time() - begin:.0f} s", flush=True)
    return model, held_out


def write_plugin(folder, language, name, held_out):
    description = {"schema": "hydraglot.plugin/1", "kind": "language", "name": language, "title": name,
                   "language": language, "sources": ["en"], "base": {"name": "SmolLM2-135M-Instruct"},
                   "template": "chatml", "stop": [], "licence": "CC-BY-2.0-FR",
                   "attribution": "Sentence pairs from tatoeba.org by way of www.manythings.org/anki"}
    with open(folder + "/plugin.json", "w", encoding="utf-8") as file:
        json.dump(description, file, indent=1)
    with open(folder + "/validation.tsv", "w", encoding="utf-8") as file:
        file.writelines("\t".join(pair) + "\n" for pair in held_out)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--out", default="var/smollm2-plugins")
    args = parser.parse_args()
    torch.manual_seed(8)
    tokenizer = read_tokenizer()
    for language, (name, options) in PLUGINS.items():
        model, held_out = train(tokenizer, language, name, options, args.steps)
        folder = f"{args.out}/{language}"
        os.makedirs(folder, exist_ok=True)
        model.save_pretrained(folder)
        os.remove(folder + "/README.md")
        write_plugin(folder, language, name, held_out)


if __name__ == "__main__":
    main()
