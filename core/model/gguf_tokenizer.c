/* gguf_tokenizer.c: tokenizer.ggml.* of a GGUF file to a vocabulary, of which hg_tokenizer_build
 * makes a tokenizer. Texts stay in the file. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/gguf_tokenizer.h"

#define PREFIX "tokenizer.ggml."

/* tokenizer.ggml.token_type, llama.cpp's llama_token_type. */
enum { NORMAL = 1, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE };

/* A length for "%.*s" in messages. */
static int shown(hg_gguf_text text)
{
    return text.length < 64 ? (int)text.length : 64;
}

/* The model must be byte-level BPE, its way to split text one that is known. */
static hg_status read_kind(const hg_gguf *file, hg_vocabulary *v, hg_error *error)
{
    char name[64];
    hg_gguf_text model, pre = {"gpt2", 4};
    hg_status status = hg_gguf_string(file, PREFIX "model", true, &model, error);
    if (!status) status = hg_gguf_string(file, PREFIX "pre", false, &pre, error);
    if (status) return status;
    if (!hg_gguf_text_is(model, "gpt2"))
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "%s: key " PREFIX "model: found %.*s; only gpt2, byte-level BPE, is "
                       "supported%s",
                       file->path, shown(model), model.text,
                       hg_gguf_text_is(model, "llama") ? ", SentencePiece is not" : "");
    if (hg_gguf_text_is(pre, "default")) pre = (hg_gguf_text){"gpt2", 4};
    snprintf(name, sizeof name, "%.*s", shown(pre), pre.text);
    const hg_pretokenizer *how = hg_pretokenizer_find(name);
    if (!how)
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "%s: key " PREFIX "pre: %s is not known; supported are llama-bpe, smollm, "
                       "gpt-2 and default",
                       file->path, name);
    v->split = how->split;
    v->splits = how->splits;
    v->ignore_merges = how->ignore_merges;
    return HG_OK;
}

/* One token by its type; without types all are words. */
static hg_status read_token(const hg_gguf *file, uint32_t id, int64_t type, hg_gguf_text text,
                            hg_vocabulary_token *out, hg_error *error)
{
    static const uint8_t kind[] = {
        [NORMAL] = HG_TOKEN_WORD,     [UNKNOWN] = HG_TOKEN_SPECIAL,
        [CONTROL] = HG_TOKEN_SPECIAL, [USER_DEFINED] = HG_TOKEN_ADDED_WORD,
        [UNUSED] = HG_TOKEN_UNUSED,
    };
    if (type < NORMAL || type > UNUSED)
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "%s: key " PREFIX "token_type: that of id %u is %lld%s, expected 1 to 5",
                       file->path, id, (long long)type, type == BYTE ? " (a byte)" : "");
    if (text.length > HG_LIMIT_TOKEN_BYTES)
        return hg_fail(error, HG_ERROR_LIMIT,
                       "%s: key " PREFIX "tokens: id %u has %llu bytes, "
                       "more than %d",
                       file->path, id, (unsigned long long)text.length, HG_LIMIT_TOKEN_BYTES);
    *out = (hg_vocabulary_token){text.text, (uint32_t)text.length, kind[type], false};
    if (type == UNUSED) *out = (hg_vocabulary_token){.kind = HG_TOKEN_UNUSED};
    return HG_OK;
}

/* v->token becomes the caller's. */
static hg_status read_tokens(const hg_gguf *file, hg_vocabulary *v, hg_error *error)
{
    const hg_gguf_value *texts, *types;
    hg_status status = hg_gguf_array(file, PREFIX "tokens", HG_GGUF_STRING, true, &texts, error);
    if (!status)
        status = hg_gguf_array(file, PREFIX "token_type", HG_GGUF_I32, false, &types, error);
    if (status) return status;
    if (texts->count == 0 || texts->count > HG_LIMIT_VOCABULARY)
        return hg_fail(error, HG_ERROR_LIMIT,
                       "%s: key " PREFIX "tokens: %llu tokens, expected 1 to "
                       "%d",
                       file->path, (unsigned long long)texts->count, HG_LIMIT_VOCABULARY);
    if (types && types->count != texts->count)
        return hg_fail(error, HG_ERROR_FORMAT,
                       "%s: key " PREFIX "token_type: found %llu, expected "
                       "%llu, one for each token",
                       file->path, (unsigned long long)types->count,
                       (unsigned long long)texts->count);
    hg_vocabulary_token *token = calloc((size_t)texts->count, sizeof *token);
    if (!token) return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory for tokens", file->path);
    v->token = token;
    v->tokens = (uint32_t)texts->count;
    const uint8_t *at = texts->data;
    for (uint32_t i = 0; !status && i < v->tokens; i++) {
        hg_gguf_text text = hg_gguf_next_text(&at);
        status =
            read_token(file, i, types ? hg_gguf_integer(types, i) : NORMAL, text, &token[i], error);
    }
    return status;
}

/* v->merge becomes the caller's. */
static hg_status read_merges(const hg_gguf *file, hg_vocabulary *v, hg_error *error)
{
    const hg_gguf_value *texts;
    hg_status status = hg_gguf_array(file, PREFIX "merges", HG_GGUF_STRING, true, &texts, error);
    if (status) return status;
    if (texts->count > HG_LIMIT_MERGES)
        return hg_fail(error, HG_ERROR_LIMIT,
                       "%s: key " PREFIX "merges: %llu, at most %d are "
                       "allowed",
                       file->path, (unsigned long long)texts->count, HG_LIMIT_MERGES);
    hg_vocabulary_merge *merge = calloc((size_t)texts->count + 1, sizeof *merge);
    if (!merge) return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory for merges", file->path);
    v->merge = merge;
    v->merges = (uint32_t)texts->count;
    const uint8_t *at = texts->data;
    for (uint32_t i = 0; i < v->merges; i++) {
        hg_gguf_text text = hg_gguf_next_text(&at);
        if (!hg_vocabulary_read_merge(text.text, (size_t)text.length, &merge[i]))
            return hg_fail(error, HG_ERROR_FORMAT,
                           "%s: key " PREFIX "merges: entry %u is \"%.*s\", "
                           "expected two texts with a space between",
                           file->path, i, shown(text), text.text);
    }
    return HG_OK;
}

hg_status hg_gguf_vocabulary_tokenizer(const hg_gguf *file, hg_tokenizer **out, hg_error *error)
{
    hg_vocabulary v = {.file = file->path,
                       .tokens_field = PREFIX "tokens",
                       .merges_field = PREFIX "merges",
                       .drops_bytes = true}; /* SmolLM2 lacks 21, most of them never in UTF-8 */
    *out = NULL;
    hg_status status = read_kind(file, &v, error);
    if (!status) status = read_tokens(file, &v, error);
    if (!status) status = read_merges(file, &v, error);
    if (!status) status = hg_tokenizer_build(&v, out, error);
    free((void *)(uintptr_t)v.token);
    free((void *)(uintptr_t)v.merge);
    return status;
}
