/* load.h: one plugin's folder becomes an entry of the catalog, its adapter the engine's. The
 * loader's thread only. */
#ifndef HG_TRANSLATE_LOAD_H
#define HG_TRANSLATE_LOAD_H

#include "core/translate/runtime_internal.h"

/* A plugin that the store says is to be served. */
typedef struct hg_wanted {
    uint64_t id;
    int64_t plugin_id;
    uint32_t generation;
    bool is_default;
    char name[HG_LIMIT_PLUGIN_NAME + 1];
    char digest[HG_SHA256_HEX];
    char folder[HG_PATH_MAX];
} hg_wanted;

/* A plugin of the plugins folder. */
typedef struct hg_bundled {
    const char *folder;
    const char *only;                    /* names with commas between; NULL: all */
    uint64_t id;                         /* for the entry, where there is no store */
    char name[HG_LIMIT_PLUGIN_NAME + 1]; /* becomes the plugin's as soon as that is known */
} hg_bundled;

/* Reads it, checks it against the base, records it in the store and, if it is enabled there
 * (out->is_enabled), gives it to the engine. *out is NULL when `only` leaves it out. */
hg_status hg_load_bundled(hg_runtime *runtime, hg_bundled *bundled, hg_catalog_entry **out,
                          hg_error *error) HG_CHECKED;

/* A generation that the store has. HG_ERROR_FORMAT when its files are not what was recorded. */
hg_status hg_load_stored(hg_runtime *runtime, const hg_wanted *wanted, hg_catalog_entry **out,
                         hg_error *error) HG_CHECKED;

/* Whether name is in the comma-separated list. NULL: every name is. */
bool hg_load_listed(const char *list, const char *name);

#endif
