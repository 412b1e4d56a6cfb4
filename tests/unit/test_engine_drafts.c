/* test_engine_drafts.c: drafts on the fake device: whatever a draft says, a lane's tokens are those
 * of plain decoding; what holds is counted, and saves steps.
 */
#include <string.h>

#include "tests/support/engine_help.h"

typedef struct drafted {
    prompt p;
    int32_t draft[FAKE_POSITIONS];
    hg_lane_request lane;
} drafted;

/* An aLoRA lane without stop tokens, so that its output has max_tokens tokens. */
static void make_lane(drafted *d, uint32_t tokens, uint64_t adapter, uint32_t most)
{
    d->lane = alora(&d->p, tokens, adapter);
    d->lane.stops = 0;
    d->lane.max_tokens = most;
}

static hg_lane_state run_one(hg_engine *engine, const hg_lane_request *lane)
{
    hg_lane_state state;
    hg_job *job = submit(engine, lane, 1);
    wait_job(engine, job);
    check_lane(job, 0, lane);
    hg_job_read_lane(job, 0, 0, NULL, 0, &state);
    hg_job_release(job);
    return state;
}

/* Outputs of all lengths, with drafts that go wrong at every distance, cut at every length. */
static void no_draft_changes_a_token(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 3);
    static drafted d;
    for (uint32_t most = 1; most < 36; most++) {
        for (uint32_t at = 0; at < 9; at++) {
            make_lane(&d, 3 + (most + at) % 20, 1 + at % 3, most);
            give_draft(&d.lane, at, d.draft);
            d.lane.draft_tokens -= d.lane.draft_tokens * (most % 3) / 3;
            hg_lane_state s = run_one(engine, &d.lane);
            assert_true(s.accepted <= s.drafted && s.accepted < most);
        }
    }
    check_no_leak(engine);
    close_engine(engine);
}

/* Stops, sampling, and a draft of nothing but wrong tokens, in jobs of nine beside each other. */
static void nor_in_company(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 9);
    static drafted d[4][9];
    for (uint32_t round = 0; round < 20; round++) {
        hg_job *job[4];
        hg_lane_request lane[4][9];
        for (uint32_t j = 0; j < 4; j++) {
            source[0] = (int32_t)(2 + round % 7 + j);
            for (uint32_t i = 0; i < 9; i++) {
                d[j][i].lane = (i + j) % 4 ? alora(&d[j][i].p, 10 + round, i + 1)
                                           : lora(&d[j][i].p, 10 + round, i + 1);
                if (i % 5 == 4) d[j][i].lane.temperature = 0.8f;
                give_draft(&d[j][i].lane, (i + round) % 6, d[j][i].draft);
                if (i == 7) memset(d[j][i].draft, 0, sizeof d[j][i].draft);
                lane[j][i] = d[j][i].lane;
            }
            job[j] = submit(engine, lane[j], 9);
        }
        for (uint32_t j = 0; j < 4; j++) {
            wait_job(engine, job[j]);
            for (uint32_t i = 0; i < 9; i++) check_lane(job[j], i, &lane[j][i]);
            hg_job_release(job[j]);
        }
    }
    check_no_leak(engine);
    close_engine(engine);
}

static void a_right_draft_saves_steps(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    static drafted d;
    make_lane(&d, 20, HG_NO_ADAPTER, 40);
    give_draft(&d.lane, 0, d.draft);
    hg_lane_state s = run_one(engine, &d.lane);
    /* Prompt and drafts begin in the same step; each gives DRAFT_ROWS tokens and one. */
    uint32_t steps = (40 + HG_LIMIT_DRAFT_ROWS) / (HG_LIMIT_DRAFT_ROWS + 1);
    assert_int_equal(fake.forwards, steps);
    assert_int_equal(s.drafted, s.accepted);
    assert_int_equal(s.accepted, 40 - steps);
    hg_engine_figures figures;
    hg_engine_read_figures(engine, &figures);
    assert_int_equal(figures.drafted_tokens, s.drafted);
    assert_int_equal(figures.accepted_tokens, s.accepted);
    assert_int_equal(figures.decode_tokens, 40);
    close_engine(engine);
}

