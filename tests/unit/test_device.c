/* test_device.c: the contract of kernels/device.h, for every kernel family of this processor.
 *
 * What a row gives depends on its own lane only, to the bit: alone or in company, whole prompts or
 * chunks, any number of threads, beside any adapters. Slots and pages do what the engine needs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/device_harness.h"
#include "tests/unit/device_shape.h"

static random_model *new_model(void)
{
    random_form form[HG_PROJECTIONS];
    for (int i = 0; i < HG_PROJECTIONS; i++) form[i] = (random_form){32, 4, RANDOM_SYMMETRIC};
    return random_model_new(7, &shape, form, HG_F16);
}

/* Calls test once for each family that runs here. */
static void each_family(void (*test)(const char *kernel))
{
    for (const char *const *name = hg_cpu_kernels(); *name; name++) test(*name);
}

static void assert_same(const harness_lane *a, const harness_lane *b)
{
    assert_int_equal(a->tokens, b->tokens);
    assert_memory_equal(a->best, b->best, a->tokens * sizeof *a->best);
    assert_memory_equal(a->logits, b->logits, a->tokens * shape.vocabulary * sizeof(float));
}

static bool differ(const harness_lane *a, const harness_lane *b)
{
    return memcmp(a->logits, b->logits, a->tokens * shape.vocabulary * sizeof(float)) != 0;
}

/* Five lanes of different lengths and adapters, the same each time. */
#define COMPANY 5
static void new_company(harness_lane *lane)
{
    static const uint32_t tokens[COMPANY] = {37, 16, 1, 50, 23};
    static const uint16_t slot[COMPANY] = {0, 1, HG_NO_SLOT, 2, 0};
    random_source r = {3};
    for (int i = 0; i < COMPANY; i++)
        harness_lane_new(&lane[i], &r, tokens[i], slot[i], shape.vocabulary);
    lane[3].invocation = 20;
}

static void free_lanes(harness_lane *lane, int lanes)
{
    for (int i = 0; i < lanes; i++) harness_lane_free(&lane[i]);
}

typedef struct fixture {
    random_model *model;
    random_adapter *adapter[3];
} fixture;

static fixture new_fixture(void)
{
    fixture f = {new_model(),
                 {random_adapter_new(11, &shape, 0, HG_F32),
                  random_adapter_new(12, &shape, 5, HG_F16),
                  random_adapter_new(13, &shape, 64, HG_BF16)}};
    return f;
}

static void free_fixture(fixture *f)
{
    for (int i = 0; i < 3; i++) random_adapter_free(f->adapter[i]);
    random_model_free(f->model);
}

static harness open_fixture(const fixture *f, const char *kernel, uint32_t threads)
{
    harness h = harness_open(&f->model->weights, kernel, threads);
    for (uint16_t i = 0; i < 3; i++) harness_put(&h, i, &f->adapter[i]->weights, 1000);
    return h;
}

static void company_is_nothing(const char *kernel)
{
    fixture f = new_fixture();
    harness_lane alone[COMPANY], together[COMPANY];
    new_company(alone);
    new_company(together);
    harness h = open_fixture(&f, kernel, 1);
    for (int i = 0; i < COMPANY; i++) harness_run(&h, &alone[i], 1, 1);
    static const uint32_t threads[] = {1, 2, 3}, chunk[] = {1, 7, 16, 33};
    for (size_t t = 0; t < 3; t++) {
        harness many = open_fixture(&f, kernel, threads[t]);
        for (size_t c = 0; c < 4; c++) {
            harness_run(&many, together, COMPANY, chunk[c]);
            for (int i = 0; i < COMPANY; i++) assert_same(&alone[i], &together[i]);
        }
        harness_close(&many);
    }
    assert_true(differ(&alone[0], &alone[3])); /* the comparison can fail */
    harness_close(&h);
    free_lanes(alone, COMPANY);
    free_lanes(together, COMPANY);
    free_fixture(&f);
}

static void test_company(void **state)
{
    (void)state;
    each_family(company_is_nothing);
}

