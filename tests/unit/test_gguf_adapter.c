/* test_gguf_adapter.c: adapter.gguf of make_gguf_files.py: what is read, every way to cut the file
 * short, refusals by name. tests/golden/test_adapters.c compares such adapters with PEFT's logits.
 */
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

#include "core/model/adapter.h"
#include "core/model/gguf_adapter.h"
#include "core/model/plugin.h"
#include "tests/support/gguf_image.h"
#include "tests/support/small_bases.h"

#define ADAPTER "tests/fuzz/corpus/gguf/adapter.gguf"

static hg_status take(image in, const hg_shape *shape, hg_adapter *adapter, hg_error *error)
{
    hg_gguf file;
    hg_lora_layer layer[2] = {0};
    *adapter = (hg_adapter){0};
    hg_status status = hg_gguf_parse(in.bytes, in.size, "x.gguf", &file, error);
    if (status) return status;
    status = hg_gguf_adapter_take(&file, shape, layer, adapter, error);
    hg_gguf_close(&file);
    return status;
}

static void expect(image in, const hg_shape *shape, hg_status status, const char *part)
{
    hg_adapter adapter;
    hg_error error = {0};
    hg_status got = take(in, shape, &adapter, &error);
    if (got != status || !strstr(error.message, part) || strncmp(error.message, "x.gguf", 6) != 0)
        fail_msg("status %d, \"%s\"; expected %d and %s", got, error.message, status, part);
}

/* Row i of B of q: from the pair of neighbours that llama.cpp rotates. */
static void check_rows(const hg_gguf *file, const hg_lora *q)
{
    const uint8_t *mine = q->b.data;
    const uint8_t *theirs = hg_gguf_find_tensor(file, "blk.0.attn_q.weight.lora_b")->data;
    const size_t row = 4 * sizeof(uint16_t), half = gguf_base.head_dim / 2;
    for (size_t head = 0; head < gguf_base.heads; head++)
        for (size_t i = 0; i < half; i++) {
            const size_t at = head * gguf_base.head_dim;
            assert_memory_equal(mine + (at + i) * row, theirs + (at + 2 * i) * row, row);
            assert_memory_equal(mine + (at + half + i) * row, theirs + (at + 2 * i + 1) * row, row);
        }
}

static void test_contents(void **state)
{
    (void)state;
    hg_error error;
    hg_gguf file;
    hg_lora_layer layer = {0};
    hg_adapter adapter = {0};
    if (hg_gguf_open(ADAPTER, &file, &error)) fail_msg("%s", error.message);
    if (hg_gguf_adapter_take(&file, &gguf_base, &layer, &adapter, &error))
        fail_msg("%s", error.message);
    assert_int_equal(adapter.invocations, 2);
    assert_int_equal(adapter.invocation[0], 3);
    assert_int_equal(adapter.invocation[1], 4);
    assert_int_equal(adapter.lora.rank_max, 4);
    assert_int_equal(adapter.lora.layers, 1);
    assert_int_equal(adapter.lora.bytes, 2 * 4 * (32 + 32) + 2 * (32 + 16) + 4 * 3 * (64 + 32));
    static const uint32_t rank[HG_PROJECTIONS] = {[HG_Q] = 4, [HG_K] = 1, [HG_DOWN] = 3};
    for (int p = 0; p < HG_PROJECTIONS; p++) {
        assert_int_equal(layer.pair[p].rank, rank[p]);
        if (rank[p]) assert_true(layer.pair[p].scale == 6 / (float)rank[p]);
    }
    assert_int_equal(layer.pair[HG_Q].a.type, HG_F16);
    assert_int_equal(layer.pair[HG_K].b.type, HG_BF16);
    assert_int_equal(layer.pair[HG_DOWN].a.type, HG_F32);
    assert_int_equal(layer.pair[HG_DOWN].a.rows, 3);
    assert_int_equal(layer.pair[HG_DOWN].a.columns, 64);
    check_rows(&file, &layer.pair[HG_Q]);
    hg_gguf_close(&file);
}

