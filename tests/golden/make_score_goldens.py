#!/usr/bin/env python3
"""Makes tests/golden/score.json with sacrebleu (2.6.0 made the committed one): chrF2 and BLEU
(13a, and of characters) of a corpus, and chrF2 of each of its pairs. Run in the repository root: python3 tests/golden/make_score_goldens.py

References are lines of the dev files; hypotheses are references damaged in a seeded way."""

import json
import lzma
import random

import sacrebleu

FOLDER = "tests/golden/"
PAIRS = 15

EDGES = [["", ""], ["", "a"], ["a", ""], ["a", "a"], ["ab", "a b"], ["abcdefg", "abcdef"],
         ["aaaa", "aaaaaaaaaa"], ["a\u3000b\u00a0c", "abc"], ["a\x1cb", "ab"], ["\u200bab", "ab"],
         ["x", "y"], ["ab", "abcdefgh"], ["😀😀😁", "😀😁😀"], ["e\u0301", "é"]]


MARKS = [["It's 3.5-4 km, U.S.A.", "It's 3,5-4 km; U.S.A."], ["&quot;a&amp;b&quot; <x>", "\"a&b\" <x>"],
         ["a.b,c d-e 1-2 [x] {y} ~ `", "a . b , c d-e 1 -2 [x] {y}~`"], ["$5 (five) + 7/8: ok?", "$5 (five)+7/8 : ok ?"],
         ["one two three four five six", "one two three four five six seven"], ["wo-\nrd next\nline", "word next line"]]


def damage(text, chance):
    marks = list(text)
    for _ in range(chance.randrange(0, 1 + len(marks) // 3)):
        at, kind = chance.randrange(len(marks)), chance.randrange(4)
        if kind == 0:
            marks[at:at + 1] = []
        elif kind == 1:
            marks.insert(at, marks[chance.randrange(len(marks))])
        elif kind == 2:
            marks = marks[at:] + [" "] + marks[:at]
        else:
            marks[at:at + 4] = reversed(marks[at:at + 4])
        if not marks:
            break
    return "".join(marks)


def corpora():
    chance = random.Random(20260131)
    yield "edges", EDGES
    yield "marks", MARKS
    for language in ("de", "ja", "ru", "zh"):
        with lzma.open(FOLDER + f"data/dev.en-{language}.tsv.xz", "rt", encoding="utf-8") as file:
            lines = [line.rstrip("\n").split("\t")[1] for line in file]
        lines = chance.sample(lines, PAIRS)
        yield language, [[damage(line, chance), line] for line in lines]


def main():
    rows = []
    for name, pairs in corpora():
        score = sacrebleu.corpus_chrf([h for h, _ in pairs], [[r for _, r in pairs]]).score
        each = [[h, r, sacrebleu.corpus_chrf([h], [[r]]).score] for h, r in pairs]
        bleu = [sacrebleu.corpus_bleu([h for h, _ in pairs], [[r for _, r in pairs]], tokenize=t).score
                for t in ("13a", "char")]
        rows.append({"name": name, "score": score, "bleu": bleu[0], "bleu_char": bleu[1], "pairs": each})
    with open(FOLDER + "score.json", "w") as file:
        json.dump(rows, file, indent=0, ensure_ascii=True)
        file.write("\n")


if __name__ == "__main__":
    main()
