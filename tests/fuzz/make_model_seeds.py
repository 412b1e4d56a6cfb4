#!/usr/bin/env python3
"""make_model_seeds.py: seeds of fuzz_model_folder.c in the forms whose codes the reader puts in
order, and in the dense ones.

    python3 tests/fuzz/make_model_seeds.py

Writes tests/fuzz/corpus/model_folder/{bf16,f32,awq,gptq,gptq_v2}: config.json, a byte 0, and
model.safetensors of one layer, 16 wide. Needs nothing but Python.
"""
import json
import random
import struct

CORPUS = "tests/fuzz/corpus/model_folder/"
WIDE, KV, GROUP, VOCABULARY = 16, 8, 16, 4
PROJECTIONS = {"self_attn.q_proj": (WIDE, WIDE), "self_attn.k_proj": (KV, WIDE),
               "self_attn.v_proj": (KV, WIDE), "self_attn.o_proj": (WIDE, WIDE),
               "mlp.gate_proj": (WIDE, WIDE), "mlp.up_proj": (WIDE, WIDE),
               "mlp.down_proj": (WIDE, WIDE)}
BYTES = {"BF16": 2, "F16": 2, "F32": 4, "I32": 4}
VALUES = {"BF16": b"\x80\x3d", "F16": b"\x00\x2c", "F32": b"\x00\x00\x80\x3d"}  # 1/16


def linear(form, rows, columns):
    """suffix: type and shape of one layer's tensors."""
    groups = columns // GROUP
    if form in ("bf16", "f32"):
        return {"weight": (form.upper(), [rows, columns])}
    if form == "awq":
        return {"qweight": ("I32", [columns, rows // 8]), "qzeros": ("I32", [groups, rows // 8]),
                "scales": ("F16", [groups, rows])}
    return {"qweight": ("I32", [columns // 8, rows]), "qzeros": ("I32", [groups, rows // 8]),
            "scales": ("F16", [groups, rows]), "g_idx": ("I32", [columns])}


def tensors(form):
    dense = "F32" if form == "f32" else "BF16"
    layer = "model.layers.0."
    yield "model.embed_tokens.weight", dense, [VOCABULARY, WIDE]
    for norm in (layer + "input_layernorm", layer + "post_attention_layernorm", "model.norm"):
        yield norm + ".weight", dense, [WIDE]
    for name, (rows, columns) in PROJECTIONS.items():
        for suffix, (kind, shape) in linear(form, rows, columns).items():
            yield f"{layer}{name}.{suffix}", kind, shape


def content(name, kind, count, generator):
    if name.endswith("g_idx"):
        return bytes(4 * count)  # all of one group
    if kind == "I32":
        return generator.randbytes(4 * count)
    return VALUES[kind] * count


def quantization(form):
    if form == "awq":
        return {"quant_method": "awq", "bits": 4, "group_size": GROUP, "zero_point": True,
                "version": "gemm"}
    return {"quant_method": "gptq", "bits": 4, "group_size": GROUP, "desc_act": False, "sym": False,
            "checkpoint_format": form}


def seed(form):
    generator = random.Random(form)
    config = {"architectures": ["LlamaForCausalLM"], "vocab_size": VOCABULARY, "hidden_size": WIDE,
              "intermediate_size": WIDE, "num_hidden_layers": 1, "num_attention_heads": 2,
              "num_key_value_heads": 1, "max_position_embeddings": 32, "tie_word_embeddings": True}
    if form not in ("bf16", "f32"):
        config["quantization_config"] = quantization(form)
    header, data = {}, b""
    for name, kind, shape in tensors(form):
        count = shape[0] * (shape[1] if len(shape) == 2 else 1)
        begin = len(data)
        data += content(name, kind, count, generator)
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [begin, len(data)]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return json.dumps(config, separators=(",", ":")).encode() + b"\0" + \
        struct.pack("<Q", len(text)) + text + data


def main():
    for form in ("bf16", "f32", "awq", "gptq", "gptq_v2"):
        with open(CORPUS + form, "wb") as file:
            file.write(seed(form))


if __name__ == "__main__":
    main()
