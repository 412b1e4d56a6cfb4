/* test_model_goldens.c: every CPU kernel family against transformers + PEFT.
 *
 * tests/golden/model.safetensors (made by make_model_goldens.py) holds 500 sentences of ten
 * adapters with their greedy tokens and some of their logits. Each sentence runs as one step,
 * teacher-forced: the golden's own tokens are the history, so one difference cannot lead to the
 * next.
 *
 * - reference: normalised error of logits at most 1e-6; arg-max equal on 99.9 % of the tokens, each
 *   difference a near-tie.
 * - any faster family: arg-max equal on 98.5 % of the tokens; its error is printed.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model/adapter.h"
#include "core/model/model.h"
#include "core/model/safetensors.h"
#include "kernels/cpu/cpu.h"

#define ADAPTERS       10
#define STRIDED        64 /* logits kept of every eighth position */
#define EVERY          8
#define MIDDLE         25 /* the sentence of each adapter whose logits are kept whole */
#define ROWS           256
#define LANE_PAGES     (ROWS / HG_LIMIT_PAGE_TOKENS)
#define NEAR_TIE       2e-3 /* logit margin below which F32 rounding may choose the other token */
#define REFERENCE_NMSE 1e-6
#define FAST_AGREEMENT 0.985

typedef struct goldens {
    hg_safetensors file;
    const int32_t *adapter, *tokens, *start, *prompt, *argmax; /* as make_model_goldens.py says */
    const float *margin, *strided, *full, *base_full;
    uint32_t sentences, decoded;
    hg_model *model;
    hg_adapter *plugin[ADAPTERS];
} goldens;

/* What one kernel family did over all sentences. */
typedef struct tally {
    uint32_t position, equal, near_ties, strided_row;
    double strided_error, strided_norm, full_error; /* full_error: the worst of the adapters' */
} tally;

static goldens golden;

static const void *tensor(const char *name, hg_tensor_type type, uint64_t *first_dimension)
{
    const hg_tensor *t = hg_safetensors_find(&golden.file, name);
    if (!t) fail_msg("model.safetensors has no tensor %s", name);
    assert_int_equal(t->type, type);
    if (first_dimension) *first_dimension = t->shape[0];
    return t->data;
}

static void load_goldens(void)
{
    hg_error error;
    if (hg_safetensors_open("tests/golden/model.safetensors", &golden.file, &error))
        fail_msg("%s", error.message);
    uint64_t sentences, decoded;
    golden.adapter = tensor("adapter", HG_TENSOR_I32, &sentences);
    golden.tokens = tensor("tokens", HG_TENSOR_I32, NULL);
    golden.start = tensor("start", HG_TENSOR_I32, NULL);
    golden.prompt = tensor("prompt", HG_TENSOR_I32, NULL);
    golden.argmax = tensor("argmax", HG_TENSOR_I32, &decoded);
    golden.margin = tensor("margin", HG_TENSOR_F32, NULL);
    golden.strided = tensor("strided", HG_TENSOR_F32, NULL);
    golden.full = tensor("full", HG_TENSOR_F32, NULL);
    golden.base_full = tensor("base_full", HG_TENSOR_F32, NULL);
    golden.sentences = (uint32_t)sentences;
    golden.decoded = (uint32_t)decoded;
    assert_int_equal(golden.sentences, 500);
}

static int set_up(void **state)
{
    (void)state;
    static const char *const names[ADAPTERS] = {"de", "en", "es", "fr", "ja",
                                                "nl", "ru", "sv", "tr", "zh"};
    hg_error error;
    load_goldens();
    if (hg_model_open("models/hydra-tiny", &golden.model, &error)) fail_msg("%s", error.message);
    for (int i = 0; i < ADAPTERS; i++) {
        char folder[64];
        snprintf(folder, sizeof folder, "plugins/%s", names[i]);
        if (hg_adapter_open(folder, &golden.model->weights.shape, &golden.plugin[i], &error))
            fail_msg("%s", error.message);
    }
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int i = 0; i < ADAPTERS; i++) hg_adapter_close(golden.plugin[i]);
    hg_model_close(golden.model);
    hg_safetensors_close(&golden.file);
    return 0;
}

static void put_adapter(const hg_device_api *api, hg_device *device, uint16_t slot)
{
    hg_error error;
    bool done = false;
    hg_status status = api->put_adapter_begin(device, slot, &golden.plugin[slot]->lora, &error);
    while (!status && !done)
        status = api->put_adapter_step(device, slot, HG_LIMIT_ADAPTER_PIECE, &done, &error);
    if (!status) status = api->put_adapter_commit(device, slot, &error);
    if (status) fail_msg("%s", error.message);
}

static hg_device *open_device(const char *kernel)
{
    const hg_device_api *api = hg_cpu_device();
    hg_device_plan plan = {.pages = LANE_PAGES,
                           .lane_pages = LANE_PAGES,
                           .step_rows = ROWS,
                           .step_lanes = 1,
                           .adapter_slots = ADAPTERS};
    hg_device *device;
    hg_error error;
    hg_device_options options = {.kernel = kernel};
    if (api->open(&options, &device, &error)) fail_msg("%s", error.message);
    if (api->load_model(device, &golden.model->weights, &plan, &error))
        fail_msg("%s", error.message);
    for (uint16_t slot = 0; slot < ADAPTERS; slot++) put_adapter(api, device, slot);
    return device;
}

/* |a - b|^2 */
static double squared_distance(const float *a, const float *b, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sum;
}

