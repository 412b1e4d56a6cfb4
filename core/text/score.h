/* score.h: chrF2, the character n-gram F-score (Popovic 2015), as sacrebleu computes it by default
 * (order 6, beta 2, white space removed, effective order, corpus level: statistics are summed). */
#ifndef HG_TEXT_SCORE_H
#define HG_TEXT_SCORE_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

#define HG_CHRF_ORDER 6

/* Sums over a corpus; zero-initialise. */
typedef struct hg_chrf {
    uint64_t hypothesis[HG_CHRF_ORDER], reference[HG_CHRF_ORDER], matches[HG_CHRF_ORDER];
} hg_chrf;

/* Adds one pair of valid UTF-8 texts. */
hg_status hg_chrf_add(hg_chrf *chrf, const char *hypothesis, const char *reference) HG_CHECKED;

/* 0 to 100. */
double hg_chrf_score(const hg_chrf *chrf);

#endif