static void test_cuts(void **state)
{
    (void)state;
    image in = image_read(ADAPTER);
    hg_adapter adapter;
    hg_error error;
    const size_t end = image_end(in);
    for (in.size = 0; in.size < end; in.size++)
        if (take(in, &gguf_base, &adapter, &error) != HG_ERROR_FORMAT)
            fail_msg("cut at %zu: %s", in.size, error.message);
    free(in.bytes);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text, *instead;
        size_t count; /* bytes of instead */
        long skip;    /* bytes behind the text, to what is changed */
        hg_status status;
        const char *part;
    } cases[] = {
        {"general.architecture", "gemma", 5, 12, HG_ERROR_UNSUPPORTED, "general.architecture"},
        {"general.type", "modells", 7, 12, HG_ERROR_FORMAT, "general.type: found modells"},
        {"adapter.type", "loha", 4, 12, HG_ERROR_UNSUPPORTED, "adapter.type: found loha"},
        {"adapter.type", "adapter.tipe", 12, -12, HG_ERROR_FORMAT, "adapter.type is missing"},
        {"adapter.lora.alpha", "\0\0\0", 4, 4, HG_ERROR_FORMAT, "adapter.lora.alpha: found 0"},
        {"adapter.lora.alpha", "\0\0\xC0\x7F", 4, 4, HG_ERROR_FORMAT, "adapter.lora.alpha: found"},
        {"invocation_tokens", "\5", 1, 4, HG_ERROR_FORMAT, "invocation_tokens: found"},
        {"invocation_tokens", "\6\1", 2, 16, HG_ERROR_FORMAT, "found 262, expected less than 262"},
        {"blk.0.attn_q.weight.lora_a", "blk.0.attn_q.weight.lora_c", 26, -26, HG_ERROR_FORMAT,
         "blk.0.attn_q.weight.lora_a is missing, the other half"},
        {"blk.0.attn_q.weight.lora_b", "blk.0.attn_q.weight.lora_c", 26, -26, HG_ERROR_FORMAT,
         "blk.0.attn_q.weight.lora_b is missing, the other half"},
        {"blk.0.ffn_down.weight.lora_a", "blk.0.ffn_norm.weight.lora_a", 28, -28, HG_ERROR_FORMAT,
         "ffn_down.weight.lora_a is missing"},
        {"blk.0.attn_q.weight.lora_b", "\x10", 1, 12, HG_ERROR_FORMAT,
         "attn_q.weight.lora_b: found 2 dimensions, [4, 16], expected 2, [4, 32]"},
        {"blk.0.attn_q.weight.lora_a", "\x10", 1, 4, HG_ERROR_FORMAT, "[16, 4], expected 2, [32"},
        {"blk.0.attn_q.weight.lora_a", "\3", 1, 12, HG_ERROR_FORMAT, "by lora_a's rank"},
        {"blk.0.attn_q.weight.lora_a", "\10", 1, 20, HG_ERROR_UNSUPPORTED,
         "attn_q.weight.lora_a: type Q8_0 is not supported"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        image in = image_read(ADAPTER);
        memcpy(image_find(in, cases[i].text) + strlen(cases[i].text) + cases[i].skip,
               cases[i].instead, cases[i].count);
        expect(in, &gguf_base, cases[i].status, cases[i].part);
        free(in.bytes);
    }
}

