#!/usr/bin/env python3
"""Makes smollm2.safetensors and smollm2_tokenizer.json.xz from SmolLM2-135M-Instruct.Q4_1.gguf.

Needs `torch` (2.15.0), `transformers` (5.24.0), `gguf` (0.19.0), `numpy`; `make fixtures` fetches the
model. Run in the repository root. transformers dequantises the file to F32; every tensor of its
state dict is compared with gguf.quants.dequantize before anything is computed.

smollm2.safetensors, of 100 chat prompts, each continued greedily by 64 tokens:
    tokens [all] U16        prompt and continuation of each sentence
    start [101] I32         where the tokens of each sentence begin
    argmax [100, 64] U16    of the position before each continued token, in one whole pass
    margin [100, 64] F16    best minus second logit there
    strided [100, 4, 32] F32  logits 0, 1536, 3072, ... of the positions before continued tokens
                            0, 16, 32 and 48

smollm2_tokenizer.json.xz: {"blocks": [...]}: first 16 hex digits of the SHA-256 of the ids of 16
texts each, a line a text: all dev files, then tokenizer_hostile.json.xz, as in
make_tokenizer_kinds.py.
"""

import glob
import hashlib
import json
import lzma
import os

import gguf
import numpy as np
import torch
from safetensors.numpy import save_file
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer

FOLDER = "tests/golden/"
FIXTURES = "build/fixtures"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
NEW, EVERY, STRIDE, BLOCK = 64, 16, 1536, 16
TOPICS = ["the river Thames", "a lost umbrella", "prime numbers", "bread", "the moon", "a train station",
          "photosynthesis", "chess", "winter in Norway", "honey bees", "the printing press", "volcanoes",
          "an old lighthouse", "vaccines", "a village market", "electric cars", "the violin", "whales",
          "a broken clock", "coffee"]
KINDS = ["Write two sentences about {}.",
         "Translate into French: I was reading about {} when it began to rain.",
         "List three questions that a child might ask about {}.",
         "def title():\n    return \"{}\"\n\nExplain this Python function and name its type.",
         "Write a short dialogue in which two neighbours argue about {} — keep it polite, 100 % calm."]


def block_hashes(ids):
    lines = ["".join(f"{i} " for i in row) + "\n" for row in ids]
    return [hashlib.sha256("".join(lines[i:i + BLOCK]).encode()).hexdigest()[:16]
            for i in range(0, len(lines), BLOCK)]


def read_texts():
    texts = []
    for path in sorted(glob.glob(FOLDER + "data/dev.en-*.tsv.xz")):
        with lzma.open(path, "rt", encoding="utf-8", newline="\n") as file:
            for line in file:
                texts += line.rstrip("\n").split("\t")
    with lzma.open(FOLDER + "tokenizer_hostile.json.xz", "rt") as file:
        return texts + [row["text"] for row in json.load(file)]


def make_tokenizer(tokenizer):
    """transformers forgets how SmolLM2 splits text (tokenizer.ggml.pre "smollm": each digit alone,
    then GPT-2's pattern), which is put right here."""
    backend = tokenizer.backend_tokenizer
    backend.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)])
    backend.encode_special_tokens = True  # the text of a special token is text
    ids = [e.ids for e in backend.encode_batch(read_texts(), add_special_tokens=False)]
    with lzma.open(FOLDER + "smollm2_tokenizer.json.xz", "wt", preset=9) as file:
        json.dump({"blocks": block_hashes(ids)}, file)
    backend.encode_special_tokens = False


def unpermute(rows, heads):
    """llama.cpp's order of rows in q and k, undone."""
    return rows.reshape(heads, -1, 2, rows.shape[-1]).swapaxes(1, 2).reshape(rows.shape)


def check_weights(model, config):
    """The second opinion: the gguf package's own arithmetic."""
    names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm",
             "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
             "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
             "ffn_down": "mlp.down_proj"}
    state, seen = model.state_dict(), 0
    for tensor in gguf.GGUFReader(f"{FIXTURES}/{FILE}").tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        parts = tensor.name.split(".")
        if parts[0] == "blk":
            name = f"model.layers.{parts[1]}.{names[parts[2]]}.weight"
            if parts[2] == "attn_q":
                values = unpermute(values, config.num_attention_heads)
            if parts[2] == "attn_k":
                values = unpermute(values, config.num_key_value_heads)
        else:
            name = {"token_embd": "model.embed_tokens", "output_norm": "model.norm"}[parts[0]] + ".weight"
        assert np.array_equal(state[name].numpy(), values), name
        seen += 1
    assert seen == len(state) - config.tie_word_embeddings, (seen, len(state))


@torch.no_grad()
def continue_all(model, tokenizer, prompts):
    """Greedy continuations, all in one batch, padded at the front. The end of a turn ends nothing."""
    width = max(map(len, prompts))
    pad = lambda row, with_what: [with_what] * (width - len(row)) + row
    feed = torch.tensor([pad(p, tokenizer.pad_token_id) for p in prompts])
    mask = torch.tensor([pad([1] * len(p), 0) for p in prompts])
    position = (mask.cumsum(-1) - 1).clamp(min=0)
    cache, ids = None, [list(p) for p in prompts]
    for _ in range(NEW):
        out = model(feed, attention_mask=mask, position_ids=position, past_key_values=cache,
                    use_cache=True, logits_to_keep=1)
        cache = out.past_key_values
        feed = out.logits[:, -1:].argmax(-1)
        mask = torch.cat([mask, torch.ones_like(feed)], 1)
        position = position[:, -1:] + 1
        for row, token in zip(ids, feed[:, 0].tolist()):
            row.append(token)
    return ids


@torch.no_grad()
def main():
    tokenizer = AutoTokenizer.from_pretrained(FIXTURES, gguf_file=FILE)
    make_tokenizer(tokenizer)
    model = AutoModelForCausalLM.from_pretrained(
        FIXTURES, gguf_file=FILE, dtype=torch.float32, attn_implementation="eager").eval()
    check_weights(model, model.config)
    prompts = [tokenizer.apply_chat_template(
        [{"role": "user", "content": kind.format(topic)}], add_generation_prompt=True,
        tokenize=True, return_dict=True)["input_ids"] for topic in TOPICS for kind in KINDS]
    tokens, start, argmax, margin, strided = [], [0], [], [], []
    for prompt, ids in zip(prompts, continue_all(model, tokenizer, prompts)):
        logits = model(torch.tensor([ids])).logits[0, len(prompt) - 1:-1].float()
        tokens += ids
        start.append(len(tokens))
        best = logits.topk(2).values
        argmax.append(logits.argmax(-1).numpy())
        margin.append((best[:, 0] - best[:, 1]).numpy())
        strided.append(logits[::EVERY, ::STRIDE].numpy())
        print(len(start) - 1, tokenizer.decode(ids[-NEW:])[:60].replace("\n", " "), flush=True)
    save_file({"tokens": np.array(tokens, np.uint16), "start": np.array(start, np.int32),
               "argmax": np.array(argmax, np.uint16), "margin": np.array(margin, np.float16),
               "strided": np.array(strided, np.float32)}, FOLDER + "smollm2.safetensors")
    for name in "smollm2.safetensors", "smollm2_tokenizer.json.xz":
        print(name, os.path.getsize(FOLDER + name))


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    main()
