/* test_tokenizer.c: small tokenizers of both kinds against ids that the `tokenizers` library
 * printed, every refusal of the loader by the field it names, special tokens, decoding piece by
 * piece, and long runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <pthread.h>

#include "core/base/limits.h"
#include "core/text/tokenizer_internal.h"

#define LLAMA3 "tests/fuzz/corpus/tokenizer_json/llama3.json"
#define GPT2   "tests/fuzz/corpus/tokenizer_json/gpt2.json"

static hg_tokenizer *open_tokenizer(const char *path)
{
    hg_tokenizer *made;
    hg_error error;
    if (hg_tokenizer_open(path, &made, &error)) fail_msg("%s", error.message);
    return made;
}

/* ---- encoding ---- */

typedef struct sample {
    const char *text;
    int32_t ids[16];
    uint32_t count;
} sample;

#define IDS(...) {__VA_ARGS__}, sizeof(int32_t[]){__VA_ARGS__} / sizeof(int32_t)

static void check_samples(const hg_tokenizer *tokenizer, const sample *samples, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        hg_tokens got = {0};
        hg_error error;
        const sample *s = &samples[i];
        size_t bytes = strlen(s->text);
        assert_int_equal(hg_tokenizer_encode(tokenizer, s->text, bytes, &got, &error), HG_OK);
        assert_int_equal(got.count, s->count);
        assert_memory_equal(got.id, s->ids, s->count * sizeof *s->ids);
        hg_tokens_free(&got);
    }
}

/* The ids are those of tokenizers 0.23.3 with encode_special_tokens=True. */
static void test_encode(void **state)
{
    (void)state;
    static const sample both[] = {
        {"hello world", IDS(259, 260, 78, 81, 75, 67)},
        {"hello noo aaaaaaaaa", IDS(259, 220, 266, 220, 262, 262, 64)},
        {"HELLO!", IDS(39, 36, 43, 43, 46, 0)},
        {"<|endoftext|>", IDS(27, 91, 68, 77, 67, 78, 69, 83, 68, 87, 83, 91, 29)},
        {"hello!", IDS(259, 0)},
        {"hellool  1234 it's", IDS(259, 78, 75, 220, 220, 16, 17, 18, 19, 220, 72, 83, 6, 82)},
        {"  world", IDS(220, 260, 78, 81, 75, 67)},
        {"a\u0301 don't  ", IDS(64, 136, 223, 220, 67, 78, 77, 6, 83, 220, 220)},
    };
    static const sample merged = {"world", IDS(86, 78, 81, 75, 67)};
    static const sample whole = {"world", IDS(267)}; /* ignore_merges */
    hg_tokenizer *llama3 = open_tokenizer(LLAMA3), *gpt2 = open_tokenizer(GPT2);
    check_samples(llama3, both, sizeof both / sizeof *both);
    check_samples(gpt2, both, sizeof both / sizeof *both);
    check_samples(llama3, &merged, 1);
    check_samples(gpt2, &whole, 1);
    hg_tokenizer_close(llama3);
    hg_tokenizer_close(gpt2);
}