/* Slot contents: none, scale 0, replaced, dropped and put again. */
static void slots_hold_what_was_put(const char *kernel)
{
    fixture f = new_fixture();
    harness h = open_fixture(&f, kernel, 2);
    random_source r = {5};
    harness_lane base, zero, one, again;
    harness_lane_new(&base, &r, 20, HG_NO_SLOT, shape.vocabulary);
    r.state = 5;
    harness_lane_new(&zero, &r, 20, 3, shape.vocabulary);
    r.state = 5;
    harness_lane_new(&one, &r, 20, 1, shape.vocabulary);
    r.state = 5;
    harness_lane_new(&again, &r, 20, 4, shape.vocabulary);

    random_adapter *nothing = random_adapter_new(12, &shape, 5, HG_F16);
    hg_lora_layer *layer = (hg_lora_layer *)(uintptr_t)nothing->weights.layer;
    for (uint32_t i = 0; i < shape.layers * HG_PROJECTIONS; i++)
        layer[i / HG_PROJECTIONS].pair[i % HG_PROJECTIONS].scale = 0;
    harness_put(&h, 3, &nothing->weights, 1 << 20);
    harness_put(&h, 4, &f.adapter[2]->weights, 1);
    harness_run(&h, &base, 1, 20);
    harness_run(&h, &zero, 1, 20);
    harness_run(&h, &one, 1, 20);
    assert_same(&base, &zero);
    assert_true(differ(&base, &one));
    harness_run(&h, &again, 1, 20);
    assert_true(differ(&one, &again));
    h.api->drop_adapter(h.device, 4);
    harness_put(&h, 4, &f.adapter[1]->weights, 300);
    harness_run(&h, &again, 1, 20);
    assert_same(&one, &again);

    harness_close(&h);
    harness_lane *all[] = {&base, &zero, &one, &again};
    for (int i = 0; i < 4; i++) harness_lane_free(all[i]);
    random_adapter_free(nothing);
    free_fixture(&f);
}

static void test_slots(void **state)
{
    (void)state;
    each_family(slots_hold_what_was_put);
}

static void slot_errors_are_told(const char *kernel)
{
    fixture f = new_fixture();
    harness h = harness_open(&f.model->weights, kernel, 1);
    const hg_device_api *api = h.api;
    const hg_lora_weights *w = &f.adapter[0]->weights;
    hg_error error;
    bool done;
    assert_int_equal(api->put_adapter_begin(h.device, HARNESS_SLOTS, w, &error), HG_ERROR_ARGUMENT);
    assert_int_equal(api->put_adapter_step(h.device, 0, 1, &done, &error), HG_ERROR_STATE);
    assert_string_equal(error.message, "adapter slot 0 is empty, not loading");
    harness_check(api->put_adapter_begin(h.device, 0, w, &error), &error);
    assert_int_equal(api->put_adapter_begin(h.device, 0, w, &error), HG_ERROR_STATE);
    assert_int_equal(api->put_adapter_commit(h.device, 0, &error), HG_ERROR_STATE);
    harness_check(api->put_adapter_step(h.device, 0, 1, &done, &error), &error);
    assert_false(done);
    hg_row row = {.slot = 0, .want = true};
    hg_step step = {.row = &row, .page = h.page, .rows = 1, .lanes = 1};
    int32_t token = -7;
    hg_result result = {.token = &token};
    assert_int_equal(api->forward(h.device, &step, &result, &error), HG_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "wrong adapter slot"));
    assert_int_equal(token, -7);

    hg_device_memory before, after;
    api->memory(h.device, &before);
    assert_true(before.adapters_bytes > 0 && before.pages_bytes > 0);
    api->drop_adapter(h.device, 0);
    api->memory(h.device, &after);
    assert_int_equal(after.adapters_bytes, 0);
    harness_put(&h, 0, w, 100);
    harness_check(api->forward(h.device, &step, &result, &error), &error);
    assert_true(token >= 0 && token < (int32_t)shape.vocabulary);
    harness_close(&h);
    free_fixture(&f);
}

static void test_slot_errors(void **state)
{
    (void)state;
    each_family(slot_errors_are_told);
}

/* An upload's step reads about as many bytes as it was told. */
static void uploads_are_bounded(const char *kernel)
{
    fixture f = new_fixture();
    harness h = harness_open(&f.model->weights, kernel, 1);
    const hg_lora_weights *w = &f.adapter[2]->weights;
    hg_error error;
    bool done = false;
    uint32_t calls = 0;
    harness_check(h.api->put_adapter_begin(h.device, 0, w, &error), &error);
    for (; !done; calls++)
        harness_check(h.api->put_adapter_step(h.device, 0, 4096, &done, &error), &error);
    /* The largest block here is 16 rows of 160 BF16 columns: at most 5,120 bytes too many. */
    assert_true(calls >= w->bytes / (4096 + 5120) && calls <= w->bytes / 4096 + 1);
    harness_close(&h);
    free_fixture(&f);
}

static void test_uploads(void **state)
{
    (void)state;
    each_family(uploads_are_bounded);
}

