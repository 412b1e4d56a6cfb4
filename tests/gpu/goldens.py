"""goldens.py: the golden sentences as one flat file, for test_cuda_goldens.c.

    python3 tests/gpu/goldens.py OUT

What a machine with a card need not have (JSON, regular expressions, digests) is read here: the embedded
model, its German adapter and what transformers and PEFT gave for the sentences, put one array behind the
other in the device form of kernels/weights.h. No package is needed. The order is that of golden_open.
"""
import json
import os
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
SENTENCES = 50  # the first fifty are German
MAGIC, LINE = 0x64676C68, 64
PROJECTIONS = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj",
               "mlp.up_proj", "mlp.down_proj"]


class Tensors:
    """A safetensors file: bytes of a tensor by its name."""

    def __init__(self, path):
        self.data = path.read_bytes()
        size, = struct.unpack_from("<Q", self.data)
        self.header, self.start = json.loads(self.data[8:8 + size]), 8 + size

    def get(self, name, dtype):
        entry = self.header[name]
        assert entry["dtype"] == dtype, f"{name} is {entry['dtype']}, not {dtype}"
        first, end = entry["data_offsets"]
        return self.data[self.start + first:self.start + end]

    def halves_as_floats(self, name):
        half = self.get(name, "F16")
        return struct.pack(f"<{len(half) // 2}f", *struct.unpack(f"<{len(half) // 2}e", half))

    def integers(self, name):
        data = self.get(name, "I32")
        return struct.unpack(f"<{len(data) // 4}i", data)


def arrays(config, model, lora, golden, sentences):
    """Behind the header, in order."""
    dim, theta = config["head_dim"], config["rope_theta"]
    yield struct.pack(f"<{dim // 2}f", *(theta ** (-2 * i / dim) for i in range(dim // 2)))
    yield model.get("model.embed_tokens.weight", "F16")
    yield model.halves_as_floats("model.norm.weight")
    for layer in range(config["num_hidden_layers"]):
        name = f"model.layers.{layer}."
        yield model.halves_as_floats(name + "input_layernorm.weight")
        yield model.halves_as_floats(name + "post_attention_layernorm.weight")
        for projection in PROJECTIONS:
            yield model.get(name + projection + ".weight_packed", "I32")
            yield model.get(name + projection + ".weight_scale", "F16")
            for side in "AB":
                yield lora.get(f"base_model.model.{name}{projection}.lora_{side}.weight", "F16")
    start, prompt = golden.integers("start"), golden.integers("prompt")
    decoded = sum(start[s + 1] - start[s] - prompt[s] for s in range(sentences))
    yield struct.pack(f"<{sentences + 1}i", *start[:sentences + 1])
    yield struct.pack(f"<{sentences}i", *prompt[:sentences])
    yield golden.get("tokens", "I32")[:4 * start[sentences]]
    yield golden.get("argmax", "I32")[:4 * decoded]


def main():
    out = pathlib.Path(sys.argv[1])
    folder, plugin = ROOT / "models/hydra-tiny", ROOT / "plugins/de"
    config = json.loads((folder / "config.json").read_text())
    adapter = json.loads((plugin / "adapter_config.json").read_text())
    weights = config["quantization_config"]["config_groups"]["group_0"]["weights"]
    golden = Tensors(ROOT / "tests/golden/model.safetensors")
    assert config["tie_word_embeddings"] and not config["rope_scaling"]
    assert weights["num_bits"] == 4 and weights["symmetric"] and not adapter["rank_pattern"]
    assert not any(golden.integers("adapter")[:SENTENCES]) and not adapter["use_rslora"]
    header = struct.pack("<12I2f", MAGIC, config["vocab_size"], config["hidden_size"], config["intermediate_size"],
                         config["num_hidden_layers"], config["num_attention_heads"], config["num_key_value_heads"],
                         config["head_dim"], config["max_position_embeddings"], weights["group_size"], adapter["r"],
                         SENTENCES, config["rms_norm_eps"], adapter["lora_alpha"] / adapter["r"])
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f"{out.name}.{os.getpid()}")
    with part.open("wb") as file:
        model, lora = Tensors(folder / "model.safetensors"), Tensors(plugin / "adapter_model.safetensors")
        for array in (header, *arrays(config, model, lora, golden, SENTENCES)):
            file.write(array + b"\0" * (-len(array) % LINE))
    part.rename(out)


if __name__ == "__main__":
    main()
