/* turns.c: see turns.h. */
#include "core/engine/turns.h"

uint64_t hg_turns_last(const hg_turns *turns, const void *session)
{
    for (uint32_t i = 0; i < HG_LIMIT_JOBS && session; i++)
        if (turns->turn[i].session == session) return turns->turn[i].stamp;
    return 0;
}

void hg_turns_take(hg_turns *turns, const void *session)
{
    if (!session) return;
    hg_turn *place = turns->turn; /* the session's, else the one served the longest ago */
    for (uint32_t i = 0; i < HG_LIMIT_JOBS && place->session != session; i++) {
        hg_turn *turn = &turns->turn[i];
        if (turn->session == session || turn->stamp < place->stamp) place = turn;
    }
    *place = (hg_turn){session, ++turns->stamp};
}
