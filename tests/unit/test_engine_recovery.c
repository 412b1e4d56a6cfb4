/* test_engine_recovery.c: a device that fails for good while lanes run: they end with a clear
 * status, the engine goes on, and serves again as its policy says, with the same outputs.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "tests/support/engine_help.h"

#define PAGE_BYTES ((size_t)1 << 20)

static unsigned opens, opens_that_work; /* of api_under_test; 0: all */
static hg_device_api api_under_test, spare;
static uint64_t unreadable; /* adapter that reopen refuses */
static size_t room_pages;   /* of the device; 0: as many as are asked for */

static hg_status open_some(const hg_device_options *options, hg_device **out, hg_error *error)
{
    *out = NULL;
    if (opens_that_work && ++opens > opens_that_work)
        return hg_fail(error, HG_ERROR_DEVICE, "the device is gone");
    return fake_api.open(options, out, error);
}

static void describe_spare(const hg_device *device, hg_device_info *out)
{
    fake_api.describe(device, out);
    snprintf(out->name, sizeof out->name, "spare");
}

static hg_status measure(const hg_weights *weights, const hg_device_plan *plan,
                         hg_device_memory *out, hg_error *error)
{
    (void)weights;
    (void)error;
    *out = (hg_device_memory){.pages_bytes = plan->pages * PAGE_BYTES};
    return HG_OK;
}

static hg_status room(hg_device *device, hg_device_room *out, hg_error *error)
{
    (void)device;
    (void)error;
    *out = (hg_device_room){.whole_bytes = SIZE_MAX, .left_bytes = room_pages * PAGE_BYTES};
    return HG_OK;
}

static hg_status reopen(void *context, uint64_t key, hg_adapter_source *out, hg_error *error)
{
    if (key == unreadable) return hg_fail(error, HG_ERROR_FORMAT, "adapter files changed");
    *out = (hg_adapter_source){&adapter_weights[key - 1], count_release, context};
    return HG_OK;
}

static int start(void **state)
{
    opens = opens_that_work = 0;
    unreadable = 0;
    room_pages = 0;
    released = 0;
    api_under_test = spare = fake_api;
    api_under_test.open = open_some;
    spare.describe = describe_spare;
    return make_source(state);
}

static hg_engine *open_with(hg_device_policy policy, const hg_device_api *other)
{
    hg_error error = {0};
    hg_engine *engine = NULL;
    hg_engine_options options = {
        .api = &api_under_test,
        .weights = &fake_weights,
        .recovery = {.policy = policy, .spare = other, .reopen = reopen, .context = &released}};
    fake.fail_status = HG_ERROR_DEVICE;
    if (room_pages) {
        api_under_test.measure = measure;
        api_under_test.room = room;
    }
    if (hg_engine_open(&options, &engine, &error)) fail_msg("%s", error.message);
    add_adapters(engine, 3);
    return engine;
}

