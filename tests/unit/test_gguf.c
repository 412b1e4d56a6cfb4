/* test_gguf.c: GGUF files of make_gguf_files.py: what is read, blocks against the gguf package's
 * own arithmetic, every way to cut a file short, refusals by name. test_smollm2.c has a real file.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model/gguf.h"
#include "core/model/gguf_blocks.h"
#include "core/model/gguf_model.h"
#include "core/model/half.h"
#include "core/model/safetensors.h"
#include "tests/support/gguf_image.h"

#define FOLDER "tests/fuzz/corpus/gguf/"
#define MODEL  FOLDER "model.gguf"

static void expect(image in, hg_status status, const char *part)
{
    hg_model *model;
    hg_error error = {0};
    hg_status got = hg_gguf_model_parse(in.bytes, in.size, "x.gguf", &model, &error);
    if (got != status || !strstr(error.message, part) || strncmp(error.message, "x.gguf", 6) != 0)
        fail_msg("status %d, \"%s\"; expected %d and %s", got, error.message, status, part);
    assert_null(model);
}

static void test_contents(void **state)
{
    (void)state;
    hg_model *model;
    hg_tokenizer *tokenizer;
    hg_tokens ids = {0};
    hg_error error;
    if (hg_model_open(MODEL, &model, &error)) fail_msg("%s", error.message);
    const hg_shape *shape = &model->weights.shape;
    assert_string_equal(model->name, "Tiny");
    assert_non_null(strstr(model->notice, "Built with Llama"));
    assert_int_equal(shape->vocabulary, 262);
    assert_int_equal(shape->hidden, 32);
    assert_int_equal(shape->intermediate, 64);
    assert_int_equal(shape->layers, 1);
    assert_int_equal(shape->heads, 2);
    assert_int_equal(shape->kv_heads, 1);
    assert_int_equal(shape->head_dim, 16);
    assert_int_equal(model->bos, 259);
    assert_int_equal(model->stops, 2);
    assert_int_equal(model->stop[0], 260);
    assert_int_equal(model->stop[1], 261);
    assert_ptr_equal(model->weights.head.data, model->weights.embedding.data);
    for (int i = 0; i < 8; i++) /* rope_freqs.weight: 1 to 8 */
        assert_float_equal(model->weights.rope_frequency[i], powf(5e5f, -(float)i / 8) / (1 + i),
                           1e-6);
    if (hg_model_tokenizer(model, &tokenizer, &error)) fail_msg("%s", error.message);
    assert_int_equal(hg_tokenizer_encode(tokenizer, "a the", 5, &ids, &error), HG_OK);
    assert_int_equal(ids.count, 3); /* "a", " th", "e" */
    assert_int_equal(ids.id[1], 257);
    assert_int_equal(hg_tokenizer_special(tokenizer, "<|eot|>", 7), 261);
    hg_tokens_free(&ids);
    hg_tokenizer_close(tokenizer);
    hg_model_close(model);
}

static void test_untied(void **state)
{
    (void)state;
    hg_model *model;
    hg_error error;
    if (hg_model_open(FOLDER "untied.gguf", &model, &error)) fail_msg("%s", error.message);
    assert_int_equal(model->weights.embedding.type, HG_QUANTISED);
    assert_int_equal(model->weights.head.type, HG_F16);
    hg_model_close(model);
    if (hg_model_open(FOLDER "linear.gguf", &model, &error)) fail_msg("%s", error.message);
    assert_float_equal(model->weights.rope_frequency[0], 0.25, 1e-7);
    hg_model_close(model);
}

/* Row i of the first half of a head stands at 2i, row i of its second half at 2i + 1. */
static void test_rows_of_q(void **state)
{
    (void)state;
    hg_model *model;
    hg_error error;
    hg_gguf file;
    if (hg_model_open(MODEL, &model, &error)) fail_msg("%s", error.message);
    if (hg_gguf_open(MODEL, &file, &error)) fail_msg("%s", error.message);
    if (hg_hold_layer(&model->weights, 0, &error)) fail_msg("%s", error.message);
    const uint8_t *mine = model->weights.layer[0].linear[HG_Q].dense;
    const uint8_t *theirs = hg_gguf_find_tensor(&file, "blk.0.attn_q.weight")->data;
    for (size_t head = 0; head < 2; head++)
        for (size_t i = 0; i < 8; i++) {
            const uint8_t *row = mine + (head * 16 + i) * 64, *pair = theirs + head * 16 * 64;
            assert_memory_equal(row, pair + 2 * i * 64, 64);
            assert_memory_equal(row + 8 * 64L, pair + (2 * i + 1) * 64, 64);
        }
    hg_release_layer(&model->weights, 0);
    assert_null(model->weights.layer[0].linear[HG_Q].dense);
    const hg_linear *k = &model->weights.layer[0].linear[HG_K]; /* Q4_1: who lays out memory asks */
    assert_true(!k->codes && !k->scales && k->offsets);
    hg_gguf_close(&file);
    hg_model_close(model);
}

/* ---- blocks ---- */

