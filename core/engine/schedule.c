/* schedule.c: the rows of one step.
 *
 * First the decode rows: one for each lane whose prompt is computed; all running lanes fit in a
 * step. What is left goes to prompts and to the drafts of those lanes, which may have half of it
 * while there are prompts. Of the prompts each job gets an equal share, and each lane of it an
 * equal share of that; what the short ones do not need goes to the others in the order of
 * admission. So a long prompt neither stops those that decode nor keeps a short one waiting, and
 * many lanes weigh no more than few. Rows that are over let drafts begin behind their prompts.
 *
 * Where the device has whole chunks, those of long prompts come beside all that, in the order of
 * admission: one a step, or several when no other lane would wait for them. What of a prompt comes
 * so is its own matter (hg_whole_tokens); when it comes is not.
 */
#include "core/engine/state.h"

#include <assert.h>
#include <string.h>

_Static_assert(HG_LIMIT_STEP_ROWS >= 3 * HG_LIMIT_STEP_LANES,
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

/* Whether the lane's next rows are a whole chunk. */
static bool chunks(const hg_lane *lane)
{
    return !hg_lane_ended(lane) && !lane->leader && lane->computed < lane->whole;
}

/* Whether the lane has other prompt rows of its own to compute. */
static bool prompts(const hg_lane *lane)
{
    return !hg_lane_ended(lane) && !lane->prompted && !lane->leader && !chunks(lane);
}

/* How likely a draft row must be to hold. With steps of a + b rows, one that does saves b, as its
 * token needs no row later, and its lane's part of a; one that does not costs b. */
static double least_likely(const hg_engine *engine)
{
    const hg_device_api *api = engine->options.api;
    if (engine->options.drafts == HG_DRAFTS_ALWAYS || !api->row_cost) return 0;
    double lanes_cost = api->row_cost(engine->device) * engine->running_lanes; /* b / (a / lanes) */
    return lanes_cost / (1 + lanes_cost);
}

/* Draft rows that are worth computing behind all known tokens: each may become a token, and the
 * last of them is followed by one more. */
static uint32_t draft_wish(const hg_engine *engine, const hg_lane *lane)
{
    if (engine->options.drafts == HG_DRAFTS_NEVER || lane->draft.tokens == 0) return 0;
    uint32_t most = lane->max_tokens - lane->state.tokens - 1;
    return smaller(hg_draft_offer(&lane->draft, least_likely(engine)), most);
}

/* ---- shares ------------------------------------------------------------------------------- */

/* What the step being planned has. */
typedef struct plan {
    uint32_t decode, wishes; /* rows of lanes that decode; draft rows that these would like */
    uint32_t jobs;           /* with prompts */
} plan;

/* Forks followers that can be and plans the decode rows. */
static void plan_job(hg_engine *engine, hg_job *job, plan *p)
{
    bool any = false;
    for (uint32_t i = 0; i < job->lanes; i++) {
        hg_lane *lane = &job->lane[i];
        lane->step_rows = lane->step_drafts = 0;
        if (hg_lane_ended(lane)) continue;
        if (lane->leader && lane->leader->computed >= hg_lane_shared_tokens(lane))
            hg_fork(engine, lane);
        any |= prompts(lane);
        if (!lane->prompted) continue;
        lane->step_rows = pending(lane);
        p->decode += lane->step_rows;
        p->wishes += draft_wish(engine, lane);
    }
    p->jobs += any;
}

/* Whole chunks beside the rows of others, if there are such. */
static void plan_chunks(hg_engine *engine, bool others)
{
    const hg_job_list *list = &engine->running;
    uint32_t left = others ? 1 : engine->chunks;
    for (uint32_t j = 0; j < list->count; j++)
        for (uint32_t i = 0; i < list->job[j]->lanes && left > 0; i++) {
            hg_lane *lane = &list->job[j]->lane[i];
            if (!chunks(lane)) continue;
            assert(lane->computed % engine->chunk_rows == 0);
            uint32_t now = smaller(left, (lane->whole - lane->computed) / engine->chunk_rows);
            lane->step_rows = now * engine->chunk_rows;
            left -= now;
        }
}

/* A job's part of the prompt rows, to its lanes. */
static void share_lanes(hg_job *job, uint32_t rows)
{
    uint32_t lanes = 0, used = 0;
    for (uint32_t i = 0; i < job->lanes; i++) lanes += prompts(&job->lane[i]);
    uint32_t share = lanes ? rows / lanes : 0;
    for (uint32_t i = 0; i < job->lanes; i++)
        if (prompts(&job->lane[i])) used += smaller(pending(&job->lane[i]), share);
    uint32_t spare = rows - used;
    for (uint32_t i = 0; i < job->lanes; i++) {
        hg_lane *lane = &job->lane[i];
        if (!prompts(lane)) continue;
        lane->step_rows = smaller(pending(lane), share + spare);
        if (lane->step_rows > share) spare -= lane->step_rows - share;
    }
}

static uint32_t prompt_rows(const hg_job *job)
{
    uint32_t rows = 0;
    for (uint32_t i = 0; i < job->lanes; i++)
        if (prompts(&job->lane[i])) rows += pending(&job->lane[i]);
    return rows;
}

/* Rows for prompts, to the jobs. Returns how many were used. */
static uint32_t share_jobs(const hg_engine *engine, const plan *p, uint32_t rows)
{
    const hg_job_list *list = &engine->running;
    uint32_t share = rows / p->jobs, used = 0;
    for (uint32_t j = 0; j < list->count; j++) used += smaller(prompt_rows(list->job[j]), share);
    uint32_t spare = rows - used;
    for (uint32_t j = 0; j < list->count; j++) {
        uint32_t want = prompt_rows(list->job[j]);
        uint32_t have = smaller(want, share + spare);
        if (have > share) spare -= have - share;
        share_lanes(list->job[j], have);
    }
    return rows - spare;
}

/* Whether the lane's known tokens all stand in this step, and a draft may follow. */
static bool drafts(const hg_engine *engine, const hg_lane *lane)
{
    return lane->step_rows > 0 && lane->step_rows == pending(lane) && draft_wish(engine, lane) > 0;
}

/* Rows that are left, equally to the drafts that can be tried. */
static void share_drafts(const hg_engine *engine, uint32_t rows)
{
    const hg_job_list *list = &engine->running;
    uint32_t lanes = 0;
    for (uint32_t j = 0; j < list->count; j++)
        for (uint32_t i = 0; i < list->job[j]->lanes; i++)
            lanes += drafts(engine, &list->job[j]->lane[i]);
    if (lanes == 0) return;
    for (uint32_t j = 0; j < list->count; j++) {
        for (uint32_t i = 0; i < list->job[j]->lanes; i++) {
            hg_lane *lane = &list->job[j]->lane[i];
            if (drafts(engine, lane))
                lane->step_drafts = smaller(draft_wish(engine, lane), rows / lanes);
        }
    }
}

/* ---- rows --------------------------------------------------------------------------------- */

/* The rows of a lane's known tokens, of which the last one is wanted when no token follows it yet,
 * and those of its draft, all wanted. */
static void add_rows(hg_engine *engine, hg_step *step, hg_lane *lane)
{
    uint32_t known = lane->prompt_tokens + lane->state.tokens;
    uint32_t rows = lane->step_rows + lane->step_drafts;
    uint16_t number = (uint16_t)step->lanes++;
    bool whole = chunks(lane);
    assert(rows > 0 &&
           step->rows + rows <= engine->plan.step_rows + engine->chunks * engine->chunk_rows);
    assert(number < engine->plan.step_lanes && !lane->leader);
    engine->step_lane[number] = lane;
    memcpy(engine->table + (size_t)number * engine->plan.lane_pages, lane->page,
           hg_pages_for(lane->computed + rows) * sizeof *lane->page);
    memcpy(engine->stop + (size_t)number * HG_LIMIT_STOP_TOKENS, lane->stop, sizeof lane->stop);
    for (uint32_t i = 0; i < rows; i++) {
        uint32_t position = lane->computed + i;
        bool draft = position >= known, want = position + 1 >= known;
        engine->row[step->rows++] =
            (hg_row){.token = draft ? lane->draft.token[lane->draft.at + position - known]
                                    : lane->token[position],
                     .position = position,
                     .lane = number,
                     .slot = position < lane->invocation ? HG_NO_SLOT : lane->slot,
                     .want = want,
                     .want_logits = want && lane->temperature > 0,
                     .whole = whole};
    }
}

/* Those of the lanes whose rows are whole chunks, or those of the others. */
static void add_lanes(hg_engine *engine, hg_step *step, bool whole)
{
    const hg_job_list *list = &engine->running;
    for (uint32_t j = 0; j < list->count; j++)
        for (uint32_t i = 0; i < list->job[j]->lanes; i++) {
            hg_lane *lane = &list->job[j]->lane[i];
            if (lane->step_rows > 0 && chunks(lane) == whole) add_rows(engine, step, lane);
        }
}

hg_step hg_schedule(hg_engine *engine)
{
    hg_step step = {.row = engine->row, .page = engine->table, .stop = engine->stop};
    const hg_job_list *list = &engine->running;
    plan p = {0};
    for (uint32_t j = 0; j < list->count; j++) plan_job(engine, list->job[j], &p);
    plan_chunks(engine, p.decode + p.jobs > 0);
    uint32_t room = engine->plan.step_rows - p.decode;
    if (p.jobs > 0) {
        uint32_t kept = smaller(p.wishes, room / 2); /* for drafts */
        room -= share_jobs(engine, &p, room - kept);
    }
    share_drafts(engine, room);
    add_lanes(engine, &step, true);
    add_lanes(engine, &step, false);
    return step;
}
