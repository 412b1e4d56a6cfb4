/* test_rules.c: what "settled" promises is tried on real text and on rules of many kinds: every
 * line of a dev file is cut at every character, and whenever a cut is settled, the results of all
 * longer cuts must begin with its result. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/limits.h"
#include "core/text/rules.h"
#include "core/text/score.h"
#include "core/text/utf8.h"
#include "tests/golden/xz.h"

#define FRENCH                                                                                     \
    "[^\\u202F] { ' ' } [;!?] > \\u202F; ([[:L:][:N:]]) { } [;!?] > \\u202F; '...' > '…';"

static hg_rules *open_rules(const char *rules)
{
    hg_rules *made;
    hg_error error;
    if (hg_rules_open(rules, &made, &error)) fail_msg("%s: %s", rules, error.message);
    return made;
}

static void check_apply(const char *rules, const char *text, const char *expected)
{
    hg_rules *made = open_rules(rules);
    hg_buf out = hg_buf_new(1 << 20);
    assert_int_equal(hg_rules_apply(made, text, strlen(text), &out), HG_OK);
    assert_string_equal(hg_buf_text(&out), expected);
    hg_buf_free(&out);
    hg_rules_close(made);
}

static void test_apply(void **state)
{
    (void)state;
    check_apply("::Hant-Hans;", "這是漢語", "这是汉语");
    check_apply("::Hant-Hans;", "", "");
    check_apply(FRENCH, "Quoi ? Non! Si...", "Quoi\u202F? Non\u202F! Si…");
    check_apply("::Lower; ß > ss;", "STRAßE 😀", "strasse 😀");
    check_apply("a > ;", "banana", "bnn");
}

/* Rules that would fill any memory end in an error, and errors name the place. */
static void test_bad_rules(void **state)
{
    (void)state;
    hg_rules *made;
    hg_error error;
    hg_buf doubling = hg_buf_new(1 << 14), out = hg_buf_new(1 << 24);
    bool settled = true;
    for (int i = 0; i < 64; i++)
        assert_int_equal(hg_buf_append_text(&doubling, "a > aa; ::Null; "), HG_OK);
    made = open_rules(doubling.data);
    assert_int_equal(hg_rules_apply(made, "banana", 6, &out), HG_ERROR_LIMIT);
    assert_int_equal(hg_rules_apply_open(made, "banana", 6, &out, &settled), HG_ERROR_LIMIT);
    assert_false(settled);
    hg_rules_close(made);
    assert_int_equal(hg_rules_open("::No-Such; a > b;", &made, &error), HG_ERROR_FORMAT);
    assert_null(made);
    assert_non_null(strstr(error.message, "U_INVALID_ID"));
    assert_int_equal(hg_rules_open("' ?' > '", &made, &error), HG_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "U_UNTERMINATED_QUOTE"));
    assert_int_equal(hg_rules_open("a > 'b", &made, NULL), HG_ERROR_FORMAT);
    hg_buf_free(&doubling);
    hg_buf_free(&out);
}

static void check_open(const char *rules, const char *text, const char *expected, bool settled)
{
    hg_rules *made = open_rules(rules);
    hg_buf out = hg_buf_new(1 << 20);
    bool got = !settled;
    assert_int_equal(hg_rules_apply_open(made, text, strlen(text), &out, &got), HG_OK);
    assert_string_equal(hg_buf_text(&out), expected);
    assert_int_equal(got, settled);
    hg_buf_free(&out);
    hg_rules_close(made);
}

static void test_settled(void **state)
{
    (void)state;
    check_open("::Hant-Hans;", "漢語", "汉语", true);
    check_open("::Hant-Hans;", "這是乾", "这是干", false); /* 乾隆 has rules of its own */
    check_open(FRENCH, "Quoi", "Quoi", true); /* a space may be added, nothing changes */
    check_open(FRENCH, "Quoi ", "Quoi ", false);
    check_open(FRENCH, "Quoi\u202F?", "Quoi\u202F?", true);
    check_open("::Lower;", "ΟΔΟΣ", "οδος", false); /* the last sigma's form is open */
}