static void test_appends(void **state)
{
    (void)state;
    hg_tokenizer *t = open_tokenizer(LLAMA3);
    hg_tokens tokens = {0};
    hg_error error;
    assert_int_equal(hg_tokenizer_encode(t, "", 0, &tokens, &error), HG_OK);
    assert_int_equal(tokens.count, 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(hg_tokenizer_encode(t, "hello", 5, &tokens, &error), HG_OK);
    assert_int_equal(tokens.count, 100);
    assert_int_equal(tokens.id[99], 259);
    hg_tokens_free(&tokens);
    hg_tokenizer_close(t);
}

/* Bad text leaves the list as it was and the message gives the place. */
static void test_invalid_text(void **state)
{
    (void)state;
    hg_tokenizer *t = open_tokenizer(LLAMA3);
    hg_tokens tokens = {0};
    hg_error error;
    assert_int_equal(hg_tokens_append(&tokens, 7), HG_OK);
    assert_int_equal(hg_tokenizer_encode(t, "hello\xC3(", 7, &tokens, &error), HG_ERROR_FORMAT);
    assert_string_equal(error.message, "text: not valid UTF-8 at byte 5 (0xc3)");
    assert_int_equal(hg_tokenizer_encode(t, "\xED\xA0\x80", 3, &tokens, &error), HG_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "byte 0"));
    assert_int_equal(
        hg_tokenizer_encode(t, "", (size_t)HG_LIMIT_TOKENIZER_TEXT + 1, &tokens, &error),
        HG_ERROR_LIMIT);
    assert_int_equal(tokens.count, 1);
    hg_tokens_free(&tokens);
    hg_tokenizer_close(t);
}

/* A word of n bytes costs O(n log n): a quadratic merge would take minutes here. */
static void test_long_words(void **state)
{
    (void)state;
    const size_t count = 2000001;
    hg_tokenizer *t = open_tokenizer(LLAMA3);
    hg_tokens tokens = {0};
    hg_error error;
    char *text = malloc(count);
    assert_non_null(text);
    memset(text, 'a', count);
    assert_int_equal(hg_tokenizer_encode(t, text, count, &tokens, &error), HG_OK);
    assert_int_equal(tokens.count, count / 4 + 1);
    for (uint32_t i = 0; i < tokens.count - 1; i++) assert_int_equal(tokens.id[i], 262);
    assert_int_equal(tokens.id[tokens.count - 1], 64);
    hg_tokens_free(&tokens);
    hg_tokenizer_close(t);
    free(text);
}

/* Encodes many times and compares; runs in several threads at once. */
static void *encode_often(void *tokenizer)
{
    static const int32_t expected[] = {259, 260, 78, 81, 75, 67};
    bool same = true;
    for (int i = 0; i < 2000 && same; i++) {
        hg_tokens got = {0};
        same = !hg_tokenizer_encode(tokenizer, "hello world", 11, &got, NULL) && got.count == 6 &&
               memcmp(got.id, expected, sizeof expected) == 0;
        hg_tokens_free(&got);
    }
    return same ? tokenizer : NULL;
}

static void test_threads(void **state)
{
    (void)state;
    hg_tokenizer *t = open_tokenizer(LLAMA3);
    pthread_t threads[4];
    void *result;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, encode_often, t), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, t);
    }
    hg_tokenizer_close(t);
}

/* ---- special tokens ---- */

static void test_special(void **state)
{
    (void)state;
    hg_tokenizer *t = open_tokenizer(LLAMA3);
    size_t length;
    assert_int_equal(hg_tokenizer_vocabulary(t), 270);
    assert_int_equal(hg_tokenizer_special(t, "<|end|>", 7), 267);
    assert_int_equal(hg_tokenizer_special(t, "<|end|>e", 8), -1);
    assert_int_equal(hg_tokenizer_special(t, "hello", 5), -1); /* a token, but not special */
    assert_int_equal(hg_tokenizer_special_at(t, "<|end|>x", 8, &length), 267);
    assert_int_equal(length, 7);
    assert_int_equal(hg_tokenizer_special_at(t, "<|end|>edx", 10, &length), 268); /* the longest */
    assert_int_equal(length, 9);
    assert_int_equal(hg_tokenizer_special_at(t, "<|end|>ed", 8, &length), 267);
    assert_int_equal(hg_tokenizer_special_at(t, "x<|end|>", 8, &length), -1);
    assert_int_equal(length, 0);
    hg_tokenizer_bytes(t, 267, &length);
    assert_int_equal(length, 0);
    assert_memory_equal(hg_tokenizer_bytes(t, 260, &length), " w", 2);
    assert_int_equal(length, 2);
    hg_tokenizer_bytes(t, 270, &length);
    assert_int_equal(length, 0);
    hg_tokenizer_bytes(t, -1, &length);
    assert_int_equal(length, 0);
    hg_tokenizer_close(t);
}

