/* draft.c: see draft.h. Two numbers say all: where the draft goes on, and how long it has held. */
#include "core/engine/draft.h"

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

uint32_t hg_draft_offer(const hg_draft *draft)
{
    if (draft->lost) return 0;
    /* The first offer trusts the beginning; one that was found again proves itself first. */
    uint32_t trust = draft->at == draft->held ? HG_LIMIT_DRAFT_ROWS : 1 + draft->held;
    return smaller(smaller(trust, HG_LIMIT_DRAFT_ROWS), draft->tokens - draft->at);
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
    bool next = !draft->lost && found == draft->at;
    draft->held = next ? draft->held + 1 : 0;
    draft->lost = false;
    draft->at = found + 1;
}
