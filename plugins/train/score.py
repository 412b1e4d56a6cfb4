"""score.py: what a model makes of the held pairs, greedily, and how near that is to their translations."""
import sacrebleu
import torch

ROWS = 32  # sentences of a batch
CHARACTERS = {"ja": "ja-mecab", "zh": "zh", "ko": "ko-mecab", "th": "char"}
WITHOUT_MECAB = {"ja-mecab": "char", "ko-mecab": "char"}


@torch.no_grad()
def translate(model, encode, stop, sources):
    """Greedy translations, in the order of the sources."""
    out = {}
    order = sorted(range(len(sources)), key=lambda i: len(sources[i]))
    for at in range(0, len(order), ROWS):
        part = order[at:at + ROWS]
        prompts = [encode.prompt.ids(sources[i]) for i in part]
        width = max(map(len, prompts))
        ids = torch.tensor([[0] * (width - len(p)) + p for p in prompts], device=model.device)
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=model.device)
        made = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=2 * width + 32, do_sample=False,
                              eos_token_id=stop, pad_token_id=stop[0])
        for i, row in zip(part, made[:, width:].tolist()):
            end = next((n for n, token in enumerate(row) if token in stop), len(row))
            out[i] = encode.prompt.tokenizer.decode(row[:end], skip_special_tokens=True).strip()
    return [out[i] for i in range(len(sources))]


def figures(translations, references, language):
    """chrF2 and BLEU, as sacrebleu computes them, rounded to a tenth."""
    tokenize = CHARACTERS.get(language.split("-")[0], "13a")
    tokenize = WITHOUT_MECAB.get(tokenize, tokenize)
    return {"chrf": round(sacrebleu.corpus_chrf(translations, [references]).score, 1),
            "bleu": round(sacrebleu.corpus_bleu(translations, [references], tokenize=tokenize).score, 1),
            "bleu_tokens": tokenize}