/* ---- decoding ---- */

/* Pushes the bytes one by one; what comes out is whole characters at every moment. */
static void check_decode(const hg_tokenizer *t, const char *bytes, const char *expected)
{
    hg_decoder decoder = {0};
    hg_buf out = hg_buf_new(1024);
    for (const char *p = bytes; *p; p++) {
        int32_t id = t->byte_token[(uint8_t)*p];
        assert_int_equal(hg_decoder_push(&decoder, t, id, &out), HG_OK);
        assert_int_equal(hg_decoder_push(&decoder, t, 267, &out), HG_OK); /* special: nothing */
        assert_memory_equal(hg_buf_text(&out), expected, out.length);
        if (expected[out.length]) assert_int_not_equal(expected[out.length] & 0xC0, 0x80);
    }
    assert_int_equal(hg_decoder_finish(&decoder, &out), HG_OK);
    assert_string_equal(hg_buf_text(&out), expected);
    assert_int_equal(decoder.pendings, 0);
    hg_buf_free(&out);
}

/* Expected texts are Python's bytes.decode("utf-8", "replace"). */
static void test_decode(void **state)
{
    (void)state;
    hg_tokenizer *t = open_tokenizer(LLAMA3);
    check_decode(t, "a\u00E9\u20AC\U0001F600z", "a\u00E9\u20AC\U0001F600z");
    check_decode(t, "a\x80z", "a\uFFFDz");
    check_decode(t, "a\xC3", "a\uFFFD");
    check_decode(t, "\xC3z", "\uFFFDz");
    check_decode(t, "\xE2\x82z", "\uFFFDz");
    check_decode(t, "\xE2\x82\xE2\x82\xAC", "\uFFFD\u20AC");
    check_decode(t, "\xF0\x9F\x98", "\uFFFD");
    check_decode(t, "\xF0\x80\x80\x80", "\uFFFD\uFFFD\uFFFD\uFFFD");
    check_decode(t, "\xED\xA0\x80", "\uFFFD\uFFFD\uFFFD");
    check_decode(t, "\xC0\xAF", "\uFFFD\uFFFD");
    check_decode(t, "\xF4\x90\x80", "\uFFFD\uFFFD\uFFFD");
    check_decode(t, "\xF5\xFF\xFE", "\uFFFD\uFFFD\uFFFD");
    check_decode(t, "\xF0\x9F\xC3\xA9", "\uFFFD\u00E9");
    hg_tokenizer_close(t);
}

/* ---- refusals ---- */

/* Sets the field at a dotted path to JSON, or removes it when JSON is "". */
static void set_field(json_t *at, const char *path, const char *json)
{
    json_t *value = *json ? json_loads(json, JSON_DECODE_ANY, NULL) : NULL;
    const char *dot;
    char key[64];
    for (; (dot = strchr(path, '.')); path = dot + 1) {
        snprintf(key, sizeof key, "%.*s", (int)(dot - path), path);
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(key)) : json_object_get(at, key);
        assert_non_null(at);
    }
    if (json_is_array(at) && (size_t)atoi(path) == json_array_size(at))
        assert_int_equal(json_array_append_new(at, value), 0);
    else if (json_is_array(at))
        assert_int_equal(json_array_set_new(at, (size_t)atoi(path), value), 0);
    else if (value)
        assert_int_equal(json_object_set_new(at, path, value), 0);
    else
        assert_int_equal(json_object_del(at, path), 0);
}

static hg_status parse_changed(const char *path, const char *json, hg_error *error)
{
    json_t *root = json_load_file(LLAMA3, 0, NULL);
    hg_tokenizer *made;
    assert_non_null(root);
    set_field(root, path, json);
    char *text = json_dumps(root, JSON_COMPACT);
    *error = (hg_error){0};
    hg_status status = hg_tokenizer_parse(text, strlen(text), "t.json", &made, error);
    assert_int_equal(!status, made != NULL);
    hg_tokenizer_close(made);
    free(text);
    json_decref(root);
    return status;
}

