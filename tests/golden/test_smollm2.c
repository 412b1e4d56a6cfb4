/* test_smollm2.c: a real model out of a real GGUF file, SmolLM2-135M-Instruct in Q4_1 (its tables
 * Q8_0), against transformers, which loaded the same file.
 *
 *     test_smollm2 [file.gguf]        by default the one that `make fixtures` fetches
 *
 * smollm2.safetensors (make_smollm2_goldens.py) holds 100 chat prompts with 64 tokens each. A
 * sentence runs as one step, teacher-forced. HYDRAGLOT_LONG=1: all of them; else a seeded tenth,
 * and of that a fifth for the reference, which is slow.
 *
 * - reference: normalised error of logits at most 1e-6; arg-max equal on 99.9 % of the tokens, each
 *   difference a near-tie.
 * - any faster family: arg-max equal on 97 % of the tokens, normalised error at most 2e-3.
 * test_tokenizer_kinds.c has the file's tokenizer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/model/model.h"
#include "core/model/safetensors.h"
#include "kernels/cpu/cpu.h"

#define SENTENCES  100
#define NEW        64   /* tokens of each that were continued */
#define EVERY      16   /* logits are kept of every 16th of them, */
#define STRIDED    32   /* this many, */
#define STRIDE     1536 /* so far apart */
#define ROWS       256
#define LANE_PAGES (ROWS / HG_LIMIT_PAGE_TOKENS)
#define NEAR_TIE                                                                                   \
    4e-3 /* logit margin below which F32 rounding may choose the other token; the                  \
          * golden has margins in F16 */
#define REFERENCE_NMSE 1e-6
#define FAST_AGREEMENT 0.97
#define FAST_NMSE      2e-3

typedef struct goldens {
    hg_safetensors file;
    const uint16_t *tokens, *argmax, *margin; /* as make_smollm2_goldens.py says; margin is F16 */
    const int32_t *start;
    const float *strided;
    hg_model *model;
    uint32_t vocabulary;
} goldens;

typedef struct tally {
    uint32_t positions, equal, near_ties;
    double error, norm;
} tally;

static goldens golden;
static const char *path = "build/fixtures/SmolLM2-135M-Instruct.Q4_1.gguf";

static const void *tensor(const char *name, hg_tensor_type type, uint64_t elements)
{
    const hg_tensor *t = hg_safetensors_find(&golden.file, name);
    if (!t) fail_msg("smollm2.safetensors has no tensor %s", name);
    assert_int_equal(t->type, type);
    if (elements) assert_int_equal(t->bytes, elements * hg_tensor_type_bits(type) / 8);
    return t->data;
}

static int set_up(void **state)
{
    (void)state;
    hg_error error;
    if (hg_safetensors_open("tests/golden/smollm2.safetensors", &golden.file, &error))
        fail_msg("%s", error.message);
    golden.start = tensor("start", HG_TENSOR_I32, SENTENCES + 1);
    golden.tokens = tensor("tokens", HG_TENSOR_U16, (uint64_t)golden.start[SENTENCES]);
    golden.argmax = tensor("argmax", HG_TENSOR_U16, SENTENCES * NEW);
    golden.margin = tensor("margin", HG_TENSOR_F16, SENTENCES * NEW);
    golden.strided = tensor("strided", HG_TENSOR_F32, SENTENCES * NEW / EVERY * STRIDED);
    if (hg_model_open(path, &golden.model, &error))
        fail_msg("%s (`make fixtures` fetches it)", error.message);
    golden.vocabulary = golden.model->weights.shape.vocabulary;
    assert_int_equal(golden.vocabulary, STRIDED * STRIDE);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    hg_model_close(golden.model);
    hg_safetensors_close(&golden.file);
    return 0;
}

static hg_device *open_device(const char *kernel)
{
    const hg_device_api *api = hg_cpu_device();
    const hg_device_plan plan = {.pages = LANE_PAGES,
                                 .lane_pages = LANE_PAGES,
                                 .step_rows = ROWS,
                                 .step_lanes = 1,
                                 .adapter_slots = 1};
    const hg_device_options options = {.kernel = kernel};
    hg_device *device;
    hg_error error;
    if (api->open(&options, &device, &error)) fail_msg("%s", error.message);
    if (api->load_model(device, &golden.model->weights, &plan, &error))
        fail_msg("%s", error.message);
    return device;
}

/* Runs sentence s; best [NEW], logits [NEW / EVERY, vocabulary]: the rows that predict the tokens
 * that were continued. */