/* A token changed, left out and put in: the draft is found again behind each. */
static void a_draft_is_found_again(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    static drafted d;
    make_lane(&d, 20, HG_NO_ADAPTER, 48);
    give_draft(&d.lane, 12, d.draft);
    hg_lane_state s = run_one(engine, &d.lane);
    assert_in_range(s.accepted, 24, 47);
    assert_in_range(fake.forwards, 6, 24);
    close_engine(engine);
}

/* What rows cost decides how many are tried: of a right draft fewer, or none beside others. */
static void costly_rows_are_not_tried(void **state)
{
    (void)state;
    static drafted d[9];
    hg_lane_request lane[9];
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 9);
    for (uint32_t i = 0; i < 9; i++) {
        make_lane(&d[i], 20, i + 1, 30);
        give_draft(&d[i].lane, 0, d[i].draft);
        lane[i] = d[i].lane;
    }
    static const double cost[] = {0, 0.1, 0.5, 2, 16};
    static const uint32_t most[] = {8, 8, 4, 1, 0}; /* 0.78^n not below cost / (1 + cost) */
    for (int i = 0; i < 5; i++) {
        fake.row_cost = cost[i];
        uint32_t before = fake.forwards;
        hg_lane_state s = run_one(engine, &lane[0]);
        assert_int_equal(s.drafted, s.accepted);
        assert_int_equal(fake.forwards - before, (30 + most[i]) / (most[i] + 1));
    }
    fake.row_cost = 0.5; /* nine lanes: a row must hold with 82 % */
    hg_engine_figures before, after;
    hg_engine_read_figures(engine, &before);
    run(engine, lane, 9);
    hg_engine_read_figures(engine, &after);
    assert_int_equal(after.drafted_tokens, before.drafted_tokens);
    close_engine(engine);
}

static void never_means_never(void **state)
{
    (void)state;
    static drafted d;
    hg_error error = {0};
    hg_engine *engine;
    hg_engine_options options = {
        .api = &fake_api, .weights = &fake_weights, .drafts = HG_DRAFTS_NEVER};
    assert_int_equal(hg_engine_open(&options, &engine, &error), HG_OK);
    make_lane(&d, 20, HG_NO_ADAPTER, 30);
    give_draft(&d.lane, 0, d.draft);
    assert_int_equal(run_one(engine, &d.lane).drafted, 0);
    assert_int_equal(fake.forwards, 30);
    close_engine(engine);
}

/* Without anything in common a draft costs one row after another at most, and ends nothing. */
static void a_wrong_draft_costs_little(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    static drafted d;
    make_lane(&d, 20, HG_NO_ADAPTER, 30);
    d.lane.draft = d.draft;
    d.lane.draft_tokens = 30;
    memset(d.draft, 0, sizeof d.draft);
    hg_lane_state s = run_one(engine, &d.lane);
    assert_int_equal(s.drafted, HG_LIMIT_DRAFT_ROWS);
    assert_int_equal(s.accepted, 0);
    assert_int_equal(fake.forwards, 30);
    close_engine(engine);
}

