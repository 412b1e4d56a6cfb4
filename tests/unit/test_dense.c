/* test_dense.c: layers that are not quantised, and models that a kernel family cannot take.
 *
 * The reference runs dense layers as they are; the fast families round them to the bits that the
 * plan says, and refuse them, and shapes that they have no code for, by a message that says what to
 * do.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdatomic.h>
#include <string.h>

#include "kernels/cpu/convert.h"
#include "tests/support/device_harness.h"

/* No width is a multiple of 32, so all is packed in groups of 16. */
static const hg_shape dense_shape = {.vocabulary = 90,
                                     .hidden = 144,
                                     .intermediate = 176,
                                     .layers = 2,
                                     .heads = 6,
                                     .kv_heads = 2,
                                     .head_dim = 48,
                                     .positions = 96,
                                     .rms_epsilon = 1e-5f};

/* What a family gives for dense layers rounded to bits, against the reference and exact layers. */
static double compare_dense(const hg_weights *exact, const hg_weights *dense, const char *kernel,
                            uint8_t bits)
{
    harness h[2] = {harness_open(exact, "reference", 2), harness_open_dense(dense, kernel, bits)};
    harness_lane lane[2];
    for (int i = 0; i < 2; i++) {
        random_source r = {5};
        harness_lane_new(&lane[i], &r, 40, HG_NO_SLOT, dense_shape.vocabulary);
        harness_run(&h[i], &lane[i], 1, 16);
    }
    size_t n = (size_t)lane[0].tokens * dense_shape.vocabulary;
    double error = normalised_error(lane[1].logits, lane[0].logits, n);
    for (int i = 0; i < 2; i++) {
        harness_lane_free(&lane[i]);
        harness_close(&h[i]);
    }
    return error;
}

/* Uniform weights: 8 bits lose 1 / (12 * 127^2) in the mean, 4 bits 1 / (12 * 7.5^2). */
static void test_dense(void **state)
{
    (void)state;
    for (int type = HG_F32; type <= HG_BF16; type++) {
        random_form form[HG_PROJECTIONS] = {0};
        for (int i = 0; i < HG_PROJECTIONS; i++) form[i].dense_type = (hg_dtype)type;
        random_model *model = random_model_new(3, &dense_shape, form, HG_F16);
        for (const char *const *name = hg_cpu_kernels(); *name; name++) {
            double error8 = compare_dense(&model->weights, &model->weights, *name, 8);
            double error4 = compare_dense(&model->weights, &model->weights, *name, 4);
            print_message("%s, type %d: error %.2g of 8 bits, %.2g of 4\n", *name, type, error8,
                          error4);
            bool exact = strcmp(*name, "reference") == 0;
            assert_true(error8 <= (exact ? 0 : 1e-3));
            assert_true(error4 <= (exact ? 0 : 4e-2));
        }
        random_model_free(model);
    }
}

static int code_at(const hg_linear *w, size_t at)
{
    return w->codes[at / 2] >> (at % 2 * 4) & 15;
}

/* Layers that are 4-bit codes written out are found again: the best scale is the true one. */
static void test_dense_codes(void **state)
{
    (void)state;
    random_form form[HG_PROJECTIONS];
    for (int i = 0; i < HG_PROJECTIONS; i++) form[i] = (random_form){16, 4, RANDOM_SYMMETRIC};
    random_model *exact = random_model_new(4, &dense_shape, form, HG_F16);
    random_model *dense = random_model_new(4, &dense_shape, form, HG_F16);
    for (uint32_t i = 0; i < dense_shape.layers * HG_PROJECTIONS; i++) {
        const hg_linear *w = &exact->weights.layer[i / HG_PROJECTIONS].linear[i % HG_PROJECTIONS];
        size_t n = (size_t)w->rows * w->columns;
        float *values = random_take(&dense->owner, n * sizeof *values);
        for (size_t at = 0; at < n; at++)
            values[at] = hg_f32_of_f16(w->scales[at / w->group]) * (float)(code_at(w, at) - 8);
        hg_layer *layer = (hg_layer *)(uintptr_t)&dense->weights.layer[i / HG_PROJECTIONS];
        layer->linear[i % HG_PROJECTIONS] =
            (hg_linear){.rows = w->rows, .columns = w->columns, .dense = values};
    }
    for (const char *const *name = hg_cpu_kernels(); *name; name++) {
        double error = compare_dense(&exact->weights, &dense->weights, *name, 4);
        double same = compare_dense(&exact->weights, &exact->weights, *name, 4);
        print_message("%s: error %.3g, of the codes themselves %.3g\n", *name, error, same);
        assert_true(error <= same * 1.2);
    }
    random_model_free(exact);
    random_model_free(dense);
}

