#!/usr/bin/env python3
"""Makes tokenizer_kinds.json.xz: what other tokenizers than hydra-tiny's make of the dev files and
the hostile set, and of prompts. Needs `tokenizers` (0.23.3 made the committed file), `tiktoken`
(0.14.0), `llama-models` (0.3.0, Meta's own chat format) and Meta's tokenizer.model, which `make
fixtures` fetches. Run in the repository root.

{kind: {"tokenizer": tokenizer.json as text, or null for Meta's file,
        "blocks": [first 16 hex digits of the SHA-256 of the ids of 16 texts each, a line a text],
        "added": [{"text", "ids"}]: texts full of special and added tokens,
        "prompts": [{"template", "source", "source_language", "target_language", "context", "ids"}]:
                   Meta's only; template is the name of one that comes with the program}}

The texts of the blocks: all dev files in order of name, line by line, English before the other
language; then those of tokenizer_hostile.json.xz. Three small tokenizers are trained on the dev
files here:
    llama3   Llama-3's: Split by regular expression, ByteLevel, ignore_merges, special tokens
    smollm   SmolLM2's: Digits, ByteLevel with GPT-2's pattern, bytes without a token
    added    GPT-2's with added tokens that are not special: found in text, some before others
"""

import glob
import hashlib
import json
import lzma
import random
import pathlib
import sys

import tiktoken
import tiktoken.load
from llama_models.datatypes import RawMessage
from llama_models.llama3.chat_format import ChatFormat
from llama_models.llama3.tokenizer import Tokenizer as MetaTokenizer
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

FOLDER = "tests/golden/"
META = "build/fixtures/llama3-tokenizer.model"
BLOCK = 16
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|"
          r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def read_texts():
    texts = []
    for path in sorted(glob.glob(FOLDER + "data/dev.en-*.tsv.xz")):
        with lzma.open(path, "rt", encoding="utf-8", newline="\n") as file:
            for line in file:
                texts += line.rstrip("\n").split("\t")
    with lzma.open(FOLDER + "tokenizer_hostile.json.xz", "rt") as file:
        return texts, [row["text"] for row in json.load(file)]


def train(dev, pre, ignore_merges, size, every_byte=True):
    tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
    tokenizer.pre_tokenizer = pre
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(dev, trainers.BpeTrainer(
        vocab_size=size, show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet() if every_byte else []))
    tokenizer.encode_special_tokens = True
    return tokenizer


def byte_level(use_regex):
    return pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=use_regex)


def make_llama3(dev):
    split = pre_tokenizers.Split(Regex(LLAMA3), "isolated")
    made = train(dev, pre_tokenizers.Sequence([split, byte_level(False)]), True, 1500)
    # A merge less: some words are tokens that their merges do not make.
    description = json.loads(made.to_str())
    del description["model"]["merges"][1::9]
    made = Tokenizer.from_str(json.dumps(description))
    made.add_special_tokens(["<|begin_of_text|>", "<|eot_id|>", "<|eot|>"])
    return made


def make_smollm(dev):
    digits = pre_tokenizers.Digits(individual_digits=True)
    made = train(dev, pre_tokenizers.Sequence([digits, byte_level(True)]), False, 1000,
                 every_byte=False)
    made.add_special_tokens(["<|im_start|>", "<|im_end|>"])
    return made


def make_added(dev):
    made = train(dev, byte_level(True), False, 600)
    made.add_special_tokens(["<|end|>", "<|end|>of", "é<"])
    made.add_special_tokens([AddedToken("<late>", special=True, normalized=True)])
    made.add_tokens(["<tool>", "<tool", "  ", "\n\n\n", "日本", "Ġspelled", "late", "of<", "the",
                     AddedToken("early", normalized=False), AddedToken("tool>early", normalized=False),
                     AddedToken("|><", normalized=False), AddedToken("😀", normalized=False)])
    return made


