/* thread.c: the engine thread.
 *
 * One turn of its loop: take what was posted, end what was cancelled, upload a piece of an
 * adapter, admit jobs, run a step, tell the news. It sleeps only when nothing runs, waits or
 * loads. All device calls, from open to close, are made here.
 */
#include "core/engine/state.h"

#include <assert.h>

#include "core/base/clock.h"
#include "core/base/log.h"

/* ---- ends --------------------------------------------------------------------------------- */

static void end_list(hg_engine *engine, hg_job_list *list, hg_lane_status status, hg_status failure)
{
    for (uint32_t j = 0; j < list->count; j++)
        hg_end_lanes(engine, list->job[j], UINT32_MAX, status, failure);
}

static void end_all(hg_engine *engine, hg_lane_status status, hg_status failure)
{
    end_list(engine, &engine->waiting, status, failure);
    end_list(engine, &engine->running, status, failure);
}

/* ---- posts -------------------------------------------------------------------------------- */

/* New jobs go to the waiting list; lanes that submit ended already are put away. */
static void take_inbox(hg_engine *engine, const hg_job_list *inbox)
{
    for (uint32_t j = 0; j < inbox->count; j++) {
        hg_job *job = inbox->job[j];
        assert(engine->waiting.count < HG_LIMIT_JOBS);
        engine->waiting.job[engine->waiting.count++] = job;
        for (uint32_t i = 0; i < job->lanes; i++)
            if (hg_lane_ended(&job->lane[i])) hg_retire(engine, &job->lane[i]);
    }
}

/* Ends the lanes whose bits are set in their job's cancel. */
static void apply_cancels(hg_engine *engine, hg_job_list *list)
{
    for (uint32_t j = 0; j < list->count; j++) {
        hg_job *job = list->job[j];
        pthread_mutex_lock(&engine->lock);
        uint32_t cancel = job->cancel;
        job->cancel = 0;
        pthread_mutex_unlock(&engine->lock);
        hg_end_lanes(engine, job, cancel, HG_LANE_CANCELLED, HG_OK);
    }
}

/* Whether the next thing to do is yet to come. Without a device only time counts. Engine lock held.
 */
static bool may_sleep(hg_engine *engine)
{
    if (engine->posted || engine->closing) return false;
    if (engine->running.count > 0 || engine->waiting.count > 0) return false;
    return hg_engine_is_lost(engine) ? hg_clock_us() < engine->retry_us : !hg_slots_busy(engine);
}

/* Engine lock held. */
static void sleep_until_work(hg_engine *engine)
{
    int64_t until_us = engine->retry_us;
    if (hg_engine_is_lost(engine) && until_us < INT64_MAX) {
        struct timespec until = {.tv_sec = until_us / 1000000,
                                 .tv_nsec = until_us % 1000000 * 1000};
        (void)pthread_cond_timedwait(&engine->work, &engine->lock, &until);
    } else {
        pthread_cond_wait(&engine->work, &engine->lock);
    }
}

/* Sleeps until there is something to do. False: the engine is closing. */
static bool take_posts(hg_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    while (may_sleep(engine)) sleep_until_work(engine);
    bool closing = engine->closing, cancels = engine->cancels;
    hg_job_list inbox;
    inbox.count = engine->inbox.count;
    for (uint32_t j = 0; j < inbox.count; j++) inbox.job[j] = engine->inbox.job[j];
    engine->inbox.count = 0;
    engine->posted = engine->cancels = false;
    pthread_mutex_unlock(&engine->lock);

    take_inbox(engine, &inbox);
    if (cancels) {
        apply_cancels(engine, &engine->waiting);
        apply_cancels(engine, &engine->running);
    }
    return !closing;
}

/* ---- a step ------------------------------------------------------------------------------- */

