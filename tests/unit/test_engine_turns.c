/* test_engine_turns.c: jobs of many sessions on the fake device: nobody's long texts hold up
 * another's sentence. Counted in steps, never in time.
 */
#include <string.h>

#include "tests/support/engine_help.h"

#define PASTE 450 /* tokens of a long prompt */

static const char session[8]; /* sessions are told apart by address */

/* Nine lanes of one sentence, each with an adapter of its own. */
typedef struct nine {
    prompt p[9];
    hg_lane_request lane[9];
    hg_job *job;
} nine;

static void make_nine(nine *n, uint32_t tokens, bool shared, int32_t first)
{
    for (uint32_t i = 0; i < 9; i++) {
        n->lane[i] = shared ? alora(&n->p[i], tokens, i + 1) : lora(&n->p[i], tokens, i + 1);
        n->p[i].token[0] = first;
        n->lane[i].stops = 0;
        n->lane[i].max_tokens = 30;
    }
}

static void send(hg_engine *engine, nine *n, const char *who)
{
    hg_error error = {0};
    const hg_job_request request = {.lane = n->lane, .lanes = 9, .session = who};
    if (hg_engine_submit(engine, &request, &n->job, &error)) fail_msg("%s", error.message);
}

static void finish(hg_engine *engine, nine *n)
{
    wait_job(engine, n->job);
    for (uint32_t i = 0; i < 9; i++) check_lane(n->job, i, &n->lane[i]);
    hg_job_release(n->job);
}

/* Lets steps through, from the one before which the engine stands, until all lanes of the job have
 * a token; returns how many that took. */
static uint32_t steps_to_first(const nine *n, unsigned at)
{
    for (uint32_t steps = 0;; steps++) {
        uint32_t have = 0;
        for (uint32_t i = 0; i < 9; i++) {
            hg_lane_state s;
            hg_job_read_lane(n->job, i, 0, NULL, 0, &s);
            have += s.tokens > 0;
        }
        if (have == 9) return steps;
        assert_true(steps < 100);
        allow_steps(at + steps);
        await_step(at + steps + 1);
    }
}

/* 4,050 prompt rows are under way: 16 steps of their own. A typed sentence comes: its source is
 * computed in the next step, its lanes in the one after; the step that is at work when it comes
 * makes three. */
static void a_paste_does_not_hold_up_a_sentence(void **state)
{
    (void)state;
    static nine paste, typed;
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 9);
    make_nine(&paste, PASTE, false, 2);
    for (uint32_t tokens = 5; tokens <= 60; tokens += 55) {
        close_gate();
        make_nine(&typed, tokens, true, (int32_t)tokens);
        paste.p[0].token[1] = (int32_t)tokens;
        for (uint32_t i = 0; i < 9; i++) paste.p[i].token[1] = (int32_t)tokens;
        send(engine, &paste, &session[0]);
        allow_steps(2);
        await_step(3);
        send(engine, &typed, &session[1]);
        assert_in_range(steps_to_first(&typed, 3), 1, 3);
        hg_lane_state s;
        hg_job_read_lane(paste.job, 8, 0, NULL, 0, &s);
        assert_int_equal(s.tokens, 0); /* the paste is not done with its prompts */
        allow_steps(UINT32_MAX);
        finish(engine, &typed);
        finish(engine, &paste);
        fake.before_forward = NULL;
    }
    check_no_leak(engine);
    close_engine(engine);
}

/* Without aLoRA the sentence's nine prompts are computed beside the nine long ones: a job's share
 * does not depend on the others' lanes. */
static void a_share_is_a_jobs(void **state)
{
    (void)state;
    static nine paste[3], typed;
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 9);
    for (int32_t j = 0; j < 3; j++) make_nine(&paste[j], PASTE, false, 2 + j);
    make_nine(&typed, 12, false, 60);
    close_gate();
    for (int j = 0; j < 3; j++) send(engine, &paste[j], &session[j]);
    allow_steps(2);
    await_step(3);
    send(engine, &typed, &session[3]);
    /* 9 * 13 rows, a quarter of 256 a step: two steps, and the one at work. */
    assert_in_range(steps_to_first(&typed, 3), 1, 3);
    allow_steps(UINT32_MAX);
    finish(engine, &typed);
    for (int j = 0; j < 3; j++) finish(engine, &paste[j]);
    close_engine(engine);
}

