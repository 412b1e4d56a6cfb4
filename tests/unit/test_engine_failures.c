/* test_engine_failures.c: bad requests, missing adapters, failing devices, cancels. */
#include <sched.h>
#include <string.h>

#include "tests/support/engine_help.h"

static void bad_requests_are_refused(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(9, NULL, NULL);
    prompt p;
    hg_lane_request good = lora(&p, 20, HG_NO_ADAPTER), bad;
#define REFUSED(field, value, status, part)                                                        \
    (bad = good, bad.field = (value), expect_refused(engine, &bad, 1, status, part))
    expect_refused(engine, &good, 0, HG_ERROR_ARGUMENT, "at least one lane");
    expect_refused(engine, &good, 33, HG_ERROR_LIMIT, "33 lanes");
    REFUSED(prompt_tokens, 0, HG_ERROR_ARGUMENT, "prompt_tokens is 0");
    REFUSED(max_tokens, 0, HG_ERROR_ARGUMENT, "max_tokens 0");
    REFUSED(max_tokens, 500, HG_ERROR_LIMIT, "need 521 positions, a lane has 512");
    REFUSED(max_tokens, UINT32_MAX, HG_ERROR_LIMIT, "positions");
    REFUSED(max_tokens, 150, HG_ERROR_LIMIT, "1 lanes need 11 KV pages, the pool has 9");
    REFUSED(invocation, 21, HG_ERROR_ARGUMENT, "invocation 21");
    REFUSED(stops, 17, HG_ERROR_LIMIT, "17 stop tokens");
    REFUSED(temperature, -1, HG_ERROR_ARGUMENT, "temperature is -1");
    bad = good;
    bad.temperature = 1;
    bad.top_p = 0;
    expect_refused(engine, &bad, 1, HG_ERROR_ARGUMENT, "top_p is 0");
    p.token[3] = FAKE_VOCABULARY;
    expect_refused(engine, &good, 1, HG_ERROR_ARGUMENT, "token 97 at 3");
#undef REFUSED
    close_engine(engine);
}

static void an_unknown_adapter_ends_its_lane_only(void **state)
{
    (void)state;
    hg_error error = {0};
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 3);
    assert_int_equal(hg_engine_drop_adapter(engine, 1, &error), HG_OK);
    assert_int_equal(hg_engine_drop_adapter(engine, 9, &error), HG_ERROR_NOT_FOUND);
    prompt p[3];
    hg_lane_request lane[3] = {alora(&p[0], 9, 1), alora(&p[1], 9, 2), alora(&p[2], 9, 77)};
    hg_job *job = submit(engine, lane, 3);
    wait_job(engine, job);
    expect_failed(job, 0, HG_ERROR_NOT_FOUND);
    check_lane(job, 1, &lane[1]);
    expect_failed(job, 2, HG_ERROR_NOT_FOUND);
    hg_job_release(job);
    job = submit(engine, lane, 1);
    wait_job(engine, job);
    expect_failed(job, 0, HG_ERROR_NOT_FOUND);
    hg_job_release(job);
    check_no_leak(engine);
    close_engine(engine);
}

/* A key that comes again with other weights finds nothing of the old ones. */
static void a_new_generation_has_new_kv(void **state)
{
    (void)state;
    hg_error error = {0};
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 2);
    prompt p;
    hg_lane_request lane = lora(&p, 40, 1);
    run(engine, &lane, 1);
    assert_int_equal(hg_engine_drop_adapter(engine, 1, &error), HG_OK);
    while (hg_engine_adapter_state(engine, 1) != HG_ADAPTER_ABSENT) sched_yield();
    assert_int_equal(fake.adapters, 1);
    hg_engine_figures figures;
    hg_engine_read_figures(engine, &figures);
    assert_int_equal(figures.adapters_ready, 1);
    add_adapters(engine, 0);
    assert_int_equal(hg_engine_add_adapter(engine, 1, &adapter_weights[0], NULL, NULL, &error),
                     HG_OK);
    assert_int_equal(hg_engine_wait_adapters(engine, &error), HG_OK);
    hg_job_state s = run(engine, &lane, 1);
    assert_int_equal(s.shared_tokens, 0);
    assert_int_equal(hg_engine_add_adapter(engine, 1, &adapter_weights[0], NULL, NULL, &error),
                     HG_ERROR_STATE);
    assert_int_equal(
        hg_engine_add_adapter(engine, HG_NO_ADAPTER, &adapter_weights[0], NULL, NULL, &error),
        HG_ERROR_ARGUMENT);
    close_engine(engine);
}

