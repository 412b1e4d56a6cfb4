/* test_conversion.c: whole models converted: scaled by activations, with adapters of the original
 * on top; in shards; and what becomes of the folder when something is in the way.
 *
 * The base is the dense one of tests/golden/merge.tar.xz with outliers: some channels of its
 * activations are far larger than the rest, which is what activation-aware scaling is for.
 */
#include "tests/support/device_harness.h"
#include "tests/support/small_models.h"
#include "tests/unit/model_pieces.h"

#include <sys/stat.h>

#include "core/convert/convert.h"
#include "core/convert/folder.h"
#include "core/convert/produce.h"
#include "core/model/adapter.h"
#include "core/model/scales.h"

#define VOCABULARY 72
#define ROWS       24
#define LOGITS     (ROWS * VOCABULARY)
#define INT8_ERROR 1e-3 /* of logits, in the squared norm */
#define FAR_OFF    5e-2

static small_goldens golden;
static char base[96]; /* with outliers */

static const char *below(char *path, const char *name)
{
    snprintf(path, 96, "%s/%s", golden.folder, name);
    return path;
}

static void scale_bf16(uint8_t *at, size_t count, size_t stride, float factor)
{
    for (size_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, at + i * stride * 2, 2);
        const uint32_t bits = (uint32_t)half << 16;
        float value;
        memcpy(&value, &bits, 4);
        value *= factor; /* a power of two: nothing is rounded */
        uint32_t out;
        memcpy(&out, &value, 4);
        half = (uint16_t)(out >> 16);
        memcpy(at + i * stride * 2, &half, 2);
    }
}

/* Makes channels 3 and 17 of what feeds each tap large: entries of the norms, rows of v and up. */
static void add_outliers(const char *from, const char *to)
{
    static const char *const grown[] = {"input_layernorm", "post_attention_layernorm",
                                        "self_attn.v_proj", "mlp.up_proj"};
    pieces list = {0};
    pieces_load(&list, from, "model.safetensors");
    for (int l = 0; l < 2; l++)
        for (int g = 0; g < 4; g++) {
            char name[96];
            snprintf(name, sizeof name, "model.layers.%d.%s.weight", l, grown[g]);
            piece *p = pieces_find(&list, name);
            const size_t row = p->dimensions == 2 ? (size_t)p->shape[1] : 1;
            for (size_t channel = 3; channel < 20; channel += 14)
                if ((long)channel < p->shape[0])
                    scale_bf16(p->data + channel * row * 2, row, 1, 32);
        }
    pieces_save(&list, to, "model.safetensors", 0);
    pieces_free(&list);
}

static int set_up(void **state)
{
    (void)state;
    char from[96];
    small_open("tests/golden/merge.tar.xz", &golden);
    below(from, "base/bf16");
    below(base, "base/outliers");
    assert_int_equal(mkdir(base, 0700), 0);
    copy_file(from, base, "config.json");
    copy_file(from, base, "tokenizer.json");
    add_outliers(from, base);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    small_close(&golden);
    return 0;
}

static hg_model *open_model(const char *path)
{
    hg_model *model;
    hg_error error = {0};
    if (hg_model_open(path, &model, &error)) fail_msg("%s", error.message);
    return model;
}

static hg_adapter *open_on(const hg_model *model)
{
    char folder[96];
    hg_adapter *adapter;
    hg_error error = {0};
    if (hg_adapter_open_on(below(folder, "plugin/patterns"), model, &adapter, &error))
        fail_msg("%s", error.message);
    return adapter;
}

/* Logits [ROWS, VOCABULARY] of random tokens by the reference, under an adapter or none. */
static void run(const hg_model *model, const hg_adapter *adapter, float *logits)
{
    int32_t token[ROWS], best[ROWS];
    char message[HG_ERROR_MESSAGE_MAX] = "";
    random_source r = {7};
    small_lane lane = {.token = token,
                       .rows = ROWS,
                       .slot = adapter ? 1 : HG_NO_SLOT,
                       .best = best,
                       .logits = logits};
    for (int i = 0; i < ROWS; i++) token[i] = (int32_t)random_below(&r, VOCABULARY);
    hg_device *device = small_device("reference", &model->weights, message, sizeof message);
    if (!device) fail_msg("%s", message);
    if (adapter) small_put(device, 1, &adapter->lora);
    small_run(device, VOCABULARY, &lane, 1, ROWS);
    hg_cpu_device()->close(device);
}

typedef struct conversion {
    const char *name; /* of the new folder */
    bool scaled;
    uint8_t bits;
    uint64_t shard_bytes;
} conversion;

