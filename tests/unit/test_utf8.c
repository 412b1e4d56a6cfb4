/* test_utf8.c: the checker against every code point and against each kind of bad sequence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <unicode/utf8.h>

#include "core/text/utf8.h"

static void test_every_code_point(void **state)
{
    (void)state;
    for (UChar32 c = 0; c < 0x110000; c++) {
        char text[4];
        size_t count = 0;
        if (c >= 0xD800 && c < 0xE000) continue;
        U8_APPEND_UNSAFE(text, count, c);
        assert_int_equal(hg_utf8_valid(text, count), count);
        assert_int_equal(hg_utf8_length(text, count), 1);
        assert_int_equal(hg_utf8_width((uint8_t)text[0]), count);
        assert_int_equal(hg_utf8_unfinished(text, count), 0);
        for (size_t cut = 1; cut < count; cut++) {
            assert_int_equal(hg_utf8_valid(text, cut), 0);
            assert_int_equal(hg_utf8_unfinished(text, cut), cut);
        }
    }
}

/* All sequences of up to three bytes, and of four with a lead of four: ICU is the judge. */
static void test_against_icu(void **state)
{
    (void)state;
    for (uint32_t n = 0; n < 1u << 24; n += n < 1u << 16 ? 1 : 7) {
        uint8_t text[4] = {n < 1u << 16 ? 0xF0 | (n & 7) : (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                           (uint8_t)n, 0x80};
        int32_t at = 0;
        UChar32 c = 0;
        while (at < 4 && c >= 0) {
            int32_t start = at;
            U8_NEXT(text, at, 4, c);
            if (c < 0) at = start;
            if (c < 0) break;
        }
        assert_int_equal(hg_utf8_valid((const char *)text, 4), at);
    }
}

static void test_bad_sequences(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t valid, unfinished;
    } rows[] = {
        {"", 0, 0},
        {"abc", 3, 0},
        {"ab\xC3", 2, 1},
        {"ab\xC0\x80", 2, 0},        /* overlong NUL */
        {"\xE0\x80\x80", 0, 0},      /* overlong */
        {"\xE0\x80", 0, 0},          /* overlong already */
        {"\xED\xA0\x80", 0, 0},      /* surrogate */
        {"x\xF4\x90\x80\x80", 1, 0}, /* U+110000 */
        {"\xF5", 0, 0},
        {"\x80", 0, 0},
        {"\xE2\x82", 0, 2},
        {"\xF0\x9F\x98", 0, 3},
        {"\xFF\xF0\x9F\x98", 0, 3}, /* what stands before does not matter */
        {"\xE4\xBD\xA0\xE4\xBD", 3, 2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t count = strlen(rows[i].text);
        assert_int_equal(hg_utf8_valid(rows[i].text, count), rows[i].valid);
        assert_int_equal(hg_utf8_unfinished(rows[i].text, count), rows[i].unfinished);
    }
    assert_int_equal(hg_utf8_valid("a\0b", 3), 3);
    assert_int_equal(hg_utf8_length("a\xC3\xA9\xF0\x9F\x98\x80", 7), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_point),
        cmocka_unit_test(test_against_icu),
        cmocka_unit_test(test_bad_sequences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
