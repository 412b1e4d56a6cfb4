"""pairs.py: sentence pairs out of a TSV file: read, cleaned and divided.

A line is `source TAB translation`; what follows a second tab is ignored, as exports have it. Nothing is
mended silently: what cannot be read is an error with the numbers of its lines, and what is left out is
counted for the data statement.

A pair's part follows from the digest of its source, so that one source never stands on two sides, and the
parts stay the same when pairs are added: `held` is translated once, at the end, and becomes the plugin's
validation.tsv; `watched` decides when to stop; everything else is trained on.
"""
import dataclasses
import hashlib
import pathlib
import unicodedata

HELD_MOST, WATCHED_MOST = 200, 200
PAIRS_LEAST = 200
SHARE = 20  # one pair in so many is held, one watched, as long as they are under their bounds


class BadPairs(Exception):
    """The file cannot be used; the message says where and what to do."""


@dataclasses.dataclass
class Pairs:
    train: list
    watched: list
    held: list
    counts: dict  # of lines, by what became of them
    digest: str   # SHA-256 of the file


def split_line(line):
    """(source, translation), or what is wrong with the line."""
    cells = [" ".join(unicodedata.normalize("NFC", cell).split()) for cell in line.split("\t")]
    if len(cells) < 2:
        return None, "has no tab"
    if not cells[0] or not cells[1]:
        return None, "has an empty side"
    return (cells[0], cells[1]), None


def read_lines(path):
    """Pairs in the order of the file, the number of blank lines, and the file's digest."""
    bytes_ = pathlib.Path(path).read_bytes()
    try:
        text = bytes_.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = bytes_[:error.start].count(b"\n") + 1
        raise BadPairs(f"{path}:{line}: is not UTF-8; convert the file, with iconv say") from None
    pairs, wrong, blank = [], [], 0
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            blank += number <= text.count("\n")
            continue
        pair, problem = split_line(line)
        if pair:
            pairs.append(pair)
        else:
            wrong.append(f"{path}:{number}: {problem}")
    if wrong:
        more = f"\nand {len(wrong) - 5} more" if len(wrong) > 5 else ""
        raise BadPairs("\n".join(wrong[:5]) + more + "\na line is: source, a tab, translation")
    return pairs, blank, hashlib.sha256(bytes_).hexdigest()


def part_of(source):
    """0: held, 1: watched, anything else: train."""
    return int(hashlib.sha256(source.encode()).hexdigest()[:8], 16) % SHARE


def divide(pairs):
    """train, watched, held, each in the order of the file."""
    parts = [], [], []
    for pair in pairs:
        part = part_of(pair[0])
        if part == 0 and len(parts[2]) < HELD_MOST:
            parts[2].append(pair)
        elif part == 1 and len(parts[1]) < WATCHED_MOST:
            parts[1].append(pair)
        else:
            parts[0].append(pair)
    return parts


def read(path, fits=lambda pair: True):
    """Reads and divides a file. fits(pair) is false for what is too long for the model."""
    lines, blank, digest = read_lines(path)
    unique = list(dict.fromkeys(lines))
    used = [pair for pair in unique if fits(pair)]
    if len(used) < PAIRS_LEAST:
        raise BadPairs(f"{path}: {len(used)} usable pairs; at least {PAIRS_LEAST} are needed, "
                       "and some thousands to learn from")
    train, watched, held = divide(used)
    counts = {"lines": len(lines) + blank, "blank": blank, "duplicate": len(lines) - len(unique),
              "too_long": len(unique) - len(used), "train": len(train), "watched": len(watched),
              "held": len(held)}
    return Pairs(train, watched, held, counts, digest)
