/* draft.h: a guess of a lane's output, and how far it has held.
 *
 * Who types on gets a translation that mostly begins, and often goes on, like the last one. So the
 * last one is this lane's draft: in each step the tokens that it says come next are computed as
 * further rows behind the lane's known token, and as many of them are output as the rows before
 * them confirm. What the rows say decides, never the draft: a bad one costs rows, not tokens.
 *
 * A row that does not hold is lost; one that does saves its lane a row later, and the step that
 * this takes. So as many are tried as are likely enough to hold: of a draft that has never failed
 * HG_DRAFT_HOLDS of the tokens do, of one that was found again HG_DRAFT_HOLDS_AGAIN (measured on
 * hydra-tiny: sentences grown by a word, nine languages). Where the output leaves the draft, it is
 * looked for again: the next token of the output that stands within HG_LIMIT_DRAFT_WINDOW tokens of
 * the draft takes it up behind there. Belongs to the engine thread.
 */
#ifndef HG_ENGINE_DRAFT_H
#define HG_ENGINE_DRAFT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/limits.h"

#define HG_DRAFT_HOLDS       0.78
#define HG_DRAFT_HOLDS_AGAIN 0.55

typedef struct hg_draft {
    const int32_t *token; /* [tokens] the job's */
    uint32_t tokens;
    uint32_t at; /* index of the token that should come next */
    bool lost;   /* the output has left it; at: from where it is looked for */
    bool again;  /* it was found again */
} hg_draft;

/* Tokens from draft->token + draft->at on that hold with this probability at least, each together
 * with those before it: what is worth a row each in the next step. */
uint32_t hg_draft_offer(const hg_draft *draft, double least);

/* The output's next token, whoever found it. */
void hg_draft_follow(hg_draft *draft, int32_t token);

#endif
