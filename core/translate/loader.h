/* loader.h: the thread that keeps what is served as the store says.
 *
 * At the start it goes through the plugins path, folder by folder, by name, or takes the path
 * itself where it holds one plugin: plugin.json and the adapter are read and checked against the
 * base, template and rules are compiled, the content is recorded in the store, and what is enabled
 * there is given to the engine. When all are on the device, those that work are handed to the
 * catalog. A plugin that fails is logged and named by hg_loader_wait; the others go on. From then
 * on it follows what changes in the store.
 */
#ifndef HG_TRANSLATE_LOADER_H
#define HG_TRANSLATE_LOADER_H

#include "core/translate/runtime_internal.h"

typedef struct hg_loader hg_loader;

/* Starts the thread. only: comma-separated plugin names, or NULL: all. */
hg_status hg_loader_start(hg_runtime *runtime, const char *plugins_path, const char *only,
                          hg_loader **out, hg_error *error) HG_CHECKED;
/* The store's plugins may have changed. Any thread. */
void hg_loader_look(hg_loader *loader);
/* Asks the thread to end after the plugin it is at, joins it, frees. NULL is allowed. */
void hg_loader_stop(hg_loader *loader);

/* Whether all plugins are handed over or have failed. Any thread. */
bool hg_loader_done(hg_loader *loader);
/* Waits for that; HG_ERROR_FORMAT, with each one's message, when plugins failed. Any thread. */
hg_status hg_loader_wait(hg_loader *loader, hg_error *error) HG_CHECKED;

#endif
