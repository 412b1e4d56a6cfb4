/* languages.c: see languages.h. */
#include "core/service/languages.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/service/json_out.h"

hg_language_set hg_language_set_new(void)
{
    return (hg_language_set){.listed = hg_buf_new(HG_LIMIT_EVENT)};
}

static void forget(hg_language_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) free(set->served[i].source);
    set->count = 0;
}

void hg_language_set_free(hg_language_set *set)
{
    forget(set);
    hg_buf_free(&set->listed);
}

/* ---- pairs ---- */

static bool is_same(const hg_tag *asked, const hg_tag *offered)
{
    return hg_tag_compare(asked, offered) != HG_TAG_DIFFERENT;
}

static bool takes(const hg_served *served, const hg_tag *source)
{
    for (uint32_t i = 0; i < served->sources; i++)
        if (is_same(source, &served->source[i])) return true;
    return false;
}

bool hg_language_target(const hg_language_set *set, const hg_tag *tag)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (is_same(tag, &set->served[i].tag)) return true;
    return false;
}

bool hg_language_source(const hg_language_set *set, const hg_tag *tag)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (takes(&set->served[i], tag)) return true;
    return false;
}

bool hg_language_pair(const hg_language_set *set, const hg_tag *source, const hg_tag *target)
{
    if (is_same(target, source)) return true;
    for (uint32_t i = 0; i < set->count; i++)
        if (is_same(target, &set->served[i].tag) && takes(&set->served[i], source)) return true;
    return false;
}

const hg_served *hg_language_plugin(const hg_language_set *set, const char *plugin)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (strcmp(set->served[i].plugin, plugin) == 0) return &set->served[i];
    return NULL;
}

bool hg_served_takes(const hg_served *served, const hg_tag *source)
{
    return is_same(&served->tag, source) || takes(served, source);
}

/* ---- the list ---- */

typedef struct entry {
    hg_tag tag;
    char name[64];
} entry;

#define ENTRIES_MAX (HG_LIMIT_ADAPTER_SLOTS + HG_LIMIT_PLUGIN_SOURCES)

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

/* Adds tag unless an entry stands for it already. */
static void add(entry *entries, uint32_t *count, const hg_tag *tag)
{
    for (uint32_t i = 0; i < *count; i++)
        if (is_same(tag, &entries[i].tag)) return;
    if (*count == ENTRIES_MAX) return;
    entry *e = &entries[(*count)++];
    e->tag = *tag;
    hg_tag_english_name(tag, e->name, sizeof e->name);
}

/* Targets first: where a plugin says zh-Hans and another takes zh, the target's tag is listed. */
static uint32_t collect(const hg_language_set *set, entry *entries)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < set->count; i++) add(entries, &count, &set->served[i].tag);
    for (uint32_t i = 0; i < set->count; i++)
        for (uint32_t s = 0; s < set->served[i].sources; s++)
            add(entries, &count, &set->served[i].source[s]);
    qsort(entries, count, sizeof *entries, by_name);
    return count;
}

static hg_status print(const hg_language_set *set, hg_buf *out)
{
    entry entries[ENTRIES_MAX];
    uint32_t count = collect(set, entries);
    hg_json_out json = hg_json_out_new(out);
    hg_json_begin_array(&json, NULL);
    for (uint32_t i = 0; i < count; i++) {
        hg_json_begin_object(&json, NULL);
        hg_json_put_text(&json, "code", entries[i].tag.text);
        hg_json_put_text(&json, "name", entries[i].name);
        hg_json_begin_array(&json, "targets");
        for (uint32_t k = 0; k < count; k++)
            if (k != i && hg_language_pair(set, &entries[i].tag, &entries[k].tag))
                hg_json_put_text(&json, NULL, entries[k].tag.text);
        hg_json_end_array(&json);
        hg_json_end_object(&json);
    }
    hg_json_end_array(&json);
    return json.status;
}

static hg_status copy(const hg_language_view *view, hg_served *out)
{
    hg_error error;
    *out = (hg_served){.tag = view->tag, .source = calloc(view->sources + 1, sizeof *out->source)};
    if (!out->source) return HG_ERROR_MEMORY;
    snprintf(out->plugin, sizeof out->plugin, "%s", view->plugin);
    for (uint32_t i = 0; i < view->sources; i++)
        if (!hg_tag_parse(view->source[i], &out->source[out->sources], &error)) out->sources++;
    return HG_OK;
}

hg_status hg_language_set_read(hg_language_set *set, hg_runtime *runtime)
{
    hg_language_view view[HG_LIMIT_ADAPTER_SLOTS];
    uint32_t views = runtime ? hg_runtime_languages(runtime, view, HG_LIMIT_ADAPTER_SLOTS) : 0;
    assert(views <= HG_LIMIT_ADAPTER_SLOTS);
    forget(set);
    for (uint32_t i = 0; i < views; i++) {
        if (copy(&view[i], &set->served[i])) return HG_ERROR_MEMORY;
        set->count++;
    }
    hg_buf_clear(&set->listed);
    return print(set, &set->listed);
}
