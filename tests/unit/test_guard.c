/* test_guard.c: loops end, what people write does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "core/engine/guard.h"

/* Shows count tokens of a phrase repeated without end after lead other ones; returns at how many
 * tokens in all the guard fires, or 0. */
static uint32_t loop(uint32_t lead, uint32_t phrase, uint32_t count)
{
    hg_guard guard = {0};
    int32_t token[2000];
    for (uint32_t i = 0; i < lead + count; i++) {
        token[i] = i < lead ? 10000 + (int32_t)i : (int32_t)((i - lead) % phrase);
        if (hg_guard_fires(&guard, token, i + 1)) return i + 1;
    }
    return 0;
}

static void one_token(void **state)
{
    (void)state;
    assert_int_equal(loop(0, 1, 24), 0); /* follows itself 23 times */
    assert_int_equal(loop(0, 1, 100), 25);
    assert_int_equal(loop(7, 1, 100), 32);
}

static void short_phrases(void **state)
{
    (void)state;
    assert_int_equal(loop(0, 2, 25), 0);
    assert_int_equal(loop(0, 2, 100), 26);
    assert_int_equal(loop(5, 3, 100), 5 + 3 + 24);
}

static void long_phrases_may_follow_themselves_three_times(void **state)
{
    (void)state;
    for (uint32_t phrase = 6; phrase <= HG_LIMIT_REPETITION_PHRASE; phrase++) {
        uint32_t end = phrase * (1 + HG_LIMIT_REPETITION);
        assert_int_equal(loop(3, phrase, end - 1), 0);
        assert_int_equal(loop(3, phrase, end + 50), 3 + end);
    }
    assert_int_equal(loop(0, HG_LIMIT_REPETITION_PHRASE + 1, 1500), 0);
}

/* A broken run starts anew. */
static void a_break_starts_anew(void **state)
{
    (void)state;
    hg_guard guard = {0};
    int32_t token[200];
    for (uint32_t i = 0; i < 200; i++) {
        token[i] = i % 23 == 22 ? (int32_t)(100 + i) : 5;
        assert_false(hg_guard_fires(&guard, token, i + 1));
    }
}

/* Counters against the rule written out: does the tail repeat with this period? */
static bool by_rule(const int32_t *token, uint32_t tokens)
{
    for (uint32_t phrase = 1; phrase <= HG_LIMIT_REPETITION_PHRASE; phrase++) {
        uint32_t need = phrase * HG_LIMIT_REPETITION, same = 0;
        if (need < HG_LIMIT_REPETITION_SPAN) need = HG_LIMIT_REPETITION_SPAN;
        while (same + phrase < tokens &&
               token[tokens - 1 - same] == token[tokens - 1 - same - phrase])
            same++;
        if (same >= need) return true;
    }
    return false;
}

static void equals_the_rule_on_random_text(void **state)
{
    (void)state;
    srand(3);
    uint32_t fired = 0;
    for (int round = 0; round < 300; round++) {
        hg_guard guard = {0};
        int32_t token[400] = {0};
        int period = 1 + rand() % 20;
        for (uint32_t i = 0; i < 400; i++) {
            bool copy = i >= (uint32_t)period && rand() % 60;
            token[i] = copy ? token[i - (uint32_t)period] : rand() % 50;
            bool fires = hg_guard_fires(&guard, token, i + 1);
            assert_int_equal(fires, by_rule(token, i + 1));
            fired += fires;
        }
    }
    assert_true(fired > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_token),
        cmocka_unit_test(short_phrases),
        cmocka_unit_test(long_phrases_may_follow_themselves_three_times),
        cmocka_unit_test(a_break_starts_anew),
        cmocka_unit_test(equals_the_rule_on_random_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