static double squared_norm(const float *a, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)a[i] * a[i];
    return sum;
}

/* Runs one sentence; logits [decoded rows of the sentence, vocabulary] and token [rows]. */
static void run_sentence(hg_device *device, uint32_t s, bool adapted, int32_t *token, float *logits)
{
    const int32_t *id = golden.tokens + golden.start[s];
    uint32_t rows =
        (uint32_t)(golden.start[s + 1] - golden.start[s]) - 1; /* the last is output only */
    uint32_t prompt = (uint32_t)golden.prompt[s];
    uint16_t slot = adapted ? (uint16_t)golden.adapter[s] : HG_NO_SLOT;
    assert_true(rows <= ROWS);
    hg_row row[ROWS];
    uint32_t page[LANE_PAGES];
    for (uint32_t i = 0; i < LANE_PAGES; i++) page[i] = LANE_PAGES - 1 - i;
    for (uint32_t i = 0; i < rows; i++) {
        bool wanted = i + 1 >= prompt; /* the invocation token is the prompt's last */
        row[i] = (hg_row){.token = id[i],
                          .position = i,
                          .slot = wanted ? slot : HG_NO_SLOT,
                          .want = wanted,
                          .want_logits = wanted};
    }
    hg_step step = {.row = row, .page = page, .rows = rows, .lanes = 1};
    hg_result result = {.token = token, .logits = logits};
    hg_error error;
    if (hg_cpu_device()->forward(device, &step, &result, &error)) fail_msg("%s", error.message);
}

/* Compares one sentence's rows with the goldens and adds to the tally. */
static void compare(uint32_t s, const int32_t *token, const float *logits, tally *t)
{
    uint32_t vocabulary = golden.model->weights.shape.vocabulary;
    uint32_t prompt = (uint32_t)golden.prompt[s];
    uint32_t rows = (uint32_t)(golden.start[s + 1] - golden.start[s]) - 1;
    for (uint32_t i = prompt - 1; i < rows; i++, t->position++) {
        const float *mine = logits + (size_t)(i + 1 - prompt) * vocabulary;
        bool equal = token[i] == golden.argmax[t->position];
        t->equal += equal;
        t->near_ties += !equal && golden.margin[t->position] < NEAR_TIE;
        if (t->position % EVERY == 0) {
            float strided[STRIDED];
            for (int j = 0; j < STRIDED; j++) strided[j] = mine[j * (vocabulary / STRIDED)];
            const float *want = golden.strided + (size_t)t->strided_row++ * STRIDED;
            t->strided_error += squared_distance(strided, want, STRIDED);
            t->strided_norm += squared_norm(want, STRIDED);
        }
    }
    if (s % 50 == MIDDLE) {
        uint32_t middle = (rows + 1 - prompt) / 2;
        const float *want = golden.full + (size_t)golden.adapter[s] * vocabulary;
        double error = squared_distance(logits + (size_t)middle * vocabulary, want, vocabulary) /
                       squared_norm(want, vocabulary);
        if (error > t->full_error) t->full_error = error;
    }
}

/* The base alone, at the position of the first adapter's kept logits. */
static double base_error(hg_device *device, int32_t *token, float *logits)
{
    uint32_t vocabulary = golden.model->weights.shape.vocabulary;
    run_sentence(device, MIDDLE, false, token, logits);
    uint32_t rows = (uint32_t)(golden.start[MIDDLE + 1] - golden.start[MIDDLE]) - 1;
    uint32_t middle = (rows + 1 - (uint32_t)golden.prompt[MIDDLE]) / 2;
    return squared_distance(logits + (size_t)middle * vocabulary, golden.base_full, vocabulary) /
           squared_norm(golden.base_full, vocabulary);
}

static void run_family(const char *kernel)
{
    bool reference = strcmp(kernel, "reference") == 0;
    hg_device *device = open_device(kernel);
    size_t vocabulary = golden.model->weights.shape.vocabulary;
    float *logits = malloc(ROWS * vocabulary * sizeof *logits); /* [ROWS, vocabulary] */
    int32_t token[ROWS];
    assert_non_null(logits);
    tally t = {0};
    for (uint32_t s = 0; s < golden.sentences; s++) {
        run_sentence(device, s, true, token, logits);
        compare(s, token, logits, &t);
    }
    double alone = base_error(device, token, logits);
    double strided = t.strided_error / t.strided_norm;
    printf("%-12s %u tokens, equal %.3f %%, other than near-ties %u; error of logits: whole %.2e, "
           "strided %.2e, base alone %.2e\n",
           kernel, t.position, 100.0 * t.equal / t.position, t.position - t.equal - t.near_ties,
           t.full_error, strided, alone);
    assert_int_equal(t.position, golden.decoded);
    double least = reference ? 0.999 : FAST_AGREEMENT;
    assert_true(t.equal >= least * t.position);
    if (reference) {
        assert_int_equal(t.equal + t.near_ties, t.position);
        assert_true(t.full_error <= REFERENCE_NMSE && strided <= REFERENCE_NMSE);
        assert_true(alone <= REFERENCE_NMSE);
    }
    free(logits);
    hg_cpu_device()->close(device);
}

static void test_families(void **state)
{
    (void)state;
    for (const char *const *kernel = hg_cpu_kernels(); *kernel; kernel++) run_family(*kernel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_families)};
    return cmocka_run_group_tests_name("model goldens", tests, set_up, tear_down);
}
