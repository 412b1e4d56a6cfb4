/* sentences.h: where the sentences of a longer text stand. Any thread. */
#ifndef HG_TEXT_SENTENCES_H
#define HG_TEXT_SENTENCES_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/text/spans.h"

typedef struct hg_span {
    size_t start, count; /* bytes */
} hg_span;

typedef struct hg_spans {
    hg_span *span; /* [count] owned */
    uint32_t count, capacity;
} hg_spans;

void hg_spans_free(hg_spans *spans);
hg_status hg_spans_append(hg_spans *spans, size_t start, size_t count) HG_CHECKED;

/* Appends the sentences of text [bytes, valid UTF-8] in order: without white space round them,
 * never across a line's end, at most HG_LIMIT_SENTENCE code points each. What stands between them
 * has no letter but in what is protected: marks round a sentence, and names behind what ends one,
 * are left to it. So every border but the end of the text stays when the text goes on, unless what
 * is protected changes; none lies inside of that.
 * language (BCP-47) decides on abbreviations ("Mr."); unknown ones have none. HG_ERROR_MEMORY,
 * HG_ERROR_LIMIT for a text of 2 GiB. */
hg_status hg_sentences_find(const char *text, size_t bytes, const char *language,
                            const hg_protected_list *kept, hg_spans *out) HG_CHECKED;

#endif