static float value_of(const hg_gguf_type *type, hg_block_row row, uint32_t i)
{
    uint32_t code = type->bits == 8 ? row.codes[i] : row.codes[i / 2] >> 4 * (i % 2) & 15;
    float scale = hg_f16_to_f32(row.scales[i / type->group]);
    if (type->offsets) return (float)code * scale + hg_f16_to_f32(row.offsets[i / type->group]);
    return ((float)code - (type->bits == 8 ? 128 : 8)) * scale;
}

static void check_type(const hg_safetensors *golden, uint32_t number)
{
    char name[32];
    const hg_gguf_type *type = hg_gguf_type_find(number);
    uint8_t codes[512];
    uint16_t scales[32], offsets[32];
    const hg_block_row row = {codes, scales, type->offsets ? offsets : NULL};
    double error = 0, norm = 0;
    hg_block_loss loss = {0};
    snprintf(name, sizeof name, "%s.blocks", type->name);
    const hg_tensor *blocks = hg_safetensors_find(golden, name);
    snprintf(name, sizeof name, "%s.values", type->name);
    const hg_tensor *values = hg_safetensors_find(golden, name);
    assert_true(blocks && values);
    for (uint32_t r = 0; r < 2; r++) {
        const uint8_t *from = blocks->data + r * blocks->bytes / 2;
        assert_true(hg_block_row_check(type, from, 512));
        assert_true(hg_block_row_order(type, from, 512, row, &loss));
        for (uint32_t i = 0; i < 512; i++) {
            float want, got = value_of(type, row, i);
            memcpy(&want, values->data + (r * 512 + i) * sizeof want, sizeof want);
            if (!type->rounded && got != want)
                fail_msg("%s: value %u is %.9g, expected %.9g", type->name, i, (double)got,
                         (double)want);
            error += ((double)got - (double)want) * ((double)got - (double)want);
            norm += (double)want * (double)want;
        }
    }
    if (!type->rounded) return;
    printf("%s: normalised error %.2e\n", type->name, error / norm);
    assert_true(error / norm > 0 && error / norm < 1e-6);
    assert_true(fabs(loss.error / loss.norm - error / norm) < 0.05 * error / norm);
}

/* Both ways to look at a row refuse the same: an infinite half, and products beyond F16. */
static void test_bad_scales(void **state)
{
    (void)state;
    static const struct {
        uint32_t number, at; /* of a half in the block */
    } halves[] = {{2, 0}, {3, 0}, {3, 2}, {8, 0}, {12, 0}, {12, 2}, {14, 208}};
    static const uint16_t bits[] = {0x7C00, 0xFC00, 0x7E00, 0x7BFF, 0x3C00};
    for (size_t i = 0; i < sizeof halves / sizeof *halves; i++) {
        const hg_gguf_type *type = hg_gguf_type_find(halves[i].number);
        for (size_t k = 0; k < sizeof bits / sizeof *bits; k++) {
            uint8_t block[256], codes[256];
            uint16_t scales[16], offsets[16];
            const hg_block_row row = {codes, scales, type->offsets ? offsets : NULL};
            memset(block, 0x21, sizeof block); /* small scales, but not 0 or 1 */
            memcpy(block + halves[i].at, &bits[k], sizeof bits[k]);
            bool fine = k == 4 || (k == 3 && !type->rounded);
            assert_int_equal(hg_block_row_check(type, block, type->block), fine);
            assert_int_equal(hg_block_row_order(type, block, type->block, row, NULL), fine);
        }
    }
}

static void test_blocks(void **state)
{
    (void)state;
    static const uint32_t numbers[] = {2, 3, 8, 12, 14};
    hg_safetensors golden;
    hg_error error;
    if (hg_safetensors_open("tests/golden/gguf_blocks.safetensors", &golden, &error))
        fail_msg("%s", error.message);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) check_type(&golden, numbers[i]);
    hg_safetensors_close(&golden);
}

/* ---- what is no file ---- */

/* Cut after every byte up to the last tensor's end: through each field and at each border. */
static void test_cuts(void **state)
{
    (void)state;
    image in = image_read(MODEL);
    hg_error error;
    const size_t end = image_end(in);
    for (in.size = 0; in.size < end; in.size++) {
        hg_model *model;
        hg_status status = hg_gguf_model_parse(in.bytes, in.size, "x.gguf", &model, &error);
        if (status != HG_ERROR_FORMAT) fail_msg("%zu: %d %s", in.size, status, error.message);
        assert_null(model);
    }
    free(in.bytes);
}

