"""Files of models and adapters, written by plain Python; and a base of one narrow layer in INT4, with
hydra-tiny's tokenizer, that takes a tenth of hydra-tiny's time. What it says means nothing.
"""
import array
import json
import random
import struct

from conftest import ROOT

TINY = ROOT / "models" / "hydra-tiny"
HIDDEN, INTERMEDIATE, HEADS, CACHE, GROUP, RANK = 64, 128, 2, 32, 32, 4
SIZES = {"self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (CACHE, HIDDEN),
         "self_attn.v_proj": (CACHE, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN),
         "mlp.gate_proj": (INTERMEDIATE, HIDDEN), "mlp.up_proj": (INTERMEDIATE, HIDDEN),
         "mlp.down_proj": (HIDDEN, INTERMEDIATE)}


def write_safetensors(path, tensors):
    """tensors: name -> (type, shape, bytes)."""
    header, at = {}, 0
    for name, (kind, shape, content) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [at, at + len(content)]}
        at += len(content)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, _, content in tensors.values():
            file.write(content)


def numbers(seed, count, size):
    """count numbers of F32 around 0."""
    numbers_of = random.Random(seed)
    return array.array("f", (numbers_of.gauss(0, size) for _ in range(count))).tobytes()


def halves(source, count):
    """count numbers of F16 of either sign, from 1/32 to 1/16 or twice that."""
    content = bytearray(source.randbytes(2 * count))
    content[1::2] = content[1::2].translate(bytes((b & 0x87) | 0x28 for b in range(256)))
    return bytes(content)


def write_model(folder):
    source = random.Random(1)
    config = json.loads((TINY / "config.json").read_text())
    sizes = {"hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE, "num_hidden_layers": 1,
             "num_attention_heads": HEADS, "num_key_value_heads": CACHE * HEADS // HIDDEN,
             "head_dim": HIDDEN // HEADS}
    vocabulary = config["vocab_size"]
    tensors = {"model.embed_tokens.weight": ("F16", [vocabulary, HIDDEN], halves(source, vocabulary * HIDDEN))}
    for norm in "model.norm", "model.layers.0.input_layernorm", "model.layers.0.post_attention_layernorm":
        tensors[norm + ".weight"] = "F16", [HIDDEN], struct.pack("<e", 1) * HIDDEN
    for name, (rows, columns) in SIZES.items():
        groups = columns // GROUP
        name = "model.layers.0." + name + "."
        tensors[name + "weight_packed"] = "I32", [rows, columns // 8], source.randbytes(rows * columns // 2)
        tensors[name + "weight_scale"] = "F16", [rows, groups], struct.pack("<e", 0.03) * (rows * groups)
        tensors[name + "weight_shape"] = "I64", [2], struct.pack("<qq", rows, columns)
    folder.mkdir()
    write_safetensors(folder / "model.safetensors", tensors)
    (folder / "config.json").write_text(json.dumps({**config, **sizes}))
    for name in "tokenizer.json", "tokenizer_config.json", "generation_config.json":
        (folder / name).symlink_to(TINY / name)
    return folder


def write_plugin(folder, language, **config):
    """A LoRA of that base for a language that hydra-tiny has."""
    tensors = {}
    for name, (rows, columns) in SIZES.items():
        pair = f"base_model.model.model.layers.0.{name}.lora_"
        tensors[pair + "A.weight"] = "F32", [RANK, columns], numbers(language + pair, RANK * columns, 0.3)
        tensors[pair + "B.weight"] = "F32", [rows, RANK], numbers(language + pair + "B", rows * RANK, 0.3)
    folder.mkdir(parents=True)
    write_safetensors(folder / "adapter_model.safetensors", tensors)
    (folder / "adapter_config.json").write_text(json.dumps({
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "r": RANK, "lora_alpha": RANK,
        "target_modules": [name.rpartition(".")[2] for name in SIZES], **config}))
    (folder / "plugin.json").write_text(json.dumps({
        "schema": "hydraglot.plugin/1", "kind": "language", "name": language, "title": language,
        "language": language, "sources": ["en"], "base": {"name": "small"}, "template": "hydra-tiny",
        "stop": []}))
