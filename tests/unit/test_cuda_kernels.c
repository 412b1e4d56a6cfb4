/* test_cuda_kernels.c: the CUDA device on the emulator (tests/cuda_emulator), against the CPU
 * reference.
 *
 * The same sources that nvcc compiles run here, kernels and host files. Logits equal the
 * reference's to a normalised error of 1e-6 (fused multiply-adds and sums in another order are all
 * that differs); a row's bits do not depend on its company; whichever call of CUDA's runtime
 * fails, the error is clear and nothing leaks.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/adapter.h"
#include "core/model/model.h"
#include "core/model/safetensors.h"
#include "kernels/cuda/cuda.h"
#include "tests/cuda_emulator/planted.h"
#include "tests/support/device_harness.h"

#define TOLERANCE 1e-6

static const hg_shape small = {.vocabulary = 103,
                               .hidden = 128,
                               .intermediate = 256,
                               .layers = 2,
                               .heads = 4,
                               .kv_heads = 2,
                               .head_dim = 32,
                               .positions = 512,
                               .rms_epsilon = 1e-5f};

static random_model *new_model(uint64_t seed, const hg_shape *shape, random_form form,
                               hg_dtype head)
{
    random_form all[HG_PROJECTIONS];
    for (int i = 0; i < HG_PROJECTIONS; i++) all[i] = form;
    return random_model_new(seed, shape, all, head);
}

static harness open_cuda(const hg_weights *weights)
{
    harness h = {.api = hg_cuda_device(), .vocabulary = weights->shape.vocabulary};
    hg_device_options options = {0};
    hg_error error;
    harness_check(h.api->open(&options, &h.device, &error), &error);
    harness_check(h.api->load_model(h.device, weights, &harness_plan, &error), &error);
    for (uint32_t i = 0; i < HARNESS_PAGES; i++) h.page[i] = i * 29 % HARNESS_PAGES;
    return h;
}

/* Closes a device of the emulator and asks what it left behind. */
static void close_cuda(harness *h)
{
    harness_close(h);
    assert_int_equal(hg_emulator_held(), 0);
    const char *fault = hg_emulator_fault();
    if (fault) fail_msg("%s", fault);
}

/* Two runs of the same lane on two devices. */
static void assert_near(const harness_lane *a, const harness_lane *b, uint32_t vocabulary)
{
    assert_int_equal(a->tokens, b->tokens);
    for (uint32_t i = 0; i < a->tokens; i++) {
        const float *mine = a->logits + (size_t)i * vocabulary;
        const float *want = b->logits + (size_t)i * vocabulary;
        double error = normalised_error(mine, want, vocabulary);
        if (!(error <= TOLERANCE)) fail_msg("position %u: normalised error %g", i, error);
        if (a->best[i] == b->best[i]) continue;
        float margin = want[b->best[i]] - want[a->best[i]];
        if (margin > 1e-3f) fail_msg("position %u: other token, margin %g", i, (double)margin);
    }
}

/* Every width, group and head type, with offsets, with zero points, with neither; dense layers; and
 * tables that are quantised themselves. */
static void test_forms(void **state)
{
    (void)state;
    static const uint16_t group[] = {16, 32, 64, 128};
    static const hg_dtype head[] = {HG_F32, HG_F16, HG_BF16};
    for (uint32_t i = 0; i < 27; i++) {
        random_form form = {group[i % 4], i & 4 ? 8 : 4, (random_zero)(i / 8)};
        if (i >= 24) form = (random_form){.dense_type = head[i - 24]};
        random_model *model = new_model(i, &small, form, head[i % 3]);
        random_source t = {i};
        if (i % 5 == 4 && form.bits)
            model->weights.head =
                random_table(&model->owner, &t, small.vocabulary, small.hidden, form);
        if (i % 10 == 4) model->weights.embedding = model->weights.head;
        harness cuda = open_cuda(&model->weights);
        harness cpu = harness_open(&model->weights, "reference", 1);
        harness_lane a, b;
        random_source r = {i};
        harness_lane_new(&a, &r, 5, HG_NO_SLOT, small.vocabulary);
        r.state = i;
        harness_lane_new(&b, &r, 5, HG_NO_SLOT, small.vocabulary);
        harness_run(&cuda, &a, 1, 4);
        harness_run(&cpu, &b, 1, 5);
        assert_near(&a, &b, small.vocabulary);
        harness_lane_free(&a);
        harness_lane_free(&b);
        harness_close(&cpu);
        close_cuda(&cuda);
        random_model_free(model);
    }
}

