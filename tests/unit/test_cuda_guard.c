/* test_cuda_guard.c: the guards around the card's blocks (tests/gpu/guard.h) find a single byte on
 * either side, and only that. The rest of this program's kernels ran between guards too.
 */
#include "tests/unit/cuda_help.h"

#include <cuda_runtime_api.h>
#include <string.h>

static void plant(ptrdiff_t at, const char *words)
{
    uint8_t *p = NULL;
    assert_int_equal(cudaMalloc((void **)&p, 1000), cudaSuccess);
    assert_non_null(p);
    assert_int_equal(cudaMemsetAsync(p + at, 1, 1, NULL), cudaSuccess);
    assert_int_equal(cudaStreamSynchronize(NULL), cudaSuccess);
    assert_int_equal(cudaFree(p), cudaSuccess);
    const char *fault = hg_guard_fault();
    if (!words) {
        assert_null(fault);
        return;
    }
    assert_non_null(fault);
    if (!strstr(fault, words)) fail_msg("\"%s\" lacks \"%s\"", fault, words);
    assert_null(hg_guard_fault());
}

static void test_guards(void **state)
{
    (void)state;
    plant(0, NULL);
    plant(999, NULL);
    plant(-1, "1 bytes were written before a block of 1000");
    plant(1000, "1 bytes were written behind a block of 1000");
}

static void test_model(void **state)
{
    (void)state;
    fixture f = open_fixture();
    harness_lane lane;
    random_source r = {2};
    harness_lane_new(&lane, &r, 20, 2, small.vocabulary);
    harness_run(&f.cuda, &lane, 1, 11);
    harness_lane_free(&lane);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_guards), cmocka_unit_test(test_model)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
