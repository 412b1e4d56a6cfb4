"""report.py: the tables of `make gpu-bench`, as docs/PERFORMANCE.md has them.

    python3 tests/gpu/report.py FILE...     measured: the lines of bench.c and peer.py
    python3 tests/gpu/report.py             without a card: computed, and marked as such

Bytes and operations of a step are those of tests/bench/cuda_floor.py. A share is what a step's bytes
would take at the copy bandwidth measured in the same run, over what the step took.
"""
import datetime
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))
import cuda_floor as floor  # noqa: E402

COMMAND = "`make gpu-bench`"


def read(paths):
    """{kind: [fields]} of all lines."""
    found = {}
    for path in paths:
        for line in pathlib.Path(path).read_text().splitlines():
            kind, *fields = line.split("\t")
            found.setdefault(kind, []).append(fields)
    return found


def best_rate(gemms):
    """Operations/s of a layer's four products, each at its best rate; 0 without."""
    work = [(float(i) * float(o), float(rate) * 1e12) for i, o, rate in gemms]
    return sum(n for n, _ in work) / sum(n / rate for n, rate in work) if work else 0


def order(row):
    """Rows stand by lanes, however they were measured: without adapters, then by their rank."""
    lanes, sharing, rank, _ = row
    return int(rank), int(lanes), sharing == "distinct"


def step_rows(found, bandwidth):
    plain = {int(lanes): float(ms) for lanes, sharing, _, ms in found.get("step", []) if sharing == "none"}
    peer = {int(lanes): float(ms) for lanes, ms in found.get("peer", [])}
    for lanes, sharing, rank, ms in sorted(found.get("step", []), key=order):
        lanes, rank, ms = int(lanes), int(rank), float(ms)
        work = floor.step(lanes, lanes, floor.POSITION, floor.own(lanes, sharing), rank)[0]
        without = f"{ms / plain[lanes]:.2f}" if sharing != "none" else ""
        extra = (floor.own(lanes, sharing) * floor.adapter(rank)) / bandwidth * 1e3
        over = f"{(ms / (plain[lanes] + extra) - 1) * 100:+.1f} %" if sharing != "none" else ""
        times = f"{peer[lanes]:.2f} ms, {peer[lanes] / ms:.2f} x" if sharing == "none" and lanes in peer else ""
        yield [floor.name_of(lanes, sharing, rank), f"{work / 1e9:.2f}", f"{ms:.2f} ms",
               f"{work / bandwidth / ms * 1e5:.0f} %", without, over, times]


def measured(found):
    bandwidth = float(found["copy"][0][0]) * 1e9
    version = f" PyTorch {found['torch'][0][0]}." if "torch" in found else " PyTorch was not there."
    yield (f"{found['card'][0][0]}, {datetime.date.today()}, {COMMAND}. The card copies "
           f"{bandwidth / 1e9:,.0f} GB/s (read and written).{version}")
    heads = ["step", "GB read", "time", "of copy bandwidth", "times without adapters", "over its bytes", "PyTorch INT4"]
    yield floor.table(heads, step_rows(found, bandwidth))
    rows, best = [], best_rate(found.get("gemm", []))
    for tokens, ms, way in found.get("prefill", []):
        rate = floor.step(int(tokens), 1, int(tokens) / 2)[1] / float(ms) * 1e3
        share = f"{best / 1e12:.0f} TFLOP/s, {rate / best * 100:.0f} %" if best else ""
        rows.append([f"a prompt of {int(tokens):,} tokens, in {way}", f"{float(ms):.1f} ms", f"{rate / 1e12:.1f} TFLOP/s", share])
    yield floor.table(["prompt", "time", "rate", "cuBLASLt in F16, share of it"], rows)
    rows = [[batch, rank, {"same": "same", "distinct": "unique"}[sharing],
             f"{int(batch) * floor.OUT / float(ms) * 1e3:,.0f}/s", f"{float(ms):,.0f} ms"]
            for batch, sharing, rank, ms in sorted(found.get("request", []), key=order)]
    yield f"{floor.IN} tokens in, {floor.OUT} out for each of a batch:"
    yield floor.table(["batch", "rank", "adapters", "tokens", "latency"], rows)
    left = [f"{what} of {lanes}" + (f" ({sharing}, rank {rank})" if sharing != "none" else "")
            for what, lanes, sharing, rank in found.get("left", [])]
    if left:
        yield "Left out, for want of time: " + ", ".join(left) + "."


def main():
    if len(sys.argv) > 1:
        print(*measured(read(sys.argv[1:])), sep="\n\n")
        return
    print(f"Computed, not measured: no card was at hand ({datetime.date.today()}, {COMMAND}).")
    print(*floor.computed(), sep="\n\n")


if __name__ == "__main__":
    main()
