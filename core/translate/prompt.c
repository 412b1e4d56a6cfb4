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
    PART_SECTION, /* begins what is left out when the placeholder of its name is empty */
    PART_SECTION_END,
} part_kind;

typedef struct part {
    part_kind kind;
    part_kind of;          /* PART_SECTION, PART_SECTION_END: the placeholder */
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

/* The bytes of a word in braces at text ("{source_language}", "{?context}", "{/context}"), or 0.
 * Braces round anything but small letters and underscores are literal text. */
static size_t braced_word(const char *text)
{
    if (*text != '{') return 0;
    size_t from = 1 + (text[1] == '?' || text[1] == '/');
    size_t n = from + strspn(text + from, "abcdefghijklmnopqrstuvwxyz_");
    return n > from && text[n] == '}' ? n + 1 : 0;
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
    const size_t mark = text[1] == '?' || text[1] == '/'; /* which names lack */
    for (size_t i = 0; i < sizeof placeholder / sizeof placeholder[0]; i++) {
        const char *name = placeholder[i].name;
        if (strlen(name) + mark != *length ||
            strncmp(text + 1 + mark, name + 1, *length - 1 - mark) != 0)
            continue;
        *out = (part){.kind = !mark            ? placeholder[i].kind
                              : text[1] == '?' ? PART_SECTION
                                               : PART_SECTION_END,
                      .of = placeholder[i].kind};
        return HG_OK;
    }
    return hg_fail(error, HG_ERROR_FORMAT,
                   "template: unknown placeholder \"%.*s\"; known are {source}, "
                   "{source_language}, {target_language}, {context}, and {?context} to {/context}",
                   (int)*length, text);
}

/* Sections open and close in turn, round anything but {source}. *open is the placeholder of the
 * section that is open, or PART_TOKEN for none. */
static hg_status check_section(const hg_prompt *prompt, const part *next, part_kind *open,
                               hg_error *error)
{
    bool begins = next->kind == PART_SECTION, ends = next->kind == PART_SECTION_END;
    bool wrong = (begins && *open != PART_TOKEN) || (ends && *open != next->of) ||
                 (next->of == PART_SOURCE && (begins || ends || *open != PART_TOKEN));
    if (wrong)
        return hg_fail(
            error, HG_ERROR_FORMAT,
            "template: \"%.32s\": sections do not nest, end by their own name and do not "
            "hold {source}",
            prompt->text + next->offset);
    if (begins) *open = next->of;
    if (ends) *open = PART_TOKEN;
    return HG_OK;
}

static hg_status parse(hg_prompt *prompt, const hg_tokenizer *tokenizer, hg_error *error)
{
    bool has_source = false;
    part_kind open = PART_TOKEN;
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
        status = check_section(prompt, &next, &open, error);
        if (!status) status = add_part(prompt, next, error);
        if (status) return status;
    }
    if (open != PART_TOKEN)
        return hg_fail(error, HG_ERROR_FORMAT, "template: \"%s\" has a section that does not end",
                       prompt->text);
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

/* What a placeholder stands for; *bytes is its length. */
static const char *value_of(part_kind kind, const hg_prompt_values *values, size_t *bytes)
{
    const char *word = NULL;
    switch (kind) {
    case PART_SOURCE: *bytes = values->source_bytes; return values->source;
    case PART_SOURCE_LANGUAGE: word = values->source_language; break;
    case PART_TARGET_LANGUAGE: word = values->target_language; break;
    case PART_CONTEXT: word = values->context; break;
    default: assert(!"no placeholder"); break;
    }
    *bytes = word ? strlen(word) : 0;
    return word ? word : "";
}

/* Appends literal text or a placeholder's value to run. */
static hg_status append_text(hg_buf *run, const hg_prompt *prompt, const part *p,
                             const hg_prompt_values *values)
{
    size_t bytes;
    if (p->kind == PART_LITERAL) return hg_buf_append(run, prompt->text + p->offset, p->length);
    const char *text = value_of(p->kind, values, &bytes);
    return hg_buf_append(run, text, bytes);
}

/* Index of the part behind part i, with the section that begins there if it is left out. */
static size_t part_behind(const hg_prompt *prompt, size_t i, const hg_prompt_values *values)
{
    size_t bytes = 1;
    if (prompt->list[i].kind == PART_SECTION) (void)value_of(prompt->list[i].of, values, &bytes);
    while (!bytes && prompt->list[i].kind != PART_SECTION_END) i++;
    return i + 1;
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
    for (size_t i = 0; !status && i < prompt->count; i = part_behind(prompt, i, values)) {
        const part *p = &prompt->list[i];
        if (p->kind == PART_SECTION || p->kind == PART_SECTION_END) continue;
        if (p->kind != PART_TOKEN) {
            status = append_text(&run, prompt, p, values);
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