/* Unless somebody says to what they are to be rounded, dense layers are refused. */
static void test_dense_refused(void **state)
{
    (void)state;
    random_form form[HG_PROJECTIONS] = {0};
    for (int i = 0; i < HG_PROJECTIONS; i++) form[i] = (random_form){16, 4, RANDOM_ZEROS};
    form[HG_O] = (random_form){.dense_type = HG_BF16};
    random_model *model = random_model_new(2, &dense_shape, form, HG_F32);
    hg_device_plan plan = harness_plan;
    plan.dense_bits = 0;
    for (const char *const *name = hg_cpu_kernels(); *name; name++) {
        bool reference = strcmp(*name, "reference") == 0;
        hg_device_options options = {.kernel = *name, .threads = 1};
        hg_device *device;
        hg_error error;
        harness_check(hg_cpu_device()->open(&options, &device, &error), &error);
        hg_status status = hg_cpu_device()->load_model(device, &model->weights, &plan, &error);
        assert_int_equal(status, reference ? HG_OK : HG_ERROR_UNSUPPORTED);
        if (!reference) assert_non_null(strstr(error.message, "layer 0: o_proj is not quantised"));
        if (!reference) assert_non_null(strstr(error.message, "--quantize int8"));
        hg_cpu_device()->close(device);
    }
    random_model_free(model);
}

/* A shape that the vector kernels cannot take is refused by name; the reference takes it. */
static void test_odd_head_dim(void **state)
{
    (void)state;
    hg_shape shape = {.vocabulary = 64,
                      .hidden = 48,
                      .intermediate = 48,
                      .layers = 1,
                      .heads = 4,
                      .kv_heads = 2,
                      .head_dim = 12,
                      .positions = 96,
                      .rms_epsilon = 1e-5f};
    random_form form[HG_PROJECTIONS];
    for (int i = 0; i < HG_PROJECTIONS; i++) form[i] = (random_form){16, 4, RANDOM_SYMMETRIC};
    random_model *model = random_model_new(2, &shape, form, HG_F32);
    const hg_device_api *api = hg_cpu_device();
    for (const char *const *name = hg_cpu_kernels(); *name; name++) {
        bool reference = strcmp(*name, "reference") == 0;
        hg_device_options options = {.kernel = *name, .threads = 1};
        hg_device *device;
        hg_error error;
        harness_check(api->open(&options, &device, &error), &error);
        hg_status status = api->load_model(device, &model->weights, &harness_plan, &error);
        assert_int_equal(status, reference ? HG_OK : HG_ERROR_UNSUPPORTED);
        if (!reference) assert_non_null(strstr(error.message, "head_dim 12"));
        api->close(device);
    }
    random_model_free(model);
}

static void add_bytes(void *context, const void *data, size_t bytes)
{
    assert_non_null(data);
    atomic_fetch_add((atomic_size_t *)context, bytes);
}

/* Whoever maps a file hears of every byte of codes, floats and head once it is packed, so that none
 * of it need stay in memory. */
static void test_packed_rows_are_passed(void **state)
{
    (void)state;
    random_form form[HG_PROJECTIONS];
    for (int i = 0; i < HG_PROJECTIONS; i++) form[i] = (random_form){16, 4, RANDOM_SYMMETRIC};
    form[HG_O] = (random_form){.dense_type = HG_BF16};
    form[HG_DOWN] = (random_form){.dense_type = HG_F32};
    random_model *model = random_model_new(2, &dense_shape, form, HG_F16);
    size_t whole = (size_t)dense_shape.vocabulary * dense_shape.hidden * 2;
    for (uint32_t i = 0; i < dense_shape.layers * HG_PROJECTIONS; i++) {
        const hg_linear *w = &model->weights.layer[i / HG_PROJECTIONS].linear[i % HG_PROJECTIONS];
        size_t bits = w->bits ? w->bits : 8 * hg_dtype_bytes(w->dense_type);
        whole += (size_t)w->rows * w->columns * bits / 8;
    }
    atomic_size_t passed;
    hg_weights weights = model->weights;
    weights.source = (hg_layer_source){.pass = add_bytes, .context = &passed};
    for (const char *const *name = hg_cpu_kernels(); *name; name++) {
        passed = 0;
        harness h = harness_open(&weights, *name, 2);
        assert_int_equal(passed, strcmp(*name, "reference") == 0 ? 0 : whole);
        harness_close(&h);
    }
    random_model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dense),
        cmocka_unit_test(test_dense_codes),
        cmocka_unit_test(test_dense_refused),
        cmocka_unit_test(test_odd_head_dim),
        cmocka_unit_test(test_packed_rows_are_passed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
