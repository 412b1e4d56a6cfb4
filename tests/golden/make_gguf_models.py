#!/usr/bin/env python3
"""make_gguf_models.py: small Llama models as GGUF files, one for each form that hydraglot reads, and
their logits by transformers.

    python tests/golden/make_gguf_models.py             (torch, transformers, gguf)

Writes tests/golden/gguf_models.tar.xz, which tests/golden/test_gguf_models.c reads. A tensor's blocks
are slices of a pool of random ones of its type, so that the archive stays small: any codes and any
scales are a block, and what they mean is gguf.quants.dequantize's word. transformers computes in F32
with these values, the rows of q and k put back as llama.cpp's converter found them. Models with Q4_K
or Q6_K compute once more with each scale and offset, a product of two numbers, rounded to F16: what
hydraglot computes with.

    NAME.gguf           metadata as convert_hf_to_gguf.py writes them, without a vocabulary
    goldens.json        of each: file, exact (no rounding of scales), dense, prompt, arg-max of each
                        position, whose logits are kept
    logits.safetensors  logits [kept positions of all cases, vocabulary] F32; of those that are not
                        exact, the kept positions with rounded scales follow

gguf 0.19.0, transformers 5.24.0 and torch 2.15.0 made the committed one.
"""
import tempfile
import zlib

import gguf
import numpy as np
import torch
from gguf import GGMLQuantizationType as T
from transformers import LlamaConfig, LlamaForCausalLM

from make_smollm2_goldens import unpermute
from small_models import logits_of, random, write_archive

VOCABULARY, POSITIONS, THETA = 96, 20, 5e5
BLOCKS = 251  # of each type in the pool; a prime, so that rows of a matrix differ
# Bytes of a block that are F16, with about how large they should be: weights of about 0.05.
HALVES = {T.Q4_0: {0: 1e-2}, T.Q4_1: {0: 1e-2, 2: -7.5e-2}, T.Q8_0: {0: 7e-4},
          T.Q4_K: {0: 1.2e-4, 2: 9e-4}, T.Q6_K: {208: 3e-5}}
NAMES = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
         "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
         "ffn_down": "mlp.down_proj"}
LLAMA3 = dict(rope_type="llama3", rope_theta=THETA, factor=8.0, low_freq_factor=1.0,
              high_freq_factor=4.0, original_max_position_embeddings=64)
SMALL = dict(hidden_size=64, intermediate_size=96)
WIDE = dict(hidden_size=256, intermediate_size=256)

# name: shape; types of linear layers, of v and down where they differ, of the embedding, of the head
# (None: tied); rope_freqs.weight
CASES = {
    "q4_k": (WIDE | dict(num_attention_heads=4, num_key_value_heads=2), T.Q4_K, T.Q6_K, T.Q4_K, T.Q6_K, True),
    "q4_k-tied": (WIDE | dict(num_attention_heads=8, num_key_value_heads=1), T.Q4_K, T.Q4_K, T.Q6_K, None, False),
    "q6_k": (WIDE | dict(num_attention_heads=4, num_key_value_heads=4), T.Q6_K, T.Q6_K, T.Q8_0, None, False),
    "q4_0": (SMALL | dict(num_attention_heads=4, num_key_value_heads=2), T.Q4_0, T.Q4_0, T.Q8_0, None, True),
    "q4_1": (SMALL | dict(num_attention_heads=4, num_key_value_heads=1), T.Q4_1, T.Q8_0, T.Q4_1, T.Q4_0, False),
    "q8_0": (SMALL | dict(num_attention_heads=2, num_key_value_heads=2), T.Q8_0, T.Q8_0, T.Q8_0, T.F16, False),
    "f16": (SMALL | dict(num_attention_heads=4, num_key_value_heads=2), T.F16, T.F16, T.F16, None, True),
    "bf16": (SMALL | dict(num_attention_heads=4, num_key_value_heads=4), T.BF16, T.BF16, T.BF16, T.BF16, False),
    "f32": (SMALL | dict(num_attention_heads=4, num_key_value_heads=2), T.F32, T.F32, T.F32, T.Q8_0, False),
}


