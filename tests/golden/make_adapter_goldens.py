#!/usr/bin/env python3
"""make_adapter_goldens.py: every option of PEFT's LoRA that hydraglot honours, as logits, and every
one that it refuses, as files.

    PYTHONHASHSEED=0 python tests/golden/make_adapter_goldens.py
                                                   (torch, transformers, peft, compressed_tensors, gguf)

Writes tests/golden/adapters.tar.xz, which tests/golden/test_adapters.c reads. Adapters are trained
by no one: their weights are random, and PEFT's own save_pretrained writes them. PEFT reads each
folder again before it computes, so what is compared is what the files say.

    base/               the model, compressed-tensors INT4
    honoured/NAME/      adapters as save_pretrained wrote them (weights then cast to the case's type)
    gguf/NAME/          some of them once more, as llama.cpp's convert_lora_to_gguf.py would write
                        them, by the gguf package; their goldens are PEFT's of honoured/NAME
    refused/NAME/       the same, of options that hydraglot refuses
    goldens.json        cases: folder, prompt, first row of the adapter, arg-max of each position,
                        whose logits are kept; refused: folder, what the refusal must name
    logits.safetensors  logits [kept positions of all cases, vocabulary] F32

peft 0.21.2, transformers 5.24.0, compressed_tensors 0.20.0 and gguf 0.19.0 made the committed one.
"""
import json
import os
import tempfile
import warnings

import gguf
import torch
from peft import IA3Config, LoHaConfig, LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora.config import BdLoraConfig, KasaConfig, MontecloraConfig, VeloraConfig
from safetensors.torch import load_file, save_file
from transformers import LlamaConfig

from small_models import floats, logits_of, random, read_model, slice_of, write_archive, write_model

ALL = "all-linear"
PROMPT, VOCABULARY = 14, 72
F32, F16, BF16 = torch.float32, torch.float16, torch.bfloat16

# name: type of the weights, options of LoraConfig
HONOURED = {
    "plain": (F32, dict(target_modules=ALL, r=4, lora_alpha=6)),
    "plain-f16": (F16, dict(target_modules=ALL, r=4, lora_alpha=6)),
    "plain-bf16": (BF16, dict(target_modules=ALL, r=4, lora_alpha=6)),
    "default-targets": (BF16, dict()),
    "rank-1": (F32, dict(target_modules=ALL, r=1, lora_alpha=1)),
    "rank-33": (BF16, dict(target_modules=["o_proj", "up_proj"], r=33, lora_alpha=16)),
    "rank-above-width": (BF16, dict(target_modules=["k_proj"], r=80, lora_alpha=16)),
    "rslora": (F32, dict(target_modules=ALL, r=6, lora_alpha=5, use_rslora=True)),
    "fractional-alpha": (F32, dict(target_modules=["v_proj", "down_proj"], r=3, lora_alpha=3.5)),
    "negative-alpha": (F32, dict(target_modules=["v_proj", "down_proj"], r=3, lora_alpha=-4)),
    "rank-pattern": (F16, dict(target_modules=ALL, r=4, lora_alpha=8, rank_pattern={
        # sorted, as PEFT saves them: the first that matches wins
        r"layers\.1\..*": 5, "mlp.*|k_proj": 7, "q_proj": 2, "self_attn.v_proj": 3})),
    "alpha-pattern": (F32, dict(target_modules=ALL, r=4, lora_alpha=8, alpha_pattern={
        r"^model\.layers\.0\.self_attn\.v_proj": 11, "up_proj": 3, r".*\.down_proj": 1})),
    "both-patterns-rslora": (BF16, dict(
        target_modules=ALL, r=4, lora_alpha=8, use_rslora=True,
        rank_pattern={r"model.layers.2.mlp.up_proj": 9, "k_proj|o_proj": 1},
        alpha_pattern={"k_proj|o_proj": 3.5, "q_proj": 2})),
    "target-list": (F32, dict(target_modules=["q_proj", "mlp.up_proj"], r=4)),
    "target-regex": (F32, dict(target_modules=r"model\.layers\.[02]\.mlp\.\w+_proj", r=4)),
    "target-full-names": (F32, dict(target_modules=[
        "model.layers.0.self_attn.q_proj", "model.layers.2.mlp.down_proj"], r=4)),
    "layers": (F32, dict(target_modules=["q_proj", "down_proj"], r=4, layers_to_transform=[0, 2])),
    "one-layer": (F32, dict(target_modules=["q_proj", "down_proj"], r=4, layers_to_transform=1)),
    "layers-pattern": (F32, dict(target_modules=["v_proj", "up_proj"], r=4,
                                 layers_to_transform=[1, 2], layers_pattern="layers")),
    "layers-patterns": (F32, dict(target_modules=["v_proj", "up_proj"], r=4,
                                  layers_to_transform=[0], layers_pattern=["h", "lay.*s"])),
    "exclude-list": (F32, dict(target_modules=ALL, r=2, exclude_modules=["q_proj", "mlp.up_proj"])),
    "exclude-regex": (F32, dict(target_modules=ALL, r=2, exclude_modules=r".*layers\.(1|2)\..*")),
    "gaussian": (F32, dict(target_modules=["q_proj"], r=4, init_lora_weights="gaussian")),
    "orthogonal": (F32, dict(target_modules=["q_proj"], r=4, init_lora_weights="orthogonal")),
    "eva": (F32, dict(target_modules=["q_proj"], r=4, init_lora_weights="eva")),
    "random-init": (F32, dict(target_modules=["q_proj"], r=4, init_lora_weights=False)),
    "mica": (F32, dict(target_modules=["q_proj"], r=4, init_lora_weights="mica")),
    # written as it was before PEFT turned it off, see honoured()
    "fan-in-fan-out": (F32, dict(target_modules=["k_proj"], r=4)),
    "alora": (F32, dict(target_modules=ALL, r=4, lora_alpha=8, alora_invocation_tokens=[9])),
    "alora-sequence": (BF16, dict(target_modules=["q_proj", "k_proj", "v_proj"], r=8, lora_alpha=16,
                                  alora_invocation_tokens=[5, 7, 5])),
    "alora-overlap": (F16, dict(target_modules=ALL, r=2, lora_alpha=8, use_rslora=True,
                                alora_invocation_tokens=[3, 3])),
}

