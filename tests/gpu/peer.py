"""peer.py: what PyTorch takes for the same work, as lines beside those of bench.c.

    python3 tests/gpu/peer.py

    peer   lanes ms           a decode step of Llama-3-8B's shape, all linear layers and the head through
                              torch.ops.aten._weight_int4pack_mm (INT4, groups of 128, BF16 activations),
                              100 positions of KV a lane, captured in a CUDA graph
    gemm   inputs outputs TFLOP/s     2,048 rows in F16 through cuBLASLt, the best of a few rounds

Without a card, without PyTorch or where a kernel is missing, one line on standard error says so.
"""
import statistics
import sys
import time

HIDDEN, INTERMEDIATE, LAYERS, HEADS, KV_HEADS, DIM, VOCABULARY = 4096, 14336, 32, 32, 8, 128, 128256
GROUP, TILES, POSITION, ROWS, ROUNDS = 128, 8, 100, 2048, 50
LANES = (1, 8, 16, 32)
GEMMS = [(HIDDEN, (HEADS + 2 * KV_HEADS) * DIM), (HIDDEN, HIDDEN), (HIDDEN, 2 * INTERMEDIATE), (INTERMEDIATE, HIDDEN)]


class Linear:
    """Random codes in the order that the kernel wants: [outs / 8, inputs / (tiles * 16), 32, tiles / 2]."""

    def __init__(self, torch, inputs, outs):
        shape = (outs // 8, inputs // (TILES * 16), 32, TILES // 2)
        self.codes = torch.randint(-2**31, 2**31 - 1, shape, dtype=torch.int32, device="cuda")
        self.scales = torch.full((inputs // GROUP, outs, 2), 0.002, dtype=torch.bfloat16, device="cuda")
        self.multiply = torch.ops.aten._weight_int4pack_mm

    def __call__(self, x):
        return self.multiply(x, self.codes, GROUP, self.scales)


class Model:
    """A decode step as a Llama computes it."""

    def __init__(self, torch, lanes):
        self.torch = torch
        qkv = (HEADS + 2 * KV_HEADS) * DIM
        make = lambda inputs, outs: Linear(torch, inputs, outs)
        self.layers = [(make(HIDDEN, qkv), make(HIDDEN, HIDDEN), make(HIDDEN, 2 * INTERMEDIATE),
                        make(INTERMEDIATE, HIDDEN)) for _ in range(LAYERS)]
        self.head = make(HIDDEN, VOCABULARY)
        self.embedding = torch.randn(VOCABULARY, HIDDEN, dtype=torch.bfloat16, device="cuda")
        self.norm = torch.ones(HIDDEN, dtype=torch.bfloat16, device="cuda")
        self.cos, self.sin = (torch.rand(lanes, 1, DIM // 2, dtype=torch.bfloat16, device="cuda") for _ in range(2))
        self.kv = torch.randn(LAYERS, 2, lanes, KV_HEADS, POSITION + 1, DIM, dtype=torch.bfloat16, device="cuda")
        self.token = torch.zeros(lanes, dtype=torch.int64, device="cuda")

    def rms(self, x):
        return self.torch.nn.functional.rms_norm(x, (HIDDEN,), self.norm, 1e-5)

    def turn(self, x):
        a, b = x.chunk(2, -1)
        return self.torch.cat((a * self.cos - b * self.sin, b * self.cos + a * self.sin), -1)

    def attend(self, layer, qkv):
        torch, lanes = self.torch, qkv.shape[0]
        q, k, v = qkv.view(lanes, HEADS + 2 * KV_HEADS, DIM).split((HEADS, KV_HEADS, KV_HEADS), 1)
        cache = self.kv[layer]
        cache[0, :, :, POSITION], cache[1, :, :, POSITION] = self.turn(k), v
        out = torch.nn.functional.scaled_dot_product_attention(
            self.turn(q).unsqueeze(2), cache[0], cache[1], enable_gqa=True)
        return out.reshape(lanes, HEADS * DIM)

    def step(self):
        x = self.embedding[self.token]
        for i, (qkv, o, gate_up, down) in enumerate(self.layers):
            x = x + o(self.attend(i, qkv(self.rms(x))))
            gate, up = gate_up(self.rms(x)).chunk(2, -1)
            x = x + down(self.torch.nn.functional.silu(gate) * up)
        return self.head(self.rms(x)).argmax(-1)


def median_ms(torch, run):
    for _ in range(5):
        run()
    times = []
    for _ in range(ROUNDS):
        torch.cuda.synchronize()
        begin = time.perf_counter()
        run()
        torch.cuda.synchronize()
        times.append((time.perf_counter() - begin) * 1e3)
    return statistics.median(times)


def capture(torch, model):
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            model.step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        model.step()
    return graph


def steps(torch):
    for lanes in LANES:
        model = Model(torch, lanes)  # the graph reads its memory
        graph = capture(torch, model)
        print(f"peer\t{lanes}\t{median_ms(torch, graph.replay):.4f}", flush=True)
        del graph, model
        torch.cuda.empty_cache()


def gemms(torch):
    torch.backends.cuda.preferred_blas_library("cublaslt")
    for inputs, outs in GEMMS:
        a = torch.randn(ROWS, inputs, dtype=torch.float16, device="cuda")
        w = torch.randn(outs, inputs, dtype=torch.float16, device="cuda")
        best = 0
        for _ in range(5):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            for _ in range(3):
                torch.nn.functional.linear(a, w)
            begin.record()
            for _ in range(20):
                torch.nn.functional.linear(a, w)
            end.record()
            torch.cuda.synchronize()
            best = max(best, 20 * 2 * ROWS * inputs * outs / begin.elapsed_time(end) / 1e9)
        print(f"gemm\t{inputs}\t{outs}\t{best:.1f}", flush=True)


def main():
    try:
        import torch
    except ImportError:
        return print("peer: this Python has no PyTorch", file=sys.stderr)
    if not torch.cuda.is_available():
        return print("peer: PyTorch sees no card", file=sys.stderr)
    print(f"torch\t{torch.__version__}")
    with torch.no_grad():
        for part in (steps, gemms):
            try:
                part(torch)
            except (RuntimeError, AttributeError, TypeError) as error:
                print(f"peer: {part.__name__}: {str(error).splitlines()[0]}", file=sys.stderr)


if __name__ == "__main__":
    main()
