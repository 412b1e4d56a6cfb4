/* loader.c: one pass over the plugin folders. Everything here runs on the loader thread but
 * start, stop, done and wait. */
#include "core/translate/loader.h"

#include <assert.h>
#include <dirent.h>
#include <jansson.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/translate/entry.h"

struct hg_loader {
    hg_runtime *runtime; /* its immutable part and its catalog's list only */
    char path[HG_PATH_MAX];
    char *only; /* owned, or NULL */
    pthread_t thread;
    atomic_bool stop;
    hg_catalog_entry *entry[HG_LIMIT_ADAPTER_SLOTS]; /* given to the engine, not handed over yet */
    uint32_t entries;
    uint64_t keys; /* given without a store */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;        /* lock */
    uint32_t failed;  /* lock */
    hg_error failure; /* lock; all messages, as many as fit */
};

static void add_failure(hg_loader *loader, const char *plugin, const char *why)
{
    hg_log(HG_LOG_ERROR, "translate", "plugin %s: %s", plugin, why);
    pthread_mutex_lock(&loader->lock);
    char before[HG_ERROR_MESSAGE_MAX];
    memcpy(before, loader->failure.message, sizeof before);
    before[sizeof before - 1] = '\0';
    hg_fail(&loader->failure, HG_ERROR_FORMAT, "%s%splugin %s: %s", before,
            loader->failed ? "; " : "", plugin, why);
    loader->failed++;
    pthread_mutex_unlock(&loader->lock);
}

/* ---- one plugin ---- */

/* Everything of an entry that comes from plugin.json. */
static hg_status describe(hg_catalog_entry *entry, const hg_runtime *runtime, hg_error *error)
{
    const hg_plugin *plugin = entry->plugin;
    hg_status status = hg_entry_set_tags(entry, error);
    if (!status) status = hg_entry_set_prompt(entry, runtime->model, runtime->tokenizer, error);
    if (!status) status = hg_entry_set_rules(entry, error);
    if (!status && *plugin->base_fingerprint &&
        strcmp(plugin->base_fingerprint, hg_model_fingerprint(runtime->model)) != 0)
        hg_log(HG_LOG_WARN, "translate",
               "plugin %s: was made for %s (%s), runs on %s (%s): quality may differ", plugin->name,
               plugin->base_name, plugin->base_fingerprint, runtime->model->name,
               hg_model_fingerprint(runtime->model));
    return status;
}

/* Records the plugin as an enabled generation, whose row id is the adapter's key. Content that the
 * store knows keeps the state that it has there. */
static hg_status record(hg_loader *loader, hg_catalog_entry *entry, hg_error *error)
{
    const hg_plugin *plugin = entry->plugin;
    hg_store *store = loader->runtime->store;
    entry->generation = 1;
    if (!store) {
        entry->adapter_key = ++loader->keys;
        entry->is_default = entry->is_enabled = true; /* the first by folder name wins */
        return HG_OK;
    }
    json_t *sources = json_array();
    for (uint32_t i = 0; sources && i < plugin->source_count; i++)
        if (json_array_append_new(sources, json_string(plugin->sources[i]))) {
            json_decref(sources);
            sources = NULL;
        }
    char *text = sources ? json_dumps(sources, JSON_COMPACT) : NULL;
    json_decref(sources);
    if (!text) return hg_fail(error, HG_ERROR_MEMORY, "no memory for its sources");
    hg_plugin_record row = {
        .name = plugin->name,
        .title = plugin->title,
        .kind = plugin->kind == HG_PLUGIN_LANGUAGE ? "language" : "task",
        .language = entry->tag.text,
        .digest = plugin->digest,
        .sources = text,
        .licence = plugin->licence,
        .report = *plugin->training ? plugin->training : "{}",
        .folder = plugin->folder,
        .rank_max = entry->rank_max,
        .bytes = plugin->bytes,
    };
    hg_status status = hg_store_put_plugin(store, &row, error);
    free(text);
    if (status) return status;
    assert(row.generation_key > 0); /* SQLite's row ids begin at 1; 0 is HG_NO_ADAPTER */
    entry->adapter_key = (uint64_t)row.generation_key;
    entry->plugin_id = row.plugin_id;
    entry->generation = row.generation;
    entry->is_default = row.is_default;
    entry->is_enabled = row.enabled;
    return HG_OK;
}

/* Called by the engine when it has read the adapter. */
static void release_adapter(void *owner)
{
    hg_adapter_close(owner);
}

