/* plugin.h: plugin.json, the description of one adapter (DESIGN section 6). */
#ifndef HG_MODEL_PLUGIN_H
#define HG_MODEL_PLUGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/limits.h"

typedef enum hg_plugin_kind { HG_PLUGIN_LANGUAGE, HG_PLUGIN_TASK } hg_plugin_kind;

/* A word that the base copies reliably where it stands for another one, and what it may look like
 * in the plugin's language: the word itself is one of them. */
typedef struct hg_stand_in {
    const char *word;
    const char *form[HG_LIMIT_STAND_IN_FORMS]; /* [forms] */
    uint32_t forms;
} hg_stand_in;

/* Strings are owned by the plugin and never NULL ("" where plugin.json has null or nothing). */
typedef struct hg_plugin {
    hg_plugin_kind kind;
    char folder[HG_PATH_MAX];
    const char *name, *title;
    const char *language;       /* BCP-47 as written; "" for a task */
    const char *const *sources; /* [source_count] BCP-47 as written */
    uint32_t source_count;
    const char *base_name, *base_fingerprint; /* fingerprint: "sha256:..." or "" */
    const char *template_text;                /* holds {source}, or is a template's name */
    const char *const *stop;                  /* [stop_count] contents of special tokens */
    uint32_t stop_count;
    const char *rules_before, *rules_after;
    /* for names, for numbers, the best first; without any, what is protected stands for itself */
    hg_stand_in name_in[HG_LIMIT_STAND_INS], number_in[HG_LIMIT_STAND_INS];
    uint32_t name_ins, number_ins;
    const char *licence, *attribution;
    char digest[HG_SHA256_HEX]; /* of the names and contents of all the folder's files, sorted:
                                 * what `LC_ALL=C sha256sum * | sha256sum` gives */
    bool adapter;               /* false: "adapter": null, the base alone (model merge) */
    uint64_t bytes;             /* of the adapter's weights file; 0 without one */
    const char *training;       /* training.json as text, or "" */
    struct hg_plugin_owned *owned;
} hg_plugin;

hg_status hg_plugin_open(const char *folder, hg_plugin **out, hg_error *error) HG_CHECKED;

/* plugin.json's text alone: folder, digest, bytes and training stay empty. file is for messages. */
hg_status hg_plugin_parse(const char *bytes, size_t count, const char *file, hg_plugin **out,
                          hg_error *error) HG_CHECKED;
/* Gives sink each problem of the text's fields: those that hg_plugin_parse would stop at, one after
 * the other. */
void hg_plugin_check_fields(const char *bytes, size_t count, const char *file, hg_problem_sink sink,
                            void *context);
void hg_plugin_close(hg_plugin *plugin);

#endif