/* A lane that parts from another goes on from a copied page as if it had computed all itself. */
static void pages_are_copied(const char *kernel)
{
    fixture f = new_fixture();
    harness h = open_fixture(&f, kernel, 2);
    random_source r = {9};
    harness_lane lane[2];
    harness_lane_new(&lane[0], &r, 40, 1, shape.vocabulary);
    r.state = 9;
    harness_lane_new(&lane[1], &r, 40, 1, shape.vocabulary);
    harness_run(&h, &lane[0], 1, 9);
    /* Lane 1 shares the first page, copies 5 tokens of the second and computes the rest. */
    uint32_t *own = h.page + HARNESS_LANE_PAGES;
    hg_error error;
    uint32_t keep = own[0];
    own[0] = h.page[0];
    harness_check(h.api->copy_page(h.device, h.page[1], own[1], 5, &error), &error);
    memcpy(lane[1].best, lane[0].best, 21 * sizeof *lane[0].best);
    memcpy(lane[1].logits, lane[0].logits, 21 * shape.vocabulary * sizeof(float));
    lane[0].done = 39;
    lane[1].done = 21;
    harness_step(&h, lane, 2, (uint32_t[]){1, 19});
    assert_same(&lane[0], &lane[1]);
    own[0] = keep;
    assert_int_equal(h.api->copy_page(h.device, 0, HARNESS_PAGES, 5, &error), HG_ERROR_ARGUMENT);
    assert_int_equal(h.api->copy_page(h.device, 0, 1, 17, &error), HG_ERROR_ARGUMENT);
    harness_close(&h);
    free_lanes(lane, 2);
    free_fixture(&f);
}

static void test_pages(void **state)
{
    (void)state;
    each_family(pages_are_copied);
}

/* Steps that would read or write outside the device's memory are refused and change nothing. */
static void bad_steps_are_refused(const char *kernel)
{
    fixture f = new_fixture();
    harness h = open_fixture(&f, kernel, 1);
    const hg_row good = {.token = 1, .slot = HG_NO_SLOT, .want = true};
    hg_row bad[6] = {good, good, good, good, good, good};
    bad[0].token = (int32_t)shape.vocabulary;
    bad[1].token = -1;
    bad[2].lane = 1;
    bad[3].position = HARNESS_LANE_PAGES * HG_LIMIT_PAGE_TOKENS;
    bad[4].slot = HARNESS_SLOTS;
    bad[5].position = 16;
    static const char *const word[] = {"token",    "token",        "lane",
                                       "position", "adapter slot", "page"};
    uint32_t page[HARNESS_LANE_PAGES] = {0, HARNESS_PAGES};
    hg_error error;
    for (int i = 0; i < 6; i++) {
        int32_t token = -7;
        hg_result result = {.token = &token};
        hg_step step = {.row = &bad[i], .page = page, .rows = 1, .lanes = 1};
        assert_int_equal(h.api->forward(h.device, &step, &result, &error), HG_ERROR_ARGUMENT);
        assert_non_null(strstr(error.message, word[i]));
        assert_int_equal(token, -7);
    }
    hg_row gap[2] = {good, good};
    gap[1].position = 2;
    hg_step step = {.row = gap, .page = page, .rows = 2, .lanes = 1};
    hg_result result = {0};
    assert_int_equal(h.api->forward(h.device, &step, &result, &error), HG_ERROR_ARGUMENT);
    harness_close(&h);
    free_fixture(&f);
}

static void test_bad_steps(void **state)
{
    (void)state;
    each_family(bad_steps_are_refused);
}

/* Results are written only where they were asked for. */
static void only_wanted_rows_are_written(const char *kernel)
{
    fixture f = new_fixture();
    harness h = open_fixture(&f, kernel, 2);
    enum { ROWS = 19 };
    hg_row row[ROWS];
    int32_t token[ROWS + 2];
    float *logits = malloc((3 * shape.vocabulary + 1) * sizeof *logits);
    for (uint32_t i = 0; i < ROWS; i++) {
        row[i] = (hg_row){.token = (int32_t)i, .position = i, .slot = 0, .want = i % 3 == 0};
        row[i].want_logits = i == 3 || i == 4 || i == 18;
    }
    for (int i = 0; i < ROWS + 2; i++) token[i] = -7;
    for (uint32_t i = 0; i < 3 * shape.vocabulary + 1; i++) logits[i] = -77;
    hg_step step = {.row = row, .page = h.page, .rows = ROWS, .lanes = 1};
    hg_result result = {.token = token + 1, .logits = logits};
    hg_error error;
    harness_check(h.api->forward(h.device, &step, &result, &error), &error);
    assert_int_equal(token[0], -7);
    assert_int_equal(token[ROWS + 1], -7);
    uint32_t used = 0;
    for (uint32_t i = 0; i < ROWS; i++) {
        assert_int_equal(token[i + 1] >= 0, row[i].want || row[i].want_logits);
        if (!row[i].want_logits) continue;
        uint32_t best = 0;
        const float *own = logits + used++ * shape.vocabulary;
        for (uint32_t v = 0; v < shape.vocabulary; v++) best = own[v] > own[best] ? v : best;
        assert_int_equal(token[i + 1], best);
    }
    assert_true(logits[3 * shape.vocabulary] == -77);
    free(logits);
    harness_close(&h);
    free_fixture(&f);
}

