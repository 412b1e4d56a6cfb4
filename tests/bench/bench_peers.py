"""bench_peers.py: hydraglot and llama.cpp on the same weights, the same tokens, in turns.

    python3 tests/bench/bench_peers.py [--rounds N] [--threads N] [--processor-time]

Run by `make bench-peers`, which builds both sides. hydra-tiny and its adapters become GGUF
(make_gguf.py); SmolLM2-135M is one file that both read. llama.cpp is measured as one context with
all threads, spinning or sleeping where they meet, and as one context a thread (for adapters, which
are a context's), with and without a unified KV cache; its fastest way counts. Each round runs every contestant once, so that
a machine which slows down slows all. First it is checked that both sides do the same work: equal
tokens of the prompts, and how often llama.cpp's arg-max is ours when it is forced along our tokens.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
PEERS = BUILD / "peers"
SMOLLM2 = BUILD / "fixtures" / "SmolLM2-135M-Instruct.Q4_1.gguf"
TINY = ROOT / "models" / "hydra-tiny"
LANGUAGES = "de es fr ja nl ru sv tr zh".split()
BOS, EOT = 24320, 24322
SENTENCES = [
    "Where is the train station?",
    "The meeting was moved to next Thursday because two colleagues are still on holiday.",
    "She has been learning to play the piano since she was six years old.",
    "How much does a ticket to the city centre cost?",
    "Please close the window, it is getting cold in here.",
    "My brother works in a small bakery near the harbour.",
]
STORY = "The history of bread is as old as farming itself. In the beginning, people"
STORY_TOKENS, LANES, RANK = 64, 8, 16


class Peer:
    """A process that answers commands line by line."""

    def __init__(self, name, command, **env):
        self.name = name
        self.process = subprocess.Popen([str(c) for c in command], cwd=ROOT, text=True, env=dict(os.environ, **env),
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.process.stdout.readline() == "ready\n", f"{name} did not start"

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        assert answer, f"{self.name} ended at: {' '.join(map(str, words))[:80]}"
        return answer.split()

    def tokens(self, text):
        return [int(t) for t in self.ask("tokens", text)[0].split(",")]

    def run(self, prefix, last, most, stop=-1, shared=False):
        """(ms to the end of the prompts, ms in all, the process's own ms, tokens of each lane)"""
        prompted, total, own, *lanes = self.ask("run", len(last), most, stop, int(shared), len(prefix), *prefix, *last)
        return int(prompted) / 1e3, int(total) / 1e3, int(own) / 1e3, [[int(t) for t in l.split(",")] if l != "-" else [] for l in lanes]

    def force(self, lane, shared, prompt, rest):
        return [int(t) for t in self.ask("force", lane, int(shared), len(prompt), *prompt, len(rest), *rest)[0].split(",")]

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def make(name, *words):
    """A GGUF file, kept until its writer changes."""
    path, script = PEERS / "gguf" / name, ROOT / "tests/bench/make_gguf.py"
    if not path.exists() or path.stat().st_mtime < script.stat().st_mtime:
        path.parent.mkdir(parents=True, exist_ok=True)
        env = dict(os.environ, PYTHONPATH=str(PEERS / "python"))
        part = path.with_suffix(".part")
        subprocess.run([sys.executable, str(script), *map(str, words), str(part)],
                       check=True, env=env, stdout=subprocess.DEVNULL)
        part.rename(path)
    return path


def ours(threads, model, *adapters):
    return Peer("hydraglot", [BUILD / "tests/bench/peer_hydraglot", threads, model, *adapters])


def theirs(threads, model, *adapters, unified=(1,)):
    """llama.cpp's ways. Its threads meet after each operation; on cores that others use too they had better
    sleep there than spin."""
    ways = {(1, threads, "active"), (1, threads, "passive"), (threads if adapters else 1, 1, "active")}
    return [Peer(f"llama.cpp, {c} x {t} threads{', ' + wait if t > 1 else ''}{'' if u else ', split KV'}",
                 [PEERS / "peer_llama", c, t, u, model, *adapters], OMP_WAIT_POLICY=wait)
            for c, t, wait in sorted(ways if threads > 1 else {(1, 1, "active")}) for u in unified]


def check_same_work(us, them, id_of):
    """Prompts tokenised alike; (share of whole translations alike, share of forced arg-max alike)."""
    alike = total = whole = lanes = 0
    for sentence in SENTENCES:
        source = us.tokens(sentence)
        assert source == them.tokens(sentence), f"tokens differ: {sentence}"
        prefix = [BOS, *source]
        last = [id_of[l] for l in LANGUAGES]
        *_, mine = us.run(prefix, last, 96, EOT, True)
        *_, other = them.run(prefix, last, 96, EOT, True)
        for lane, out in enumerate(mine):
            out = [t for t in out if t != EOT]
            whole += out == [t for t in other[lane] if t != EOT]
            lanes += 1
            forced = them.force(lane, True, [*prefix, last[lane]], out)
            alike += sum(a == b for a, b in zip(forced, [*out, EOT]))
            total += len(out) + 1
    return whole / lanes, alike / total


def spread(values):
    return f"{statistics.median(values):,.0f} ({min(values):,.0f} to {max(values):,.0f})"


def contest(title, us, them, rounds, measure):
    """Prints a row; measure(peer, round) gives tokens/s. The first round warms up, and ways of llama.cpp that
    reach less than half of its fastest there are left out."""
    first = {peer: measure(peer, -1) for peer in [us, *them]}
    fastest = max(first[peer] for peer in them)
    figures = {peer: [] for peer in [us, *them] if peer is us or first[peer] > fastest / 2}
    for number in range(rounds):
        for peer, values in figures.items():
            values.append(measure(peer, number))
    best = max((p for p in figures if p is not us), key=lambda peer: statistics.median(figures[peer]))
    ratios = [a / b for a, b in zip(figures[us], figures[best])]
    print(f"| {title} | {spread(figures[us])} | {spread(figures[best])} | {best.name.removeprefix('llama.cpp, ')} | "
          f"{statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |", flush=True)
    for peer in [us, *them]:
        peer.close()


def tiny(args):
    model = make("hydra-tiny.gguf", "model", TINY)
    adapters = [make(f"{l}.gguf", "adapter", ROOT / "plugins" / l, TINY) for l in LANGUAGES]
    us = ours(args.threads, TINY, *(ROOT / "plugins" / l for l in LANGUAGES))
    them = theirs(args.threads, model, *adapters)
    special = {t["content"]: t["id"] for t in json.loads((TINY / "tokenizer.json").read_text())["added_tokens"]}
    id_of = {l: special[f"<|{l}|>"] for l in LANGUAGES}
    assert (special["<|begin_of_text|>"], special["<|eot_id|>"]) == (BOS, EOT)
    sources = [[BOS, *us.tokens(s)] for s in SENTENCES]
    whole, forced = check_same_work(us, them[0], id_of)
    print(f"hydra-tiny: {100 * whole:.1f} % of the translations equal llama.cpp's; along ours its arg-max is ours "
          f"for {100 * forced:.2f} % of the tokens\n")
    head()

    def measure(peer, number):
        tokens = ms = 0
        for i, source in enumerate(sources):
            # A number of its own in front: nothing of it was computed before.
            prefix = [source[0], *numbers[(number + 1) * len(sources) + i], *source[1:]]
            _, total, own, lanes = peer.run(prefix, [id_of[l] for l in LANGUAGES], 96, EOT, True)
            tokens += sum(token != EOT for lane in lanes for token in lane)
            ms += own if args.processor_time else total
        return tokens / ms * 1e3

    numbers = [us.tokens(f"{i}.") for i in range((args.rounds + 1) * len(sources))]
    contest("hydra-tiny, one sentence to nine languages, nine adapters: output tokens/s, prompts counted",
            us, them, args.rounds, measure)


def smollm2(args):
    random = [make(f"random-{i}.gguf", "random", RANK, i, SMOLLM2) for i in range(LANES)]

    def decode(peer, number, lanes):
        """Without the prompts: by the clock when they were computed, in processor time by a run that ends there."""
        story = stories[number]
        prompted, total, own, out = peer.run(story[:-1], story[-1:] * lanes, STORY_TOKENS)
        ms = total - prompted
        if args.processor_time:
            other = stories[number, "prompt"]
            ms = own - peer.run(other[:-1], other[-1:] * lanes, 1)[2]
        return (sum(map(len, out)) - lanes) / ms * 1e3

    def one(peer, number):
        return decode(peer, number, 1)

    def eight(peer, number):
        return decode(peer, number, LANES)

    def eight_whole(peer, number):
        story = stories[number]
        _, total, own, lanes = peer.run(story[:-1], story[-1:] * LANES, STORY_TOKENS)
        return sum(map(len, lanes)) / (own if args.processor_time else total) * 1e3

    def start(adapters_of_ours, adapters_of_theirs, unified=(1,)):
        us = ours(args.threads, SMOLLM2, *adapters_of_ours)
        for i in range(-1, args.rounds):
            stories[i] = us.tokens(f"{i + 2}. {STORY}")
            stories[i, "prompt"] = us.tokens(f"{i + 1002}. {STORY}")
        return us, theirs(args.threads, SMOLLM2, *adapters_of_theirs, unified=unified)

    stories = {}
    contest("SmolLM2-135M, one lane: decode tokens/s", *start([], []), args.rounds, one)
    contest("SmolLM2-135M, eight lanes, no adapter: decode tokens/s", *start([], [], (0, 1)), args.rounds, eight)
    contest("SmolLM2-135M, eight lanes, eight adapters of rank 16: output tokens/s, prompts counted",
            *start([f"random:{RANK}"] * LANES, random), args.rounds, eight_whole)


def head():
    print("| what | hydraglot | llama.cpp | at its best | hydraglot / llama.cpp |\n|---|---|---|---|---|", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--processor-time", action="store_true",
                        help="tokens a second of the processes' own time: for machines that others use; with "
                             "--threads 1, since threads that wait spin")
    args = parser.parse_args()
    tiny(args)
    smollm2(args)


if __name__ == "__main__":
    main()
