/* test_base.c: buffers at their bounds, messages cut at whole characters, files written so that a
 * failure leaves the old one, SHA-256 of known texts, and the clocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/base/buf.h"
#include "core/base/clock.h"
#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/limits.h"
#include "core/base/log.h"
#include "core/text/utf8.h"

/* ---- buf ---- */

static void test_buf_grows(void **state)
{
    (void)state;
    hg_buf buf = hg_buf_new(1000);
    assert_string_equal(hg_buf_text(&buf), "");
    assert_null(buf.data);
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(hg_buf_append(&buf, &(char){(char)('a' + i % 26)}, 1), HG_OK);
        assert_int_equal(buf.data[buf.length], '\0');
    }
    assert_int_equal(buf.length, 1000);
    assert_int_equal(buf.data[999], 'a' + 999 % 26);
    hg_buf_free(&buf);
    assert_int_equal(buf.maximum, 1000); /* may be used again */
    assert_int_equal(buf.length, 0);
}

static void test_buf_maximum(void **state)
{
    (void)state;
    hg_buf buf = hg_buf_new(5);
    assert_int_equal(hg_buf_append_text(&buf, "abc"), HG_OK);
    assert_int_equal(hg_buf_append_text(&buf, "def"), HG_ERROR_LIMIT);
    assert_string_equal(hg_buf_text(&buf), "abc");
    assert_int_equal(hg_buf_printf(&buf, "%d", 123), HG_ERROR_LIMIT);
    assert_string_equal(hg_buf_text(&buf), "abc");
    assert_int_equal(hg_buf_printf(&buf, "%d", 12), HG_OK);
    assert_string_equal(hg_buf_text(&buf), "abc12");
    assert_int_equal(hg_buf_append(&buf, "", 0), HG_OK);
    assert_int_equal(hg_buf_append(&buf, "x", SIZE_MAX), HG_ERROR_LIMIT);
    hg_buf_free(&buf);
    buf = hg_buf_new(0);
    assert_int_equal(hg_buf_append_text(&buf, ""), HG_OK);
    assert_int_equal(hg_buf_append_text(&buf, "x"), HG_ERROR_LIMIT);
    hg_buf_free(&buf);
}

static void test_buf_consume(void **state)
{
    (void)state;
    hg_buf buf = hg_buf_new(100);
    hg_buf_consume(&buf, 0);
    assert_int_equal(hg_buf_append(&buf, "ab\0cd", 5), HG_OK);
    hg_buf_consume(&buf, 3);
    assert_string_equal(hg_buf_text(&buf), "cd");
    hg_buf_consume(&buf, 2);
    assert_int_equal(buf.length, 0);
    assert_string_equal(hg_buf_text(&buf), "");
    assert_int_equal(hg_buf_append_text(&buf, "x"), HG_OK);
    hg_buf_clear(&buf);
    assert_string_equal(hg_buf_text(&buf), "");
    hg_buf_free(&buf);
}

/* ---- error ---- */

static void test_fail(void **state)
{
    (void)state;
    hg_error error;
    assert_int_equal(hg_fail(&error, HG_ERROR_FORMAT, "%s: %d", "file", 7), HG_ERROR_FORMAT);
    assert_int_equal(error.status, HG_ERROR_FORMAT);
    assert_string_equal(error.message, "file: 7");
    assert_int_equal(hg_fail_within(&error, "plugin %s", "de"), HG_ERROR_FORMAT);
    assert_string_equal(error.message, "plugin de: file: 7");
    assert_int_equal(hg_fail(NULL, HG_ERROR_IO, "nobody listens"), HG_ERROR_IO);
}

