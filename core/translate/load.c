/* load.c: see load.h. */
#include "core/translate/load.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/translate/entry.h"

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

static hg_status open_entry(hg_runtime *runtime, const char *folder, hg_catalog_entry **out,
                            hg_error *error)
{
    hg_catalog_entry *entry = *out = calloc(1, sizeof *entry);
    if (!entry) return hg_fail(error, HG_ERROR_MEMORY, "no memory for a plugin");
    entry->references = 1;
    hg_status status = hg_plugin_open(folder, &entry->plugin, error);
    return status ? status : describe(entry, runtime, error);
}

/* The adapter, where the plugin has one; without, its language is spoken by the base itself (model
 * merge). */
static hg_status open_adapter(hg_runtime *runtime, hg_catalog_entry *entry, hg_adapter **out,
                              hg_error *error)
{
    hg_status status = HG_OK;
    *out = NULL;
    assert(entry->plugin); /* it was opened */
    if (entry->plugin->adapter)
        status = hg_adapter_open_on(entry->plugin->folder, runtime->model, out, error);
    if (!status && *out) hg_entry_set_adapter(entry, *out);
    return status ? status : hg_entry_try_prompt(entry, runtime->tokenizer, error);
}

/* The plugin's sources as JSON, or NULL without memory. */
static char *print_sources(const hg_plugin *plugin)
{
    json_t *sources = json_array();
    for (uint32_t i = 0; sources && i < plugin->source_count; i++)
        if (json_array_append_new(sources, json_string(plugin->sources[i]))) {
            json_decref(sources);
            sources = NULL;
        }
    char *text = sources ? json_dumps(sources, JSON_COMPACT) : NULL;
    json_decref(sources);
    return text;
}

/* Records the plugin as an enabled generation, whose row id is the adapter's key. Content that the
 * store knows keeps the state that it has there. */
static hg_status record(hg_runtime *runtime, hg_catalog_entry *entry, uint64_t id, hg_error *error)
{
    const hg_plugin *plugin = entry->plugin;
    hg_store *store = runtime->store;
    entry->generation = 1;
    if (!store) {
        entry->id = id;
        entry->is_default = entry->is_enabled = true; /* the first by folder name wins */
        return HG_OK;
    }
    char *text = print_sources(plugin);
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
    entry->id = (uint64_t)row.generation_key;
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

/* The last lane of a generation that is served no more has ended. */
static void drop_adapter(const hg_catalog_entry *entry, void *context)
{
    hg_runtime *runtime = context;
    hg_error error;
    if (runtime->closing) return;
    if (hg_engine_drop_adapter(runtime->engine, entry->adapter_key, &error))
        hg_log(HG_LOG_WARN, "translate", "plugin %s: %s", entry->plugin->name, error.message);
    hg_sources_forget(&runtime->sources, entry->adapter_key);
}

/* Takes over the adapter, which may be NULL. Its key is new even where the same generation was
 * served before: lanes that began then may still run on that one, which leaves with them. */
static hg_status give(hg_runtime *runtime, hg_catalog_entry *entry, hg_adapter *adapter,
                      hg_error *error)
{
    if (!adapter) return HG_OK;
    entry->adapter_key = ++runtime->adapter_keys;
    hg_status status = hg_sources_add(&runtime->sources, entry->adapter_key, entry->plugin, error);
    if (!status) {
        status = hg_engine_add_adapter(runtime->engine, entry->adapter_key, &adapter->lora,
                                       release_adapter, adapter, error);
        if (status) hg_sources_forget(&runtime->sources, entry->adapter_key);
    }
    if (status) {
        hg_adapter_close(adapter);
        return status;
    }
    entry->gone = drop_adapter;
    entry->gone_context = runtime;
    return HG_OK;
}

bool hg_load_listed(const char *list, const char *name)
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

hg_status hg_load_bundled(hg_runtime *runtime, hg_bundled *bundled, hg_catalog_entry **out,
                          hg_error *error)
{
    hg_adapter *adapter = NULL;
    hg_catalog_entry *entry;
    hg_status status = open_entry(runtime, bundled->folder, &entry, error);
    *out = NULL;
    if (entry && entry->plugin) {
        snprintf(bundled->name, sizeof bundled->name, "%s", entry->plugin->name);
        if (!hg_load_listed(bundled->only, bundled->name)) {
            hg_catalog_entry_release(entry);
            return HG_OK;
        }
    }
    if (!status) status = open_adapter(runtime, entry, &adapter, error);
    if (!status) status = record(runtime, entry, bundled->id, error);
    if (!status && entry->is_enabled)
        status = give(runtime, entry, adapter, error);
    else
        hg_adapter_close(adapter);
    if (status)
        hg_catalog_entry_release(entry);
    else
        *out = entry;
    return status;
}

hg_status hg_load_stored(hg_runtime *runtime, const hg_wanted *wanted, hg_catalog_entry **out,
                         hg_error *error)
{
    hg_adapter *adapter = NULL;
    hg_catalog_entry *entry;
    hg_status status = open_entry(runtime, wanted->folder, &entry, error);
    *out = NULL;
    if (!status && strcmp(entry->plugin->digest, wanted->digest) != 0)
        status =
            hg_fail(error, HG_ERROR_FORMAT,
                    "%s: its files are not those that were recorded: add it anew", wanted->folder);
    if (!status) status = open_adapter(runtime, entry, &adapter, error);
    if (status) {
        hg_adapter_close(adapter);
        hg_catalog_entry_release(entry);
        return status;
    }
    entry->id = wanted->id;
    entry->plugin_id = wanted->plugin_id;
    entry->generation = wanted->generation;
    entry->is_enabled = true;
    status = give(runtime, entry, adapter, error);
    if (status)
        hg_catalog_entry_release(entry);
    else
        *out = entry;
    return status;
}
