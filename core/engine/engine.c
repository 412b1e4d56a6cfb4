/* engine.c: the engine's face to other threads: opening, closing, submitting, cancelling, news.
 *
 * Everything from outside is checked here, once. A post is a few words under the engine's lock and
 * a signal; what it means is done by the engine thread at the next border between two steps.
 */
#include "core/engine/state.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

/* ---- opening ------------------------------------------------------------------------------ */

static void init_locks(hg_engine *engine)
{
    pthread_condattr_t steady;
    int failed = pthread_condattr_init(&steady);
    failed |= pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    failed |= pthread_mutex_init(&engine->lock, NULL);
    failed |= pthread_cond_init(&engine->work, &steady);
    failed |= pthread_cond_init(&engine->changed, NULL);
    failed |= pthread_cond_init(&engine->news_up, &steady);
    failed |= pthread_condattr_destroy(&steady);
    assert(!failed); /* on Linux these only fill memory */
    (void)failed;
}

static void free_engine(hg_engine *engine)
{
    pthread_mutex_destroy(&engine->lock);
    pthread_cond_destroy(&engine->work);
    pthread_cond_destroy(&engine->changed);
    pthread_cond_destroy(&engine->news_up);
    free(engine);
}

/* Signals are the main thread's: this one is born with all of them blocked. */
static hg_status start_thread(hg_engine *engine, hg_error *error)
{
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int failed = pthread_create(&engine->thread, NULL, hg_engine_thread, engine);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (failed) return hg_fail(error, HG_ERROR_IO, "the engine thread did not start");
    pthread_setname_np(engine->thread, "hg-engine");

    pthread_mutex_lock(&engine->lock);
    while (!engine->opened) pthread_cond_wait(&engine->changed, &engine->lock);
    hg_error lost = engine->lost;
    pthread_mutex_unlock(&engine->lock);
    if (lost.status == HG_OK) return HG_OK;
    pthread_join(engine->thread, NULL);
    return hg_fail(error, lost.status, "%s", lost.message);
}

hg_status hg_engine_open(const hg_engine_options *options, hg_engine **out, hg_error *error)
{
    assert(options->api && options->weights);
    if (options->api->version != HG_DEVICE_VERSION)
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "device %s speaks version %u of the interface, this program version %d",
                       options->api->name, options->api->version, HG_DEVICE_VERSION);
    hg_engine *engine = calloc(1, sizeof *engine);
    if (!engine) return hg_fail(error, HG_ERROR_MEMORY, "no memory for the engine");
    engine->options = *options;
    init_locks(engine);
    const hg_shape *shape = &options->weights->shape;
    engine->vocabulary = shape->vocabulary;
    engine->lane_tokens =
        shape->positions < HG_LIMIT_LANE_TOKENS ? shape->positions : HG_LIMIT_LANE_TOKENS;
    hg_status status = start_thread(engine, error);
    if (status) {
        free_engine(engine);
        return status;
    }
    *out = engine;
    return HG_OK;
}

void hg_engine_close(hg_engine *engine)
{
    if (!engine) return;
    pthread_mutex_lock(&engine->lock);
    engine->closing = true;
    pthread_cond_signal(&engine->work);
    pthread_mutex_unlock(&engine->lock);
    pthread_join(engine->thread, NULL);

    hg_job *job;
    while ((job = hg_engine_next_news(engine, 0))) hg_job_release(job);
    assert(engine->jobs == 0);
    free_engine(engine);
}

/* ---- submitting --------------------------------------------------------------------------- */

