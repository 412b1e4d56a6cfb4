"""make_model_goldens.py: golden tokens and logits of hydra-tiny and its adapters.

    python tests/golden/make_model_goldens.py        (torch, transformers, peft)

Runs transformers + PEFT in F32 on the dequantised INT4 weights and writes
tests/golden/model.safetensors, which tests/golden/test_model_goldens.c reads. 50 sentences for each
of the ten adapters, drawn evenly from each plugin's validation.tsv, decoded greedily.

Prompts are built from the tokenizers library, so that the goldens owe nothing to our own code.

Tensors (S = 500 sentences, T = all tokens, W = all decoded positions):
    adapter       [S] I32      index into the names in the metadata ("de,en,...")
    tokens        [T] I32      prompts and greedy outputs, one sentence after the other
    start         [S + 1] I32  where each sentence begins in tokens
    prompt        [S] I32      tokens of the prompt
    argmax        [W] I32      the arg-max at each decoded position
    margin        [W] F32      the best logit minus the second best
    strided       [W / 8, 64] F32   every 384th logit, at every 8th decoded position
    full          [10, 24576] F32   all logits at one position of each adapter (in the middle of its
                                    25th sentence)
    base_full     [1, 24576] F32    the same position of the first adapter, without any adapter
"""
import json
import pathlib

import numpy as np
import torch
from peft import PeftModel
from safetensors.numpy import save_file
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import AutoConfig, LlamaForCausalLM

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
MODEL = ROOT / "models" / "hydra-tiny"
NAMES = sorted(p.parent.name for p in (ROOT / "plugins").glob("*/adapter_config.json"))
SENTENCES, MOST, STRIDE, EVERY, MIDDLE = 50, 96, 384, 8, 25


def base():
    """The model with its INT4 weights expanded to F32, so that all arithmetic is F32."""
    config = AutoConfig.from_pretrained(MODEL)
    del config.quantization_config
    packed = load_file(MODEL / "model.safetensors")
    state = {k: v.float() for k, v in packed.items() if k.endswith(("norm.weight", "tokens.weight"))}
    for key in [k for k in packed if k.endswith(".weight_packed")]:
        name = key.removesuffix("_packed")
        rows, columns = packed[name + "_shape"].tolist()
        codes = torch.stack([(packed[key].long() >> (4 * j)) & 15 for j in range(8)], -1).view(rows, columns)
        scale = packed[name + "_scale"].float()
        state[name] = (codes.float() - 8) * scale.repeat_interleave(columns // scale.shape[1], 1)
    model = LlamaForCausalLM(config).float().eval()
    missing = model.load_state_dict(state, strict=False)
    assert missing.missing_keys == ["lm_head.weight"] and not missing.unexpected_keys, missing
    model.tie_weights()
    return model


def prompts(tokenizer, name):
    manifest = json.loads((ROOT / "plugins" / name / "plugin.json").read_text())
    before, after = manifest["template"].split("{source}")
    lines = (ROOT / "plugins" / name / "validation.tsv").read_text().splitlines()
    for i in range(SENTENCES):
        source = lines[i * len(lines) // SENTENCES].split("\t")[0]
        yield [tokenizer.token_to_id(before), *tokenizer.encode(source, add_special_tokens=False).ids,
               tokenizer.token_to_id(after)]


@torch.no_grad()
def greedy(model, prompt, eot):
    """Plain greedy decoding without a cache: -> tokens, logits [decoded, vocabulary]."""
    ids, rows = list(prompt), []
    while len(ids) < len(prompt) + MOST:
        logits = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
        rows.append(logits.numpy())
        ids.append(int(logits.argmax()))
        if ids[-1] == eot:
            break
    return ids, np.stack(rows)


def main():
    torch.set_num_threads(1)  # the same sums on every machine
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    tokenizer.encode_special_tokens = True
    eot = tokenizer.token_to_id("<|eot_id|>")
    out = {k: [] for k in "adapter tokens start prompt argmax margin strided full base_full".split()}
    for index, name in enumerate(NAMES):
        model = PeftModel.from_pretrained(base(), str(ROOT / "plugins" / name)).float().eval()
        for number, prompt in enumerate(prompts(tokenizer, name)):
            ids, logits = greedy(model, prompt, eot)
            best = np.sort(np.partition(logits, -2, axis=1)[:, -2:], axis=1)
            first = len(out["argmax"])
            out["adapter"].append(index)
            out["start"].append(len(out["tokens"]))
            out["prompt"].append(len(prompt))
            out["tokens"] += ids
            out["argmax"] += logits.argmax(1).tolist()
            out["margin"] += (best[:, 1] - best[:, 0]).tolist()
            out["strided"] += [r[::STRIDE] for i, r in enumerate(logits, first) if i % EVERY == 0]
            if number == MIDDLE:
                out["full"].append(logits[len(logits) // 2])
                if index == 0:
                    with model.disable_adapter():
                        ids = torch.tensor([ids[:len(prompt) + len(logits) // 2]])
                        out["base_full"].append(model(input_ids=ids, use_cache=False).logits[0, -1].detach().numpy())
        print(name, "sentences", number + 1, "tokens so far", len(out["argmax"]), flush=True)
    out["start"].append(len(out["tokens"]))
    kind = dict(margin=np.float32, strided=np.float32, full=np.float32, base_full=np.float32)
    save_file({k: np.asarray(v, kind.get(k, np.int32)) for k, v in out.items()},
              ROOT / "tests" / "golden" / "model.safetensors", metadata={"adapters": ",".join(NAMES)})


if __name__ == "__main__":
    main()
