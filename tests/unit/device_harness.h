/* device_harness.h: drives a device the way the engine does, for the tests: one prompt after
 * another, in chunks, alone or beside others, and takes down logits and tokens.
 */
#ifndef HG_TESTS_DEVICE_HARNESS_H
#define HG_TESTS_DEVICE_HARNESS_H

#include "core/base/limits.h"
#include "kernels/cpu/cpu.h"
#include "tests/unit/random_model.h"

#define HARNESS_LANES      8
#define HARNESS_LANE_PAGES 6
#define HARNESS_PAGES      (HARNESS_LANES * HARNESS_LANE_PAGES)
#define HARNESS_ROWS       64
#define HARNESS_SLOTS      6

static const hg_device_plan harness_plan = {.pages = HARNESS_PAGES,
                                            .lane_pages = HARNESS_LANE_PAGES,
                                            .step_rows = HARNESS_ROWS,
                                            .step_lanes = HARNESS_LANES,
                                            .adapter_slots = HARNESS_SLOTS};

/* A lane of the test: its tokens, its adapter, and what came out. */
typedef struct harness_lane {
    int32_t token[HARNESS_LANE_PAGES * HG_LIMIT_PAGE_TOKENS];
    uint32_t tokens; /* to compute */
    uint32_t done;
    uint32_t invocation; /* rows before it run without the adapter */
    uint16_t slot;
    int32_t *best; /* [tokens] */
    float *logits; /* [tokens, vocabulary] */
} harness_lane;

typedef struct harness {
    const hg_device_api *api;
    hg_device *device;
    uint32_t vocabulary;
    uint32_t page[HARNESS_LANES * HARNESS_LANE_PAGES];
} harness;

static inline void harness_check(hg_status status, const hg_error *error)
{
    if (status) print_error("%s\n", error->message);
    assert_int_equal(status, HG_OK);
}

static inline harness harness_open(const hg_weights *weights, const char *kernel, uint32_t threads)
{
    harness h = {.api = hg_cpu_device(), .vocabulary = weights->shape.vocabulary};
    hg_device_options options = {.kernel = kernel, .threads = threads};
    hg_error error;
    harness_check(h.api->open(&options, &h.device, &error), &error);
    harness_check(h.api->load_model(h.device, weights, &harness_plan, &error), &error);
    /* Pages of a lane are neither in order nor together. */
    for (uint32_t i = 0; i < HARNESS_PAGES; i++) h.page[i] = i * 29 % HARNESS_PAGES;
    return h;
}

static inline void harness_close(harness *h)
{
    h->api->close(h->device);
}

static inline void harness_put(harness *h, uint16_t slot, const hg_lora_weights *weights,
                               size_t piece)
{
    hg_error error;
    bool done = false;
    harness_check(h->api->put_adapter_begin(h->device, slot, weights, &error), &error);
    while (!done)
        harness_check(h->api->put_adapter_step(h->device, slot, piece, &done, &error), &error);
    harness_check(h->api->put_adapter_commit(h->device, slot, &error), &error);
}

static inline void harness_lane_new(harness_lane *lane, random_source *r, uint32_t tokens,
                                    uint16_t slot, uint32_t vocabulary)
{
    assert_true(tokens <= HARNESS_LANE_PAGES * HG_LIMIT_PAGE_TOKENS);
    memset(lane, 0, sizeof *lane);
    lane->tokens = tokens;
    lane->slot = slot;
    for (uint32_t i = 0; i < tokens; i++) lane->token[i] = (int32_t)random_below(r, vocabulary);
    lane->best = malloc(tokens * sizeof *lane->best);
    lane->logits = malloc((size_t)tokens * vocabulary * sizeof(float));
    assert_true(lane->best && lane->logits);
}

static inline void harness_lane_free(harness_lane *lane)
{
    free(lane->best);
    free(lane->logits);
}

/* One step: the next rows of each lane as chunk[lane] says; every row wants its logits. */
static inline void harness_step(harness *h, harness_lane *lane, uint32_t lanes,
                                const uint32_t *chunk)
{
    hg_row row[HARNESS_ROWS];
    uint32_t rows = 0, owner[HARNESS_ROWS];
    for (uint32_t l = 0; l < lanes; l++) {
        for (uint32_t i = 0; i < chunk[l]; i++) {
            uint32_t p = lane[l].done + i;
            assert_true(p < lane[l].tokens && rows < HARNESS_ROWS);
            owner[rows] = l;
            row[rows++] = (hg_row){.token = lane[l].token[p],
                                   .position = p,
                                   .lane = (uint16_t)l,
                                   .slot = p < lane[l].invocation ? HG_NO_SLOT : lane[l].slot,
                                   .want = true,
                                   .want_logits = true};
        }
    }
    float *logits = malloc((size_t)rows * h->vocabulary * sizeof *logits);
    int32_t best[HARNESS_ROWS];
    assert_true(logits != NULL);
    hg_step step = {.row = row, .page = h->page, .rows = rows, .lanes = lanes};
    hg_result result = {.token = best, .logits = logits};
    hg_error error;
    harness_check(h->api->forward(h->device, &step, &result, &error), &error);
    for (uint32_t i = 0; i < rows; i++) {
        harness_lane *own = &lane[owner[i]];
        own->best[row[i].position] = best[i];
        memcpy(own->logits + (size_t)row[i].position * h->vocabulary,
               logits + (size_t)i * h->vocabulary, h->vocabulary * sizeof *logits);
        own->done = row[i].position + 1;
    }
    free(logits);
}

/* Runs all lanes to their ends, at most chunk rows of a lane a step. */
static inline void harness_run(harness *h, harness_lane *lane, uint32_t lanes, uint32_t chunk)
{
    for (uint32_t l = 0; l < lanes; l++) lane[l].done = 0;
    for (;;) {
        uint32_t take[HARNESS_LANES], left = HARNESS_ROWS, rows = 0;
        for (uint32_t l = 0; l < lanes; l++) {
            uint32_t n = lane[l].tokens - lane[l].done;
            n = n < chunk ? n : chunk;
            take[l] = n < left ? n : left;
            left -= take[l];
            rows += take[l];
        }
        if (!rows) break;
        harness_step(h, lane, lanes, take);
    }
}

/* |a - b|^2 / |b|^2 */
static inline double normalised_error(const float *a, const float *b, size_t n)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return size > 0 ? difference / size : difference;
}

#endif