static hg_status check_tokens(const hg_engine *engine, const hg_lane_request *lane, uint32_t index,
                              hg_error *error)
{
    uint64_t tokens = (uint64_t)lane->prompt_tokens + lane->max_tokens;
    if (lane->prompt_tokens == 0 || lane->max_tokens == 0)
        return hg_fail(error, HG_ERROR_ARGUMENT,
                       "lane %u: prompt_tokens is %u and max_tokens %u; both must be at least 1",
                       index, lane->prompt_tokens, lane->max_tokens);
    if (tokens > engine->lane_tokens)
        return hg_fail(
            error, HG_ERROR_LIMIT,
            "lane %u: a prompt of %u tokens and max_tokens %u need %llu positions, a lane "
            "has %u; shorten the text or lower max_tokens",
            index, lane->prompt_tokens, lane->max_tokens, (unsigned long long)tokens,
            engine->lane_tokens);
    for (uint32_t i = 0; i < lane->prompt_tokens; i++)
        if (lane->prompt[i] < 0 || (uint32_t)lane->prompt[i] >= engine->vocabulary)
            return hg_fail(error, HG_ERROR_ARGUMENT,
                           "lane %u: token %d at %u of the prompt is outside the vocabulary of %u",
                           index, lane->prompt[i], i, engine->vocabulary);
    return HG_OK;
}

static hg_status check_draft(const hg_engine *engine, const hg_lane_request *lane, uint32_t index,
                             hg_error *error)
{
    if (lane->draft_tokens > engine->lane_tokens)
        return hg_fail(error, HG_ERROR_LIMIT,
                       "lane %u: a draft of %u tokens, a lane has %u positions", index,
                       lane->draft_tokens, engine->lane_tokens);
    for (uint32_t i = 0; i < lane->draft_tokens; i++)
        if (lane->draft[i] < 0 || (uint32_t)lane->draft[i] >= engine->vocabulary)
            return hg_fail(error, HG_ERROR_ARGUMENT,
                           "lane %u: token %d at %u of the draft is outside the vocabulary of %u",
                           index, lane->draft[i], i, engine->vocabulary);
    return HG_OK;
}

static hg_status check_lane(const hg_engine *engine, const hg_lane_request *lane, uint32_t index,
                            hg_error *error)
{
    hg_status status = check_tokens(engine, lane, index, error);
    if (!status) status = check_draft(engine, lane, index, error);
    if (status) return status;
    if (lane->invocation >= lane->prompt_tokens)
        return hg_fail(error, HG_ERROR_ARGUMENT,
                       "lane %u: invocation %u is not inside the prompt of %u tokens", index,
                       lane->invocation, lane->prompt_tokens);
    if (lane->stops > HG_LIMIT_STOP_TOKENS)
        return hg_fail(error, HG_ERROR_LIMIT, "lane %u: %u stop tokens, the limit is %d", index,
                       lane->stops, HG_LIMIT_STOP_TOKENS);
    if (!isfinite(lane->temperature) || lane->temperature < 0)
        return hg_fail(error, HG_ERROR_ARGUMENT, "lane %u: temperature is %g, expected 0 or more",
                       index, (double)lane->temperature);
    if (lane->temperature > 0 && !(lane->top_p > 0 && lane->top_p <= 1))
        return hg_fail(error, HG_ERROR_ARGUMENT,
                       "lane %u: top_p is %g, expected above 0 and at most 1", index,
                       (double)lane->top_p);
    return HG_OK;
}

/* Engine lock held. */
static hg_status check_pages(const hg_engine *engine, hg_job *job, hg_error *error)
{
    hg_job_group(job, engine->chunk_rows);
    uint32_t pages = hg_job_pages(job);
    if (pages <= engine->plan.pages) return HG_OK;
    return hg_fail(error, HG_ERROR_LIMIT,
                   "%u lanes need %u KV pages, the pool has %u; ask for fewer languages, lower "
                   "max_tokens, or start with a larger pool",
                   job->lanes, pages, engine->plan.pages);
}

