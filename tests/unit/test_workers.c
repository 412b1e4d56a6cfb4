/* test_workers.c: each item runs once, stages keep their order, whatever the number of threads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/workers.h"

#define STAGES 64

typedef struct tally {
    uint32_t items[STAGES];
    atomic_uint runs[STAGES];
    uint64_t seen[STAGES][64]; /* which item ran, written by whoever ran it: no two may share one */
    uint64_t sum;              /* made by stage s from what stage s - 1 wrote */
    atomic_uint disorder;
    uint32_t threads;
} tally;

static uint32_t items_of(void *context, uint32_t stage)
{
    return ((tally *)context)->items[stage];
}

static void run_item(void *context, uint32_t stage, uint32_t item, uint32_t worker)
{
    tally *t = context;
    if (worker >= t->threads) atomic_fetch_add(&t->disorder, 1);
    for (uint32_t s = 0; s < stage; s++)
        if (atomic_load(&t->runs[s]) != t->items[s]) atomic_fetch_add(&t->disorder, 1);
    for (uint32_t i = 0; stage && i < t->items[stage - 1] && i < 64; i++)
        if (t->seen[stage - 1][i] != i + 1) atomic_fetch_add(&t->disorder, 1);
    if (item < 64) t->seen[stage][item] += item + 1;
    atomic_fetch_add(&t->runs[stage], 1);
}

static void run_once(hg_workers *workers, uint32_t round)
{
    static tally t;
    memset(&t, 0, sizeof t);
    t.threads = hg_workers_threads(workers);
    for (uint32_t s = 0; s < STAGES; s++) t.items[s] = (s * 7 + round) % 11; /* some are empty */
    if (round % 3 == 0) t.items[5] = HG_WORKERS_ITEMS;
    hg_work work = {STAGES, items_of, run_item, &t};
    hg_workers_run(workers, &work);
    assert_int_equal(t.disorder, 0);
    for (uint32_t s = 0; s < STAGES; s++) {
        assert_int_equal(t.runs[s], t.items[s]);
        for (uint32_t i = 0; i < t.items[s] && i < 64; i++) assert_int_equal(t.seen[s][i], i + 1);
    }
}

static void test_stages(void **state)
{
    (void)state;
    const uint32_t counts[] = {1, 2, 3, 7};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
        hg_error error;
        hg_workers *workers;
        assert_int_equal(hg_workers_open(counts[i], &workers, &error), 0);
        assert_int_equal(hg_workers_threads(workers), counts[i]);
        for (uint32_t round = 0; round < 40; round++) run_once(workers, round);
        hg_workers_close(workers);
    }
}

static void test_no_items(void **state)
{
    (void)state;
    hg_error error;
    hg_workers *workers;
    tally t = {.threads = 2};
    assert_int_equal(hg_workers_open(2, &workers, &error), 0);
    hg_work work = {STAGES, items_of, run_item, &t};
    hg_workers_run(workers, &work);
    assert_int_equal(t.runs[0], 0);
    hg_workers_close(workers);
    hg_workers_close(NULL);
}

static void test_share(void **state)
{
    (void)state;
    for (uint32_t total = 0; total < 40; total++) {
        for (uint32_t items = 1; items < 12; items++) {
            uint32_t next = 0, first, count;
            for (uint32_t i = 0; i < items; i++) {
                hg_workers_share(total, items, i, &first, &count);
                assert_int_equal(first, next);
                assert_true(count == total / items || count == total / items + 1);
                next = first + count;
            }
            assert_int_equal(next, total);
        }
    }
}

/* ---- cores that others use ---- */

#define SHARED_US 300000 /* many slices */

static atomic_bool hogs_end;

static void *keep_busy(void *argument)
{
    while (!atomic_load_explicit(&hogs_end, memory_order_relaxed)) {
    }
    return argument;
}

/* More threads than cores, and on each core another that never waits: whoever holds an item may be
 * off its core for a scheduler's slice, and the work ends all the same. The alarm ends the test. */
static void test_shared_cores(void **state)
{
    (void)state;
    uint32_t cores = hg_cpu_usable_cores();
    pthread_t hog[HG_LIMIT_WORKERS];
    atomic_store(&hogs_end, false);
    for (uint32_t i = 0; i < cores; i++)
        assert_int_equal(pthread_create(&hog[i], NULL, keep_busy, NULL), 0);
    hg_error error;
    hg_workers *workers;
    assert_int_equal(
        hg_workers_open(cores < HG_LIMIT_WORKERS ? cores + 1 : cores, &workers, &error), 0);
    alarm(120);
    int64_t end_us = hg_clock_us() + SHARED_US;
    for (uint32_t round = 0; hg_clock_us() < end_us; round++) run_once(workers, round);
    alarm(0);
    hg_workers_close(workers);
    atomic_store(&hogs_end, true);
    for (uint32_t i = 0; i < cores; i++) pthread_join(hog[i], NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages),
        cmocka_unit_test(test_no_items),
        cmocka_unit_test(test_share),
        cmocka_unit_test(test_shared_cores),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
