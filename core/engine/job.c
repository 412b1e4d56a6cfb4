/* job.c: making, reading and ending jobs and lanes. Scheduling is elsewhere. */
#include "core/engine/job.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/engine/prefix.h"

/* ---- making ------------------------------------------------------------------------------- */

static uint32_t lane_tokens(const hg_lane_request *lane)
{
    return lane->prompt_tokens + lane->max_tokens;
}

/* Bytes of a job's tokens and page tables, which follow its lanes. */
static size_t tail_bytes(const hg_lane_request *lane, uint32_t lanes)
{
    size_t words = 0;
    for (uint32_t i = 0; i < lanes; i++)
        words += lane_tokens(&lane[i]) + hg_pages_for(lane_tokens(&lane[i])) + lane[i].draft_tokens;
    return words * sizeof(uint32_t);
}

/* Takes over the draft up to its first stop token, behind which nothing can follow. */
static void fill_draft(hg_lane *lane, const hg_lane_request *request, int32_t *tail)
{
    lane->draft.token = tail;
    if (request->temperature > 0) return;
    for (; lane->draft.tokens < request->draft_tokens; lane->draft.tokens++) {
        int32_t token = request->draft[lane->draft.tokens];
        if (hg_token_stops(lane->stop, token)) return;
        tail[lane->draft.tokens] = token;
    }
}

/* Fills a lane from its request; returns where the next lane's tokens may begin. */
static int32_t *fill_lane(hg_lane *lane, hg_job *job, const hg_lane_request *request, int32_t *tail)
{
    lane->job = job;
    lane->adapter = request->adapter;
    lane->slot = HG_NO_SLOT;
    lane->prompt_tokens = request->prompt_tokens;
    lane->invocation = request->invocation;
    lane->max_tokens = request->max_tokens;
    lane->temperature = request->temperature;
    lane->top_p = request->top_p;
    lane->seed = request->seed;
    for (uint32_t i = 0; i < HG_LIMIT_STOP_TOKENS; i++)
        lane->stop[i] = i < request->stops ? request->stop[i] : HG_NO_STOP;
    lane->token = tail;
    memcpy(lane->token, request->prompt, request->prompt_tokens * sizeof *lane->token);
    tail += lane_tokens(request);
    lane->page = (uint32_t *)tail; /* the same size; C lets signed and unsigned alias */
    tail += hg_pages_for(lane_tokens(request));
    fill_draft(lane, request, tail);
    return tail + request->draft_tokens;
}

hg_status hg_job_new(const hg_job_request *request, hg_job **out, hg_error *error)
{
    const hg_lane_request *lane = request->lane;
    uint32_t lanes = request->lanes;
    size_t head = sizeof(hg_job) + lanes * sizeof(hg_lane);
    size_t bytes = head + tail_bytes(lane, lanes);
    hg_job *job = calloc(1, bytes);
    if (!job)
        return hg_fail(error, HG_ERROR_MEMORY, "a job of %u lanes needs %zu bytes", lanes, bytes);
    if (pthread_mutex_init(&job->lock, NULL)) {
        free(job);
        return hg_fail(error, HG_ERROR_MEMORY, "a job's lock cannot be made");
    }
    atomic_init(&job->references, 1);
    job->user = request->user;
    job->session = request->session;
    job->lanes = job->live = job->unprompted = lanes;
    job->state.submit_us = hg_clock_us();
    int32_t *tail = (int32_t *)((char *)job + head);
    for (uint32_t i = 0; i < lanes; i++) tail = fill_lane(&job->lane[i], job, &lane[i], tail);
    assert((char *)tail == (char *)job + bytes);
    *out = job;
    return HG_OK;
}

void hg_job_hold(hg_job *job)
{
    unsigned before = atomic_fetch_add_explicit(&job->references, 1, memory_order_relaxed);
    assert(before > 0);
    (void)before;
}

void hg_job_release(hg_job *job)
{
    if (!job) return;
    unsigned before = atomic_fetch_sub_explicit(&job->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before > 1) return;
    pthread_mutex_destroy(&job->lock);
    free(job);
}

/* ---- reading ------------------------------------------------------------------------------ */

void *hg_job_user(const hg_job *job)
{
    return job->user;
}

void hg_job_read(hg_job *job, hg_job_state *out)
{
    pthread_mutex_lock(&job->lock);
    *out = job->state;
    pthread_mutex_unlock(&job->lock);
}

uint32_t hg_job_read_lane(hg_job *job, uint32_t lane, uint32_t from, int32_t *token, uint32_t room,
                          hg_lane_state *out)
{
    assert(lane < job->lanes);
    const hg_lane *from_lane = &job->lane[lane];
    pthread_mutex_lock(&job->lock);
    uint32_t have = from_lane->state.tokens;
    uint32_t count = from < have ? have - from : 0;
    if (count > room) count = room;
    if (count)
        memcpy(token, from_lane->token + from_lane->prompt_tokens + from, count * sizeof *token);
    if (out) *out = from_lane->state;
    pthread_mutex_unlock(&job->lock);
    return count;
}

/* ---- sharing ------------------------------------------------------------------------------ */

uint64_t hg_lane_shared_key(const hg_lane *lane)
{
    return lane->invocation > 0 ? HG_NO_ADAPTER : lane->adapter;
}