/* The row's token: greedy, of which *stopped speaks, or one that is sampled. */
static int32_t choose_token(hg_engine *engine, const hg_lane *lane, int32_t greedy,
                            const float *logits, bool *stopped)
{
    if (lane->temperature <= 0) return greedy;
    hg_sampling how = {.temperature = lane->temperature,
                       .top_p = lane->top_p,
                       .seed = lane->seed,
                       .position = lane->computed};
    int32_t token = hg_sample(logits, engine->vocabulary, &how, engine->candidate);
    *stopped = hg_token_stops(lane->stop, token);
    return token;
}

/* The lane's rows were computed: counts them, and gives a finished shared part to the prefixes. */
static void count_rows(hg_engine *engine, hg_lane *lane)
{
    uint32_t shared = hg_lane_shared_tokens(lane);
    if (!lane->prompted) {
        hg_job_count_prompt(lane->job, lane->step_rows, 0);
        engine->counts.prefill_tokens += lane->step_rows;
    }
    lane->computed += lane->step_rows;
    if (lane->kept || lane->computed < shared) return;
    hg_prefix_keep(&engine->prefixes, hg_lane_shared_key(lane), lane->token, shared, lane->page);
    lane->kept = true;
}

/* The results of a lane's last known token and of the draft tokens behind it: each is output as
 * long as the row that it comes from stands behind tokens that are. The KV of the others is written
 * over by the rows of the next step. */
static void read_tokens(hg_engine *engine, hg_lane *lane, uint32_t row, const float *logits)
{
    if (lane->step_drafts) hg_lane_count_drafts(lane, lane->step_drafts);
    engine->counts.drafted_tokens += lane->step_drafts;
    for (uint32_t i = 0; i <= lane->step_drafts; i++) {
        bool stopped = engine->stopped[row + i];
        int32_t token = choose_token(engine, lane, engine->token[row + i], logits, &stopped);
        assert(token >= 0 && (uint32_t)token < engine->vocabulary);
        bool drafted = i < lane->step_drafts && engine->row[row + i + 1].token == token;
        engine->counts.decode_tokens++;
        engine->counts.accepted_tokens += drafted;
        hg_draft_follow(&lane->draft, token);
        hg_lane_accept(lane, token, stopped, drafted);
        if (!drafted || hg_lane_ended(lane)) break;
        lane->computed++;
    }
    if (hg_lane_ended(lane)) hg_retire(engine, lane);
}

/* logits of the step's rows that asked for them stand in the order of the rows. */
static void read_results(hg_engine *engine, const hg_step *step)
{
    const float *logits = engine->logits;
    uint32_t row = 0;
    for (uint32_t number = 0; number < step->lanes; number++) {
        hg_lane *lane = engine->step_lane[number];
        uint32_t last = row + lane->step_rows - 1; /* of the known tokens */
        row += lane->step_rows + lane->step_drafts;
        assert(step->row[last].lane == number && step->row[row - 1].lane == number);
        count_rows(engine, lane);
        if (!step->row[last].want) continue;
        hg_lane_prompted(lane);
        read_tokens(engine, lane, last, logits);
        if (step->row[last].want_logits) logits += engine->vocabulary;
    }
}

/* A step that failed without harm to the device ends the lanes that were in it. */
static void fail_step(hg_engine *engine, const hg_step *step, const hg_error *error)
{
    hg_log(HG_LOG_ERROR, "engine", "a step of %u rows failed: %s", step->rows, error->message);
    for (uint32_t number = 0; number < step->lanes; number++)
        hg_lane_end(engine->step_lane[number], HG_LANE_FAILED, error->status);
    for (uint32_t number = 0; number < step->lanes; number++)
        hg_retire(engine, engine->step_lane[number]);
}

static void run_step(hg_engine *engine)
{
    hg_step step = hg_schedule(engine);
    if (step.rows == 0 || hg_engine_is_lost(engine)) return; /* a fork may have lost it */
    hg_result result = {
        .token = engine->token, .stopped = engine->stopped, .logits = engine->logits};
    hg_error error = {0};
    int64_t begin_us = hg_clock_us();
    hg_status status = engine->options.api->forward(engine->device, &step, &result, &error);
    engine->counts.step_us += (uint64_t)(hg_clock_us() - begin_us);
    engine->counts.steps++;
    engine->counts.rows += step.rows;
    if (status == HG_OK) {
        engine->tries = 0;
        read_results(engine, &step);
    } else {
        error.status = status;
        if (status == HG_ERROR_DEVICE) hg_engine_lose(engine, &error);
        fail_step(engine, &step, &error);
    }
}

