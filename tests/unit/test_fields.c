/* test_fields.c: bodies of HTTP requests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/base/limits.h"
#include "core/service/fields.h"

#define FORM "application/x-www-form-urlencoded"

/* ---- bodies ---- */

static json_t *reads(const char *type, const char *body)
{
    json_t *fields;
    hg_error error;
    if (hg_fields_read(type, body, strlen(body), &fields, &error)) fail_msg("%s", error.message);
    return fields;
}

static void has(const char *type, const char *body, const char *name, const char *value)
{
    json_t *fields = reads(type, body);
    const char *found = json_string_value(json_object_get(fields, name));
    if (!found) fail_msg("%s: no %s", body, name);
    assert_string_equal(found, value);
    json_decref(fields);
}

static void refuses(const char *type, const char *body, size_t count, hg_status expected,
                    const char *says)
{
    json_t *fields;
    hg_error error;
    assert_int_equal(hg_fields_read(type, body, count, &fields, &error), expected);
    assert_null(fields);
    if (!strstr(error.message, says)) fail_msg("%s", error.message);
}

static void test_forms(void **state)
{
    (void)state;
    has(FORM, "q=a+b%20c&x", "q", "a b c");
    has(FORM, "q=a+b%20c&x", "x", "");
    has("", "q=%C3%A9", "q", "é");
    has(FORM ";charset=utf-8", "q=1%2", "q", "1%2");
    has(FORM, "q=100%&b=%zz", "b", "%zz");
    has(FORM, "q=a%0D%0Ab%0Dc", "q", "a\nb\rc");
    has(FORM, "q=first&q=second", "q", "first");
    has(FORM, "&&=x&q==", "q", "=");
    refuses(FORM, "q=%ff", 5, HG_ERROR_FORMAT, "UTF-8");
    refuses(FORM, "q=%00", 5, HG_ERROR_FORMAT, "UTF-8");
    refuses(FORM, "q\0=", 3, HG_ERROR_FORMAT, "NUL");
    refuses(FORM, "q%00=1", 6, HG_ERROR_FORMAT, "NUL");
}

static void test_too_many_fields(void **state)
{
    (void)state;
    char body[HG_LIMIT_HTTP_FIELDS * 8];
    size_t used = 0;
    for (int i = 0; i <= HG_LIMIT_HTTP_FIELDS; i++)
        used += (size_t)snprintf(body + used, sizeof body - used, "a%d=&", i);
    assert_true(used < sizeof body);
    refuses(FORM, body, used, HG_ERROR_LIMIT, "64");
}

static void test_multipart(void **state)
{
    (void)state;
    static const char type[] = "multipart/form-data; boundary=xy";
    static const char body[] =
        "preamble\r\n--xy\r\nContent-Type: text/plain\r\n"
        "content-disposition: form-data; name=\"q\"\r\n\r\na\r\nb\r\n--xy\r\n"
        "Content-Disposition: form-data; name=target\r\n\r\n\r\n--xy--";
    has(type, body, "q", "a\nb");
    has(type, body, "target", "");
    refuses("multipart/form-data", body, sizeof body - 1, HG_ERROR_FORMAT, "boundary");
    refuses(type, body, sizeof body - 3, HG_ERROR_FORMAT, "last boundary");
    refuses(type, "--xy\r\n\r\n\r\n--xy--", 16, HG_ERROR_FORMAT, "without a name");
    refuses(type, "--xy\r\nA: b\r\n--xy--", 18, HG_ERROR_FORMAT, "without headers");
    refuses(type, "--xyA: b\r\n--xy--", 16, HG_ERROR_FORMAT, "inside a line");
}

static void test_json(void **state)
{
    (void)state;
    json_t *fields = reads("application/json; charset=utf-8", "{\"q\":[\"a\",\"\"]}");
    assert_int_equal(json_array_size(json_object_get(fields, "q")), 2);
    json_decref(fields);
    refuses("application/json", "[]", 2, HG_ERROR_FORMAT, "object");
    refuses("application/json", "{\"q\":\xff}", 7, HG_ERROR_FORMAT, "not JSON");
    refuses("text/plain", "q=x", 3, HG_ERROR_UNSUPPORTED, "Content-Type");
    refuses("application/jsonx", "{}", 2, HG_ERROR_UNSUPPORTED, "Content-Type");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_too_many_fields),
        cmocka_unit_test(test_multipart),
        cmocka_unit_test(test_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
