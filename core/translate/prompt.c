/* prompt.c: a template as a list of parts, and a prompt as the tokens of their runs.
 *
 * A run is what stands between two special tokens. It is put together as one string and tokenised
 * once, because byte-level BPE merges across the border of literal and substituted text ("to " and
 * "German" are other tokens than "to German").
 */
#include "core/translate/prompt.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/limits.h"

typedef enum part_kind {
    PART_TOKEN,
    PART_LITERAL,
    PART_SOURCE,
    PART_SOURCE_LANGUAGE,
    PART_TARGET_LANGUAGE,
    PART_CONTEXT,
} part_kind;

typedef struct part {
    part_kind kind;
    int32_t token;         /* PART_TOKEN */
    size_t offset, length; /* PART_LITERAL: bytes of the template */
} part;

struct hg_prompt {
    char *text; /* the template; owned */
    part *list; /* [count], owned */
    size_t count, capacity;
};

static const struct {
    const char *name;
    part_kind kind;
} placeholder[] = {
    {"{source}", PART_SOURCE},
    {"{source_language}", PART_SOURCE_LANGUAGE},
    {"{target_language}", PART_TARGET_LANGUAGE},
    {"{context}", PART_CONTEXT},
};

/* Longest run: the source at 4 bytes a code point, context and template beside it. */
#define RUN_BYTES_MAX (HG_LIMIT_FRAME + HG_LIMIT_TEMPLATE)

void hg_prompt_memo_free(hg_prompt_memo *memo)
{
    hg_buf_free(&memo->text);
    hg_tokens_free(&memo->token);
}

static hg_status add_part(hg_prompt *prompt, part added, hg_error *error)
{
    if (prompt->count == prompt->capacity) {
        size_t capacity = prompt->capacity ? prompt->capacity * 2 : 8;
        part *list = realloc(prompt->list, capacity * sizeof *list);
        if (!list) return hg_fail(error, HG_ERROR_MEMORY, "no memory for a prompt template");
        prompt->list = list;
        prompt->capacity = capacity;
    }
    prompt->list[prompt->count++] = added;
    return HG_OK;
}

/* The bytes of a word in braces at text ("{source_language}"), or 0. Braces round anything but
 * small letters and underscores are literal text. */
static size_t braced_word(const char *text)
{
    if (*text != '{') return 0;
    size_t n = 1 + strspn(text + 1, "abcdefghijklmnopqrstuvwxyz_");
    return n > 1 && text[n] == '}' ? n + 1 : 0;
}

/* The bytes of "<|...|>" at text, or 0: what Llama-3's special tokens look like. */
static size_t token_like(const char *text)
{
    if (strncmp(text, "<|", 2) != 0) return 0;
    size_t n = 2 + strcspn(text + 2, "|<> \n");
    return n > 2 && strncmp(text + n, "|>", 2) == 0 ? n + 2 : 0;
}

/* Reads the one part at text: a special token, a placeholder, or else one byte of literal text.
 * *length is what it covers. */
static hg_status read_part(const char *text, const hg_tokenizer *tokenizer, part *out,
                           size_t *length, hg_error *error)
{
    int32_t token = hg_tokenizer_special_at(tokenizer, text, strlen(text), length);
    if (token >= 0) {
        assert(*length > 0);
        *out = (part){.kind = PART_TOKEN, .token = token};
        return HG_OK;
    }
    size_t n = token_like(text);
    if (n)
        return hg_fail(error, HG_ERROR_FORMAT,
                       "template: \"%.*s\" is no special token of this base's tokenizer", (int)n,
                       text);
    *length = braced_word(text);
    if (!*length) {
        *out = (part){.kind = PART_LITERAL};
        *length = 1;
        return HG_OK;
    }
    for (size_t i = 0; i < sizeof placeholder / sizeof placeholder[0]; i++) {
        if (strncmp(text, placeholder[i].name, *length) != 0) continue;
        *out = (part){.kind = placeholder[i].kind};
        return HG_OK;
    }
    return hg_fail(error, HG_ERROR_FORMAT,
                   "template: unknown placeholder \"%.*s\"; known are {source}, "
                   "{source_language}, {target_language}, {context}",
                   (int)*length, text);
}

static hg_status parse(hg_prompt *prompt, const hg_tokenizer *tokenizer, hg_error *error)
{
    bool has_source = false;
    for (size_t at = 0, length; prompt->text[at]; at += length) {
        part next = {0};
        hg_status status = read_part(prompt->text + at, tokenizer, &next, &length, error);
        if (status) return status;
        has_source |= next.kind == PART_SOURCE;
        part *last = prompt->count ? &prompt->list[prompt->count - 1] : NULL;
        if (next.kind == PART_LITERAL && last && last->kind == PART_LITERAL) {
            last->length += length; /* adjoining literal bytes are one part */
            continue;
        }
        next.offset = at;
        next.length = length;
        status = add_part(prompt, next, error);
        if (status) return status;
    }
    if (!has_source)
        return hg_fail(error, HG_ERROR_FORMAT, "template: \"%s\" has no {source}", prompt->text);
    return HG_OK;
}

