/* test_message.c: the table of messages and the printing of events. Printed events are read back by
 * jansson, which had no part in printing them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/service/json_out.h"
#include "core/service/message.h"

/* Parses text, which must be good. */
static hg_message good(const char *text)
{
    hg_message message;
    hg_refusal refusal = {0};
    if (!hg_message_parse(text, strlen(text), &message, &refusal))
        fail_msg("%s: %s", text, refusal.message);
    return message;
}

/* Parses text, which must be refused with code and a message that holds what. */
static void bad(const char *text, hg_code code, const char *what)
{
    hg_message message;
    hg_refusal refusal = {0};
    if (hg_message_parse(text, strlen(text), &message, &refusal)) fail_msg("accepted: %s", text);
    if (refusal.code != code) fail_msg("%s: code %s", text, hg_code_name(refusal.code));
    if (!strstr(refusal.message, what)) fail_msg("%s: %s", text, refusal.message);
    hg_message_free(&message);
}

static void test_translate_in_full(void **state)
{
    (void)state;
    hg_message m =
        good("{\"type\":\"translate\",\"id\":\"m1\",\"rev\":9007199254740991,"
             "\"text\":\"na\xc3\xafve \\ud83d\\ude00\",\"targets\":[\"de\",\"plugin:x\"],"
             "\"source\":\"en\",\"final\":true,\"context\":[],\"new\":{\"a\":[1]},"
             "\"options\":{\"stream\":false,\"deadline_ms\":50,\"temperature\":1,"
             "\"top_p\":0.9,\"seed\":7,\"max_tokens\":5,\"glossary\":{}}}");
    assert_int_equal(m.type, HG_MESSAGE_TRANSLATE);
    assert_string_equal(m.id, "m1");
    assert_int_equal(m.rev, 9007199254740991);
    assert_string_equal(m.text, "na\xc3\xafve \xf0\x9f\x98\x80");
    assert_int_equal(m.targets, 2);
    assert_string_equal(m.target[1], "plugin:x");
    assert_string_equal(m.source, "en");
    assert_true(m.final);
    assert_false(m.stream);
    assert_int_equal(m.deadline_ms, 50);
    assert_true(m.temperature == 1 && m.top_p == 0.9);
    assert_int_equal(m.seed, 7);
    assert_int_equal(m.max_tokens, 5);
    hg_message_free(&m);
}

static void test_defaults(void **state)
{
    (void)state;
    hg_message m = good("{\"type\":\"translate\",\"id\":\"a\",\"rev\":0,\"text\":\"\","
                        "\"source\":null,\"options\":null}");
    assert_true(m.stream);
    assert_false(m.final);
    assert_null(m.source);
    assert_int_equal(m.targets, 0);
    assert_int_equal(m.max_tokens, 0);
    assert_true(m.temperature == 0 && m.top_p == 1);
    hg_message_free(&m);
}

static void test_other_types(void **state)
{
    (void)state;
    hg_message m = good("{\"type\":\"cancel\",\"id\":\"a\"}");
    assert_int_equal(m.type, HG_MESSAGE_CANCEL);
    hg_message_free(&m);
    m = good("{\"type\":\"ping\",\"t\":null}");
    assert_true(json_is_null(m.t));
    hg_message_free(&m);
    m = good("{\"type\":\"session.update\",\"targets\":[\"de\"]}");
    assert_int_equal(m.targets, 1);
    hg_message_free(&m);
    m = good("{\"type\":\"resume\",\"session\":\"s\",\"key\":\"k\",\"last_seq\":3}");
    assert_int_equal(m.last_seq, 3);
    hg_message_free(&m);
}

#define T "{\"type\":\"translate\",\"id\":\"a\",\"rev\":1,\"text\":\"x\",\"targets\":[\"de\"],"

