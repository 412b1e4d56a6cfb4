"""small_models.py: what make_adapter_goldens.py and make_architecture_goldens.py share: small random
Llama models in compressed-tensors form, the same models in transformers with F32 weights, and the
archive that keeps folders and goldens together.

Every tensor is a slice of one pool of random values, each from a place of its own, so that the
archive holds the bytes once however many models it has.
"""
import io
import json
import os
import tarfile
import zlib

import numpy as np
import torch
from compressed_tensors.compressors.pack_quantized.base import PackedQuantizationCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from safetensors.torch import load_file, save, save_file
from transformers import LlamaConfig, LlamaForCausalLM

from make_model_values import dequantise, meta_model, scheme_of

POOL = 1 << 14
random = np.random.default_rng(2026)
codes = torch.from_numpy(np.tile(random.integers(-128, 128, POOL, np.int8), 8))
# In sixteenths: no type of a file rounds them, and they compress well.
floats = torch.from_numpy(np.tile((random.standard_normal(POOL) * 16).round() / 16, 8)).float()
NEAR_TIE = 1e-3  # a golden arg-max must win by more


def slice_of(pool, name, shape):
    """Values of the pool from a place that the name decides."""
    count = int(np.prod(shape))
    start = zlib.crc32(name.encode()) % POOL // 64 * 64
    assert start + count <= len(pool)
    return pool[start:start + count].view(*shape).clone()


def linear(name, shape, bits, group):
    """Weights of a quantised layer as compressed_tensors packs them; scales are powers of two."""
    code = slice_of(codes, name, shape)
    if bits == 4:
        code = code >> 4
    spread = -8 - (shape[1] > 128) - (0 if bits == 8 else -4)
    scale = torch.exp2(spread - (slice_of(codes, name + "s", (shape[0], shape[1] // group)) & 1))
    weights = dict(type="int", strategy="group", dynamic=False, num_bits=bits, symmetric=True,
                   group_size=group)
    scheme = QuantizationScheme(targets=["Linear"], weights=QuantizationArgs(**weights))
    state = {"weight": code.float() * scale.repeat_interleave(group, 1), "weight_scale": scale}
    packed = PackedQuantizationCompressor.compress(state, scheme)
    return packed | {"weight_scale": scale.half()}, weights


def write_model(folder, config, bits=8, group=16, edit=None):
    """A model's folder; edit changes config.json's content before it is written."""
    os.makedirs(folder)
    tensors = {}
    for name, parameter in meta_model(config).named_parameters():
        if name.endswith("_proj.weight"):
            module = name.removesuffix(".weight")
            packed, weights = linear(name, parameter.shape, bits, group)
            tensors |= {f"{module}.{part}": value for part, value in packed.items()}
        elif name.endswith("norm.weight"):
            tensors[name] = (1 + slice_of(floats, name, parameter.shape) / 8).bfloat16()
        elif not (config.tie_word_embeddings and name == "lm_head.weight"):
            spread = 1 if name == "model.embed_tokens.weight" else 0.125
            tensors[name] = (slice_of(floats, name, parameter.shape) * spread).bfloat16()
    config.save_pretrained(folder)
    text = json.load(open(folder + "/config.json"))
    text["quantization_config"] = {
        "quant_method": "compressed-tensors", "format": "pack-quantized",
        "quantization_status": "compressed", "ignore": ["lm_head"],
        "config_groups": {"group_0": {"targets": ["Linear"], "weights": weights}}}
    if edit:
        edit(text)
    json.dump(text, open(folder + "/config.json", "w"), indent=1)
    open(folder + "/tokenizer.json", "w").write("{}\n")  # core/model asks only that it is there
    save_file(tensors, folder + "/model.safetensors")


def read_model(folder):
    """The folder in transformers, its weights expanded to F32."""
    config = LlamaConfig.from_pretrained(folder)
    scheme = scheme_of(json.load(open(folder + "/config.json")))
    del config.quantization_config
    tensors, state = load_file(folder + "/model.safetensors"), {}
    for name, tensor in tensors.items():
        if name.endswith(".weight_packed"):
            module = name.removesuffix(".weight_packed")
            parts = {key.removeprefix(module + "."): value for key, value in tensors.items()
                     if key.startswith(module + ".")}
            state[module + ".weight"] = dequantise(parts, scheme)
        elif ".weight_s" not in name:
            state[name] = tensor.float()
    model = LlamaForCausalLM(config).float().eval()
    missing = model.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys and set(missing.missing_keys) <= {"lm_head.weight"}, missing
    assert config.tie_word_embeddings == bool(missing.missing_keys)
    model.tie_weights()
    return model


@torch.no_grad()
def logits_of(model, prompt):
    """[tokens, vocabulary], each position's best well before its second."""
    logits = model(input_ids=torch.tensor([prompt]), use_cache=False).logits[0]
    best = logits.topk(2).values
    assert (best[:, 0] - best[:, 1]).min() > NEAR_TIE, "a near-tie: take another prompt"
    return logits


def write_archive(path, folder, goldens, logits):
    """folder and its goldens as one xz-compressed tar, the same bytes at every run."""
    json.dump(goldens, open(folder + "/goldens.json", "w"), indent=0)
    open(folder + "/logits.safetensors", "wb").write(save({"logits": torch.stack(logits)}))
    names = sorted(os.path.relpath(os.path.join(where, name), folder)
                   for where, _, files in os.walk(folder) for name in files)
    with tarfile.open(path, "w:xz", preset=9, format=tarfile.USTAR_FORMAT) as archive:
        for name in names:
            content = open(os.path.join(folder, name), "rb").read()
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    print(path, os.path.getsize(path), "bytes,", len(names), "files")
