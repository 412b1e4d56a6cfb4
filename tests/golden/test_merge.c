/* test_merge.c: model merge against PEFT's merge_and_unload: tests/golden/merge.tar.xz, made by
 * make_merge_goldens.py.
 *
 * - the merged folder has the tensors that PEFT's merged model has, each BF16: equal bits on at
 *   least MOST_EQUAL of all values, and nowhere more than one unit in the last place off.
 * - opened and run by the reference it gives transformers' logits of PEFT's merged model; merged
 * and quantised, nearly those.
 * - an activated LoRA is refused by its name.
 */
#include "tests/support/device_harness.h"
#include "tests/support/small_models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/convert/produce.h"
#include "core/model/plugin.h"

#define MOST_EQUAL      0.999
#define REFERENCE_ERROR 1e-6
#define INT8_ERROR      1e-3 /* a group's step is 1/127 of its largest weight */
#define INT4_ERROR      1e-1
#define PROMPT          10
#define VOCABULARY      72

static small_goldens golden;

static int set_up(void **state)
{
    (void)state;
    small_open("tests/golden/merge.tar.xz", &golden);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    small_close(&golden);
    return 0;
}

/* A path below the unpacked archive, into path [128]. */
static const char *below(char *path, const char *folder, const char *name)
{
    snprintf(path, 128, "%s/%s/%s", golden.folder, folder, name);
    return path;
}

/* Merges a plugin into a base; the new folder is golden.folder/out/NAME. */
static hg_status merge(const char *name, const char *base, uint8_t bits, hg_error *error)
{
    char from[128], plugin[128], out[128], parent[128];
    hg_produce p = {.model = below(from, "base", base),
                    .merge = below(plugin, "plugin", name),
                    .out = below(out, "out", name),
                    .bits = bits,
                    .plugins = ".",
                    .threads = 2};
    snprintf(parent, sizeof parent, "%s/out", golden.folder);
    hg_status status = hg_folder_make(parent, error);
    return status ? status : hg_produce_model(&p, error);
}

/* Whether a and b are BF16 values of which none lies between. */
static bool neighbours(uint16_t a, uint16_t b)
{
    const int32_t x = a & 0x8000 ? -(a & 0x7fff) : a, y = b & 0x8000 ? -(b & 0x7fff) : b;
    return abs(x - y) <= 1;
}

static uint64_t count_equal(const hg_tensor *got, const hg_tensor *want)
{
    uint64_t equal = 0;
    for (size_t i = 0; i < got->bytes; i += 2) {
        uint16_t a, b;
        memcpy(&a, got->data + i, 2);
        memcpy(&b, want->data + i, 2);
        equal += a == b;
        if (!neighbours(a, b)) fail_msg("%s[%zu]: %04x, PEFT's %04x", got->name, i / 2, a, b);
    }
    return equal;
}

static void compare_tensors(const char *name)
{
    char folder[128], path[160];
    hg_safetensors got, want;
    hg_error error = {0};
    uint64_t values = 0, equal = 0;
    snprintf(path, sizeof path, "%s/model.safetensors", below(folder, "out", name));
    if (hg_safetensors_open(path, &got, &error)) fail_msg("%s", error.message);
    snprintf(path, sizeof path, "%s/merged.safetensors", below(folder, "merged", name));
    if (hg_safetensors_open(path, &want, &error)) fail_msg("%s", error.message);
    assert_int_equal(got.tensors, want.tensors);
    for (uint32_t i = 0; i < got.tensors; i++) {
        const hg_tensor *a = &got.tensor[i], *b = &want.tensor[i];
        assert_string_equal(a->name, b->name);
        assert_int_equal(a->type, HG_TENSOR_BF16);
        assert_int_equal(a->dimensions, b->dimensions);
        assert_memory_equal(a->shape, b->shape, a->dimensions * sizeof *a->shape);
        values += a->bytes / 2;
        equal += count_equal(a, b);
    }
    printf("%-10s %llu of %llu values are PEFT's bit for bit\n", name, (unsigned long long)equal,
           (unsigned long long)values);
    assert_true((double)equal >= MOST_EQUAL * (double)values);
    hg_safetensors_close(&want);
    hg_safetensors_close(&got);
}