def make_pool(kind):
    block, bytes_of_block = gguf.GGML_QUANT_SIZES[kind]
    if kind not in HALVES:  # floats: in 1024ths, which no type rounds much and which compress well
        floats = (random.standard_normal(BLOCKS * 64) * 51).round().astype(np.float32) / 1024
        if kind == T.F32:
            return floats.view(np.uint8).reshape(-1, 4)
        half = floats.astype(np.float16) if kind == T.F16 else gguf.quants.quantize(floats, kind)
        return half.view(np.uint8).reshape(-1, 2)
    raw = random.integers(0, 256, (BLOCKS, bytes_of_block), np.uint8)
    for at, size in HALVES[kind].items():
        half = (random.uniform(0.5, 1.5, BLOCKS) * size).astype(np.float16)
        raw[:, at:at + 2] = half.view(np.uint8).reshape(BLOCKS, 2)
    return raw


POOL = {kind: make_pool(kind) for kind in (T.Q4_0, T.Q4_1, T.Q8_0, T.Q4_K, T.Q6_K, T.F16, T.BF16, T.F32)}


def raw_tensor(name, rows, columns, kind):
    """[rows, bytes]: blocks of the pool from a place that the name decides."""
    pool = POOL[kind]
    count = rows * columns // gguf.GGML_QUANT_SIZES[kind][0]
    at = (zlib.crc32(name.encode()) + np.arange(count)) % len(pool)
    return pool[at].reshape(rows, -1)


def write_metadata(writer, config):
    writer.add_type("model")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(THETA)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)


def halves(values):
    return values.astype(np.float16).astype(np.float32)


def rounded(raw, kind):
    """What dequantize says, with scales and offsets rounded to F16."""
    blocks = raw.reshape(-1, gguf.GGML_QUANT_SIZES[kind][1])
    if kind == T.Q4_K:
        d = blocks[:, :4].copy().view(np.float16).astype(np.float32)
        small = gguf.quants.Q4_K.get_scale_min(blocks[:, 4:16].copy())
        scale, offset = (halves(d[:, i:i + 1] * small[i].astype(np.float32))[..., None] for i in (0, 1))
        codes = blocks[:, 16:].reshape(-1, 4, 1, 32) >> np.array([0, 4], np.uint8).reshape(1, 1, 2, 1) & 15
        return scale * codes.reshape(-1, 8, 32) - offset
    if kind == T.Q6_K:
        d = blocks[:, 208:].copy().view(np.float16).astype(np.float32)
        scale = (d * blocks[:, 192:208].copy().view(np.int8))[..., None]
        values = gguf.quants.dequantize(blocks, kind).reshape(-1, 16, 16)
        codes = np.divide(values, scale, out=np.zeros_like(values), where=scale != 0).round()
        return codes * halves(scale)
    return gguf.quants.dequantize(raw, kind)


class Model:
    """A GGUF file in the making, and its values under transformers' names: as they are, and with
    rounded scales."""

    def __init__(self, path, config):
        self.writer, self.state, self.rounded = gguf.GGUFWriter(path, "llama"), {}, {}
        write_metadata(self.writer, config)

    def matrix(self, name, known_as, rows, columns, kind, heads=None):
        raw = raw_tensor(name, rows, columns, kind)
        self.writer.add_tensor(name, raw, raw_dtype=kind)
        for state, read in (self.state, gguf.quants.dequantize), (self.rounded, rounded):
            values = read(raw, kind).reshape(rows, columns).copy()
            state[known_as] = torch.from_numpy(unpermute(values, heads) if heads else values).contiguous()

    def norm(self, name, known_as, count):
        values = 1 + raw_tensor(name, 1, count, T.F32).reshape(-1).view(np.float32)
        self.writer.add_tensor(name, values)
        self.state[known_as] = self.rounded[known_as] = torch.from_numpy(values.copy())

    def close(self):
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()


