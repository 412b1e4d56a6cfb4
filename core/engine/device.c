/* device.c: the device's life as the engine thread sees it: opening, closing, and what follows when
 * it is lost: hg_device_policy says what.
 */
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/engine/state.h"

/* What is as large as the plan says. */
static hg_status allocate(hg_engine *engine, hg_error *error)
{
    const hg_device_plan *plan = &engine->plan;
    size_t rows = plan->step_rows + (size_t)plan->chunks * HG_LIMIT_CHUNK_ROWS;
    engine->row = calloc(rows, sizeof *engine->row);
    engine->table = calloc((size_t)plan->step_lanes * plan->lane_pages, sizeof *engine->table);
    engine->stop = calloc((size_t)plan->step_lanes * HG_LIMIT_STOP_TOKENS, sizeof *engine->stop);
    engine->token = calloc(rows, sizeof *engine->token);
    engine->stopped = calloc(rows, sizeof *engine->stopped);
    engine->logits = calloc((size_t)plan->step_lanes * engine->vocabulary, sizeof *engine->logits);
    engine->candidate = calloc(engine->vocabulary, sizeof *engine->candidate);
    bool failed = !engine->row || !engine->table || !engine->stop || !engine->token ||
                  !engine->stopped || !engine->logits || !engine->candidate ||
                  hg_pages_open(&engine->pages, plan->pages);
    if (failed) return hg_fail(error, HG_ERROR_MEMORY, "no memory for the engine's tables");
    hg_prefixes_open(&engine->prefixes, &engine->pages);
    return HG_OK;
}

/* Plans with what the card has, and says so. */
static hg_status make_plan(hg_engine *engine, hg_error *error)
{
    const hg_engine_options *options = &engine->options;
    const hg_device_api *api = options->api;
    hg_plan_wish wish = options->plan;
    hg_device_room room = {0};
    hg_plan plan;
    char text[HG_LIMIT_LOG_LINE];
    wish.bound_bytes = options->device.memory_bytes;
    hg_status status = api->room ? api->room(engine->device, &room, error) : HG_OK;
    if (!status)
        status = hg_plan_make(api, options->weights, &wish, api->room ? &room : NULL, &plan, error);
    if (status) return status;
    pthread_mutex_lock(&engine->lock);
    engine->plan = plan.device;
    pthread_mutex_unlock(&engine->lock);
    if (!api->measure) return HG_OK;
    hg_plan_print(&plan, text, sizeof text);
    hg_log(plan.lowered ? HG_LOG_WARN : HG_LOG_INFO, "engine", "%s%s",
           plan.lowered ? "the card has room for no more than " : "", text);
    return HG_OK;
}

static void read_figures(hg_engine *engine)
{
    const hg_device_api *api = engine->options.api;
    hg_device_info info = {0};
    hg_device_memory memory = {0};
    api->describe(engine->device, &info);
    api->memory(engine->device, &memory);
    engine->prefixes.chunk_rows = info.chunk_rows;
    pthread_mutex_lock(&engine->lock);
    engine->chunk_rows = info.chunk_rows;
    engine->chunks = info.chunks;
    engine->figures.device = info;
    engine->figures.memory = memory;
    engine->figures.pages = engine->pages.count;
    pthread_mutex_unlock(&engine->lock);
}

hg_status hg_engine_open_device(hg_engine *engine, hg_error *error)
{
    const hg_engine_options *options = &engine->options;
    const hg_device_api *api = options->api;
    hg_status status = api->open(&options->device, &engine->device, error);
    if (!status) status = make_plan(engine, error);
    if (!status) status = allocate(engine, error);
    if (!status) status = api->load_model(engine->device, options->weights, &engine->plan, error);
    if (status)
        hg_engine_close_device(engine);
    else
        read_figures(engine);
    return status;
}

