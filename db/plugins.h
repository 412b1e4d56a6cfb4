/* plugins.h: how the set of plugins changes.
 *
 * A plugin is a name with generations 1, 2, ...; each is content that never changes and has a
 * state:
 *
 *     checking -> ready | unproven | failed      its check's verdict (hg_store_judge)
 *     ready, unproven, failed, disabled -> enabled    at most one of a plugin; it serves
 *     enabled -> disabled, or its verdict again when another generation takes over
 *     any but enabled -> removed                 its content is gone, its row stays for the log
 *
 * Every change is one transaction with its row of the audit, on the disk when the call returns, and
 * a compare-and-swap: the caller names the generation that it saw serving, and HG_ERROR_CONFLICT
 * says that another one does by now. Calls may be made beside a running service, whose loader sees
 * that the store has changed (core/translate/loader.h).
 *
 * Content that the program came with lies in the plugins folder, and can serve as long as that
 * folder has no other of its name; content that was added lies in the data folder,
 * plugins/<digest>/, where core/plugins/add.h has put it before it is recorded, and from where a
 * sweep takes it when no row needs it any more (hg_store_needs_content).
 *
 * Any thread.
 */
#ifndef HG_DB_PLUGINS_H
#define HG_DB_PLUGINS_H

#include "db/store.h"

typedef enum hg_plugin_action {
    HG_PLUGIN_ENABLE,    /* generation serves; one that is unproven or failed needs insist */
    HG_PLUGIN_DISABLE,   /* none serves */
    HG_PLUGIN_ROLL_BACK, /* generation, or with 0 the earlier one that served last: of a lower
                            number than what serves, or served last where none does */
    HG_PLUGIN_REMOVE,    /* generation, which must not serve, or with 0 all of them */
    HG_PLUGIN_DEFAULT,   /* the plugin is its language's default */
    HG_PLUGIN_PIN,       /* its adapter stays on the device */
    HG_PLUGIN_UNPIN,
    HG_PLUGIN_ACTIONS
} hg_plugin_action;

/* "enable", "disable", "rollback", "remove", "default", "pin", "unpin". */
const char *hg_plugin_action_name(hg_plugin_action action);

typedef struct hg_plugin_change {
    hg_plugin_action action;
    const char *name;    /* the plugin's */
    uint32_t seen;       /* the enabled generation as the caller saw it; 0: none */
    uint32_t generation; /* of ENABLE, ROLL_BACK and REMOVE */
    bool insist;         /* of ENABLE */
    const char *actor;   /* for the audit */
} hg_plugin_change;

/* *serves is the enabled generation then, 0: none; it may be NULL. What is so already is HG_OK and
 * changes nothing. HG_ERROR_CONFLICT; HG_ERROR_NOT_FOUND: no such plugin or generation;
 * HG_ERROR_STATE: the generation's state does not allow it, or needs insisting. */
hg_status hg_store_change_plugin(hg_store *store, const hg_plugin_change *change, uint32_t *serves,
                                 hg_error *error) HG_CHECKED;

/* Records content of the data folder as the next generation of its name, in the state "checking".
 * seen: the newest generation as the caller saw it; -1: whichever it is. Content that a generation
 * has already, removed ones apart, is not recorded again: *record says which. Fills ids and
 * generation of *record; its folder is not read. HG_ERROR_CONFLICT; HG_ERROR_ARGUMENT when the name
 * is another language's or kind's. */
hg_status hg_store_add_generation(hg_store *store, hg_plugin_record *record, int64_t seen,
                                  const char *actor, hg_error *error) HG_CHECKED;

/* What its check says of a generation: "ready", "unproven" or "failed", and the report (JSON). One
 * that serves or is disabled goes on so. HG_ERROR_NOT_FOUND: it was removed meanwhile. */
hg_status hg_store_judge(hg_store *store, int64_t generation_key, const char *verdict,
                         const char *report, const char *actor, hg_error *error) HG_CHECKED;

/* Calls row for each generation of the plugin that is not removed, newest first, or with name NULL
 * for those of all plugins, by name; enabled says whether it serves. A non-zero return ends it. */
hg_status hg_store_each_generation(hg_store *store, const char *name,
                                   int (*row)(const hg_plugin_record *record, void *context),
                                   void *context, hg_error *error) HG_CHECKED;

/* The folder of a content of the data folder's, into path [HG_PATH_MAX]. */
hg_status hg_store_content_path(const hg_store *store, const char *digest, char *path,
                                hg_error *error) HG_CHECKED;
/* Whether a row needs that content; as long as the store cannot say, it does. */
bool hg_store_needs_content(const char *digest, void *store);

/* At a start: what was being checked when the last process ended is unproven. */
hg_status hg_store_end_checks(hg_store *store, hg_error *error) HG_CHECKED;

#endif
