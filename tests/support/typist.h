/* typist.h: sentences typed word by word, and what readers of many languages see of them: how much
 * of it is taken back, how soon it comes, what it is worth in the end.
 *
 * A reader keeps what web/hydraglot.js would show. Each word is a revision; then the whole sentence
 * goes out as final. With edits, some revisions have a word too many, too few or another one; the
 * next one mends it. Figures count code points.
 */
#ifndef HG_TESTS_TYPIST_H
#define HG_TESTS_TYPIST_H

#include "core/text/score.h"
#include "core/translate/translate.h"

#define TYPIST_READERS 9

typedef struct typist_line {
    const char *source, *reference;
} typist_line;

/* Of one language, summed over its sentences; the rows of the table divide by what they name. */
typedef struct typist_score {
    const char *language;
    uint32_t sentences, epochs;       /* epochs that edits began */
    double written, erased;           /* of the final texts; of what was shown */
    double committed_taken_back;      /* within an epoch: must be 0 */
    double before_last, before_final; /* shares committed before the last word, before final */
    double lag_committed, lag_shown;  /* source words, mean over the text */
    double average_lagging_committed, average_lagging_shown; /* AL of Ma et al. 2019 */
    uint64_t decoded;
    hg_chrf typed, at_once;
} typist_score;

/* Types line[reader][0 .. lines) for each reader, all readers side by side. out [readers], its
 * languages set, is added to. */
void typist_type(hg_runtime *runtime, const typist_line *const *line, uint32_t lines,
                 uint32_t readers, bool edits, typist_score *out);

/* The header and one row a language of the table of docs/PERFORMANCE.md. */
void typist_print(const char *name, const typist_score *score, uint32_t readers);

#endif
