/* spans.h: what of a text nobody may change: where it stands, and as what it stands there.
 *
 * URLs, e-mail addresses, @names, #tags, {placeholders} of the usual kinds, code between
 * backticks and words like "A380" stand in a sentence as a *name* does; numbers with their signs
 * and units as a *number*; a glossary's words as a *term*. Emoji, HTML tags and Markdown's signs
 * are no part of the sentence: *marks*, which open or close a stretch of it or stand alone.
 *
 * A text is read once from its beginning; what is recognised at a place depends on what follows
 * within SPAN_MAX bytes only. No state; any thread.
 */
#ifndef HG_TEXT_SPANS_H
#define HG_TEXT_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

typedef enum hg_protected_kind {
    HG_PROTECTED_NAME,
    HG_PROTECTED_NUMBER,
    HG_PROTECTED_TERM,
    HG_PROTECTED_ALONE, /* a mark, and so are those behind it */
    HG_PROTECTED_OPENS,
    HG_PROTECTED_CLOSES,
} hg_protected_kind;

typedef struct hg_protected {
    size_t start, count; /* bytes */
    hg_protected_kind kind;
    uint32_t term; /* index of a term in the list that was given */
} hg_protected;

typedef struct hg_protected_list {
    hg_protected *span; /* [count] owned; in order, none touches into another */
    uint32_t count, capacity;
} hg_protected_list;

/* A glossary's words: whole words of the text that are equal to one but for case, the longest
 * first where several are. */
typedef struct hg_terms {
    const char *const *word; /* [count] valid UTF-8, none empty */
    uint32_t count;
} hg_terms;

void hg_protected_free(hg_protected_list *list);

/* Appends what is protected in text [bytes, valid UTF-8]; terms may be NULL. HG_ERROR_MEMORY. */
hg_status hg_protected_find(const char *text, size_t bytes, const hg_terms *terms,
                            hg_protected_list *out) HG_CHECKED;

/* The span that holds the byte at; NULL: none does. */
const hg_protected *hg_protected_at(const hg_protected_list *list, size_t at);

static inline bool hg_protected_is_mark(const hg_protected *span)
{
    return span->kind >= HG_PROTECTED_ALONE;
}

/* Bytes of text [bytes] at which word is, but for case; 0: it is not. */
size_t hg_text_begins(const char *text, size_t bytes, const char *word);

/* Whether the characters on both sides of text + at make one word: letters or digits of a script
 * with spaces. */
bool hg_text_in_word(const char *text, size_t at, size_t bytes);

#endif
