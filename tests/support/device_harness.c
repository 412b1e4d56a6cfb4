/* device_harness.c: see device_harness.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/device_harness.h"

void harness_check(hg_status status, const hg_error *error)
{
    if (status) print_error("%s\n", error->message);
    assert_int_equal(status, HG_OK);
}

static harness open_planned(const hg_weights *weights, const char *kernel, uint32_t threads,
                            const hg_device_plan *plan)
{
    harness h = {.api = hg_cpu_device(), .vocabulary = weights->shape.vocabulary};
    hg_device_options options = {.kernel = kernel, .threads = threads};
    hg_error error;
    harness_check(h.api->open(&options, &h.device, &error), &error);
    harness_check(h.api->load_model(h.device, weights, plan, &error), &error);
    /* Pages of a lane are neither in order nor together. */
    for (uint32_t i = 0; i < HARNESS_PAGES; i++) h.page[i] = i * 29 % HARNESS_PAGES;
    return h;
}

harness harness_open(const hg_weights *weights, const char *kernel, uint32_t threads)
{
    return open_planned(weights, kernel, threads, &harness_plan);
}

harness harness_open_dense(const hg_weights *weights, const char *kernel, uint8_t bits)
{
    hg_device_plan plan = harness_plan;
    plan.dense_bits = bits;
    return open_planned(weights, kernel, 2, &plan);
}

void harness_close(harness *h)
{
    h->api->close(h->device);
}

void harness_put(harness *h, uint16_t slot, const hg_lora_weights *weights, size_t piece)
{
    hg_error error;
    bool done = false;
    harness_check(h->api->put_adapter_begin(h->device, slot, weights, &error), &error);
    while (!done)
        harness_check(h->api->put_adapter_step(h->device, slot, piece, &done, &error), &error);
    harness_check(h->api->put_adapter_commit(h->device, slot, &error), &error);
}

void harness_lane_new(harness_lane *lane, random_source *r, uint32_t tokens, uint16_t slot,
                      uint32_t vocabulary)
{
    assert(tokens && tokens <= HARNESS_LANE_PAGES * HG_LIMIT_PAGE_TOKENS);
    memset(lane, 0, sizeof *lane);
    lane->tokens = tokens;
    lane->slot = slot;
    for (uint32_t i = 0; i < tokens; i++) lane->token[i] = (int32_t)random_below(r, vocabulary);
    for (uint32_t i = 0; i < HG_LIMIT_STOP_TOKENS; i++) lane->stop[i] = HG_NO_STOP;
    lane->best = malloc(tokens * sizeof *lane->best);
    lane->stopped = malloc(tokens * sizeof *lane->stopped);
    lane->logits = malloc((size_t)tokens * vocabulary * sizeof(float));
    assert_true(lane->best && lane->stopped && lane->logits);
}

void harness_lane_free(harness_lane *lane)
{
    free(lane->best);
    free(lane->stopped);
    free(lane->logits);
}

void harness_step(harness *h, harness_lane *lane, uint32_t lanes, const uint32_t *chunk)
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
    int32_t best[HARNESS_ROWS], stop[HARNESS_LANES * HG_LIMIT_STOP_TOKENS];
    bool stopped[HARNESS_ROWS];
    assert(logits); /* not assert_true, which the analyzer takes to come back */
    for (uint32_t l = 0; l < lanes; l++)
        memcpy(stop + (size_t)l * HG_LIMIT_STOP_TOKENS, lane[l].stop, sizeof lane[l].stop);
    hg_step step = {.row = row, .page = h->page, .stop = stop, .rows = rows, .lanes = lanes};
    hg_result result = {.token = best, .stopped = stopped, .logits = logits};
    hg_error error;
    harness_check(h->api->forward(h->device, &step, &result, &error), &error);
    for (uint32_t i = 0; i < rows; i++) {
        harness_lane *own = &lane[owner[i]];
        own->best[row[i].position] = best[i];
        own->stopped[row[i].position] = stopped[i];
        assert_int_equal(stopped[i], hg_token_stops(own->stop, best[i]));
        memcpy(own->logits + (size_t)row[i].position * h->vocabulary,
               logits + (size_t)i * h->vocabulary, h->vocabulary * sizeof *logits);
        own->done = row[i].position + 1;
    }
    free(logits);
}

void harness_run(harness *h, harness_lane *lane, uint32_t lanes, uint32_t chunk)
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

void harness_stops(harness *h)
{
    harness_lane lane[2];
    random_source r = {77};
    for (int l = 0; l < 2; l++) harness_lane_new(&lane[l], &r, 20, HG_NO_SLOT, h->vocabulary);
    harness_run(h, lane, 2, 20);
    for (int l = 0; l < 2; l++)
        for (uint32_t p = 0; p < 20; p++) assert_false(lane[l].stopped[p]);
    lane[0].stop[HG_LIMIT_STOP_TOKENS - 1] = lane[0].best[7];
    lane[0].stop[3] = lane[1].best[0];
    lane[1].stop[0] = lane[1].best[19];
    harness_run(h, lane, 2, 6);
    assert_true(lane[0].stopped[7] && lane[1].stopped[19]);
    for (int l = 0; l < 2; l++) harness_lane_free(&lane[l]);
}

double normalised_error(const float *a, const float *b, size_t n)
{
    double difference = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return size > 0 ? difference / size : difference;
}
