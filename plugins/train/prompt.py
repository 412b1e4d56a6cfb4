"""prompt.py: a plugin's template and a source as token ids, as the service makes them.

What stands between two special tokens of the template, literal text and substituted text alike, is
tokenised as one string, and only the template's own literals make special tokens
(core/translate/prompt.c; docs/DESIGN.md, section 6).
"""
import re

PLACES = "source", "source_language", "target_language", "context"


class BadTemplate(Exception):
    """The message names what is wrong with the template."""


class Prompt:
    def __init__(self, template, tokenizer, source_language, target_language):
        """tokenizer: of the `tokenizers` library. Languages are English names, for the placeholders."""
        self.tokenizer = tokenizer
        self.values = {"source_language": source_language, "target_language": target_language, "context": ""}
        self.template = self._sections(template)
        special = sorted((t.content for t in tokenizer.get_added_tokens_decoder().values() if t.special),
                         key=len, reverse=True)
        self.cut = re.compile("(" + "|".join(map(re.escape, special)) + ")") if special else None
        if self.template.count("{source}") != 1:
            raise BadTemplate("template: {source} must stand in it once")
        unknown = set(re.findall(r"\{([a-z_]+)\}", self.template)) - set(PLACES)
        if unknown:
            raise BadTemplate(f"template: unknown placeholder {{{unknown.pop()}}}")
        strange = [part for part in self._parts(self.template)[0::2] if re.search(r"<\|[^|<> \n]+\|>", part)]
        if strange:
            raise BadTemplate(f"template: {strange[0]!r} has a special token that the tokenizer lacks")

    def _sections(self, template):
        """Without the sections whose placeholder is empty."""
        def keep(found):
            return found[2] if self.values.get(found[1]) else ""
        return re.sub(r"\{\?([a-z_]+)\}(.*?)\{/\1\}", keep, template, flags=re.S)

    def _parts(self, text):
        """Texts and special tokens in turns, a text first."""
        return self.cut.split(text) if self.cut else [text]

    def _encode(self, text):
        self.tokenizer.encode_special_tokens = True
        return self.tokenizer.encode(text, add_special_tokens=False).ids

    def _fill(self, text, source):
        values = self.values | {"source": source}
        return re.sub(r"\{([a-z_]+)\}", lambda found: values[found[1]], text)

    def ids(self, source):
        out = []
        for i, part in enumerate(self._parts(self.template)):
            out += [self.tokenizer.token_to_id(part)] if i % 2 else self._encode(self._fill(part, source))
        return out

    def invocation(self):
        """The ids of what follows the source, for aLoRA; they must not depend on the source."""
        after = self.template.split("{source}")[1]
        parts = self._parts(after)
        if len(parts) < 2 or parts[0]:
            raise BadTemplate("template: aLoRA wants a special token right behind {source}; "
                              "take --plain-lora, or another template")
        out = []
        for i, part in enumerate(parts):
            out += [self.tokenizer.token_to_id(part)] if i % 2 else self._encode(self._fill(part, ""))
        return out

    def target_ids(self, text):
        """A translation as the model is to write it: after a literal without white space it begins a word."""
        last = self._parts(self.template)[-1]
        return self._encode(" " + text if last and not last[-1].isspace() else text)
