/* runtime.c: puts the parts together, in the order in which each needs the one before, and takes
 * them apart in the other. */
#include "core/translate/runtime_internal.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/translate/device.h"
#include "core/translate/loader.h"
#include "core/translate/request.h"

static hg_status check_paths(const hg_runtime_options *options, hg_error *error)
{
    if (!options->model_path || !options->plugins_path)
        return hg_fail(error, HG_ERROR_ARGUMENT, "--model and --plugins must name folders");
    DIR *folder = opendir(options->plugins_path);
    if (!folder)
        return hg_fail(error, HG_ERROR_NOT_FOUND, "--plugins: %s is no folder that can be read",
                       options->plugins_path);
    closedir(folder);
    return HG_OK;
}

/* Where packed weights and fingerprints are kept, beside the database. Without it all works. */
static void make_cache_folder(hg_runtime *runtime, const hg_runtime_options *options)
{
    hg_error error = {0};
    if (!options->data_path || !options->cache_bytes) return;
    if (!hg_path_join(runtime->cache_path, sizeof runtime->cache_path, options->data_path, "cache",
                      &error) &&
        !hg_folder_make(runtime->cache_path, &error))
        return;
    hg_log(HG_LOG_WARN, "translate", "nothing is kept for the next start: %s", error.message);
    *runtime->cache_path = '\0';
}

static hg_status open_model(hg_runtime *runtime, const char *path, hg_error *error)
{
    const char *cache = *runtime->cache_path ? runtime->cache_path : NULL;
    hg_status status = hg_model_open_kept(path, cache, &runtime->model, error);
    return status ? status : hg_model_tokenizer(runtime->model, &runtime->tokenizer, error);
}

static hg_status open_engine(hg_runtime *runtime, const hg_runtime_options *options,
                             hg_error *error)
{
    hg_engine_options engine = {
        .device = {.kernel = options->kernel,
                   .threads = options->threads,
                   .memory_bytes = options->device_memory_bytes,
                   .cache = {.folder = *runtime->cache_path ? runtime->cache_path : NULL,
                             .key = runtime->model->identity,
                             .bytes = options->cache_bytes,
                             .least_bytes = HG_LIMIT_CACHE_LEAST}},
        .weights = &runtime->model->weights,
        .plan = {.lanes = options->lanes,
                 .adapters = options->adapters,
                 .dense_bits = options->dense_bits},
        .drafts = options->drafts,
        .recovery = {.policy = options->on_device_error,
                     .reopen = hg_sources_reopen,
                     .context = &runtime->sources},
        .doorbell = options->doorbell,
        .doorbell_context = options->doorbell_context,
    };
    hg_sources_open(&runtime->sources, runtime->model);
    return hg_device_open_engine(options->device, &engine, &runtime->engine, error);
}

void hg_runtime_device(const hg_runtime *runtime, char *name, size_t size)
{
    hg_engine_figures figures;
    hg_engine_read_figures(runtime->engine, &figures);
    snprintf(name, size, "%.40s (%.20s)", figures.device.name, figures.device.kernel);
}

hg_status hg_runtime_open(const hg_runtime_options *options, hg_runtime **out, hg_error *error)
{
    *out = NULL;
    int64_t start_us = hg_clock_us();
    hg_status status = check_paths(options, error);
    if (status) return status;
    hg_runtime *runtime = calloc(1, sizeof *runtime);
    if (!runtime) return hg_fail(error, HG_ERROR_MEMORY, "no memory for the runtime");
    runtime->log_text = options->log_text;
    runtime->policy = options->policy;
    runtime->doorbell = options->doorbell;
    runtime->doorbell_context = options->doorbell_context;
    status = hg_catalog_init(&runtime->catalog, error);
    if (status) {
        free(runtime);
        return status;
    }
    make_cache_folder(runtime, options);
    status = open_model(runtime, options->model_path, error);
    int64_t model_us = hg_clock_us();
    if (!status) status = open_engine(runtime, options, error);
    int64_t engine_us = hg_clock_us();
    if (!status && options->data_path)
        status = hg_store_open(options->data_path, &runtime->store, error);
    int64_t store_us = hg_clock_us();
    if (!status)
        status =
            hg_loader_start(runtime, options->plugins_path, options->only, &runtime->loader, error);
    if (status) {
        hg_runtime_close(runtime);
        return status;
    }
    char device[64];
    hg_runtime_device(runtime, device, sizeof device);
    hg_log(HG_LOG_INFO, "translate", "%s on %s: model %.0f ms, device %.0f ms, database %.0f ms",
           runtime->model->name, device, (double)(model_us - start_us) / 1e3,
           (double)(engine_us - model_us) / 1e3, (double)(store_us - engine_us) / 1e3);
    *out = runtime;
    return HG_OK;
}

