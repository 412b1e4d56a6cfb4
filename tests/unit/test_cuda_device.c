/* test_cuda_device.c: the CUDA device's life on the emulator (tests/cuda_emulator): opening,
 * memory, and whichever call of CUDA's runtime fails: the error is clear and
 * nothing leaks. And the emulator itself: it finds what it is there to find.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cuda_emulator/planted.h"
#include "tests/unit/cuda_help.h"

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
    options.kernel = "f16";
    harness_check(hg_cuda_device()->open(&options, &device, &error), &error);
    hg_device_info info;
    hg_cuda_device()->describe(device, &info);
    assert_string_equal(info.name, "cuda: Emulator");
    assert_string_equal(info.kernel, "f16");
    hg_cuda_device()->close(device);
    hg_cuda_device()->close(NULL);
}

/* What is measured is what is held; the bound and what the card has left hold for all of it. */
static void test_memory(void **state)
{
    (void)state;
    fixture f = open_fixture();
    const hg_device_api *api = f.cuda.api;
    const hg_weights *weights = &f.model->weights;
    hg_device_memory held, counted;
    hg_device *device;
    hg_error error;
    api->memory(f.cuda.device, &held);
    long calls = hg_emulator_calls();
    harness_check(api->measure(weights, &harness_plan, &counted, &error), &error);
    assert_int_equal(hg_emulator_calls(), calls);
    size_t whole = hg_device_memory_sum(&counted);
    assert_int_equal(held.weights_bytes, counted.weights_bytes);
    assert_int_equal(held.workspace_bytes, counted.workspace_bytes);
    assert_int_equal(held.pages_bytes,
                     HARNESS_PAGES * small.layers * 2 * 16 * 64 * sizeof(uint16_t));
    assert_int_equal(counted.pages_bytes, held.pages_bytes);
    assert_int_equal(held.adapters_bytes, harness_plan.adapter_bytes);
    assert_true(held.graphs_bytes > 0 && held.graphs_bytes < counted.graphs_bytes);
    hg_device_options options = {.memory_bytes = whole - 1};
    harness_check(api->open(&options, &device, &error), &error);
    assert_int_equal(api->load_model(device, weights, &harness_plan, &error), HG_ERROR_LIMIT);
    assert_non_null(strstr(error.message, "--device-memory"));
    assert_non_null(strstr(error.message, "48 KV pages"));
    api->close(device);
    options.memory_bytes = whole;
    harness_check(api->open(&options, &device, &error), &error);
    harness_check(api->load_model(device, weights, &harness_plan, &error), &error);
    api->close(device);
    hg_emulator_set_machine(&(hg_emulator_machine){13000, 1, 9, whole + whole / 2, 3});
    options.memory_bytes = 0;
    harness_check(api->open(&options, &device, &error), &error);
    hg_device_room room;
    harness_check(api->room(device, &room, &error), &error);
    assert_int_equal(room.whole_bytes, whole + whole / 2);
    assert_true(room.left_bytes < whole);
    assert_int_equal(api->load_model(device, weights, &harness_plan, &error), HG_ERROR_LIMIT);
    assert_non_null(strstr(error.message, "free memory of the card"));
    api->close(device);
    hg_emulator_set_machine(&good_machine);
    close_fixture(&f);
}

/* Adapters come and go in the room that was taken for them: what one leaves another gets, what is
 * too large is refused, and nothing is allocated or overwritten meanwhile. */
static void test_adapter_room(void **state)
{
    (void)state;
    fixture f = open_fixture();
    const hg_device_api *api = f.cuda.api;
    hg_device_memory held;
    hg_device *device;
    hg_error error;
    api->memory(f.cuda.device, &held);
    hg_device_plan plan = harness_plan;
    plan.adapter_bytes = held.filled_bytes;
    hg_device_options options = {0};
    harness_check(api->open(&options, &device, &error), &error);
    harness_check(api->load_model(device, &f.model->weights, &plan, &error), &error);
    harness tight = f.cuda;
    tight.device = device;
    long blocks = hg_emulator_held();
    for (uint16_t i = 0; i < 3; i++) harness_put(&tight, i, &f.adapter[i]->weights, 700);
    assert_int_equal(api->put_adapter_begin(device, 3, &f.adapter[1]->weights, &error),
                     HG_ERROR_LIMIT);
    assert_non_null(strstr(error.message, "for adapters 0 are free"));
    assert_non_null(strstr(error.message, "--adapters"));
    api->drop_adapter(device, 1);
    assert_int_equal(api->put_adapter_begin(device, 3, &f.adapter[2]->weights, &error),
                     HG_ERROR_LIMIT);
    harness_put(&tight, 3, &f.adapter[1]->weights, 1 << 20);
    assert_int_equal(hg_emulator_held(), blocks);
    api->memory(device, &held);
    assert_int_equal(held.filled_bytes, held.adapters_bytes);
    harness_lane lane[2][3];
    static const uint16_t slot[2][3] = {{0, 3, 2}, {0, 1, 2}};
    for (int side = 0; side < 2; side++) {
        for (int i = 0; i < 3; i++) {
            random_source r = {(uint64_t)i};
            harness_lane_new(&lane[side][i], &r, 9, slot[side][i], small.vocabulary);
        }
        harness_run(side ? &f.cuda : &tight, lane[side], 3, 9);
    }
    for (int i = 0; i < 3; i++)
        assert_memory_equal(lane[0][i].logits, lane[1][i].logits,
                            9 * small.vocabulary * sizeof(float));
    for (int side = 0; side < 2; side++) free_lanes(lane[side], 3);
    api->close(device);
    close_fixture(&f);
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
        {PLANTED_UNAWAITED, "before the asynchronous copy has been waited for"},
        {PLANTED_NO_WARP_BARRIER, "race with a read"},
        {PLANTED_OVERWRITTEN, "race with a write"},
        {PLANTED_ABANDONED, "asynchronous copies outlive"},
    };
    float *out;
    assert_int_equal(cudaMalloc((void **)&out, 8 * sizeof *out), cudaSuccess);
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        assert_int_equal(planted_run(PLANTED_NONE, out), cudaSuccess);
        assert_int_equal(planted_run(PLANTED_ORDERED_COPY, out), cudaSuccess);
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
        cmocka_unit_test(test_open),         cmocka_unit_test(test_planted),
        cmocka_unit_test(test_memory),       cmocka_unit_test(test_failures),
        cmocka_unit_test(test_adapter_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
