/* place.h: a translated sentence gets the tags of its source back. Any thread. */
#ifndef HG_TRANSLATE_PLACE_H
#define HG_TRANSLATE_PLACE_H

#include <stdbool.h>

#include "core/base/buf.h"
#include "core/text/markup.h"

/* A sentence and what stands in it; marks count from its beginning. */
typedef struct hg_marked {
    const char *text; /* [bytes] */
    size_t bytes;
    const hg_mark *mark; /* [marks] in order */
    uint32_t marks;
    const char *source; /* the HTML that the marks' bytes are of */
} hg_marked;

/* Whether everything that stays byte for byte reads in translation as it does in the sentence, once
 * and in the same order: only then hg_place may be called. */
bool hg_place_keeps(const hg_marked *sentence, const char *translation);

/* Appends translation, escaped, with the sentence's marks in their order. What stays takes the
 * place of its own words; a tag pair goes round the same words where they come again, every other
 * tag to the border of words that is as far into the sentence as it was. */
hg_status hg_place(const hg_marked *sentence, const char *translation, hg_buf *out) HG_CHECKED;

/* Appends text [bytes] with &, < and > as entities. */
hg_status hg_escape_html(const char *text, size_t bytes, hg_buf *out) HG_CHECKED;

#endif