#define DIGITS  "{\"type\": \"Digits\"},"
#define DIGITS3 DIGITS DIGITS DIGITS

/* field, new value, what the message must name */
static const char *const refused[][3] = {
    {"version", "\"2.0\"", "version is 2.0"},
    {"version", "", "version is missing"},
    {"truncation", "{}", "truncation"},
    {"padding", "{}", "padding"},
    {"normalizer", "{\"type\": \"NFC\"}", "normalizer NFC"},
    {"normalizer", "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": \"NFC\"}]}",
     "normalizer Sequence"},
    {"decoder", "{\"type\": \"Metaspace\"}", "decoder Metaspace"},
    {"pre_tokenizer", "null", "pre_tokenizer is (no type)"},
    {"pre_tokenizer", "{\"type\": \"Whitespace\"}", "pre_tokenizer is Whitespace"},
    {"pre_tokenizer", "{\"type\": \"ByteLevel\"}", "pre_tokenizer.add_prefix_space"},
    {"pre_tokenizer.pretokenizers", "[]", "ends in (no type)"},
    {"pre_tokenizer.pretokenizers.0.type", "\"Whitespace\"", "[0].type is Whitespace"},
    {"pre_tokenizer.pretokenizers.0.behavior", "\"Removed\"", "[0].behavior is Removed"},
    {"pre_tokenizer.pretokenizers.0.invert", "true", "[0].invert"},
    {"pre_tokenizer.pretokenizers.0.invert", "1", "[0].invert is not true or false"},
    {"pre_tokenizer.pretokenizers.0.pattern", "{\"String\": \" \"}", "[0].pattern"},
    {"pre_tokenizer.pretokenizers.0.pattern.Regex", "\"(a\"", "U_REGEX_MISMATCHED_PAREN"},
    {"pre_tokenizer.pretokenizers.0", "{\"type\": \"ByteLevel\"}", "[0] is ByteLevel"},
    {"pre_tokenizer.pretokenizers.0", "{\"type\": \"Digits\", \"individual_digits\": 1}",
     "[0].individual_digits is not true or false"},
    {"pre_tokenizer.pretokenizers.1.type", "\"Split\"", "ends in Split"},
    {"pre_tokenizer.pretokenizers",
     "[" DIGITS3 DIGITS3 DIGITS3 "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}]",
     "more than 8 steps"},
    {"pre_tokenizer.pretokenizers.1.add_prefix_space", "true", "[1].add_prefix_space"},
    {"model", "", "model.type"},
    {"model.type", "\"Unigram\"", "model.type is Unigram"},
    {"model.dropout", "0.1", "model.dropout"},
    {"model.continuing_subword_prefix", "\"##\"", "model.continuing_subword_prefix"},
    {"model.end_of_word_suffix", "\"</w>\"", "model.end_of_word_suffix"},
    {"model.byte_fallback", "true", "model.byte_fallback"},
    {"model.ignore_merges", "\"no\"", "model.ignore_merges"},
    {"model.vocab", "[]", "model.vocab is not an object"},
    {"model.vocab.hello", "1.5", "\"hello\" is not an integer"},
    {"model.vocab.hello", "-1", "\"hello\" is out of range"},
    {"model.vocab.hello", "270", "expected 0 to 269"},
    {"model.vocab.hello", "258", "id 258 is both"},
    {"model.vocab.hello", "", "expected 0 to 268"},
    {"model.vocab.A", "", "expected 0 to 268"},
    {"model.vocab.日本", "270", "not spelled in the byte-level alphabet"},
    {"model.vocab.x y", "270", "not spelled in the byte-level alphabet"},
    {"model.merges", "{}", "model.merges is not an array"},
    {"model.merges.3", "\"hello\"", "model.merges[3] is not"},
    {"model.merges.3", "\"he l lo\"", "model.merges[3] is not"},
    {"model.merges.3", "[\"he\", 1]", "model.merges[3] is not"},
    {"model.merges.3", "[\"he\", \"zz\"]", "model.merges[3]: \"zz\" is not in model.vocab"},
    {"model.merges.3", "[\"he\", \"\"]", "model.merges[3]: \"\" is not in model.vocab"},
    {"model.merges.3", "[\"x\", \"y\"]", "model.merges[3] makes a token"},
    {"model.merges.11", "[\"l\", \"l\"]", "model.merges[11] repeats model.merges[1]"},
    {"added_tokens", "{}", "added_tokens is not an array"},
    {"added_tokens.1.content", "", "added_tokens[1].content"},
    {"added_tokens.1.content", "\"\"", "added_tokens[1].content"},
    {"added_tokens.1.content", "\"<|end|>\"", "ids 267 and 268 are both the token"},
    {"added_tokens.1.content", "\"hello\"", "added_tokens[1].id differs"},
    {"added_tokens.1.special", "0", "added_tokens[1].special is not true or false"},
    {"added_tokens.1.lstrip", "true", "added_tokens[1].lstrip"},
    {"added_tokens.1.id", "269", "added_tokens[2]: id 269 is both"},
    {"added_tokens.1.id", "270", "added_tokens[1]: id of"},
};