/* Lanes of different lengths and adapters: mixed ranks in F32, rank 5 in F16, 64 in BF16. */
#define COMPANY 5
static void new_company(harness_lane *lane)
{
    static const uint32_t tokens[COMPANY] = {19, 16, 1, 34, 11};
    static const uint16_t slot[COMPANY] = {0, 1, HG_NO_SLOT, 2, 0};
    random_source r = {3};
    for (int i = 0; i < COMPANY; i++)
        harness_lane_new(&lane[i], &r, tokens[i], slot[i], small.vocabulary);
    lane[3].invocation = 20;
}

static void free_lanes(harness_lane *lane, int lanes)
{
    for (int i = 0; i < lanes; i++) harness_lane_free(&lane[i]);
}

typedef struct fixture {
    random_model *model;
    random_adapter *adapter[3];
    harness cuda, cpu;
} fixture;

static fixture open_fixture(void)
{
    fixture f = {.model = new_model(7, &small, (random_form){32, 4, RANDOM_SYMMETRIC}, HG_F16),
                 .adapter = {random_adapter_new(11, &small, 0, HG_F32),
                             random_adapter_new(12, &small, 5, HG_F16),
                             random_adapter_new(13, &small, 64, HG_BF16)}};
    f.cuda = open_cuda(&f.model->weights);
    f.cpu = harness_open(&f.model->weights, "reference", 1);
    for (uint16_t i = 0; i < 3; i++) {
        harness_put(&f.cuda, i, &f.adapter[i]->weights, 1000);
        harness_put(&f.cpu, i, &f.adapter[i]->weights, 1 << 20);
    }
    return f;
}

static void close_fixture(fixture *f)
{
    harness_close(&f->cpu);
    close_cuda(&f->cuda);
    for (int i = 0; i < 3; i++) random_adapter_free(f->adapter[i]);
    random_model_free(f->model);
}

static void test_company(void **state)
{
    (void)state;
    fixture f = open_fixture();
    harness_lane want[COMPANY], alone[COMPANY], together[COMPANY];
    new_company(want);
    new_company(alone);
    new_company(together);
    harness_run(&f.cpu, want, COMPANY, 16);
    for (int i = 0; i < COMPANY; i++) {
        harness_run(&f.cuda, &alone[i], 1, 1);
        assert_near(&alone[i], &want[i], small.vocabulary);
    }
    static const uint32_t chunk[] = {1, 7, 33};
    for (size_t c = 0; c < 3; c++) {
        harness_run(&f.cuda, together, COMPANY, chunk[c]);
        for (int i = 0; i < COMPANY; i++) {
            size_t bytes = alone[i].tokens * small.vocabulary * sizeof(float);
            assert_memory_equal(alone[i].logits, together[i].logits, bytes);
            assert_memory_equal(alone[i].best, together[i].best, alone[i].tokens * sizeof(int32_t));
        }
    }
    free_lanes(want, COMPANY);
    free_lanes(alone, COMPANY);
    free_lanes(together, COMPANY);
    close_fixture(&f);
}

