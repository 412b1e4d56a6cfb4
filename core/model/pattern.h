/* pattern.h: Python regular expressions over module names, by ICU.
 *
 * The dialects agree but for corners; what ICU cannot compile is refused with the pattern's text.
 * Time is bounded, so that a hostile pattern ends in an error. Not thread-safe: a pattern keeps the
 * state of its last match.
 */
#ifndef HG_MODEL_PATTERN_H
#define HG_MODEL_PATTERN_H

#include <stdbool.h>

#include "core/base/error.h"

typedef struct hg_pattern hg_pattern;

/* Compiles before, expression and after as one. */
typedef struct hg_pattern_source {
    const char *before, *expression, *after; /* UTF-8 */
    const char *file, *field;                /* where the expression stands, for messages */
} hg_pattern_source;

hg_status hg_pattern_open(const hg_pattern_source *source, hg_pattern **out,
                          hg_error *error) HG_CHECKED;
void hg_pattern_close(hg_pattern *pattern);

/* Python's re.fullmatch; text is ASCII of up to HG_LIMIT_TENSOR_NAME bytes. */
hg_status hg_pattern_matches(hg_pattern *pattern, const char *text, bool *out,
                             hg_error *error) HG_CHECKED;

#endif