/* Both halves under another name. */
static void test_refused_pairs(void **state)
{
    (void)state;
    static const struct {
        const char *name; /* as long as attn_k */
        hg_status status;
        const char *part;
    } cases[] = {
        {"blk.0.attn_w.weight.lora_", HG_ERROR_FORMAT, "attn_w.weight.lora_a is not expected"},
        {"blk.1.attn_k.weight.lora_", HG_ERROR_FORMAT, "blk.1.attn_k.weight.lora_a is not exp"},
        {"output.weight....lora_lo_", HG_ERROR_UNSUPPORTED, "LoRA on the head is not supported"},
        {"token_embd.weight.lora_x_", HG_ERROR_UNSUPPORTED, "LoRA on the embedding is not"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        image in = image_read(ADAPTER);
        for (int half = 0; half < 2; half++)
            memcpy(image_find(in, "blk.0.attn_k.weight.lora_"), cases[i].name, 25);
        expect(in, &gguf_base, cases[i].status, cases[i].part);
        free(in.bytes);
    }
    image in = image_read(ADAPTER);
    hg_gguf file;
    hg_error error;
    assert_int_equal(hg_gguf_parse(in.bytes, in.size, "x", &file, &error), HG_OK);
    const size_t at =
        (size_t)(hg_gguf_find_tensor(&file, "blk.0.ffn_down.weight.lora_b")->data - in.bytes);
    hg_gguf_close(&file);
    memcpy(in.bytes + at, "\0\0\x80\x7F", 4);
    expect(in, &gguf_base, HG_ERROR_FORMAT, "ffn_down.weight.lora_b: holds NaN or infinity");
    free(in.bytes);
}

/* A base of another width; one with more layers is fine. */
static void test_other_bases(void **state)
{
    (void)state;
    image in = image_read(ADAPTER);
    hg_shape other = gguf_base;
    hg_adapter adapter;
    hg_error error;
    other.layers = 2;
    assert_int_equal(take(in, &other, &adapter, &error), HG_OK);
    other.hidden = 48;
    expect(in, &other, HG_ERROR_FORMAT, "attn_q.weight.lora_a: found 2 dimensions, [32, 4]");
    other = gguf_base;
    other.kv_heads = 2;
    expect(in, &other, HG_ERROR_FORMAT, "attn_k.weight.lora_b: found 2 dimensions, [1, 16]");
    free(in.bytes);
}

static void write_file(const char *folder, const char *name, const void *bytes, size_t count)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static void remove_file(const char *folder, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(remove(path), 0);
}

/* In a plugin's folder; not beside PEFT's form. */
static void test_folders(void **state)
{
    (void)state;
    static const char json[] =
        "{\"schema\": \"hydraglot.plugin/1\", \"kind\": \"task\", \"name\": \"x\", \"title\": "
        "\"X\", \"sources\": [], \"base\": {\"name\": \"Tiny\"}, \"template\": \"{source}\", "
        "\"stop\": []}";
    char folder[] = "/tmp/hydraglot-adapter-XXXXXX";
    hg_adapter *adapter;
    hg_plugin *plugin;
    hg_error error = {0};
    image in = image_read(ADAPTER);
    assert_non_null(mkdtemp(folder));
    write_file(folder, "plugin.json", json, strlen(json));
    assert_int_equal(hg_plugin_open(folder, &plugin, &error), HG_ERROR_NOT_FOUND);
    assert_non_null(strstr(error.message, "adapter.gguf"));
    write_file(folder, "adapter.gguf", in.bytes, in.size);
    if (hg_adapter_open(folder, &gguf_base, &adapter, &error)) fail_msg("%s", error.message);
    assert_int_equal(adapter->lora.layer[0].pair[HG_Q].rank, 4);
    hg_adapter_close(adapter);
    if (hg_plugin_open(folder, &plugin, &error)) fail_msg("%s", error.message);
    assert_int_equal(plugin->bytes, in.size);
    hg_plugin_close(plugin);
    write_file(folder, "adapter.gguf", "PK", 2);
    assert_int_equal(hg_adapter_open(folder, &gguf_base, &adapter, &error), HG_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "adapter.gguf"));
    write_file(folder, "adapter_config.json", "{}", 2);
    assert_int_equal(hg_adapter_open(folder, &gguf_base, &adapter, &error), HG_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "adapter_config.json: stands beside adapter.gguf"));
    assert_int_equal(hg_plugin_open(folder, &plugin, &error), HG_ERROR_FORMAT);
    remove_file(folder, "adapter_config.json");
    remove_file(folder, "adapter.gguf");
    remove_file(folder, "plugin.json");
    assert_int_equal(rmdir(folder), 0);
    free(in.bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contents),    cmocka_unit_test(test_cuts),
        cmocka_unit_test(test_refused),     cmocka_unit_test(test_refused_pairs),
        cmocka_unit_test(test_other_bases), cmocka_unit_test(test_folders),
    };
    return cmocka_run_group_tests_name("GGUF adapters", tests, NULL, NULL);
}
