#!/usr/bin/env python3
"""make_big_checkpoint.py: a random checkpoint of Llama-3-8B's shape, for measuring how a large model
is loaded. It says nothing, but it is as large as one that does.

    python3 tests/bench/make_big_checkpoint.py FOLDER [--layers N] [--form packed|awq|bf16]

Writes config.json, tokenizer.json (of hydra-tiny: not of this vocabulary) and model.safetensors of
4.7 GB or more, tensor by tensor from one random block, so that it never holds much in memory. Needs
nothing but Python.
"""
import argparse
import json
import os
import random
import shutil
import struct

HIDDEN, INTERMEDIATE, VOCABULARY, KV = 4096, 14336, 128256, 1024
GROUP = 128
PROJECTIONS = {"self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (KV, HIDDEN),
               "self_attn.v_proj": (KV, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN),
               "mlp.gate_proj": (INTERMEDIATE, HIDDEN), "mlp.up_proj": (INTERMEDIATE, HIDDEN),
               "mlp.down_proj": (HIDDEN, INTERMEDIATE)}
BLOCK = 1 << 20
BYTES = {"BF16": 2, "F16": 2, "I32": 4, "I64": 8}


def blocks():
    """Of each kind of tensor a block of content: any codes; small floats of either sign."""
    generator = random.Random(8)
    codes = generator.randbytes(BLOCK)
    small = [struct.pack("<e", generator.uniform(0.001, 0.004)) for _ in range(4096)]
    brain = [struct.pack("<f", generator.gauss(0, 0.02))[2:] for _ in range(4096)]
    return {"I32": codes, "F16": b"".join(generator.choices(small, k=BLOCK // 2)),
            "BF16": b"".join(generator.choices(brain, k=BLOCK // 2))}


def parts(form, rows, columns):
    """Tensors of one linear layer: suffix, type, shape."""
    if form == "bf16":
        return [("weight", "BF16", [rows, columns])]
    if form == "awq":
        return [("qweight", "I32", [columns, rows // 8]),
                ("qzeros", "I32", [columns // GROUP, rows // 8]),
                ("scales", "F16", [columns // GROUP, rows])]
    return [("weight_packed", "I32", [rows, columns // 8]),
            ("weight_scale", "F16", [rows, columns // GROUP]), ("weight_shape", "I64", [2])]


def tensors(form, layers):
    yield "model.embed_tokens.weight", "BF16", [VOCABULARY, HIDDEN], None
    for i in range(layers):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            yield f"model.layers.{i}.{norm}.weight", "BF16", [HIDDEN], None
        for name, (rows, columns) in PROJECTIONS.items():
            for suffix, kind, shape in parts(form, rows, columns):
                content = struct.pack("<qq", rows, columns) if kind == "I64" else None
                yield f"model.layers.{i}.{name}.{suffix}", kind, shape, content
    yield "model.norm.weight", "BF16", [HIDDEN], None
    yield "lm_head.weight", "BF16", [VOCABULARY, HIDDEN], None


def write_weights(path, form, layers):
    header, at, content = {}, 0, blocks()
    for name, kind, shape, _ in tensors(form, layers):
        size = BYTES[kind]
        for n in shape:
            size *= n
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 64)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name, kind, _, given in tensors(form, layers):
            begin, end = header[name]["data_offsets"]
            while given is None and begin < end:
                begin += file.write(content[kind][:min(BLOCK, end - begin)])
            file.write(given or b"")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--form", choices=["packed", "awq", "bf16"], default="packed")
    args = parser.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu",
              "vocab_size": VOCABULARY, "hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE,
              "num_hidden_layers": args.layers, "num_attention_heads": 32, "num_key_value_heads": 8,
              "max_position_embeddings": 8192, "rms_norm_eps": 1e-5, "rope_theta": 500000.0,
              "tie_word_embeddings": False, "bos_token_id": 128000, "eos_token_id": 128009}
    if args.form == "packed":
        weights = {"num_bits": 4, "type": "int", "strategy": "group", "group_size": GROUP,
                   "symmetric": True}
        config["quantization_config"] = {
            "quant_method": "compressed-tensors", "format": "pack-quantized",
            "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}
    if args.form == "awq":
        config["quantization_config"] = {"quant_method": "awq", "bits": 4, "group_size": GROUP,
                                         "zero_point": True, "version": "gemm"}
    json.dump(config, open(args.folder + "/config.json", "w"), indent=1)
    shutil.copy("models/hydra-tiny/tokenizer.json", args.folder)
    write_weights(args.folder + "/model.safetensors", args.form, args.layers)


if __name__ == "__main__":
    main()
