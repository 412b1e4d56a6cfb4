#!/usr/bin/env python3
"""Makes the small GGUF files of tests and fuzzing, by the `gguf` package (0.19.0). Run in the
repository root.

tests/fuzz/corpus/gguf/: model.gguf, one block of Llama with a tensor of each type that has blocks
of 32 and of each dense one, rope_freqs.weight and a byte-level vocabulary; others that differ in
their metadata; adapter.gguf, an aLoRA for it with a pair of each float type.

tests/golden/gguf_blocks.safetensors: of each supported type with blocks, NAME.blocks U8 (two rows of
512 values) and NAME.values F32 [2, 512], what gguf.quants.dequantize makes of them.
"""

import os

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T
from safetensors.numpy import save_file

CORPUS = "tests/fuzz/corpus/gguf/"
HIDDEN, HEADS, KV, WIDE, VOCABULARY = 32, 2, 1, 64, 262
random = np.random.default_rng(20)


def add(writer, name, shape, kind):
    values = random.normal(0, 0.1, shape).astype(np.float32)
    if kind == T.F32:
        writer.add_tensor(name, values)
    elif kind == T.F16:
        writer.add_tensor(name, values.astype(np.float16))
    else:
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)


def alphabet():
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(b) if b in printable else chr(next(others)) for b in range(256)]


def write(name, change=lambda writer: None, untied=False, version=3):
    writer = gguf.GGUFWriter(CORPUS + name, "llama")
    writer.add_type("model")
    writer.add_name("Tiny")
    writer.add_license("llama3.1")
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(1)
    writer.add_feed_forward_length(WIDE)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV)
    writer.add_rope_freq_base(5e5)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    words = alphabet()
    merges = ["Ġ t", "Ġt h", "h e"]
    tokens = words + ["Ġt", "Ġth", "he", "<|begin|>", "<|end|>", "<|eot|>"]
    writer.add_token_list(tokens)
    writer.add_token_types([1] * 259 + [3] * 3)
    writer.add_token_merges(merges)
    writer.add_bos_token_id(259)
    writer.add_eos_token_id(260)
    writer.add_eot_token_id(261)
    change(writer)
    head = HIDDEN // HEADS
    add(writer, "token_embd.weight", (VOCABULARY, HIDDEN), T.Q8_0)
    if untied:
        add(writer, "output.weight", (VOCABULARY, HIDDEN), T.F16)
    add(writer, "output_norm.weight", (HIDDEN,), T.F32)
    writer.add_tensor("rope_freqs.weight", np.linspace(1, 8, head // 2, dtype=np.float32))
    add(writer, "blk.0.attn_norm.weight", (HIDDEN,), T.F32)
    add(writer, "blk.0.ffn_norm.weight", (HIDDEN,), T.F32)
    add(writer, "blk.0.attn_q.weight", (HIDDEN, HIDDEN), T.F16)
    add(writer, "blk.0.attn_k.weight", (KV * head, HIDDEN), T.Q4_1)
    add(writer, "blk.0.attn_v.weight", (KV * head, HIDDEN), T.BF16)
    add(writer, "blk.0.attn_output.weight", (HIDDEN, HIDDEN), T.Q4_0)
    add(writer, "blk.0.ffn_gate.weight", (WIDE, HIDDEN), T.F32)
    add(writer, "blk.0.ffn_up.weight", (WIDE, HIDDEN), T.Q4_1)
    add(writer, "blk.0.ffn_down.weight", (HIDDEN, WIDE), T.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def adapter():
    """Ranks differ from pair to pair."""
    writer = gguf.GGUFWriter(CORPUS + "adapter.gguf", "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 6)
    writer.add_key_value("adapter.alora.invocation_tokens", [3, 4], gguf.GGUFValueType.ARRAY,
                         gguf.GGUFValueType.UINT32)
    for name, kind, rank, rows, columns in (
            ("attn_q", T.F16, 4, HIDDEN, HIDDEN), ("attn_k", T.BF16, 1, KV * HIDDEN // HEADS, HIDDEN),
            ("ffn_down", T.F32, 3, HIDDEN, WIDE)):
        add(writer, f"blk.0.{name}.weight.lora_a", (rank, columns), kind)
        add(writer, f"blk.0.{name}.weight.lora_b", (rows, rank), kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def all_kinds(writer):
    for kind in "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64":
        getattr(writer, "add_" + kind)("x." + kind, 1)
    writer.add_float32("x.float32", 1.5)
    writer.add_float64("x.float64", 1.5)
    writer.add_bool("x.bool", True)
    for name, values in ("ints", [1, 2, 3]), ("texts", ["a", "", "bc"]), ("floats", [0.5, 1.5]):
        writer.add_array("x." + name, values)
    writer.add_custom_alignment(64)


def blocks():
    """Random codes with scales of a usual size: quantize() of the package has no Q4_K or Q6_K."""
    out = {}
    for kind, bytes_of_block, halves in ((T.Q4_0, 18, [0]), (T.Q4_1, 20, [0, 2]), (T.Q8_0, 34, [0]),
                                         (T.Q4_K, 144, [0, 2]), (T.Q6_K, 210, [208])):
        count = 1024 // gguf.GGML_QUANT_SIZES[kind][0]
        raw = random.integers(0, 256, (count, bytes_of_block), np.uint8)
        for at in halves:
            half = (random.uniform(0.5, 1.5, count) * 1e-3).astype(np.float16)
            raw[:, at:at + 2] = half.view(np.uint8).reshape(count, 2)
        raw = raw.reshape(2, -1)
        out[kind.name + ".blocks"] = raw
        out[kind.name + ".values"] = gguf.quants.dequantize(raw, kind).reshape(2, 512)
    save_file(out, "tests/golden/gguf_blocks.safetensors")


def main():
    os.makedirs(CORPUS, exist_ok=True)
    write("model.gguf")
    write("untied.gguf", all_kinds, untied=True)
    write("linear.gguf", lambda w: (w.add_rope_scaling_type(gguf.RopeScalingType.LINEAR),
                                    w.add_rope_scaling_factor(4)))
    blocks()
    adapter()


if __name__ == "__main__":
    main()