static hg_status post(hg_engine *engine, hg_job *job, hg_error *error)
{
    if (engine->lost.status)
        return hg_fail(error, HG_ERROR_DEVICE, "the device is lost (%s); %s", engine->lost.message,
                       engine->options.recovery.policy == HG_DEVICE_STOP ? "the service ends"
                                                                         : "send again in a while");
    if (engine->jobs == HG_LIMIT_JOBS)
        return hg_fail(error, HG_ERROR_STATE, "%d jobs are in the engine, the most it takes",
                       HG_LIMIT_JOBS);
    hg_status status = check_pages(engine, job, error);
    if (status) return status;
    for (uint32_t i = 0; i < job->lanes; i++) hg_slot_take(engine, &job->lane[i]);
    hg_job_hold(job);
    engine->jobs++;
    engine->inbox.job[engine->inbox.count++] = job;
    engine->posted = true;
    pthread_cond_signal(&engine->work);
    return HG_OK;
}

hg_status hg_engine_submit(hg_engine *engine, const hg_job_request *request, hg_job **out,
                           hg_error *error)
{
    hg_status status;
    uint32_t lanes = request->lanes;
    hg_job *job = NULL;
    if (lanes == 0) return hg_fail(error, HG_ERROR_ARGUMENT, "a job needs at least one lane");
    if (lanes > HG_LIMIT_LANES)
        return hg_fail(error, HG_ERROR_LIMIT, "a job of %u lanes, the limit is %d", lanes,
                       HG_LIMIT_LANES);
    for (uint32_t i = 0; i < lanes; i++)
        if ((status = check_lane(engine, &request->lane[i], i, error))) return status;
    if ((status = hg_job_new(request, &job, error))) return status;
    pthread_mutex_lock(&engine->lock);
    status = post(engine, job, error);
    pthread_mutex_unlock(&engine->lock);
    if (status)
        hg_job_release(job);
    else
        *out = job;
    return status;
}

void hg_engine_cancel(hg_engine *engine, hg_job *job, uint32_t lane)
{
    assert(lane == HG_ALL_LANES || lane < job->lanes);
    pthread_mutex_lock(&engine->lock);
    job->cancel |= lane == HG_ALL_LANES ? UINT32_MAX : 1u << lane;
    engine->cancels = engine->posted = true;
    pthread_cond_signal(&engine->work);
    pthread_mutex_unlock(&engine->lock);
}

bool hg_engine_stopped(hg_engine *engine, hg_error *error)
{
    pthread_mutex_lock(&engine->lock);
    bool stopped = engine->lost.status && engine->options.recovery.policy == HG_DEVICE_STOP;
    if (stopped) *error = engine->lost;
    pthread_mutex_unlock(&engine->lock);
    return stopped;
}

/* ---- news --------------------------------------------------------------------------------- */

static struct timespec time_in(uint32_t wait_ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += wait_ms / 1000;
    t.tv_nsec += (long)(wait_ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        t.tv_nsec -= 1000000000;
        t.tv_sec++;
    }
    return t;
}

hg_job *hg_engine_next_news(hg_engine *engine, uint32_t wait_ms)
{
    struct timespec end = time_in(wait_ms);
    int timed_out = wait_ms == 0 ? ETIMEDOUT : 0;
    pthread_mutex_lock(&engine->lock);
    while (!engine->news_first && !timed_out)
        timed_out = pthread_cond_timedwait(&engine->news_up, &engine->lock, &end);
    hg_job *job = engine->news_first;
    if (job) {
        engine->news_first = job->next_news;
        if (!engine->news_first) engine->news_last = NULL;
        job->in_news = false;
    }
    pthread_mutex_unlock(&engine->lock);
    return job;
}

void hg_engine_read_figures(hg_engine *engine, hg_engine_figures *out)
{
    pthread_mutex_lock(&engine->lock);
    *out = engine->figures;
    out->jobs = engine->jobs;
    out->lost = engine->lost.status != HG_OK;
    for (uint32_t i = 0; i < HG_LIMIT_ADAPTER_SLOTS; i++)
        out->adapters_ready += engine->slot[i].state == HG_ADAPTER_READY;
    pthread_mutex_unlock(&engine->lock);
}
