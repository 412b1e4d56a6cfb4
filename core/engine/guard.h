/* guard.h: ends a lane that has fallen into a loop.
 *
 * Small models sometimes repeat a phrase until the length limit. A lane ends when its output's
 * last tokens are a phrase that followed itself HG_LIMIT_REPETITION times without a break, for
 * some phrase of 1 to HG_LIMIT_REPETITION_PHRASE tokens, and these repeats (the first occurrence
 * not counted) cover at least HG_LIMIT_REPETITION_SPAN tokens. The second condition keeps what
 * people write: "very very very", "10000000", "ha ha ha ha", a line of dashes. So with the limits
 * 4 and 24 one token may follow itself 23 times, a pair 11 times, a phrase of six or more tokens
 * 3 times. Only output counts, never the prompt; drafts and sharing do not change it.
 */
#ifndef HG_ENGINE_GUARD_H
#define HG_ENGINE_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/limits.h"

typedef struct hg_guard {
    /* run[n]: how many of the last tokens, without a break, equal the one n before them */
    uint16_t run[HG_LIMIT_REPETITION_PHRASE + 1];
} hg_guard;

/* token [tokens] is a lane's output, whose last token is new; every token must have been shown in
 * turn. guard starts as zeros. True: the lane is to end. */
bool hg_guard_fires(hg_guard *guard, const int32_t *token, uint32_t tokens);

#endif
