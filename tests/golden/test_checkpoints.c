/* test_checkpoints.c: one small Llama-3.1-shaped model in every form in which Hugging Face folders
 * hold weights, against transformers: tests/golden/checkpoints.tar.xz, made by make_checkpoints.py.
 *
 * - reference: normalised error of the logits at most 1e-6, arg-max equal everywhere.
 * - a faster family: quantised forms within FAST_ERROR; dense ones refused with what to do, then
 *   rounded to 8 bits within FAST_ERROR and to 4 within FAST_ERROR4. Random weights are a hard
 * case.
 */
#include "tests/support/device_harness.h"
#include "tests/support/small_models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/model.h"

#define REFERENCE_ERROR 1e-6
#define FAST_ERROR      2e-3
#define FAST_ERROR4     5e-2

static small_goldens golden;

static int set_up(void **state)
{
    (void)state;
    small_open("tests/golden/checkpoints.tar.xz", &golden);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    small_close(&golden);
    return 0;
}

/* Runs one case's prompt; tells the error of the kept rows, whose first golden is row, and how many
 * arg-maxes differ. */
static double run_device(hg_device *device, const json_t *entry, uint64_t row, uint32_t *differ)
{
    enum { VOCABULARY = 384, ROWS = 32 };
    int32_t token[ROWS], best[ROWS], want[ROWS], kept[8];
    float *logits = malloc((size_t)ROWS * VOCABULARY * sizeof *logits);
    small_lane lane = {.token = token,
                       .rows = small_integers(entry, "prompt", token, ROWS),
                       .slot = HG_NO_SLOT,
                       .best = best,
                       .logits = logits};
    double worst = 0;
    small_run(device, VOCABULARY, &lane, 1, 7);
    uint32_t count = small_integers(entry, "kept", kept, 8);
    for (uint32_t i = 0; i < count; i++) {
        double error = normalised_error(logits + (size_t)kept[i] * VOCABULARY,
                                        golden.logits + (row + i) * golden.strided, golden.strided);
        if (error > worst) worst = error;
    }
    assert_int_equal(small_integers(entry, "best", want, ROWS), lane.rows);
    *differ = 0;
    for (uint32_t i = 0; i < lane.rows; i++) *differ += best[i] != want[i];
    free(logits);
    return worst;
}

/* One form by one family; bits: what dense layers are rounded to. */
static void run_case(const char *kernel, const json_t *entry, uint64_t row, uint8_t bits)
{
    char message[HG_ERROR_MESSAGE_MAX] = "";
    bool reference = strcmp(kernel, "reference") == 0;
    bool dense = json_is_true(json_object_get(entry, "dense"));
    hg_model *model = small_model(&golden, entry, "folder");
    const small_options options = {.kernel = kernel, .dense_bits = bits};
    hg_device *device = small_device_with(&options, &model->weights, message, sizeof message);
    if (!device) {
        if (reference || !dense || bits) fail_msg("%s", message);
        assert_non_null(strstr(message, "--quantize int8"));
        assert_non_null(strstr(message, "model quantize"));
        assert_non_null(strstr(message, "--kernel reference"));
    } else {
        uint32_t differ;
        double error = run_device(device, entry, row, &differ);
        assert_false(!reference && dense && !bits);
        printf("%-10s %-22s %-46s dense %u: error %.2e, other arg-max %u\n", kernel,
               small_text(entry, "folder"), model->weights_form, bits, error, differ);
        double most = reference ? REFERENCE_ERROR : dense && bits == 4 ? FAST_ERROR4 : FAST_ERROR;
        if (!(error <= most)) fail_msg("error %g, at most %g", error, most);
        if (reference) assert_int_equal(differ, 0);
    }
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
            bool dense = json_is_true(json_object_get(entry, "dense"));
            for (uint32_t bits = 0; bits <= (dense ? 8u : 0u); bits += 4)
                run_case(*kernel, entry, row, (uint8_t)bits);
            row += json_array_size(json_object_get(entry, "kept"));
        }
        assert_int_equal(i, 23);
        assert_int_equal(row, golden.rows);
    }
}

/* What is called how, and that a layer in order lives only while it is held. */
static void test_names_and_holding(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *form;
    } want[] = {{"bf16-sharded", "BF16"},
                {"packed-int4-32-zeros", "compressed-tensors INT4 group 32 with zero points"},
                {"packed-ignore", "compressed-tensors INT4 group 32, 1 dense"},
                {"awq-128", "AutoAWQ INT4 group 128 with zero points"},
                {"gptq-int8", "GPTQ INT8 group 32"},
                {"gptq-int4-all", "GPTQ INT4 with zero points"}};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        json_t *entry = json_pack("{s:s}", "folder", want[i].folder);
        hg_model *model = small_model(&golden, entry, "folder");
        const hg_weights *w = &model->weights;
        const hg_linear *q = &w->layer[1].linear[HG_Q];
        hg_error error;
        assert_string_equal(model->weights_form, want[i].form);
        bool ordered = strstr(want[i].form, "AWQ") || strstr(want[i].form, "GPTQ");
        const uint8_t *zeros = q->zeros; /* who lays out memory asks a layer that nobody holds */
        for (int twice = 0; twice < 2 && ordered; twice++) {
            assert_null(q->codes);
            assert_ptr_equal(q->zeros, zeros);
            assert_int_equal(hg_hold_layer(w, 1, &error), HG_OK);
            assert_int_equal(hg_hold_layer(w, 1, &error), HG_OK);
            hg_release_layer(w, 1);
            assert_non_null(q->codes);
            hg_release_layer(w, 1);
        }
        json_decref(entry);
        hg_model_close(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_names_and_holding),
    };
    return cmocka_run_group_tests_name("checkpoints", tests, set_up, tear_down);
}