static void test_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        hg_error error;
        hg_status status = parse_changed(refused[i][0], refused[i][1], &error);
        if (!status) fail_msg("%s = %s was taken", refused[i][0], refused[i][1]);
        if (strncmp(error.message, "t.json: ", 8) != 0 || !strstr(error.message, refused[i][2]))
            fail_msg("%s = %s: %s", refused[i][0], refused[i][1], error.message);
    }
}

/* LLAMA3's file where the byte 'A' has no token. */
static hg_status parse_without_a(const char *field, const char *json, hg_tokenizer **made,
                                 hg_error *error)
{
    json_t *root = json_load_file(LLAMA3, 0, NULL);
    set_field(root, "model.vocab.A", "");
    set_field(root, "model.vocab.zz", "32"); /* A's id */
    set_field(root, field, json);
    char *text = json_dumps(root, JSON_COMPACT);
    hg_status status = hg_tokenizer_parse(text, strlen(text), "t", made, error);
    free(text);
    json_decref(root);
    return status;
}

/* Without an unknown token the byte vanishes, as the library has it, and its neighbours merge. With
 * one the library would make that of it: refused. */
static void test_missing_byte(void **state)
{
    (void)state;
    static const sample gone = {"hAelloA A", IDS(259, 220)};
    hg_tokenizer *made;
    hg_error error;
    assert_int_equal(parse_without_a("model.unk_token", "null", &made, &error), HG_OK);
    check_samples(made, &gone, 1);
    hg_tokenizer_close(made);
    assert_int_equal(parse_without_a("model.unk_token", "\"<|end|>\"", &made, &error),
                     HG_ERROR_FORMAT);
    assert_string_equal(error.message, "t: model.vocab has no token for byte 0x41");
}

/* A byte whose token is special has no word: text must not lose it. */
static void test_special_byte(void **state)
{
    (void)state;
    hg_error error;
    assert_int_not_equal(parse_changed("added_tokens.3",
                                       "{\"id\": 33, \"content\": \"B\", \"special\": true}",
                                       &error),
                         HG_OK);
    assert_non_null(strstr(error.message, "no token for byte 0x42"));
}