/* A lane goes on from a page copied in part from another's; slots are dropped and put again. */
static void test_pages_and_slots(void **state)
{
    (void)state;
    fixture f = open_fixture();
    harness_lane lane[2];
    hg_error error;
    for (int i = 0; i < 2; i++) {
        random_source r = {9};
        harness_lane_new(&lane[i], &r, 25, 1, small.vocabulary);
    }
    harness_run(&f.cuda, &lane[0], 1, 9);
    uint32_t *own = f.cuda.page + HARNESS_LANE_PAGES, keep = own[0];
    own[0] = f.cuda.page[0];
    f.cuda.api->drop_adapter(f.cuda.device, 0);
    harness_put(&f.cuda, 0, &f.adapter[1]->weights, 1);
    harness_check(f.cuda.api->copy_page(f.cuda.device, f.cuda.page[1], own[1], 5, &error), &error);
    lane[0].done = 24;
    lane[1].done = 21;
    lane[1].slot = 0; /* the same adapter by another slot */
    harness_step(&f.cuda, lane, 2, (uint32_t[]){1, 4});
    size_t from = (size_t)21 * small.vocabulary, bytes = 4 * small.vocabulary * sizeof(float);
    assert_memory_equal(lane[0].logits + from, lane[1].logits + from, bytes);
    own[0] = keep;
    assert_int_equal(f.cuda.api->copy_page(f.cuda.device, 0, HARNESS_PAGES, 5, &error),
                     HG_ERROR_ARGUMENT);
    free_lanes(lane, 2);
    close_fixture(&f);
}

/* Positions beyond the first tile of attention, in pages of no order. */
#define LONG 150
static void run_long(const hg_device_api *api, const hg_weights *weights, const char *kernel,
                     float *logits)
{
    hg_device_plan plan = {10, 10, LONG, 1, 0};
    hg_device_options options = {.kernel = kernel, .threads = 1};
    uint32_t page[10];
    hg_row row[LONG];
    int32_t token[LONG];
    hg_device *device;
    hg_error error;
    random_source r = {1};
    for (uint32_t i = 0; i < 10; i++) page[i] = i * 7 % 10;
    for (uint32_t i = 0; i < LONG; i++)
        row[i] = (hg_row){.token = (int32_t)random_below(&r, weights->shape.vocabulary),
                          .position = i,
                          .slot = HG_NO_SLOT,
                          .want_logits = i >= LONG - 40};
    harness_check(api->open(&options, &device, &error), &error);
    harness_check(api->load_model(device, weights, &plan, &error), &error);
    hg_step step = {.row = row, .page = page, .rows = LONG, .lanes = 1};
    hg_result result = {.token = token, .logits = logits};
    harness_check(api->forward(device, &step, &result, &error), &error);
    api->close(device);
}

static void test_long_lane(void **state)
{
    (void)state;
    static const uint32_t head_dim[] = {32, 160};
    for (int i = 0; i < 2; i++) {
        hg_shape shape = small;
        shape.layers = 1;
        shape.heads = 2;
        shape.kv_heads = 1;
        shape.head_dim = head_dim[i];
        shape.hidden = 64;
        shape.intermediate = 64;
        random_model *model = new_model(5, &shape, (random_form){16, 8, RANDOM_OFFSETS}, HG_F32);
        size_t values = (size_t)40 * shape.vocabulary;
        float *mine = malloc(values * sizeof *mine), *want = malloc(values * sizeof *want);
        assert_true(mine && want);
        run_long(hg_cuda_device(), &model->weights, NULL, mine);
        run_long(hg_cpu_device(), &model->weights, "reference", want);
        assert_true(normalised_error(mine, want, values) <= TOLERANCE);
        free(mine);
        free(want);
        random_model_free(model);
    }
    assert_null(hg_emulator_fault());
}

/* Every tenth token has the same logits: the lowest of the best ones wins, within a thread of the
 * arg-max (128 tokens apart: 640 is a common multiple) and between threads. */
static void test_ties(void **state)
{
    (void)state;
    hg_shape shape = small;
    shape.layers = 1;
    shape.vocabulary = 1300;
    random_model *model = new_model(3, &shape, (random_form){32, 4, RANDOM_SYMMETRIC}, HG_F32);
    float *head = (float *)(uintptr_t)model->weights.head.data;
    for (uint32_t i = 10; i < shape.vocabulary; i++)
        memcpy(head + (size_t)i * shape.hidden, head + (size_t)(i % 10) * shape.hidden,
               shape.hidden * sizeof *head);
    harness cuda = open_cuda(&model->weights);
    harness_lane lane;
    random_source r = {4};
    harness_lane_new(&lane, &r, 12, HG_NO_SLOT, shape.vocabulary);
    harness_run(&cuda, &lane, 1, 12);
    for (int i = 0; i < 12; i++) assert_in_range(lane.best[i], 0, 9);
    harness_lane_free(&lane);
    close_cuda(&cuda);
    random_model_free(model);
}

