/* test_pages.c: page ids, their holders, and what is idle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/engine/pages.h"

static void takes_each_page_once(void **state)
{
    (void)state;
    hg_pages pages;
    bool seen[8] = {false};
    assert_int_equal(hg_pages_open(&pages, 8), HG_OK);
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t id = hg_pages_take(&pages);
        assert_in_range(id, 0, 7);
        assert_false(seen[id]);
        seen[id] = true;
    }
    assert_int_equal(pages.free, 0);
    for (uint32_t i = 0; i < 8; i++) hg_pages_release(&pages, i, HG_HOLDER_LANE);
    assert_int_equal(pages.free, 8);
    hg_pages_close(&pages);
}

static void frees_with_the_last_holder(void **state)
{
    (void)state;
    hg_pages pages;
    assert_int_equal(hg_pages_open(&pages, 2), HG_OK);
    uint32_t id = hg_pages_take(&pages);
    hg_pages_hold(&pages, id, HG_HOLDER_LANE);
    hg_pages_release(&pages, id, HG_HOLDER_LANE);
    assert_int_equal(pages.free, 1);
    hg_pages_release(&pages, id, HG_HOLDER_LANE);
    assert_int_equal(pages.free, 2);
    hg_pages_close(&pages);
}

static void is_idle_while_only_prefixes_hold_it(void **state)
{
    (void)state;
    hg_pages pages;
    assert_int_equal(hg_pages_open(&pages, 2), HG_OK);
    uint32_t id = hg_pages_take(&pages);
    hg_pages_hold(&pages, id, HG_HOLDER_PREFIX);
    hg_pages_hold(&pages, id, HG_HOLDER_PREFIX);
    assert_int_equal(pages.idle, 0);
    hg_pages_release(&pages, id, HG_HOLDER_LANE);
    assert_int_equal(pages.idle, 1);
    assert_true(hg_pages_is_idle(&pages, id));
    hg_pages_hold(&pages, id, HG_HOLDER_LANE);
    assert_int_equal(pages.idle, 0);
    hg_pages_release(&pages, id, HG_HOLDER_LANE);
    hg_pages_release(&pages, id, HG_HOLDER_PREFIX);
    assert_int_equal(pages.idle, 1);
    hg_pages_release(&pages, id, HG_HOLDER_PREFIX);
    assert_int_equal(pages.idle, 0);
    assert_int_equal(pages.free, 2);
    hg_pages_close(&pages);
}

static void counts_pages_for_tokens(void **state)
{
    (void)state;
    assert_int_equal(hg_pages_for(0), 0);
    assert_int_equal(hg_pages_for(1), 1);
    assert_int_equal(hg_pages_for(16), 1);
    assert_int_equal(hg_pages_for(17), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_each_page_once),
        cmocka_unit_test(frees_with_the_last_holder),
        cmocka_unit_test(is_idle_while_only_prefixes_hold_it),
        cmocka_unit_test(counts_pages_for_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
