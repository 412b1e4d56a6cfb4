/* test_adapters.c: the options of PEFT's LoRA against PEFT itself, for every kernel family:
 * tests/golden/adapters.tar.xz, made by make_adapter_goldens.py.
 *
 * - reference: normalised error of each case's logits at most 1e-6, arg-max equal everywhere.
 * - a faster family: error at most FAST_ERROR in the mean and FAST_WORST anywhere, arg-max equal on
 *   FAST_AGREEMENT of all tokens.
 * - every family: all cases in mixed batches, adapters, ranks and types side by side, give the bits
 *   that each gives alone; an adapter of scale 0 gives the base's.
 * - what hydraglot does not honour, as PEFT saved it, is refused by its name.
 */
#include "tests/support/device_harness.h"
#include "tests/support/small_models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/model/adapter.h"
#include "core/model/model.h"
#include "core/translate/prompt.h"

#define REFERENCE_ERROR 1e-6
#define FAST_ERROR      4e-3
#define FAST_WORST      5e-2
#define FAST_AGREEMENT  0.92
#define PROMPT          14
#define CASES_MAX       64

/* One prompt under one adapter, and what a device made of it. */
typedef struct adapter_case {
    const json_t *entry;
    hg_adapter *adapter; /* shared by the cases of one folder, which follow each other */
    bool owner;          /* of the adapter */
    int32_t token[PROMPT], best[PROMPT];
    float *alone; /* [PROMPT, vocabulary] */
    uint32_t first;
} adapter_case;

static small_goldens golden;
static hg_model *base;
static adapter_case cases[CASES_MAX];
static uint32_t case_count;

static hg_status open_adapter(const json_t *entry, hg_adapter **out, hg_error *error)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", golden.folder, small_text(entry, "folder"));
    return hg_adapter_open(path, &base->weights.shape, out, error);
}

/* Where the adapter begins, by our own search; PROMPT where it does not. */
static uint32_t first_row(const adapter_case *c)
{
    hg_error error;
    uint32_t first = 0;
    hg_tokens prompt = {.id = (int32_t *)c->token, .count = PROMPT};
    if (!c->adapter->invocations) return 0;
    if (hg_prompt_invocation(&prompt, c->adapter->invocation, c->adapter->invocations, &first,
                             &error))
        return PROMPT;
    return first;
}

static void load_case(adapter_case *c, const json_t *entry)
{
    hg_error error = {0};
    c->entry = entry;
    c->owner =
        c == cases || strcmp(small_text(c[-1].entry, "folder"), small_text(entry, "folder")) != 0;
    if (!c->owner)
        c->adapter = c[-1].adapter;
    else if (open_adapter(entry, &c->adapter, &error))
        fail_msg("%s", error.message);
    assert_int_equal(small_integers(entry, "prompt", c->token, PROMPT), PROMPT);
    c->first = first_row(c);
    assert_int_equal(c->first, json_integer_value(json_object_get(entry, "first")));
    c->alone = malloc((size_t)PROMPT * base->weights.shape.vocabulary * sizeof *c->alone);
    assert_non_null(c->alone);
}

static int set_up(void **state)
{
    (void)state;
    char path[256];
    size_t i;
    json_t *entry, *list;
    hg_error error = {0};
    small_open("tests/golden/adapters.tar.xz", &golden);
    snprintf(path, sizeof path, "%s/base", golden.folder);
    if (hg_model_open(path, &base, &error)) fail_msg("%s", error.message);
    list = json_object_get(golden.root, "cases");
    case_count = (uint32_t)json_array_size(list);
    assert_in_range(case_count, 30, CASES_MAX);
    json_array_foreach(list, i, entry) load_case(&cases[i], entry);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < case_count; i++) {
        if (cases[i].owner) hg_adapter_close(cases[i].adapter);
        free(cases[i].alone);
    }
    hg_model_close(base);
    small_close(&golden);
    return 0;
}

static hg_device *open_device(const char *kernel)
{
    char message[HG_ERROR_MESSAGE_MAX] = "";
    hg_device *device = small_device(kernel, &base->weights, message, sizeof message);
    if (!device) fail_msg("%s", message);
    return device;
}

/* What one family did over all cases. */
typedef struct tally {
    uint32_t kept, tokens, equal;
    double worst, sum; /* of the kept positions' errors */
} tally;

static void compare(const adapter_case *c, tally *t)
{
    int32_t best[PROMPT], kept[8];
    uint32_t vocabulary = base->weights.shape.vocabulary;
    uint32_t count = small_integers(c->entry, "kept", kept, 8);
    assert_int_equal(small_integers(c->entry, "best", best, PROMPT), PROMPT);
    assert_int_equal(golden.strided, vocabulary);
    for (uint32_t i = 0; i < count; i++) {
        const float *want = golden.logits + (size_t)(t->kept + i) * vocabulary;
        double error = normalised_error(c->alone + (size_t)kept[i] * vocabulary, want, vocabulary);
        if (error > t->worst) t->worst = error;
        t->sum += error;
    }
    t->kept += count;
    t->tokens += PROMPT;
    for (uint32_t i = 0; i < PROMPT; i++) t->equal += c->best[i] == best[i];
}