void hg_runtime_close(hg_runtime *runtime)
{
    if (!runtime) return;
    hg_loader_stop(runtime->loader);
    runtime->closing = true;
    hg_engine_close(runtime->engine);
    if (runtime->sources.model) hg_sources_close(&runtime->sources);
    hg_request_abandon_all(runtime);
    hg_store_close(runtime->store);
    assert(!runtime->requests && !runtime->delivering);
    hg_catalog_free(&runtime->catalog);
    hg_readings_free(&runtime->readings);
    hg_tokenizer_close(runtime->tokenizer);
    hg_model_close(runtime->model);
    free(runtime);
}

bool hg_runtime_ready(hg_runtime *runtime)
{
    if (runtime->ready) return true;
    runtime->ready = hg_loader_done(runtime->loader);
    if (runtime->ready) hg_catalog_take(&runtime->catalog);
    return runtime->ready;
}

hg_status hg_runtime_wait_ready(hg_runtime *runtime, hg_error *error)
{
    hg_status status = hg_loader_wait(runtime->loader, error);
    bool ready = hg_runtime_ready(runtime);
    assert(ready);
    (void)ready;
    return status;
}

void hg_runtime_plugins_changed(hg_runtime *runtime)
{
    hg_loader_look(runtime->loader);
}

uint64_t hg_runtime_changes(const hg_runtime *runtime)
{
    return runtime->catalog.changes;
}

uint32_t hg_runtime_languages(hg_runtime *runtime, hg_language_view *view, uint32_t room)
{
    const hg_catalog *catalog = &runtime->catalog;
    uint32_t count = 0;
    for (uint32_t i = 0; i < catalog->entries; i++) {
        const hg_catalog_entry *entry = catalog->entry[i];
        const hg_plugin *plugin = entry->plugin;
        if (plugin->kind != HG_PLUGIN_LANGUAGE) continue;
        if (count < room) {
            hg_language_view *v = &view[count];
            *v = (hg_language_view){
                .tag = entry->tag,
                .plugin = plugin->name,
                .title = plugin->title,
                .licence = plugin->licence,
                .attribution = plugin->attribution,
                .direction = hg_tag_right_to_left(&entry->tag) ? "rtl" : "ltr",
                .reading = hg_reading_has(&entry->tag),
                .source = entry->source_text,
                .sources = plugin->source_count,
                .generation = entry->generation,
                .rank_max = entry->rank_max,
                .bytes = plugin->bytes,
                .adapter_key = entry->adapter_key,
            };
            memcpy(v->name, entry->name, sizeof v->name);
            memcpy(v->native, entry->native, sizeof v->native);
        }
        count++;
    }
    return count;
}

unsigned hg_runtime_detected(const hg_runtime *runtime, const hg_detector *detector, hg_tag *out)
{
    unsigned confidence;
    hg_tag guess;
    hg_error error;
    const hg_catalog *catalog = &runtime->catalog;
    *out = *hg_catalog_common_source(catalog);
    const char *name = hg_detector_guess(detector, &confidence);
    if (!confidence || hg_tag_parse(name, &guess, &error)) return 0;
    bool common = hg_tag_compare(&guess, out) != HG_TAG_DIFFERENT;
    if (common || confidence < HG_DETECTOR_SURE) return common ? confidence : 0;
    for (uint32_t i = 0; i < catalog->entries; i++) {
        if (!hg_catalog_takes_source(catalog->entry[i], &guess)) continue;
        *out = guess;
        return confidence;
    }
    return 0;
}

const hg_model *hg_runtime_model(const hg_runtime *runtime)
{
    return runtime->model;
}

const hg_tokenizer *hg_runtime_tokenizer(const hg_runtime *runtime)
{
    return runtime->tokenizer;
}

hg_engine *hg_runtime_engine(hg_runtime *runtime)
{
    return runtime->engine;
}

hg_store *hg_runtime_store(hg_runtime *runtime)
{
    return runtime->store;
}
