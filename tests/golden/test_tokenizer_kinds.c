/* test_tokenizer_kinds.c: tokenizers of other kinds than hydra-tiny's, Meta's own tokenizer.model
 * among them, against what make_tokenizer_kinds.py had from `tokenizers` and `tiktoken`: a digest
 * for every 16 texts of the dev files and the hostile set, ids of texts full of special and added
 * tokens, and prompts of the templates that come with the program, as Meta's own chat format has
 * them; SmolLM2's out of its GGUF file against transformers' (make_smollm2_goldens.py).
 * `make fixtures` fetches Meta's file and SmolLM2's. */
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

#include "core/base/clock.h"
#include "core/base/file.h"
#include "core/base/limits.h"
#include "core/model/model.h"
#include "core/text/tokenizer_internal.h"
#include "core/translate/prompt.h"
#include "core/translate/templates.h"
#include "tests/golden/xz.h"

#define FOLDER  "tests/golden/"
#define META    "build/fixtures/llama3-tokenizer.model"
#define SMOLLM2 "build/fixtures/SmolLM2-135M-Instruct.Q4_1.gguf"
#define BLOCK   16
#define DIGITS  16 /* of a block's digest */

/* The ids of the texts so far of one block, a line a text. */
typedef struct block {
    const char *kind;
    const hg_tokenizer *tokenizer;
    const json_t *digests;
    hg_buf lines;
    uint32_t texts; /* of all blocks */
} block;

static json_t *kinds;

static int set_up(void **state)
{
    (void)state;
    hg_buf golden = golden_read_xz(FOLDER "tokenizer_kinds.json.xz");
    kinds = json_loadb(golden.data, golden.length, JSON_ALLOW_NUL, NULL);
    hg_buf_free(&golden);
    return kinds ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    json_decref(kinds);
    return 0;
}

/* Compares the block that is full or the last, and begins the next. */
static void end_block(block *b)
{
    char digest[HG_SHA256_HEX];
    hg_error error;
    size_t index = (b->texts - 1) / BLOCK;
    const char *expected = json_string_value(json_array_get(b->digests, index));
    assert_non_null(expected);
    assert_int_equal(hg_sha256(b->lines.data, b->lines.length, digest, &error), HG_OK);
    if (strncmp(digest, expected, DIGITS) != 0)
        fail_msg("%s: ids of texts %zu to %u differ:\n%s", b->kind, index * BLOCK, b->texts - 1,
                 hg_buf_text(&b->lines));
    b->lines.length = 0;
}

static void add_text(block *b, const char *text, size_t count)
{
    hg_tokens ids = {0};
    hg_error error;
    if (hg_tokenizer_encode(b->tokenizer, text, count, &ids, &error)) fail_msg("%s", error.message);
    for (uint32_t i = 0; i < ids.count; i++)
        assert_int_equal(hg_buf_printf(&b->lines, "%d ", ids.id[i]), HG_OK);
    assert_int_equal(hg_buf_append(&b->lines, "\n", 1), HG_OK);
    hg_tokens_free(&ids);
    if (++b->texts % BLOCK == 0) end_block(b);
}