/* Converts the base as the command does, but with random text and shards of any size. */
static hg_model *convert(const conversion *how)
{
    int32_t token[512];
    char out[96];
    hg_folder folder;
    hg_error error = {0};
    random_source r = {11};
    hg_model *model = open_model(base);
    for (int i = 0; i < 512; i++) token[i] = (int32_t)random_below(&r, VOCABULARY);
    hg_status status = hg_folder_begin(below(out, how->name), &folder, &error);
    hg_convert c = {.model = model,
                    .folder = folder.partial,
                    .bits = how->bits,
                    .group = how->bits ? 16 : 0,
                    .shard_bytes = how->shard_bytes,
                    .token = how->scaled ? token : NULL,
                    .tokens = how->scaled ? 512 : 0,
                    .span = how->scaled ? 64 : 0,
                    .threads = 2};
    if (!status) status = hg_folder_config(&folder, base, how->bits, c.group, &error);
    if (!status) status = hg_folder_copy(&folder, base, &error);
    if (!status) status = hg_convert_run(&c, &error);
    if (!status) status = hg_folder_commit(&folder, &error);
    if (status) fail_msg("%s", error.message);
    hg_model_close(model);
    return open_model(out);
}

/* Each projection is scaled in some layer, or a test of it would show nothing. */
static void check_factors(const hg_model *model)
{
    hg_scales *scales;
    hg_error error = {0};
    if (hg_scales_open(model->path, &model->weights.shape, &scales, &error))
        fail_msg("%s", error.message);
    assert_non_null(scales);
    for (int p = 0; p < HG_PROJECTIONS; p++) {
        uint32_t other = 0;
        for (uint32_t l = 0; l < model->weights.shape.layers; l++) {
            const float *input = scales->layer[l].input[p];
            assert_non_null(input);
            for (int c = 0; c < 32; c++) other += input[c] != 1;
        }
        if (!other) fail_msg("projection %d is not scaled", p);
        assert_true((scales->layer[0].output[p] != NULL) == (p == HG_V || p == HG_UP));
    }
    hg_scales_close(scales);
}

/* An adapter of the original acts the same on the scaled model, and only because it is fitted. */
static void test_adapters_of_the_unscaled_base(void **state)
{
    (void)state;
    static float want[LOGITS], alone[LOGITS], got[LOGITS], unfitted[LOGITS];
    static const conversion how = {.name = "folded", .scaled = true, .bits = 8};
    hg_model *original = open_model(base), *folded = convert(&how);
    hg_adapter *adapter = open_on(original), *fitted = open_on(folded);
    check_factors(folded);
    run(original, NULL, alone);
    run(original, adapter, want);
    run(folded, fitted, got);
    run(folded, adapter, unfitted);
    const double effect = normalised_error(alone, want, LOGITS);
    const double error = normalised_error(got, want, LOGITS);
    const double without = normalised_error(unfitted, want, LOGITS);
    printf("the adapter changes %.2e; on the scaled base it is off by %.2e, unfitted by %.2e\n",
           effect, error, without);
    assert_true(effect > FAR_OFF); /* or the test would show nothing */
    assert_true(error < INT8_ERROR);
    assert_true(without > FAR_OFF);
    hg_adapter_close(fitted);
    hg_adapter_close(adapter);
    hg_model_close(folded);
    hg_model_close(original);
}

/* Scaling alone does not change what the base computes, and helps it at 4 bits. */
static void test_scaling_keeps_the_base(void **state)
{
    (void)state;
    static float want[LOGITS], eight[LOGITS], scaled[LOGITS], plain[LOGITS];
    static const conversion how[] = {{.name = "s8", .scaled = true, .bits = 8},
                                     {.name = "s4", .scaled = true, .bits = 4},
                                     {.name = "p4", .scaled = false, .bits = 4}};
    float *const logits[] = {eight, scaled, plain};
    hg_model *original = open_model(base);
    run(original, NULL, want);
    hg_model_close(original);
    for (int i = 0; i < 3; i++) {
        hg_model *model = convert(&how[i]);
        run(model, NULL, logits[i]);
        hg_model_close(model);
    }
    const double error[] = {normalised_error(eight, want, LOGITS),
                            normalised_error(scaled, want, LOGITS),
                            normalised_error(plain, want, LOGITS)};
    printf("logits off by %.2e (INT8 scaled), %.2e (INT4 scaled), %.2e (INT4)\n", error[0],
           error[1], error[2]);
    assert_true(error[0] < INT8_ERROR);
    assert_true(error[1] < error[2]);
}

static void test_shards_say_the_same(void **state)
{
    (void)state;
    static float whole[LOGITS], shards[LOGITS];
    static const conversion how[] = {{.name = "one", .bits = 4},
                                     {.name = "many", .bits = 4, .shard_bytes = 4000}};
    float *const logits[] = {whole, shards};
    char folder[96], path[160], fingerprint[2][80];
    for (int i = 0; i < 2; i++) {
        hg_model *model = convert(&how[i]);
        run(model, NULL, logits[i]);
        snprintf(fingerprint[i], sizeof fingerprint[i], "%s", hg_model_fingerprint(model));
        below(folder, how[i].name);
        snprintf(path, sizeof path, "%s/model.safetensors.index.json", folder);
        assert_int_equal(hg_file_exists(path), i == 1);
        snprintf(path, sizeof path, "%s/model.safetensors", folder);
        assert_int_equal(hg_file_exists(path), i == 0);
        hg_model_close(model);
    }
    assert_memory_equal(whole, shards, sizeof whole);
    assert_string_not_equal(fingerprint[0], fingerprint[1]);
}

