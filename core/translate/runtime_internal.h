/* runtime_internal.h: what the files of core/translate share about a runtime. */
#ifndef HG_TRANSLATE_RUNTIME_INTERNAL_H
#define HG_TRANSLATE_RUNTIME_INTERNAL_H

#include "core/text/reading.h"
#include "core/translate/catalog.h"
#include "core/translate/policy.h"
#include "core/translate/runtime.h"
#include "core/translate/sources.h"

struct hg_request;
struct hg_loader;

struct hg_runtime {
    hg_model *model;         /* immutable after open, any thread; so are the next three */
    hg_tokenizer *tokenizer; /* */
    hg_engine *engine;
    hg_store *store;              /* NULL without a data folder */
    char cache_path[HG_PATH_MAX]; /* "": nothing is kept for the next start */
    hg_sources sources;           /* of adapters; any thread */
    hg_policy policy;             /* immutable */
    bool log_text;
    void (*doorbell)(void *context);
    void *doorbell_context;
    struct hg_loader *loader;
    uint64_t adapter_keys; /* given so far; loader's thread */

    /* Owner's thread: */
    hg_catalog catalog;
    bool ready;                  /* sticky */
    bool closing;                /* the engine is gone, or goes: nothing is asked of it */
    struct hg_request *requests; /* all that run, newest first */
    bool outcomes_wait;          /* some of them have ends that need no engine */
    bool rounds_wait;            /* some of them wait for room in the engine */
    bool delivering;             /* inside a sink: no call of translate.h may come from there */
    int64_t batches;             /* ids given without a store */
    hg_readings readings;
};

#endif