# Those that a GGUF file can say: one alpha for all pairs, ranks by their shapes.
AS_GGUF = "plain", "plain-bf16", "rank-pattern", "rank-above-width", "alora-sequence", "alora"
GGUF_NAMES = {"q_proj": "attn_q", "k_proj": "attn_k", "v_proj": "attn_v", "o_proj": "attn_output",
              "gate_proj": "ffn_gate", "up_proj": "ffn_up", "down_proj": "ffn_down"}

Q = dict(target_modules=["q_proj"], r=2)
# name: what the refusal must say, options of LoraConfig
REFUSED = {
    "dora": ("field use_dora", dict(use_dora=True, **Q)),
    "lora-bias": ("field lora_bias", dict(lora_bias=True, **Q)),
    "bias-all": ("field bias: found \"all\"", dict(bias="all", **Q)),
    "bias-lora-only": ("field bias: found \"lora_only\"", dict(bias="lora_only", **Q)),
    "save-head": ("field modules_to_save", dict(modules_to_save=["lm_head"], **Q)),
    "save-embedding": ("field modules_to_save", dict(modules_to_save=["embed_tokens"], **Q)),
    "save-norm": ("field modules_to_save", dict(modules_to_save=["norm"], **Q)),
    "pissa": ("field init_lora_weights: found \"pissa\"", dict(init_lora_weights="pissa", **Q)),
    "pissa-niter": ("field init_lora_weights: found \"pissa_niter_4\"",
                    dict(init_lora_weights="pissa_niter_4", **Q)),
    "olora": ("field init_lora_weights: found \"olora\"", dict(init_lora_weights="olora", **Q)),
    "tokens": ("field trainable_token_indices", dict(trainable_token_indices=[3, 4], **Q)),
    "tokens-of-both": ("field trainable_token_indices", dict(
        trainable_token_indices={"embed_tokens": [3], "lm_head": [4]}, **Q)),
    "parameters": ("field target_parameters", dict(
        target_parameters=["self_attn.q_proj.weight"], target_modules=["k_proj"], r=2)),
    "replication": ("field layer_replication", dict(layer_replication=[[0, 2], [1, 3]], **Q)),
    "qalora": ("field use_qalora", dict(use_qalora=True, qalora_group_size=16, **Q)),
    "bdlora": ("field use_bdlora", dict(
        use_bdlora=BdLoraConfig(target_modules_bd_a=["q_proj"], nblocks=2), **Q)),
    "kasa": ("field kasa_config", dict(kasa_config=KasaConfig(), **Q)),
    "monteclora": ("field monteclora_config", dict(monteclora_config=MontecloraConfig(), **Q)),
    "velora": ("field velora_config", dict(velora_config=VeloraConfig(), **Q)),
    "embedding-lora": ("names model.embed_tokens", dict(target_modules=["q_proj", "embed_tokens"])),
    "head-lora": ("names lm_head", dict(target_modules=["q_proj", "lm_head"])),
}