/* Eight jobs of one session: five run, and another's sentence finds room at once. */
static void a_session_leaves_room(void **state)
{
    (void)state;
    static nine many[8], typed;
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 9);
    close_gate();
    for (int32_t j = 0; j < 8; j++) {
        make_nine(&many[j], 40, true, 2 + j);
        send(engine, &many[j], &session[0]);
    }
    allow_steps(4);
    await_step(5);
    hg_engine_figures figures;
    hg_engine_read_figures(engine, &figures);
    assert_int_equal(figures.lanes, HG_LIMIT_SESSION_LANES / 9 * 9);
    make_nine(&typed, 10, true, 60);
    send(engine, &typed, &session[1]);
    assert_in_range(steps_to_first(&typed, 5), 1, 3);
    allow_steps(UINT32_MAX);
    finish(engine, &typed);
    for (int j = 0; j < 8; j++) finish(engine, &many[j]);
    assert_int_equal(fake.most_lanes, HG_LIMIT_SESSION_LANES / 9 * 9 + 9);
    check_no_leak(engine);
    close_engine(engine);
}

/* A pool that two jobs fill: of those that wait, the sessions with least running come first. */
static void sessions_take_turns(void **state)
{
    (void)state;
    static nine job[9];
    static const int who[9] = {0, 0, 0, 0, 0, 0, 1, 1, 2};
    hg_engine *engine = open_engine(2 * 9 * 4, NULL, NULL);
    add_adapters(engine, 9);
    close_gate();
    for (int32_t j = 0; j < 9; j++) {
        make_nine(&job[j], 20, false, 2 + j);
        send(engine, &job[j], &session[who[j]]);
        if (j == 0) await_step(1);
    }
    allow_steps(UINT32_MAX);
    int64_t start_us[9];
    for (int j = 0; j < 9; j++) {
        hg_job_state s;
        wait_job(engine, job[j].job);
        hg_job_read(job[j].job, &s);
        start_us[j] = s.start_us;
        finish(engine, &job[j]);
    }
    assert_true(start_us[6] < start_us[1] && start_us[8] < start_us[2]);
    assert_true(start_us[7] < start_us[3]);
    check_no_leak(engine);
    close_engine(engine);
}

/* A sentence that waits for room runs when there is some, however many shorter ones come. */
static void a_large_job_does_not_starve(void **state)
{
    (void)state;
    static nine small[12], large;
    hg_engine *engine = open_engine(9 * 6, NULL, NULL);
    add_adapters(engine, 9);
    close_gate();
    make_nine(&large, 60, false, 40);
    for (int32_t j = 0; j < 12; j++) make_nine(&small[j], 3, false, 2 + j);
    for (int j = 0; j < 2; j++) send(engine, &small[j], &session[j]);
    await_step(1);
    send(engine, &large, &session[2]);
    for (int j = 2; j < 12; j++) send(engine, &small[j], &session[3 + j % 4]);
    allow_steps(UINT32_MAX);
    hg_job_state first, other;
    wait_job(engine, large.job);
    hg_job_read(large.job, &first);
    for (int j = 2; j < 12; j++) {
        wait_job(engine, small[j].job);
        hg_job_read(small[j].job, &other);
        assert_true(first.start_us <= other.start_us);
    }
    finish(engine, &large);
    for (int j = 0; j < 12; j++) finish(engine, &small[j]);
    check_no_leak(engine);
    close_engine(engine);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup(name, make_source)
    const struct CMUnitTest tests[] = {
        TEST(a_paste_does_not_hold_up_a_sentence),
        TEST(a_share_is_a_jobs),
        TEST(a_session_leaves_room),
        TEST(sessions_take_turns),
        TEST(a_large_job_does_not_starve),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
