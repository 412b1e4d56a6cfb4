"""cuda_floor.py: the least time of a step on a card, computed from the CUDA device's own byte and
operation counts. Nothing is measured here; tests/gpu/report.py holds measured times against it.

    python3 tests/bench/cuda_floor.py

A step can be no faster than its bytes at the card's bandwidth or its operations at the card's peak,
both as the makers' data sheets have them. Bytes are those that the kernels' opening comments count:
packed weights once for each pass of 32 rows (packed.h: 1 KiB of codes and 32 bytes of scales a unit),
K and V of each lane in F16, each lane's own adapter at its true rank, and a row of the embedding.
Whole chunks of a prompt read the packed weights once for each step of four; panels of F16 are taken to
stay in the second cache.
"""
CARDS = [  # name, bytes/s, F16 operations/s with F32 sums, dense
    ("A100 80 GB", 2.04e12, 312e12), ("H100 SXM", 3.35e12, 989e12),
    ("RTX 4090", 1.008e12, 165e12), ("RTX 5090", 1.792e12, 210e12)]
HIDDEN, INTERMEDIATE, LAYERS, KV, VOCABULARY = 4096, 14336, 32, 1024, 128256
PAIRS = [(HIDDEN, HIDDEN), (HIDDEN, KV), (HIDDEN, KV), (HIDDEN, HIDDEN), (HIDDEN, INTERMEDIATE),
         (HIDDEN, INTERMEDIATE), (INTERMEDIATE, HIDDEN)]  # inputs, outputs of a layer
LINEAR = LAYERS * sum(i * o for i, o in PAIRS)
UNIT, CODES = 1024 + 32, 1024
LAYER_BYTES = LINEAR / (CODES * 2) * UNIT       # INT4, groups of 128
HEAD_BYTES = HIDDEN * VOCABULARY / CODES * UNIT  # INT8, groups of 128
ROWS, STEP_ROWS, CHUNKS_ROWS = 32, 256, 1024     # of a pass, of a step, of a step's whole chunks
POSITION, PROMPT = 100, 2048
IN, OUT = 43, 100                                # tokens, as the NVIDIA multi-LoRA figures are stated
STEPS = [(n, "none", 0) for n in (1, 8, 16, 32)] + [
    (n, sharing, rank) for rank in (16, 64) for n in (1, 8, 16, 32) for sharing in ("same", "distinct")]
REQUESTS = [(n, sharing, rank) for rank in (16, 64) for n in (1, 2, 4, 8, 16) for sharing in ("same", "distinct")]


def adapter(rank):
    return LAYERS * sum(rank * (i + o) for i, o in PAIRS) * 2  # F16


def step(rows, wanted, position, adapters=0, rank=0):
    """(bytes, operations) of a step of rows, all at about the same position."""
    passes = -(-rows // ROWS)
    kv = rows * position * LAYERS * 2 * KV * 2
    if rows > ROWS:  # a prompt: rows of a pass look at the same pages, on average half of them
        kv = passes * position / 2 * LAYERS * 2 * KV * 2
    read = passes * LAYER_BYTES + (HEAD_BYTES if wanted else 0) + kv + adapters * adapter(rank) + rows * HIDDEN * 2
    operations = 2 * rows * LINEAR + 2 * wanted * HIDDEN * VOCABULARY
    operations += 4 * rows * position * LAYERS * HIDDEN + (2 * rows * adapter(rank) / 2 if adapters else 0)
    return read, operations


def prompt(tokens):
    """(bytes, operations) of a prompt in whole chunks but for what follows the last of them."""
    whole = (tokens - 1) // STEP_ROWS * STEP_ROWS
    _, operations = step(tokens, 1, tokens / 2)
    read = -(-whole // CHUNKS_ROWS) * LAYER_BYTES + step(tokens - whole, 1, tokens)[0]
    return read + whole * tokens / 2 / ROWS * LAYERS * 2 * KV * 2, operations


def own(lanes, sharing):
    """Adapters that a step of so many lanes reads."""
    return {"none": 0, "same": 1, "distinct": lanes}[sharing]


def name_of(lanes, sharing, rank):
    lane = f"{lanes} lane" + "s" * (lanes > 1)
    return lane + {"none": "", "same": f", one r{rank} adapter", "distinct": f", r{rank} adapter each"}[sharing]


def least_ms(work, bandwidth, peak):
    read, operations = work
    return max(read / bandwidth, operations / peak) * 1e3


def request_ms(batch, sharing, rank, bandwidth, peak):
    """IN tokens of each of a batch, then OUT for each: its prompts' steps and the others."""
    def ms(rows, position):
        return least_ms(step(rows, batch, position, own(batch, sharing), rank), bandwidth, peak)
    share = STEP_ROWS // batch
    prompts = sum(ms(batch * min(share, IN - done), done + share / 2) for done in range(0, IN, share))
    return prompts + sum(ms(batch, IN + i) for i in range(1, OUT))


def table(heads, rows):
    return "\n".join("| " + " | ".join(map(str, row)) + " |" for row in (heads, ["---"] * len(heads), *rows))


def computed():
    """Both tables, for each card."""
    cards = [name for name, _, _ in CARDS]
    cases = [(name_of(*case), step(case[0], case[0], POSITION, own(*case[:2]), case[2])) for case in STEPS
             if case[0] > 1 or case[1] != "same"]
    cases.append((f"a prompt of {PROMPT:,} tokens, in passes", step(PROMPT, 1, PROMPT)))
    cases.append((f"a prompt of {PROMPT:,} tokens, in whole chunks", prompt(PROMPT)))
    rows = [[name, f"{work[0] / 1e9:.2f}"] + [f"{least_ms(work, *card[1:]):.2f} ms" for card in CARDS]
            for name, work in cases]
    yield table(["step", "GB read", *cards], rows)
    rows = []
    for batch, sharing, rank in REQUESTS:
        if batch == 1 and sharing == "same":
            continue
        times = [request_ms(batch, sharing, rank, *card[1:]) for card in CARDS]
        rows.append([batch, rank, {"same": "same", "distinct": "unique"}[sharing]]
                    + [f"{batch * OUT / ms * 1e3:,.0f}/s, {ms:.0f} ms" for ms in times])
    yield table(["batch", "rank", "adapters", *cards], rows)


if __name__ == "__main__":
    print(*computed(), sep="\n\n")
