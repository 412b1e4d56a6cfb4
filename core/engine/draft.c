/* draft.c: see draft.h. Where the draft goes on says nearly all. */
#include "core/engine/draft.h"

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

uint32_t hg_draft_offer(const hg_draft *draft, double least)
{
    if (draft->lost) return 0;
    uint32_t count = 0, most = smaller(HG_LIMIT_DRAFT_ROWS, draft->tokens - draft->at);
    double each = draft->again ? HG_DRAFT_HOLDS_AGAIN : HG_DRAFT_HOLDS, all = each;
    for (; count < most && all >= least; count++) all *= each;
    return count;
}

/* Where token stands next in the draft, from at on; tokens when it does not, nearby. */
static uint32_t find(const hg_draft *draft, int32_t token)
{
    uint32_t end = smaller(draft->tokens, draft->at + HG_LIMIT_DRAFT_WINDOW);
    for (uint32_t i = draft->at; i < end; i++)
        if (draft->token[i] == token) return i;
    return draft->tokens;
}

void hg_draft_follow(hg_draft *draft, int32_t token)
{
    if (draft->at >= draft->tokens) return; /* used up, or there was none */
    uint32_t found = find(draft, token);
    if (found == draft->tokens) {
        draft->lost = true;
        return;
    }
    draft->again |= draft->lost || found != draft->at;
    draft->lost = false;
    draft->at = found + 1;
}
