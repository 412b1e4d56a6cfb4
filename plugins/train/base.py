"""base.py: the base model as it is served: frozen layers of INT4 or INT8 codes in a torch model.

An adapter is trained against the very weights that it will stand on (QLoRA). In a large model a layer keeps
its codes and scales and is widened each time it is used, in the backward pass again, so 8B take their 5 GB
and no more; a small one is widened once. The form is compressed-tensors' pack-quantized, symmetric, which `hydraglot model quantize` writes;
models that are not quantised are read too.
"""
import json
import pathlib

import safetensors
import torch
import transformers
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding


SMALL = 200e6  # weights of a model whose layers are widened once


class BadModel(Exception):
    """The folder cannot be trained on; the message says why and what to do."""


def unpacked(packed, columns, bits):
    """[rows, columns] signed codes out of [rows, columns * bits / 32] words, the first one lowest."""
    per = 32 // bits
    shift = torch.arange(per, device=packed.device, dtype=torch.int32) * bits
    codes = (packed.unsqueeze(-1) >> shift) & ((1 << bits) - 1)
    return codes.flatten(1)[:, :columns] - (1 << (bits - 1))


class Widened(torch.autograd.Function):
    """x W^T of a frozen W that is not kept between the passes."""
    @staticmethod
    def forward(context, x, layer):
        context.layer = layer
        return torch.nn.functional.linear(x, layer.widen(x.dtype))

    @staticmethod
    def backward(context, gradient):
        return gradient @ context.layer.widen(gradient.dtype), None


class PackedLinear(torch.nn.Linear):
    """A frozen layer [out, in] of codes in groups along the input, an F16 scale each."""
    def __init__(self, packed, scale, shape, bits):
        torch.nn.Module.__init__(self)
        self.out_features, self.in_features = shape
        self.bits, self.bias = bits, None
        self.register_buffer("packed", packed, persistent=False)  # int32 [out, in * bits / 32]
        self.register_buffer("scale", scale, persistent=False)    # F16 [out, groups]

    def widen(self, dtype):
        codes = unpacked(self.packed, self.in_features, self.bits)
        grouped = codes.view(self.out_features, self.scale.shape[1], -1)
        return (grouped * self.scale.to(dtype).unsqueeze(-1)).view(self.out_features, self.in_features)

    @property
    def weight(self):  # PEFT asks for its device and type
        return self.widen(torch.float32)

    def forward(self, x):
        return Widened.apply(x, self)


def read_quantization(config):
    """Bits of the codes, or 0 for a model that is not quantised."""
    q = config.get("quantization_config")
    if not q:
        return 0
    if q.get("quant_method") != "compressed-tensors" or q.get("format") != "pack-quantized":
        raise BadModel(f"config.json: quantization by {q.get('quant_method')!r}; "
                       "write the model anew with `hydraglot model quantize`")
    weights = [group["weights"] for group in q["config_groups"].values()]
    if len(weights) != 1 or not weights[0]["symmetric"] or weights[0]["num_bits"] not in (4, 8):
        raise BadModel("config.json: only one group of symmetric 4- or 8-bit weights is known here; "
                       "write the model anew with `hydraglot model quantize`")
    return weights[0]["num_bits"]


def tensors(folder):
    """Name -> function that reads that tensor."""
    out = {}
    for path in sorted(folder.glob("*.safetensors")):
        file = safetensors.safe_open(path, "pt")
        out |= {name: (lambda file=file, name=name: file.get_tensor(name)) for name in file.keys()}
    if not out:
        raise BadModel(f"{folder}: has no *.safetensors")
    return out


def put(model, name, value):
    module, _, leaf = name.rpartition(".")
    setattr(model.get_submodule(module), leaf, value)


def linear(packed, dtype):
    """The layer widened for good."""
    out = torch.nn.Linear(packed.in_features, packed.out_features, bias=False, device="meta")
    out.weight = torch.nn.Parameter(packed.widen(dtype), requires_grad=False)
    return out


def fill(model, get, bits, dtype):
    """Gives each layer of an empty model its weights."""
    small = sum(p.numel() for p in model.parameters()) < SMALL
    for name, parameter in list(model.named_parameters()):
        layer = name.removesuffix(".weight")
        if bits and f"{layer}.weight_packed" in get:
            packed = PackedLinear(get[f"{layer}.weight_packed"](), get[f"{layer}.weight_scale"](),
                                  parameter.shape, bits)
            put(model, layer, linear(packed, dtype) if small else packed)
        elif name in get:
            put(model, name, torch.nn.Parameter(get[name]().to(dtype), requires_grad=False))
        elif name != "lm_head.weight" or not model.config.tie_word_embeddings:
            raise BadModel(f"{name}: is in none of the files")
    model.tie_weights()


def load(folder, device):
    """The model of a folder, frozen, on a device: F32 on the processor, BF16 beside the codes on a card."""
    folder = pathlib.Path(folder)
    try:
        text = json.loads((folder / "config.json").read_text())
    except (OSError, ValueError) as error:
        raise BadModel(f"{folder}/config.json: {error}") from None
    bits = read_quantization(text)
    text.pop("quantization_config", None)
    config = transformers.LlamaConfig.from_dict(text)
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    with torch.device("meta"):
        model = transformers.LlamaForCausalLM(config)
    fill(model, tensors(folder), bits, dtype)
    model.model.rotary_emb = LlamaRotaryEmbedding(config=config)
    model.name_or_path = folder.resolve().name
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    return model.to(device).eval()