static void test_wanted(void **state)
{
    (void)state;
    each_family(only_wanted_rows_are_written);
}

static void stops_are_told(const char *kernel)
{
    fixture f = new_fixture();
    harness h = open_fixture(&f, kernel, 2);
    harness_stops(&h);
    harness_close(&h);
    free_fixture(&f);
}

static void test_stops(void **state)
{
    (void)state;
    each_family(stops_are_told);
}

static void test_open(void **state)
{
    (void)state;
    const hg_device_api *api = hg_cpu_device();
    hg_error error;
    hg_device *device;
    hg_device_options options = {.kernel = "mmx"};
    assert_int_equal(api->open(&options, &device, &error), HG_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "--kernel mmx"));
    assert_non_null(strstr(error.message, "reference"));
    options = (hg_device_options){.threads = 65};
    assert_int_equal(api->open(&options, &device, &error), HG_ERROR_LIMIT);
    options = (hg_device_options){.threads = 1, .memory_bytes = 10000};
    assert_int_equal(api->open(&options, &device, &error), HG_OK);
    hg_device_info info;
    api->describe(device, &info);
    assert_string_equal(info.kernel, hg_cpu_kernels()[0]);
    assert_int_equal(info.threads, 1);
    random_model *model = new_model();
    assert_int_equal(api->load_model(device, &model->weights, &harness_plan, &error),
                     HG_ERROR_LIMIT);
    assert_non_null(strstr(error.message, "--device-memory 10000"));
    api->close(device);
    api->close(NULL);
    random_model_free(model);
}

/* A model whose layers add nothing, and whose head has two all but equal rows for each of PAIRS
 * tokens, along that token's normed embedding: INT8 cannot tell them apart. The second of the rows
 * is the higher one for odd tokens, the lower one for even ones. */
enum { PAIRS = 16 };
static random_model *new_near_ties(void)
{
    random_form form[HG_PROJECTIONS];
    for (int i = 0; i < HG_PROJECTIONS; i++) form[i] = (random_form){32, 4, RANDOM_SYMMETRIC};
    random_model *m = random_model_new(11, &shape, form, HG_F32);
    for (uint32_t l = 0; l < shape.layers; l++) {
        const hg_linear *w = m->weights.layer[l].linear;
        memset((void *)w[HG_O].scales, 0, w[HG_O].rows * w[HG_O].columns / 32 * 2);
        memset((void *)w[HG_DOWN].scales, 0, w[HG_DOWN].rows * w[HG_DOWN].columns / 32 * 2);
    }
    const float *embedding = m->weights.embedding.data;
    float *head = (float *)m->weights.head.data;
    for (uint32_t i = 0; i < PAIRS * shape.hidden; i++) {
        uint32_t token = i / shape.hidden, c = i % shape.hidden;
        float *first = &head[2 * token * shape.hidden + c];
        first[0] = embedding[i] * m->weights.final_norm[c];
        first[shape.hidden] = first[0] * (token % 2 ? 1.00001f : 0.99999f);
    }
    return m;
}

static void near_ties_are_settled(const char *kernel)
{
    random_model *m = new_near_ties();
    harness h = harness_open(&m->weights, kernel, 2);
    for (int32_t t = 0; t < PAIRS; t++) {
        hg_row row = {.token = t, .slot = HG_NO_SLOT, .want = true};
        hg_step step = {.row = &row, .page = h.page, .rows = 1, .lanes = 1};
        int32_t token = -1;
        hg_result result = {.token = &token};
        hg_error error;
        harness_check(h.api->forward(h.device, &step, &result, &error), &error);
        assert_int_equal(token, 2 * t + t % 2);
    }
    harness_close(&h);
    random_model_free(m);
}

static void test_near_ties(void **state)
{
    (void)state;
    each_family(near_ties_are_settled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),      cmocka_unit_test(test_company),
        cmocka_unit_test(test_slots),     cmocka_unit_test(test_slot_errors),
        cmocka_unit_test(test_uploads),   cmocka_unit_test(test_pages),
        cmocka_unit_test(test_bad_steps), cmocka_unit_test(test_wanted),
        cmocka_unit_test(test_stops),     cmocka_unit_test(test_near_ties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
