/* schedule.c: the rows of one step.
 *
 * First the decode rows: one for each lane whose prompt is computed; all running lanes fit in a
 * step. What is left goes to prompts: each gets an equal share, and what the short ones do not
 * need goes to the others in the order of admission. So a long prompt neither stops those that
 * decode nor keeps a short one waiting.
 */
#include "core/engine/state.h"

#include <assert.h>
#include <string.h>

_Static_assert(HG_LIMIT_STEP_ROWS >= 2 * HG_LIMIT_STEP_LANES,
               "every lane finds a row in each step, whatever the others do");

/* Rows that the lane could compute now. */
static uint32_t pending(const hg_lane *lane)
{
    return lane->prompt_tokens + lane->state.tokens - lane->computed;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Appends the lane's next rows. The last one is wanted when no token follows it yet. */
static void add_rows(hg_engine *engine, hg_step *step, hg_lane *lane, uint32_t rows)
{
    uint32_t known = lane->prompt_tokens + lane->state.tokens;
    uint16_t number = (uint16_t)step->lanes++;
    assert(rows > 0 && step->rows + rows <= engine->plan.step_rows);
    assert(number < engine->plan.step_lanes && !lane->leader);
    engine->step_lane[number] = lane;
    memcpy(engine->table + (size_t)number * engine->plan.lane_pages, lane->page,
           hg_pages_for(lane->computed + rows) * sizeof *lane->page);
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t position = lane->computed + i;
        bool last = position + 1 == known;
        engine->row[step->rows++] =
            (hg_row){.token = lane->token[position],
                     .position = position,
                     .lane = number,
                     .slot = position < lane->invocation ? HG_NO_SLOT : lane->slot,
                     .want = last,
                     .want_logits = last && lane->temperature > 0};
    }
    lane->step_rows = rows;
}

static void add_decode(hg_engine *engine, hg_step *step, hg_job *job)
{
    for (uint32_t i = 0; i < job->lanes; i++) {
        hg_lane *lane = &job->lane[i];
        if (!hg_lane_ended(lane) && lane->prompted) add_rows(engine, step, lane, pending(lane));
    }
}

/* Forks followers that can be, and counts the lanes that have prompt rows to compute. */
static uint32_t count_prefill(hg_engine *engine, hg_job *job)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < job->lanes && job->unprompted > 0; i++) {
        hg_lane *lane = &job->lane[i];
        if (hg_lane_ended(lane) || lane->prompted) continue;
        if (lane->leader && lane->leader->computed >= hg_lane_shared_tokens(lane))
            hg_fork(engine, lane);
        if (!lane->leader) count++;
    }
    return count;
}

/* Calls add_rows for prompts, each with its share and what may be left of the others'. When step
 * is NULL it only returns what the shares leave. */
static uint32_t share_out(hg_engine *engine, hg_step *step, uint32_t share, uint32_t spare)
{
    uint32_t used = 0;
    for (uint32_t j = 0; j < engine->running.count; j++) {
        hg_job *job = engine->running.job[j];
        for (uint32_t i = 0; i < job->lanes && job->unprompted > 0; i++) {
            hg_lane *lane = &job->lane[i];
            if (hg_lane_ended(lane) || lane->prompted || lane->leader) continue;
            uint32_t rows = smaller(pending(lane), share + spare);
            if (rows > share) spare -= rows - share;
            used += rows;
            if (step) add_rows(engine, step, lane, rows);
        }
    }
    return used;
}

hg_step hg_schedule(hg_engine *engine)
{
    hg_step step = {.row = engine->row, .page = engine->table};
    uint32_t prompts = 0;
    for (uint32_t j = 0; j < engine->running.count; j++) {
        add_decode(engine, &step, engine->running.job[j]);
        prompts += count_prefill(engine, engine->running.job[j]);
    }
    if (prompts == 0) return step;
    uint32_t room = engine->plan.step_rows - step.rows;
    uint32_t share = room / prompts;
    assert(share > 0);
    uint32_t spare = room - share_out(engine, NULL, share, 0);
    share_out(engine, &step, share, spare);
    return step;
}