static void add_dev_files(block *b)
{
    glob_t files;
    assert_int_equal(glob(FOLDER "data/dev.en-*.tsv.xz", 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        hg_buf file = golden_read_xz(files.gl_pathv[i]);
        for (char *line = file.data, *end; *line; line = end + 1) {
            const char *tab = strchr(line, '\t');
            end = strchr(line, '\n');
            assert_true(tab && end && tab < end);
            add_text(b, line, (size_t)(tab - line));
            add_text(b, tab + 1, (size_t)(end - tab - 1));
        }
        hg_buf_free(&file);
    }
    globfree(&files);
}

static void add_hostile(block *b)
{
    hg_buf golden = golden_read_xz(FOLDER "tokenizer_hostile.json.xz");
    json_t *rows = json_loadb(golden.data, golden.length, JSON_ALLOW_NUL, NULL), *row;
    size_t index;
    json_array_foreach(rows, index, row)
    {
        const json_t *text = json_object_get(row, "text");
        add_text(b, json_string_value(text), json_string_length(text));
    }
    json_decref(rows);
    hg_buf_free(&golden);
}

static void check_blocks(const char *kind, const hg_tokenizer *tokenizer, const json_t *entry)
{
    block b = {.kind = kind,
               .tokenizer = tokenizer,
               .digests = json_object_get(entry, "blocks"),
               .lines = hg_buf_new(GOLDEN_MAX)};
    add_dev_files(&b);
    add_hostile(&b);
    if (b.texts % BLOCK) end_block(&b);
    assert_int_equal((b.texts + BLOCK - 1) / BLOCK, json_array_size(b.digests));
    print_message("%s: %u texts have the library's ids\n", kind, b.texts);
    hg_buf_free(&b.lines);
}

static void check_added(const char *kind, const hg_tokenizer *tokenizer, const json_t *entry)
{
    json_t *rows = json_object_get(entry, "added"), *row, *id;
    size_t index, at;
    assert_true(json_array_size(rows) >= 3);
    json_array_foreach(rows, index, row)
    {
        hg_tokens got = {0};
        hg_error error;
        const json_t *text = json_object_get(row, "text"), *ids = json_object_get(row, "ids");
        assert_int_equal(hg_tokenizer_encode(tokenizer, json_string_value(text),
                                             json_string_length(text), &got, &error),
                         HG_OK);
        bool same = got.count == json_array_size(ids);
        json_array_foreach(ids, at, id)
        {
            same = same && got.id[at] == json_integer_value(id);
        }
        if (!same) fail_msg("%s: ids differ: %s", kind, json_string_value(text));
        hg_tokens_free(&got);
    }
}

static void check_kind(const char *kind)
{
    hg_tokenizer *tokenizer;
    hg_error error;
    const json_t *entry = json_object_get(kinds, kind);
    const json_t *text = json_object_get(entry, "tokenizer");
    assert_non_null(entry);
    hg_status status = json_is_null(text)
                           ? hg_tokenizer_open_ranks(META, &tokenizer, &error)
                           : hg_tokenizer_parse(json_string_value(text), json_string_length(text),
                                                kind, &tokenizer, &error);
    if (status) fail_msg("%s (make fixtures fetches Meta's file)", error.message);
    check_blocks(kind, tokenizer, entry);
    check_added(kind, tokenizer, entry);
    hg_tokenizer_close(tokenizer);
}

static void test_llama3(void **state)
{
    (void)state;
    check_kind("llama3");
}

static void test_smollm(void **state)
{
    (void)state;
    check_kind("smollm");
}

static void test_added(void **state)
{
    (void)state;
    check_kind("added");
}

/* Builds one prompt by the template that it names, and compares. */
static void check_prompt(const hg_tokenizer *tokenizer, const json_t *row)
{
    hg_error error = {0};
    hg_prompt *prompt;
    hg_tokens got = {0};
    const hg_template *named;
    hg_buf text = hg_buf_new(HG_LIMIT_TEMPLATE);
    const char *name = json_string_value(json_object_get(row, "template"));
    const json_t *source = json_object_get(row, "source"), *ids = json_object_get(row, "ids");
    const hg_prompt_values values = {
        .source = json_string_value(source),
        .source_bytes = json_string_length(source),
        .source_language = json_string_value(json_object_get(row, "source_language")),
        .target_language = json_string_value(json_object_get(row, "target_language")),
        .context = json_string_value(json_object_get(row, "context"))};
    if (hg_template_resolve(name, "de", &text, &named, &error) ||
        hg_prompt_parse(hg_buf_text(&text), tokenizer, &prompt, &error) ||
        hg_prompt_build(prompt, tokenizer, &values, NULL, &got, &error))
        fail_msg("%s", error.message);
    bool same = got.count == json_array_size(ids);
    for (uint32_t i = 0; same && i < got.count; i++)
        same = got.id[i] == json_integer_value(json_array_get(ids, i));
    if (!same) fail_msg("%s: the prompt of \"%s\" differs", name, values.source);
    hg_tokens_free(&got);
    hg_prompt_free(prompt);
    hg_buf_free(&text);
}

static void test_prompts(void **state)
{
    (void)state;
    hg_tokenizer *tokenizer;
    hg_error error;
    json_t *rows = json_object_get(json_object_get(kinds, "meta"), "prompts"), *row;
    size_t index;
    if (hg_tokenizer_open_ranks(META, &tokenizer, &error))
        fail_msg("%s (make fixtures fetches it)", error.message);
    assert_int_equal(json_array_size(rows), 7);
    json_array_foreach(rows, index, row)
    {
        check_prompt(tokenizer, row);
    }
    hg_tokenizer_close(tokenizer);
}

/* Its special tokens, as Meta's program numbers them, and how long opening takes. */
static void test_meta(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int32_t id;
    } special[] = {
        {"<|begin_of_text|>", 128000},
        {"<|end_of_text|>", 128001},
        {"<|reserved_special_token_1|>", 128003},
        {"<|finetune_right_pad_id|>", 128004},
        {"<|start_header_id|>", 128006},
        {"<|end_header_id|>", 128007},
        {"<|eom_id|>", 128008},
        {"<|eot_id|>", 128009},
        {"<|python_tag|>", 128010},
        {"<|reserved_special_token_2|>", 128012},
        {"<|reserved_special_token_245|>", 128255},
    };
    hg_tokenizer *tokenizer;
    hg_error error;
    int64_t start_us = hg_clock_us();
    if (hg_tokenizer_open_ranks(META, &tokenizer, &error))
        fail_msg("%s (make fixtures fetches it)", error.message);
    print_message("opened in %.0f ms\n", (double)(hg_clock_us() - start_us) / 1e3);
    assert_int_equal(hg_tokenizer_vocabulary(tokenizer), 128256);
    for (size_t i = 0; i < sizeof special / sizeof *special; i++)
        assert_int_equal(hg_tokenizer_special(tokenizer, special[i].text, strlen(special[i].text)),
                         special[i].id);
    hg_tokenizer_close(tokenizer);
    check_kind("meta");
}

/* SmolLM2's, out of the GGUF file that has its model. */
static void test_smollm2(void **state)
{
    (void)state;
    hg_model *model = NULL;
    hg_tokenizer *tokenizer = NULL;
    hg_error error;
    hg_buf golden = golden_read_xz(FOLDER "smollm2_tokenizer.json.xz");
    json_t *entry = json_loadb(golden.data, golden.length, 0, NULL);
    assert_non_null(entry);
    if (hg_model_open(SMOLLM2, &model, &error) || hg_model_tokenizer(model, &tokenizer, &error))
        fail_msg("%s (make fixtures fetches it)", error.message);
    check_blocks("smollm2", tokenizer, entry);
    assert_int_equal(hg_tokenizer_special(tokenizer, "<|im_end|>", 10), 2);
    assert_int_equal(hg_tokenizer_special(tokenizer, "<|im_start|>", 12), 1);
    hg_tokenizer_close(tokenizer);
    hg_model_close(model);
    json_decref(entry);
    hg_buf_free(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama3),  cmocka_unit_test(test_smollm),
        cmocka_unit_test(test_added),   cmocka_unit_test(test_meta),
        cmocka_unit_test(test_prompts), cmocka_unit_test(test_smollm2),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
