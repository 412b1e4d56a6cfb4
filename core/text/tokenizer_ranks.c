/* tokenizer_ranks.c: Meta's tokenizer.model for Llama 3 to a vocabulary: tiktoken's ranks, one line
 * a token, "base64 rank", the rank being its id. The special tokens stand in Meta's program, not in
 * the file: 256 of them follow the ranks.
 *
 * How text is split and how its pieces become tokens is tiktoken's way: a piece that is a token is
 * that token, and else the two neighbours whose bytes together have the lowest rank merge,
 * whichever merge made them.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/limits.h"
#include "core/text/tokenizer_internal.h"

#define SPECIALS       256
#define SPECIAL_LENGTH 40

/* Those that have a meaning, in order of id; the rest are reserved. */
static const char *const named[] = {
    "<|begin_of_text|>",
    "<|end_of_text|>",
    "<|reserved_special_token_0|>",
    "<|reserved_special_token_1|>",
    "<|finetune_right_pad_id|>",
    "<|step_id|>",
    "<|start_header_id|>",
    "<|end_header_id|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|python_tag|>",
    "<|image|>",
};
#define NAMED (int)(sizeof named / sizeof *named)

/* A file's vocabulary while it is read. */
typedef struct ranks {
    const char *file;
    hg_error *error;
    hg_vocabulary_token *token; /* [words + SPECIALS], by id; owned */
    uint32_t words;
    char *bytes; /* decoded, one after the other; owned */
    size_t used;
    char special[SPECIALS][SPECIAL_LENGTH];
} ranks;

/* The value of a base64 digit, or -1. */
static int digit(char c)
{
    if (c >= 'A' && c <= 'Z') return c - 'A';
    if (c >= 'a' && c <= 'z') return c - 'a' + 26;
    if (c >= '0' && c <= '9') return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Decodes length digits, padded with "=" to a multiple of four, to out [length / 4 * 3]; the bytes
 * they are, or -1. */
static long decode_base64(const char *text, size_t length, char *out)
{
    long count = 0;
    size_t padding = 0;
    if (length == 0 || length % 4) return -1;
    while (padding < 2 && text[length - 1 - padding] == '=') padding++;
    for (size_t i = 0; i < length; i += 4) {
        unsigned bits = 0;
        size_t digits = i + 4 == length ? 4 - padding : 4;
        for (size_t k = 0; k < 4; k++) {
            int value = k < digits ? digit(text[i + k]) : 0;
            if (value < 0) return -1;
            bits = bits << 6 | (unsigned)value;
        }
        for (size_t k = 0; k + 1 < digits; k++) out[count++] = (char)(bits >> (16 - 8 * k));
    }
    return count;
}

/* Reads line number `line`, [length] without its end. */
static hg_status read_line(ranks *r, uint32_t line, const char *text, size_t length)
{
    const char *space = memchr(text, ' ', length);
    size_t spelled = space ? (size_t)(space - text) : 0, at = spelled + 1;
    char *bytes = r->bytes + r->used;
    long count = decode_base64(text, spelled, bytes);
    uint64_t rank = 0;
    bool number = count > 0 && at < length;
    for (; number && at < length; at++) {
        number = text[at] >= '0' && text[at] <= '9' && rank < HG_LIMIT_VOCABULARY;
        rank = rank * 10 + (uint64_t)(text[at] - '0');
    }
    if (!number)
        return hg_fail(r->error, HG_ERROR_FORMAT,
                       "%s: line %u is not a token in base64, a space and its rank, as Llama 3's "
                       "tokenizer.model has it (Llama 2's, SentencePiece, is not read)",
                       r->file, line);
    assert(r->token);
    if (rank >= r->words || r->token[rank].text)
        return hg_fail(r->error, HG_ERROR_FORMAT,
                       "%s: line %u has rank %llu, expected 0 to %u, each once", r->file, line,
                       (unsigned long long)rank, r->words - 1);
    r->token[rank] =
        (hg_vocabulary_token){.text = bytes, .length = (uint32_t)count, .kind = HG_TOKEN_WORD};
    r->used += (size_t)count;
    return HG_OK;
}

static hg_status read_lines(ranks *r, const char *text, size_t count)
{
    hg_status status = HG_OK;
    uint32_t line = 0;
    for (size_t at = 0; !status && at < count;) {
        const char *end = memchr(text + at, '\n', count - at);
        size_t length = end ? (size_t)(end - text) - at : count - at;
        bool cr = length && text[at + length - 1] == '\r';
        status = read_line(r, ++line, text + at, length - cr);
        at += length + 1;
    }
    return status;
}

static void add_specials(ranks *r)
{
    for (int i = 0; i < SPECIALS; i++) {
        char *text = r->special[i];
        /* Two reserved ones have their numbers among the named. */
        if (i < NAMED)
            snprintf(text, SPECIAL_LENGTH, "%s", named[i]);
        else
            snprintf(text, SPECIAL_LENGTH, "<|reserved_special_token_%d|>", i - NAMED + 2);
        r->token[r->words + (uint32_t)i] = (hg_vocabulary_token){
            .text = text, .length = (uint32_t)strlen(text), .kind = HG_TOKEN_SPECIAL};
    }
}

static uint32_t count_lines(const char *text, size_t count)
{
    uint32_t lines = count && text[count - 1] != '\n';
    for (size_t i = 0; i < count; i++) lines += text[i] == '\n';
    return lines;
}

static hg_status build(const ranks *r, hg_tokenizer **out)
{
    const hg_pretokenizer *llama3 = hg_pretokenizer_find("llama3");
    return hg_tokenizer_build(&(hg_vocabulary){.file = r->file,
                                               .tokens_field = "ranks",
                                               .merges_field = "ranks",
                                               .token = r->token,
                                               .tokens = r->words + SPECIALS,
                                               .raw_bytes = true,
                                               .ranked = true,
                                               .split = llama3->split,
                                               .splits = llama3->splits,
                                               .ignore_merges = true},
                              out, r->error);
}

hg_status hg_tokenizer_parse_ranks(const char *text, size_t count, const char *file,
                                   hg_tokenizer **out, hg_error *error)
{
    *out = NULL;
    ranks r = {.file = file, .error = error, .words = count_lines(text, count)};
    if (r.words > HG_LIMIT_VOCABULARY - SPECIALS)
        return hg_fail(error, HG_ERROR_LIMIT, "%s: %u lines, more than %d", file, r.words,
                       (int)HG_LIMIT_VOCABULARY - SPECIALS);
    r.token = calloc((size_t)r.words + SPECIALS, sizeof *r.token);
    r.bytes = malloc(count + 1);
    hg_status status = HG_OK;
    if (!r.token || !r.bytes)
        status = hg_fail(error, HG_ERROR_MEMORY, "%s: no memory for the tokenizer", file);
    if (!status) status = read_lines(&r, text, count);
    if (!status) {
        add_specials(&r);
        status = build(&r, out);
    }
    free(r.token);
    free(r.bytes);
    return status;
}

hg_status hg_tokenizer_open_ranks(const char *path, hg_tokenizer **out, hg_error *error)
{
    return hg_tokenizer_open_by(path, hg_tokenizer_parse_ranks, out, error);
}