def fill(out, config, kinds):
    linear, other, embedding, head = kinds
    size, wide, heads, kv = (config.hidden_size, config.intermediate_size, config.num_attention_heads,
                             config.num_key_value_heads)
    cache = kv * size // heads
    shapes = {"attn_q": (size, size, heads), "attn_k": (cache, size, kv), "attn_v": (cache, size, None),
              "attn_output": (size, size, None), "ffn_gate": (wide, size, None),
              "ffn_up": (wide, size, None), "ffn_down": (size, wide, None)}
    out.matrix("token_embd.weight", "model.embed_tokens.weight", VOCABULARY, size, embedding)
    if head is not None:
        out.matrix("output.weight", "lm_head.weight", VOCABULARY, size, head)
    out.norm("output_norm.weight", "model.norm.weight", size)
    for layer in range(config.num_hidden_layers):
        to = f"model.layers.{layer}."
        out.norm(f"blk.{layer}.attn_norm.weight", to + "input_layernorm.weight", size)
        out.norm(f"blk.{layer}.ffn_norm.weight", to + "post_attention_layernorm.weight", size)
        for part, (rows, columns, of) in shapes.items():
            kind = other if part in ("attn_v", "ffn_down") else linear
            out.matrix(f"blk.{layer}.{part}.weight", f"{to}{NAMES[part]}.weight", rows, columns, kind, of)


def load(model, state):
    missing = model.load_state_dict(state, strict=False)
    tied = model.config.tie_word_embeddings
    assert not missing.unexpected_keys and missing.missing_keys == ["lm_head.weight"] * tied
    model.tie_weights()


def make_case(root, name, logits):
    sizes, linear, other, embedding, head, factors = CASES[name]
    rope = LLAMA3 if factors else dict(rope_type="default", rope_theta=THETA)
    config = LlamaConfig(vocab_size=VOCABULARY, num_hidden_layers=2, max_position_embeddings=128,
                         rms_norm_eps=1e-5, tie_word_embeddings=head is None, rope_parameters=rope, **sizes)
    out = Model(f"{root}/{name}.gguf", config)
    fill(out, config, (linear, other, embedding, head))
    model = LlamaForCausalLM(config).float().eval()
    if factors:  # what transformers divides each frequency by
        half = config.hidden_size // config.num_attention_heads // 2
        plain = THETA ** -(torch.arange(half, dtype=torch.float64) / half)
        factor = plain / model.model.rotary_emb.inv_freq.double()
        out.writer.add_tensor("rope_freqs.weight", factor.float().numpy())
    out.close()
    load(model, out.state)
    while True:
        prompt = random.integers(0, VOCABULARY, POSITIONS).tolist()
        try:
            result = logits_of(model, prompt)
        except AssertionError:  # a near-tie
            continue
        break
    kept = [0, POSITIONS // 2, POSITIONS - 1]
    logits += [result[i] for i in kept]
    exact = not {linear, other, embedding, head} & {T.Q4_K, T.Q6_K}
    if not exact:
        load(model, out.rounded)
        again = logits_of(model, prompt)
        logits += [again[i] for i in kept]
    return dict(file=name + ".gguf", exact=exact, dense=linear in (T.F16, T.BF16, T.F32), prompt=prompt,
                best=result.argmax(1).tolist(), kept=kept)


def main():
    torch.set_num_threads(1)  # the same sums on every machine
    logits = []
    with tempfile.TemporaryDirectory() as root:
        goldens = [make_case(root, name, logits) for name in CASES]
        write_archive("tests/golden/gguf_models.tar.xz", root, goldens, logits)


if __name__ == "__main__":
    main()