/* Whether all cuts of one line keep the promise; counts the cuts and the settled ones. */
static void check_line(hg_rules *rules, const char *name, const char *line, size_t count,
                       unsigned seen[2])
{
    hg_buf kept = hg_buf_new(1 << 20), out = hg_buf_new(1 << 20);
    for (size_t cut = 0; cut <= count; cut++) {
        bool settled;
        if (hg_utf8_valid(line, cut) != cut) continue;
        assert_int_equal(hg_rules_apply_open(rules, line, cut, &out, &settled), HG_OK);
        if (kept.length &&
            (out.length < kept.length || memcmp(kept.data, out.data, kept.length) != 0))
            fail_msg("%s: settled \"%s\" became \"%s\"", name, kept.data, hg_buf_text(&out));
        seen[settled]++;
        if (!settled) continue;
        hg_buf_clear(&kept); /* it began with the one before, so later ones are held to both */
        assert_int_equal(hg_buf_append(&kept, hg_buf_text(&out), out.length), HG_OK);
    }
    hg_buf_free(&kept);
    hg_buf_free(&out);
}

static void check_file(const char *name, const char *language, unsigned lines)
{
    char path[128];
    unsigned seen[2] = {0};
    snprintf(path, sizeof path, "tests/golden/data/dev.en-%s.tsv.xz", language);
    hg_buf file = golden_read_xz(path);
    hg_rules *rules = open_rules(name);
    for (char *line = file.data, *end; *line && lines; line = end + 1, lines--) {
        end = strchr(line, '\n');
        char *tab = strchr(line, '\t');
        assert_true(end && tab && tab < end);
        check_line(rules, name, line, (size_t)(tab - line), seen);
        check_line(rules, name, tab + 1, (size_t)(end - tab - 1), seen);
    }
    print_message("%-28.28s on en-%s: %u cuts, %u settled\n", name, language, seen[0] + seen[1],
                  seen[1]);
    assert_true(seen[1] > 0);
    hg_rules_close(rules);
    hg_buf_free(&file);
}

static void test_growing_text(void **state)
{
    (void)state;
    check_file("::Hant-Hans;", "zh", UINT32_MAX);
    check_file("::Hans-Hant;", "zh", 300);
    check_file(FRENCH, "fr", 300);
    static const char *const kinds[] = {"::NFC;",
                                        "::NFD; ::NFC;",
                                        "::NFKC;",
                                        "::Lower;",
                                        "::Upper;",
                                        "::Title;",
                                        "::Latin-ASCII;",
                                        "::Any-Latin; ::Latin-ASCII;",
                                        "::Cyrillic-Latin;",
                                        "::Halfwidth-Fullwidth;",
                                        "::Fullwidth-Halfwidth;",
                                        "::Hiragana-Katakana;",
                                        "::Latin-Greek; ::Lower;",
                                        "::Any-Publishing;",
                                        "::[a-m] Upper;",
                                        "::Null;",
                                        "::Lower; a > b; ::Null; bb > c;",
                                        "([aeiou]+) > '<' $1 '>';",
                                        "e } $ > E;",
                                        "^ t > T;",
                                        "a > | e; e > i;",
                                        "$n = [0-9]; ($n) { '.' } ($n) > ',';",
                                        "s+ > S;",
                                        "th > T; t > '';"};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        check_file(kinds[i], "ru", 25);
        check_file(kinds[i], "tr", 25);
        check_file(kinds[i], "ja", 25);
    }
}

