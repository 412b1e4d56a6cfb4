/* pairs.h: a plugin's validation pairs: validation.tsv, one `source TAB target` a line. */
#ifndef HG_PLUGINS_PAIRS_H
#define HG_PLUGINS_PAIRS_H

#include <stdint.h>

#include "core/base/buf.h"
#include "core/plugins/notes.h"

typedef struct hg_pairs {
    const char **source, **target; /* [count] views into text, each ended by a NUL */
    uint32_t count;
    hg_buf text;
} hg_pairs;

/* Reads folder/validation.tsv; no file is no pairs. What is wrong with its lines is noted, each
 * line once. An error is ours. hg_pairs_free also after a failure. */
hg_status hg_pairs_read(const char *folder, hg_pairs *out, hg_notes *notes,
                        hg_error *error) HG_CHECKED;
void hg_pairs_free(hg_pairs *pairs);

#endif
