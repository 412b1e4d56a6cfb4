"""fit.py: the training itself: batches of like length, the rate, early stopping, progress.

Only what stands behind the prompt is learned: the translation and its end. One source in twelve is
lower-cased without its final mark, as people type in chats; one pair in twenty-five is cut short on both
sides, for translation while somebody types. The rate rises over ten steps, stays, and falls linearly over
the last 70 % of the work. After every part of an epoch the watched pairs are read, and the adapter that did
best on them is the one that is kept.
"""
import dataclasses
import random
import sys
import time

import torch

TYPED, CUT = 1 / 12, 1 / 25
CHECKS = 3          # readings of the watched pairs in an epoch
PATIENCE = 4        # readings without a better one after which it ends
WARMUP = 10         # steps
POOL = 32           # batches' worth of pairs that are sorted by length together
IGNORED = -100


@dataclasses.dataclass
class Plan:
    epochs: int
    minutes: float
    tokens: int     # of a batch, padding counted
    rate: float
    seed: int


@dataclasses.dataclass
class Course:
    """What happened: steps and losses, for the report."""
    steps: int = 0
    tokens: int = 0
    epochs: float = 0
    seconds: float = 0
    loss: list = dataclasses.field(default_factory=list)     # of each step
    watched: list = dataclasses.field(default_factory=list)  # (step, loss)
    best: int = 0                                            # step whose adapter was kept
    ended: str = ""


class Encoder:
    """Pairs as (prompt ids, target ids)."""
    def __init__(self, prompt, stop):
        self.prompt, self.stop = prompt, stop

    def __call__(self, source, target):
        return self.prompt.ids(source), self.prompt.target_ids(target) + [self.stop]


def cut_short(text, share):
    words = text.split(" ")
    if len(words) > 2:
        return " ".join(words[:max(1, round(len(words) * share))])
    return text[:max(1, round(len(text) * share))]


def as_typed(pair, random_):
    """The pair as somebody may type it."""
    source, target = pair
    if random_.random() < TYPED:
        return source.rstrip(".!").lower() or source, target
    if random_.random() < CUT:
        share = random_.uniform(0.3, 0.9)
        return cut_short(source, share), cut_short(target, share * 0.9)
    return pair


def batches(rows, tokens):
    """Rows of like length together, each batch at most so many tokens wide and high."""
    rows = sorted(rows, key=lambda row: len(row[0]) + len(row[1]))
    out, width = [[]], 0
    for row in rows:
        width = max(width, len(row[0]) + len(row[1]))
        if out[-1] and width * (len(out[-1]) + 1) > tokens:
            out.append([])
            width = len(row[0]) + len(row[1])
        out[-1].append(row)
    return out


def epoch_of(pairs, encode, plan, random_):
    """An epoch's batches: shuffled pairs, sorted only within a pool, so that batches differ each time."""
    rows = [encode(*as_typed(pair, random_)) for pair in random_.sample(pairs, len(pairs))]
    pool = max(1, POOL * plan.tokens // 32)
    out = [b for at in range(0, len(rows), pool) for b in batches(rows[at:at + pool], plan.tokens)]
    random_.shuffle(out)
    return out


def collate(batch, device):
    """Padded on the left, so that the targets of all rows end together: ids, mask, labels of the last
    columns [rows, targets]."""
    width = max(len(p) + len(t) for p, t in batch)
    last = max(len(t) for _, t in batch)
    ids = torch.zeros(len(batch), width, dtype=torch.long)
    mask = torch.zeros(len(batch), width, dtype=torch.long)
    labels = torch.full((len(batch), last), IGNORED)
    for i, (prompt, target) in enumerate(batch):
        row = torch.tensor(prompt + target)
        ids[i, width - len(row):] = row
        mask[i, width - len(row):] = 1
        labels[i, last - len(target):] = row[len(prompt):]
    return ids.to(device), mask.to(device), labels.to(device)


def loss_of(model, batch):
    """The mean loss of a batch's target tokens, and how many they are."""
    ids, mask, labels = collate(batch, model.device)
    position = (mask.cumsum(1) - 1).clamp(min=0)
    out = model(input_ids=ids, attention_mask=mask, position_ids=position, use_cache=False,
                logits_to_keep=labels.shape[1] + 1)
    logits = out.logits[:, :-1].float()
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED)
    return loss, int((labels != IGNORED).sum())