/* Each case with nobody beside it, its prompt in one step. */
static void run_alone(const char *kernel, hg_device *device)
{
    bool reference = strcmp(kernel, "reference") == 0;
    tally t = {0};
    for (uint32_t i = 0; i < case_count; i++) {
        adapter_case *c = &cases[i];
        small_lane lane = {.token = c->token,
                           .rows = PROMPT,
                           .invocation = c->first,
                           .best = c->best,
                           .logits = c->alone};
        small_put(device, 0, &c->adapter->lora);
        small_run(device, base->weights.shape.vocabulary, &lane, 1, PROMPT);
        hg_cpu_device()->drop_adapter(device, 0);
        compare(c, &t);
    }
    printf("%-12s %u cases, %u tokens, equal %.2f %%; error in the mean %.2e, worst %.2e\n", kernel,
           case_count, t.tokens, 100.0 * t.equal / t.tokens, t.sum / t.kept, t.worst);
    assert_int_equal(t.kept, golden.rows);
    assert_true(t.sum <= FAST_ERROR * t.kept);
    assert_true(t.worst <= (reference ? REFERENCE_ERROR : FAST_WORST));
    assert_true(t.equal >= (reference ? 1 : FAST_AGREEMENT) * t.tokens);
}

/* The cases from first on as lanes of one batch; the last lane runs on the base alone. */
static void run_batch(hg_device *device, uint32_t first, uint32_t count, uint32_t chunk)
{
    uint32_t vocabulary = base->weights.shape.vocabulary;
    size_t logits_bytes = (size_t)PROMPT * vocabulary * sizeof(float);
    small_lane lane[SMALL_LANES];
    int32_t best[SMALL_LANES][PROMPT];
    assert_true(count <= SMALL_LANES);
    for (uint32_t l = 0; l < count; l++) {
        small_put(device, (uint16_t)l, &cases[first + l].adapter->lora);
        lane[l] = (small_lane){.token = cases[first + l].token,
                               .rows = PROMPT,
                               .invocation = cases[first + l].first,
                               .slot = (uint16_t)l,
                               .best = best[l],
                               .logits = malloc(logits_bytes)};
        assert_non_null(lane[l].logits);
    }
    small_run(device, vocabulary, lane, count, chunk);
    for (uint32_t l = 0; l < count; l++) {
        if (memcmp(lane[l].logits, cases[first + l].alone, logits_bytes) != 0)
            fail_msg("%s differs beside others", small_text(cases[first + l].entry, "folder"));
        free(lane[l].logits);
        hg_cpu_device()->drop_adapter(device, (uint16_t)l);
    }
}

/* Prompts whole, in pieces, and token by token. */
static void run_mixed(hg_device *device)
{
    static const uint32_t chunks[] = {PROMPT, 3, 1};
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
        for (uint32_t first = 0; first < case_count; first += SMALL_LANES)
            run_batch(device, first,
                      case_count - first < SMALL_LANES ? case_count - first : SMALL_LANES,
                      chunks[i]);
}

/* An adapter whose scale is 0 everywhere beside the base alone. */
static void run_scale_0(hg_device *device)
{
    uint32_t vocabulary = base->weights.shape.vocabulary, layers = base->weights.shape.layers;
    hg_lora_weights lora = cases[0].adapter->lora;
    hg_lora_layer *layer = malloc(layers * sizeof *layer);
    float *logits = malloc((size_t)2 * PROMPT * vocabulary * sizeof *logits);
    int32_t best[2][PROMPT];
    assert_true(layer && logits);
    memcpy(layer, lora.layer, layers * sizeof *layer);
    for (uint32_t i = 0; i < layers * HG_PROJECTIONS; i++)
        layer[i / HG_PROJECTIONS].pair[i % HG_PROJECTIONS].scale = 0;
    lora.layer = layer;
    small_put(device, 0, &lora);
    small_lane lane[2];
    for (uint32_t l = 0; l < 2; l++)
        lane[l] = (small_lane){.token = cases[0].token,
                               .rows = PROMPT,
                               .slot = l ? HG_NO_SLOT : 0,
                               .best = best[l],
                               .logits = logits + (size_t)l * PROMPT * vocabulary};
    small_run(device, vocabulary, lane, 2, PROMPT);
    assert_memory_equal(best[0], best[1], sizeof best[0]);
    assert_true(normalised_error(lane[0].logits, lane[1].logits, (size_t)PROMPT * vocabulary) == 0);
    hg_cpu_device()->drop_adapter(device, 0);
    free(logits);
    free(layer);
}

static void test_families(void **state)
{
    (void)state;
    for (const char *const *kernel = hg_cpu_kernels(); *kernel; kernel++) {
        hg_device *device = open_device(*kernel);
        run_alone(*kernel, device);
        run_mixed(device);
        run_scale_0(device);
        hg_cpu_device()->close(device);
    }
}

static void test_refused_by_name(void **state)
{
    (void)state;
    size_t i;
    json_t *entry, *list = json_object_get(golden.root, "refused");
    json_array_foreach(list, i, entry)
    {
        hg_adapter *adapter;
        hg_error error = {0};
        const char *folder = small_text(entry, "folder"), *message = small_text(entry, "message");
        if (open_adapter(entry, &adapter, &error) != HG_ERROR_UNSUPPORTED)
            fail_msg("%s is not refused: %s", folder, error.message);
        assert_null(adapter);
        if (!strstr(error.message, message) || !strstr(error.message, folder))
            fail_msg("%s: \"%s\" lacks \"%s\"", folder, error.message, message);
    }
    assert_in_range(json_array_size(list), 25, 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_families),
        cmocka_unit_test(test_refused_by_name),
    };
    return cmocka_run_group_tests_name("adapters", tests, set_up, tear_down);
}
