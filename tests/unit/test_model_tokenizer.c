/* test_model_tokenizer.c: which file of a folder is a model's tokenizer, and what its number of
 * tokens may be. */
#include "tests/unit/model_fixture.h"

#include "core/model/tokenizer.h"

/* As few ranks as there can be: 256 bytes, and 256 special tokens behind them. */
#define RANKS 512

static void write_ranks(const char *folder)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char text[256 * 16], *at = text;
    for (int byte = 0; byte < 256; byte++)
        at += snprintf(at, 16, "%c%c== %d\n", digit[byte >> 2], digit[(byte & 3) << 4], byte);
    write_bytes(folder, "tokenizer.model", text, (size_t)(at - text));
}

static void test_which_file(void **state)
{
    (void)state;
    hg_error error;
    hg_model model = {0};
    folder_new(model.path);
    assert_int_equal(hg_model_find_tokenizer(&model, &error), HG_ERROR_NOT_FOUND);
    EXPECT_MESSAGE(&error, model.path, "tokenizer.json", "tokenizer.model");
    write_ranks(model.path);
    assert_int_equal(hg_model_find_tokenizer(&model, &error), HG_OK);
    assert_non_null(strstr(model.tokenizer_path, "/tokenizer.model"));
    write_text(model.path, "tokenizer.json", "{}");
    assert_int_equal(hg_model_find_tokenizer(&model, &error), HG_OK);
    assert_non_null(strstr(model.tokenizer_path, "/tokenizer.json"));
    folder_remove(model.path);
}

static hg_status open_sized(hg_model *model, uint32_t vocabulary, hg_error *error)
{
    hg_tokenizer *tokenizer = NULL;
    model->weights.shape.vocabulary = vocabulary;
    hg_status status = hg_model_tokenizer(model, &tokenizer, error);
    assert_int_equal(!status, tokenizer != NULL);
    hg_tokenizer_close(tokenizer);
    return status;
}

/* Rows without tokens are padding, but not where a cut file would look like it. */
static void test_sizes(void **state)
{
    (void)state;
    hg_error error;
    hg_model model = {.tokenizer_path = "models/hydra-tiny/tokenizer.json", .path = "m"};
    assert_int_equal(open_sized(&model, 24576, &error), HG_OK);
    assert_int_equal(open_sized(&model, 1 << 20, &error), HG_OK);
    assert_int_equal(open_sized(&model, 24000, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, "tokenizer.json", "vocab_size", "m/config.json is 24000");
    folder_new(model.path);
    write_ranks(model.path);
    assert_int_equal(hg_model_find_tokenizer(&model, &error), HG_OK);
    assert_int_equal(open_sized(&model, RANKS, &error), HG_OK);
    assert_int_equal(open_sized(&model, RANKS - 1, &error), HG_ERROR_FORMAT);
    assert_int_equal(open_sized(&model, RANKS + 1, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, "tokenizer.model", "or was cut");
    folder_remove(model.path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_file),
        cmocka_unit_test(test_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
