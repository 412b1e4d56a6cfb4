"""make_gguf.py: our models and adapters as GGUF, so that llama.cpp runs on the very same weights.

    python3 tests/bench/make_gguf.py model FOLDER OUT.gguf
    python3 tests/bench/make_gguf.py adapter FOLDER MODEL_FOLDER OUT.gguf
    python3 tests/bench/make_gguf.py random RANK SEED MODEL.gguf OUT.gguf

`model` takes a folder with compressed-tensors INT4, symmetric, groups of 32: codes and scales go
into Q4_0 as they are, so every weight is exact. The head becomes Q8_0, as our fast kernels round it
too (in F16 it would be twice the bytes); the embedding keeps its F16. llama.cpp rotates neighbours
where Hugging Face rotates halves, so rows of Q and K (and of their adapters' B) change places.
`random` makes an adapter on all linear layers of a GGUF model, for timing only. Needs the packages
gguf, numpy and safetensors.
"""
import json
import pathlib
import sys

import gguf
import numpy
from safetensors import safe_open

NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
         "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
         "mlp.down_proj": "ffn_down"}
Q4_0, Q8_0 = gguf.GGMLQuantizationType.Q4_0, gguf.GGMLQuantizationType.Q8_0


def interleave(rows, heads):
    """Halves of each head to neighbours, along the first axis."""
    shape = rows.shape
    return rows.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def heads_of(config, projection):
    """How many heads to interleave, 0 for none."""
    if projection.endswith("q_proj"):
        return config["num_attention_heads"]
    return config["num_key_value_heads"] if projection.endswith("k_proj") else 0


def q4_0(packed, scales):
    """Blocks of 32: an F16 scale, then 16 bytes of which byte i holds codes i and i + 16."""
    rows, words = packed.shape
    codes = (packed.view(numpy.uint32)[:, :, None] >> numpy.arange(0, 32, 4, dtype=numpy.uint32)) & 15
    codes = codes.astype(numpy.uint8).reshape(rows, words * 8 // 32, 2, 16)
    blocks = codes[:, :, 0] | codes[:, :, 1] << 4
    scales = scales.astype(numpy.float16).view(numpy.uint8).reshape(rows, -1, 2)
    return numpy.concatenate([scales, blocks], axis=2).reshape(rows, -1)


def add_vocabulary(out, folder, config):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokens = [f"[unused {i}]" for i in range(config["vocab_size"])]
    kinds = [gguf.TokenType.UNUSED] * len(tokens)
    for text, id in tokenizer["model"]["vocab"].items():
        tokens[id], kinds[id] = text, gguf.TokenType.NORMAL
    for token in tokenizer["added_tokens"]:
        tokens[token["id"]] = token["content"]
        kinds[token["id"]] = gguf.TokenType.CONTROL if token["special"] else gguf.TokenType.USER_DEFINED
    merges = tokenizer["model"]["merges"]
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("llama-bpe")
    out.add_token_list(tokens)
    out.add_token_types(kinds)
    out.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in merges])
    out.add_bos_token_id(config["bos_token_id"])
    out.add_eos_token_id(config["eos_token_id"])
    out.add_add_bos_token(False)


def add_shape(out, config):
    out.add_block_count(config["num_hidden_layers"])
    out.add_context_length(config["max_position_embeddings"])
    out.add_embedding_length(config["hidden_size"])
    out.add_feed_forward_length(config["intermediate_size"])
    out.add_head_count(config["num_attention_heads"])
    out.add_head_count_kv(config["num_key_value_heads"])
    out.add_layer_norm_rms_eps(config["rms_norm_eps"])
    out.add_rope_freq_base(config["rope_theta"])
    out.add_rope_dimension_count(config["head_dim"])
    out.add_vocab_size(config["vocab_size"])


