/* test_prefix.c: what is kept, found, replaced and evicted. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/engine/prefix.h"

#define PAGES 600

static hg_pages pages;
static hg_prefixes prefixes;

static int open_all(void **state)
{
    (void)state;
    hg_prefixes_open(&prefixes, &pages);
    return hg_pages_open(&pages, PAGES) != HG_OK;
}

/* Every page must be free once the prefixes are gone: nothing leaks in any test. */
static int close_all(void **state)
{
    (void)state;
    hg_prefixes_close(&prefixes);
    bool whole = pages.free == PAGES && pages.idle == 0;
    hg_pages_close(&pages);
    return whole ? 0 : -1;
}

/* Keeps tokens as a lane would that ends afterwards. */
static void keep(uint64_t key, const int32_t *token, uint32_t tokens)
{
    uint32_t page[8] = {0}, count = hg_pages_for(tokens);
    for (uint32_t i = 0; i < count; i++) page[i] = hg_pages_take(&pages);
    hg_prefix_keep(&prefixes, key, token, tokens, page);
    for (uint32_t i = 0; i < count; i++) hg_pages_release(&pages, page[i], HG_HOLDER_LANE);
}

static uint32_t find(uint64_t key, const int32_t *token, uint32_t tokens)
{
    const uint32_t *page = NULL;
    return hg_prefix_find(&prefixes, key, token, tokens, &page);
}

static void finds_the_longest_common_prefix(void **state)
{
    (void)state;
    const int32_t a[] = {1, 2, 3, 4}, b[] = {1, 2, 9, 9, 9}, ask[] = {1, 2, 9, 9, 8, 7};
    keep(0, a, 4);
    keep(0, b, 5);
    assert_int_equal(find(0, ask, 6), 4);
    assert_int_equal(find(0, ask, 3), 3);
    assert_int_equal(find(0, a, 4), 4);
    assert_int_equal(find(0, ask + 1, 5), 0);
}

static void keys_do_not_mix(void **state)
{
    (void)state;
    const int32_t a[] = {1, 2, 3, 4};
    keep(7, a, 4);
    assert_int_equal(find(0, a, 4), 0);
    assert_int_equal(find(7, a, 4), 4);
    hg_prefix_forget(&prefixes, 7);
    assert_int_equal(find(7, a, 4), 0);
    assert_int_equal(pages.free, PAGES);
}

static void a_longer_one_replaces_its_beginning(void **state)
{
    (void)state;
    const int32_t a[] = {1, 2, 3, 4, 5};
    keep(0, a, 3);
    keep(0, a, 5);
    assert_int_equal(prefixes.count, 1);
    assert_int_equal(find(0, a, 5), 5);
    keep(0, a, 4); /* nothing new */
    assert_int_equal(prefixes.count, 1);
    assert_int_equal(find(0, a, 5), 5);
    assert_int_equal(pages.free, PAGES - 1);
}

static void the_oldest_leaves_first(void **state)
{
    (void)state;
    const int32_t a[] = {1}, b[] = {2}, c[] = {3};
    keep(0, a, 1);
    keep(0, b, 1);
    keep(0, c, 1);
    assert_int_equal(find(0, a, 1), 1); /* used: b is the oldest now */
    assert_true(hg_prefix_evict(&prefixes));
    assert_int_equal(find(0, b, 1), 0);
    assert_int_equal(find(0, a, 1), 1);
    assert_int_equal(find(0, c, 1), 1);
}

static void what_a_lane_holds_is_not_evicted(void **state)
{
    (void)state;
    const int32_t a[] = {1}, b[] = {2};
    const uint32_t *page = NULL;
    keep(0, a, 1);
    keep(0, b, 1);
    assert_int_equal(hg_prefix_find(&prefixes, 0, a, 1, &page), 1);
    uint32_t held = page[0];
    hg_pages_hold(&pages, held, HG_HOLDER_LANE);
    assert_int_equal(find(0, b, 1), 1);
    assert_true(hg_prefix_evict(&prefixes)); /* b: evicting a would free nothing */
    assert_false(hg_prefix_evict(&prefixes));
    assert_int_equal(find(0, a, 1), 1);
    hg_pages_release(&pages, held, HG_HOLDER_LANE);
}

static void the_table_is_bounded(void **state)
{
    (void)state;
    for (int32_t i = 0; i < HG_LIMIT_PREFIXES + 40; i++) keep(0, &i, 1);
    assert_int_equal(prefixes.count, HG_LIMIT_PREFIXES);
    int32_t first = 0, last = HG_LIMIT_PREFIXES + 39;
    assert_int_equal(find(0, &first, 1), 0);
    assert_int_equal(find(0, &last, 1), 1);
    assert_int_equal(pages.idle, HG_LIMIT_PREFIXES);
}

/* Random use against the rule itself: a found length is never longer than what was ever kept
 * under the key has in common, and the newest entry is always found whole. */
static void random_use(void **state)
{
    (void)state;
    srand(1);
    for (int round = 0; round < 20000; round++) {
        int32_t token[40];
        uint32_t tokens = 1 + (uint32_t)rand() % 40;
        uint64_t key = (uint64_t)rand() % 3;
        for (uint32_t i = 0; i < tokens; i++) token[i] = rand() % 2;
        while (pages.free < 4) assert_true(hg_prefix_evict(&prefixes));
        keep(key, token, tokens);
        assert_int_equal(find(key, token, tokens), tokens);
        assert_int_equal(pages.free + pages.idle, PAGES);
        if (rand() % 500 == 0) hg_prefix_forget(&prefixes, key);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_all, close_all)
    const struct CMUnitTest tests[] = {
        TEST(finds_the_longest_common_prefix),
        TEST(keys_do_not_mix),
        TEST(a_longer_one_replaces_its_beginning),
        TEST(the_oldest_leaves_first),
        TEST(what_a_lane_holds_is_not_evicted),
        TEST(the_table_is_bounded),
        TEST(random_use),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