/* ---- news --------------------------------------------------------------------------------- */

/* Engine lock held. True when the job was not in the list yet. */
static bool add_news(hg_engine *engine, hg_job *job)
{
    job->fresh = false;
    if (job->in_news) return false;
    hg_job_hold(job);
    job->in_news = true;
    job->next_news = NULL;
    if (engine->news_last)
        engine->news_last->next_news = job;
    else
        engine->news_first = job;
    engine->news_last = job;
    return true;
}

/* Tells what is new of a list's jobs and takes out those that have ended. Engine lock held. */
static bool publish_list(hg_engine *engine, hg_job_list *list)
{
    bool news = false;
    uint32_t left = 0;
    for (uint32_t j = 0; j < list->count; j++) {
        hg_job *job = list->job[j];
        bool ended = job->live == 0;
        if (ended) {
            pthread_mutex_lock(&job->lock);
            job->state.ended = true;
            job->state.end_us = hg_clock_us();
            pthread_mutex_unlock(&job->lock);
        }
        if (job->fresh && add_news(engine, job)) news = true;
        if (!ended) {
            list->job[left++] = job;
        } else {
            engine->jobs--;
            hg_job_release(job);
        }
    }
    list->count = left;
    return news;
}

/* Engine lock held. */
static void copy_figures(hg_engine *engine)
{
    hg_engine_figures *figures = &engine->figures;
    const hg_engine_figures *counts = &engine->counts;
    figures->pages_free = engine->pages.free;
    figures->pages_cached = engine->pages.idle;
    figures->lanes = engine->running_lanes;
    figures->steps = counts->steps;
    figures->rows = counts->rows;
    figures->decode_tokens = counts->decode_tokens;
    figures->prefill_tokens = counts->prefill_tokens;
    figures->shared_tokens = counts->shared_tokens;
    figures->drafted_tokens = counts->drafted_tokens;
    figures->accepted_tokens = counts->accepted_tokens;
    figures->step_us = counts->step_us;
}

static void publish(hg_engine *engine, bool ring)
{
    pthread_mutex_lock(&engine->lock);
    bool news = publish_list(engine, &engine->waiting);
    news |= publish_list(engine, &engine->running);
    copy_figures(engine);
    if (news) pthread_cond_broadcast(&engine->news_up);
    pthread_mutex_unlock(&engine->lock);
    if (news && ring && engine->options.doorbell)
        engine->options.doorbell(engine->options.doorbell_context);
}

/* ---- the thread --------------------------------------------------------------------------- */

/* Opens the device; says so to hg_engine_open, which waits. */
static hg_status open_device(hg_engine *engine)
{
    hg_error error = {0};
    hg_status status = hg_engine_open_device(engine, &error);
    error.status = status;
    pthread_mutex_lock(&engine->lock);
    engine->lost = error;
    copy_figures(engine);
    engine->opened = true;
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
    return status;
}

void *hg_engine_thread(void *argument)
{
    hg_engine *engine = argument;
    if (open_device(engine) == HG_OK) {
        while (take_posts(engine)) {
            hg_slots_work(engine);
            hg_admit(engine);
            if (engine->running.count > 0 && !hg_engine_is_lost(engine)) run_step(engine);
            if (hg_engine_is_lost(engine)) end_all(engine, HG_LANE_FAILED, HG_ERROR_DEVICE);
            publish(engine, true);
            if (hg_engine_is_lost(engine)) hg_engine_recover(engine);
        }
        end_all(engine, HG_LANE_CANCELLED, HG_OK);
        publish(engine, false);
        hg_slots_abandon(engine);
        hg_engine_close_device(engine);
    }
    return NULL;
}
