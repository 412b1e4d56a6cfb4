/* turns.h: when each session was last served, so that sessions take turns. Belongs to the engine
 * thread; sessions are compared, not followed. */
#ifndef HG_ENGINE_TURNS_H
#define HG_ENGINE_TURNS_H

#include <stdint.h>

#include "core/base/limits.h"

typedef struct hg_turn {
    const void *session; /* NULL: a free place */
    uint64_t stamp;      /* larger is later */
} hg_turn;

/* The sessions served last; as no more jobs wait than there are places, of a session that has none
 * it is enough to know that its last turn is longer ago. Starts as zeros. */
typedef struct hg_turns {
    hg_turn turn[HG_LIMIT_JOBS];
    uint64_t stamp;
} hg_turns;

/* When the session was last served: larger is later; 0 for NULL and for those without a place. */
uint64_t hg_turns_last(const hg_turns *turns, const void *session);

/* The session is served now. NULL is allowed: nobody. */
void hg_turns_take(hg_turns *turns, const void *session);

#endif
