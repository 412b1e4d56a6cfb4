#!/usr/bin/env python3
"""Makes the goldens of core/model with foreign readers: safetensors, compressed_tensors, transformers
and PEFT (0.8.0, 0.20.0, 5.23.0 and 0.21.2 made the committed ones).
Run in the repository root: python3 tests/golden/make_model_values.py

models/<name>/            small random Llama models in forms that hydra-tiny does not have, written by
                          compressed_tensors' own packer and transformers' own config writer
model_values.json         SHA-256 of each tensor as these libraries read it: dequantised F32 weights,
                          F32 norms, embedding bytes; RoPE frequencies; LoRA pairs of plugins/*
lora_choices.json         for many PEFT configurations, the rank and scale of each module in a model
                          that PEFT itself built from them
"""

import hashlib
import json
import os
import tempfile

import torch
from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor
from compressed_tensors.compressors.pack_quantized.helpers import unpack_from_int32
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from peft import LoraConfig, get_peft_model
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

FOLDER = "tests/golden/"
PROJECTIONS = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
               "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]


def sha(tensor):
    return hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest()


def scheme_of(config):
    group = next(iter(config["quantization_config"]["config_groups"].values()))
    return QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**group["weights"]))


def dequantise(state, scheme):
    """F32 weights; the library's own answer, which has the scale's type, must be their rounding."""
    bits, shape = scheme.weights.num_bits, state["weight_shape"].tolist()
    scale = state["weight_scale"].float()
    code = unpack_from_int32(state["weight_packed"], bits, shape).float()
    zero = torch.zeros_like(scale)
    if "weight_zero_point" in state:
        zero = unpack_from_int32(state["weight_zero_point"], bits, scale.shape, packed_dim=0).float()
    group = shape[1] // scale.shape[1]
    weight = (code - zero.repeat_interleave(group, 1)) * scale.repeat_interleave(group, 1)
    library = PackedQuantizationCompressor.decompress(state, scheme)["weight"]
    assert torch.equal(library, weight.to(library.dtype))
    return weight


def read_model(folder):
    config = json.load(open(folder + "/config.json"))
    scheme = scheme_of(config)
    tensors = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            with safe_open(folder + "/" + name, "pt") as file:
                tensors |= {key: file.get_tensor(key) for key in file.keys()}
    values = {}
    for name, tensor in tensors.items():
        if name.endswith("norm.weight"):
            values[name] = sha(tensor.float())
        elif name in ("model.embed_tokens.weight", "lm_head.weight"):
            values[name] = sha(tensor)
        elif name.endswith(".weight_packed"):
            module = name.removesuffix(".weight_packed")
            state = {key.removeprefix(module + "."): value for key, value in tensors.items()
                     if key.startswith(module + ".")}
            values[module] = sha(dequantise(state, scheme))
    loaded = LlamaConfig.from_pretrained(folder)
    rope = LlamaRotaryEmbedding(loaded).inv_freq
    return {"folder": folder, "tensors": values, "rope": rope.tolist(),
            "parameters": sum(p.numel() for p in meta_model(loaded).parameters())}


def meta_model(config):
    config = LlamaConfig(**{k: v for k, v in config.to_dict().items() if k != "quantization_config"})
    with torch.device("meta"):
        return LlamaForCausalLM(config)


def make_model(name, weights, scale_type, shards, **more):
    """A random one-layer model whose scales are powers of two, so that offsets are exact in F16."""
    torch.manual_seed(len(name))
    folder = FOLDER + "models/" + name
    os.makedirs(folder, exist_ok=True)
    config = LlamaConfig(vocab_size=48, hidden_size=64, intermediate_size=128, num_hidden_layers=1,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
                         bos_token_id=1, eos_token_id=[2, 3], architectures=["LlamaForCausalLM"],
                         **more)
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**weights))
    tensors = {}
    for key, parameter in meta_model(config).named_parameters():
        value = torch.randn(parameter.shape)
        if not key.endswith("_proj.weight"):
            tensors[key] = value.to(scale_type)
            continue
        module, groups = key.removesuffix(".weight"), value.shape[1] // weights["group_size"]
        scale = torch.exp2(torch.randint(-6, -3, (value.shape[0], groups)).float())
        state = {"weight": value.to(scale_type), "weight_scale": scale.to(scale_type)}
        if not weights["symmetric"]:
            half = 1 << (weights["num_bits"] - 1)
            state["weight_zero_point"] = torch.randint(-half, half, scale.shape, dtype=torch.int8)
        for part, tensor in PackedQuantizationCompressor.compress(state, scheme).items():
            tensors[f"{module}.{part}"] = tensor
    if config.tie_word_embeddings:
        tensors.pop("lm_head.weight", None)
    config.save_pretrained(folder)
    path = folder + "/config.json"
    text = json.load(open(path))
    text["quantization_config"] = {
        "quant_method": "compressed-tensors", "format": "pack-quantized",
        "quantization_status": "compressed", "ignore": ["lm_head"], "kv_cache_scheme": None,
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights,
                                      "input_activations": None, "output_activations": None}}}
    json.dump(text, open(path, "w"), indent=1)
    open(folder + "/tokenizer.json", "w").write("{}\n")  # core/model asks only that it is there
    names = sorted(tensors)
    if shards == 1:
        save_file(tensors, folder + "/model.safetensors")
        return folder
    index = {name: f"model-{i % shards + 1:05}-of-{shards:05}.safetensors"
             for i, name in enumerate(names)}
    for shard in set(index.values()):
        save_file({k: tensors[k] for k in names if index[k] == shard}, folder + "/" + shard)
    json.dump({"metadata": {}, "weight_map": index},
              open(folder + "/model.safetensors.index.json", "w"), indent=1)
    return folder