static void test_refusals_name_the_field(void **state)
{
    (void)state;
    bad("", HG_CODE_bad_json, "not JSON");
    bad("{", HG_CODE_bad_json, "not JSON");
    bad("[]", HG_CODE_bad_json, "object");
    bad("{} {}", HG_CODE_bad_json, "not JSON");
    bad("{\"type\":\"ping\",\"type\":\"ping\"}", HG_CODE_bad_json, "twice");
    bad("{\"type\":\"ping\",\"t\":\"\\u0000\"}", HG_CODE_bad_json, "not JSON");
    bad("{}", HG_CODE_bad_field, "type");
    bad("{\"type\":3}", HG_CODE_bad_field, "type");
    bad("{\"type\":\"fly\"}", HG_CODE_unknown_type, "session.update");
    bad("{\"type\":\"cancel\"}", HG_CODE_bad_field, "id");
    bad("{\"type\":\"cancel\",\"id\":\"\"}", HG_CODE_bad_field, "id");
    bad("{\"type\":\"translate\",\"id\":\"a\",\"text\":\"\"}", HG_CODE_bad_field, "rev");
    bad(T "\"source\":5}", HG_CODE_bad_field, "source");
    bad(T "\"final\":\"yes\"}", HG_CODE_bad_field, "final");
    bad(T "\"options\":[]}", HG_CODE_bad_field, "options");
    bad(T "\"options\":{\"seed\":-1}}", HG_CODE_bad_field, "seed");
    bad(T "\"options\":{\"top_p\":0}}", HG_CODE_bad_field, "top_p");
    bad(T "\"options\":{\"temperature\":1e99}}", HG_CODE_bad_field, "temperature");
    bad(T "\"options\":{\"max_tokens\":1.5}}", HG_CODE_bad_field, "max_tokens");
    bad("{\"type\":\"translate\",\"id\":\"a\",\"rev\":1.0,\"text\":\"\"}", HG_CODE_bad_field,
        "rev");
    bad("{\"type\":\"translate\",\"id\":\"a\",\"rev\":9007199254740992,\"text\":\"\"}",
        HG_CODE_bad_field, "rev");
    bad("{\"type\":\"session.update\",\"targets\":[]}", HG_CODE_bad_field, "targets");
    bad("{\"type\":\"session.update\",\"targets\":[\"de\",7]}", HG_CODE_bad_field, "targets[1]");
}

/* In the protocol, but not served yet: ignoring it would be a lie. */
static void test_unserved_fields_are_refused(void **state)
{
    (void)state;
    bad(T "\"options\":{\"glossary\":{\"cat\":{\"de\":\"Katze\"}}}}", HG_CODE_bad_field,
        "glossary is not served");
    bad(T "\"context\":[{\"text\":\"x\"}]}", HG_CODE_bad_field, "context is not served");
    bad("{\"type\":\"session.update\",\"glossary\":{\"a\":{\"de\":\"b\"}}}", HG_CODE_bad_field,
        "glossary is not served");
}

/* A translate message whose text has count copies of piece. */
static char *with_text(const char *piece, int count)
{
    hg_buf buf = hg_buf_new(1 << 20);
    hg_status status = hg_buf_append_text(
        &buf, "{\"type\":\"translate\",\"id\":\"a\",\"rev\":1,\"targets\":[\"de\"],\"text\":\"");
    for (int i = 0; i < count && !status; i++) status = hg_buf_append_text(&buf, piece);
    if (!status) status = hg_buf_append_text(&buf, "\"}");
    assert_int_equal(status, HG_OK);
    return buf.data;
}

static void test_lengths_are_code_points(void **state)
{
    (void)state;
    char *text = with_text("\xf0\x9f\x98\x80", HG_LIMIT_TEXT);
    hg_message m = good(text);
    assert_int_equal(strlen(m.text), 4 * HG_LIMIT_TEXT);
    hg_message_free(&m);
    free(text);
    text = with_text("a", HG_LIMIT_TEXT + 1);
    bad(text, HG_CODE_text_too_long, "text");
    free(text);
}

static void test_too_many_targets(void **state)
{
    (void)state;
    hg_buf buf = hg_buf_new(4096);
    const char *start = "{\"type\":\"session.update\",\"targets\":[\"de\"";
    assert_int_equal(hg_buf_append_text(&buf, start), HG_OK);
    for (int i = 1; i < HG_LIMIT_LANES; i++)
        assert_int_equal(hg_buf_append_text(&buf, ",\"de\""), HG_OK);
    size_t end = buf.length;
    assert_int_equal(hg_buf_append_text(&buf, "]}"), HG_OK);
    hg_message m = good(buf.data);
    assert_int_equal(m.targets, HG_LIMIT_LANES);
    hg_message_free(&m);
    buf.length = end;
    assert_int_equal(hg_buf_append_text(&buf, ",\"de\"]}"), HG_OK);
    bad(buf.data, HG_CODE_too_many_targets, "targets");
    hg_buf_free(&buf);
}

static void test_depth_is_bounded(void **state)
{
    (void)state;
    const char *text = "{\"type\":\"ping\",\"t\":[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]}";
    static_assert(HG_LIMIT_JSON_DEPTH == 16, "the brackets of this test");
    hg_message m = good(text);
    hg_message_free(&m);
    text = "{\"type\":\"ping\",\"t\":[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]}";
    bad(text, HG_CODE_bad_json, "deeper");
    /* Brackets and escaped quotes inside of strings do not count. */
    m = good("{\"type\":\"ping\",\"t\":\"\\\\\\\"[[[[[[[[[[[[[[[[[[\\\\\"}");
    hg_message_free(&m);
}

