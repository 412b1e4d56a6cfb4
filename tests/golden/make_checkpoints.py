#!/usr/bin/env python3
"""make_checkpoints.py: one small Llama-3.1-shaped model in every form in which Hugging Face folders
hold weights.

    python tests/golden/make_checkpoints.py    (torch, transformers, compressed_tensors)

Writes tests/golden/checkpoints.tar.xz, which tests/golden/test_checkpoints.c reads: a folder for
each form, and goldens.json and logits.safetensors as make_architecture_goldens.py describes them.

The layouts are written here from their published rules (below, one function each), not by any code
of hydraglot's; compressed_tensors' unpacking must give the codes back. The logits are those of
transformers in F32 with the weights computed here from codes, zero points and scales. Codes are
windows of one small pool at steps that no wrong order, stride or shift can reproduce; so the
archive stays small.

transformers 5.24.0 and compressed_tensors 0.20.0 made the committed one.
"""
import json
import os
import tempfile

import numpy as np
import torch
from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from make_model_values import meta_model
from small_models import logits_of, write_archive

STRIDED = 48
KEPT = [0, 9, 19]
random = np.random.default_rng(31)
POOL = random.integers(0, 256, 1021)
REALS = random.standard_normal(1021).astype(np.float32)
CONFIG = dict(vocab_size=384, hidden_size=128, intermediate_size=256, num_hidden_layers=2,
              num_attention_heads=4, num_key_value_heads=2, head_dim=64,
              max_position_embeddings=256, bos_token_id=1, eos_token_id=[2, 3], rms_norm_eps=1e-5,
              rope_parameters=dict(rope_type="llama3", rope_theta=500000.0, factor=8.0,
                                   low_freq_factor=1.0, high_freq_factor=4.0,
                                   original_max_position_embeddings=32),
              architectures=["LlamaForCausalLM"])


def window(pool, name, rows, columns, step):
    """[rows, columns]: each row goes on through the pool, step after the row before it."""
    start = sum(name.encode()) * 37
    return pool[(start + step * np.arange(rows)[:, None] + np.arange(columns)) % len(pool)]


def reals(name, shape, spread):
    rows, columns = shape if len(shape) == 2 else (1, shape[0])
    return torch.from_numpy(window(REALS, name, rows, columns, 53).reshape(*shape) * spread).float()


# ---- packing into words of 32 bits ----

