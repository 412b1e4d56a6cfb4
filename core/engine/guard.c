/* guard.c: one counter for each length of a phrase, updated with each token. */
#include "core/engine/guard.h"

#include <assert.h>

_Static_assert(HG_LIMIT_REPETITION *HG_LIMIT_REPETITION_PHRASE < UINT16_MAX,
               "a run that fires fits its counter");

/* Repeated tokens at which a phrase of this length ends the lane. */
static uint32_t bound(uint32_t phrase)
{
    uint32_t repeats = HG_LIMIT_REPETITION * phrase;
    return repeats > HG_LIMIT_REPETITION_SPAN ? repeats : HG_LIMIT_REPETITION_SPAN;
}

bool hg_guard_fires(hg_guard *guard, const int32_t *token, uint32_t tokens)
{
    assert(tokens > 0);
    bool fires = false;
    int32_t last = token[tokens - 1];
    for (uint32_t phrase = 1; phrase <= HG_LIMIT_REPETITION_PHRASE && phrase < tokens; phrase++) {
        uint16_t *run = &guard->run[phrase];
        *run = token[tokens - 1 - phrase] == last ? (uint16_t)(*run + 1) : 0;
        if (*run >= bound(phrase)) fires = true;
    }
    return fires;
}
