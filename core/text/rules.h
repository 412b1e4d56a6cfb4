/* rules.h: a plugin's text rules: ICU transliteration ("::Hant-Hans;", or rules such as
 * "' ?' > ' ?';"). Data that an administrator may upload, never code. */
#ifndef HG_TEXT_RULES_H
#define HG_TEXT_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/buf.h"
#include "core/base/error.h"

typedef struct hg_rules hg_rules;

/* Rules that come with the program; docs/OPERATIONS.md's table is printed from them. */
typedef struct hg_shipped_rules {
    const char *name, *what, *text;
} hg_shipped_rules;

/* In order, NULL behind the last. */
const hg_shipped_rules *hg_shipped_rules_at(unsigned index);

/* Compiles a text, or the shipped set of that name; HG_ERROR_FORMAT with ICU's place and reason. */
hg_status hg_rules_open(const char *rules, hg_rules **out, hg_error *error) HG_CHECKED;
void hg_rules_close(hg_rules *rules);

/* Replaces out's content by the transliteration of text, as finished text. HG_ERROR_LIMIT when the
 * rules let it grow or look at it more than limits.h allows. One thread at a time. */
hg_status hg_rules_apply(hg_rules *rules, const char *text, size_t count, hg_buf *out) HG_CHECKED;

/* As apply, but for text that may go on: *settled is whether nothing of the result can change,
 * whatever follows (ICU's incremental transliteration has consumed all). Then apply of any longer
 * text begins with this result. */
hg_status hg_rules_apply_open(hg_rules *rules, const char *text, size_t count, hg_buf *out,
                              bool *settled) HG_CHECKED;

#endif