# Prompts of aLoRA cases; one more case of each runs without an occurrence, so on the base alone.
SPOTS = {
    "alora": ([9], [2, 7, 11]),
    "alora-sequence": ([5, 7, 5], [1, 3, 9]),  # the first two overlap: 5 7 5 7 5
    "alora-overlap": ([3, 3], [4, 5, 6]),      # 3 3 3 3
}


def fresh_prompt():
    """Random, without the invocations' tokens."""
    return random.choice([i for i in range(VOCABULARY) if i not in (3, 5, 7, 9)], PROMPT).tolist()


def prompt_for(name):
    prompt = fresh_prompt()
    sequence, spots = SPOTS.get(name, ([], []))
    for spot in spots:
        prompt[spot:spot + len(sequence)] = sequence
    return prompt, spots[-1] if spots else 0


def randomise(model, name):
    """Values of LoRA weights from the pool, of a size that changes the logits visibly."""
    for key, parameter in model.named_parameters():
        if "lora_" in key:
            parameter.data = slice_of(floats, name + key, parameter.shape) / 8


def cast(folder, dtype):
    path = folder + "/adapter_model.safetensors"
    tensors = {key: value.to(dtype) for key, value in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})


def peft_model(root, name, config):
    """The base with random adapter weights."""
    base = read_model(root + "/base")
    if name == "embedding-resized":
        base.resize_token_embeddings(VOCABULARY + 8)
    model = get_peft_model(base, config)
    randomise(model, name)
    return model


def save(model, folder, **options):
    model.save_pretrained(folder, **options)
    if not folder.endswith("/plain"):  # one model card is enough
        os.remove(folder + "/README.md")


def save_converted(root, folder):
    """PiSSA changes the base; what its documentation does against that: the adapter minus its own
    beginning, twice the rank, on the base as it was. -> the trained model."""
    model = get_peft_model(read_model(root + "/base"), LoraConfig(
        task_type="CAUSAL_LM", init_lora_weights="pissa", target_modules=["q_proj", "up_proj"], r=4,
        lora_alpha=4))
    model.peft_config["default"].init_lora_weights = True
    with tempfile.TemporaryDirectory() as begin:
        model.save_pretrained(begin)
        for key, parameter in model.named_parameters():
            if "lora_" in key:
                parameter.data += slice_of(floats, key, parameter.shape) / 8
        model.peft_config["default"].init_lora_weights = "pissa"
        save(model, folder, path_initial_model_for_weight_conversion=begin)
    return model


