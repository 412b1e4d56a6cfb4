"""make_detector.py: the table of core/text/detector.c, from parallel text.

    python3 core/text/make_detector.py FOLDER [--try]

FOLDER has train.en-XX.tsv.xz (English TAB other), and dev.en-XX.tsv.xz for --try, which prints how
often whole sentences and their first words are recognised instead of writing the table. How text is
counted, n-grams of letters hashed into buckets, must be what detector.c does.
"""
import lzma
import math
import pathlib
import random
import sys

LANGUAGES = "de en es fr ja nl ru sv tr zh".split()  # as in detector.c
BUCKETS, LONGEST = 1 << 14, 4
SENTENCES = 14000  # of each language: as many as the smallest has
SMOOTHING = 0.3
STEPS = 16  # of a table's byte, in one nat
SHARPNESS = 0.35  # n-grams overlap: what they say together counts for so much
SURE = 0.8  # as in detector.c
OUT = pathlib.Path(__file__).with_name("detector.bin")


def letters(text):
    """Lower case, every stretch of other characters one space, a space at both ends."""
    out = [" "]
    for c in text:
        c = c.lower()[0] if c != "\u2019" else "'"
        if c.isalpha() or c == "'":
            out.append(c)
        elif out[-1] != " ":
            out.append(" ")
    return "".join(out) + (" " if out[-1] != " " else "")


def bucket(gram, known={}):
    """FNV-1a of its UTF-8, folded."""
    if gram not in known:
        x = 2166136261
        for byte in gram.encode():
            x = (x ^ byte) * 16777619 & 0xFFFFFFFF
        known[gram] = (x ^ x >> 15) % BUCKETS
    return known[gram]


def buckets(text):
    text = letters(text)
    return [bucket(text[i : i + n]) for i in range(len(text)) for n in range(1, LONGEST + 1)
            if i + n <= len(text) and text[i : i + n] != " "]


def pairs(folder, part, language):
    lines = lzma.open(folder / f"{part}.en-{language}.tsv.xz", "rt", encoding="utf-8").read()
    return [line.split("\t")[:2] for line in lines.splitlines()]


def texts(folder, part, most):
    """{language: sentences}, in a fixed order."""
    found = {"en": []}
    for language in LANGUAGES:
        if language == "en":
            continue
        rows = pairs(folder, part, language)
        random.Random(language).shuffle(rows)
        found[language] = [other for _, other in rows[:most]]
        found["en"] += [english for english, _ in rows[: most // 9]]
    return found


def make(folder):
    """table[language][bucket]: how much less likely than where it is likeliest, in steps."""
    logs = []
    sentences = texts(folder, "train", SENTENCES)
    for language in LANGUAGES:
        count = [SMOOTHING] * BUCKETS
        for text in sentences[language]:
            for b in buckets(text):
                count[b] += 1
        whole = math.log(sum(count))
        logs.append([math.log(c) - whole for c in count])
    best = [max(column) for column in zip(*logs)]
    return [bytes(min(255, round((b - v) * STEPS)) for b, v in zip(best, row)) for row in logs]


def detect(table, text):
    """(language, confidence); nothing to count: (en, 0)."""
    found = buckets(text)
    if not found:
        return "en", 0.0
    score = [-SHARPNESS * sum(row[b] for b in found) / STEPS for row in table]
    top = max(score)
    weight = [math.exp(s - top) for s in score]
    return LANGUAGES[score.index(top)], 1 / sum(weight)


def try_out(folder, table):
    print("| language | sentences | right | sure and right | sure and wrong | first 3 words: sure and"
          " right | and wrong |\n|---|---|---|---|---|---|---|")
    for language, sentences in sorted(texts(folder, "dev", 10**6).items()):
        sentences = sorted(set(sentences))
        rows = [[detect(table, t) for t in texts_] for texts_ in
                (sentences, [" ".join(t.split()[:3]) if " " in t else t[:4] for t in sentences])]
        share = lambda row, good: 100 * sum(map(good, row)) / len(row)
        cells = [share(rows[0], lambda r: r[0] == language)]
        for row in rows:
            cells += [share(row, lambda r: r[0] == language and r[1] >= SURE),
                      share(row, lambda r: r[0] != language and r[1] >= SURE)]
        print(f"| {language} | {len(sentences)} | " + " | ".join(f"{c:.1f} %" for c in cells) + " |")


table = make(pathlib.Path(sys.argv[1]))
if "--try" in sys.argv:
    try_out(pathlib.Path(sys.argv[1]), table)
else:
    OUT.write_bytes(b"".join(table))
