/* bench.h: what the files of `hydraglot bench` share.
 *
 *   bench.c          the command: which parts run, and the report
 *   bench_steps.c    steps of the device, held against the machine's roofline
 *   bench_shape.c    models and adapters of a given shape, made in memory (bench_shape.h)
 *   bench_clients.c  sentences of some clients at once, through the runtime
 *   bench_wire.c     the same through a websocket of the service
 *   bench_drafts.c   sentences grown by a word, with drafts and without
 *
 * Measurements that are compared take turns: a machine that others use too slows all of them.
 */
#ifndef HG_CLI_BENCH_H
#define HG_CLI_BENCH_H

#include "core/cli/bench_drafts.h"
#include "core/cli/bench_shape.h"
#include "core/cli/cli.h"
#include "core/cli/progress.h"
#include "core/service/json_out.h"
#include "kernels/weights.h"

/* Median, least and most of some values. */
typedef struct hg_spread {
    double median, least, most;
} hg_spread;

/* Sorts value [count]; count 0 gives zeros. */
hg_spread hg_spread_of(double *value, size_t count);
/* The value that share of the sorted value [count] do not exceed. */
double hg_percentile(const double *value, size_t count, double share);

/* ---- bench_steps.c ---- */
typedef enum hg_bench_adapters {
    HG_BENCH_NONE,
    HG_BENCH_SAME,    /* all lanes on one */
    HG_BENCH_DISTINCT /* each lane on its own */
} hg_bench_adapters;

#define HG_BENCH_ROUNDS 100
/* One kind of step. Rates are per second; share: of the roofline, the larger of the times that the
 * step's bytes and its operations take at least, over the step's. */
typedef struct hg_bench_step {
    bool prefill;
    hg_bench_adapters adapters;
    uint32_t lanes, rows, rank;
    double bytes, operations;
    hg_spread us, read_bytes, share;
    double
        best; /* share, of the least time at the highest rates: what others do disturbs it least */
    double round_us[HG_BENCH_ROUNDS], round_read[HG_BENCH_ROUNDS], round_share[HG_BENCH_ROUNDS];
} hg_bench_step;

#define HG_BENCH_STEPS 256
typedef struct hg_bench_steps {
    char device[64], kernel[32];
    uint32_t threads, count;
    double load_ms, peak;             /* peak: highest INT8 operations/s, 0: not known */
    size_t weights_bytes, step_bytes; /* held; of it read by a step */
    hg_bench_step *step;              /* [count], owned */
} hg_bench_steps;

/* On the CPU device. Free it either way. */
hg_status hg_bench_steps_run(const hg_settings *settings, const hg_weights *weights,
                             hg_bench_steps *out, hg_error *error) HG_CHECKED;
void hg_bench_steps_free(hg_bench_steps *steps);
hg_status hg_bench_steps_print(const hg_bench_steps *steps, hg_error *error) HG_CHECKED;
void hg_bench_steps_json(const hg_bench_steps *steps, hg_json_out *json);

/* ---- bench_clients.c, bench_wire.c ---- */
#define HG_BENCH_CROWDS 3
/* Latency of one sentence for all languages, ms, while so many clients each wait for one. */
typedef struct hg_bench_crowd {
    uint32_t clients, sentences;
    double p50_ms, p95_ms, p99_ms, first_ms; /* first_ms: median time to the first text */
} hg_bench_crowd;
extern const uint32_t hg_bench_crowds[HG_BENCH_CROWDS];

#define HG_BENCH_SENTENCES 12 /* numbers that far apart have the same words */
/* A sentence that no other number's has as a prefix, into text [size]. */
void hg_bench_sentence(uint64_t number, char *text, size_t size);
/* Sentences of one crowd. */
size_t hg_bench_crowd_sentences(const hg_settings *settings);
/* Sorts both [count] and fills all of out but clients. */
void hg_bench_crowd_settle(hg_bench_crowd *out, double *total_ms, double *first_ms, size_t count);

hg_status hg_bench_clients_run(const hg_settings *settings, hg_runtime *runtime,
                               const hg_targets *targets, hg_bench_crowd *out /* [CROWDS] */,
                               hg_error *error) HG_CHECKED;

typedef struct hg_bench_wire {
    hg_bench_crowd crowd[HG_BENCH_CROWDS];
    /* With one client: time from a request's frame to its batch.done, all sentences, over the time
     * that the engine spent in steps. */
    double over_steps;
} hg_bench_wire;
hg_status hg_bench_wire_run(const hg_settings *settings, const hg_targets *targets,
                            hg_bench_wire *out, hg_error *error) HG_CHECKED;

#endif
