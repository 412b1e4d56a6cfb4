/* admit.c: room for jobs.
 *
 * A job is admitted whole, with all the pages that its lanes can ever need, so nothing that runs
 * can fail for want of a page. The next one is that of the session which runs the fewest lanes, of
 * equal ones that which was served the longest ago; a session's second job and further ones leave a
 * quarter of the lanes and of the pages to others, so that a new sentence of another finds room at
 * once. Before pages are taken, each leader's shared part is looked up among the kept prefixes:
 * whole pages are held, the tokens of a partly covered one are copied. Prefixes that nobody uses
 * are evicted until the rest fits.
 *
 * A job that does not fit waits, and those behind it too, so a large one does not starve. A job
 * whose adapter is still loading lets others pass, and so does one beyond its session's part. When
 * nothing runs, a job that did not fit beside the prefix it wanted gets the pool without it: every
 * job that the pool has pages for is admitted.
 */
#include "core/engine/state.h"

#include <assert.h>
#include <string.h>

#include "core/base/clock.h"

/* A copy on the device. False when it failed: the tokens must be computed then. */
static bool copy_tokens(hg_engine *engine, uint32_t from, uint32_t to, uint32_t tokens)
{
    if (tokens == 0 || hg_engine_is_lost(engine)) return false;
    hg_error error = {0};
    hg_status status = engine->options.api->copy_page(engine->device, from, to, tokens, &error);
    if (status == HG_ERROR_DEVICE) hg_engine_lose(engine, &error);
    return status == HG_OK;
}

/* Counts the first tokens as computed for the lane, though another one did it. */
static void have_computed(hg_engine *engine, hg_lane *lane, uint32_t tokens)
{
    assert(tokens >= lane->computed && tokens < lane->prompt_tokens);
    engine->counts.shared_tokens += tokens - lane->computed;
    hg_job_count_prompt(lane->job, 0, tokens - lane->computed);
    lane->computed = tokens;
}

/* ---- taking room -------------------------------------------------------------------------- */

/* Where a leader's tokens can be copied from: a page of a prefix, held until then. */
typedef struct hg_found {
    uint32_t page, tokens; /* tokens 0: nothing to copy */
} hg_found;

/* Holds what the prefixes have of a leader's shared part. */
static hg_found hold_prefix(hg_engine *engine, hg_lane *lane)
{
    const uint32_t *page = NULL;
    uint32_t tokens = hg_prefix_find(&engine->prefixes, hg_lane_shared_key(lane), lane->token,
                                     hg_lane_shared_tokens(lane), &page);
    uint32_t whole = tokens / HG_LIMIT_PAGE_TOKENS;
    hg_found found = {.tokens = tokens % HG_LIMIT_PAGE_TOKENS};
    for (uint32_t i = 0; i < whole; i++) {
        hg_pages_hold(&engine->pages, page[i], HG_HOLDER_LANE);
        lane->page[lane->pages++] = page[i];
    }
    if (found.tokens) {
        found.page = page[whole];
        hg_pages_hold(&engine->pages, found.page, HG_HOLDER_LANE);
    }
    return found;
}

static void release_pages(hg_engine *engine, hg_lane *lane)
{
    while (lane->pages > 0)
        hg_pages_release(&engine->pages, lane->page[--lane->pages], HG_HOLDER_LANE);
}

static void release_found(hg_engine *engine, hg_found *found)
{
    if (found->tokens) hg_pages_release(&engine->pages, found->page, HG_HOLDER_LANE);
    found->tokens = 0;
}

/* Frees pages by eviction until want are free; false, without evicting, when that cannot be. */
static bool make_free(hg_engine *engine, uint32_t want)
{
    if (engine->pages.free + engine->pages.idle < want) return false;
    while (engine->pages.free < want) {
        bool evicted = hg_prefix_evict(&engine->prefixes);
        assert(evicted); /* an idle page is held by some prefix */
        if (!evicted) return false;
    }
    return true;
}

/* Fills the lane's page table: followers begin with their leader's whole pages. */
static void take_pages(hg_engine *engine, hg_lane *lane)
{
    if (lane->leader) {
        uint32_t whole = hg_lane_shared_tokens(lane) / HG_LIMIT_PAGE_TOKENS;
        assert(lane->pages == 0 && lane->leader->pages >= whole);
        for (uint32_t i = 0; i < whole; i++) {
            hg_pages_hold(&engine->pages, lane->leader->page[i], HG_HOLDER_LANE);
            lane->page[lane->pages++] = lane->leader->page[i];
        }
    }
    uint32_t need = hg_pages_for(lane->prompt_tokens + lane->max_tokens);
    while (lane->pages < need) lane->page[lane->pages++] = hg_pages_take(&engine->pages);
}