/* A plugin without an adapter: its language is spoken by the base itself (model merge). */
static hg_status give_base(hg_loader *loader, hg_catalog_entry *entry, hg_error *error)
{
    hg_status status = hg_entry_try_prompt(entry, loader->runtime->tokenizer, error);
    if (!status) status = record(loader, entry, error);
    entry->adapter_key = HG_NO_ADAPTER;
    return status;
}

static hg_status give_to_engine(hg_loader *loader, hg_catalog_entry *entry, hg_error *error)
{
    hg_runtime *runtime = loader->runtime;
    hg_adapter *adapter;
    if (!entry->plugin->adapter) return give_base(loader, entry, error);
    hg_status status = hg_adapter_open_on(entry->plugin->folder, runtime->model, &adapter, error);
    if (status) return status;
    hg_entry_set_adapter(entry, adapter);
    status = hg_entry_try_prompt(entry, runtime->tokenizer, error);
    if (!status) status = record(loader, entry, error);
    if (!status && !entry->is_enabled) {
        hg_adapter_close(adapter);
        return HG_OK;
    }
    if (!status)
        status = hg_sources_add(&runtime->sources, entry->adapter_key, entry->plugin, error);
    if (!status)
        status = hg_engine_add_adapter(runtime->engine, entry->adapter_key, &adapter->lora,
                                       release_adapter, adapter, error);
    if (status) hg_adapter_close(adapter);
    return status;
}

/* Whether name is in the comma-separated list. NULL: every name is. */
static bool is_listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at; at = strchr(at, ',')) {
        at += strspn(at, ", ");
        size_t n = strcspn(at, ",");
        while (n && at[n - 1] == ' ') n--;
        if (n == length && memcmp(at, name, n) == 0) return true;
    }
    return !list;
}

static void load(hg_loader *loader, const char *folder_name)
{
    hg_error error = {0};
    char folder[HG_PATH_MAX];
    hg_catalog_entry *entry = calloc(1, sizeof *entry);
    if (!entry) {
        add_failure(loader, folder_name, "no memory for a plugin");
        return;
    }
    entry->references = 1;
    hg_status status = hg_path_join(folder, sizeof folder, loader->path, folder_name, &error);
    if (!status) status = hg_plugin_open(folder, &entry->plugin, &error);
    if (!status && !is_listed(loader->only, entry->plugin->name)) {
        hg_catalog_entry_release(entry);
        return;
    }
    if (!status) status = describe(entry, loader->runtime, &error);
    if (!status && loader->entries == HG_LIMIT_ADAPTER_SLOTS)
        status = hg_fail(&error, HG_ERROR_LIMIT, "more than %d plugins", HG_LIMIT_ADAPTER_SLOTS);
    if (!status) status = give_to_engine(loader, entry, &error);
    if (!status && entry->is_enabled) {
        loader->entry[loader->entries++] = entry;
        return;
    }
    if (!status) {
        hg_log(HG_LOG_INFO, "translate", "plugin %s is disabled", entry->plugin->name);
        hg_catalog_entry_release(entry);
        return;
    }
    add_failure(loader, entry->plugin ? entry->plugin->name : folder_name, error.message);
    hg_catalog_entry_release(entry);
}

/* ---- all of them ---- */

static int is_plugin_name(const struct dirent *item)
{
    return item->d_name[0] != '.';
}

/* A folder of the plugins path that holds a plugin.json; others (a README, the trainer) do not
 * concern us. */
static bool is_plugin_folder(const hg_loader *loader, const char *name)
{
    char folder[HG_PATH_MAX], file[HG_PATH_MAX];
    return !hg_path_join(folder, sizeof folder, loader->path, name, NULL) &&
           !hg_path_join(file, sizeof file, folder, "plugin.json", NULL) && hg_file_exists(file);
}

/* Names of --only that no folder had. */
static void report_missing(hg_loader *loader)
{
    char *rest = loader->only, *name;
    while (rest && (name = strsep(&rest, ","))) {
        name += strspn(name, " ");
        bool found = !*name;
        for (uint32_t i = 0; i < loader->entries; i++)
            found |= strcmp(loader->entry[i]->plugin->name, name) == 0;
        pthread_mutex_lock(&loader->lock);
        bool failed = loader->failed > 0; /* then its own message stands already */
        pthread_mutex_unlock(&loader->lock);
        if (!found && !failed) add_failure(loader, name, "there is no such plugin");
    }
}

