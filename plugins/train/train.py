#!/usr/bin/env python3
"""train.py: a language adapter out of a list of sentence pairs.

    make train-deps
    build/train/bin/python plugins/train/train.py --model models/hydra-tiny --pairs PAIRS.tsv --out FOLDER \\
        --name de-formal --title "German, formal" --language de-x-formal --template '<|begin_of_text|>{source}<|de|>' \\
        --stop '<|eot_id|>'

`hydraglot plugin train` calls it with what it knows of the model and the template, and runs the gate on what
comes out. The adapter is a LoRA over all projections, trained against the INT4 base that is served (base.py);
by default an aLoRA, which acts from what stands behind the source on, so that all languages share the
source's KV. The folder loads in hydraglot and in PEFT without edits.
"""
import argparse
import json
import os
import pathlib
import sys
import warnings

PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]


def arguments():
    a = argparse.ArgumentParser(description="Train a language adapter from sentence pairs.",
                                formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    a.add_argument("--model", required=True, help="folder of the base model, as it is served")
    a.add_argument("--pairs", required=True, help="TSV: source, a tab, translation")
    a.add_argument("--out", required=True, help="folder of the plugin; it must not be there yet")
    a.add_argument("--name", required=True, help="the plugin's name")
    a.add_argument("--title", required=True, help="its language for people, in English")
    a.add_argument("--language", required=True, help="BCP-47 tag")
    a.add_argument("--source", default="en", help="tag of the language of the sources")
    a.add_argument("--source-title", default="English", help="that language's English name")
    a.add_argument("--template", required=True, help="the prompt, with {source}")
    a.add_argument("--stop", action="append", default=[],
                   help="special tokens that end a translation, the usual one first; those that the model lacks "
                        "do not count (default: the model's own)")
    a.add_argument("--fingerprint", default="", help="the base's, for plugin.json")
    a.add_argument("--licence", default="", help="of the pairs, which the adapter's must respect")
    a.add_argument("--attribution", default="", help="whom the pairs' licence wants named")
    a.add_argument("--rank", type=int, default=16)
    a.add_argument("--plain-lora", action="store_true", help="act on the source too; it then has KV of its own")
    a.add_argument("--epochs", type=int, default=3)
    a.add_argument("--minutes", type=float, default=12, help="most time for training")
    a.add_argument("--batch-tokens", type=int, default=2048)
    a.add_argument("--rate", type=float, default=0, help="0: 6e-4 at width 384, less in wider models")
    a.add_argument("--seed", type=int, default=0)
    a.add_argument("--threads", type=int, default=0, help="0: as many as there are cores")
    return a.parse_args()


def packages():
    """Imports what takes seconds, once the arguments are known to be good."""
    global fit, score, base, folder, Prompt, BadTemplate, torch, peft, Tokenizer
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    warnings.filterwarnings("ignore", category=FutureWarning)
    import peft
    import torch
    from tokenizers import Tokenizer
    import base
    import fit
    import folder
    import score
    from prompt import BadTemplate, Prompt


def adapter(model, prompt, options):
    """The base with a fresh adapter on it."""
    invocation = None if options.plain_lora else prompt.invocation()
    config = peft.LoraConfig(r=options.rank, lora_alpha=2 * options.rank, target_modules=PROJECTIONS, bias="none",
                             task_type="CAUSAL_LM", alora_invocation_tokens=invocation)
    return peft.get_peft_model(model, config)


def learning_rate(options, model):
    return options.rate or 6e-4 * (384 / model.config.hidden_size) ** 0.5


def report(options, course, pairs, before, after, rate):
    """training.json."""
    return {"rank": options.rank, "alora": not options.plain_lora, "rate": rate, "steps": course.steps,
            "kept_step": course.best, "tokens": course.tokens, "epochs": round(course.epochs, 2),
            "minutes": round(course.seconds / 60, 2), "ended": course.ended, "seed": options.seed,
            "pairs": pairs.counts, "pairs_sha256": pairs.digest, "dev_pairs": len(pairs.held),
            "dev_rule": "pairs whose source's SHA-256 is 0 modulo 20, the first of the file",
            "base_bleu": before["bleu"], "base_chrf": before["chrf"], "bleu": after["bleu"], "chrf": after["chrf"],
            "bleu_tokens": after["bleu_tokens"], "decoding": "greedy",
            "watched_loss": [[step, round(loss, 4)] for step, loss in course.watched],
            "made_with": {"torch": torch.__version__, "peft": peft.__version__}}


def held_figures(model, encode, options, pairs, stop):
    sources, references = zip(*pairs.held)
    made = score.translate(model, encode, stop, list(sources))
    return score.figures(made, list(references), options.language)


def round_to_f16(model):
    """What is measured is what is written."""
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.half().to(parameter.dtype)


def stop_ids(options, tokenizer):
    """Sets options.stop to the tokens that count; their ids."""
    own = json.loads((pathlib.Path(options.model) / "config.json").read_text()).get("eos_token_id")
    own = own if isinstance(own, list) else [own]
    wanted = options.stop or [tokenizer.id_to_token(i) for i in own if i is not None]
    options.stop = [token for token in wanted if tokenizer.token_to_id(token) is not None]
    if not options.stop:
        raise BadTemplate(f"--stop: the model has none of {wanted}; name a token that ends a translation")
    return [tokenizer.token_to_id(token) for token in options.stop]


def train(options):
    device = "cuda" if torch.cuda.is_available() else "cpu"
    torch.manual_seed(options.seed)
    if options.threads:
        torch.set_num_threads(options.threads)
    tokenizer = Tokenizer.from_file(str(pathlib.Path(options.model) / "tokenizer.json"))
    prompt = Prompt(options.template, tokenizer, options.source_title, options.title)
    stop = stop_ids(options, tokenizer)
    encode = fit.Encoder(prompt, stop[0])
    model = base.load(options.model, device)
    most = min(model.config.max_position_embeddings, options.batch_tokens) // 2
    data = pairs.read(options.pairs, lambda pair: all(len(part) <= most for part in encode(*pair)))
    model = adapter(model, prompt, options)
    if device == "cuda":
        model.gradient_checkpointing_enable()
        model.enable_input_require_grads()
    before = held_figures(model, encode, options, data, stop)  # a fresh adapter changes nothing
    rate = learning_rate(options, model)
    plan = fit.Plan(options.epochs, options.minutes, options.batch_tokens, rate, options.seed)
    print(f"{data.counts['train']} pairs to train on, {data.counts['watched']} watched, {data.counts['held']} held; "
          f"the base alone: chrF {before['chrf']}, BLEU {before['bleu']}", file=sys.stderr)
    course = fit.run(model, data, encode, plan)
    round_to_f16(model)
    after = held_figures(model, encode, options, data, stop)
    training = report(options, course, data, before, after, rate)
    folder.write(options, model, {"name": pathlib.Path(options.model).resolve().name,
                                  "fingerprint": options.fingerprint}, data, course, training)
    print(f"{options.out}: chrF {before['chrf']} -> {after['chrf']}, BLEU {before['bleu']} -> {after['bleu']} on "
          f"{len(data.held)} held pairs; {course.steps} steps in {course.seconds / 60:.1f} minutes, "
          f"ended by {course.ended}")


def main():
    options = arguments()
    try:
        if pathlib.Path(options.out).exists():
            raise pairs.BadPairs(f"--out {options.out}: is there already; name a folder that is not")
        pairs.read_lines(options.pairs)  # the usual mistakes are told before torch is loaded
        packages()
        train(options)
    except (pairs.BadPairs, OSError) as error:
        sys.exit(f"train: {error}")
    except Exception as error:
        if type(error).__name__ in ("BadModel", "BadTemplate"):
            sys.exit(f"train: {error}")
        raise


sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import pairs  # noqa: E402

if __name__ == "__main__":
    main()
