/* test_vocabulary.c: the builder of tokenizers by itself: what readers of files may hand it and
 * what it refuses, whichever file that came from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "core/base/limits.h"
#include "core/text/vocabulary.h"

#define MORE 4 /* tokens behind the 256 bytes */

/* A vocabulary of the bytes, spelled as they are, and of what a test puts behind them. */
typedef struct fixture {
    char byte[256];
    hg_vocabulary_token token[256 + MORE];
    hg_vocabulary v;
} fixture;

static void fixture_make(fixture *f)
{
    *f = (fixture){0};
    for (int i = 0; i < 256; i++) {
        f->byte[i] = (char)i;
        f->token[i] =
            (hg_vocabulary_token){.text = &f->byte[i], .length = 1, .kind = HG_TOKEN_WORD};
    }
    f->v = (hg_vocabulary){.file = "a file",
                           .tokens_field = "tokens",
                           .merges_field = "merges",
                           .token = f->token,
                           .tokens = 256 + MORE,
                           .raw_bytes = true};
}

static void put(fixture *f, int place, const char *text, hg_token_kind kind)
{
    f->token[256 + place] =
        (hg_vocabulary_token){.text = text, .length = (uint32_t)strlen(text), .kind = kind};
}

static void refuse(const fixture *f, const char *quoted)
{
    hg_tokenizer *made;
    hg_error error = {0};
    assert_int_not_equal(hg_tokenizer_build(&f->v, &made, &error), HG_OK);
    assert_null(made);
    if (strncmp(error.message, "a file: ", 8) != 0 || !strstr(error.message, quoted))
        fail_msg("message \"%s\" lacks \"%s\"", error.message, quoted);
}

/* Unused ids are holes; the longest added token wins, a special one stays text. */
static void test_kinds(void **state)
{
    (void)state;
    static const int32_t expected[] = {'a', 257, 'c', '<', 's', '>', 258};
    fixture f;
    hg_tokenizer *made;
    hg_tokens got = {0};
    hg_error error;
    size_t count;
    fixture_make(&f);
    put(&f, 1, "b", HG_TOKEN_ADDED);
    put(&f, 2, "bb", HG_TOKEN_ADDED);
    put(&f, 3, "<s>", HG_TOKEN_SPECIAL);
    if (hg_tokenizer_build(&f.v, &made, &error)) fail_msg("%s", error.message);
    assert_int_equal(hg_tokenizer_vocabulary(made), 260);
    assert_int_equal(hg_tokenizer_encode(made, "abc<s>bb", 8, &got, &error), HG_OK);
    assert_int_equal(got.count, 7);
    assert_memory_equal(got.id, expected, sizeof expected);
    assert_int_equal(hg_tokenizer_special(made, "<s>", 3), 259);
    assert_int_equal(hg_tokenizer_special(made, "bb", 2), -1);
    assert_memory_equal(hg_tokenizer_bytes(made, 258, &count), "bb", 2);
    assert_int_equal(count, 2);
    hg_tokenizer_bytes(made, 256, &count);
    assert_int_equal(count, 0);
    hg_tokens_free(&got);
    hg_tokenizer_close(made);
}

static void test_refused(void **state)
{
    (void)state;
    static const hg_vocabulary_split broken = {"(a", "the pattern"};
    static const hg_vocabulary_merge merge = {"a", "z", 1, 1};
    fixture f;
    fixture_make(&f);
    put(&f, 0, "a", HG_TOKEN_WORD);
    refuse(&f, "ids 97 and 256 are both \"a\"");
    fixture_make(&f);
    put(&f, 0, "", HG_TOKEN_WORD);
    refuse(&f, "id 256 is an empty text");
    fixture_make(&f);
    put(&f, 0, "<s>", HG_TOKEN_SPECIAL);
    put(&f, 1, "<s>", HG_TOKEN_ADDED);
    refuse(&f, "are both the token \"<s>\"");
    fixture_make(&f);
    put(&f, 0, "\xE4\xBD", HG_TOKEN_ADDED);
    refuse(&f, "id 256 is not valid UTF-8");
    fixture_make(&f);
    f.v.merge = &merge;
    f.v.merges = 1;
    refuse(&f, "merges[0] makes a token");
    fixture_make(&f);
    f.v.split = &broken;
    f.v.splits = 1;
    refuse(&f, "the pattern does not compile");
    f.v.splits = HG_LIMIT_SPLITS + 1;
    refuse(&f, "steps split text");
    fixture_make(&f);
    f.v.tokens = 0;
    refuse(&f, "0 tokens");
    f.v.tokens = 255;
    refuse(&f, "no token for byte 0xff");
}

static void test_merges_read(void **state)
{
    (void)state;
    hg_vocabulary_merge m;
    assert_true(hg_vocabulary_read_merge("ab c", 4, &m));
    assert_int_equal(m.left_length, 2);
    assert_int_equal(m.right_length, 1);
    assert_memory_equal(m.right, "c", 1);
    assert_false(hg_vocabulary_read_merge("abc", 3, &m));
    assert_false(hg_vocabulary_read_merge("a b c", 5, &m));
    assert_false(hg_vocabulary_read_merge("", 0, &m));
}

static void test_pretokenizers(void **state)
{
    (void)state;
    const hg_pretokenizer *llama3 = hg_pretokenizer_find("llama3");
    assert_non_null(llama3);
    assert_ptr_equal(hg_pretokenizer_find("llama-bpe"), llama3);
    assert_true(llama3->ignore_merges);
    assert_int_equal(hg_pretokenizer_find("smollm")->splits, 2);
    assert_string_equal(hg_pretokenizer_find("gpt-2")->name, "gpt2");
    assert_null(hg_pretokenizer_find("default"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_merges_read),
        cmocka_unit_test(test_pretokenizers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
