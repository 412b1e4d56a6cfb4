/* test_gguf_models.c: small Llama models as GGUF files of every type that is read, against
 * transformers on the values that the gguf package gives them: tests/golden/gguf_models.tar.xz,
 * made by make_gguf_models.py. test_smollm2.c has a real file.
 *
 * - reference: normalised error of the logits at most 1e-6, arg-max equal everywhere. Q4_K and
 * Q6_K, whose scales are rounded to F16, hold that against transformers with the same rounding;
 * against the file's own values K_ERROR, of weights that changed by what the model states.
 * - a faster family: within FAST_ERROR of the file's own values; dense layers rounded to 8 bits.
 */
#include "tests/support/device_harness.h"
#include "tests/support/small_models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/model.h"

#define REFERENCE_ERROR 1e-6
#define K_ERROR         1e-5
#define LOSS_MOST       4e-7 /* of weights, by the model's own statement */
#define FAST_ERROR      5e-3

enum { VOCABULARY = 96, POSITIONS = 20, KEPT = 3 };

static small_goldens golden;

static int set_up(void **state)
{
    (void)state;
    small_open("tests/golden/gguf_models.tar.xz", &golden);
    assert_int_equal(golden.strided, VOCABULARY);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    small_close(&golden);
    return 0;
}

/* What the model says that rounding cost; 0 when it says nothing. */
static double stated_loss(const hg_model *model)
{
    const char *at = strstr(model->weights_form, "error ");
    return at ? strtod(at + strlen("error "), NULL) : 0;
}

/* A model's prompt on a device. */
typedef struct outcome {
    int32_t best[POSITIONS];
    float logits[POSITIONS * VOCABULARY];
} outcome;

static void run_prompt(hg_device *device, const json_t *entry, outcome *out)
{
    int32_t token[POSITIONS];
    small_lane lane = {.token = token,
                       .rows = POSITIONS,
                       .slot = HG_NO_SLOT,
                       .best = out->best,
                       .logits = out->logits};
    assert_int_equal(small_integers(entry, "prompt", token, POSITIONS), POSITIONS);
    small_run(device, VOCABULARY, &lane, 1, 7);
}

/* The worst error of the kept positions, whose first golden is row. */
static double worst_error(const outcome *o, const json_t *entry, uint64_t row)
{
    int32_t kept[KEPT];
    double worst = 0;
    assert_int_equal(small_integers(entry, "kept", kept, KEPT), KEPT);
    for (uint32_t i = 0; i < KEPT; i++) {
        double error = normalised_error(o->logits + (size_t)kept[i] * VOCABULARY,
                                        golden.logits + (row + i) * VOCABULARY, VOCABULARY);
        if (error > worst) worst = error;
    }
    return worst;
}

static uint32_t count_others(const outcome *o, const json_t *entry)
{
    int32_t want[POSITIONS];
    uint32_t others = 0;
    assert_int_equal(small_integers(entry, "best", want, POSITIONS), POSITIONS);
    for (uint32_t i = 0; i < POSITIONS; i++) others += o->best[i] != want[i];
    return others;
}

/* Loss as the model states it, errors, arg-maxes. */
static void judge(const char *kernel, const hg_model *model, const json_t *entry, const outcome *o,
                  uint64_t row)
{
    const bool reference = strcmp(kernel, "reference") == 0;
    const bool exact = json_is_true(json_object_get(entry, "exact"));
    const double loss = stated_loss(model), error = worst_error(o, entry, row);
    const double rounded = exact ? error : worst_error(o, entry, row + KEPT);
    const uint32_t others = count_others(o, entry);
    printf("%-10s %-15s %-46s error %.2e, with rounded scales %.2e; other arg-max %u\n", kernel,
           small_text(entry, "file"), model->weights_form, error, rounded, others);
    assert_true(exact ? loss == 0 : loss > 0 && loss <= LOSS_MOST);
    assert_true(error <= (!reference ? FAST_ERROR : exact ? REFERENCE_ERROR : K_ERROR));
    if (!reference) return;
    assert_true(rounded <= REFERENCE_ERROR);
    assert_true(exact || error > 100 * rounded); /* the rounding is there, and nothing else */
    assert_int_equal(others, 0);
}

static void run_model(const char *kernel, const json_t *entry, uint64_t row)
{
    char message[HG_ERROR_MESSAGE_MAX] = "";
    const bool reference = strcmp(kernel, "reference") == 0;
    const small_options options = {
        .kernel = kernel,
        .dense_bits = !reference && json_is_true(json_object_get(entry, "dense")) ? 8 : 0};
    static outcome out;
    hg_model *model = small_model(&golden, entry, "file");
    hg_device *device = small_device_with(&options, &model->weights, message, sizeof message);
    if (!device) fail_msg("%s", message);
    run_prompt(device, entry, &out);
    judge(kernel, model, entry, &out, row);
    hg_cpu_device()->close(device);
    hg_model_close(model);
}

static void test_forms(void **state)
{
    (void)state;
    for (const char *const *kernel = hg_cpu_kernels(); *kernel; kernel++) {
        size_t i;
        uint64_t row = 0;
        json_t *entry;
        json_array_foreach(golden.root, i, entry)
        {
            run_model(*kernel, entry, row);
            row += json_is_true(json_object_get(entry, "exact")) ? KEPT : 2 * KEPT;
        }
        assert_int_equal(i, 9);
        assert_int_equal(row, golden.rows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_forms)};
    return cmocka_run_group_tests_name("GGUF models", tests, set_up, tear_down);
}
