/* test_cuda_recovery.c: an engine on the CUDA device of the emulator, whose calls fail from some
 * point on as after a failed kernel, until the context is made anew: the life of a service either
 * does not begin, with a clear error, or goes on with the same tokens; nothing leaks. Some points;
 * with HYDRAGLOT_LONG all of them.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/engine/engine.h"
#include "tests/unit/cuda_help.h"

#define LANES  2
#define TOKENS 6

static random_model *model;
static random_adapter *adapter;

static hg_status reopen(void *context, uint64_t key, hg_adapter_source *out, hg_error *error)
{
    (void)context;
    (void)error;
    assert_int_equal(key, 7);
    *out = (hg_adapter_source){.weights = &adapter->weights};
    return HG_OK;
}

static int open_model(void **state)
{
    (void)state;
    hg_shape shape = small;
    shape.layers = 1;
    model = new_model(5, &shape, (random_form){.group = 64, .bits = 4}, HG_F16);
    adapter = random_adapter_new(6, &shape, 8, HG_F16);
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    random_adapter_free(adapter);
    random_model_free(model);
    return 0;
}

/* A job on the base and on the adapter; the status it ended with, its tokens when that is OK. */
static hg_status run_job(hg_engine *engine, int32_t token[LANES][TOKENS], hg_error *error)
{
    static const int32_t prompt[] = {5,  17, 60, 2, 9,  33, 71, 8,  4,
                                     90, 12, 1,  7, 44, 20, 3,  66, 31};
    hg_lane_request lane[LANES];
    for (uint32_t i = 0; i < LANES; i++)
        lane[i] = (hg_lane_request){.adapter = i ? 7 : HG_NO_ADAPTER,
                                    .prompt = prompt,
                                    .prompt_tokens = sizeof prompt / sizeof *prompt,
                                    .max_tokens = TOKENS};
    hg_job *job = NULL;
    hg_status status =
        hg_engine_submit(engine, &(hg_job_request){.lane = lane, .lanes = LANES}, &job, error);
    if (status) return status;
    hg_job_state ended = {0};
    while (!ended.ended) {
        hg_job *news = hg_engine_next_news(engine, 1000);
        hg_job_release(news);
        hg_job_read(job, &ended);
    }
    for (uint32_t i = 0; i < LANES; i++) {
        hg_lane_state s;
        hg_job_read_lane(job, i, 0, token[i], TOKENS, &s);
        if (s.status != HG_LANE_OK) status = s.failure;
    }
    hg_job_release(job);
    return status;
}

/* Opens, adds the adapter and runs jobs until one ends well: at most 20 s. *failed counts the
 * others. */
static hg_status whole_life(int32_t token[LANES][TOKENS], int *failed, hg_error *error)
{
    hg_engine *engine = NULL;
    hg_engine_options options = {.api = hg_cuda_device(),
                                 .weights = &model->weights,
                                 .plan = {.lanes = 1, .adapters = 1},
                                 .recovery = {.policy = HG_DEVICE_RECOVER, .reopen = reopen}};
    hg_status status = hg_engine_open(&options, &engine, error);
    if (status) return status;
    status = hg_engine_add_adapter(engine, 7, &adapter->weights, NULL, NULL, error);
    for (int i = 0; i < 20000; i++) {
        status = status ? status : run_job(engine, token, error);
        if (!status) break;
        assert_int_equal(status, HG_ERROR_DEVICE);
        ++*failed;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        status = hg_engine_adapter_state(engine, 7) == HG_ADAPTER_ABSENT
                     ? hg_engine_add_adapter(engine, 7, &adapter->weights, NULL, NULL, error)
                     : HG_OK;
    }
    hg_engine_close(engine);
    return status;
}

static void a_lost_card_comes_back(void **state)
{
    (void)state;
    int32_t want[LANES][TOKENS], got[LANES][TOKENS];
    int failed = 0, recovered = 0, refused = 0;
    hg_error error = {0};
    hg_emulator_set_machine(&(hg_emulator_machine){13000, 1, 9, (size_t)4 << 30, 3});
    hg_emulator_fail(-1, cudaSuccess);
    harness_check(whole_life(want, &failed, &error), &error);
    assert_int_equal(failed, 0);
    long calls = hg_emulator_calls(), stride = getenv("HYDRAGLOT_LONG") ? 1 : 1 + calls / 60;
    for (long n = 0; n < calls; n += stride) {
        hg_emulator_lose(n, 1);
        failed = 0;
        hg_status status = whole_life(got, &failed, &error);
        assert_int_equal(hg_emulator_held(), 0);
        assert_null(hg_emulator_fault());
        refused += status != HG_OK;
        recovered += !status && failed;
        if (status) {
            assert_int_equal(status, HG_ERROR_DEVICE);
            assert_non_null(strstr(error.message, "cudaErrorLaunchFailure"));
        } else {
            assert_memory_equal(got, want, sizeof want);
        }
    }
    assert_true(refused > 5 && recovered > 5);
    hg_emulator_fail(-1, cudaSuccess);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_lost_card_comes_back)};
    return cmocka_run_group_tests(tests, open_model, close_model);
}