static void assert_open_fails(const hg_emulator_machine *machine, hg_status status,
                              const char *words)
{
    hg_device_options options = {0};
    hg_device *device;
    hg_error error;
    hg_emulator_set_machine(machine);
    assert_int_equal(hg_cuda_device()->open(&options, &device, &error), status);
    if (!strstr(error.message, words)) fail_msg("\"%s\" lacks \"%s\"", error.message, words);
    assert_null(device);
    assert_int_equal(hg_emulator_held(), 0);
}

static const hg_emulator_machine good_machine = {13000, 1, 9, (size_t)1 << 30};

static void test_open(void **state)
{
    (void)state;
    assert_open_fails(&(hg_emulator_machine){0, 0, 0, 0}, HG_ERROR_DEVICE, "no NVIDIA driver");
    assert_open_fails(&(hg_emulator_machine){12020, 1, 9, 0}, HG_ERROR_DEVICE, "CUDA 12.2) is too");
    assert_open_fails(&(hg_emulator_machine){13000, 0, 0, 0}, HG_ERROR_DEVICE, "shows no card");
    assert_open_fails(&(hg_emulator_machine){13000, 1, 7, 0}, HG_ERROR_UNSUPPORTED, "7.0");
    hg_emulator_set_machine(&good_machine);
    hg_device_options options = {.kernel = "avx2"};
    hg_device *device;
    hg_error error;
    assert_int_equal(hg_cuda_device()->open(&options, &device, &error), HG_ERROR_ARGUMENT);
    options.kernel = "f32";
    harness_check(hg_cuda_device()->open(&options, &device, &error), &error);
    hg_device_info info;
    hg_cuda_device()->describe(device, &info);
    assert_string_equal(info.name, "cuda: Emulator");
    assert_string_equal(info.kernel, "f32");
    hg_cuda_device()->close(device);
    hg_cuda_device()->close(NULL);
}

/* The bound holds for the model and for adapters; after a refusal the device is as before. */
static void test_memory(void **state)
{
    (void)state;
    fixture f = open_fixture();
    hg_device_memory held;
    f.cuda.api->memory(f.cuda.device, &held);
    size_t whole = held.weights_bytes + held.pages_bytes + held.workspace_bytes;
    assert_int_equal(held.pages_bytes, HARNESS_PAGES * small.layers * 2 * 16 * 64 * sizeof(float));
    assert_true(held.adapters_bytes >= f.adapter[0]->weights.bytes + f.adapter[1]->weights.bytes);
    hg_device *device;
    hg_error error;
    hg_device_options options = {.memory_bytes = whole - 1};
    harness_check(f.cuda.api->open(&options, &device, &error), &error);
    assert_int_equal(f.cuda.api->load_model(device, &f.model->weights, &harness_plan, &error),
                     HG_ERROR_LIMIT);
    assert_non_null(strstr(error.message, "--device-memory"));
    assert_non_null(strstr(error.message, "48 KV pages"));
    f.cuda.api->close(device);
    options.memory_bytes = whole + 1000;
    harness_check(f.cuda.api->open(&options, &device, &error), &error);
    harness_check(f.cuda.api->load_model(device, &f.model->weights, &harness_plan, &error), &error);
    assert_int_equal(f.cuda.api->put_adapter_begin(device, 0, &f.adapter[2]->weights, &error),
                     HG_ERROR_LIMIT);
    f.cuda.api->close(device);
    hg_emulator_set_machine(&(hg_emulator_machine){13000, 1, 9, 2 * whole});
    options.memory_bytes = 0;
    harness_check(f.cuda.api->open(&options, &device, &error), &error);
    assert_int_equal(f.cuda.api->load_model(device, &f.model->weights, &harness_plan, &error),
                     HG_ERROR_LIMIT);
    assert_non_null(strstr(error.message, "free memory of the card"));
    f.cuda.api->close(device);
    hg_emulator_set_machine(&good_machine);
    close_fixture(&f);
}

