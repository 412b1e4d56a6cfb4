/* sources.h: where the engine's adapters came from, so that they can be read again when the device
 * that held them is lost.
 */
#ifndef HG_TRANSLATE_SOURCES_H
#define HG_TRANSLATE_SOURCES_H

#include <pthread.h>

#include "core/engine/engine.h"
#include "core/model/model.h"
#include "core/model/plugin.h"

typedef struct hg_source {
    uint64_t key; /* of the engine */
    char *folder; /* owned */
    char digest[HG_SHA256_HEX];
} hg_source;

typedef struct hg_sources {
    const hg_model *model; /* fixed */
    pthread_mutex_t lock;
    hg_source source[HG_LIMIT_ADAPTER_SLOTS]; /* lock; [count] */
    uint32_t count;                           /* lock */
} hg_sources;

void hg_sources_open(hg_sources *sources, const hg_model *model);
void hg_sources_close(hg_sources *sources);

/* HG_ERROR_LIMIT when there are as many as the engine has slots. Any thread. */
hg_status hg_sources_add(hg_sources *sources, uint64_t key, const hg_plugin *plugin,
                         hg_error *error) HG_CHECKED;

/* The engine has no use for it any more. Any thread. */
void hg_sources_forget(hg_sources *sources, uint64_t key);

/* hg_recovery's reopen; context is a hg_sources. HG_ERROR_FORMAT when the plugin's files are not
 * those that it had. */
hg_status hg_sources_reopen(void *context, uint64_t key, hg_adapter_source *out, hg_error *error);

#endif