def pack(values, bits):
    """[n, k] small unsigned -> int32 [n, k * bits / 32], lowest bits first."""
    n, k = values.shape
    per_word = 32 // bits
    parts = values.reshape(n, k // per_word, per_word).astype(np.uint64)
    shifts = (np.arange(per_word) * bits).astype(np.uint64)
    return torch.from_numpy((parts << shifts).sum(2).astype(np.uint32).view(np.int32).copy())


def compressed_tensors(code, zero, scale, bits, symmetric):
    """Codes along the inputs, zero points along the outputs, both as unsigned values."""
    packed = pack(code, bits)
    half = 1 << (bits - 1)
    assert torch.equal(unpack_from_int32(packed, bits, torch.Size(code.shape)).int(),
                       torch.from_numpy(code.astype(np.int32) - half))
    out = {"weight_packed": packed, "weight_scale": torch.from_numpy(scale),
           "weight_shape": torch.tensor(code.shape, dtype=torch.int64)}
    if not symmetric:
        out["weight_zero_point"] = pack(zero.T.copy(), bits).T.contiguous()
    return out


def awq(code, zero, scale):
    """Eight outputs in a word; nibble i is output 0 2 4 6 1 3 5 7 of the eight."""
    order = [0, 2, 4, 6, 1, 3, 5, 7]

    def words(values):  # [n, outputs]
        n, outputs = values.shape
        return pack(values.reshape(n, outputs // 8, 8)[:, :, order].reshape(n, outputs), 4)
    return {"qweight": words(code.T), "qzeros": words(zero.T),
            "scales": torch.from_numpy(scale.T.copy())}


def gptq(code, zero, scale, bits, less):
    """Inputs down a word, outputs across; zero points along the outputs, each less one in v1."""
    group = code.shape[1] // scale.shape[1]
    return {"qweight": pack(code, bits).T.contiguous(), "qzeros": pack((zero - less).T, bits),
            "scales": torch.from_numpy(scale.T.copy()),
            "g_idx": torch.arange(code.shape[1], dtype=torch.int32) // group,
            "bias": torch.zeros(code.shape[0], dtype=torch.float16)}


def quantised(name, shape, bits, group, symmetric):
    """codes [rows, columns], zero points and F16 scales [rows, groups], F32 weights."""
    rows, columns = shape
    code = window(POOL, name, rows, columns, 40) >> (8 - bits)
    groups = columns // group
    half = 1 << (bits - 1)
    zero = np.full((rows, groups), half)
    if not symmetric:
        zero = half + window(POOL, name + "z", rows, groups, 3) % half - half // 2
    spread = 1.7 / half / columns ** 0.5
    scale = (spread * (1 + window(POOL, name + "s", rows, groups, 3) / 512)).astype(np.float16)
    weight = (code - zero.repeat(group, 1)).astype(np.float32) * \
        scale.astype(np.float32).repeat(group, 1)
    return code, zero, scale, torch.from_numpy(weight)


# ---- the forms ----

# name: what a linear layer becomes, (method, bits, group, symmetric, more); or types of dense ones
FORMS = {
    "f32": [torch.float32], "f16": [torch.float16], "bf16": [torch.bfloat16],
    "bf16-sharded": [torch.bfloat16], "mixed": [torch.float32, torch.bfloat16, torch.float16],
    "packed-int4-32": ("packed", 4, 32, True), "packed-int4-128": ("packed", 4, 128, True),
    "packed-int8-32": ("packed", 8, 32, True), "packed-int8-128": ("packed", 8, 128, True),
    "packed-int4-32-zeros": ("packed", 4, 32, False),
    "packed-int4-128-zeros": ("packed", 4, 128, False),
    "packed-int8-32-zeros": ("packed", 8, 32, False),
    "packed-int8-128-zeros": ("packed", 8, 128, False),
    "packed-ignore": ("packed", 4, 32, True),
    "awq-32": ("awq", 4, 32, False), "awq-128": ("awq", 4, 128, False),
    "awq-ignore": ("awq", 4, 64, False),
    "gptq-int4": ("gptq", 4, 128, False), "gptq-int8": ("gptq", 8, 32, True),
    "gptq-int4-symmetric": ("gptq", 4, 32, True), "gptq-int4-all": ("gptq", 4, -1, False),
    "gptq_v2-int4": ("gptq_v2", 4, 32, False), "gptq_v2-int8": ("gptq_v2", 8, 128, False),
}
LEFT_ALONE = "model.layers.1.mlp.down_proj"


def quantization_config(method, bits, group, symmetric):
    if method == "packed":
        return {"quant_method": "compressed-tensors", "format": "pack-quantized",
                "quantization_status": "compressed", "ignore": ["lm_head", LEFT_ALONE],
                "config_groups": {"group_0": {"targets": ["Linear"], "weights": dict(
                    type="int", strategy="group", dynamic=False, num_bits=bits,
                    symmetric=symmetric, group_size=group)}}}
    if method == "awq":
        return {"quant_method": "awq", "bits": bits, "group_size": group, "zero_point": True,
                "version": "gemm", "modules_to_not_convert": [LEFT_ALONE]}
    return {"quant_method": "gptq", "bits": bits, "group_size": group, "desc_act": False,
            "sym": symmetric, "checkpoint_format": method, "damp_percent": 0.01}


def make_linear(form, name, module, shape, index):
    """Tensors of one layer and its F32 weights."""
    if isinstance(form, list) or (name.endswith("ignore") and module == LEFT_ALONE):
        kind = form[index % len(form)] if isinstance(form, list) else torch.bfloat16
        weight = reals(module, shape, shape[1] ** -0.5).to(kind)
        return {"weight": weight}, weight.float()
    method, bits, group, symmetric = form
    code, zero, scale, weight = quantised(module, shape, bits, group if group > 0 else shape[1],
                                          symmetric)
    if method == "packed":
        return compressed_tensors(code, zero, scale, bits, symmetric), weight
    if method == "awq":
        return awq(code, zero, scale), weight
    return gptq(code, zero, scale, bits, 1 if method == "gptq" else 0), weight


def make_form(folder, name, form):
    """Writes the folder and gives the F32 model."""
    config = LlamaConfig(**CONFIG)
    os.makedirs(folder)
    config.save_pretrained(folder)
    tensors, state, index = {}, {}, 0
    for key, parameter in meta_model(config).named_parameters():
        shape = tuple(parameter.shape)
        if key.endswith("_proj.weight"):
            module = key.removesuffix(".weight")
            parts, state[key] = make_linear(form, name, module, shape, index)
            tensors |= {f"{module}.{part}": value for part, value in parts.items()}
            index += 1
        else:
            value = reals(key, shape, 0.125)
            value = 1 + value if key.endswith("norm.weight") else value * 8
            value = value.to(form[index % len(form)] if isinstance(form, list) else torch.bfloat16)
            tensors[key], state[key] = value, value.float()
    if not isinstance(form, list):
        path = folder + "/config.json"
        text = json.load(open(path))
        text["quantization_config"] = quantization_config(*form)
        json.dump(text, open(path, "w"), indent=1)
    open(folder + "/tokenizer.json", "w").write("{}\n")  # core/model asks only that it is there
    if name.endswith("sharded"):
        shard = {key: f"model-{i % 3 + 1:05}-of-00003.safetensors"
                 for i, key in enumerate(sorted(tensors))}
        for file in sorted(set(shard.values())):
            save_file({k: tensors[k] for k in tensors if shard[k] == file}, f"{folder}/{file}")
        json.dump({"metadata": {}, "weight_map": shard},
                  open(folder + "/model.safetensors.index.json", "w"))
    else:
        save_file(tensors, folder + "/model.safetensors")
    model = LlamaForCausalLM(config).float().eval()
    model.load_state_dict(state)
    return model


def main():
    goldens, rows = [], []
    with tempfile.TemporaryDirectory() as folder:
        for name, form in FORMS.items():
            model = make_form(f"{folder}/{name}", name, form)
            for _ in range(50):  # until no position is a near-tie
                prompt = [1] + random.integers(4, 384, 19).tolist()
                try:
                    logits = logits_of(model, prompt)
                    break
                except AssertionError:
                    continue
            dense = isinstance(form, list) or name.endswith("ignore")
            goldens.append({"folder": name, "prompt": prompt, "kept": KEPT, "dense": dense,
                            "best": logits.argmax(1).tolist()})
            rows += [logits[i, :STRIDED].clone() for i in KEPT]
        write_archive("tests/golden/checkpoints.tar.xz", folder, goldens, rows)


if __name__ == "__main__":
    main()