/* ---- the embedded model ---- */

static const void *golden(const hg_safetensors *file, const char *name)
{
    const hg_tensor *t = hg_safetensors_find(file, name);
    if (!t) fail_msg("tests/golden/model.safetensors has no tensor %s", name);
    assert(t && t->data);
    return t->data;
}

/* One golden sentence in one step, with its own tokens as history; equal arg-maxes of tokens. */
static uint32_t run_golden(const hg_safetensors *file, hg_device *device, uint32_t sentence,
                           uint32_t *decoded)
{
    const int32_t *tokens = golden(file, "tokens"), *start = golden(file, "start");
    const int32_t *prompt = golden(file, "prompt"), *argmax = golden(file, "argmax");
    for (uint32_t s = 0; s < sentence; s++) argmax += start[s + 1] - start[s] - prompt[s];
    uint32_t rows = (uint32_t)(start[sentence + 1] - start[sentence]) - 1, equal = 0;
    uint32_t first = (uint32_t)prompt[sentence] - 1; /* the invocation token is the prompt's last */
    hg_row row[HARNESS_ROWS];
    int32_t token[HARNESS_ROWS];
    uint32_t page[HARNESS_LANE_PAGES] = {5, 3, 1, 0, 2, 4};
    assert_true(rows <= HARNESS_ROWS);
    for (uint32_t i = 0; i < rows; i++)
        row[i] = (hg_row){.token = tokens[start[sentence] + (int32_t)i],
                          .position = i,
                          .slot = i >= first ? 0 : HG_NO_SLOT,
                          .want = i >= first};
    hg_step step = {.row = row, .page = page, .rows = rows, .lanes = 1};
    hg_result result = {.token = token};
    hg_error error;
    harness_check(hg_cuda_device()->forward(device, &step, &result, &error), &error);
    for (uint32_t i = first; i < rows; i++) equal += token[i] == argmax[i - first];
    *decoded = rows - first;
    return equal;
}

/* hydra-tiny with a real adapter, against what transformers and PEFT gave. */
static void test_goldens(void **state)
{
    (void)state;
    hg_safetensors file;
    hg_model *model;
    hg_adapter *adapter;
    hg_error error;
    harness_check(hg_safetensors_open("tests/golden/model.safetensors", &file, &error), &error);
    harness_check(hg_model_open("models/hydra-tiny", &model, &error), &error);
    harness_check(hg_adapter_open("plugins/de", &model->weights.shape, &adapter, &error), &error);
    harness cuda = open_cuda(&model->weights);
    harness_put(&cuda, 0, &adapter->lora, HG_LIMIT_ADAPTER_PIECE);
    uint32_t equal = 0, decoded = 0;
    for (uint32_t s = 0; s < 3; s++) { /* the first fifty are German */
        uint32_t more;
        equal += run_golden(&file, cuda.device, s, &more);
        decoded += more;
    }
    print_message("hydra-tiny: %u of %u tokens equal\n", equal, decoded);
    assert_true(decoded >= 15 && equal >= 0.985 * decoded);
    close_cuda(&cuda);
    hg_adapter_close(adapter);
    hg_model_close(model);
    hg_safetensors_close(&file);
}

/* ---- failing calls ---- */

/* Opens, loads, puts an adapter, runs two rows, copies a page, drops: every kind of call. */
static hg_status whole_life(const random_model *model, const random_adapter *adapter,
                            hg_error *error)
{
    const hg_device_api *api = hg_cuda_device();
    hg_device_options options = {0};
    hg_device *device = NULL;
    bool done = false;
    int32_t token[2] = {-1, -1};
    uint32_t page[HARNESS_LANE_PAGES] = {3, 2};
    hg_row row[2] = {{.token = 1, .want = true},
                     {.token = 2, .position = 1, .slot = HG_NO_SLOT, .want_logits = true}};
    hg_step step = {.row = row, .page = page, .rows = 2, .lanes = 1};
    float logits[103];
    hg_result result = {.token = token, .logits = logits};
    hg_status status = api->open(&options, &device, error);
    if (!status) status = api->load_model(device, &model->weights, &harness_plan, error);
    if (!status) status = api->put_adapter_begin(device, 0, &adapter->weights, error);
    while (!status && !done) status = api->put_adapter_step(device, 0, 4096, &done, error);
    if (!status) status = api->put_adapter_commit(device, 0, error);
    if (!status) status = api->forward(device, &step, &result, error);
    if (!status) status = api->copy_page(device, 3, 1, 2, error);
    if (!status) api->drop_adapter(device, 0);
    if (status == HG_ERROR_DEVICE && device) /* a lost device says so ever after */
        assert_int_equal(api->copy_page(device, 3, 1, 2, NULL), HG_ERROR_DEVICE);
    api->close(device);
    return status;
}

