/* runtime.h: everything that serves a sentence, put together: model, tokenizer, engine, store and
 * the catalog of languages. `serve`, `translate` and `bench` all stand on it.
 *
 * hg_runtime_open returns as soon as the base model is on the device; a loader thread then reads
 * and checks the enabled plugins, records new ones in the store and hands them to the engine.
 * hg_runtime_ready tells when all of them can be used.
 */
#ifndef HG_TRANSLATE_RUNTIME_H
#define HG_TRANSLATE_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/engine/engine.h"
#include "core/model/model.h"
#include "core/text/detector.h"
#include "core/text/language.h"
#include "core/text/tokenizer.h"
#include "core/translate/policy.h"
#include "db/store.h"

typedef struct hg_runtime hg_runtime;

typedef struct hg_runtime_options {
    const char *model_path;   /* folder of the base model */
    const char *plugins_path; /* folder of plugin folders */
    const char *data_path;    /* database; NULL: nothing is stored (no log, ids from 1) */
    const char *device;       /* "auto", "cpu", "cuda" */
    const char *kernel;       /* NULL: best */
    hg_drafts drafts;         /* of hg_engine_options */
    hg_device_policy on_device_error;
    uint8_t dense_bits;         /* what dense layers are rounded to: 4, 8, or 0: not at all */
    uint32_t threads;           /* 0: all cores we may run on */
    size_t device_memory_bytes; /* 0: no bound but that of the plan (core/engine/plan.h) */
    uint32_t lanes, adapters;   /* to make room for; 0: the usual numbers, or fewer */
    size_t
        cache_bytes;  /* most that data_path/cache may hold of packed models; 0: nothing is kept */
    hg_policy policy; /* of sentences that are still being typed */
    const char *only; /* comma-separated plugin names to load, or NULL: all enabled */
    bool log_text;    /* the operator allows text in the log */
    void (*doorbell)(void *context); /* rung from other threads: call hg_translator_poll soon */
    void *doorbell_context;
} hg_runtime_options;

hg_status hg_runtime_open(const hg_runtime_options *options, hg_runtime **out,
                          hg_error *error) HG_CHECKED;
void hg_runtime_close(hg_runtime *runtime);

/* True when every enabled plugin is usable or has failed. */
bool hg_runtime_ready(hg_runtime *runtime);
/* Waits for that; an error names the plugins that failed. */
hg_status hg_runtime_wait_ready(hg_runtime *runtime, hg_error *error) HG_CHECKED;

/* The store's plugins may have changed: the loader looks, brings new generations onto the device,
 * and what is enabled then is served from one of the next polls on. Any thread. */
void hg_runtime_plugins_changed(hg_runtime *runtime);
/* Grows whenever a poll changed what is served. Owner's thread. */
uint64_t hg_runtime_changes(const hg_runtime *runtime);

/* One language as clients see it. Strings are owned by the catalog and live until the next poll. */
typedef struct hg_language_view {
    hg_tag tag;
    const char *plugin, *title, *licence, *attribution;
    char name[64], native[64]; /* English name, own name */
    const char *direction;     /* "ltr", "rtl" */
    const char *const *source; /* [sources] */
    uint32_t sources, generation, rank_max;
    bool reading; /* texts in it have one: core/text/reading.h */
    uint64_t bytes, adapter_key;
} hg_language_view;

/* Fills view [room] with the usable languages, by English name; returns how many there are. */
uint32_t hg_runtime_languages(hg_runtime *runtime, hg_language_view *view, uint32_t room);

/* What "auto" stands for: the language that the detector is sure of and that a plugin takes; else
 * the source that most plugins take, which is what people here write; "und" while there is none.
 * Returns the confidence, 0 to 100; 0: nothing was recognised. Owner's thread. */
unsigned hg_runtime_detected(const hg_runtime *runtime, const hg_detector *detector, hg_tag *out);

const hg_model *hg_runtime_model(const hg_runtime *runtime);
const hg_tokenizer *hg_runtime_tokenizer(const hg_runtime *runtime);
/* What computes now, "cpu: AMD EPYC 9B14 (avx512vnni)", into name [size]. */
void hg_runtime_device(const hg_runtime *runtime, char *name, size_t size);
hg_engine *hg_runtime_engine(hg_runtime *runtime);
hg_store *hg_runtime_store(hg_runtime *runtime); /* NULL without a data folder */

#endif