hg_status hg_prompt_parse(const char *text, const hg_tokenizer *tokenizer, hg_prompt **out,
                          hg_error *error)
{
    *out = NULL;
    if (strlen(text) > HG_LIMIT_TEMPLATE)
        return hg_fail(error, HG_ERROR_LIMIT, "template: %zu bytes, at most %d", strlen(text),
                       HG_LIMIT_TEMPLATE);
    hg_prompt *prompt = calloc(1, sizeof *prompt);
    if (prompt) prompt->text = strdup(text);
    if (!prompt || !prompt->text) {
        hg_prompt_free(prompt);
        return hg_fail(error, HG_ERROR_MEMORY, "no memory for a prompt template");
    }
    hg_status status = parse(prompt, tokenizer, error);
    if (status) {
        hg_prompt_free(prompt);
        return status;
    }
    *out = prompt;
    return HG_OK;
}

void hg_prompt_free(hg_prompt *prompt)
{
    if (!prompt) return;
    free(prompt->text);
    free(prompt->list);
    free(prompt);
}

static hg_status append_value(hg_buf *run, const hg_prompt *prompt, const part *p,
                              const hg_prompt_values *values)
{
    const char *word = NULL;
    switch (p->kind) {
    case PART_LITERAL: return hg_buf_append(run, prompt->text + p->offset, p->length);
    case PART_SOURCE: return hg_buf_append(run, values->source, values->source_bytes);
    case PART_SOURCE_LANGUAGE: word = values->source_language; break;
    case PART_TARGET_LANGUAGE: word = values->target_language; break;
    case PART_CONTEXT: word = values->context; break;
    case PART_TOKEN: assert(!"a special token is never part of a run"); break;
    }
    return word ? hg_buf_append_text(run, word) : HG_OK;
}

/* Appends the tokens of run to out, by way of memo when it holds the same string. */
static hg_status encode_run(const hg_tokenizer *tokenizer, const hg_buf *run, hg_prompt_memo *memo,
                            hg_tokens *out, hg_error *error)
{
    if (!run->length) return HG_OK;
    bool known =
        memo->text.length == run->length && memcmp(memo->text.data, run->data, run->length) == 0;
    if (!known) {
        memo->text.maximum = RUN_BYTES_MAX;
        hg_buf_clear(&memo->text);
        memo->token.count = 0;
        hg_status status =
            hg_tokenizer_encode(tokenizer, run->data, run->length, &memo->token, error);
        if (status) return status;
        if (hg_buf_append(&memo->text, run->data, run->length))
            return hg_fail(error, HG_ERROR_MEMORY, "no memory for a prompt");
    }
    for (uint32_t i = 0; i < memo->token.count; i++)
        if (hg_tokens_append(out, memo->token.id[i]))
            return hg_fail(error, HG_ERROR_MEMORY, "no memory for a prompt");
    return HG_OK;
}

hg_status hg_prompt_build(const hg_prompt *prompt, const hg_tokenizer *tokenizer,
                          const hg_prompt_values *values, hg_prompt_memo *memo, hg_tokens *out,
                          hg_error *error)
{
    hg_buf run = hg_buf_new(RUN_BYTES_MAX);
    hg_prompt_memo own = {0};
    if (!memo) memo = &own;
    hg_status status = HG_OK;
    for (size_t i = 0; !status && i < prompt->count; i++) {
        const part *p = &prompt->list[i];
        if (p->kind != PART_TOKEN) {
            status = append_value(&run, prompt, p, values);
            if (status)
                hg_fail(error, status, "prompt: over %d bytes, or no memory", RUN_BYTES_MAX);
            continue;
        }
        status = encode_run(tokenizer, &run, memo, out, error);
        hg_buf_clear(&run);
        if (!status && hg_tokens_append(out, p->token))
            status = hg_fail(error, HG_ERROR_MEMORY, "no memory for a prompt");
    }
    if (!status) status = encode_run(tokenizer, &run, memo, out, error);
    hg_buf_free(&run);
    hg_prompt_memo_free(&own);
    return status;
}

hg_status hg_prompt_invocation(const hg_tokens *prompt, const int32_t *invocation, uint32_t count,
                               uint32_t *index, hg_error *error)
{
    *index = 0;
    if (!count) return HG_OK;
    for (uint32_t at = prompt->count; at >= count; at--) {
        assert(at <= prompt->count);
        const int32_t *first = prompt->id + (at - count);
        if (memcmp(first, invocation, count * sizeof *first) != 0) continue;
        *index = at - count;
        return HG_OK;
    }
    return hg_fail(error, HG_ERROR_FORMAT,
                   "the prompt does not contain the adapter's alora_invocation_tokens (first of "
                   "%u is %d): its template and adapter_config.json do not fit together",
                   count, (int)invocation[0]);
}
