/* test_measure.c: what a machine can do is measured, and the figures that bench makes of samples.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/cli/bench.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/measure.h"

static void test_reading(void **state)
{
    (void)state;
    hg_error error;
    hg_measure *measure;
    assert_int_equal(hg_measure_open(2, &measure, &error), HG_OK);
    /* Less than a chunk, no multiple of one, more than before, less than before. */
    static const size_t bytes[] = {1, 70001, 3 << 20, 4096};
    for (size_t i = 0; i < sizeof bytes / sizeof *bytes; i++) {
        double rate = 0;
        assert_int_equal(hg_measure_read(measure, bytes[i], &rate, &error), HG_OK);
        assert_true(rate > 0);
    }
    hg_measure_close(measure);
    hg_measure_close(NULL);
}

static void test_peak(void **state)
{
    (void)state;
    hg_error error;
    hg_measure *measure;
    assert_int_equal(hg_measure_open(1, &measure, &error), HG_OK);
    assert_true(hg_measure_int8(measure, "reference") == 0);
    assert_true(hg_measure_int8(measure, "abacus") == 0);
    for (const char *const *name = hg_cpu_kernels(); *name; name++)
        if (strcmp(*name, "reference") != 0) assert_true(hg_measure_int8(measure, *name) > 0);
    hg_measure_close(measure);
}

static void test_figures(void **state)
{
    (void)state;
    double value[] = {5, 1, 4, 2, 3};
    hg_spread spread = hg_spread_of(value, 5);
    assert_true(spread.least == 1 && spread.median == 3 && spread.most == 5);
    assert_true(hg_percentile(value, 5, 0) == 1 && hg_percentile(value, 5, 0.99) == 5);
    assert_true(hg_percentile(value, 5, 1) == 5 && hg_percentile(value, 0, 0.5) == 0);
    spread = hg_spread_of(value, 0);
    assert_true(spread.least == 0 && spread.median == 0 && spread.most == 0);
}

static void test_shapes(void **state)
{
    (void)state;
    hg_error error;
    hg_shaped *shaped;
    hg_shaped_adapter *adapter;
    assert_int_equal(hg_shaped_open("70b", &shaped, &error), HG_ERROR_ARGUMENT);
    assert_int_equal(hg_shaped_open("tiny", &shaped, &error), HG_OK);
    const hg_weights *w = hg_shaped_weights(shaped);
    assert_int_equal(w->shape.hidden, 384);
    assert_int_equal(w->layer[7].linear[HG_DOWN].columns, 1024);
    assert_int_equal(w->layer[7].linear[HG_K].rows, 128);
    assert_int_equal(hg_shaped_adapter_open(&w->shape, 8, &adapter, &error), HG_OK);
    const hg_lora_weights *lora = hg_shaped_adapter_weights(adapter);
    assert_int_equal(lora->rank_max, 8);
    /* For each layer, rank times rows and columns of all seven, two bytes each. */
    assert_int_equal(lora->bytes, 8 * 8 * 2 * (2 * 768 + 2 * 512 + 3 * 1408));
    hg_shaped_adapter_close(adapter);
    hg_shaped_close(shaped);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_peak),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_shapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
