/* device.c: the device's life as the engine thread sees it. */
#include <stdlib.h>

#include "core/base/log.h"
#include "core/engine/state.h"

/* What is as large as the plan says. */
static hg_status allocate(hg_engine *engine, hg_error *error)
{
    const hg_device_plan *plan = &engine->plan;
    size_t rows = plan->step_rows + (size_t)plan->chunks * HG_LIMIT_CHUNK_ROWS;
    engine->row = calloc(rows, sizeof *engine->row);
    engine->table = calloc((size_t)plan->step_lanes * plan->lane_pages, sizeof *engine->table);
    engine->token = calloc(rows, sizeof *engine->token);
    engine->logits = calloc((size_t)plan->step_lanes * engine->vocabulary, sizeof *engine->logits);
    engine->candidate = calloc(engine->vocabulary, sizeof *engine->candidate);
    bool failed = !engine->row || !engine->table || !engine->token || !engine->logits ||
                  !engine->candidate || hg_pages_open(&engine->pages, plan->pages);
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
    hg_prefixes_close(&engine->prefixes);
    hg_pages_close(&engine->pages);
    free(engine->row);
    free(engine->table);
    free(engine->token);
    free(engine->logits);
    free(engine->candidate);
    engine->row = NULL;
    engine->table = NULL;
    engine->token = NULL;
    engine->logits = NULL;
    engine->candidate = NULL;
}