static void test_shipped(void **state)
{
    (void)state;
    static const char *const rows[][3] = {
        {"french-spacing", "Où est la gare?", "Où est la gare\u202F?"},
        {"french-spacing", "Allez ! Vite; oui", "Allez\u202F! Vite\u202F; oui"},
        {"french-spacing", "Il dit: «Non»", "Il dit\u00A0: «\u202FNon\u202F»"},
        {"french-spacing", "à 10:30, http://a.example", "à 10:30, http://a.example"},
        {"french-spacing", "Quoi\u202F?! Déjà", "Quoi\u202F?! Déjà"},
        {"cjk-punctuation", "你好,世界!", "你好，世界！"},
        {"cjk-punctuation", "月曜日は暇ですか?はい.", "月曜日は暇ですか？はい。"},
        {"cjk-punctuation", "价格是3.5元: 1,000", "价格是3.5元： 1,000"},
        {"cjk-punctuation", "Hello, world!", "Hello, world!"},
        {"german-quotes", "Er sagt \"ja\".", "Er sagt „ja“."},
        {"german-quotes", "\"Ja\" (\"nein\")", "„Ja“ („nein“)"},
        {"spanish-quotes", "Dijo \"sí\".", "Dijo «sí»."},
        {"spanish-quotes", "¿Dónde está?", "¿Dónde está?"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        check_apply(rows[i][0], rows[i][1], rows[i][2]);
        check_apply(rows[i][0], rows[i][2], rows[i][2]); /* what is right stays */
    }
}

/* What people wrote loses nothing by the rules of their language, and no promise of settled text is
 * broken. chrF looks through white space, so French counts the lines that keep every mark. */
static void test_shipped_do_no_harm(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"french-spacing", "fr"},
                                          {"cjk-punctuation", "ja"},
                                          {"cjk-punctuation", "zh"},
                                          {"german-quotes", "de"},
                                          {"spanish-quotes", "es"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char path[128];
        hg_chrf chrf = {0};
        snprintf(path, sizeof path, "tests/golden/data/dev.en-%s.tsv.xz", rows[i][1]);
        hg_buf file = golden_read_xz(path), out = hg_buf_new(1 << 20);
        hg_rules *rules = open_rules(rows[i][0]);
        for (char *line = file.data, *end; *line; line = end + 1) {
            end = strchr(line, '\n');
            char *target = strchr(line, '\t') + 1;
            *end = 0;
            assert_int_equal(hg_rules_apply(rules, target, (size_t)(end - target), &out), HG_OK);
            assert_int_equal(hg_chrf_add(&chrf, hg_buf_text(&out), target), HG_OK);
        }
        print_message("%-16s on %s: chrF %.2f\n", rows[i][0], rows[i][1], hg_chrf_score(&chrf));
        assert_true(hg_chrf_score(&chrf) > 99);
        hg_rules_close(rules);
        hg_buf_free(&file);
        hg_buf_free(&out);
        check_file(rows[i][0], rows[i][1], 40);
    }
}

/* Rules that read too much are refused, after the same number of reads on every machine. */
static void test_slow_rules(void **state)
{
    (void)state;
    static char text[HG_LIMIT_SENTENCE];
    hg_rules *slow = open_rules("a*b > 1; a*c > 2; a*d > 3; a*e > 4;");
    hg_buf out = hg_buf_new(1 << 20);
    memset(text, 'a', sizeof text);
    assert_int_equal(hg_rules_apply(slow, text, sizeof text, &out), HG_ERROR_LIMIT);
    assert_int_equal(hg_rules_apply(slow, text, 20, &out), HG_OK);
    assert_string_equal(hg_buf_text(&out), "aaaaaaaaaaaaaaaaaaaa");
    hg_rules_close(slow);
    hg_buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_apply),      cmocka_unit_test(test_settled),
        cmocka_unit_test(test_bad_rules),  cmocka_unit_test(test_growing_text),
        cmocka_unit_test(test_shipped),    cmocka_unit_test(test_shipped_do_no_harm),
        cmocka_unit_test(test_slow_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