static void test_refused_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *instead, *part;
        hg_status status;
        long skip; /* bytes behind the text, to its value */
    } cases[] = {
        {"GGUF", "GGML", "GGUF", HG_ERROR_FORMAT, -4},
        {"general.architecture", "gemma", "general.architecture: found gemma", HG_ERROR_UNSUPPORTED,
         12},
        {"general.type", "adapt", "general.type: found adapt", HG_ERROR_FORMAT, 12},
        {"llama.block_count", "\0", "llama.block_count: found 0", HG_ERROR_LIMIT, 4},
        {"llama.attention.head_count", "\3", "llama.attention.head_count, 3", HG_ERROR_FORMAT, 4},
        {"llama.embedding_length", "\100", "tensor token_embd.weight: found", HG_ERROR_FORMAT, 4},
        {"tokenizer.ggml.bos", "tokenizer.ggml.eos", "stands there twice", HG_ERROR_FORMAT, -18},
        {"output_norm.weight", "output_norm.weighs", "output_norm.weight is missing",
         HG_ERROR_FORMAT, -18},
        {"rope_freqs.weight", "rope_freqz.weight", "rope_freqz.weight is not expected",
         HG_ERROR_FORMAT, -17},
        /* the type of a tensor of two dimensions; the offset follows */
        {"blk.0.attn_q.weight", "\30", "attn_q.weight: type I8 is not supported",
         HG_ERROR_UNSUPPORTED, 20},
        {"blk.0.attn_q.weight", "\143", "its type has number 99", HG_ERROR_UNSUPPORTED, 20},
        {"blk.0.attn_q.weight", "\1", "offset", HG_ERROR_FORMAT, 24},
        {"blk.0.attn_q.weight", "\377", "the file is cut short", HG_ERROR_FORMAT, 30},
        {"blk.0.attn_q.weight", "\5", "has 5 dimensions", HG_ERROR_FORMAT, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        image in = image_read(MODEL);
        uint8_t *at = image_find(in, cases[i].text) + strlen(cases[i].text) + cases[i].skip;
        size_t count = strlen(cases[i].instead);
        memcpy(at, cases[i].instead, count ? count : 1);
        if (cases[i].part[0] == 'o' && cases[i].skip == 24) at[1] = at[2] = 0;
        const char *part = strstr(cases[i].part, "cut short") ? "cut short" : cases[i].part;
        expect(in, cases[i].status, part);
        free(in.bytes);
    }
}

static void test_refused_structure(void **state)
{
    (void)state;
    image in = image_read(MODEL);
    in.bytes[4] = 1;
    expect(in, HG_ERROR_UNSUPPORTED, "version 1");
    memcpy(in.bytes + 4, "\0\0\0\3", 4);
    expect(in, HG_ERROR_UNSUPPORTED, "big endian");
    memcpy(in.bytes + 4, "\3\0\0\0", 4);
    memset(in.bytes + 8, 0xFF, 8);
    expect(in, HG_ERROR_LIMIT, "number of tensors");
    memset(in.bytes + 16, 0xFF, 8);
    expect(in, HG_ERROR_LIMIT, "number of metadata entries");
    free(in.bytes);

    in = image_read(MODEL); /* two tensors at one place */
    uint8_t *q = image_find(in, "blk.0.attn_q.weight") + 19 + 24;
    uint8_t *k = image_find(in, "blk.0.attn_k.weight") + 19 + 24;
    memcpy(k, q, 8);
    expect(in, HG_ERROR_FORMAT, "overlaps");
    free(in.bytes);

    in = image_read(MODEL); /* an infinite scale */
    hg_gguf file;
    hg_error error;
    assert_int_equal(hg_gguf_parse(in.bytes, in.size, "x.gguf", &file, &error), HG_OK);
    size_t at = (size_t)(hg_gguf_find_tensor(&file, "blk.0.ffn_up.weight")->data - in.bytes);
    hg_gguf_close(&file);
    memcpy(in.bytes + at, "\0\x7C", 2);
    expect(in, HG_ERROR_FORMAT, "blk.0.ffn_up.weight: a scale of row 0");
    free(in.bytes);
}

/* The model opens; its tokenizer does not. */
static void test_refused_tokenizers(void **state)
{
    (void)state;
    static const struct {
        const char *text, *instead, *part;
    } cases[] = {
        {"gpt2", "bert", "tokenizer.ggml.model: found bert"},
        {"llama-bpe", "qwen2-bpe", "tokenizer.ggml.pre: qwen2-bpe is not known"},
        {"\304\240t h", "\304\240th-", "tokenizer.ggml.merges: entry 1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        image in = image_read(MODEL);
        hg_model *model;
        hg_tokenizer *tokenizer;
        hg_error error;
        memcpy(image_find(in, cases[i].text), cases[i].instead, strlen(cases[i].instead));
        if (hg_gguf_model_parse(in.bytes, in.size, "x.gguf", &model, &error))
            fail_msg("%s", error.message);
        assert_int_not_equal(hg_model_tokenizer(model, &tokenizer, &error), HG_OK);
        if (!strstr(error.message, cases[i].part)) fail_msg("%s", error.message);
        hg_model_close(model);
        free(in.bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents),           cmocka_unit_test(test_untied),
        cmocka_unit_test(test_rows_of_q),          cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_bad_scales),         cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_refused_text),       cmocka_unit_test(test_refused_structure),
        cmocka_unit_test(test_refused_tokenizers),
    };
    return cmocka_run_group_tests_name("GGUF", tests, NULL, NULL);
}
