#!/usr/bin/env python3
"""make_architecture_goldens.py: the shapes and the RoPE of Llama 3, 3.1, 3.2 in miniature.

    python tests/golden/make_architecture_goldens.py    (torch, transformers, compressed_tensors)

Writes tests/golden/architecture.tar.xz, which tests/golden/test_architecture.c reads: a folder for
each model, and

    goldens.json        for each case its folder, prompt, the arg-max of each position, the positions
                        whose logits are kept, stop tokens, how often each KV head is shared
    logits.safetensors  logits [kept positions of all cases, STRIDED] F32: the first STRIDED of each

transformers 5.24.0 and compressed_tensors 0.20.0 made the committed one.
"""
import json
import tempfile

import torch
from transformers import GenerationConfig, LlamaConfig

from small_models import logits_of, random, read_model, write_archive, write_model

STRIDED = 48
THETA = 500000.0
LLAMA3 = dict(rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
              original_max_position_embeddings=64)  # the second wave, 32, is blended


def old_rope(theta, **scaling):
    """The spelling before transformers v5: rope_theta in the root, rope_scaling or none."""
    def edit(text):
        del text["rope_parameters"]
        text["rope_theta"] = theta
        text["rope_scaling"] = scaling or None
    return edit


def remove(*fields):
    def edit(text):
        for field in fields:
            del text[field]
    return edit


# name: sizes that differ from the default's, positions of the prompt, change of config.json
CASES = {
    "gqa-1-1": (dict(num_key_value_heads=4), 20, None),
    "gqa-default": (dict(num_key_value_heads=4), 20, remove("num_key_value_heads", "head_dim")),
    "gqa-2-1": (dict(num_key_value_heads=2), 20, remove("head_dim")),
    "gqa-4-1": (dict(num_key_value_heads=1), 20, None),
    "gqa-8-1": (dict(hidden_size=128, num_attention_heads=8, num_key_value_heads=1), 20, None),
    "gqa-3-1": (dict(hidden_size=48, num_attention_heads=3, num_key_value_heads=1), 20, None),
    "head-8": (dict(num_attention_heads=8, num_key_value_heads=4), 20, None),
    "head-32": (dict(head_dim=32), 20, None),
    "head-80": (dict(head_dim=80), 20, None),
    "head-128": (dict(num_attention_heads=2, num_key_value_heads=1, head_dim=128), 20, None),
    "tied": (dict(tie_word_embeddings=True), 20, None),
    "odd-vocabulary": (dict(vocab_size=101), 20, None),
    "odd-tied": (dict(vocab_size=77, tie_word_embeddings=True, rms_norm_eps=1e-6), 20, None),
    "epsilon-large": (dict(rms_norm_eps=0.25), 20, None),
    "epsilon-default": (dict(rms_norm_eps=1e-6), 20, remove("rms_norm_eps")),
    "rope-theta": (dict(rope_parameters=dict(rope_type="default", rope_theta=THETA)), 40, None),
    "rope-theta-old": (dict(), 40, old_rope(THETA)),
    "rope-no-theta-old": (dict(), 40, remove("rope_parameters")),
    "rope-linear": (dict(rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0)),
                    40, None),
    "rope-linear-old": (dict(), 40, old_rope(10000.0, type="linear", factor=2.5)),
    "rope-llama3": (dict(rope_parameters=dict(rope_theta=THETA, **LLAMA3)), 90, None),
    "rope-llama3-old": (dict(), 90, old_rope(THETA, **LLAMA3)),
    "rope-llama3.2-old": (dict(tie_word_embeddings=True), 90,
                          old_rope(THETA, **(LLAMA3 | dict(factor=32.0)))),
    "long": (dict(max_position_embeddings=512, rope_parameters=dict(rope_theta=THETA, **LLAMA3)),
             400, None),
    "many-layers": (dict(num_hidden_layers=5), 20, None),
    "wide": (dict(hidden_size=32, intermediate_size=192), 20, None),
}


def make_case(root, name, logits):
    sizes, positions, edit = CASES[name]
    config = LlamaConfig(**(dict(
        vocab_size=64, hidden_size=64, intermediate_size=96, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
        rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
        architectures=["LlamaForCausalLM"]) | sizes))
    folder = f"{root}/{name}"
    write_model(folder, config, bits=4 if len(name) % 2 else 8, edit=edit)
    stops = sorted(random.choice(config.vocab_size, 3, replace=False).tolist())
    GenerationConfig(bos_token_id=1, eos_token_id=stops).save_pretrained(folder)
    model = read_model(folder)
    while True:
        prompt = random.integers(0, config.vocab_size, positions).tolist()
        try:
            result = logits_of(model, prompt)
        except AssertionError:
            continue
        break
    kept = [0, positions // 2, positions - 1]
    logits += [result[i, :STRIDED] for i in kept]
    return dict(folder=name, prompt=prompt, best=result.argmax(1).tolist(), kept=kept, stops=stops,
                heads=config.num_attention_heads, kv_heads=config.num_key_value_heads,
                head_dim=model.model.layers[0].self_attn.head_dim, tied=config.tie_word_embeddings)


def main():
    torch.set_num_threads(1)  # the same sums on every machine
    logits = []
    with tempfile.TemporaryDirectory() as root:
        goldens = [make_case(root, name, logits) for name in CASES]
        write_archive("tests/golden/architecture.tar.xz", root, goldens, logits)


if __name__ == "__main__":
    main()