def golden(model, folder, logits, prompt, first):
    """One case: the prompt's logits, which the adapter must have changed from row first on."""
    result = logits_of(model, prompt)
    with model.disable_adapter():
        base = logits_of(model, prompt)
    assert torch.equal(result[:first], base[:first])
    assert first == PROMPT or (result[first:] - base[first:]).norm() > 0.02 * base[first:].norm()
    kept = sorted({first, PROMPT // 2, PROMPT - 1} - {PROMPT})
    logits += [result[i] for i in kept]
    return dict(folder=folder, prompt=prompt, first=first, best=result.argmax(1).tolist(), kept=kept)


def without_near_ties(make):
    while True:
        try:
            return make()
        except AssertionError as error:
            if "near-tie" not in str(error):
                raise


def read_adapter(root, folder):
    return PeftModel.from_pretrained(read_model(root + "/base"), f"{root}/{folder}").float().eval()


def honoured(root, logits):
    cases = []
    for name, (dtype, options) in HONOURED.items():
        folder = "honoured/" + name
        model = peft_model(root, name, LoraConfig(task_type="CAUSAL_LM", **options))
        save(model, f"{root}/{folder}")
        if dtype != F32:
            cast(f"{root}/{folder}", dtype)
        if name == "fan-in-fan-out":
            path = f"{root}/{folder}/adapter_config.json"
            text = json.load(open(path)) | {"fan_in_fan_out": True}
            json.dump(text, open(path, "w"), indent=2)
        model = read_adapter(root, folder)
        cases.append(without_near_ties(lambda: golden(model, folder, logits, *prompt_for(name))))
        if name in SPOTS:  # once more where the prompt holds no invocation
            cases.append(without_near_ties(lambda: golden(model, folder, logits, fresh_prompt(), PROMPT)))
    trained = save_converted(root, root + "/honoured/pissa-converted").eval()
    model = read_adapter(root, "honoured/pissa-converted")
    cases.append(without_near_ties(
        lambda: golden(model, "honoured/pissa-converted", logits, fresh_prompt(), 0)))
    difference = logits_of(trained, cases[-1]["prompt"]) - logits_of(model, cases[-1]["prompt"])
    assert difference.abs().max() < 1e-4
    return cases


def permute(rows, heads):
    """The order of rows that llama.cpp gives q and k, and so lora_b of them: the two halves of a head
    in turn."""
    return rows.reshape(heads, 2, -1, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape)


def write_gguf(source, target, heads):
    """A folder of PEFT's as a folder with adapter.gguf; heads: of q and k."""
    config = json.load(open(source + "/adapter_config.json"))
    os.makedirs(target)
    writer = gguf.GGUFWriter(target + "/adapter.gguf", "llama")
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, config["lora_alpha"])
    if config.get("alora_invocation_tokens"):
        writer.add_key_value(gguf.Keys.Adapter.ALORA_INVOCATION_TOKENS, config["alora_invocation_tokens"],
                             gguf.GGUFValueType.ARRAY, gguf.GGUFValueType.UINT32)
    for key, value in load_file(source + "/adapter_model.safetensors").items():
        _, _, _, _, layer, _, module, which, _ = key.split(".")
        if which == "lora_B" and module in heads:
            value = permute(value, heads[module])
        name = f"blk.{layer}.{GGUF_NAMES[module]}.weight.{which.lower()}"
        if value.dtype == BF16:
            writer.add_tensor(name, value.contiguous().view(torch.uint8).numpy(),
                              raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(name, value.contiguous().numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def as_gguf(root, cases, logits):
    """Cases of honoured() again, on the same adapters in the other form."""
    again, first = [], 0
    for case in list(cases):
        name = os.path.basename(case["folder"])
        rows = slice(first, first + len(case["kept"]))
        first = rows.stop
        if name not in AS_GGUF:
            continue
        folder = "gguf/" + name
        if not os.path.exists(f"{root}/{folder}"):
            write_gguf(f"{root}/honoured/{name}", f"{root}/{folder}", {"q_proj": 4, "k_proj": 2})
        logits += logits[rows]
        again.append(case | dict(folder=folder))
    return again


def refused(root):
    cases = []

    def add(name, message, config, **options):
        folder = "refused/" + name
        save(peft_model(root, name, config), f"{root}/{folder}", **options)
        cases.append(dict(folder=folder, message=message))

    for name, (message, options) in REFUSED.items():
        add(name, message, LoraConfig(task_type="CAUSAL_LM", **options))
    add("embedding-saved", f"own embedding for {VOCABULARY} tokens", LoraConfig(**Q), save_embedding_layers=True)
    add("embedding-resized", f"for {VOCABULARY + 8} tokens", LoraConfig(**Q), save_embedding_layers=True)
    add("ia3", "field peft_type: found \"IA3\"", IA3Config(task_type="CAUSAL_LM"))
    add("loha", "field peft_type: found \"LOHA\"", LoHaConfig(target_modules=["q_proj"], r=2))
    return cases


def main():
    torch.set_num_threads(1)  # the same sums on every machine
    torch.manual_seed(4)
    assert os.environ.get("PYTHONHASHSEED") == "0"  # PEFT writes sets: in one order at every run
    warnings.simplefilter("ignore")
    logits = []
    with tempfile.TemporaryDirectory() as root:
        write_model(root + "/base", LlamaConfig(
            vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=3,
            num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=64,
            rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
            architectures=["LlamaForCausalLM"]), bits=4, group=32)
        cases = honoured(root, logits)
        goldens = {"cases": cases + as_gguf(root, cases, logits), "refused": refused(root)}
        write_archive("tests/golden/adapters.tar.xz", root, goldens, logits)


if __name__ == "__main__":
    main()
