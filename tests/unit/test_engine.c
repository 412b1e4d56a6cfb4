/* test_engine.c: what the engine gives, on the fake device: sharing, forks, prefixes, bounds. */
#include <string.h>

#include "tests/support/engine_help.h"

static void one_lane_on_the_base(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    prompt p;
    hg_lane_request lane = lora(&p, 20, HG_NO_ADAPTER);
    hg_job_state s = run(engine, &lane, 1);
    assert_int_equal(s.prefill_tokens, 21);
    s = run(engine, &lane, 1);
    assert_int_equal(s.prefill_tokens, 1); /* the last one is always computed */
    assert_int_equal(s.shared_tokens, 20);
    check_no_leak(engine);
    close_engine(engine);
}

static void nine_lanes_share_the_source(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 9);
    assert_int_equal(released, 9);
    for (uint32_t tokens = 1; tokens < 70; tokens++) {
        prompt p[9];
        hg_lane_request lane[9];
        source[0] = (int32_t)(2 + tokens); /* nothing in common with the one before */
        for (uint32_t i = 0; i < 9; i++) lane[i] = alora(&p[i], tokens, i + 1);
        hg_job_state s = run(engine, lane, 9);
        assert_int_equal(s.prefill_tokens, tokens + 9);
        assert_int_equal(s.shared_tokens, 8 * tokens);
        s = run(engine, lane, 9); /* again: the source is there already */
        assert_int_equal(s.prefill_tokens, 9);
    }
    check_no_leak(engine);
    close_engine(engine);
}

static void typing_on_computes_what_differs(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 3);
    for (uint32_t tokens = 2; tokens < 60; tokens += 3) {
        prompt p[3];
        hg_lane_request lane[3];
        for (uint32_t i = 0; i < 3; i++) lane[i] = alora(&p[i], tokens, i + 1);
        hg_job_state s = run(engine, lane, 3);
        assert_int_equal(s.prefill_tokens, (tokens == 2 ? 2 : 3) + 3);
    }
    check_no_leak(engine);
    close_engine(engine);
}

static void lora_lanes_prefill_for_themselves(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 2);
    prompt p[5];
    hg_lane_request lane[5] = {lora(&p[0], 33, 1), lora(&p[1], 33, 2), alora(&p[2], 33, 1),
                               lora(&p[3], 33, 1), lora(&p[4], 33, HG_NO_ADAPTER)};
    hg_job_state s = run(engine, lane, 5);
    assert_int_equal(s.prefill_tokens, 34 + 34 + 34 + 1 + 1);
    s = run(engine, lane, 5);
    assert_int_equal(s.prefill_tokens, 5);
    check_no_leak(engine);
    close_engine(engine);
}

/* The same source, but the adapter acts from different places on: only what the base computed alone
 * for both is shared. */
static void different_invocations(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 2);
    prompt p[4];
    hg_lane_request lane[4] = {alora(&p[0], 60, 1), alora(&p[1], 60, 1), alora(&p[2], 60, 2),
                               lora(&p[3], 60, 1)};
    lane[0].invocation = 20;
    lane[1].invocation = 45;
    lane[2].invocation = 37;
    for (int i = 0; i < 3; i++) run(engine, lane, 4);
    check_no_leak(engine);
    close_engine(engine);
}

static void long_prompts_are_cut(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 4);
    prompt p[4];
    hg_lane_request lane[4] = {lora(&p[0], 450, 1), lora(&p[1], 10, 2), lora(&p[2], 300, 3),
                               alora(&p[3], 470, 4)};
    run(engine, lane, 4);
    assert_int_equal(fake.most_rows, HG_LIMIT_STEP_ROWS);
    check_no_leak(engine);
    close_engine(engine);
}

static void sampling_is_the_same_in_any_company(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 9);
    prompt p[9];
    hg_lane_request lane[9];
    for (uint32_t i = 0; i < 9; i++) {
        lane[i] = alora(&p[i], 12, i + 1);
        lane[i].temperature = i % 3 ? 0.8f : 0;
        lane[i].top_p = 0.9f;
        lane[i].seed = i;
    }
    run(engine, lane, 9);
    for (uint32_t i = 0; i < 9; i++) run(engine, &lane[i], 1);
    close_engine(engine);
}

static int32_t ever_seven(uint32_t position)
{
    (void)position;
    return 7;
}

static void repetition_ends_a_lane(void **state)
{
    (void)state;
    fake.script = ever_seven;
    hg_engine *engine = open_engine(0, NULL, NULL);
    prompt p;
    hg_lane_request lane = lora(&p, 4, HG_NO_ADAPTER);
    hg_job *job = submit(engine, &lane, 1);
    wait_job(engine, job);
    hg_lane_state s;
    hg_job_read_lane(job, 0, 0, NULL, 0, &s);
    assert_int_equal(s.stop, HG_STOP_REPETITION);
    assert_int_equal(s.tokens, HG_LIMIT_REPETITION_SPAN + 1);
    hg_job_release(job);
    close_engine(engine);
}