static void the_adapter_table_is_bounded(void **state)
{
    (void)state;
    hg_error error = {0};
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, HG_LIMIT_ADAPTER_SLOTS);
    assert_int_equal(hg_engine_add_adapter(engine, 999, &adapter_weights[0], NULL, NULL, &error),
                     HG_ERROR_STATE);
    assert_non_null(strstr(error.message, "all 64 adapter slots"));
    close_engine(engine);
}

/* Lanes wait for an adapter that still loads; jobs without it pass them. */
static void lanes_wait_for_their_adapter(void **state)
{
    (void)state;
    hg_error error = {0};
    hg_engine *engine = open_engine(0, NULL, NULL);
    hg_lora_weights slow = fake_lora(5);
    slow.bytes = (size_t)HG_LIMIT_ADAPTER_PIECE * 20;
    fake.hold_adapters = true;
    assert_int_equal(hg_engine_add_adapter(engine, 5, &slow, NULL, NULL, &error), HG_OK);
    prompt p[2];
    hg_lane_request late = alora(&p[0], 9, 5), early = lora(&p[1], 9, HG_NO_ADAPTER);
    hg_job *waits = submit(engine, &late, 1), *passes = submit(engine, &early, 1);
    wait_job(engine, passes);
    hg_lane_state held;
    hg_job_read_lane(waits, 0, 0, NULL, 0, &held);
    assert_int_equal(held.status, HG_LANE_WAITING);
    fake.hold_adapters = false;
    wait_job(engine, waits);
    check_lane(waits, 0, &late);
    check_lane(passes, 0, &early);
    hg_job_state first, second;
    hg_job_read(passes, &first);
    hg_job_read(waits, &second);
    assert_true(first.end_us <= second.start_us);
    hg_job_release(waits);
    hg_job_release(passes);
    close_engine(engine);
}

static void a_failed_upload_fails_its_lanes(void **state)
{
    (void)state;
    hg_error error = {0};
    fake.fail_status = HG_ERROR_MEMORY;
    hg_engine *engine = open_engine(0, NULL, NULL);
    fake.fail_at = fake.calls + 3; /* begin, a piece, the second piece */
    hg_lora_weights bad = fake_lora(5);
    released = 0;
    assert_int_equal(hg_engine_add_adapter(engine, 5, &bad, count_release, &released, &error),
                     HG_OK);
    assert_int_equal(hg_engine_wait_adapters(engine, &error), HG_ERROR_DEVICE);
    assert_non_null(strstr(error.message, "adapter 5"));
    assert_int_equal(hg_engine_adapter_state(engine, 5), HG_ADAPTER_FAILED);
    assert_int_equal(released, 1);
    assert_int_equal(fake.adapters, 0);
    prompt p;
    hg_lane_request lane = alora(&p, 9, 5);
    hg_job *job = submit(engine, &lane, 1);
    wait_job(engine, job);
    expect_failed(job, 0, HG_ERROR_MEMORY);
    hg_job_release(job);
    assert_int_equal(hg_engine_add_adapter(engine, 5, &bad, NULL, NULL, &error), HG_OK);
    assert_int_equal(hg_engine_wait_adapters(engine, &error), HG_OK);
    run(engine, &lane, 1);
    close_engine(engine);
}

static void a_lost_device_ends_everything(void **state)
{
    (void)state;
    hg_error error = {0};
    fake.fail_status = HG_ERROR_DEVICE;
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 2);
    prompt p[2];
    hg_lane_request lane[2] = {alora(&p[0], 9, 1), alora(&p[1], 9, 2)};
    fake.fail_at = fake.calls + 2;
    hg_job *job = submit(engine, lane, 2);
    wait_job(engine, job);
    expect_failed(job, 0, HG_ERROR_DEVICE);
    expect_failed(job, 1, HG_ERROR_DEVICE);
    hg_job_release(job);
    expect_refused(engine, lane, 2, HG_ERROR_DEVICE, "the device is lost");
    assert_int_equal(hg_engine_add_adapter(engine, 7, &adapter_weights[0], NULL, NULL, &error),
                     HG_ERROR_DEVICE);
    unsigned calls = fake.calls;
    assert_int_equal(hg_engine_drop_adapter(engine, 1, &error), HG_OK);
    while (hg_engine_adapter_state(engine, 1) != HG_ADAPTER_ABSENT) sched_yield();
    assert_int_equal(fake.calls, calls);
    close_engine(engine);
}