static void run_sentence(hg_device *device, uint32_t s, int32_t *best, float *logits)
{
    const uint16_t *id = golden.tokens + golden.start[s];
    const uint32_t rows = (uint32_t)(golden.start[s + 1] - golden.start[s]) - 1;
    int32_t token[ROWS];
    hg_row row[ROWS];
    uint32_t page[LANE_PAGES];
    assert_true(rows <= ROWS && rows >= NEW);
    for (uint32_t i = 0; i < LANE_PAGES; i++) page[i] = LANE_PAGES - 1 - i;
    for (uint32_t i = 0; i < rows; i++) {
        bool want = i >= rows - NEW;
        row[i] = (hg_row){.token = id[i],
                          .position = i,
                          .slot = HG_NO_SLOT,
                          .want = want,
                          .want_logits = want && (i - (rows - NEW)) % EVERY == 0};
    }
    const hg_step step = {.row = row, .page = page, .rows = rows, .lanes = 1};
    hg_result result = {.token = token, .logits = logits};
    hg_error error;
    if (hg_cpu_device()->forward(device, &step, &result, &error)) fail_msg("%s", error.message);
    memcpy(best, token + rows - NEW, NEW * sizeof *best);
}

/* A small F16 without a library: margins are positive and finite. */
static double half(uint16_t bits)
{
    uint32_t word = ((uint32_t)(bits >> 10) + 112) << 23 | (uint32_t)(bits & 1023) << 13;
    float value;
    memcpy(&value, &word, sizeof value);
    return bits < 1024 ? 0 : (double)value;
}

static void compare(uint32_t s, const int32_t *best, const float *logits, tally *t)
{
    for (uint32_t i = 0; i < NEW; i++, t->positions++) {
        const uint32_t at = s * NEW + i;
        bool equal = best[i] == golden.argmax[at];
        t->equal += equal;
        t->near_ties += !equal && half(golden.margin[at]) < NEAR_TIE;
        if (i % EVERY) continue;
        const float *want = golden.strided + (size_t)(at / EVERY) * STRIDED;
        const float *mine = logits + (size_t)(i / EVERY) * golden.vocabulary;
        for (uint32_t j = 0; j < STRIDED; j++) {
            double difference = (double)mine[j * STRIDE] - (double)want[j];
            t->error += difference * difference;
            t->norm += (double)want[j] * (double)want[j];
        }
    }
}

/* All sentences, or one of each `of` by a fixed seed. */
static uint32_t choose(uint32_t of, uint32_t *chosen)
{
    uint32_t count = 0, seed = 135;
    const bool all = getenv("HYDRAGLOT_LONG") != NULL;
    for (uint32_t s = 0; s < SENTENCES; s++) {
        if (s % of == 0) seed = seed * 1664525u + 1013904223u;
        if (all || s % of == (seed >> 16) % of) chosen[count++] = s;
    }
    return count;
}

static void run_family(const char *kernel)
{
    const bool reference = strcmp(kernel, "reference") == 0;
    hg_device *device = open_device(kernel);
    float *logits = malloc((size_t)NEW / EVERY * golden.vocabulary * sizeof *logits);
    uint32_t chosen[SENTENCES], count = choose(reference ? 50 : 10, chosen);
    int32_t best[NEW];
    tally t = {0};
    assert_non_null(logits);
    for (uint32_t i = 0; i < count; i++) {
        run_sentence(device, chosen[i], best, logits);
        compare(chosen[i], best, logits, &t);
    }
    const double error = t.error / t.norm;
    printf("%-12s %u tokens, equal %.3f %%, other than near-ties %u; error of logits %.2e\n",
           kernel, t.positions, 100.0 * t.equal / t.positions, t.positions - t.equal - t.near_ties,
           error);
    assert_true(t.equal >= (reference ? 0.999 : FAST_AGREEMENT) * t.positions);
    assert_true(error <= (reference ? REFERENCE_NMSE : FAST_NMSE));
    if (reference) assert_int_equal(t.equal + t.near_ties, t.positions);
    free(logits);
    hg_cpu_device()->close(device);
}

static void test_families(void **state)
{
    (void)state;
    for (const char *const *kernel = hg_cpu_kernels(); *kernel; kernel++) run_family(*kernel);
}

int main(int argc, char **argv)
{
    if (argc > 1) path = argv[1];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_families)};
    return cmocka_run_group_tests_name("SmolLM2", tests, set_up, tear_down);
}