def added_texts(tokenizer, count):
    """Seeded mixtures of the special and added tokens, whole and cut, and of what lies between."""
    chance = random.Random(20260211)
    fixed = [token.content for token in tokenizer.get_added_tokens_decoder().values()]
    for _ in range(count):
        pieces = []
        for _ in range(chance.randrange(1, 12)):
            piece = chance.choice(fixed)
            cut = chance.random()
            if cut < 0.15:
                piece = piece[chance.randrange(len(piece)):]
            elif cut < 0.3:
                piece = piece[:chance.randrange(len(piece)) + 1]
            pieces.append(piece)
            pieces.append(chance.choice(["", "", "", " ", "x", "12", "é", " the ", "\n", "'s"]))
        yield "".join(pieces)


def blocks(texts, encode):
    lines = ["".join(f"{i} " for i in encode(text)) + "\n" for text in texts]
    return [hashlib.sha256("".join(lines[at:at + BLOCK]).encode()).hexdigest()[:16]
            for at in range(0, len(lines), BLOCK)]


def entry(tokenizer, texts):
    tokenizer.encode_special_tokens = True

    def encode(text):
        return tokenizer.encode(text, add_special_tokens=False).ids

    return {"tokenizer": tokenizer.to_str(), "blocks": blocks(texts, encode),
            "added": [{"text": text, "ids": encode(text)}
                      for text in added_texts(tokenizer, 200)]}


def prompts(encode):
    """Llama-3-Instruct turns as Meta's program makes them, and ALMA's one text."""
    chat = ChatFormat(MetaTokenizer(pathlib.Path(META)))
    for source, language, context in [
            ("Where is the train station?", "English", None),
            ("Say <|eot_id|> and {context}", "English", "I said <|start_header_id|>system.\nYes."),
            ("你好！", "Chinese", "今天天气很好。"), ("  two spaces", "", "")]:
        row = {"source": source, "source_language": language, "target_language": "German",
               "context": context}
        words = f"Translate the user's text{' from ' + language if language else ''} to German."
        words += " Answer with the translation only."
        words += f"\n\nWhat was said before:\n{context}" if context else ""
        turns = [RawMessage(role="system", content=words), RawMessage(role="user", content=source)]
        if source == source.strip():  # Meta's program strips what a user wrote
            yield {**row, "template": "llama-3-instruct",
                   "ids": chat.encode_dialog_prompt(turns).tokens}
        alma = f"Translate this from {language} to German:\n{language}: {source}\nGerman:"
        before = f"{context}\n" if context else ""
        yield {**row, "template": "alma", "ids": [128000, *encode(before + alma)]}


def meta_entry(texts):
    special = {"<|begin_of_text|>": 128000, "<|start_header_id|>": 128006, "<|eot_id|>": 128009}
    meta = tiktoken.Encoding("llama3", pat_str=LLAMA3, special_tokens=special,
                             mergeable_ranks=tiktoken.load.load_tiktoken_bpe(META))

    def encode(text):
        return meta.encode(text, disallowed_special=())

    added = ["<|begin_of_text|>Hello<|eot_id|>", "user<|start_header_id|>", " <|eot_id|>\n\n"]
    return {"tokenizer": None, "blocks": blocks(texts, encode), "prompts": list(prompts(encode)),
            "added": [{"text": text, "ids": encode(text)} for text in added]}


def main():
    dev, hostile = read_texts()
    texts = dev + hostile
    kinds = {"llama3": entry(make_llama3(dev), texts), "smollm": entry(make_smollm(dev), texts),
             "added": entry(make_added(dev), texts), "meta": meta_entry(texts)}
    with lzma.open(FOLDER + "tokenizer_kinds.json.xz", "wb", preset=9 | lzma.PRESET_EXTREME) as file:
        file.write(json.dumps(kinds).encode())
    print({kind: len(made["blocks"]) for kind, made in kinds.items()}, file=sys.stderr)


if __name__ == "__main__":
    main()