/* However long, a message is terminated and ends in a whole character. */
static void test_fail_cuts(void **state)
{
    (void)state;
    char wide[4 * HG_ERROR_MESSAGE_MAX + 1] = "";
    for (int i = 0; i < HG_ERROR_MESSAGE_MAX; i++) strcat(wide, i % 2 ? "€" : "😀");
    for (int shift = 0; shift < 8; shift++) {
        hg_error error;
        hg_fail(&error, HG_ERROR_FORMAT, "%.*s%s", shift, "abcdefgh", wide);
        size_t length = strlen(error.message);
        assert_true(length > HG_ERROR_MESSAGE_MAX - 5 && length < HG_ERROR_MESSAGE_MAX);
        assert_int_equal(hg_utf8_valid(error.message, length), length);
        hg_fail_within(&error, "%.*s", shift, "ABCDEFGH");
        length = strlen(error.message);
        assert_true(length < HG_ERROR_MESSAGE_MAX);
        assert_int_equal(hg_utf8_valid(error.message, length), length);
        hg_fail_within(&error, "%s", wide);
        length = strlen(error.message);
        assert_true(length < HG_ERROR_MESSAGE_MAX);
        assert_int_equal(hg_utf8_valid(error.message, length), length);
    }
}

static void test_status_names(void **state)
{
    (void)state;
    for (int i = HG_OK; i <= HG_ERROR_DATABASE; i++) {
        assert_string_not_equal(hg_status_name((hg_status)i), "unknown");
        for (int j = HG_OK; j < i; j++)
            assert_string_not_equal(hg_status_name((hg_status)i), hg_status_name((hg_status)j));
    }
    assert_string_equal(hg_status_name((hg_status)99), "unknown");
}

/* ---- file ---- */

static char folder[] = "/tmp/hydraglot-test-XXXXXX";

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return rmdir(folder);
}

static const char *inside(const char *name)
{
    static char path[HG_PATH_MAX];
    assert_int_equal(hg_path_join(path, sizeof path, folder, name, NULL), HG_OK);
    return path;
}

static void test_write_read_map(void **state)
{
    (void)state;
    hg_error error;
    hg_buf buf = hg_buf_new(8);
    hg_mapping map;
    const char *path = inside("a");
    assert_false(hg_file_exists(path));
    assert_int_equal(hg_file_write(path, "old", 3, &error), HG_OK);
    assert_int_equal(hg_file_write(path, "new\0!", 5, &error), HG_OK);
    assert_true(hg_file_exists(path));
    assert_int_equal(hg_file_read(path, &buf, &error), HG_OK);
    assert_int_equal(buf.length, 5);
    assert_memory_equal(buf.data, "new\0!", 5);
    assert_int_equal(hg_file_read(path, &buf, &error), HG_ERROR_LIMIT); /* appends: 10 > 8 */
    assert_non_null(strstr(error.message, path));
    assert_int_equal(hg_file_map(path, &map, &error), HG_OK);
    assert_int_equal(map.size, 5);
    assert_memory_equal(map.data, "new\0!", 5);
    hg_file_unmap(&map);
    assert_null(map.data);
    assert_int_equal(hg_file_write(path, "", 0, &error), HG_OK);
    assert_int_equal(hg_file_map(path, &map, &error), HG_OK);
    assert_int_equal(map.size, 0);
    hg_file_unmap(&map);
    assert_int_equal(unlink(path), 0);
    hg_buf_free(&buf);
}

static void test_file_errors(void **state)
{
    (void)state;
    hg_error error;
    hg_mapping map;
    hg_buf buf = hg_buf_new(8);
    assert_int_equal(hg_file_map(inside("none"), &map, &error), HG_ERROR_NOT_FOUND);
    assert_non_null(strstr(error.message, "none"));
    assert_int_equal(hg_file_read(folder, &buf, &error), HG_ERROR_IO);
    assert_non_null(strstr(error.message, "not a regular file"));
    assert_int_equal(hg_file_write(inside("no/a"), "x", 1, &error), HG_ERROR_NOT_FOUND);
    char small[8];
    assert_int_equal(hg_path_join(small, sizeof small, "abcd", "efg", &error), HG_ERROR_LIMIT);
    assert_int_equal(hg_path_join(small, sizeof small, "abc", "efg", &error), HG_OK);
    assert_string_equal(small, "abc/efg");
}

