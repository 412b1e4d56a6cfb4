/* bleu.h: BLEU (Papineni 2002) as sacrebleu computes it by default: 4-grams, exponential smoothing,
 * corpus level. Words are cut by its "13a" (mteval's rules), or, for languages that write without
 * spaces, into characters (its "char"). Any thread. */
#ifndef HG_TEXT_BLEU_H
#define HG_TEXT_BLEU_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

#define HG_BLEU_ORDER 4

/* Sums over a corpus; zero-initialise. */
typedef struct hg_bleu {
    uint64_t matches[HG_BLEU_ORDER], total[HG_BLEU_ORDER];
    uint64_t hypothesis, reference; /* words */
} hg_bleu;

/* Adds one pair of valid UTF-8 texts. characters: cut by "char". */
hg_status hg_bleu_add(hg_bleu *bleu, const char *hypothesis, const char *reference,
                      bool characters) HG_CHECKED;

/* 0 to 100. */
double hg_bleu_score(const hg_bleu *bleu);

#endif
