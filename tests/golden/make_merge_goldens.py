#!/usr/bin/env python3
"""make_merge_goldens.py: what PEFT's merge_and_unload makes of a base and a LoRA.

    PYTHONHASHSEED=0 python tests/golden/make_merge_goldens.py
                                                     (torch, transformers, peft, compressed_tensors)

Writes tests/golden/merge.tar.xz, which tests/golden/test_merge.c reads:

    base/BASE/            a small random Llama: INT4 in compressed-tensors form, and in BF16 as
                          transformers saves it
    plugin/NAME/          adapters as PEFT's save_pretrained wrote them, with random weights, and a
                          plugin.json
    merged/NAME/merged.safetensors  all tensors of the model after merge_and_unload, run on F32
                          weights, rounded to BF16
    goldens.json          cases: name, base, prompt, arg-max of each position
    logits.safetensors    [positions of all cases, vocabulary] F32: of transformers in F32 with the
                          rounded weights

peft 0.21.2, transformers 5.24.0 and compressed_tensors 0.20.0 made the committed one.
"""
import json
import os
import tempfile
import warnings

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

from small_models import logits_of, random, read_model, write_archive, write_model

ALL = "all-linear"
VOCABULARY, PROMPT = 72, 10

# name: base, type of the adapter's weights, options of LoraConfig
CASES = {
    "plain": ("int4", torch.float32, dict(target_modules=ALL, r=4, lora_alpha=6)),
    "patterns": ("bf16", torch.bfloat16, dict(
        target_modules=ALL, exclude_modules=["o_proj"], r=5, lora_alpha=7, use_rslora=True,
        rank_pattern={"mlp.up_proj|k_proj": 2}, alpha_pattern={"down_proj": 3.5})),
    "alora": ("int4", torch.float32, dict(target_modules=["q_proj"], r=2,
                                          alora_invocation_tokens=[9])),
}


def write_bases(root):
    write_model(root + "/base/int4", LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=1, head_dim=16, max_position_embeddings=64,
        rms_norm_eps=1e-5, tie_word_embeddings=False, bos_token_id=1, eos_token_id=2,
        architectures=["LlamaForCausalLM"]), bits=4, group=16)
    dense = read_model(root + "/base/int4")
    # Weights that BF16 must round, so that F32 sums do not happen to be exact.
    for parameter in dense.parameters():
        parameter.data *= 0.9
    dense.bfloat16().save_pretrained(root + "/base/bf16")
    open(root + "/base/bf16/tokenizer.json", "w").write("{}\n")


def open_base(root, base):
    if base == "int4":
        return read_model(root + "/base/int4")
    return LlamaForCausalLM.from_pretrained(root + "/base/bf16", dtype=torch.float32).eval()


def write_adapter(root, name, base, dtype, options):
    folder = f"{root}/plugin/{name}"
    model = get_peft_model(open_base(root, base), LoraConfig(task_type="CAUSAL_LM", **options))
    for key, parameter in model.named_parameters():
        if "lora_" in key:
            parameter.data = torch.from_numpy(random.standard_normal(parameter.shape)).to(dtype) / 8
    model.save_pretrained(folder)
    os.remove(folder + "/README.md")
    plugin = {"schema": "hydraglot.plugin/1", "kind": "language", "name": name, "title": name,
              "language": "de", "sources": ["en"], "base": {"name": base, "fingerprint":
              "sha256:" + "0" * 64}, "template": "{source}", "stop": ["</s>"]}
    json.dump(plugin, open(folder + "/plugin.json", "w"), indent=1)


def merge(root, name, base):
    """All tensors after merging, in BF16, and the model of them in F32."""
    merged = PeftModel.from_pretrained(open_base(root, base), f"{root}/plugin/{name}").float()
    merged = merged.merge_and_unload()
    tensors = {key: value.bfloat16() for key, value in merged.state_dict().items()}
    merged.load_state_dict({key: value.float() for key, value in tensors.items()})
    return tensors, merged.eval()


def main():
    torch.set_num_threads(1)  # the same sums on every machine
    torch.manual_seed(4)
    assert os.environ.get("PYTHONHASHSEED") == "0"  # PEFT writes sets: in one order at every run
    warnings.simplefilter("ignore")
    goldens, logits = [], []
    with tempfile.TemporaryDirectory() as root:
        write_bases(root)
        for name, (base, dtype, options) in CASES.items():
            write_adapter(root, name, base, dtype, options)
            if name == "alora":  # refused
                continue
            tensors, model = merge(root, name, base)
            os.makedirs(f"{root}/merged/{name}")
            save_file(tensors, f"{root}/merged/{name}/merged.safetensors")
            while True:
                prompt = random.integers(3, VOCABULARY, PROMPT).tolist()
                try:
                    rows = logits_of(model, prompt)
                    break
                except AssertionError:  # a near-tie
                    continue
            goldens.append(dict(name=name, base=base, prompt=prompt, best=rows.argmax(1).tolist()))
            logits += list(rows)
        write_archive("tests/golden/merge.tar.xz", root, goldens, logits)


if __name__ == "__main__":
    main()
