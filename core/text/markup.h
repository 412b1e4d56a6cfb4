/* markup.h: HTML as runs of text, each with the tags inside of it. For translating, not for
 * showing: nothing is repaired, and what is no markup to this reader stays as it is.
 *
 * A run is text between two borders that a reader sees as such: block tags, <br>, what is not to be
 * translated at length. Its letters are decoded; white space is one space. Each byte of it knows
 * which bytes of the source it stands for. Any thread.
 */
#ifndef HG_TEXT_MARKUP_H
#define HG_TEXT_MARKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

/* A tag, or an element that stays byte for byte (<i class="notranslate">, translate="no", <code>),
 * inside a run. */
typedef struct hg_mark {
    size_t start, count; /* bytes of the source */
    uint32_t at;         /* byte of the run that it stands before */
    uint32_t content;    /* bytes of the run, from there on, that the element itself contributes */
    bool closes;         /* an end tag */
} hg_mark;

typedef struct hg_run {
    char *text;          /* [bytes] owned; no NUL */
    uint32_t *from, *to; /* [bytes] owned: of the source, that each byte stands for */
    uint32_t bytes, room;
    hg_mark *mark; /* [marks] owned, in order */
    uint32_t marks, marks_room;
} hg_run;

/* Calls take for each run of source [bytes, valid UTF-8, below 4 GiB] that has a letter or a digit.
 * The run lives for the call. HG_ERROR_MEMORY, or what take returned. */
hg_status hg_markup_read(const char *source, size_t bytes,
                         hg_status (*take)(const hg_run *run, void *context),
                         void *context) HG_CHECKED;

#endif