/* A pool with room for one job at a time: they wait in order and prefixes make way. */
static void a_tiny_pool_serves_all_in_order(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(9, NULL, NULL);
    add_adapters(engine, 3);
    prompt p[20][2];
    hg_lane_request lane[20][2];
    hg_job *job[20];
    for (uint32_t j = 0; j < 20; j++) {
        source[0] = (int32_t)(2 + j % 4);
        for (uint32_t i = 0; i < 2; i++) {
            lane[j][i] = alora(&p[j][i], 20 + j, i + 1);
            lane[j][i].max_tokens = 16 + j % 8;
        }
        job[j] = submit(engine, lane[j], 2);
    }
    int64_t before_us = 0;
    for (uint32_t j = 0; j < 20; j++) {
        wait_job(engine, job[j]);
        for (uint32_t i = 0; i < 2; i++) check_lane(job[j], i, &lane[j][i]);
        hg_job_state s;
        hg_job_read(job[j], &s);
        assert_true(s.start_us >= before_us);
        before_us = s.start_us;
        hg_job_release(job[j]);
    }
    check_no_leak(engine);
    close_engine(engine);
}

/* The pool holds exactly one job, and a prefix of it besides nothing: reuse must give way. */
static void a_full_pool_never_blocks(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(4, NULL, NULL);
    prompt p;
    for (uint32_t tokens = 20; tokens < 40; tokens++) {
        hg_lane_request lane = lora(&p, tokens, HG_NO_ADAPTER);
        lane.max_tokens = 64 - tokens - 1;
        run(engine, &lane, 1);
    }
    check_no_leak(engine);
    close_engine(engine);
}

static void jobs_are_bounded(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    hg_job *job[HG_LIMIT_JOBS];
    prompt p;
    hg_lane_request lane = lora(&p, 9, HG_NO_ADAPTER);
    close_gate();
    for (uint32_t i = 0; i < HG_LIMIT_JOBS; i++) job[i] = submit(engine, &lane, 1);
    expect_refused(engine, &lane, 1, HG_ERROR_STATE, "64 jobs");
    allow_steps(UINT32_MAX);
    for (uint32_t i = 0; i < HG_LIMIT_JOBS; i++) {
        wait_job(engine, job[i]);
        check_lane(job[i], 0, &lane);
        hg_job_release(job[i]);
    }
    run(engine, &lane, 1);
    close_engine(engine);
}

static void lanes_of_a_step_are_bounded(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 32);
    prompt p[32];
    hg_lane_request lane[32];
    hg_job *job[4];
    for (uint32_t i = 0; i < 32; i++) lane[i] = alora(&p[i], 20, i + 1);
    close_gate();
    for (uint32_t j = 0; j < 4; j++) job[j] = submit(engine, lane, 32);
    allow_steps(UINT32_MAX);
    for (uint32_t j = 0; j < 4; j++) {
        wait_job(engine, job[j]);
        for (uint32_t i = 0; i < 32; i++) check_lane(job[j], i, &lane[i]);
        hg_job_release(job[j]);
    }
    assert_in_range(fake.most_lanes, 33, HG_LIMIT_STEP_LANES);
    check_no_leak(engine);
    close_engine(engine);
}

/* A job stands in the news once, however much it has; close leaves held jobs readable. */
static void news_and_close(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    prompt p;
    hg_lane_request lane = lora(&p, 9, HG_NO_ADAPTER);
    close_gate();
    hg_job *job = submit(engine, &lane, 1), *stays = submit(engine, &lane, 1);
    assert_null(hg_engine_next_news(engine, 0));
    assert_null(hg_engine_next_news(engine, 1));
    allow_steps(2);
    await_step(3); /* after two steps both have news */
    hg_job *first = hg_engine_next_news(engine, 1000), *second = hg_engine_next_news(engine, 1000);
    assert_true((first == job && second == stays) || (first == stays && second == job));
    assert_null(hg_engine_next_news(engine, 0));
    hg_job_release(first);
    hg_job_release(second);
    hg_job_release(job);
    hg_engine_cancel(engine, stays, HG_ALL_LANES);
    allow_steps(UINT32_MAX);
    close_engine(engine);
    hg_job_state s;
    hg_lane_state l;
    int32_t token[8];
    hg_job_read(stays, &s);
    assert_true(s.ended);
    assert_true(hg_job_read_lane(stays, 0, 1, token, 8, &l) <= 8);
    assert_true(l.status == HG_LANE_CANCELLED || l.status == HG_LANE_OK);
    hg_job_release(stays);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, make_source)
    const struct CMUnitTest tests[] = {
        TEST(one_lane_on_the_base),
        TEST(nine_lanes_share_the_source),
        TEST(typing_on_computes_what_differs),
        TEST(lora_lanes_prefill_for_themselves),
        TEST(different_invocations),
        TEST(long_prompts_are_cut),
        TEST(sampling_is_the_same_in_any_company),
        TEST(repetition_ends_a_lane),
        TEST(a_tiny_pool_serves_all_in_order),
        TEST(a_full_pool_never_blocks),
        TEST(jobs_are_bounded),
        TEST(lanes_of_a_step_are_bounded),
        TEST(news_and_close),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