uint32_t hg_lane_shared_tokens(const hg_lane *lane)
{
    bool split = lane->invocation > 0 && lane->adapter != HG_NO_ADAPTER;
    return split ? lane->invocation : lane->prompt_tokens - 1;
}

/* The shared part of lane is the beginning of that of other, and has the same bits. */
static bool begins(const hg_lane *lane, const hg_lane *other)
{
    uint32_t tokens = hg_lane_shared_tokens(lane);
    return hg_lane_shared_key(lane) == hg_lane_shared_key(other) &&
           tokens <= hg_lane_shared_tokens(other) &&
           (lane->whole == other->whole || tokens == lane->whole) &&
           memcmp(lane->token, other->token, tokens * sizeof *lane->token) == 0;
}

void hg_job_group(hg_job *job, uint32_t chunk_rows)
{
    assert(!job->admitted);
    for (uint32_t i = 0; i < job->lanes; i++)
        job->lane[i].whole = hg_whole_tokens(hg_lane_shared_tokens(&job->lane[i]), chunk_rows);
    for (uint32_t i = 0; i < job->lanes; i++) {
        hg_lane *lane = &job->lane[i];
        lane->leader = NULL;
        if (hg_lane_ended(lane) || hg_lane_shared_tokens(lane) == 0) continue;
        for (uint32_t j = 0; j < i && !lane->leader; j++) {
            hg_lane *other = &job->lane[j];
            if (!hg_lane_ended(other) && !other->leader && begins(lane, other))
                lane->leader = other;
        }
    }
}

uint32_t hg_job_pages(const hg_job *job)
{
    uint32_t pages = 0;
    for (uint32_t i = 0; i < job->lanes; i++) {
        const hg_lane *lane = &job->lane[i];
        if (hg_lane_ended(lane)) continue;
        pages += hg_pages_for(lane->prompt_tokens + lane->max_tokens);
        if (lane->leader) pages -= hg_lane_shared_tokens(lane) / HG_LIMIT_PAGE_TOKENS;
    }
    return pages;
}

/* ---- ending ------------------------------------------------------------------------------- */

/* Job lock held. */
static void end_locked(hg_lane *lane, hg_lane_status status, int64_t now_us)
{
    assert(!hg_lane_ended(lane) && lane->job->live > 0);
    lane->state.status = status;
    lane->state.end_us = now_us;
    lane->job->live--;
    lane->job->fresh = true;
}

void hg_lane_end(hg_lane *lane, hg_lane_status status, hg_status failure)
{
    assert(status == HG_LANE_CANCELLED || (status == HG_LANE_FAILED && failure != HG_OK));
    pthread_mutex_lock(&lane->job->lock);
    end_locked(lane, status, hg_clock_us());
    lane->state.failure = failure;
    pthread_mutex_unlock(&lane->job->lock);
}

/* Appends a token that is none of the stops and says whether it was the last. Job lock held. */
static hg_stop append(hg_lane *lane, int32_t token, int64_t now_us)
{
    int32_t *output = lane->token + lane->prompt_tokens;
    assert(lane->state.tokens < lane->max_tokens);
    output[lane->state.tokens++] = token;
    if (lane->state.first_us == 0) lane->state.first_us = now_us;
    if (hg_guard_fires(&lane->guard, output, lane->state.tokens)) return HG_STOP_REPETITION;
    return lane->state.tokens == lane->max_tokens ? HG_STOP_LENGTH : HG_STOP_NONE;
}

void hg_lane_accept(hg_lane *lane, int32_t token, bool stopped, bool drafted)
{
    hg_job *job = lane->job;
    int64_t now_us = hg_clock_us();
    pthread_mutex_lock(&job->lock);
    assert(lane->state.status == HG_LANE_RUNNING);
    job->state.decode_tokens++;
    lane->state.accepted += drafted;
    lane->state.stop = stopped ? HG_STOP_EOS : append(lane, token, now_us);
    if (lane->state.stop != HG_STOP_NONE) end_locked(lane, HG_LANE_OK, now_us);
    pthread_mutex_unlock(&job->lock);
    job->fresh = true;
}

void hg_lane_count_drafts(hg_lane *lane, uint32_t rows)
{
    pthread_mutex_lock(&lane->job->lock);
    lane->state.drafted += rows;
    pthread_mutex_unlock(&lane->job->lock);
}

void hg_job_count_prompt(hg_job *job, uint32_t prefill_tokens, uint32_t shared_tokens)
{
    pthread_mutex_lock(&job->lock);
    job->state.prefill_tokens += prefill_tokens;
    job->state.shared_tokens += shared_tokens;
    pthread_mutex_unlock(&job->lock);
}

void hg_lane_prompted(hg_lane *lane)
{
    hg_job *job = lane->job;
    if (lane->prompted) return;
    lane->prompted = true;
    assert(job->unprompted > 0);
    job->unprompted--;
    pthread_mutex_lock(&job->lock);
    if (!hg_lane_ended(lane)) lane->state.status = HG_LANE_RUNNING;
    if (job->unprompted == 0 && job->admitted) job->state.prefill_us = hg_clock_us();
    pthread_mutex_unlock(&job->lock);
}
