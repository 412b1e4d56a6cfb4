/* sources.c: a list of folders, and reading one again. */
#include "core/translate/sources.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/adapter.h"

void hg_sources_open(hg_sources *sources, const hg_model *model)
{
    *sources = (hg_sources){.model = model};
    int failed = pthread_mutex_init(&sources->lock, NULL);
    assert(!failed); /* on Linux it only fills memory */
    (void)failed;
}

void hg_sources_close(hg_sources *sources)
{
    while (sources->count) free(sources->source[--sources->count].folder);
    pthread_mutex_destroy(&sources->lock);
}

hg_status hg_sources_add(hg_sources *sources, uint64_t key, const hg_plugin *plugin,
                         hg_error *error)
{
    hg_status status = HG_OK;
    hg_source made = {.key = key, .folder = strdup(plugin->folder)};
    memcpy(made.digest, plugin->digest, sizeof made.digest);
    pthread_mutex_lock(&sources->lock);
    if (!made.folder)
        status = hg_fail(error, HG_ERROR_MEMORY, "no memory for the adapter's folder");
    else if (sources->count == HG_LIMIT_ADAPTER_SLOTS)
        status = hg_fail(error, HG_ERROR_LIMIT, "more than %d adapters", HG_LIMIT_ADAPTER_SLOTS);
    else {
        sources->source[sources->count++] = made;
        made.folder = NULL;
    }
    pthread_mutex_unlock(&sources->lock);
    free(made.folder);
    return status;
}

void hg_sources_forget(hg_sources *sources, uint64_t key)
{
    pthread_mutex_lock(&sources->lock);
    for (uint32_t i = 0; i < sources->count; i++) {
        if (sources->source[i].key != key) continue;
        free(sources->source[i].folder);
        sources->source[i] = sources->source[--sources->count];
        break;
    }
    pthread_mutex_unlock(&sources->lock);
}

/* A copy of the key's row, whose folder the caller frees. */
static hg_status find(hg_sources *sources, uint64_t key, hg_source *out, hg_error *error)
{
    *out = (hg_source){0};
    pthread_mutex_lock(&sources->lock);
    for (uint32_t i = 0; i < sources->count; i++)
        if (sources->source[i].key == key) *out = sources->source[i];
    if (out->folder) out->folder = strdup(out->folder);
    pthread_mutex_unlock(&sources->lock);
    if (out->folder) return HG_OK;
    return hg_fail(error, HG_ERROR_NOT_FOUND, "nobody knows where adapter %" PRIu64 " came from",
                   key);
}

static void release(void *owner)
{
    hg_adapter_close(owner);
}

hg_status hg_sources_reopen(void *context, uint64_t key, hg_adapter_source *out, hg_error *error)
{
    hg_sources *sources = context;
    hg_plugin *plugin = NULL;
    hg_adapter *adapter = NULL;
    hg_source from;
    hg_status status = find(sources, key, &from, error);
    if (status) return status;
    status = hg_plugin_open(from.folder, &plugin, error);
    if (!status && strcmp(plugin->digest, from.digest) != 0)
        status =
            hg_fail(error, HG_ERROR_FORMAT,
                    "%s: its files changed since it was loaded: restart the service", from.folder);
    if (!status) status = hg_adapter_open_on(from.folder, sources->model, &adapter, error);
    if (!status)
        *out = (hg_adapter_source){.weights = &adapter->lora, .release = release, .owner = adapter};
    hg_plugin_close(plugin);
    free(from.folder);
    return status;
}
