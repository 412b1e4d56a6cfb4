"""The adapter trainer, plugins/train: what it makes of files of pairs; the training itself in check-long.

torch is not among the things that `make check` installs, so here is what comes before it is loaded: the
pairs, their division, every mistake in them. With HYDRAGLOT_LONG=1 (after `make train-deps`) an adapter is
trained from docs/examples, served without edits, and read by PEFT.
"""
import json
import os
import subprocess
import sys
import types

import pytest

from conftest import ROOT

sys.path.insert(0, str(ROOT / "plugins" / "train"))
import folder  # noqa: E402
import pairs  # noqa: E402

TRAINER = ROOT / "plugins" / "train" / "train.py"
EXAMPLE = ROOT / "docs" / "examples" / "de-formal.tsv"
TRAIN_PYTHON = ROOT / "build" / "train" / "bin" / "python"


def many(count):
    return [(f"Sentence number {i}.", f"Satz Nummer {i}.") for i in range(count)]


def write(path, rows):
    path.write_text("".join(f"{a}\t{b}\n" for a, b in rows))
    return path


def test_parts_share_no_source_and_stay_when_pairs_are_added(tmp_path):
    few = pairs.read(write(tmp_path / "few.tsv", many(1000)))
    more = pairs.read(write(tmp_path / "more.tsv", many(2000)))
    parts = [{a for a, _ in part} for part in (few.train, few.watched, few.held)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 1000
    assert 20 < len(few.held) < 90 and 20 < len(few.watched) < 90
    assert set(few.held) <= set(more.held) and set(few.watched) <= set(more.watched)


def test_pairs_are_cleaned_and_counted(tmp_path):
    rows = many(300) + [many(1)[0], ("Cafe\u0301  is\u00a0open.", "Das Cafe\u0301 ist offen.")]
    path = write(tmp_path / "pairs.tsv", rows)
    path.write_text("\ufeff" + path.read_text() + "\n \nOne more.\tNoch einer.\tthird column\n")
    got = pairs.read(path, lambda pair: len(pair[0]) < 24)
    assert got.counts["lines"] == 305 and got.counts["blank"] == 2
    assert got.counts["duplicate"] == 1 and got.counts["too_long"] == 0
    all_pairs = got.train + got.watched + got.held
    assert ("Caf\u00e9 is open.", "Das Caf\u00e9 ist offen.") in all_pairs
    assert ("One more.", "Noch einer.") in all_pairs
    assert len(got.digest) == 64


@pytest.mark.parametrize("content, said", [
    (b"no tab here\n", "pairs.tsv:1: has no tab"),
    (b"one\tein\n\ttwo\n", "pairs.tsv:2: has an empty side"),
    (b"one\tein\nb\xe4d\tb\n", "pairs.tsv:2: is not UTF-8"),
    (b"one\tein\n", "1 usable pairs; at least 200 are needed"),
    (b"", "0 usable pairs"),
])
def test_a_bad_file_is_refused_by_line(tmp_path, content, said):
    path = tmp_path / "pairs.tsv"
    path.write_bytes(content)
    with pytest.raises(pairs.BadPairs, match=said):
        pairs.read(path)


def test_the_trainer_says_so_before_it_loads_torch(tmp_path):
    path = tmp_path / "pairs.tsv"
    path.write_text("no tab\n" * 9)
    done = subprocess.run(
        [sys.executable, TRAINER, "--model", ROOT / "models/hydra-tiny", "--pairs", path, "--out", tmp_path / "o",
         "--name", "x", "--title", "X", "--language", "xx", "--template", "{source}", "--stop", "<|eot_id|>"],
        capture_output=True, text=True)
    assert done.returncode == 1
    assert "pairs.tsv:5: has no tab\nand 4 more" in done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "o").exists()


def test_the_example_is_whole():
    got = pairs.read(EXAMPLE)
    assert got.counts["lines"] == 5000 and got.counts["held"] == 200
    assert len(got.train) > 4000


def test_the_plot_is_drawing_of_the_losses():
    import xml.etree.ElementTree as xml
    course = types.SimpleNamespace(steps=3, best=2, loss=[3.0, 2.0, 2.5], watched=[(0, 3.5), (2, 2.0), (3, 2.2)])
    root = xml.fromstring(folder.plot(course))
    lines = root.findall("{http://www.w3.org/2000/svg}polyline")
    assert [len(line.get("points").split()) for line in lines] == [3, 3]


@pytest.mark.skipif(os.environ.get("HYDRAGLOT_LONG") != "1", reason="trains for minutes; part of check-long")
def test_an_adapter_is_trained_served_and_read_by_peft(tmp_path, pytestconfig):
    out, binary = tmp_path / "de-formal", pytestconfig.getoption("--binary")
    subprocess.run([binary, "plugin", "train", "--pairs", EXAMPLE, "--out", out, "--name", "de-formal", "--language",
                    "de-x-formal", "--title", "German", "--template", "hydra-tiny", "--licence", "CC-BY-2.0-FR"],
                   check=True, cwd=ROOT)
    training = json.loads((out / "training.json").read_text())
    assert training["chrf"] > training["base_chrf"] + 1
    assert training["minutes"] < 15
    pair = (out / "validation.tsv").read_text().splitlines()[0].split("\t")
    # PEFT's own reading of the folder, on the base as transformers reads it with compressed-tensors.
    script = ("import sys, torch, peft, transformers\n"
              "m = transformers.AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float32)\n"
              "m = peft.PeftModel.from_pretrained(m, sys.argv[2]).eval()\n"
              "t = transformers.AutoTokenizer.from_pretrained(sys.argv[1])\n"
              "ids = t(f'<|begin_of_text|>{sys.argv[3]}<|de|>', return_tensors='pt', add_special_tokens=False)\n"
              "stop = t.convert_tokens_to_ids('<|eot_id|>')\n"
              "out = m.generate(**ids, max_new_tokens=60, do_sample=False, eos_token_id=stop, pad_token_id=stop)\n"
              "print(t.decode(out[0][ids['input_ids'].shape[1]:], skip_special_tokens=True))\n")
    theirs = subprocess.run([TRAIN_PYTHON, "-c", script, ROOT / "models/hydra-tiny", out, pair[0]], check=True,
                            capture_output=True, text=True).stdout.strip()
    ours = subprocess.run([binary, "translate", "--plugins", tmp_path, "--to", "de-x-formal", "--json", pair[0]],
                          check=True, capture_output=True, text=True).stdout.splitlines()
    assert json.loads(ours[0])["text"] == theirs
