#!/usr/bin/env python3
"""Makes the tokenizer goldens with Hugging Face's `tokenizers` library (0.23.3 made the committed
ones). Run in the repository root: python3 tests/golden/make_tokenizer_goldens.py

tokenizer_dev.txt.xz      for each file of data/dev.en-*.tsv.xz in order of name, for each line, two
                          lines of token ids: the English side, then the other
tokenizer_hostile.json.xz [{"name", "text", "ids"}]: text chosen to break tokenizers
tokenizer_classes.json    {class: [[first, end], ...]}: the code points that the library's regular
                          expressions put into the classes that pre-tokenizers use
"""

import glob
import json
import lzma
import random
import sys
import unicodedata

from tokenizers import Regex, Tokenizer, pre_tokenizers

FOLDER = "tests/golden/"

tokenizer = Tokenizer.from_file("models/hydra-tiny/tokenizer.json")
tokenizer.encode_special_tokens = True


def ids(text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def write_xz(name, text):
    with lzma.open(FOLDER + name, "wb", preset=9 | lzma.PRESET_EXTREME) as file:
        file.write(text.encode())


def make_dev():
    lines = []
    for path in sorted(glob.glob(FOLDER + "data/dev.en-*.tsv.xz")):
        with lzma.open(path, "rt", encoding="utf-8", newline="\n") as file:
            for line in file:
                english, other = line.rstrip("\n").split("\t")
                lines += [ids(english), ids(other)]
    write_xz("tokenizer_dev.txt.xz", "".join(" ".join(map(str, line)) + "\n" for line in lines))
    print(f"{len(lines)} texts, {sum(map(len, lines))} tokens", file=sys.stderr)


WHITE = ["\t", "\n", "\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x1f", " ", "\x85", "\xa0", "\u1680",
         "\u180e", "\u2000", "\u2003", "\u200a", "\u200b", "\u200c", "\u200d", "\u2028", "\u2029",
         "\u202f", "\u205f", "\u2060", "\u3000", "\ufeff"]

HOSTILE = {
    "empty": "",
    "emoji with joiners": "👩‍👩‍👧‍👦 and 🏳️‍🌈, 👍🏽👍🏿 ❤️‍🔥 1️⃣ 🇩🇪🇫🇷🇯",
    "combining marks": "e\u0301 a\u0308o\u0308 Z\u0351\u036b\u0343a\u0323\u0307l\u0334g\u0321o \u0301 x\u0301\u0302\u0303\u0304y",
    "decomposed and composed": "cafe\u0301 café n\u0303 ñ \uac00 \u1100\u1161",
    "Arabic": "السلام عليكم، كيف حالك؟ مُحَمَّد ١٢٣٤٥ ـــ لا إله",
    "Hebrew": "שָׁלוֹם עוֹלָם! מה שלומך? צה״ל",
    "Thai": "สวัสดีครับ วันนี้อากาศดีมาก ๆ ๑๒๓๔๕",
    "Devanagari": "नमस्ते दुनिया। क्या हाल है? १२३४५ क्ष्म",
    "Tamil, Khmer, Burmese": "வணக்கம் உலகம் សួស្តី​ពិភពលោក မင်္ဂလာပါ ကမ္ဘာ",
    "Korean, Georgian": "안녕하세요 세계! გამარჯობა მსოფლიო",
    "Tibetan, Ethiopic, Cherokee": "བོད་སྐད། ሰላም ለዓለም፡፡ ᏣᎳᎩ ᎦᏬᏂᎯᏍᏗ",
    "CRLF": "one\r\ntwo\r\n\r\nthree \r\n four\r\n",
    "lone returns": "one\rtwo\r\rthree \r four\n\rfive",
    "newlines and spaces": " \n  \n\n   x\n \n\t\n y  ",
    "spaces before and after": "   three spaces   and trailing    ",
    "tabs": "\ta\t\tb \t c\t",
    "controls": "".join(map(chr, range(1, 32))) + "\x7f\x80\x9f",
    "NUL": "a\0b \0 \0\0",
    "each white space between letters": "".join("a" + w for w in WHITE) + "b",
    "each white space twice": "".join("a" + w + w for w in WHITE) + "b",
    "each white space before punctuation": "".join(w + "!" for w in WHITE),
    "all white space": "".join(WHITE),
    "white space and newlines": "".join(w + "\n" + w for w in WHITE),
    "contractions": "I'm you're he's we've they'll I'd can't 'tis 's 't 're",
    "capital contractions": "I'M YOU'RE HE'S WE'VE THEY'LL I'D CAN'T 'S 'T 'Re 'vE 'lL",
    "typographic contractions": "I\u2019m you\u2019re he\u2019s we\u2019ve they\u2019ll I\u2019d can\u2019t",
    "long s": "it'\u017f 'ſ 'S\u017f Maſſe 'ſt he'\u017fa",
    "ligatures after apostrophes": "'\ufb05 '\ufb06 '\ufb00 '\ufb01 '\u212a '\u212b '\u0130 '\u0131 'ß 'ẞ '\u1e9e",
    "apostrophes in rows": "''s '''t 's's't'm'''d '\n's '\u0301s",
    "digits": "1 12 123 1234 12345678901234567890 1.5 1,000,000 ²³¼ Ⅷ ① ٣٤٥٦ १२३४ 四千 〇 ６７８９",
    "digits and letters": "a1b22c333d4444 4x4 2nd B2B H₂O x²",
    "punctuation": "!!! ... ,,, ?!?! --- -- - — – « » „“ ‚‘ ¿¡ ;:!? $€£¥ %‰ @#&*()[]{}<>|\\/^~`_+=",
    "punctuation and newlines": "end.\n\nnext!\r\n?\n\r\n;;\n",
    "special tokens": "<|eot_id|> <|begin_of_text|><|de|>x<|zh|><|end_of_text|>",
    "half special tokens": "<|eot_id| > <|eot_id <| |> <|EOT_ID|> <<|eot_id|>> <|eot_id|><",
    "every special token": "".join(t.content for _, t in sorted(tokenizer.get_added_tokens_decoder().items())),
    "mixed scripts": "Straßeулицаストリート街道شارعרחוב Καλημέρα한국어ไทย",
    "Chinese": "今天天气很好，我们去公园吧！「你好」——他说……",
    "Japanese": "東京タワーは333メートルです。ﾊﾝｶｸ カタカナ、ひらがな・々〆ヶ",
    "Turkish": "İstanbul ıssız Iğdır i̇ şçğüö",
    "Vietnamese": "Tiếng Việt có dấu: ắ ằ ẳ ẵ ặ ữ ợ",
    "right-to-left marks": "\u200fשלום\u200e abc \u202bעברית\u202c \u2066x\u2069",
    "variation selectors": "☃️ ☃︎ 葛\U000e0100 ᠠ\u180b",
    "private use": "\ue000\uf8ff \U000f0000\U0010fffd a\ue123b",
    "noncharacters": "\ufdd0\ufffe\uffff\U0001fffe\U0010ffff x\uffff1",
    "replacement": "\ufffd\ufffd a\ufffdb",
    "unassigned": "\u0378\u0379 \u0530 \u2fe0 \U000e0080 \U00030fff a\u0378b \U0001fbfa",
    "mathematical": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚𝟛𝟜 𝒜𝓁𝑔𝑒𝒷𝓇𝒶 ∑∫√∞≠",
    "astral scripts": "𐍈𐌰𐌽 𓀀𓁐 𒀀𒁀 𐎠𐎡 𝄞 𠮷野家 𪚥 🀄 \U0001f468\U0001f3fb",
    "tags": "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "soft hyphens": "Donau\u00addampf\u00adschiff \u00ad",
    "addresses": "https://example.org/a?b=c&d=%20#e mail@example.org C:\\Users\\x +49-30/1234",
    "code": "int main(void) {\n\treturn 0x1F == 31 ? 'a' : \"b\";\n}\n",
    "byte order mark": "\ufeffHello",
    "one of each width": "a é € 😀 aé€😀",
    "run of a": "a" * 3001,
    "run of spaces": " " * 3001 + "x",
    "run of newlines": "\n" * 3001,
    "run of exclamation marks": "!" * 3001,
    "run of digits": "7" * 3001,
    "run of Han": "哈" * 1001,
    "run of emoji": "😂" * 1001,
    "run of combining marks": "o" + "\u0308" * 1001,
    "run of ab": "ab" * 1501,
    "run of words": "the " * 1001,
    "run of apostrophes": "'" * 1001 + "s",
    "run of spaces and newlines": " \n" * 1001 + " ",
    "a long word": "Donaudampfschifffahrtsgesellschaftskapitän" * 40,
}


def random_texts(count):
    """Seeded mixtures of everything above and of code points from all planes.

    Only code points that Unicode 14 has (Python's table, part of ICU 72's Unicode 15): the library's
    regular expressions know the letters of Unicode 16 already, ICU 72 takes them for unassigned.
    tokenizer_classes.json shows that there is no other difference."""
    known = [chr(c) for c in range(0x20000) if unicodedata.category(chr(c)) not in ("Cn", "Cs")]
    chance = random.Random(20260131)
    pool = WHITE + list("'''sStTlLdDmMrReEvV  \n\r") + [
        c for text in HOSTILE.values() for c in text[:80]]
    for _ in range(count):
        pieces = [chance.choice(pool) if chance.random() < 0.9 else
                  chance.choice(known)
                  for _ in range(chance.randrange(1, 40))]
        yield "".join(pieces)


def make_hostile():
    rows = [{"name": name, "text": text, "ids": ids(text)} for name, text in HOSTILE.items()]
    rows += [{"name": f"random {i}", "text": text, "ids": ids(text)}
             for i, text in enumerate(random_texts(600))]
    write_xz("tokenizer_hostile.json.xz",
             "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n")
    print(f"{len(rows)} hostile texts", file=sys.stderr)


def make_classes():
    everything = "".join(chr(c) for c in range(0x110000) if not 0xd800 <= c < 0xe000)
    classes = {}
    for pattern in (r"\p{L}", r"\p{N}", r"\s", r"(?i:'s)", r"(?i:'t)", r"(?i:'d)", r"(?i:'m)"):
        prefix = "'" if pattern.startswith("(?i") else ""
        if prefix:  # the letters that a case-insensitive contraction takes
            split = pre_tokenizers.Split(Regex(pattern), "isolated")
            marked = [c for c in everything
                      if len(split.pre_tokenize_str("'" + c + "\0")[0][0]) == 2]
        else:
            split = pre_tokenizers.Split(Regex("[^" + pattern + "]+"), "removed")
            marked = "".join(piece for piece, _ in split.pre_tokenize_str(everything))
        ranges = []
        for code in map(ord, marked):
            if ranges and ranges[-1][1] == code:
                ranges[-1][1] = code + 1
            else:
                ranges.append([code, code + 1])
        classes[pattern] = ranges
    with open(FOLDER + "tokenizer_classes.json", "w") as file:
        file.write("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v, separators=(',', ':'))}"
                                       for k, v in classes.items()) + "\n}\n")


if __name__ == "__main__":
    make_dev()
    make_hostile()
    make_classes()
