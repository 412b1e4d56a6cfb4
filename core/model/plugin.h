/* plugin.h: plugin.json, the description of one adapter (DESIGN section 6). */
#ifndef HG_MODEL_PLUGIN_H
#define HG_MODEL_PLUGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/limits.h"

typedef enum hg_plugin_kind { HG_PLUGIN_LANGUAGE, HG_PLUGIN_TASK } hg_plugin_kind;

/* Strings are owned by the plugin and never NULL ("" where plugin.json has null or nothing). */
typedef struct hg_plugin {
    hg_plugin_kind kind;
    char folder[HG_PATH_MAX];
    char *name, *title;
    char *language; /* BCP-47 as written; "" for a task */
    char **sources; /* [source_count] BCP-47 as written */
    uint32_t source_count;
    char *base_name, *base_fingerprint;
    char *template_text;
    char **stop; /* [stop_count] contents of special tokens */
    uint32_t stop_count;
    char *rules_before, *rules_after;
    char *licence, *attribution;
    char digest[HG_SHA256_HEX]; /* of the names and contents of all the folder's files, sorted */
    uint64_t bytes;             /* of adapter_model.safetensors */
    char *training;             /* training.json as text, or "" */
    struct hg_plugin_owned *owned;
} hg_plugin;

hg_status hg_plugin_open(const char *folder, hg_plugin **out, hg_error *error) HG_CHECKED;
void hg_plugin_close(hg_plugin *plugin);

#endif