/* Waits for the uploads and hands over what works. */
static void hand_over(hg_loader *loader)
{
    assert(loader->entries <= HG_LIMIT_ADAPTER_SLOTS);
    hg_runtime *runtime = loader->runtime;
    hg_error error = {0};
    if (hg_engine_wait_adapters(runtime->engine, &error))
        hg_log(HG_LOG_ERROR, "translate", "%s", error.message);
    for (uint32_t i = 0; i < loader->entries; i++) {
        hg_catalog_entry *entry = loader->entry[i];
        hg_adapter_state state = hg_engine_adapter_state(runtime->engine, entry->adapter_key);
        /* One that still loads waits for a device that was lost; its lanes will wait for it. */
        if (!entry->plugin->adapter || state == HG_ADAPTER_READY || state == HG_ADAPTER_LOADING) {
            hg_catalog_hand_over(&runtime->catalog, entry);
        } else {
            add_failure(loader, entry->plugin->name, "the device did not take its adapter");
            hg_catalog_entry_release(entry);
        }
    }
    loader->entries = 0;
}

static void *run(void *context)
{
    hg_loader *loader = context;
    hg_runtime *runtime = loader->runtime;
    int64_t start_us = hg_clock_us();
    struct dirent **item = NULL;
    const bool one = is_plugin_folder(loader, ".");
    if (one) load(loader, ".");
    int items = one ? 0 : scandir(loader->path, &item, is_plugin_name, alphasort);
    if (items < 0) add_failure(loader, loader->path, "the folder of plugins cannot be read");
    for (int i = 0; i < items; i++) {
        if (!atomic_load(&loader->stop) && is_plugin_folder(loader, item[i]->d_name))
            load(loader, item[i]->d_name);
        free(item[i]);
    }
    free(item);
    uint32_t loaded = loader->entries;
    report_missing(loader);
    int64_t read_us = hg_clock_us();
    hand_over(loader);
    hg_log(HG_LOG_INFO, "translate", "%u plugins read in %.0f ms, on the device after %.0f ms",
           loaded, (double)(read_us - start_us) / 1e3, (double)(hg_clock_us() - start_us) / 1e3);
    pthread_mutex_lock(&loader->lock);
    loader->done = true;
    pthread_cond_broadcast(&loader->changed);
    pthread_mutex_unlock(&loader->lock);
    if (runtime->doorbell) runtime->doorbell(runtime->doorbell_context);
    return NULL;
}

hg_status hg_loader_start(hg_runtime *runtime, const char *plugins_path, const char *only,
                          hg_loader **out, hg_error *error)
{
    *out = NULL;
    hg_loader *loader = calloc(1, sizeof *loader);
    if (!loader) return hg_fail(error, HG_ERROR_MEMORY, "no memory for the loader");
    loader->runtime = runtime;
    size_t length = strlen(plugins_path);
    if (length >= sizeof loader->path) {
        free(loader);
        return hg_fail(error, HG_ERROR_LIMIT, "--plugins: the path has %zu bytes, at most %zu",
                       length, sizeof loader->path - 1);
    }
    memcpy(loader->path, plugins_path, length + 1);
    loader->only = only ? strdup(only) : NULL;
    atomic_init(&loader->stop, false);
    pthread_mutex_init(&loader->lock, NULL);
    pthread_cond_init(&loader->changed, NULL);
    if ((only && !loader->only) || pthread_create(&loader->thread, NULL, run, loader)) {
        pthread_cond_destroy(&loader->changed);
        pthread_mutex_destroy(&loader->lock);
        free(loader->only);
        free(loader);
        return hg_fail(error, HG_ERROR_IO, "the loader's thread cannot be started");
    }
    *out = loader;
    return HG_OK;
}

void hg_loader_stop(hg_loader *loader)
{
    if (!loader) return;
    atomic_store(&loader->stop, true);
    pthread_join(loader->thread, NULL);
    pthread_cond_destroy(&loader->changed);
    pthread_mutex_destroy(&loader->lock);
    free(loader->only);
    free(loader);
}

bool hg_loader_done(hg_loader *loader)
{
    pthread_mutex_lock(&loader->lock);
    bool done = loader->done;
    pthread_mutex_unlock(&loader->lock);
    return done;
}

hg_status hg_loader_wait(hg_loader *loader, hg_error *error)
{
    pthread_mutex_lock(&loader->lock);
    while (!loader->done) pthread_cond_wait(&loader->changed, &loader->lock);
    hg_status status = HG_OK;
    if (loader->failed) status = hg_fail(error, HG_ERROR_FORMAT, "%s", loader->failure.message);
    pthread_mutex_unlock(&loader->lock);
    return status;
}