@torch.no_grad()
def watch(model, rows):
    total = count = 0
    for batch in rows:
        loss, tokens = loss_of(model, batch)
        total, count = total + float(loss) * tokens, count + tokens
    return total / max(1, count)


class Progress:
    """One line that renews itself on a terminal; elsewhere a line for each reading."""
    def __init__(self, plan):
        self.plan, self.terminal = plan, sys.stderr.isatty()

    def show(self, course, done, due):
        text = f"epoch {course.epochs:.1f} of {self.plan.epochs}, {course.seconds:.0f} s, loss {course.loss[-1]:.3f}"
        text += f", watched pairs {course.watched[-1][1]:.3f}"
        if self.terminal:
            sys.stderr.write(f"\r[{'#' * round(done * 24):<24}] {text}\x1b[K")
        elif due:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def end(self):
        if self.terminal:
            sys.stderr.write("\n")


def rate_at(plan, step, done):
    return plan.rate * min(1, step / WARMUP) * min(1, max(0.02, (1 - done) / 0.7))


class Keeper:
    """The weights that did best on the watched pairs."""
    def __init__(self, trained):
        self.trained, self.best, self.since = trained, None, 0
        self.kept = None

    def take(self, course, loss):
        """False: enough readings without a better one."""
        course.watched.append((course.steps, loss))
        self.since += 1
        if self.best is None or loss < self.best:
            self.best, self.since, course.best = loss, 0, course.steps
            self.kept = [p.detach().clone() for p in self.trained]
        return self.since < PATIENCE

    def restore(self):
        for parameter, kept in zip(self.trained, self.kept):
            parameter.data.copy_(kept)


def batches_of(pairs, encode, plan):
    """Yields (epochs done, whether a reading of the watched pairs is due, batch)."""
    random_ = random.Random(plan.seed)
    for epoch in range(plan.epochs):
        rows = epoch_of(pairs, encode, plan, random_)
        every = max(1, len(rows) // CHECKS)
        for at, batch in enumerate(rows):
            yield epoch + at / len(rows), (at + 1) % every == 0, batch


def run(model, pairs, encode, plan):
    """Trains the parameters of model that want a gradient; returns the Course."""
    trained = [p for p in model.parameters() if p.requires_grad]
    adam = torch.optim.AdamW(trained, lr=plan.rate, betas=(0.9, 0.98), weight_decay=0.01)
    watched = batches([encode(*pair) for pair in pairs.watched], plan.tokens)
    course, keeper, start = Course(), Keeper(trained), time.monotonic()
    progress = Progress(plan)
    model.train()
    keeper.take(course, watch(model, watched))
    for epochs, due, batch in batches_of(pairs.train, encode, plan):
        course.epochs, course.seconds = epochs, time.monotonic() - start
        done = max(epochs / plan.epochs, course.seconds / 60 / plan.minutes)
        if done >= 1:
            course.ended = "time"
            break
        step(model, batch, adam, rate_at(plan, course.steps + 1, done), course)
        better = not due or keeper.take(course, watch(model, watched))
        progress.show(course, done, due)
        if not better:
            course.ended = "no better on the watched pairs"
            break
    if not course.ended:
        course.ended, course.epochs = "all epochs", plan.epochs
    keeper.take(course, watch(model, watched))
    course.seconds = time.monotonic() - start
    progress.end()
    keeper.restore()
    model.eval()
    return course


def step(model, batch, adam, rate, course):
    for group in adam.param_groups:
        group["lr"] = rate
    loss, tokens = loss_of(model, batch)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(adam.param_groups[0]["params"], 1.0)
    adam.step()
    adam.zero_grad()
    course.steps += 1
    course.tokens += sum(len(p) + len(t) for p, t in batch)
    course.loss.append(float(loss.detach()))