static void fail_each_call(cudaError_t failure, hg_status expected, const char *words)
{
    hg_shape shape = small;
    shape.layers = 1;
    random_model *model = new_model(1, &shape, (random_form){64, 4, RANDOM_OFFSETS}, HG_F16);
    random_adapter *adapter = random_adapter_new(2, &shape, 3, HG_F16);
    hg_error error;
    hg_emulator_fail(-1, cudaSuccess);
    harness_check(whole_life(model, adapter, &error), &error);
    long calls = hg_emulator_calls(), failed = 0;
    assert_true(calls > 100);
    for (long n = 0; n < calls; n++) {
        hg_emulator_fail(n, failure);
        memset(&error, 0, sizeof error);
        hg_status status = whole_life(model, adapter, &error);
        assert_int_equal(hg_emulator_held(), 0);
        if (!status) continue; /* while it was closed, where nobody can be told */
        failed++;
        assert_int_equal(status, expected);
        assert_int_equal(error.status, expected);
        if (!strstr(error.message, words)) fail_msg("call %ld: \"%s\"", n, error.message);
    }
    /* What frees: 27 or so blocks of the model, the staging buffer, streams, event. */
    assert_true(failed > calls / 2);
    hg_emulator_fail(-1, cudaSuccess);
    random_adapter_free(adapter);
    random_model_free(model);
}

static void test_failures(void **state)
{
    (void)state;
    fail_each_call(cudaErrorUnknown, HG_ERROR_DEVICE, ": unknown error (cudaErrorUnknown)");
    fail_each_call(cudaErrorMemoryAllocation, HG_ERROR_MEMORY, "out of memory");
}

/* The emulator finds what it is there to find. */
static void test_planted(void **state)
{
    (void)state;
    static const struct {
        planted_mistake mistake;
        const char *words;
    } row[] = {
        {PLANTED_RACE, "race with a read"},
        {PLANTED_OVERTAKING, "race with a write"},
        {PLANTED_EARLY_END, "threads ended without the barrier"},
        {PLANTED_TWO_BARRIERS, "threads wait at another barrier"},
        {PLANTED_LONE_SHUFFLE, "not all lanes of a warp are at the shuffle"},
        {PLANTED_BOUNDS, "thread 127: index out of bounds"},
    };
    float *out;
    assert_int_equal(cudaMalloc((void **)&out, sizeof *out), cudaSuccess);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        assert_int_equal(planted_run(PLANTED_NONE, out), cudaSuccess);
        assert_null(hg_emulator_fault());
        assert_int_equal(planted_run(row[i].mistake, out), cudaErrorLaunchFailure);
        const char *fault = hg_emulator_fault();
        assert_non_null(fault);
        if (!strstr(fault, row[i].words)) fail_msg("\"%s\" lacks \"%s\"", fault, row[i].words);
        assert_non_null(strstr(fault, "planted.cu"));
    }
    assert_int_equal(cudaFree(out), cudaSuccess);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open),      cmocka_unit_test(test_planted),
        cmocka_unit_test(test_forms),     cmocka_unit_test(test_company),
        cmocka_unit_test(test_long_lane), cmocka_unit_test(test_pages_and_slots),
        cmocka_unit_test(test_memory),    cmocka_unit_test(test_failures),
        cmocka_unit_test(test_goldens),   cmocka_unit_test(test_ties),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