/* Takes the tokens that a prefix has over into the leader's own pages. */
static void use_prefix(hg_engine *engine, hg_lane *lane, uint32_t whole, hg_found *found)
{
    uint32_t tokens = whole * HG_LIMIT_PAGE_TOKENS;
    if (copy_tokens(engine, found->page, lane->page[whole], found->tokens)) tokens += found->tokens;
    have_computed(engine, lane, tokens);
    release_found(engine, found);
    lane->kept = lane->computed == hg_lane_shared_tokens(lane);
}

/* Takes all pages of a grouped job; false, with nothing changed, when they do not suffice. */
static bool take_room(hg_engine *engine, hg_job *job, bool reuse)
{
    hg_found found[HG_LIMIT_LANES] = {0};
    uint32_t whole[HG_LIMIT_LANES] = {0};
    uint32_t need = hg_job_pages(job);
    for (uint32_t i = 0; i < job->lanes && reuse; i++) {
        hg_lane *lane = &job->lane[i];
        if (hg_lane_ended(lane) || lane->leader) continue;
        found[i] = hold_prefix(engine, lane);
        whole[i] = lane->pages;
        need -= whole[i];
    }
    bool fits = make_free(engine, need);
    for (uint32_t i = 0; i < job->lanes; i++) {
        hg_lane *lane = &job->lane[i];
        if (hg_lane_ended(lane)) continue;
        if (fits) {
            take_pages(engine, lane);
        } else {
            release_found(engine, &found[i]);
            release_pages(engine, lane);
        }
    }
    for (uint32_t i = 0; i < job->lanes && fits && reuse; i++)
        if (job->lane[i].pages && !job->lane[i].leader)
            use_prefix(engine, &job->lane[i], whole[i], &found[i]);
    return fits;
}

/* ---- forks -------------------------------------------------------------------------------- */

/* The lane holds the leader's whole pages of their common part since admission. */
static void follow_to(hg_engine *engine, hg_lane *lane, uint32_t tokens)
{
    uint32_t whole = hg_lane_shared_tokens(lane) / HG_LIMIT_PAGE_TOKENS;
    uint32_t held = whole * HG_LIMIT_PAGE_TOKENS;
    assert(tokens <= lane->leader->computed);
    if (tokens > held &&
        !copy_tokens(engine, lane->leader->page[whole], lane->page[whole], tokens - held))
        tokens = held;
    have_computed(engine, lane, tokens);
    lane->leader = NULL;
    lane->kept = true; /* its leader gives the common part to the prefixes */
}

void hg_fork(hg_engine *engine, hg_lane *lane)
{
    assert(lane->leader && lane->leader->computed >= hg_lane_shared_tokens(lane));
    follow_to(engine, lane, hg_lane_shared_tokens(lane));
}

/* A leader that ended early leaves its work to the follower with the longest common part; the
 * others follow that one. */
static void hand_over(hg_engine *engine, hg_lane *leader)
{
    hg_job *job = leader->job;
    hg_lane *heir = NULL;
    for (uint32_t i = 0; i < job->lanes; i++) {
        hg_lane *lane = &job->lane[i];
        if (lane->leader != leader || hg_lane_ended(lane)) continue;
        if (leader->computed >= hg_lane_shared_tokens(lane))
            hg_fork(engine, lane);
        else if (!heir || hg_lane_shared_tokens(lane) > hg_lane_shared_tokens(heir))
            heir = lane;
    }
    if (!heir) return;
    follow_to(engine, heir, leader->computed);
    heir->kept = false;
    for (uint32_t i = 0; i < job->lanes; i++)
        if (job->lane[i].leader == leader) job->lane[i].leader = heir;
}

void hg_retire(hg_engine *engine, hg_lane *lane)
{
    assert(hg_lane_ended(lane));
    hg_lane_prompted(lane);
    hg_slot_give(engine, lane);
    if (!lane->job->admitted) return;
    hand_over(engine, lane);
    release_pages(engine, lane);
    assert(engine->running_lanes > 0);
    engine->running_lanes--;
}

void hg_end_lanes(hg_engine *engine, hg_job *job, uint32_t lanes, hg_lane_status status,
                  hg_status failure)
{
    uint32_t ended = 0;
    for (uint32_t i = 0; i < job->lanes; i++) {
        if (!(lanes >> i & 1) || hg_lane_ended(&job->lane[i])) continue;
        hg_lane_end(&job->lane[i], status, failure);
        ended |= 1u << i;
    }
    for (uint32_t i = 0; i < job->lanes; i++)
        if (ended >> i & 1) hg_retire(engine, &job->lane[i]);
}

/* ---- admission ---------------------------------------------------------------------------- */