static void a_device_that_does_not_open(void **state)
{
    (void)state;
    fake.fail_status = HG_ERROR_DEVICE;
    for (unsigned call = 1; call <= 2; call++) {
        fake.calls = 0;
        fake.fail_at = call;
        hg_error error = {0};
        hg_engine *engine = NULL;
        hg_engine_options options = {.api = &fake_api, .weights = &fake_weights};
        assert_int_equal(hg_engine_open(&options, &engine, &error), HG_ERROR_DEVICE);
        assert_null(engine);
        assert_non_null(strstr(error.message, "the fake device failed"));
    }
}

/* A step that fails without harm ends its lanes; the next job runs. At each device call in turn. */
static void failures_at_every_call(void **state)
{
    (void)state;
    fake.fail_status = HG_ERROR_MEMORY;
    hg_engine *engine = open_engine(60, NULL, NULL);
    add_adapters(engine, 4);
    for (unsigned n = 1; n < 60; n++) {
        prompt p[6];
        hg_lane_request lane[6];
        source[0] = (int32_t)(2 + n);
        for (uint32_t i = 0; i < 6; i++) lane[i] = alora(&p[i], 10 + n, i % 4 + 1);
        run_failing(engine, lane, 6, n, HG_ERROR_MEMORY);
        check_no_leak(engine);
    }
    prompt p;
    hg_lane_request lane = alora(&p, 30, 1);
    run(engine, &lane, 1);
    close_engine(engine);
}

/* The leader is cancelled while its followers wait: another one takes over where it stood. */
static void a_cancelled_leader_has_an_heir(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 4);
    prompt p[5], other;
    hg_lane_request lane[4] = {alora(&p[0], 440, 1), alora(&p[1], 400, 2), alora(&p[2], 440, 3),
                               alora(&p[3], 437, 4)};
    for (uint32_t i = 0; i < 4; i++) lane[i].max_tokens = 20;
    hg_lane_request beside = alora(&other, 460, 1); /* takes half of each step */
    other.token[0] = 88;
    close_gate();
    hg_job *job = submit(engine, lane, 4), *second = submit(engine, &beside, 1);
    await_step(1);
    allow_steps(1);
    await_step(2);
    hg_engine_cancel(engine, job, 0);
    allow_steps(UINT32_MAX);
    wait_job(engine, job);
    wait_job(engine, second);
    hg_lane_state s;
    hg_job_read_lane(job, 0, 0, NULL, 0, &s);
    assert_int_equal(s.status, HG_LANE_CANCELLED);
    for (uint32_t i = 1; i < 4; i++) check_lane(job, i, &lane[i]);
    check_lane(second, 0, &beside);
    hg_job_release(job);
    hg_job_release(second);
    check_no_leak(engine);
    hg_job_state after = run(engine, lane, 4); /* the heir's work was kept like a leader's */
    assert_int_equal(after.prefill_tokens, 4);
    close_engine(engine);
}

static void cancel_is_idempotent_and_frees(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(60, NULL, NULL);
    add_adapters(engine, 2);
    prompt p[2];
    hg_lane_request lane[2] = {alora(&p[0], 100, 1), alora(&p[1], 100, 2)};
    close_gate();
    hg_job *job = submit(engine, lane, 2), *waits = submit(engine, lane, 2);
    await_step(1);
    for (int i = 0; i < 3; i++) hg_engine_cancel(engine, job, HG_ALL_LANES);
    hg_engine_cancel(engine, waits, 0);
    hg_engine_cancel(engine, waits, 1);
    allow_steps(UINT32_MAX);
    wait_job(engine, job);
    wait_job(engine, waits);
    hg_engine_cancel(engine, job, HG_ALL_LANES);
    for (uint32_t i = 0; i < 2; i++) {
        hg_lane_state s;
        hg_job_read_lane(job, i, 0, NULL, 0, &s);
        assert_int_equal(s.status, HG_LANE_CANCELLED);
        hg_job_read_lane(waits, i, 0, NULL, 0, &s);
        assert_int_equal(s.status, HG_LANE_CANCELLED);
    }
    hg_job_release(job);
    hg_job_release(waits);
    check_no_leak(engine);
    run(engine, lane, 2);
    close_engine(engine);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, make_source)
    const struct CMUnitTest tests[] = {
        TEST(bad_requests_are_refused),       TEST(an_unknown_adapter_ends_its_lane_only),
        TEST(a_new_generation_has_new_kv),    TEST(the_adapter_table_is_bounded),
        TEST(lanes_wait_for_their_adapter),   TEST(a_failed_upload_fails_its_lanes),
        TEST(a_lost_device_ends_everything),  TEST(a_device_that_does_not_open),
        TEST(failures_at_every_call),         TEST(a_cancelled_leader_has_an_heir),
        TEST(cancel_is_idempotent_and_frees),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
