/* test_tokenizer_ranks.c: small files in the form of Meta's tokenizer.model: tiktoken's way to
 * merge where it differs from a list of merges, the special tokens that follow, every refusal.
 * Meta's own file is in tests/golden. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/text/tokenizer_internal.h"

static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Appends one line: a token of up to three bytes. */
static void append(hg_buf *file, const char *bytes, size_t count, unsigned rank)
{
    unsigned bits = 0;
    char spelled[5] = "====";
    for (size_t i = 0; i < 3; i++) bits = bits << 8 | (i < count ? (uint8_t)bytes[i] : 0);
    for (size_t i = 0; i <= count; i++) spelled[i] = digit[bits >> (18 - 6 * i) & 63];
    assert_int_equal(hg_buf_printf(file, "%s %u\n", spelled, rank), HG_OK);
}

/* The 256 bytes, in an order that is not theirs: byte b has rank 255 - b. */
static hg_buf alphabet(void)
{
    hg_buf file = hg_buf_new(1 << 20);
    for (int byte = 0; byte < 256; byte++)
        append(&file, &(char){(char)byte}, 1, 255u - (unsigned)byte);
    return file;
}

static hg_tokenizer *parse(hg_buf *file)
{
    hg_tokenizer *made;
    hg_error error;
    if (hg_tokenizer_parse_ranks(hg_buf_text(file), file->length, "r", &made, &error))
        fail_msg("%s", error.message);
    hg_buf_free(file);
    return made;
}

static void check(const hg_tokenizer *t, const char *text, const int32_t *ids, uint32_t count)
{
    hg_tokens got = {0};
    hg_error error;
    assert_int_equal(hg_tokenizer_encode(t, text, strlen(text), &got, &error), HG_OK);
    assert_int_equal(got.count, count);
    assert_memory_equal(got.id, ids, count * sizeof *ids);
    hg_tokens_free(&got);
}

#define BYTE(c) (255 - (c))
#define CHECK(t, text, ...)                                                                        \
    check(t, text, (const int32_t[]){__VA_ARGS__}, sizeof((int32_t[]){__VA_ARGS__}) / 4)

/* The ids are those of tiktoken with the same ranks. */
static void test_merging(void **state)
{
    (void)state;
    hg_buf file = alphabet();
    append(&file, "bc", 2, 256);
    append(&file, "ab", 2, 257);
    append(&file, "abc", 3, 258);
    append(&file, "xyz", 3, 259); /* no two tokens make it: only a whole word is it */
    hg_tokenizer *t = parse(&file);
    assert_int_equal(hg_tokenizer_vocabulary(t), 260 + 256);
    CHECK(t, "abc", 258);
    CHECK(t, "abcd", 258, BYTE('d')); /* by "bc", though "ab" stands further left */
    CHECK(t, "abab", 257, 257);
    CHECK(t, "xyz", 259);
    CHECK(t, "xyzx", BYTE('x'), BYTE('y'), BYTE('z'), BYTE('x'));
    CHECK(t, "1234", BYTE('1'), BYTE('2'), BYTE('3'), BYTE('4'));
    hg_tokenizer_close(t);
}

/* They follow the ranks, and text never becomes one. */
static void test_special(void **state)
{
    (void)state;
    hg_buf file = alphabet();
    hg_tokenizer *t = parse(&file);
    hg_tokens got = {0};
    hg_error error;
    assert_int_equal(hg_tokenizer_special(t, "<|begin_of_text|>", 17), 256);
    assert_int_equal(hg_tokenizer_special(t, "<|eot_id|>", 10), 256 + 9);
    assert_int_equal(hg_tokenizer_encode(t, "<|eot_id|>", 10, &got, &error), HG_OK);
    assert_int_equal(got.count, 10);
    hg_tokens_free(&got);
    hg_tokenizer_close(t);
}

/* A last line without its end, and lines that end as on Windows, are lines. */
static void test_line_ends(void **state)
{
    (void)state;
    hg_buf file = alphabet();
    assert_int_equal(hg_buf_append_text(&file, "YWE= 256\r\nYWFh 257"), HG_OK);
    hg_tokenizer *t = parse(&file);
    CHECK(t, "aa", 256);
    CHECK(t, "aaa", 257);
    hg_tokenizer_close(t);
}

static void test_refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"YWE=", "line 257 is not a token"},
        {"YWE= ", "line 257 is not a token"},
        {"YWE= x", "line 257 is not a token"},
        {"YWE= -1", "line 257 is not a token"},
        {"YWE= 256 ", "line 257 is not a token"},
        {"YWE 256", "line 257 is not a token"},
        {"Y*E= 256", "line 257 is not a token"},
        {"==== 256", "line 257 is not a token"},
        {"Y=E= 256", "line 257 is not a token"},
        {" 256", "line 257 is not a token"},
        {"\n", "line 257 is not a token"},
        {"YWE= 257", "rank 257, expected 0 to 256"},
        {"YWE= 255", "rank 255, expected 0 to 256"},
        {"YQ== 256", "are both \"a\""},
        {"YWE= 99999999999", "not a token in base64"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hg_buf file = alphabet();
        hg_error error = {0};
        hg_tokenizer *made;
        assert_int_equal(hg_buf_append_text(&file, rows[i][0]), HG_OK);
        hg_status status =
            hg_tokenizer_parse_ranks(hg_buf_text(&file), file.length, "r.model", &made, &error);
        if (!status) fail_msg("%s was taken", rows[i][0]);
        assert_null(made);
        if (strncmp(error.message, "r.model: ", 9) != 0 || !strstr(error.message, rows[i][1]))
            fail_msg("%s: %s", rows[i][0], error.message);
        hg_buf_free(&file);
    }
}

/* A file that lacks a byte, and none at all. */
static void test_incomplete(void **state)
{
    (void)state;
    hg_error error = {0};
    hg_tokenizer *made;
    static const char one[] = "YQ== 0\n";
    assert_int_equal(hg_tokenizer_parse_ranks(one, sizeof one - 1, "r", &made, &error),
                     HG_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "no token for byte 0x00"));
    assert_int_equal(hg_tokenizer_parse_ranks("", 0, "r", &made, &error), HG_ERROR_FORMAT);
    assert_int_equal(hg_tokenizer_open_ranks("no/such.model", &made, &error), HG_ERROR_NOT_FOUND);
    assert_null(made);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merging),    cmocka_unit_test(test_special),
        cmocka_unit_test(test_line_ends),  cmocka_unit_test(test_refused),
        cmocka_unit_test(test_incomplete),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
