"""cuda_floor.py: the least time of a step on a card, computed from the CUDA device's own byte and
operation counts. Nothing is measured here.

    python3 tests/bench/cuda_floor.py

A step can be no faster than its bytes at the card's bandwidth or its operations at the card's peak,
both as the makers' data sheets have them. Bytes are those that the kernels' opening comments count:
packed weights once for each pass of 32 rows (packed.h: 1 KiB of codes and 32 bytes of scales a unit),
K and V of each lane in F16, each lane's own adapter at its true rank, and a row of the embedding.
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
ROWS = 32


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


def main():
    print("| step | GB read | " + " | ".join(f"{name}" for name, _, _ in CARDS) + " |")
    print("|---|---|" + "---|" * len(CARDS))
    cases = [("1 lane", step(1, 1, 100))]
    cases += [(f"{n} lanes", step(n, n, 100)) for n in (8, 16, 32)]
    cases += [(f"{n} lanes, one r{r} adapter for all", step(n, n, 100, 1, r)) for n, r in ((8, 16), (16, 64))]
    cases += [(f"{n} lanes, {n} r{r} adapters" if n > 1 else f"1 lane, its r{r} adapter", step(n, n, 100, n, r))
              for n, r in ((8, 16), (16, 16), (1, 64), (8, 64), (16, 64), (32, 16))]
    cases += [("a prompt of 2,048 tokens, in passes", step(2048, 1, 2048))]
    for name, (read, operations) in cases:
        least = [max(read / speed, operations / peak) * 1e3 for _, speed, peak in CARDS]
        print(f"| {name} | {read / 1e9:.2f} | " + " | ".join(f"{ms:.2f} ms" for ms in least) + " |")


if __name__ == "__main__":
    main()