/* ---- the folder ---- */

static void expect_begin(const char *out, hg_status want, const char *message)
{
    hg_folder folder;
    hg_error error = {0};
    assert_int_equal(hg_folder_begin(out, &folder, &error), want);
    EXPECT_MESSAGE(&error, message);
    hg_folder_abandon(&folder); /* as every caller does: it must not touch what is there */
}

static void test_what_is_in_the_way(void **state)
{
    (void)state;
    char out[96], path[160];
    hg_folder folder;
    hg_error error = {0};
    below(out, "way");
    /* What an interrupted run left is cleared; so is what was begun, when it is given up. */
    assert_int_equal(hg_folder_begin(out, &folder, &error), HG_OK);
    snprintf(path, sizeof path, "%s.partial/left", out);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(hg_folder_begin(out, &folder, &error), HG_OK);
    assert_false(hg_file_exists(path));
    hg_folder_abandon(&folder);
    assert_false(hg_file_exists(folder.partial));
    /* Somebody's folder of that name is not. */
    snprintf(path, sizeof path, "%s.partial", out);
    assert_int_equal(mkdir(path, 0700), 0);
    write_text(path, "theirs", "x");
    expect_begin(out, HG_ERROR_STATE, "not left by an interrupted run");
    free(read_bytes(path, "theirs", &(size_t){0}));
    folder_remove(path);
    /* The name itself is taken, by a folder or a file, with a slash or without. */
    expect_begin(base, HG_ERROR_STATE, "is there already");
    snprintf(path, sizeof path, "%s///", base);
    expect_begin(path, HG_ERROR_STATE, "is there already");
    snprintf(path, sizeof path, "%s/config.json", base);
    expect_begin(path, HG_ERROR_STATE, "is there already");
    /* No folder can be made below a file. */
    snprintf(path, sizeof path, "%s/config.json/new", base);
    expect_begin(path, HG_ERROR_IO, "config.json/new.partial");
    free(read_bytes(base, "config.json", &(size_t){0}));
}

static void test_committed_folder_has_the_models_files_only(void **state)
{
    (void)state;
    static const conversion how = {.name = "files", .bits = 4};
    char path[96];
    hg_model *model = convert(&how);
    unsigned files = 0;
    struct dirent *entry;
    DIR *folder = opendir(below(path, how.name));
    assert_non_null(folder);
    while ((entry = readdir(folder)))
        files += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    assert_int_equal(files, 3); /* config.json, model.safetensors, tokenizer.json */
    hg_model_close(model);
}

/* A run that fails leaves neither the folder nor its beginning. */
static void test_failed_run_leaves_nothing(void **state)
{
    (void)state;
    char out[96], partial[128], source[96];
    static const struct {
        hg_produce produce;
        const char *message;
    } bad[] = {{{.bits = 4, .group = 48}, "--group: 48 does not divide"},
               {{.bits = 4, .awq = true, .calibration = "/nonexistent/text"}, "/nonexistent/text"},
               {{.merge = "/nonexistent/plugin"}, "/nonexistent/plugin"}};
    below(out, "failed");
    snprintf(partial, sizeof partial, "%s.partial", out);
    for (size_t i = 0; i <= sizeof bad / sizeof *bad; i++) {
        hg_error error = {0};
        const bool last = i == sizeof bad / sizeof *bad;
        hg_produce p = last ? (hg_produce){.bits = 4} : bad[i].produce;
        p.model = last ? below(source, "nowhere") : base;
        p.plugins = ".";
        p.out = out;
        if (!hg_produce_model(&p, &error)) fail_msg("%zu", i);
        EXPECT_MESSAGE(&error, last ? source : bad[i].message);
        assert_false(hg_file_exists(out));
        assert_false(hg_file_exists(partial));
    }
}

/* A model is not written over itself. */
static void test_source_is_no_target(void **state)
{
    (void)state;
    hg_error error = {0};
    hg_produce p = {.model = base, .out = base, .bits = 4, .plugins = "."};
    assert_int_equal(hg_produce_model(&p, &error), HG_ERROR_STATE);
    hg_model_close(open_model(base));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_adapters_of_the_unscaled_base),
        cmocka_unit_test(test_scaling_keeps_the_base),
        cmocka_unit_test(test_shards_say_the_same),
        cmocka_unit_test(test_what_is_in_the_way),
        cmocka_unit_test(test_committed_folder_has_the_models_files_only),
        cmocka_unit_test(test_failed_run_leaves_nothing),
        cmocka_unit_test(test_source_is_no_target),
    };
    return cmocka_run_group_tests_name("conversion", tests, set_up, tear_down);
}
