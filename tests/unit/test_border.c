/* test_border.c: borders written by hand as "|" in texts of many scripts, and that a border found
 * in open text is still one in every longer text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/text/border.h"
#include "core/text/utf8.h"
#include "tests/golden/xz.h"

/* Compares the borders of a text with the bars in it. */
static void check(const char *barred)
{
    char text[256], got[512];
    size_t count = 0;
    for (const char *p = barred; *p; p++) {
        if (*p != '|') text[count++] = *p;
    }
    bool border[256] = {false};
    for (size_t at = count; (at = hg_border_before(text, count, at)) > 0; at--) border[at] = true;
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (border[i]) got[used++] = '|';
        got[used++] = text[i];
    }
    got[used] = '\0';
    assert_string_equal(got, barred);
}

static void test_borders(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "Bahn",
        "Wo| ist| der| Zug",
        "Wo| ist| ",
        " a|  b",
        "3.5|\u00A0Meter,|\u202Fja!",
        "don't-stop,now",
        "今|天|天|气|很|好|，|我|们|去",
        "東|京|タ|ワ|ー|は|333|メ|ー|ト|ル",
        "私|は|John| Smith|で|す", /* a space inside a run of Latin is a border of words */
        "か\u3099|き|く",          /* a combining mark stays with its kana */
        "葛\U000E0100|城",         /* so does a variation selector */
        "ส|วั|ส|ดี|ค|รั|บ",
        "เก|า", /* a vowel written first stays with its consonant */
        "ស្តី",   /* a stacked consonant too */
        "안녕하세요| 세계",
        "👩‍👩‍👧‍👦| 👍🏽",
        "他|说|：|「|好|」",
        "a\u200Db",
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) check(rows[i]);
}

static void test_below(void **state)
{
    (void)state;
    const char *text = "Wo ist 東京";
    assert_int_equal(hg_border_before(text, 13, 13), 10);
    assert_int_equal(hg_border_before(text, 13, 10), 10);
    assert_int_equal(hg_border_before(text, 13, 9), 6); /* inside a character */
    assert_int_equal(hg_border_before(text, 13, 5), 2);
    assert_int_equal(hg_border_before(text, 13, 1), 0);
    assert_int_equal(hg_border_before(text, 13, 0), 0);
    assert_int_equal(hg_border_before("", 0, 0), 0);
}

static void test_settled_source(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t settled;
    } rows[] = {
        {"", 0},
        {"Whe", 0},
        {"Where ", 6},
        {"Where is the tra", 13},
        {"Where is the  tra", 14},
        {"Where is the train?", 19},
        {"He said \"Stop.\"", 15},
        {"(Stop!) ", 8},
        {"Stop), he", 7},
        {"今天天", 6},
        {"今天。", 9},
        {"  Whe", 2},
        {"etc…", 0},
        {"\"", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t got = hg_border_settled_source(rows[i].text, strlen(rows[i].text));
        if (got != rows[i].settled) fail_msg("\"%s\": %zu", rows[i].text, got);
    }
}

static void test_forward(void **state)
{
    (void)state;
    static const char text[] = " Wo ist  der Zug 東京 ";
    size_t count = strlen(text), at = count, forward = 0, borders = 0, hops = 0;
    while ((at = hg_border_before(text, count, at ? at - 1 : 0)) > 0) borders++;
    while ((forward = hg_border_after(text, count, forward)) < count) {
        assert_int_equal(hg_border_before(text, count, forward), forward);
        hops++;
    }
    assert_int_equal(hops, borders);
    assert_int_equal(hg_border_words(text, count), 6);
    assert_int_equal(hg_border_words("Wo ist ", 7), 2);
    assert_int_equal(hg_border_spaced_words("Wo ist der", 10), 3);
    assert_int_equal(hg_border_spaced_words(" ist der", 8), 2);
    assert_int_equal(hg_border_spaced_words("Wo", 2), 0);
    assert_int_equal(hg_border_spaced_words("我的朋友", 12), 0);
    assert_int_equal(hg_border_words("  ", 2), 0);
    assert_int_equal(hg_border_words("", 0), 0);
}

static void test_end_mark(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t before;
    } rows[] = {
        {"", 0},        {"Wo", 2},   {"Wo ist er?!", 9}, {"Er sagte: \"Halt.\" ", 15},
        {"今天。", 6},  {"(Wo)", 4}, {".", 0},           {"3.5", 3},
        {"Wo. Ist", 7}, {"Wo ", 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t got = hg_border_before_end_mark(rows[i].text, strlen(rows[i].text));
        if (got != rows[i].before) fail_msg("\"%s\": %zu", rows[i].text, got);
    }
}

/* Grows every line character by character: borders never go away. */
static void check_growing(const char *text, size_t count)
{
    size_t last = 0;
    for (size_t cut = 1; cut <= count; cut++) {
        if (hg_utf8_valid(text, cut) != cut) continue;
        if (last) assert_int_equal(hg_border_before(text, cut, last), last);
        size_t border = hg_border_before(text, cut, cut);
        assert_true(border >= last && border < cut);
        last = border;
    }
}

static void test_growing_text(void **state)
{
    (void)state;
    static const char *const languages[] = {"ja", "zh", "ru", "fr"};
    for (size_t i = 0; i < 4; i++) {
        char path[64];
        snprintf(path, sizeof path, "tests/golden/data/dev.en-%s.tsv.xz", languages[i]);
        hg_buf file = golden_read_xz(path);
        for (char *line = file.data, *end; *line; line = end + 1) {
            end = strchr(line, '\n');
            assert_non_null(end);
            check_growing(line, (size_t)(end - line));
        }
        hg_buf_free(&file);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_borders),        cmocka_unit_test(test_below),
        cmocka_unit_test(test_settled_source), cmocka_unit_test(test_forward),
        cmocka_unit_test(test_end_mark),       cmocka_unit_test(test_growing_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