/* Until a device serves and no adapter loads: at most 20 s. */
static hg_engine_figures wait_served(hg_engine *engine)
{
    hg_engine_figures figures;
    hg_error error;
    for (int i = 0; i < 20000; i++) {
        hg_engine_read_figures(engine, &figures);
        if (!figures.lost) break;
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    assert_false(figures.lost);
    hg_status loaded = hg_engine_wait_adapters(engine, &error);
    if (loaded && !unreadable) fail_msg("%s", error.message);
    hg_engine_read_figures(engine, &figures);
    return figures;
}

/* A job of four lanes during which call number n of the device fails. */
static uint32_t lose_at(hg_engine *engine, unsigned n)
{
    prompt p[4];
    hg_lane_request lane[4];
    for (uint32_t i = 0; i < 4; i++) lane[i] = alora(&p[i], 20, i);
    lane[0].adapter = 1;
    return run_failing(engine, lane, 4, n, HG_ERROR_DEVICE);
}

static void run_well(hg_engine *engine)
{
    prompt p[3];
    hg_lane_request lane[3];
    for (uint32_t i = 0; i < 3; i++) lane[i] = alora(&p[i], 20, i + 1);
    run(engine, lane, 3);
    check_no_leak(engine);
}

/* The device fails at each of a job's calls in turn, and comes back each time. */
static void it_recovers_from_every_call(void **state)
{
    (void)state;
    hg_engine *engine = open_with(HG_DEVICE_RECOVER, &spare);
    uint32_t losses = 0;
    for (unsigned n = 1; n < 40; n++) {
        source[0] = (int32_t)(2 + n);
        uint32_t failed = lose_at(engine, n);
        hg_engine_figures figures = wait_served(engine);
        losses += failed > 0;
        assert_true(figures.losses >= losses);
        assert_int_equal(figures.losses, figures.recoveries);
        assert_int_equal(figures.adapters_ready, 3);
        assert_string_equal(figures.device.name, "fake");
        run_well(engine);
    }
    assert_true(losses > 10);
    assert_int_equal(fake.adapters, 3);
    close_engine(engine);
}

/* While a device is away jobs are refused at once, and what waits behind an upload starts anew. */
static void it_answers_while_it_is_away(void **state)
{
    (void)state;
    opens_that_work = 1;
    hg_engine *engine = open_with(HG_DEVICE_RECOVER, NULL);
    assert_true(lose_at(engine, 3) > 0);
    prompt p;
    hg_lane_request lane = alora(&p, 9, 1);
    expect_refused(engine, &lane, 1, HG_ERROR_DEVICE, "send again in a while");
    hg_error error = {0};
    assert_int_equal(hg_engine_drop_adapter(engine, 2, &error), HG_OK);
    while (hg_engine_adapter_state(engine, 2) != HG_ADAPTER_ABSENT)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_false(hg_engine_stopped(engine, &error));
    close_engine(engine); /* without waiting for the next try */
}

static void the_spare_takes_over_at_once(void **state)
{
    (void)state;
    hg_engine *engine = open_with(HG_DEVICE_FALLBACK, &spare);
    assert_true(lose_at(engine, 3) > 0);
    assert_string_equal(wait_served(engine).device.name, "spare");
    run_well(engine);
    close_engine(engine);
}

static void the_spare_takes_over_in_the_end(void **state)
{
    (void)state;
    opens_that_work = 1;
    hg_engine *engine = open_with(HG_DEVICE_RECOVER, &spare);
    assert_true(lose_at(engine, 3) > 0);
    assert_string_equal(wait_served(engine).device.name, "spare");
    assert_int_equal(opens, 1 + HG_LIMIT_DEVICE_TRIES);
    run_well(engine);
    close_engine(engine);
}

static void an_adapter_that_changed_fails_alone(void **state)
{
    (void)state;
    hg_engine *engine = open_with(HG_DEVICE_RECOVER, NULL);
    unreadable = 2;
    assert_true(lose_at(engine, 3) > 0);
    assert_int_equal(wait_served(engine).adapters_ready, 2);
    prompt p[2];
    hg_lane_request lane[2] = {alora(&p[0], 9, 1), alora(&p[1], 9, 2)};
    hg_job *job = submit(engine, lane, 2);
    wait_job(engine, job);
    check_lane(job, 0, &lane[0]);
    expect_failed(job, 1, HG_ERROR_FORMAT);
    hg_job_release(job);
    close_engine(engine);
}

/* What was posted while the last step ran waits for the next device, which has room for less. */
static void what_waits_for_a_smaller_device_runs_or_ends(void **state)
{
    (void)state;
    room_pages = 1000;
    hg_engine *engine = open_with(HG_DEVICE_RECOVER, NULL);
    prompt p[4];
    hg_lane_request first = alora(&p[0], 9, 1), small = alora(&p[1], 20, 3);
    hg_lane_request large[2] = {lora(&p[2], 300, 1), lora(&p[3], 300, 2)};
    close_gate();
    hg_job *lost = submit(engine, &first, 1);
    await_step(1);
    hg_job *waits = submit(engine, large, 2), *fits = submit(engine, &small, 1);
    room_pages = 40; /* one lane's, and an adapter */
    fake.fail_at = fake.calls + 1;
    allow_steps(1000);
    wait_job(engine, lost);
    wait_job(engine, waits);
    wait_job(engine, fits);
    expect_failed(lost, 0, HG_ERROR_DEVICE);
    expect_failed(waits, 0, HG_ERROR_LIMIT);
    expect_failed(waits, 1, HG_ERROR_LIMIT);
    check_lane(fits, 0, &small);
    expect_refused(engine, large, 2, HG_ERROR_LIMIT, "the pool has 32");
    hg_job_release(lost);
    hg_job_release(waits);
    hg_job_release(fits);
    close_engine(engine);
}

static void it_stops_where_it_is_told_to(void **state)
{
    (void)state;
    hg_error why;
    hg_engine *engine = open_with(HG_DEVICE_STOP, &spare);
    assert_false(hg_engine_stopped(engine, &why));
    assert_true(lose_at(engine, 3) > 0);
    assert_true(hg_engine_stopped(engine, &why));
    assert_non_null(strstr(why.message, "the fake device failed"));
    close_engine(engine);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, start)
    const struct CMUnitTest tests[] = {
        TEST(it_recovers_from_every_call),
        TEST(it_answers_while_it_is_away),
        TEST(the_spare_takes_over_at_once),
        TEST(the_spare_takes_over_in_the_end),
        TEST(an_adapter_that_changed_fails_alone),
        TEST(it_stops_where_it_is_told_to),
        TEST(what_waits_for_a_smaller_device_runs_or_ends),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
