#!/usr/bin/env python3
"""Writes reading.zh.tsv.xz: Chinese sentences of the dev file and how pypinyin (dictionary of phrases,
MIT) reads them, one syllable a character, joined by spaces.

    pip install pypinyin==0.55.0; make_reading_goldens.py

Both write a sound as dictionaries do, before tones run together, so pypinyin's phrases are put back
to that. Left out are sentences with Latin letters or figures, and with 得 or 地, where pypinyin takes
the particle for the full word.
"""
import lzma
import pathlib
import re

from pypinyin import Style, pinyin

HERE = pathlib.Path(__file__).parent
PLAIN = {"一": "yī", "不": "bù", "个": "gè", "谁": "shéi"}

lines = []
for line in lzma.open(HERE / "data" / "dev.en-zh.tsv.xz", "rt"):
    text = line.rstrip("\n").split("\t")[1]
    if re.search("[A-Za-z0-9０-９Ａ-Ｚａ-ｚ得地]", text):
        continue
    syllables = [found[0] for found in pinyin(text, style=Style.TONE, errors=lambda _: [None])]
    characters = re.findall("[\u3400-\u9fff]", text)
    syllables = [syllable for syllable in syllables if syllable]
    assert len(syllables) == len(characters), text
    lines.append(f"{text}\t{' '.join(map(lambda c, s: PLAIN.get(c, s), characters, syllables))}\n")
with lzma.open(HERE / "reading.zh.tsv.xz", "wt") as out:
    out.writelines(lines)
print(len(lines), "sentences")
