/* test_language.c: canonical tags, which tag serves which, and names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/text/language.h"

static hg_tag parse(const char *text)
{
    hg_tag tag;
    hg_error error;
    if (hg_tag_parse(text, &tag, &error)) fail_msg("%s", error.message);
    return tag;
}

static void test_canonical(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"de", "de"},
                                          {"DE", "de"},
                                          {"zh-hans", "zh-Hans"},
                                          {"ZH-hANS-cn", "zh-Hans-CN"},
                                          {"iw", "he"},
                                          {"in", "id"},
                                          {"de-x-Formal", "de-x-formal"},
                                          {"i-klingon", "tlh"},
                                          {"pt-br", "pt-BR"},
                                          {"es-419", "es-419"},
                                          {"sr-latn-rs", "sr-Latn-RS"},
                                          {"en-u-hc-h12-ca-gregory", "en-u-ca-gregory-hc-h12"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hg_tag tag = parse(rows[i][0]), again = parse(tag.text);
        assert_string_equal(tag.text, rows[i][1]);
        assert_string_equal(again.text, rows[i][1]);
    }
}

static void test_malformed(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "d",
        "zh_CN",
        "de-",
        "-de",
        "de--at",
        "germanisch-language",
        "de-x",
        "de at",
        "123",
        "dé",
        "en-x-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh-abcdefgh"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hg_tag tag;
        hg_error error;
        if (hg_tag_parse(rows[i], &tag, &error) != HG_ERROR_ARGUMENT)
            fail_msg("\"%s\" was taken as %s", rows[i], tag.text);
        assert_non_null(strstr(error.message, rows[i][0] == 'e' ? "en-x-abcdefgh" : rows[i]));
        assert_string_equal(tag.text, "");
    }
}

static void test_compare(void **state)
{
    (void)state;
    static const struct {
        const char *asked, *offered;
        hg_tag_match match;
    } rows[] = {
        {"de", "de", HG_TAG_EQUAL},
        {"de-AT", "de", HG_TAG_SAME_LANGUAGE},
        {"de", "de-AT", HG_TAG_SAME_LANGUAGE},
        {"zh", "zh-Hans", HG_TAG_SAME_LANGUAGE},
        {"zh-CN", "zh-Hans", HG_TAG_SAME_LANGUAGE},
        {"zh-SG", "zh", HG_TAG_SAME_LANGUAGE},
        {"zh-TW", "zh-Hant", HG_TAG_SAME_LANGUAGE},
        {"zh-Hans", "zh-TW", HG_TAG_DIFFERENT},
        {"zh-HK", "zh", HG_TAG_DIFFERENT},
        {"sr", "sr-Latn", HG_TAG_DIFFERENT},
        {"de", "nl", HG_TAG_DIFFERENT},
        {"iw", "he", HG_TAG_EQUAL},
        {"de", "de-x-formal", HG_TAG_DIFFERENT},
        {"de-AT", "de-x-formal", HG_TAG_DIFFERENT},
        {"de-x-formal", "de-x-formal", HG_TAG_EQUAL},
        {"de-AT-x-formal", "de-x-formal", HG_TAG_SAME_LANGUAGE},
        {"de-x-casual", "de-x-formal", HG_TAG_DIFFERENT},
        {"de-x-formal", "de", HG_TAG_SAME_LANGUAGE},
        {"qaa", "qab", HG_TAG_DIFFERENT},
        {"und-x-a", "und-x-b", HG_TAG_DIFFERENT},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hg_tag asked = parse(rows[i].asked), offered = parse(rows[i].offered);
        if (hg_tag_compare(&asked, &offered) != rows[i].match)
            fail_msg("%s for %s is wrong", rows[i].offered, rows[i].asked);
    }
}

static void test_names(void **state)
{
    (void)state;
    static const char *const rows[][3] = {{"de", "Deutsch", "German"},
                                          {"es", "Español", "Spanish"},
                                          {"fr", "Français", "French"},
                                          {"ja", "日本語", "Japanese"},
                                          {"nl", "Nederlands", "Dutch"},
                                          {"ru", "Русский", "Russian"},
                                          {"sv", "Svenska", "Swedish"},
                                          {"tr", "Türkçe", "Turkish"},
                                          {"zh-Hans", "简体中文", "Simplified Chinese"},
                                          {"de-x-formal", "Deutsch", "German"},
                                          {"qaa", "Qaa", "Qaa"}};
    char name[64];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hg_tag tag = parse(rows[i][0]);
        hg_tag_native_name(&tag, name, sizeof name);
        assert_string_equal(name, rows[i][1]);
        hg_tag_english_name(&tag, name, sizeof name);
        assert_string_equal(name, rows[i][2]);
    }
    hg_tag tag = parse("ja");
    hg_tag_native_name(&tag, name, 6); /* cut at a whole character */
    assert_string_equal(name, "日");
    hg_tag_native_name(&tag, name, 1);
    assert_string_equal(name, "");
}

static void test_direction(void **state)
{
    (void)state;
    hg_tag arabic = parse("ar"), hebrew = parse("iw"), german = parse("de"), urdu = parse("ur-PK");
    assert_true(hg_tag_right_to_left(&arabic) && hg_tag_right_to_left(&hebrew));
    assert_true(hg_tag_right_to_left(&urdu));
    assert_false(hg_tag_right_to_left(&german));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canonical), cmocka_unit_test(test_malformed),
        cmocka_unit_test(test_compare),   cmocka_unit_test(test_names),
        cmocka_unit_test(test_direction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