/* Ends lanes whose adapter will never come; false while one is still loading. */
static bool adapters_ready(hg_engine *engine, hg_job *job)
{
    hg_slot_ready ready[HG_LIMIT_LANES];
    hg_status failure[HG_LIMIT_LANES] = {HG_OK};
    bool all = true;
    pthread_mutex_lock(&engine->lock);
    for (uint32_t i = 0; i < job->lanes; i++) {
        if (hg_lane_ended(&job->lane[i])) continue;
        ready[i] = hg_slot_check(engine, &job->lane[i], &failure[i]);
        if (ready[i] == HG_SLOT_WAIT) all = false;
    }
    pthread_mutex_unlock(&engine->lock);
    for (uint32_t i = 0; i < job->lanes; i++) {
        if (failure[i] == HG_OK) continue;
        hg_lane_end(&job->lane[i], HG_LANE_FAILED, failure[i]);
        hg_retire(engine, &job->lane[i]);
    }
    return all;
}

/* What a session has running. */
typedef struct load {
    uint32_t lanes, pages;
} load;

static load session_load(const hg_engine *engine, const hg_job *job)
{
    load sum = {0};
    for (uint32_t j = 0; j < engine->running.count && job->session; j++) {
        const hg_job *other = engine->running.job[j];
        if (other->session != job->session || other->live == 0) continue;
        sum.lanes += other->live;
        sum.pages += other->pages;
    }
    return sum;
}

/* Whether the session's part has room for a grouped job; for one there always is. */
static bool in_part(const hg_engine *engine, const hg_job *job)
{
    load l = session_load(engine, job);
    return l.lanes == 0 || (l.lanes + job->live <= HG_LIMIT_SESSION_LANES &&
                            l.pages + job->pages <=
                                engine->plan.pages / HG_LIMIT_STEP_LANES * HG_LIMIT_SESSION_LANES);
}

static void start(hg_engine *engine, hg_job *job)
{
    pthread_mutex_lock(&job->lock);
    job->state.start_us = hg_clock_us();
    pthread_mutex_unlock(&job->lock);
    job->admitted = true;
    engine->running_lanes += job->live;
    engine->running.job[engine->running.count++] = job;
    hg_turns_take(&engine->turns, job->session);
}

static bool try_admit(hg_engine *engine, hg_job *job)
{
    if (engine->running_lanes + job->live > HG_LIMIT_STEP_LANES) return false;
    if (!take_room(engine, job, true) &&
        (engine->running_lanes > 0 || !take_room(engine, job, false)))
        return false;
    start(engine, job);
    return true;
}

/* Takes the job at index out of the waiting list. */
static void take_out(hg_job_list *list, uint32_t index)
{
    for (uint32_t j = index + 1; j < list->count; j++) list->job[j - 1] = list->job[j];
    list->count--;
}

/* Of the waiting jobs whose bits are set in may, of which there are some, the next one. */
static uint32_t choose_job(hg_engine *engine, uint64_t may)
{
    uint32_t best = engine->waiting.count, fewest = UINT32_MAX;
    uint64_t longest_ago = UINT64_MAX;
    for (uint32_t j = 0; j < engine->waiting.count; j++) {
        if (!(may >> j & 1)) continue;
        uint32_t lanes = session_load(engine, engine->waiting.job[j]).lanes;
        uint64_t turn = hg_turns_last(&engine->turns, engine->waiting.job[j]->session);
        if (lanes > fewest || (lanes == fewest && turn >= longest_ago)) continue;
        fewest = lanes;
        longest_ago = turn;
        best = j;
    }
    return best;
}

/* Bits of the waiting jobs that could run by themselves: grouped, and all adapters there. One that
 * never could ends: its pool was another device's, or a lane that led others is gone. */
static uint64_t runnable(hg_engine *engine)
{
    uint64_t may = 0;
    for (uint32_t j = 0; j < engine->waiting.count; j++) {
        hg_job *job = engine->waiting.job[j];
        if (hg_engine_is_lost(engine) || !adapters_ready(engine, job) || job->live == 0) continue;
        hg_job_group(job, engine->chunk_rows);
        job->pages = hg_job_pages(job);
        if (job->pages > engine->plan.pages)
            hg_end_lanes(engine, job, UINT32_MAX, HG_LANE_FAILED, HG_ERROR_LIMIT);
        else
            may |= UINT64_C(1) << j;
    }
    return may;
}

void hg_admit(hg_engine *engine)
{
    _Static_assert(HG_LIMIT_JOBS <= 64, "the jobs that may run are bits of one number");
    uint64_t may = runnable(engine);
    while (may && !hg_engine_is_lost(engine)) {
        uint32_t j = choose_job(engine, may);
        hg_job *job = engine->waiting.job[j];
        if (!in_part(engine, job)) {
            may &= ~(UINT64_C(1) << j);
            continue;
        }
        if (!try_admit(engine, job)) return;
        take_out(&engine->waiting, j);
        uint64_t below = (UINT64_C(1) << j) - 1; /* the bits above move down with their jobs */
        may = (may & below) | (may >> 1 & ~below);
    }
}