/* When the rename cannot be, the old content stays and no partial file is left. */
static void test_write_keeps_old(void **state)
{
    (void)state;
    hg_error error;
    char path[HG_PATH_MAX], partial[HG_PATH_MAX + 16];
    snprintf(path, sizeof path, "%s", inside("taken"));
    snprintf(partial, sizeof partial, "%s.partial", path);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_not_equal(hg_file_write(path, "x", 1, &error), HG_OK);
    assert_non_null(strstr(error.message, "rename"));
    assert_false(hg_file_exists(partial));
    assert_int_equal(rmdir(path), 0);
}

static void test_folder_make(void **state)
{
    (void)state;
    hg_error error;
    struct stat st;
    assert_int_equal(hg_folder_make(inside("x/y/z"), &error), HG_OK);
    assert_int_equal(hg_folder_make(inside("x/y/z"), &error), HG_OK);
    assert_int_equal(stat(inside("x/y/z"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    assert_int_equal(hg_file_write(inside("x/file"), "", 0, &error), HG_OK);
    assert_int_not_equal(hg_folder_make(inside("x/file/z"), &error), HG_OK);
    assert_int_equal(unlink(inside("x/file")), 0);
    assert_int_equal(rmdir(inside("x/y/z")), 0);
    assert_int_equal(rmdir(inside("x/y")), 0);
    assert_int_equal(rmdir(inside("x")), 0);
}

/* The digests are FIPS 180-4's examples. */
static void test_sha256(void **state)
{
    (void)state;
    char hex[HG_SHA256_HEX];
    hg_error error;
    assert_int_equal(hg_sha256("abc", 3, hex, &error), HG_OK);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    const char *path = inside("empty");
    assert_int_equal(hg_file_write(path, "", 0, &error), HG_OK);
    assert_int_equal(hg_file_sha256(path, hex, &error), HG_OK);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_int_equal(unlink(path), 0);
}

/* ---- clock, log, limits ---- */

static void test_clock(void **state)
{
    (void)state;
    char text[HG_CLOCK_TEXT_MAX];
    int64_t before = hg_clock_us();
    for (int i = 0; i < 1000; i++) {
        int64_t now = hg_clock_us();
        assert_true(now >= before);
        before = now;
    }
    assert_true(hg_clock_wall_us() > INT64_C(1700000000) * 1000000);
    hg_clock_format(0, text);
    assert_string_equal(text, "1970-01-01T00:00:00.000Z");
    hg_clock_format(INT64_C(1709251199987654), text);
    assert_string_equal(text, "2024-02-29T23:59:59.987Z");
}

static void test_log_level(void **state)
{
    (void)state;
    hg_log_level level = HG_LOG_INFO;
    assert_int_equal(hg_log_parse_level("debug", &level), HG_OK);
    assert_int_equal(level, HG_LOG_DEBUG);
    assert_int_equal(hg_log_parse_level("loud", &level), HG_ERROR_ARGUMENT);
    assert_int_equal(level, HG_LOG_DEBUG);
}

static void test_limits_have_reasons(void **state)
{
    (void)state;
#define CHECK_LIMIT(name, value, why)                                                              \
    assert_true((value) > 0);                                                                      \
    assert_true(strlen(why) > 10);
    HG_LIMITS(CHECK_LIMIT)
#undef CHECK_LIMIT
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buf_grows),       cmocka_unit_test(test_buf_maximum),
        cmocka_unit_test(test_buf_consume),     cmocka_unit_test(test_fail),
        cmocka_unit_test(test_fail_cuts),       cmocka_unit_test(test_status_names),
        cmocka_unit_test(test_write_read_map),  cmocka_unit_test(test_file_errors),
        cmocka_unit_test(test_write_keeps_old), cmocka_unit_test(test_folder_make),
        cmocka_unit_test(test_sha256),          cmocka_unit_test(test_clock),
        cmocka_unit_test(test_log_level),       cmocka_unit_test(test_limits_have_reasons),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
