/* catalog.c: looking up who serves a language. A few dozen entries: plain loops do. */
#include "core/translate/catalog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/engine/engine.h"

void hg_catalog_entry_release(hg_catalog_entry *entry)
{
    if (!entry) return;
    assert(entry->references > 0);
    if (--entry->references) return;
    hg_plugin_close(entry->plugin);
    hg_prompt_free(entry->prompt);
    hg_rules_close(entry->rules_before);
    hg_rules_close(entry->rules_after);
    free(entry->source);
    free(entry->source_text);
    free(entry);
}

hg_status hg_catalog_init(hg_catalog *catalog, hg_error *error)
{
    *catalog = (hg_catalog){0};
    if (pthread_mutex_init(&catalog->lock, NULL))
        return hg_fail(error, HG_ERROR_MEMORY, "no lock for the catalog of languages");
    return HG_OK;
}

void hg_catalog_free(hg_catalog *catalog)
{
    for (uint32_t i = 0; i < catalog->entries; i++) hg_catalog_entry_release(catalog->entry[i]);
    while (catalog->handed) {
        hg_catalog_entry *next = catalog->handed->next;
        hg_catalog_entry_release(catalog->handed);
        catalog->handed = next;
    }
    catalog->entries = 0;
    pthread_mutex_destroy(&catalog->lock);
}

void hg_catalog_hand_over(hg_catalog *catalog, hg_catalog_entry *entry)
{
    assert(entry->references == 1);
    pthread_mutex_lock(&catalog->lock);
    entry->next = catalog->handed;
    catalog->handed = entry;
    pthread_mutex_unlock(&catalog->lock);
}

/* Puts one entry in its place by English name, or in that of its older generation. */
static void serve(hg_catalog *catalog, hg_catalog_entry *entry)
{
    assert(entry->plugin && entry->prompt);
    assert(entry->plugin->adapter == (entry->adapter_key != HG_NO_ADAPTER));
    uint32_t at = 0;
    for (uint32_t i = 0; i < catalog->entries; i++) {
        hg_catalog_entry *old = catalog->entry[i];
        if (strcmp(old->plugin->name, entry->plugin->name) != 0) continue;
        catalog->entry[i] = entry;
        hg_catalog_entry_release(old);
        return;
    }
    if (catalog->entries == HG_LIMIT_ADAPTER_SLOTS) { /* the engine has no slot for it either */
        hg_log(HG_LOG_ERROR, "translate", "plugin %s: more than %d plugins", entry->plugin->name,
               HG_LIMIT_ADAPTER_SLOTS);
        hg_catalog_entry_release(entry);
        return;
    }
    while (at < catalog->entries) {
        const hg_catalog_entry *other = catalog->entry[at];
        int order = strcmp(other->name, entry->name);
        if (order > 0 || (!order && strcmp(other->plugin->name, entry->plugin->name) > 0)) break;
        at++;
    }
    memmove(&catalog->entry[at + 1], &catalog->entry[at],
            (catalog->entries - at) * sizeof(hg_catalog_entry *));
    catalog->entry[at] = entry;
    catalog->entries++;
}

static uint32_t count_takers(const hg_catalog *catalog, const hg_tag *source)
{
    uint32_t takers = 0;
    for (uint32_t i = 0; i < catalog->entries; i++)
        takers += hg_catalog_takes_source(catalog->entry[i], source);
    return takers;
}

static void find_common_source(hg_catalog *catalog)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < catalog->entries; i++) {
        const hg_catalog_entry *entry = catalog->entry[i];
        for (uint32_t j = 0; j < entry->plugin->source_count; j++) {
            const hg_tag *source = &entry->source[j];
            uint32_t takers = count_takers(catalog, source);
            bool first = strcmp(source->text, catalog->common_source.text) < 0;
            if (takers < most || (takers == most && !first)) continue;
            most = takers;
            catalog->common_source = *source;
        }
    }
}

void hg_catalog_take(hg_catalog *catalog)
{
    pthread_mutex_lock(&catalog->lock);
    hg_catalog_entry *entry = catalog->handed;
    catalog->handed = NULL;
    pthread_mutex_unlock(&catalog->lock);
    bool changed = entry != NULL;
    while (entry) {
        hg_catalog_entry *next = entry->next;
        entry->next = NULL;
        serve(catalog, entry);
        entry = next;
    }
    if (changed) find_common_source(catalog);
}

hg_catalog_entry *hg_catalog_by_plugin(const hg_catalog *catalog, const char *name)
{
    for (uint32_t i = 0; i < catalog->entries; i++)
        if (strcmp(catalog->entry[i]->plugin->name, name) == 0) return catalog->entry[i];
    return NULL;
}

/* Comparing tags asks ICU for likely subtags, some microseconds each time: what is asked mostly is
 * a tag of the catalog, and then equal strings decide. */
hg_catalog_entry *hg_catalog_by_language(const hg_catalog *catalog, const hg_tag *tag)
{
    hg_catalog_entry *best = NULL;
    int best_rank = 0;
    for (uint32_t i = 0; i < catalog->entries; i++) {
        hg_catalog_entry *entry = catalog->entry[i];
        if (entry->plugin->kind != HG_PLUGIN_LANGUAGE) continue;
        bool equal = strcmp(tag->text, entry->tag.text) == 0;
        if (equal && entry->is_default) return entry;
        int rank = (equal ? 3 : 1) + entry->is_default;
        if (rank > best_rank && (equal || hg_tag_compare(tag, &entry->tag) != HG_TAG_DIFFERENT)) {
            best = entry;
            best_rank = rank;
        }
    }
    return best;
}

bool hg_catalog_takes_source(const hg_catalog_entry *entry, const hg_tag *source)
{
    const uint32_t count = entry->plugin->source_count;
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(source->text, entry->source[i].text) == 0) return true;
    for (uint32_t i = 0; i < count; i++)
        if (hg_tag_compare(source, &entry->source[i]) != HG_TAG_DIFFERENT) return true;
    return false;
}

const hg_tag *hg_catalog_common_source(const hg_catalog *catalog)
{
    static const hg_tag undetermined = {.text = "und"};
    return *catalog->common_source.text ? &catalog->common_source : &undetermined;
}
