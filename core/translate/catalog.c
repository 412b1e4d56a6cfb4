/* catalog.c: looking up who serves a language. A few dozen entries: plain loops do. */
#include "core/translate/catalog.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/engine.h"

void hg_catalog_entry_release(hg_catalog_entry *entry)
{
    if (!entry) return;
    assert(entry->references > 0);
    if (--entry->references) return;
    if (entry->gone) entry->gone(entry, entry->gone_context);
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
    *catalog = (hg_catalog){.handed_end = &catalog->handed};
    if (pthread_mutex_init(&catalog->lock, NULL))
        return hg_fail(error, HG_ERROR_MEMORY, "no lock for the catalog of languages");
    return HG_OK;
}

static void free_set(hg_catalog_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) hg_catalog_entry_release(set->item[i].fresh);
    free(set);
}

void hg_catalog_free(hg_catalog *catalog)
{
    for (uint32_t i = 0; i < catalog->entries; i++) hg_catalog_entry_release(catalog->entry[i]);
    for (hg_catalog_set *set = catalog->handed, *next; set; set = next) {
        next = set->next;
        free_set(set);
    }
    catalog->entries = 0;
    pthread_mutex_destroy(&catalog->lock);
}

void hg_catalog_hand_over(hg_catalog *catalog, hg_catalog_set *set)
{
    set->next = NULL;
    pthread_mutex_lock(&catalog->lock);
    *catalog->handed_end = set;
    catalog->handed_end = &set->next;
    pthread_mutex_unlock(&catalog->lock);
}

static int by_name(const void *a, const void *b)
{
    const hg_catalog_entry *first = *(hg_catalog_entry *const *)a;
    const hg_catalog_entry *second = *(hg_catalog_entry *const *)b;
    int order = strcmp(first->name, second->name);
    return order ? order : strcmp(first->plugin->name, second->plugin->name);
}

static hg_catalog_entry *by_id(const hg_catalog *catalog, uint64_t id)
{
    for (uint32_t i = 0; i < catalog->entries; i++)
        if (catalog->entry[i]->id == id) return catalog->entry[i];
    return NULL;
}

/* Puts the set in the place of what was served; its entries' references become the catalog's. */
static void serve(hg_catalog *catalog, hg_catalog_set *set)
{
    hg_catalog_entry *served[HG_LIMIT_ADAPTER_SLOTS];
    assert(set->count <= HG_LIMIT_ADAPTER_SLOTS);
    for (uint32_t i = 0; i < set->count; i++) {
        hg_catalog_entry *entry = set->item[i].fresh;
        if (!entry) {
            entry = by_id(catalog, set->item[i].id);
            assert(entry); /* the loader handed it over before */
            entry->references++;
        }
        assert(entry->plugin && entry->prompt);
        assert(entry->plugin->adapter == (entry->adapter_key != HG_NO_ADAPTER));
        entry->is_default = set->item[i].is_default;
        served[i] = entry;
        set->item[i].fresh = NULL;
    }
    for (uint32_t i = 0; i < catalog->entries; i++) hg_catalog_entry_release(catalog->entry[i]);
    qsort(served, set->count, sizeof(void *), by_name);
    for (uint32_t i = 0; i < set->count; i++) catalog->entry[i] = served[i];
    catalog->entries = set->count;
    catalog->changes++;
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
    catalog->common_source = (hg_tag){0};
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
    hg_catalog_set *set = catalog->handed;
    catalog->handed = NULL;
    catalog->handed_end = &catalog->handed;
    pthread_mutex_unlock(&catalog->lock);
    if (!set) return;
    for (hg_catalog_set *next; set; set = next) { /* each may keep what one before brought */
        next = set->next;
        serve(catalog, set);
        free_set(set);
    }
    find_common_source(catalog);
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
