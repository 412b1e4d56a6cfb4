/* cmocka.h: the few of cmocka's names that the kernel tests use, for a static program of another
 * processor and for a machine with a card, where the library is not at hand. The first failure ends
 * the program.
 */
#ifndef HG_TESTS_ARM_CMOCKA_H
#define HG_TESTS_ARM_CMOCKA_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct CMUnitTest {
    const char *name;
    void (*run)(void **state);
};
#define cmocka_unit_test(f) ((struct CMUnitTest){#f, f})

#define print_message printf
#define print_error   printf
#define fail_msg(...)                                                                              \
    do {                                                                                           \
        printf(__VA_ARGS__);                                                                       \
        printf("\n%s:%d: failed\n", __FILE__, __LINE__);                                           \
        exit(1);                                                                                   \
    } while (0)
#define assert_true(x)                                                                             \
    do {                                                                                           \
        if (!(x)) fail_msg("%s", #x);                                                              \
    } while (0)
#define assert_false(x)               assert_true(!(x))
#define assert_non_null(p)            assert_true((p) != NULL)
#define assert_null(p)                assert_true((p) == NULL)
#define assert_in_range(a, low, high) assert_true((a) >= (low) && (a) <= (high))
#define assert_int_equal(a, b)        assert_true((long long)(a) == (long long)(b))
#define assert_int_not_equal(a, b)    assert_true((long long)(a) != (long long)(b))
#define assert_memory_equal(a, b, n)  assert_true(memcmp(a, b, n) == 0)
#define assert_string_equal(a, b)     assert_true(strcmp(a, b) == 0)

#define cmocka_run_group_tests(tests, setup, teardown)                                             \
    run_tests(tests, sizeof(tests) / sizeof *(tests))

static inline int run_tests(const struct CMUnitTest *test, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        printf("[ RUN      ] %s\n", test[i].name);
        fflush(stdout);
        test[i].run(NULL);
    }
    printf("%zu tests passed\n", count);
    return 0;
}

#endif