/* What changes no id is taken. */
static void test_harmless(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"normalizer", "{\"type\": \"Sequence\", \"normalizers\": []}"},
        {"decoder", "null"},
        {"post_processor", "{\"type\": \"TemplateProcessing\"}"},
        {"model.dropout", "0.0"},
        {"model.end_of_word_suffix", "\"\""},
        {"pre_tokenizer.pretokenizers.0.invert", ""},
        {"pre_tokenizer", "{\"type\": \"ByteLevel\", \"add_prefix_space\": false}"},
        {"model.vocab.zz", "270"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        hg_error error;
        if (parse_changed(rows[i][0], rows[i][1], &error))
            fail_msg("%s = %s: %s", rows[i][0], rows[i][1], error.message);
    }
}

/* Whole texts as words, merges ignored: the one way in which text could hit a special token that
 * the vocabulary lists too. It must not. */
static void test_special_stays_text(void **state)
{
    (void)state;
    json_t *root = json_load_file(GPT2, 0, NULL);
    hg_tokenizer *made;
    hg_tokens tokens = {0};
    hg_error error;
    set_field(root, "pre_tokenizer.use_regex", "false");
    char *text = json_dumps(root, JSON_COMPACT);
    assert_int_equal(hg_tokenizer_parse(text, strlen(text), "t", &made, &error), HG_OK);
    assert_int_equal(hg_tokenizer_special(made, "<|endoftext|>", 13), 268);
    assert_int_equal(hg_tokenizer_encode(made, "<|endoftext|>", 13, &tokens, &error), HG_OK);
    assert_int_equal(tokens.count, 13);
    hg_tokens_free(&tokens);
    hg_tokenizer_close(made);
    free(text);
    json_decref(root);
}

static void check_json(const char *json, const char *named)
{
    hg_tokenizer *made;
    hg_error error;
    hg_status status = hg_tokenizer_parse(json, strlen(json), "t.json", &made, &error);
    assert_int_not_equal(status, HG_OK);
    if (!strstr(error.message, named)) fail_msg("%s", error.message);
}

static void test_bad_json(void **state)
{
    (void)state;
    hg_tokenizer *made;
    hg_error error;
    check_json("", "t.json: line 1");
    check_json("[]", "not a JSON object");
    check_json("{\"a\": 1, \"a\": 2}", "duplicate");
    check_json("{\n \"version\": }", "line 2");
    assert_int_equal(hg_tokenizer_open("no/such.json", &made, &error), HG_ERROR_NOT_FOUND);
    assert_null(made);
    assert_non_null(strstr(error.message, "no/such.json"));
}

/* A pattern that backtracks without end gives up with an error. */
static void test_runaway_pattern(void **state)
{
    (void)state;
    json_t *root = json_load_file(LLAMA3, 0, NULL);
    hg_tokenizer *made;
    hg_tokens tokens = {0};
    hg_error error;
    char run[64];
    set_field(root, "pre_tokenizer.pretokenizers.0.pattern.Regex", "\"(a+)+(a+)+(a+)+b\"");
    char *text = json_dumps(root, JSON_COMPACT);
    assert_int_equal(hg_tokenizer_parse(text, strlen(text), "t", &made, &error), HG_OK);
    memset(run, 'a', sizeof run);
    assert_int_equal(hg_tokenizer_encode(made, run, sizeof run, &tokens, &error), HG_ERROR_LIMIT);
    assert_non_null(strstr(error.message, "split pattern gave up"));
    assert_int_equal(tokens.count, 0);
    hg_tokens_free(&tokens);
    hg_tokenizer_close(made);
    free(text);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encode),       cmocka_unit_test(test_appends),
        cmocka_unit_test(test_invalid_text), cmocka_unit_test(test_long_words),
        cmocka_unit_test(test_threads),      cmocka_unit_test(test_special),
        cmocka_unit_test(test_decode),       cmocka_unit_test(test_refused),
        cmocka_unit_test(test_missing_byte), cmocka_unit_test(test_special_byte),
        cmocka_unit_test(test_harmless),     cmocka_unit_test(test_special_stays_text),
        cmocka_unit_test(test_bad_json),     cmocka_unit_test(test_runaway_pattern),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
