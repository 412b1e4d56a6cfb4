/* test_score.c: chrF2 and BLEU against the numbers that sacrebleu printed
 * (tests/golden/score.json). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <jansson.h>
#include <math.h>

#include "core/text/bleu.h"
#include "core/text/score.h"

static void check(const char *name, size_t index, const hg_chrf *chrf, const json_t *expected)
{
    double want = json_number_value(expected), got = hg_chrf_score(chrf);
    assert_true(json_is_number(expected));
    if (fabs(want - got) > 1e-9) fail_msg("%s %zu: %.12f, sacrebleu %.12f", name, index, got, want);
}

static void test_sacrebleu(void **state)
{
    (void)state;
    json_t *rows = json_load_file("tests/golden/score.json", 0, NULL), *row, *pair;
    size_t index, at;
    assert_int_equal(json_array_size(rows), 6);
    json_array_foreach(rows, index, row)
    {
        const char *name = json_string_value(json_object_get(row, "name"));
        hg_chrf corpus = {0};
        json_array_foreach(json_object_get(row, "pairs"), at, pair)
        {
            hg_chrf one = {0};
            const char *hypothesis = json_string_value(json_array_get(pair, 0));
            const char *reference = json_string_value(json_array_get(pair, 1));
            assert_int_equal(hg_chrf_add(&one, hypothesis, reference), HG_OK);
            assert_int_equal(hg_chrf_add(&corpus, hypothesis, reference), HG_OK);
            check(name, at, &one, json_array_get(pair, 2));
        }
        check(name, at, &corpus, json_object_get(row, "score"));
    }
    json_decref(rows);
}

static void test_bleu(void **state)
{
    (void)state;
    static const char *const fields[] = {"bleu", "bleu_char"};
    json_t *rows = json_load_file("tests/golden/score.json", 0, NULL), *row, *pair;
    size_t index, at;
    json_array_foreach(rows, index, row)
    {
        for (int characters = 0; characters < 2; characters++) {
            hg_bleu bleu = {0};
            json_array_foreach(json_object_get(row, "pairs"), at, pair)
            {
                assert_int_equal(hg_bleu_add(&bleu, json_string_value(json_array_get(pair, 0)),
                                             json_string_value(json_array_get(pair, 1)),
                                             characters),
                                 HG_OK);
            }
            double want = json_number_value(json_object_get(row, fields[characters]));
            double got = hg_bleu_score(&bleu);
            if (fabs(want - got) > 1e-9)
                fail_msg("%s %s: %.12f, sacrebleu %.12f",
                         json_string_value(json_object_get(row, "name")), fields[characters], got,
                         want);
        }
    }
    json_decref(rows);
}

static void test_nothing(void **state)
{
    (void)state;
    hg_chrf chrf = {0};
    assert_true(hg_chrf_score(&chrf) == 0);
    hg_bleu bleu = {0};
    assert_true(hg_bleu_score(&bleu) == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sacrebleu),
        cmocka_unit_test(test_bleu),
        cmocka_unit_test(test_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