void hg_engine_close_device(hg_engine *engine)
{
    engine->options.api->close(engine->device);
    engine->device = NULL;
    pthread_mutex_lock(&engine->lock);
    engine->figures.memory = (hg_device_memory){0};
    engine->figures.pages = engine->figures.pages_free = engine->figures.pages_cached = 0;
    pthread_mutex_unlock(&engine->lock);
    hg_prefixes_close(&engine->prefixes);
    hg_pages_close(&engine->pages);
    free(engine->row);
    free(engine->table);
    free(engine->stop);
    free(engine->token);
    free(engine->stopped);
    free(engine->logits);
    free(engine->candidate);
    engine->row = NULL;
    engine->table = NULL;
    engine->stop = NULL;
    engine->token = NULL;
    engine->stopped = NULL;
    engine->logits = NULL;
    engine->candidate = NULL;
}

/* ---- a lost device ---- */

bool hg_engine_is_lost(hg_engine *engine)
{
    return engine->lost.status != HG_OK;
}

static void set_lost(hg_engine *engine, const hg_error *error)
{
    pthread_mutex_lock(&engine->lock);
    engine->lost = *error;
    engine->lost.status = HG_ERROR_DEVICE;
    pthread_mutex_unlock(&engine->lock);
}

/* Before the next try, after so many in a row that brought no step: the first comes at once. */
static int64_t wait_us(uint32_t tries)
{
    int64_t wait_ms = tries ? HG_LIMIT_DEVICE_RETRY_MS : 0;
    for (uint32_t i = 1; i < tries && wait_ms < HG_LIMIT_DEVICE_RETRY_MOST_MS; i++) wait_ms *= 2;
    return 1000 *
           (wait_ms < HG_LIMIT_DEVICE_RETRY_MOST_MS ? wait_ms : HG_LIMIT_DEVICE_RETRY_MOST_MS);
}

void hg_engine_lose(hg_engine *engine, const hg_error *error)
{
    bool stops = engine->options.recovery.policy == HG_DEVICE_STOP;
    hg_log(HG_LOG_ERROR, "engine", "the device is lost, all lanes end: %s", error->message);
    set_lost(engine, error);
    pthread_mutex_lock(&engine->lock);
    engine->figures.losses++;
    pthread_mutex_unlock(&engine->lock);
    engine->retry_us = stops ? INT64_MAX : hg_clock_us() + wait_us(engine->tries);
    if (stops)
        hg_slots_abandon(engine);
    else
        hg_slots_suspend(engine);
}

/* The spare in the place of the device that was; where that fails too, all is as before. */
static hg_status open_spare(hg_engine *engine, hg_error *error)
{
    hg_engine_options *options = &engine->options;
    const hg_device_api *api = options->api;
    hg_device_options device = options->device;
    options->api = options->recovery.spare;
    options->device.kernel = NULL; /* its name, and a bound, were for the other's */
    options->device.memory_bytes = 0;
    hg_status status = hg_engine_open_device(engine, error);
    if (status) {
        options->api = api;
        options->device = device;
    }
    return status;
}

static hg_status open_again(hg_engine *engine, hg_error *error)
{
    const hg_engine_options *options = &engine->options;
    hg_status status = HG_ERROR_DEVICE;
    bool own = options->recovery.policy == HG_DEVICE_RECOVER || !options->recovery.spare;
    if (own) status = hg_engine_open_device(engine, error);
    if (!status || !options->recovery.spare) return status;
    if (own && engine->tries < HG_LIMIT_DEVICE_TRIES) return status;
    if (own) hg_log(HG_LOG_WARN, "engine", "the device does not come back: %s", error->message);
    return open_spare(engine, error);
}

void hg_engine_recover(hg_engine *engine)
{
    hg_error error = {0};
    if (engine->device) hg_engine_close_device(engine);
    if (hg_clock_us() < engine->retry_us) return;
    engine->tries++;
    if (open_again(engine, &error)) {
        int64_t wait = wait_us(engine->tries);
        hg_log(HG_LOG_WARN, "engine", "no device yet, the next try in %.2f s: %s",
               (double)wait / 1e6, error.message);
        set_lost(engine, &error);
        engine->retry_us = hg_clock_us() + wait;
        return;
    }
    pthread_mutex_lock(&engine->lock);
    engine->lost = (hg_error){0};
    engine->figures.recoveries++;
    pthread_mutex_unlock(&engine->lock);
    hg_log(HG_LOG_WARN, "engine", "serving again, on %s", engine->figures.device.name);
}
