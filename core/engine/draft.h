/* draft.h: a guess of a lane's output, and how far it has held.
 *
 * Who types on gets a translation that mostly begins, and often goes on, like the last one. So the
 * last one is this lane's draft: in each step the tokens that it says come next are computed as
 * further rows behind the lane's known token, and as many of them are output as the rows before
 * them confirm. What the rows say decides, never the draft: a bad one costs rows, not tokens.
 *
 * How many are tried grows with what has held. Where the output leaves the draft, it is looked for
 * again: the next token of the output that stands within HG_LIMIT_DRAFT_WINDOW tokens of the draft
 * takes it up behind there. Belongs to the engine thread.
 */
#ifndef HG_ENGINE_DRAFT_H
#define HG_ENGINE_DRAFT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/limits.h"

typedef struct hg_draft {
    const int32_t *token; /* [tokens] the job's */
    uint32_t tokens;
    uint32_t at;   /* index of the token that should come next */
    uint32_t held; /* tokens confirmed since it was taken up */
    bool lost;     /* the output has left it; at: from where it is looked for */
} hg_draft;

/* Tokens from draft->token + draft->at on that are worth a row each in the next step. */
uint32_t hg_draft_offer(const hg_draft *draft);

/* The output's next token, whoever found it. */
void hg_draft_follow(hg_draft *draft, int32_t token);

#endif
