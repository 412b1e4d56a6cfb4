/* cuda_help.h: small random models on the CUDA device, beside the CPU reference. */
#ifndef HG_TESTS_CUDA_HELP_H
#define HG_TESTS_CUDA_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "kernels/cuda/cuda.h"
#include "tests/support/device_harness.h"
#include "tests/unit/cuda_card.h"

static const hg_shape small = {.vocabulary = 103,
                               .hidden = 128,
                               .intermediate = 256,
                               .layers = 2,
                               .heads = 4,
                               .kv_heads = 2,
                               .head_dim = 32,
                               .positions = 512,
                               .rms_epsilon = 1e-5f};

/* All layers in one form; a head of type HG_QUANTISED has 8 bits. */
static inline random_model *new_model(uint64_t seed, const hg_shape *shape, random_form form,
                                      hg_dtype head)
{
    random_form all[HG_PROJECTIONS];
    for (int i = 0; i < HG_PROJECTIONS; i++) all[i] = form;
    if (head != HG_QUANTISED) return random_model_new(seed, shape, all, head);
    random_model *model = random_model_new(seed, shape, all, HG_F16);
    random_source r = {seed};
    model->weights.head = random_table(&model->owner, &r, shape->vocabulary, shape->hidden,
                                       (random_form){.group = 16, .bits = 8});
    return model;
}

static inline harness open_cuda(const hg_weights *weights)
{
    harness h = {.api = hg_cuda_device(), .vocabulary = weights->shape.vocabulary};
    hg_device_options options = {0};
    hg_error error;
    harness_check(h.api->open(&options, &h.device, &error), &error);
    harness_check(h.api->load_model(h.device, weights, &harness_plan, &error), &error);
    for (uint32_t i = 0; i < HARNESS_PAGES; i++) h.page[i] = i * 29 % HARNESS_PAGES;
    return h;
}

/* Closes the device and asks what it left behind. */
static inline void close_cuda(harness *h)
{
    harness_close(h);
    assert_int_equal(card_held(), 0);
    const char *fault = card_fault();
    if (fault) fail_msg("%s", fault);
}

static inline void free_lanes(harness_lane *lane, int lanes)
{
    for (int i = 0; i < lanes; i++) harness_lane_free(&lane[i]);
}

typedef struct fixture {
    random_model *model;
    random_adapter *adapter[3];
    harness cuda, cpu;
} fixture;

static inline fixture open_fixture(void)
{
    fixture f = {.model = new_model(7, &small, (random_form){.group = 32, .bits = 4}, HG_QUANTISED),
                 .adapter = {random_adapter_new(11, &small, 0, HG_F32),
                             random_adapter_new(12, &small, 5, HG_F16),
                             random_adapter_new(13, &small, 64, HG_BF16)}};
    f.cuda = open_cuda(&f.model->weights);
    f.cpu = harness_open(&f.model->weights, "reference", 1);
    for (uint16_t i = 0; i < 3; i++) {
        harness_put(&f.cuda, i, &f.adapter[i]->weights, 1000);
        harness_put(&f.cpu, i, &f.adapter[i]->weights, 1 << 20);
    }
    return f;
}

static inline void close_fixture(fixture *f)
{
    harness_close(&f->cpu);
    close_cuda(&f->cuda);
    for (int i = 0; i < 3; i++) random_adapter_free(f->adapter[i]);
    random_model_free(f->model);
}

#endif
