/* test_tokenizer.c: our token ids against those of the `tokenizers` library, made by
 * make_tokenizer_goldens.py: every line of the dev files, a hostile set, and the character classes
 * of the regular expressions over all of Unicode. Each text is also decoded back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <glob.h>
#include <jansson.h>
#include <unicode/uchar.h>
#include <unicode/uregex.h>

#include "core/text/tokenizer.h"
#include "tests/golden/xz.h"

#define FOLDER "tests/golden/"

static hg_tokenizer *tokenizer;

static int set_up(void **state)
{
    (void)state;
    hg_error error;
    hg_status status = hg_tokenizer_open("models/hydra-tiny/tokenizer.json", &tokenizer, &error);
    if (status) print_error("%s\n", error.message);
    return status ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    hg_tokenizer_close(tokenizer);
    return 0;
}

static void print_ids(const char *label, const hg_tokens *tokens)
{
    print_error("%s:", label);
    for (uint32_t i = 0; i < tokens->count; i++) print_error(" %d", tokens->id[i]);
    print_error("\n");
}

/* Ends the test, naming the text, when the ids differ or do not decode to the text again. */
static void check(const char *where, const char *text, size_t count, const hg_tokens *expected)
{
    hg_tokens got = {0};
    hg_error error;
    hg_decoder decoder = {0};
    hg_buf back = hg_buf_new(GOLDEN_MAX);
    if (hg_tokenizer_encode(tokenizer, text, count, &got, &error))
        fail_msg("%s: %s", where, error.message);
    if (got.count != expected->count ||
        (got.count && memcmp(got.id, expected->id, got.count * sizeof *got.id) != 0)) {
        print_ids("expected", expected);
        print_ids("got     ", &got);
        fail_msg("%s: ids differ: %.200s", where, text);
    }
    for (uint32_t i = 0; i < got.count; i++)
        assert_int_equal(hg_decoder_push(&decoder, tokenizer, got.id[i], &back), HG_OK);
    assert_int_equal(hg_decoder_finish(&decoder, &back), HG_OK);
    if (back.length != count || (count && memcmp(back.data, text, count) != 0))
        fail_msg("%s: does not decode to itself: %.200s", where, text);
    hg_buf_free(&back);
    hg_tokens_free(&got);
}

/* Reads one line of ids and moves *line behind it. */
static void read_ids(char **line, hg_tokens *out)
{
    out->count = 0;
    while (**line != '\n') {
        assert_int_not_equal(**line, '\0');
        assert_int_equal(hg_tokens_append(out, (int32_t)strtol(*line, line, 10)), HG_OK);
    }
    ++*line;
}

/* Checks both sides of all lines of one file; returns the texts checked. */
static unsigned check_file(const char *path, char **golden)
{
    hg_buf file = golden_read_xz(path);
    hg_tokens expected = {0};
    unsigned texts = 0;
    for (char *line = file.data, *end; *line; line = end + 1) {
        char where[256], *tab = strchr(line, '\t');
        end = strchr(line, '\n');
        assert_true(tab && end && tab < end);
        snprintf(where, sizeof where, "%s, line %u", path, texts / 2 + 1);
        read_ids(golden, &expected);
        check(where, line, (size_t)(tab - line), &expected);
        read_ids(golden, &expected);
        check(where, tab + 1, (size_t)(end - tab - 1), &expected);
        texts += 2;
    }
    hg_tokens_free(&expected);
    hg_buf_free(&file);
    return texts;
}

static void test_dev_files(void **state)
{
    (void)state;
    glob_t files;
    assert_int_equal(glob(FOLDER "data/dev.en-*.tsv.xz", 0, NULL, &files), 0);
    assert_int_equal(files.gl_pathc, 9);
    hg_buf golden = golden_read_xz(FOLDER "tokenizer_dev.txt.xz");
    char *line = golden.data;
    unsigned texts = 0;
    for (size_t i = 0; i < files.gl_pathc; i++) texts += check_file(files.gl_pathv[i], &line);
    assert_int_equal(*line, '\0');
    assert_true(texts > 18000);
    print_message("%u texts of %zu dev files have the library's ids\n", texts, files.gl_pathc);
    hg_buf_free(&golden);
    globfree(&files);
}

static void test_hostile(void **state)
{
    (void)state;
    hg_buf golden = golden_read_xz(FOLDER "tokenizer_hostile.json.xz");
    json_t *rows = json_loadb(golden.data, golden.length, JSON_ALLOW_NUL, NULL), *row, *id;
    size_t index, at;
    assert_true(json_array_size(rows) > 600);
    json_array_foreach(rows, index, row)
    {
        hg_tokens expected = {0};
        const json_t *text = json_object_get(row, "text");
        json_array_foreach(json_object_get(row, "ids"), at, id)
        {
            int32_t value = (int32_t)json_integer_value(id);
            assert_int_equal(hg_tokens_append(&expected, value), HG_OK);
        }
        check(json_string_value(json_object_get(row, "name")), json_string_value(text),
              json_string_length(text), &expected);
        hg_tokens_free(&expected);
    }
    print_message("%zu hostile texts have the library's ids\n", index);
    json_decref(rows);
    hg_buf_free(&golden);
}

/* Whether ICU's pattern matches exactly the string [units]. */
static bool matches(URegularExpression *pattern, const UChar *text, int32_t units)
{
    UErrorCode icu = U_ZERO_ERROR;
    uregex_setText(pattern, text, units, &icu);
    bool yes = uregex_matches(pattern, 0, &icu);
    assert_true(U_SUCCESS(icu));
    return yes;
}

/* Compares one class over all code points that ICU knows. Those it does not know are newer than
 * its Unicode version, and only they may differ; returns how many did. */
static unsigned check_class(const char *name, const json_t *ranges)
{
    UErrorCode icu = U_ZERO_ERROR;
    URegularExpression *pattern = uregex_openC(name, 0, NULL, &icu);
    assert_true(U_SUCCESS(icu));
    bool letter = name[0] == '\\'; /* else a contraction: an apostrophe and the letter */
    size_t range = 0;
    unsigned newer = 0;
    for (UChar32 c = 1; c < 0x110000; c++) {
        if (c >= 0xD800 && c < 0xE000) continue;
        while (range < json_array_size(ranges) &&
               json_integer_value(json_array_get(json_array_get(ranges, range), 1)) <= c)
            range++;
        const json_t *first = json_array_get(json_array_get(ranges, range), 0);
        bool expected = first && json_integer_value(first) <= c;
        UChar text[3] = {'\''};
        int32_t units = letter ? 0 : 1;
        U16_APPEND_UNSAFE(text, units, c);
        if (matches(pattern, text, units) == expected) continue;
        if (u_charType(c) != U_UNASSIGNED) fail_msg("%s differs at U+%04X", name, (unsigned)c);
        newer++;
    }
    uregex_close(pattern);
    return newer;
}

static void test_classes(void **state)
{
    (void)state;
    json_t *classes = json_load_file(FOLDER "tokenizer_classes.json", 0, NULL), *ranges;
    const char *name;
    assert_int_equal(json_object_size(classes), 7);
    json_object_foreach(classes, name, ranges)
    {
        unsigned newer = check_class(name, ranges);
        print_message("%s: the same over all of Unicode %s, %u newer code points\n", name,
                      U_UNICODE_VERSION, newer);
    }
    json_decref(classes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dev_files),
        cmocka_unit_test(test_hostile),
        cmocka_unit_test(test_classes),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
