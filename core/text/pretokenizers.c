/* pretokenizers.c: the ways to split text that files name instead of spelling them out. */
#include <string.h>

#include "core/text/tokenizer_internal.h"

/* GPT-2's, which a ByteLevel pre-tokenizer with use_regex stands for. */
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/* Meta's for Llama 3. */
#define LLAMA3                                                                                     \
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"                      \
    " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

static const hg_pretokenizer table[] = {
    {"llama3", {{LLAMA3, "the llama3 pattern"}}, 1, true},
    {"gpt2", {{GPT2, "the gpt2 pattern"}}, 1, false},
    {"smollm", {{"\\p{N}", "the digits pattern"}, {GPT2, "the gpt2 pattern"}}, 2, false},
};

/* Other names that GGUF's tokenizer.ggml.pre has for the same. */
static const struct {
    const char *other, *name;
} alias[] = {
    {"llama-bpe", "llama3"},
    {"llama-v3", "llama3"},
    {"gpt-2", "gpt2"},
};

const hg_pretokenizer *hg_pretokenizer_find(const char *name)
{
    for (size_t i = 0; i < sizeof alias / sizeof *alias; i++) {
        if (strcmp(alias[i].other, name) == 0) name = alias[i].name;
    }
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        if (strcmp(table[i].name, name) == 0) return &table[i];
    }
    return NULL;
}