/* A draft ends where a stop token stands in it, and a lane that samples has none. */
static void what_a_draft_may_hold(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    static drafted d;
    make_lane(&d, 20, HG_NO_ADAPTER, 9);
    give_draft(&d.lane, 0, d.draft);
    d.lane.stop = &d.draft[4];
    d.lane.stops = 1;
    hg_lane_state s = run_one(engine, &d.lane);
    assert_int_equal(s.stop, HG_STOP_EOS);
    assert_int_equal(s.drafted, s.tokens);
    assert_int_equal(s.accepted, s.tokens);
    d.lane.temperature = 0.5f;
    s = run_one(engine, &d.lane);
    assert_int_equal(s.drafted, 0);
    d.lane.temperature = 0;
    d.draft[3] = FAKE_VOCABULARY;
    expect_refused(engine, &d.lane, 1, HG_ERROR_ARGUMENT, "draft");
    d.lane.draft_tokens = HG_LIMIT_LANE_TOKENS + 1;
    expect_refused(engine, &d.lane, 1, HG_ERROR_LIMIT, "draft");
    close_engine(engine);
}

static int32_t ever_seven(uint32_t position)
{
    (void)position;
    return 7;
}

/* The guard sees drafted tokens one by one: the lane ends where it would without. */
static void the_guard_stays(void **state)
{
    (void)state;
    fake.script = ever_seven;
    hg_engine *engine = open_engine(0, NULL, NULL);
    static drafted d;
    make_lane(&d, 4, HG_NO_ADAPTER, 60);
    for (uint32_t i = 0; i < 60; i++) d.draft[i] = 7;
    d.lane.draft = d.draft;
    d.lane.draft_tokens = 60;
    hg_job *job = submit(engine, &d.lane, 1);
    wait_job(engine, job);
    hg_lane_state s;
    hg_job_read_lane(job, 0, 0, NULL, 0, &s);
    assert_int_equal(s.stop, HG_STOP_REPETITION);
    assert_int_equal(s.tokens, HG_LIMIT_REPETITION_SPAN + 1);
    assert_true(s.accepted < s.tokens);
    hg_job_release(job);
    close_engine(engine);
}

/* Drafts of full lanes beside a long prompt: the prompt keeps half of what decoding leaves. */
static void drafts_leave_room_for_prompts(void **state)
{
    (void)state;
    hg_engine *engine = open_engine(0, NULL, NULL);
    static drafted d[32];
    prompt p;
    hg_lane_request lane[32], paste = lora(&p, 450, HG_NO_ADAPTER);
    for (uint32_t i = 0; i < 32; i++) {
        make_lane(&d[i], 3, HG_NO_ADAPTER, 40);
        d[i].p.token[3] = (int32_t)(40 + i);
        give_draft(&d[i].lane, 0, d[i].draft);
        lane[i] = d[i].lane;
    }
    paste.max_tokens = 1;
    close_gate();
    hg_job *job = submit(engine, lane, 32);
    allow_steps(2);
    await_step(3); /* all decode */
    hg_job *long_one = submit(engine, &paste, 1);
    uint32_t rows = fake.rows;
    allow_steps(4);
    await_step(5);
    uint32_t least = (HG_LIMIT_STEP_ROWS - 32) / 2;
    hg_job_state s;
    hg_job_read(long_one, &s);
    assert_in_range(s.prefill_tokens, least, HG_LIMIT_STEP_ROWS);
    assert_true(fake.rows - rows <= 2 * HG_LIMIT_STEP_ROWS);
    allow_steps(UINT32_MAX);
    wait_job(engine, job);
    for (uint32_t i = 0; i < 32; i++) check_lane(job, i, &lane[i]);
    hg_job_release(job);
    wait_job(engine, long_one);
    check_lane(long_one, 0, &paste);
    hg_job_release(long_one);
    assert_true(fake.most_rows <= HG_LIMIT_STEP_ROWS);
    close_engine(engine);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, make_source)
    const struct CMUnitTest tests[] = {
        TEST(no_draft_changes_a_token),
        TEST(nor_in_company),
        TEST(a_right_draft_saves_steps),
        TEST(a_draft_is_found_again),
        TEST(a_wrong_draft_costs_little),
        TEST(what_a_draft_may_hold),
        TEST(costly_rows_are_not_tried),
        TEST(never_means_never),
        TEST(the_guard_stays),
        TEST(drafts_leave_room_for_prompts),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
