/* device_harness.h: drives a device the way the engine does, for the tests: one prompt after
 * another, in chunks, alone or beside others, and takes down logits and tokens. A failing call
 * fails the test.
 */
#ifndef HG_TESTS_DEVICE_HARNESS_H
#define HG_TESTS_DEVICE_HARNESS_H

#include "core/base/limits.h"
#include "kernels/cpu/cpu.h"
#include "tests/support/random_model.h"

#define HARNESS_LANES      8
#define HARNESS_LANE_PAGES 6
#define HARNESS_PAGES      (HARNESS_LANES * HARNESS_LANE_PAGES)
#define HARNESS_ROWS       64
#define HARNESS_SLOTS      6

static const hg_device_plan harness_plan = {.pages = HARNESS_PAGES,
                                            .lane_pages = HARNESS_LANE_PAGES,
                                            .step_rows = HARNESS_ROWS,
                                            .step_lanes = HARNESS_LANES,
                                            .adapter_slots = HARNESS_SLOTS,
                                            .adapter_bytes = 4 << 20,
                                            .dense_bits = 8};

/* A lane of the test: its tokens, its adapter, and what came out. */
typedef struct harness_lane {
    int32_t token[HARNESS_LANE_PAGES * HG_LIMIT_PAGE_TOKENS];
    uint32_t tokens; /* to compute */
    uint32_t done;
    uint32_t invocation; /* rows before it run without the adapter */
    uint16_t slot;
    int32_t stop[HG_LIMIT_STOP_TOKENS];
    int32_t *best; /* [tokens] */
    bool *stopped; /* [tokens] */
    float *logits; /* [tokens, vocabulary] */
} harness_lane;

typedef struct harness {
    const hg_device_api *api;
    hg_device *device;
    uint32_t vocabulary;
    uint32_t page[HARNESS_LANES * HARNESS_LANE_PAGES];
} harness;

void harness_check(hg_status status, const hg_error *error);

harness harness_open(const hg_weights *weights, const char *kernel, uint32_t threads);

/* The same where dense layers are rounded to 4 or 8 bits; harness_open's are to 8. */
harness harness_open_dense(const hg_weights *weights, const char *kernel, uint8_t bits);

void harness_close(harness *h);

void harness_put(harness *h, uint16_t slot, const hg_lora_weights *weights, size_t piece);

void harness_lane_new(harness_lane *lane, random_source *r, uint32_t tokens, uint16_t slot,
                      uint32_t vocabulary);

void harness_lane_free(harness_lane *lane);

/* One step: the next rows of each lane as chunk[lane] says; every row wants its logits. What is
 * said of stops is checked. */
void harness_step(harness *h, harness_lane *lane, uint32_t lanes, const uint32_t *chunk);

/* Runs all lanes to their ends, at most chunk rows of a lane a step. */
void harness_run(harness *h, harness_lane *lane, uint32_t lanes, uint32_t chunk);

/* Rows whose token is a stop of their lane's, and only those, say so. */
void harness_stops(harness *h);

/* |a - b|^2 / |b|^2 */
double normalised_error(const float *a, const float *b, size_t n);

#endif