/* An error must bear the id and rev that it is about, whatever else is wrong. */
static void test_refused_message_keeps_identity(void **state)
{
    (void)state;
    hg_message m;
    hg_refusal refusal;
    const char *text = "{\"type\":\"translate\",\"text\":7,\"rev\":4,\"id\":\"m\"}";
    assert_false(hg_message_parse(text, strlen(text), &m, &refusal));
    assert_string_equal(m.id, "m");
    assert_int_equal(m.rev, 4);
    hg_message_free(&m);
    text = "{\"type\":\"translate\",\"text\":\"\",\"rev\":\"4\",\"id\":7}";
    assert_false(hg_message_parse(text, strlen(text), &m, &refusal));
    assert_null(m.id);
    assert_int_equal(m.rev, -1);
    hg_message_free(&m);
}

/* Reads the buffer back; the result must have exactly these members in this order. */
static json_t *read_back(hg_buf *buf, const char *members)
{
    json_error_t problem;
    json_t *root = json_loadb(buf->data, buf->length, JSON_REJECT_DUPLICATES, &problem);
    if (!root) fail_msg("%s: %s", buf->data, problem.text);
    hg_buf found = hg_buf_new(1024);
    const char *name;
    json_t *value;
    json_object_foreach(root, name, value)
    {
        (void)value;
        assert_int_equal(hg_buf_printf(&found, "%s ", name), HG_OK);
    }
    assert_string_equal(hg_buf_text(&found), members);
    hg_buf_free(&found);
    hg_buf_free(buf);
    return root;
}

static void test_print_done(void **state)
{
    (void)state;
    hg_buf buf = hg_buf_new(4096);
    hg_event event = {.type = HG_EVENT_DONE,
                      .id = "q\"\\\x01",
                      .rev = 3,
                      .language = "de",
                      .text = "\xe4\xb8\xad\n\"x\"\x1f",
                      .status = "ok",
                      .stop = "eos",
                      .plugin = "de",
                      .source = "en",
                      .confidence = 97,
                      .generation = 1,
                      .tokens = 6,
                      .first_ms = 1.4,
                      .total_ms = 3.9};
    assert_int_equal(hg_event_print(&event, 15, &buf), HG_OK);
    assert_non_null(strstr(buf.data, "\"first_ms\":1.4,\"total_ms\":3.9"));
    json_t *root = read_back(&buf, "type seq id rev language epoch status text plugin generation "
                                   "source confidence tokens stop first_ms total_ms ");
    assert_string_equal(json_string_value(json_object_get(root, "id")), event.id);
    assert_string_equal(json_string_value(json_object_get(root, "text")), event.text);
    assert_int_equal(json_integer_value(json_object_get(root, "seq")), 15);
    json_decref(root);
    event.status = "failed";
    event.code = HG_CODE_unknown_language;
    event.plugin = event.stop = NULL;
    event.confidence = -1; /* the request named the source */
    assert_int_equal(hg_event_print(&event, 16, &buf), HG_OK);
    root = read_back(&buf, "type seq id rev language epoch status text generation source tokens "
                           "first_ms total_ms code ");
    assert_string_equal(json_string_value(json_object_get(root, "code")), "unknown_language");
    json_decref(root);
}

static void test_print_batch_and_pieces(void **state)
{
    (void)state;
    hg_buf buf = hg_buf_new(4096);
    hg_batch_record batch = {.id = 311,
                             .lanes = 2,
                             .prefill_tokens = 4,
                             .shared_tokens = 7,
                             .decode_tokens = 13,
                             .drafted = 4,
                             .accepted = 3,
                             .total_ms = 4.4,
                             .tokens_per_s = 3023.3};
    hg_event event = {.type = HG_EVENT_BATCH, .id = "m", .rev = 3, .batch = &batch};
    assert_int_equal(hg_event_print(&event, 18, &buf), HG_OK);
    json_t *root =
        read_back(&buf, "type seq id rev batch lanes prefill_tokens shared_tokens "
                        "decode_tokens drafted accepted queue_ms prefill_ms first_ms total_ms "
                        "tokens_per_s ");
    assert_int_equal(json_integer_value(json_object_get(root, "batch")), 311);
    assert_int_equal(json_integer_value(json_object_get(root, "shared_tokens")), 7);
    assert_int_equal(json_integer_value(json_object_get(root, "drafted")), 4);
    assert_int_equal(json_integer_value(json_object_get(root, "accepted")), 3);
    assert_true(json_number_value(json_object_get(root, "tokens_per_s")) == 3023.3);
    json_decref(root);
    event = (hg_event){
        .type = HG_EVENT_TENTATIVE, .id = "m", .language = "ja", .epoch = 2, .text = "x"};
    assert_int_equal(hg_event_print(&event, 19, &buf), HG_OK);
    json_decref(read_back(&buf, "type seq id rev language epoch text "));
}

