/* catalog.h: the languages served: each one a plugin, its adapter's key and what prompts need.
 *
 * An entry is immutable but for its rules, its reference count and whether it is its language's
 * default. Entries belong to the owner's thread (the service thread, or the command line's). The
 * loader makes entries and hands them over in sets under a lock: a set is all that is served from
 * then on, and hg_catalog_take puts it in the place of the one before. A lane in flight holds a
 * reference, so it ends with the generation it began with, whatever the catalog serves by then; who
 * drops the last one gives the adapter's memory back.
 */
#ifndef HG_TRANSLATE_CATALOG_H
#define HG_TRANSLATE_CATALOG_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/model/adapter.h"
#include "core/model/plugin.h"
#include "core/text/language.h"
#include "core/text/rules.h"
#include "core/translate/prompt.h"

typedef struct hg_catalog_entry {
    uint32_t references;      /* owner's thread */
    hg_plugin *plugin;        /* owned */
    hg_tag tag;               /* of its language; "" for a task */
    hg_tag *source;           /* [plugin->source_count] canonical, owned */
    const char **source_text; /* [plugin->source_count] views into source, owned */
    char name[64], native[64];
    hg_prompt *prompt;      /* owned */
    hg_rules *rules_before; /* owned, or NULL; owner's thread once handed over */
    hg_rules *rules_after;  /* likewise */
    int32_t stop[HG_LIMIT_STOP_TOKENS];
    uint32_t stops;
    int32_t invocation[HG_INVOCATION_MAX];
    uint32_t invocations;
    uint64_t id;          /* of the generation: the store's row, or a number of the loader's */
    uint64_t adapter_key; /* the engine's, of this loading; HG_NO_ADAPTER: the plugin has none */
    int64_t plugin_id;    /* the store's; 0 without one */
    uint32_t generation, rank_max;
    bool is_default; /* of its language */
    bool is_enabled; /* in the store */
    /* NULL, or called with the entry when the last reference to it is dropped */
    void (*gone)(const struct hg_catalog_entry *entry, void *context);
    void *gone_context;
} hg_catalog_entry;

/* What is served from now on: entries that are new, and those that stay. */
typedef struct hg_catalog_set {
    struct hg_catalog_set *next;
    uint32_t count;
    struct {
        hg_catalog_entry *fresh; /* with its reference; NULL: the catalog has the entry */
        uint64_t id;
        bool is_default;
    } item[HG_LIMIT_ADAPTER_SLOTS]; /* [count] */
} hg_catalog_set;

/* Drops a reference; the last one frees. NULL is allowed. */
void hg_catalog_entry_release(hg_catalog_entry *entry);

typedef struct hg_catalog {
    hg_catalog_entry *entry[HG_LIMIT_ADAPTER_SLOTS]; /* by English name; owner's thread */
    uint32_t entries;
    hg_tag common_source; /* see hg_catalog_common_source; "" without entries */
    uint64_t changes;     /* grows with every set taken; owner's thread */
    pthread_mutex_t lock;
    hg_catalog_set *handed, **handed_end; /* lock; in the order of handing over */
} hg_catalog;

hg_status hg_catalog_init(hg_catalog *catalog, hg_error *error) HG_CHECKED;
void hg_catalog_free(hg_catalog *catalog);

/* The loader gives a set, which the catalog frees. Any thread. */
void hg_catalog_hand_over(hg_catalog *catalog, hg_catalog_set *set);
/* Owner's thread: the newest set that was handed over is what is served from now on. */
void hg_catalog_take(hg_catalog *catalog);

/* The entry for an asked "plugin:NAME". NULL: none. */
hg_catalog_entry *hg_catalog_by_plugin(const hg_catalog *catalog, const char *name);
/* The entry that serves tag best: an equal tag before a like one, a default before others. */
hg_catalog_entry *hg_catalog_by_language(const hg_catalog *catalog, const hg_tag *tag);

/* Whether the entry's plugin takes sentences in this language. */
bool hg_catalog_takes_source(const hg_catalog_entry *entry, const hg_tag *source);

/* What "auto" stands for as long as nothing detects languages: the source that most entries take,
 * of equal ones the first by tag. "und" while there is no entry. */
const hg_tag *hg_catalog_common_source(const hg_catalog *catalog);

#endif
