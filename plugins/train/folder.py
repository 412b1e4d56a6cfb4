"""folder.py: the plugin's folder: the adapter as PEFT saves it, and beside it what it is and how it was made.

    adapter_config.json, adapter_model.safetensors   PEFT's, F16
    plugin.json, training.json, validation.tsv       docs/DESIGN.md, section 6
    DATA.md                                          data statement, for people
    loss.svg                                         the losses, drawn

It is written beside its place and renamed, so a folder with that name is whole.
"""
import datetime
import json
import os
import pathlib
import shutil

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 320, 48, 24, 32


def write_json(path, value):
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def description(options, base):
    """plugin.json."""
    return {"schema": "hydraglot.plugin/1", "kind": "language", "name": options.name, "title": options.title,
            "language": options.language, "sources": [options.source],
            "base": {"name": base["name"]} | ({"fingerprint": base["fingerprint"]} if base["fingerprint"] else {}),
            "template": options.template, "stop": options.stop, "rules": {"before": None, "after": None},
            "licence": options.licence, "attribution": options.attribution}


def smoothed(values, width=15):
    out = []
    for i in range(len(values)):
        part = values[max(0, i - width):i + width + 1]
        out.append(sum(part) / len(part))
    return out


def line(points, place, style):
    return f'<polyline fill="none" {style} points="' + " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, points)) + '"/>'


def plot(course):
    """Losses over steps as SVG: of the batches, smoothed, and of the watched pairs."""
    trained = list(enumerate(smoothed(course.loss), 1))
    values = [y for _, y in trained + course.watched]
    low, high, steps = min(values), max(values), max(1, course.steps)
    span = (high - low) or 1

    def place(point):
        x, y = point
        return (LEFT + (WIDTH - LEFT - 16) * x / steps,
                TOP + (HEIGHT - TOP - BOTTOM) * (high - y) / span)

    kept = place((course.best, dict(course.watched)[course.best]))
    marks = [f'<text x="{LEFT - 6}" y="{place((0, y))[1] + 4:.1f}" text-anchor="end">{y:.2f}</text>'
             for y in (low, (low + high) / 2, high)]
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>Loss over steps</title>",
        "<style>svg{background:#fff}text{font:12px sans-serif;fill:#555}</style>", *marks,
        f'<text x="{LEFT}" y="{HEIGHT - 10}">0</text>',
        f'<text x="{WIDTH - 16}" y="{HEIGHT - 10}" text-anchor="end">{course.steps} steps</text>',
        line(trained, place, 'stroke="#9aa5b1" stroke-width="1.5"'),
        line(course.watched, place, 'stroke="#0b6e99" stroke-width="2"'),
        f'<circle cx="{kept[0]:.1f}" cy="{kept[1]:.1f}" r="4" fill="#0b6e99"/>',
        f'<text x="{WIDTH // 2}" y="16" text-anchor="middle">grey: trained pairs; blue: watched pairs; dot: kept</text>',
        "</svg>", ""])


def statement(options, pairs, training):
    """DATA.md: what the adapter was taught with, for whoever is asked to trust it."""
    c = pairs.counts
    lengths = sorted(len(source) for source, _ in pairs.train)
    return f"""# Data of {options.name}

{options.title}, from {options.source} to {options.language}. Trained on {datetime.date.today()} from one file of
sentence pairs, SHA-256 `{pairs.digest}`.

| lines | blank | said twice | too long | trained on | watched | held |
|---|---|---|---|---|---|---|
| {c["lines"]} | {c["blank"]} | {c["duplicate"]} | {c["too_long"]} | {c["train"]} | {c["watched"]} | {c["held"]} |

- **Licence**: {options.licence or "not stated: ask before you pass it on"}
- **Attribution**: {options.attribution or "none stated"}
- **Length** of a source: {lengths[0]} to {lengths[-1]} characters, the middle one {lengths[len(lengths) // 2]}.
- **Parts**: by the digest of the source, so no source is in two of them. The watched pairs decided when to
  stop. The held ones were translated once, at the end, and are `validation.tsv`.
- **Held pairs**: chrF {training["base_chrf"]} and BLEU {training["base_bleu"]} by the base alone,
  {training["chrf"]} and {training["bleu"]} with the adapter.
- **Not known from the file**: who wrote and who translated the sentences, and for whom. Say so here if you know.
"""


def write(options, model, base, pairs, course, training):
    """Writes all of it to options.out, which must not be there yet."""
    out = pathlib.Path(options.out)
    part = out.with_name(out.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    weights = {name: value.detach().half().cpu().contiguous()
               for name, value in model.state_dict().items() if "lora_" in name}
    model.save_pretrained(part, state_dict=weights)
    (part / "README.md").unlink(missing_ok=True)  # PEFT's form with nothing filled in
    write_json(part / "plugin.json", description(options, base))
    write_json(part / "training.json", training)
    (part / "validation.tsv").write_text("".join(f"{a}\t{b}\n" for a, b in pairs.held))
    (part / "DATA.md").write_text(statement(options, pairs, training))
    (part / "loss.svg").write_text(plot(course))
    os.rename(part, out)
