/* test_fields.c: bodies of HTTP requests, and texts cut into sentences. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "core/base/limits.h"
#include "core/service/fields.h"
#include "core/translate/document.h"

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

/* ---- documents ---- */

typedef struct expectation {
    const char *const *piece; /* NULL-terminated */
} expectation;

static const char *bracketed(uint32_t piece, void *context)
{
    static char room[64];
    snprintf(room, sizeof room, "<%s>", ((const expectation *)context)->piece[piece]);
    return room;
}

/* text has these pieces, and prints as expected when each is put into angle brackets. */
static void cuts(const char *text, const char *language, const char *const *piece,
                 const char *printed)
{
    hg_document *document;
    hg_error error;
    hg_buf out = hg_buf_new(1 << 20);
    expectation context = {piece};
    assert_int_equal(hg_document_open(text, strlen(text), language, &document, &error), HG_OK);
    uint32_t count = hg_document_pieces(document);
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes;
        const char *found = hg_document_piece(document, i, &bytes);
        if (!piece[i] || strlen(piece[i]) != bytes || memcmp(found, piece[i], bytes) != 0)
            fail_msg("piece %u: %.*s", i, (int)bytes, found);
    }
    assert_null(piece[count]);
    assert_int_equal(hg_document_print(document, bracketed, &context, &out), HG_OK);
    assert_string_equal(hg_buf_text(&out), printed);
    hg_buf_free(&out);
    hg_document_close(document);
}

#define PIECES(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_sentences(void **state)
{
    (void)state;
    cuts("One. Two!  Three?", "en", PIECES("One.", "Two!", "Three?"), "<One.> <Two!>  <Three?>");
    cuts("Mr. Smith came.", "en", PIECES("Mr. Smith came."), "<Mr. Smith came.>");
    cuts("\n a\r\nb \n\n", "en", PIECES("a", "b"), "\n <a>\r\n<b> \n\n");
    cuts("你好。再见。", "zh", PIECES("你好。", "再见。"), "<你好。><再见。>");
    cuts("It costs 3.5 kg", "en", PIECES("It costs 3.5 kg"), "<It costs 3.5 kg>");
    cuts("--- !? 🙂", "en", (const char *const[]){NULL}, "--- !? 🙂");
    cuts("", "en", (const char *const[]){NULL}, "");
    cuts("So?", "not a tag", PIECES("So?"), "<So?>");
}

static void test_long_sentence_is_cut(void **state)
{
    (void)state;
    hg_document *document;
    hg_error error;
    static char text[5 * HG_LIMIT_TEXT + 1];
    for (size_t i = 0; i < sizeof text - 1; i++) text[i] = i % 5 == 4 ? ' ' : 'a';
    assert_int_equal(hg_document_open(text, sizeof text - 1, "en", &document, &error), HG_OK);
    assert_int_equal(hg_document_pieces(document), 5);
    for (uint32_t i = 0; i < 5; i++) {
        size_t bytes;
        const char *piece = hg_document_piece(document, i, &bytes);
        assert_true(bytes < HG_LIMIT_TEXT && piece[0] == 'a' && piece[bytes - 1] == 'a');
    }
    hg_document_close(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),     cmocka_unit_test(test_too_many_fields),
        cmocka_unit_test(test_multipart), cmocka_unit_test(test_json),
        cmocka_unit_test(test_sentences), cmocka_unit_test(test_long_sentence_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
