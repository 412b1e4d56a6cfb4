/* vocabulary.h: what a byte-level BPE tokenizer is made of, whichever file it came from, and the
 * one builder that checks it and makes a tokenizer of it.
 *
 * Readers (tokenizer.json, Meta's tokenizer.model, GGUF) fill a hg_vocabulary with what their file
 * says; everything in it is borrowed and may go once hg_tokenizer_build has returned.
 */
#ifndef HG_TEXT_VOCABULARY_H
#define HG_TEXT_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/text/tokenizer.h"

typedef enum hg_token_kind {
    HG_TOKEN_UNUSED,     /* an id without a token: never made, decodes to nothing */
    HG_TOKEN_WORD,       /* what BPE makes; spelled in the byte alphabet unless raw_bytes */
    HG_TOKEN_SPECIAL,    /* made by prompt templates only, never by text; spelled as it is */
    HG_TOKEN_ADDED,      /* found in text before it is split into words; spelled as it is */
    HG_TOKEN_ADDED_WORD, /* both ADDED and, if it is spelled in the byte alphabet, a WORD */
} hg_token_kind;

typedef struct hg_vocabulary_token {
    const char *text; /* [length]; NULL for an unused id */
    uint32_t length;
    uint8_t kind; /* hg_token_kind */
    bool late;    /* the library's `normalized`: looked for after all that are not, in what they
                   * leave; for SPECIAL, ADDED and ADDED_WORD */
} hg_vocabulary_token;

/* Two neighbours that merge, spelled as words are. */
typedef struct hg_vocabulary_merge {
    const char *left, *right;
    uint32_t left_length, right_length;
} hg_vocabulary_merge;

/* One regular expression that splits text: its matches and what lies between them are pieces. */
typedef struct hg_vocabulary_split {
    const char *pattern;
    const char *where; /* the field it came from, for messages */
} hg_vocabulary_split;

typedef struct hg_vocabulary {
    const char *file;                 /* for messages: every one begins with it */
    const char *tokens_field;         /* for messages: "model.vocab" */
    const char *merges_field;         /* for messages: "model.merges" */
    const hg_vocabulary_token *token; /* [tokens], by id; words are unique */
    uint32_t tokens;
    bool raw_bytes; /* words are spelled in the bytes themselves, not in the byte alphabet */
    const hg_vocabulary_merge *merge; /* [merges], the one that merges first at the front */
    uint32_t merges;
    bool ranked; /* no merges are given: two neighbours merge if they make a word together, the
                  * word with the lowest id first (tiktoken) */
    const hg_vocabulary_split *split; /* [splits], each splits the pieces of the one before */
    uint32_t splits;
    bool ignore_merges; /* a piece that is a word is that word, whatever the merges say */
    bool drops_bytes;   /* bytes without a token vanish from text, as in `tokenizers` without an
                         * unk_token; else each must have one */
} hg_vocabulary;

/* Makes the tokenizer. Errors name the file, the field and the token or merge. */
hg_status hg_tokenizer_build(const hg_vocabulary *vocabulary, hg_tokenizer **out,
                             hg_error *error) HG_CHECKED;

/* Reads "left right", as tokenizer.json and GGUF spell a merge; false when there are not exactly
 * two sides. The sides lie in text. */
bool hg_vocabulary_read_merge(const char *text, size_t length, hg_vocabulary_merge *out) HG_CHECKED;

/* How a family of tokenizers splits text, for files that only name it. */
typedef struct hg_pretokenizer {
    const char *name;
    hg_vocabulary_split split[2];
    uint32_t splits;
    bool ignore_merges;
} hg_pretokenizer;

/* By name: "llama3", "gpt2", "smollm", or one of GGUF's tokenizer.ggml.pre names of the same;
 * NULL when it is unknown. */
const hg_pretokenizer *hg_pretokenizer_find(const char *name);

#endif