static void test_print_error(void **state)
{
    (void)state;
    hg_buf buf = hg_buf_new(4096);
    hg_refusal refusal = {.code = HG_CODE_busy, .message = "wait"};
    assert_int_equal(hg_error_print(&refusal, NULL, -1, 2, &buf), HG_OK);
    json_t *root = read_back(&buf, "type seq code message retry ");
    assert_true(json_is_true(json_object_get(root, "retry")));
    json_decref(root);
    refusal.retry_after_ms = 20;
    refusal.code = HG_CODE_stale_rev;
    assert_int_equal(hg_error_print(&refusal, "m", 0, 3, &buf), HG_OK);
    root = read_back(&buf, "type seq code message id rev retry retry_after_ms ");
    assert_true(json_is_false(json_object_get(root, "retry")));
    json_decref(root);
}

static void test_print_ready(void **state)
{
    (void)state;
    hg_buf buf = hg_buf_new(8192), languages = hg_buf_new(4096);
    const char *sources[] = {"en"};
    hg_language_view view[2] = {{.tag = {"de"},
                                 .plugin = "de",
                                 .name = "German",
                                 .native = "Deutsch",
                                 .direction = "ltr",
                                 .source = sources,
                                 .sources = 1,
                                 .generation = 1},
                                {.tag = {"ja"},
                                 .plugin = "ja",
                                 .name = "Japanese",
                                 .native = "\xe6\x97\xa5",
                                 .direction = "ltr",
                                 .generation = 2}};
    assert_int_equal(hg_languages_print(view, 2, &languages), HG_OK);
    hg_ready ready = {"s", "k", "tiny", "cpu", "a notice", hg_buf_text(&languages)};
    assert_int_equal(hg_ready_print(&ready, 1, &buf), HG_OK);
    json_t *root = read_back(&buf, "type seq session key model languages limits ");
    json_t *notice = json_object_get(json_object_get(root, "model"), "notice");
    assert_string_equal(json_string_value(notice), "a notice");
    json_t *list = json_object_get(root, "languages");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(list, 1), "native")),
                        "\xe6\x97\xa5");
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(root, "limits"), "max_targets")),
        HG_LIMIT_LANES);
    json_decref(root);
    assert_int_equal(hg_languages_changed_print(hg_buf_text(&languages), 9, &buf), HG_OK);
    json_decref(read_back(&buf, "type seq languages "));
    hg_buf_free(&languages);
}

static void test_print_pong(void **state)
{
    (void)state;
    hg_buf buf = hg_buf_new(4096);
    hg_message m = good("{\"type\":\"ping\",\"t\":{\"a\":[1,\"x\"]}}");
    assert_int_equal(hg_pong_print(m.t, &buf), HG_OK);
    json_t *root = read_back(&buf, "type t ");
    assert_true(json_equal(json_object_get(root, "t"), m.t));
    json_decref(root);
    hg_message_free(&m);
    assert_int_equal(hg_pong_print(NULL, &buf), HG_OK);
    json_decref(read_back(&buf, "type "));
}

static void test_numbers_are_short(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{0, "0"},     {3.9, "3.9"}, {3.0004, "3"},        {-0.0001, "0"},  {100, "100"},
                 {0.5, "0.5"}, {1e300, "0"}, {3023.25, "3023.25"}, {0.0 / 0.0, "0"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hg_buf buf = hg_buf_new(64);
        hg_json_out json = hg_json_out_new(&buf);
        hg_json_put_number(&json, NULL, cases[i].value);
        assert_int_equal(json.status, HG_OK);
        assert_string_equal(hg_buf_text(&buf), cases[i].text);
        hg_buf_free(&buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_translate_in_full),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_other_types),
        cmocka_unit_test(test_refusals_name_the_field),
        cmocka_unit_test(test_unserved_fields_are_refused),
        cmocka_unit_test(test_lengths_are_code_points),
        cmocka_unit_test(test_too_many_targets),
        cmocka_unit_test(test_depth_is_bounded),
        cmocka_unit_test(test_refused_message_keeps_identity),
        cmocka_unit_test(test_print_done),
        cmocka_unit_test(test_print_batch_and_pieces),
        cmocka_unit_test(test_print_error),
        cmocka_unit_test(test_print_ready),
        cmocka_unit_test(test_print_pong),
        cmocka_unit_test(test_numbers_are_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
