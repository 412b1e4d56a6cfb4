/* tokenizer_internal.h: the tokenizer's memory, shared by tokenizer.c (encoding), vocabulary.c
 * (building), the readers of files and their fuzz targets. Nobody else includes it.
 *
 * A token is a string of raw bytes: the printable alphabet in which tokenizer.json spells bytes is
 * undone at load. Two open-addressing hash tables with linear probing, at most half full, answer
 * the only two questions: which token has these bytes, and what do two neighbours merge into.
 */
#ifndef HG_TEXT_TOKENIZER_INTERNAL_H
#define HG_TEXT_TOKENIZER_INTERNAL_H

#include <stdbool.h>
#include <unicode/uregex.h>

#include "core/base/limits.h"
#include "core/text/tokenizer.h"
#include "core/text/vocabulary.h"

typedef struct hg_merge {
    int32_t left, right; /* left is -1 in a free slot */
    uint32_t rank;       /* place in the file, or the id made: lower merges first */
    int32_t made;        /* the token that left and right become */
} hg_merge;

/* A token that BPE does not make: a special one, or an added one that is found in text. */
typedef struct hg_fixed {
    char *text; /* owned, NUL-terminated */
    size_t length;
    int32_t id;
    bool special, late; /* late: see hg_vocabulary_token */
} hg_fixed;

/* Immutable once loaded. */
struct hg_tokenizer {
    uint32_t count;  /* tokens */
    char *bytes;     /* bytes of all tokens, one after the other, in order of id */
    uint32_t *start; /* [count + 1]: token i is bytes[start[i] .. start[i + 1]); special tokens
                      * have none */

    int32_t byte_token[256]; /* the token of each single byte, -1: none, it is dropped */
    int32_t *words;          /* [word_mask + 1]: token by its bytes, -1 in a free slot */
    uint32_t word_mask;
    hg_merge *merges; /* [merge_mask + 1] */
    uint32_t merge_mask;

    hg_fixed *fixed; /* [fixed_count], in byte order of their texts */
    uint32_t fixed_count;
    uint32_t fixed_first[257]; /* those that begin with byte c: [fixed_first[c], [c + 1]) */
    bool adds[2];              /* whether there are added tokens that are not late, that are */

    /* Each splits the pieces of the one before; none: text is one word. Cloned by each call,
     * because a matcher has state and a pattern has none. */
    URegularExpression *split[HG_LIMIT_SPLITS]; /* [splits] */
    uint32_t splits;
    bool ignore_merges; /* a word that is a token is that token, whatever the merges say */
};

/* Reads tokenizer.json from memory; name stands for it in messages. */
hg_status hg_tokenizer_parse(const char *json, size_t count, const char *name, hg_tokenizer **out,
                             hg_error *error) HG_CHECKED;

/* Reads Meta's tokenizer.model from memory. */
hg_status hg_tokenizer_parse_ranks(const char *text, size_t count, const char *name,
                                   hg_tokenizer **out, hg_error *error) HG_CHECKED;

/* Maps the file and gives it to one of the two above. */
typedef hg_status hg_tokenizer_parser(const char *text, size_t count, const char *name,
                                      hg_tokenizer **out, hg_error *error);
hg_status hg_tokenizer_open_by(const char *path, hg_tokenizer_parser *parse, hg_tokenizer **out,
                               hg_error *error) HG_CHECKED;

/* The token with exactly these bytes, special ones excluded, or -1. */
int32_t hg_tokenizer_word(const hg_tokenizer *tokenizer, const char *bytes, size_t count);

/* What the two tokens merge into, or NULL. */
const hg_merge *hg_tokenizer_merge(const hg_tokenizer *tokenizer, int32_t left, int32_t right);

/* Where in words and merges the search for a key begins. */
uint32_t hg_tokenizer_word_hash(const char *bytes, size_t count);
uint32_t hg_tokenizer_merge_hash(int32_t left, int32_t right);

#endif
