/* test_prompt.c: templates and prompts. The ids are those of the `tokenizers` library
 * (encode_special_tokens=True) with hydra-tiny's tokenizer.json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#include "core/translate/prompt.h"

#define BOS 24320
#define DE  24325

static hg_tokenizer *tokenizer;

static int open_tokenizer(void **state)
{
    (void)state;
    hg_error error;
    return hg_tokenizer_open("models/hydra-tiny/tokenizer.json", &tokenizer, &error);
}

static int close_tokenizer(void **state)
{
    (void)state;
    hg_tokenizer_close(tokenizer);
    return 0;
}

/* Builds template with source and compares with id [count]. */
static void check(const char *template, const char *source, const int32_t *id, uint32_t count)
{
    hg_error error = {0};
    hg_prompt *prompt;
    hg_prompt_memo memo = {0};
    hg_prompt_values values = {.source = source,
                               .source_bytes = strlen(source),
                               .source_language = "English",
                               .target_language = "German"};
    assert_int_equal(hg_prompt_parse(template, tokenizer, &prompt, &error), HG_OK);
    for (int again = 0; again < 2; again++) { /* the second time by way of the memo */
        hg_tokens out = {0};
        assert_int_equal(hg_prompt_build(prompt, tokenizer, &values, &memo, &out, &error), HG_OK);
        assert_int_equal(out.count, count);
        assert_memory_equal(out.id, id, count * sizeof *id);
        hg_tokens_free(&out);
    }
    hg_prompt_memo_free(&memo);
    hg_prompt_free(prompt);
}

#define CHECK(template, source, ...)                                                               \
    do {                                                                                           \
        const int32_t ids[] = {__VA_ARGS__};                                                       \
        check(template, source, ids, sizeof ids / sizeof *ids);                                    \
    } while (0)

static void test_sentence(void **state)
{
    (void)state;
    CHECK("<|begin_of_text|>{source}<|de|>", "Where is the train station?", BOS, 3165, 344, 412,
          2573, 5401, 30, DE);
    CHECK("<|begin_of_text|>{source}<|de|>", "", BOS, DE);
}

static void test_user_text_makes_no_special_token(void **state)
{
    (void)state;
    CHECK("<|begin_of_text|>{source}<|de|>", "<|de|>", BOS, 27, 91, 472, 91, 29, DE);
    CHECK("<|begin_of_text|>{source}<|de|>", "Say <|de|> now", BOS, 50, 456, 220, 27, 91, 472, 91,
          29, 2309, DE);
    CHECK("<|begin_of_text|>{source}<|de|>", "{source}", BOS, 90, 82, 569, 548, 92, DE);
}

static void test_a_run_is_one_string(void **state)
{
    (void)state;
    CHECK("<|begin_of_text|>Translate {source_language} to {target_language}: {source}<|de|>",
          "Where is it?", BOS, 11182, 730, 75, 1473, 5526, 365, 12316, 25, 1160, 8853, 344, 777, 30,
          DE);
    CHECK("{source_language} to {target_language}: {context}{source}", "Hi", 21731, 1841, 365,
          12316, 25, 866, 72);
}

static void refuse(const char *template, const char *quoted)
{
    hg_error error = {0};
    hg_prompt *prompt;
    assert_int_equal(hg_prompt_parse(template, tokenizer, &prompt, &error), HG_ERROR_FORMAT);
    assert_null(prompt);
    assert_non_null(strstr(error.message, quoted));
}

static void test_bad_templates(void **state)
{
    (void)state;
    refuse("<|begin_of_text|>{sauce}<|de|>", "\"{sauce}\"");
    refuse("<|begin_of_text|>Hello<|de|>", "{source}");
    refuse("<|start_header_id|>{source}<|de|>", "<|start_header_id|>");
}

static void test_invocation(void **state)
{
    (void)state;
    hg_error error = {0};
    int32_t ids[] = {BOS, DE, 7, 8, DE, 7, 8, 9};
    hg_tokens prompt = {.id = ids, .count = 8};
    uint32_t index = 99;
    const int32_t one[] = {DE}, two[] = {7, 8}, last[] = {8, 9}, absent[] = {8, 7};
    assert_int_equal(hg_prompt_invocation(&prompt, one, 1, &index, &error), HG_OK);
    assert_int_equal(index, 4);
    assert_int_equal(hg_prompt_invocation(&prompt, two, 2, &index, &error), HG_OK);
    assert_int_equal(index, 5);
    assert_int_equal(hg_prompt_invocation(&prompt, last, 2, &index, &error), HG_OK);
    assert_int_equal(index, 6);
    assert_int_equal(hg_prompt_invocation(&prompt, NULL, 0, &index, &error), HG_OK);
    assert_int_equal(index, 0);
    assert_int_equal(hg_prompt_invocation(&prompt, absent, 2, &index, &error), HG_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "alora_invocation_tokens"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentence),
        cmocka_unit_test(test_user_text_makes_no_special_token),
        cmocka_unit_test(test_a_run_is_one_string),
        cmocka_unit_test(test_bad_templates),
        cmocka_unit_test(test_invocation),
    };
    return cmocka_run_group_tests(tests, open_tokenizer, close_tokenizer);
}
