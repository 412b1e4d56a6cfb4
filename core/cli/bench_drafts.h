/* bench_drafts.h: see bench_drafts.c. */
#ifndef HG_CLI_BENCH_DRAFTS_H
#define HG_CLI_BENCH_DRAFTS_H

#include "core/cli/cli.h"

/* Sentences typed word by word against the same texts decoded plainly. */
typedef struct hg_bench_typed {
    uint32_t revisions;
    double faster, faster_in_all;
    uint64_t tokens, plain_tokens; /* that were decoded: not those that were committed before */
} hg_bench_typed;

typedef struct hg_bench_drafts {
    uint32_t pairs;
    /* The engine's time without a draft over that with one: the median pair's, and of all. */
    double faster, faster_in_all;
    uint64_t tokens, drafted, accepted;
    hg_bench_typed typed;
} hg_bench_drafts;

hg_status hg_bench_drafts_run(const hg_settings *settings, hg_runtime *runtime,
                              const hg_targets *targets, hg_bench_drafts *out,
                              hg_error *error) HG_CHECKED;

#endif