/* The merged folder's logits against those of PEFT's merged model. */
static void compare_logits(const json_t *entry, uint64_t row, double most)
{
    char folder[128], message[HG_ERROR_MESSAGE_MAX] = "";
    int32_t token[PROMPT], best[PROMPT], want[PROMPT];
    static float logits[PROMPT * VOCABULARY];
    small_lane lane = {.token = token,
                       .rows = small_integers(entry, "prompt", token, PROMPT),
                       .slot = HG_NO_SLOT,
                       .best = best,
                       .logits = logits};
    hg_model *model;
    hg_error error = {0};
    if (hg_model_open(below(folder, "out", small_text(entry, "name")), &model, &error))
        fail_msg("%s", error.message);
    hg_device *device = small_device("reference", &model->weights, message, sizeof message);
    if (!device) fail_msg("%s", message);
    small_run(device, VOCABULARY, &lane, 1, PROMPT);
    double off = normalised_error(logits, golden.logits + row * VOCABULARY, PROMPT * VOCABULARY);
    printf("%-10s %s: error of the logits %.2e\n", small_text(entry, "name"), model->weights_form,
           off);
    if (!(off <= most)) fail_msg("error %g, at most %g", off, most);
    assert_int_equal(small_integers(entry, "best", want, PROMPT), PROMPT);
    if (most <= REFERENCE_ERROR) assert_memory_equal(best, want, sizeof want);
    hg_cpu_device()->close(device);
    hg_model_close(model);
}

/* The plugin beside the weights says whose base it has, and that it needs no adapter. */
static void check_plugin(const char *name)
{
    char out[128], folder[192];
    hg_plugin *plugin;
    hg_model *model;
    hg_error error = {0};
    snprintf(folder, sizeof folder, "%s/plugins/%s", below(out, "out", name), name);
    if (hg_plugin_open(folder, &plugin, &error)) fail_msg("%s", error.message);
    assert_false(plugin->adapter);
    assert_string_equal(plugin->language, "de");
    if (hg_model_open(out, &model, &error)) fail_msg("%s", error.message);
    assert_string_equal(plugin->base_fingerprint, hg_model_fingerprint(model));
    hg_model_close(model);
    hg_plugin_close(plugin);
}

static void remove_out(const char *name)
{
    char command[192], out[128];
    snprintf(command, sizeof command, "rm -r '%s'", below(out, "out", name));
    assert_int_equal(system(command), 0);
}

static void test_tensors_are_pefts(void **state)
{
    (void)state;
    size_t i;
    json_t *entry;
    json_array_foreach(golden.root, i, entry)
    {
        hg_error error = {0};
        const char *name = small_text(entry, "name"), *base = small_text(entry, "base");
        if (merge(name, base, 0, &error)) fail_msg("%s", error.message);
        compare_tensors(name);
        compare_logits(entry, i * PROMPT, REFERENCE_ERROR);
        check_plugin(name);
        remove_out(name);
    }
    assert_int_equal(i, 2);
    assert_int_equal(i * PROMPT, golden.rows);
}

static void test_merged_and_quantised(void **state)
{
    (void)state;
    size_t i;
    json_t *entry;
    json_array_foreach(golden.root, i, entry)
    {
        for (uint8_t bits = 4; bits <= 8; bits += 4) {
            hg_error error = {0};
            const char *name = small_text(entry, "name"), *base = small_text(entry, "base");
            if (merge(name, base, bits, &error)) fail_msg("%s", error.message);
            compare_logits(entry, i * PROMPT, bits == 8 ? INT8_ERROR : INT4_ERROR);
            remove_out(name);
        }
    }
}

static void test_an_activated_lora_is_refused(void **state)
{
    (void)state;
    char out[128];
    hg_error error = {0};
    assert_int_equal(merge("alora", "int4", 0, &error), HG_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "alora is an activated LoRA (alora_invocation_tokens)"));
    assert_false(hg_file_exists(below(out, "out", "alora")));
    assert_false(hg_file_exists(below(out, "out", "alora.partial")));
}

/* A merged plugin has nothing to fold in once more. */
static void test_a_merged_plugin_is_refused(void **state)
{
    (void)state;
    char base[128], plugin[192], out[128];
    hg_error error = {0};
    if (merge("plain", "int4", 0, &error)) fail_msg("%s", error.message);
    snprintf(plugin, sizeof plugin, "%s/plugins/plain", below(base, "out", "plain"));
    hg_produce p = {.model = base, .merge = plugin, .out = below(out, "out", "again")};
    assert_int_equal(hg_produce_model(&p, &error), HG_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, "plain has no adapter"));
    assert_false(hg_file_exists(out));
    remove_out("plain");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors_are_pefts),
        cmocka_unit_test(test_merged_and_quantised),
        cmocka_unit_test(test_an_activated_lora_is_refused),
        cmocka_unit_test(test_a_merged_plugin_is_refused),
    };
    return cmocka_run_group_tests_name("merge", tests, set_up, tear_down);
}