def finish(out):
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def write_model(folder, path):
    config = json.loads((folder / "config.json").read_text())
    weights = config["quantization_config"]["config_groups"]["group_0"]["weights"]
    found = {k: weights.get(k) for k in ("num_bits", "symmetric", "group_size")}
    assert found == {"num_bits": 4, "symmetric": True, "group_size": 32}, f"not Q4_0's form: {found}"
    assert config.get("rope_scaling") is None, "rope_scaling is not written"
    out = gguf.GGUFWriter(path, "llama")
    out.add_name(folder.name)
    add_shape(out, config)
    add_vocabulary(out, folder, config)
    out.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    with safe_open(folder / "model.safetensors", "numpy") as file:
        get = file.get_tensor
        table = get("model.embed_tokens.weight")
        head = table if config["tie_word_embeddings"] else get("lm_head.weight")
        out.add_tensor("token_embd.weight", table)
        out.add_tensor("output.weight", gguf.quants.quantize(head.astype(numpy.float32), Q8_0), raw_dtype=Q8_0)
        out.add_tensor("output_norm.weight", get("model.norm.weight").astype(numpy.float32))
        for layer in range(config["num_hidden_layers"]):
            ours, theirs = f"model.layers.{layer}", f"blk.{layer}"
            for norm, name in (("input_layernorm", "attn_norm"), ("post_attention_layernorm", "ffn_norm")):
                out.add_tensor(f"{theirs}.{name}.weight", get(f"{ours}.{norm}.weight").astype(numpy.float32))
            for projection, name in NAMES.items():
                packed, scales = (get(f"{ours}.{projection}.weight_{part}") for part in ("packed", "scale"))
                heads = heads_of(config, projection)
                if heads:
                    packed, scales = interleave(packed, heads), interleave(scales, heads)
                out.add_tensor(f"{theirs}.{name}.weight", q4_0(packed, scales), raw_dtype=Q4_0)
    finish(out)


def start_adapter(path, alpha):
    out = gguf.GGUFWriter(path, "llama")
    out.add_string("general.type", "adapter")
    out.add_string("adapter.type", "lora")
    out.add_float32("adapter.lora.alpha", alpha)
    return out


def write_adapter(folder, model_folder, path):
    config = json.loads((model_folder / "config.json").read_text())
    adapter = json.loads((folder / "adapter_config.json").read_text())
    assert not adapter["use_rslora"] and not adapter["rank_pattern"] and not adapter["alpha_pattern"]
    out = start_adapter(path, adapter["lora_alpha"])
    if adapter.get("alora_invocation_tokens"):
        out.add_key_value("adapter.alora.invocation_tokens", adapter["alora_invocation_tokens"],
                          gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.UINT32)
    with safe_open(folder / "adapter_model.safetensors", "numpy") as file:
        for key in file.keys():
            layer, _, projection = key.split(".layers.")[1].partition(".")
            projection, side = projection.removesuffix(".weight").rsplit(".", 1)
            tensor = file.get_tensor(key)
            heads = heads_of(config, projection) if side == "lora_B" else 0
            tensor = interleave(tensor, heads) if heads else tensor
            out.add_tensor(f"blk.{layer}.{NAMES[projection]}.weight.{side.lower()}", tensor)
    finish(out)


def write_random(rank, seed, model, path):
    draw = numpy.random.default_rng(seed)
    out = start_adapter(path, 0.001 * rank)
    for tensor in gguf.GGUFReader(model).tensors:
        if tensor.name.split(".")[-2] not in NAMES.values():
            continue
        columns, rows = (int(n) for n in tensor.shape)
        for side, shape, fan in (("a", (rank, columns), columns), ("b", (rows, rank), rank)):
            value = draw.standard_normal(shape, numpy.float32) / numpy.sqrt(fan)
            out.add_tensor(f"{tensor.name}.lora_{side}", value.astype(numpy.float16))
    finish(out)


def main():
    kind, *rest = sys.argv[1:]
    if kind == "model":
        write_model(pathlib.Path(rest[0]), rest[1])
    elif kind == "adapter":
        write_adapter(pathlib.Path(rest[0]), pathlib.Path(rest[1]), rest[2])
    elif kind == "random":
        write_random(int(rest[0]), int(rest[1]), rest[2], rest[3])
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