def read_plugin(folder):
    """One digest over A and B of every module, in the order of layers and projections."""
    digest, count = hashlib.sha256(), 0
    with safe_open(folder + "/adapter_model.safetensors", "pt") as file:
        keys = set(file.keys())
        for layer in range(8):
            for projection in PROJECTIONS:
                for which in "AB":
                    key = f"base_model.model.model.layers.{layer}.{projection}.lora_{which}.weight"
                    tensor = file.get_tensor(key)
                    digest.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
                    keys.remove(key)
                    count += tensor.numel()
    assert not keys
    return {"folder": folder, "pairs": digest.hexdigest(), "values": count}


LORA = [
    dict(target_modules=["q_proj", "v_proj"]),
    dict(),
    dict(target_modules="all-linear", r=4, lora_alpha=7),
    dict(target_modules=r".*\.(q|k)_proj", lora_alpha=16),
    dict(target_modules=r"model\.layers\.[02]\.mlp\.\w+_proj", use_rslora=True, r=6, lora_alpha=5),
    dict(target_modules=["q_proj", "mlp.up_proj", "model.layers.3.self_attn.o_proj"],
         layers_to_transform=[1, 2]),
    dict(target_modules=["down_proj"], layers_to_transform=3),
    dict(target_modules=["down_proj", "k_proj"], layers_to_transform=[0, 3], layers_pattern="layers"),
    dict(target_modules=["down_proj", "k_proj"], layers_to_transform=[0, 3],
         layers_pattern=["h", "lay.*s"]),
    dict(target_modules=["o_proj", "q_proj"], layers_to_transform=[]),
    dict(target_modules="all-linear", exclude_modules=["self_attn.q_proj", "down_proj"]),
    dict(target_modules=["q_proj", "k_proj"], exclude_modules=r".*layers\.(1|2)\..*"),
    dict(target_modules="all-linear", r=8, lora_alpha=16,
         rank_pattern={"q_proj": 2, "self_attn.q_proj": 3, r"layers\.1\..*": 5, "mlp.*|k_proj": 7},
         alpha_pattern={r"^model\.layers\.0\.self_attn\.v_proj": 11, "up_proj": 3, "proj": 99}),
    dict(target_modules="all-linear", r=8, lora_alpha=16, use_rslora=True,
         rank_pattern={r"^model.layers.2.mlp.up_proj$": 32, "_proj": 64, "k_proj|o_proj": 1},
         alpha_pattern={"k_proj|o_proj": 3.5}),
    dict(target_modules=["v_proj"], alora_invocation_tokens=[5, 9], init_lora_weights="gaussian"),
]


def lora_case(options):
    """The configuration as PEFT saves it (keys sorted, which decides between patterns), and what
    PEFT makes of that file."""
    with tempfile.TemporaryDirectory() as folder:
        LoraConfig(task_type="CAUSAL_LM", **options).save_pretrained(folder)
        config = json.load(open(folder + "/adapter_config.json"))
        loaded = LoraConfig.from_pretrained(folder)
    for field in ("target_modules", "exclude_modules"):  # PEFT's are sets, in any order
        if isinstance(config[field], list):
            config[field].sort()
    base = LlamaForCausalLM(LlamaConfig(
        vocab_size=16, hidden_size=64, intermediate_size=64, num_hidden_layers=4,
        num_attention_heads=2, num_key_value_heads=2))
    model = get_peft_model(base, loaded)
    chosen = {name.removeprefix("base_model.model."): [module.r["default"], module.scaling["default"]]
              for name, module in model.named_modules() if hasattr(module, "lora_A")}
    return {"config": config, "modules": dict(sorted(chosen.items()))}


def main():
    group = dict(type="int", strategy="group", dynamic=False)
    folders = [
        "models/hydra-tiny",
        make_model("int8-asymmetric", dict(num_bits=8, symmetric=False, group_size=16, **group),
                   torch.float16, 2, tie_word_embeddings=False,
                   rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0,
                                        # the second of its waves is in the blended range
                                        low_freq_factor=1.0, high_freq_factor=4.0,
                                        original_max_position_embeddings=32)),
        make_model("int4-asymmetric", dict(num_bits=4, symmetric=False, group_size=64, **group),
                   torch.bfloat16, 1, tie_word_embeddings=True,
                   rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0)),
        make_model("int8-symmetric", dict(num_bits=8, symmetric=True, group_size=32, **group),
                   torch.float32, 1, tie_word_embeddings=True, head_dim=8),
    ]
    values = {"models": [read_model(folder) for folder in folders],
              "plugins": [read_plugin("plugins/" + name) for name in sorted(os.listdir("plugins"))
                          if os.path.exists(f"plugins/{name}/plugin.json")]}
    json.dump(values, open(FOLDER + "model_values.json", "w"), indent=0)
    json.dump([lora_case(options) for options in LORA], open(FOLDER + "lora_choices.json", "w"),
              indent=0)


if __name__ == "__main__":
    main()
