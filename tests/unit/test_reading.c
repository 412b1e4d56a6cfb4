/* test_reading.c: readings against those of others: pypinyin's of the dev sentences
 * (reading.zh.tsv, by tests/golden/make_reading_goldens.py), and place names in the spelling of the
 * BGN and UNGEGN systems' own tables. What cannot be read right is not read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/limits.h"
#include "core/text/reading.h"
#include "tests/golden/xz.h"

static hg_readings readings;

static hg_status read_text(const char *language, const char *text, hg_buf *out)
{
    hg_tag tag;
    hg_error error;
    assert_int_equal(hg_tag_parse(language, &tag, &error), HG_OK);
    return hg_reading_of(&readings, &tag, text, out, &error);
}

static void check(const char *language, const char *text, const char *expected)
{
    hg_buf out = hg_buf_new(1 << 20);
    assert_int_equal(read_text(language, text, &out), HG_OK);
    assert_string_equal(hg_buf_text(&out), expected);
    hg_buf_free(&out);
}

static void test_alphabets(void **state)
{
    (void)state;
    check("ru", "Где поезд?", "Gde poyezd?");
    check("ru", "Щёлково, Ельня, Подъячий; Юлия", "Shchëlkovo, Yelʹnya, Podʺyachiy; Yuliya");
    check("ru", "URL: https://example.org 🙂", "URL: https://example.org 🙂");
    check("uk", "Київ, Запоріжжя", "Kyyiv, Zaporizhzhya");
    check("el", "Αθήνα", "Athí̱na");
    check("ru", "", "");
}

static void test_pinyin(void **state)
{
    (void)state;
    check("zh", "火车站在哪里？", "huǒ chē zhàn zài nǎ lǐ?");
    check("zh-Hans", "他说：“我得走了。”", "tā shuō: “wǒ děi zǒu le.”");
    check("zh-CN", "银行行长长大了，睡觉！", "yín háng xíng zhǎng zhǎng dà le, shuì jiào!");
    check("zh-Hant", "銀行在哪裡？", "yín háng zài nǎ lǐ?");
    check("zh", "得了解音乐", "de liǎo jiě yīn yuè");
    check("zh", "他跑得很快，很便宜", "tā pǎo de hěn kuài, hěn pián yi");
}

static void test_what_is_not_read(void **state)
{
    (void)state;
    hg_buf out = hg_buf_new(1 << 20);
    static const char *const none[] = {"ja", "ar", "he", "fa", "th", "hi", "de", "sr-Latn", "yue"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_int_equal(read_text(none[i], "x", &out), HG_ERROR_ARGUMENT);
    char text[2 * HG_LIMIT_READING + 3] = "";
    for (int i = 0; i <= HG_LIMIT_READING; i++) strcat(text, "д");
    assert_int_equal(read_text("ru", text, &out), HG_ERROR_LIMIT);
    text[2 * HG_LIMIT_READING] = '\0';
    assert_int_equal(read_text("ru", text, &out), HG_OK);
    assert_int_equal(out.length, HG_LIMIT_READING);
    hg_buf_free(&out);
}

/* The next word of letters at *at, its end; NULL: none. Marks and spaces are passed by. */
static const char *next_word(const char **at)
{
    const char *begin = *at + strspn(*at, " .,!?;:()\"'-“”‘’…—·《》");
    *at = begin + strcspn(begin, " .,!?;:()\"'-");
    return *begin ? begin : NULL;
}

/* Of the golden's syllables, how many the reading has at the same place. */
static void compare(const char *text, const char *golden, size_t *same, size_t *all)
{
    hg_buf out = hg_buf_new(1 << 20);
    assert_int_equal(read_text("zh", text, &out), HG_OK);
    const char *ours = hg_buf_text(&out), *a, *b;
    while ((b = next_word(&golden))) {
        a = next_word(&ours);
        ++*all;
        *same += a && ours - a >= golden - b && memcmp(a, b, (size_t)(golden - b)) == 0;
    }
    hg_buf_free(&out);
}

static void test_against_pypinyin(void **state)
{
    (void)state;
    hg_buf golden = golden_read_xz("tests/golden/reading.zh.tsv.xz");
    size_t same = 0, all = 0;
    for (char *line = golden.data, *end;
         (end = memchr(line, '\n', golden.length - (size_t)(line - golden.data))); line = end + 1) {
        *end = '\0';
        char *tab = strchr(line, '\t');
        assert_non_null(tab);
        *tab = '\0';
        compare(line, tab + 1, &same, &all);
    }
    print_message("%zu of %zu syllables as pypinyin reads them\n", same, all);
    assert_true(all > 7000 && same * 1000 > all * 994);
    hg_buf_free(&golden);
}

static int close_readings(void **state)
{
    (void)state;
    hg_readings_free(&readings);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alphabets),
        cmocka_unit_test(test_pinyin),
        cmocka_unit_test(test_what_is_not_read),
        cmocka_unit_test(test_against_pypinyin),
    };
    return cmocka_run_group_tests(tests, NULL, close_readings);
}
