/* test_engine_threads.c: many threads at one engine, seeded, on the fake device.
 *
 * Submitters send random jobs, cancel some of them, and check every lane that ended well against
 * what its request alone must give. One thread adds and drops adapters all the while, one reads
 * the news. Run under ThreadSanitizer this is the test of the engine's locks.
 */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/engine_help.h"

#define THREADS  6
#define JOBS     150
#define STEADY   8 /* adapters 1 .. STEADY stay, the others up to ADAPTERS come and go */
#define ADAPTERS 12
#define MOST     9  /* lanes of a job */
#define PROMPT   70 /* most tokens of a prompt */

static hg_engine *engine;
static atomic_bool stop_helpers;
static atomic_uint rings, news, ended_ok, ended_otherwise, refused;
static bool device_may_fail;

/* Each thread's own numbers: xorshift, so that a run can be repeated as far as threads allow. */
static uint32_t draw(uint64_t *state, uint32_t below)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (uint32_t)(*state >> 33) % below;
}

static void ring(void *context)
{
    (void)context;
    atomic_fetch_add(&rings, 1);
}

static void *read_news(void *argument)
{
    (void)argument;
    while (!stop_helpers) {
        hg_job *job = hg_engine_next_news(engine, 5);
        if (job) atomic_fetch_add(&news, 1);
        hg_job_release(job);
    }
    return NULL;
}

/* Adds and drops; the weights die with their release, so a late read shows. */
static void *change_adapters(void *argument)
{
    uint64_t random = (uintptr_t)argument;
    while (!stop_helpers) {
        uint64_t key = STEADY + 1 + draw(&random, ADAPTERS - STEADY);
        hg_error error;
        hg_lora_weights *weights = malloc(sizeof *weights);
        *weights = fake_lora(key);
        if (hg_engine_add_adapter(engine, key, weights, free, weights, &error)) {
            free(weights);
            hg_status status = hg_engine_drop_adapter(engine, key, &error);
            (void)status; /* it may be leaving already */
        }
        usleep(draw(&random, 300));
    }
    return NULL;
}

typedef struct job_case {
    hg_lane_request lane[MOST];
    int32_t token[MOST][PROMPT + 1], draft[MOST][FAKE_POSITIONS];
    uint32_t lanes;
} job_case;

/* Prompts come from few texts of few tokens, so that much can be shared. */
static void draw_job(uint64_t *random, job_case *c)
{
    int32_t text[PROMPT];
    uint32_t tokens = 1 + draw(random, PROMPT - 1), kind = draw(random, 3);
    for (uint32_t i = 0; i < PROMPT; i++) text[i] = (int32_t)(2 + (i * 7 + kind) % 90);
    if (draw(random, 2)) text[tokens - 1] = 95;
    c->lanes = 1 + draw(random, MOST);
    for (uint32_t i = 0; i < c->lanes; i++) {
        uint64_t adapter = draw(random, 8) ? 1 + draw(random, ADAPTERS) : HG_NO_ADAPTER;
        memcpy(c->token[i], text, tokens * sizeof *text);
        c->token[i][tokens] = (int32_t)(2 + adapter);
        c->lane[i] = (hg_lane_request){.adapter = adapter,
                                       .prompt = c->token[i],
                                       .prompt_tokens = tokens + 1,
                                       .invocation = draw(random, 4) ? tokens : 0,
                                       .stop = fake_stops,
                                       .stops = 1,
                                       .max_tokens = 1 + draw(random, 60),
                                       .temperature = draw(random, 5) ? 0 : 0.9f,
                                       .top_p = 0.95f,
                                       .seed = draw(random, 3)};
        if (draw(random, 2)) give_draft(&c->lane[i], draw(random, 12), c->draft[i]);
    }
}

static void wait_end(hg_job *job)
{
    hg_job_state state;
    for (hg_job_read(job, &state); !state.ended; hg_job_read(job, &state)) usleep(100);
    assert_true(state.end_us >= state.submit_us);
}

/* Every lane has ended; one that did well has the tokens it must have. */
static void check_job(hg_job *job, const job_case *c, bool cancelled)
{
    uint32_t prompts = 0, good = 0;
    for (uint32_t i = 0; i < c->lanes; i++) {
        hg_lane_state s;
        hg_job_read_lane(job, i, 0, NULL, 0, &s);
        prompts += c->lane[i].prompt_tokens;
        if (s.status == HG_LANE_OK) {
            check_lane(job, i, &c->lane[i]);
            good++;
        } else if (s.status == HG_LANE_CANCELLED) {
            assert_true(cancelled);
        } else {
            assert_int_equal(s.status, HG_LANE_FAILED);
            bool missing = c->lane[i].adapter > STEADY && s.failure == HG_ERROR_NOT_FOUND;
            assert_true(missing || (device_may_fail && s.failure == fake.fail_status));
        }
    }
    hg_job_state state;
    hg_job_read(job, &state);
    assert_true(state.prefill_tokens + state.shared_tokens <= prompts);
    if (good == c->lanes) assert_int_equal(state.prefill_tokens + state.shared_tokens, prompts);
    atomic_fetch_add(&ended_ok, good);
    atomic_fetch_add(&ended_otherwise, c->lanes - good);
}

static void *send_jobs(void *argument)
{
    uint64_t random = (uintptr_t)argument * 0x9E3779B97F4A7C15u;
    for (int n = 0; n < JOBS; n++) {
        static _Thread_local job_case c;
        hg_error error = {0};
        hg_job *job = NULL;
        draw_job(&random, &c);
        const hg_job_request request = {
            .lane = c.lane, .lanes = c.lanes, .session = n % 2 ? argument : NULL};
        if (hg_engine_submit(engine, &request, &job, &error)) {
            assert_true(error.status == HG_ERROR_STATE ||
                        (device_may_fail && error.status == HG_ERROR_DEVICE));
            atomic_fetch_add(&refused, 1);
            continue;
        }
        uint32_t cancel = draw(&random, 4);
        usleep(draw(&random, 200));
        if (cancel == 1) hg_engine_cancel(engine, job, HG_ALL_LANES);
        if (cancel == 2) hg_engine_cancel(engine, job, draw(&random, c.lanes));
        wait_end(job);
        check_job(job, &c, cancel == 1 || cancel == 2);
        hg_engine_cancel(engine, job, 0); /* after the end: nothing */
        hg_job_release(job);
    }
    return NULL;
}

static void start_engine(uint32_t pages)
{
    static hg_lora_weights steady[STEADY];
    hg_error error = {0};
    stop_helpers = false;
    rings = news = ended_ok = ended_otherwise = refused = 0;
    engine = open_engine(pages, ring, NULL);
    for (uint32_t i = 0; i < STEADY; i++) {
        steady[i] = fake_lora(i + 1);
        hg_status status = hg_engine_add_adapter(engine, i + 1, &steady[i], NULL, NULL, &error);
        assert_int_equal(status, HG_OK);
    }
    assert_int_equal(hg_engine_wait_adapters(engine, &error), HG_OK);
}

static void run_threads(void)
{
    pthread_t sender[THREADS], helper[2];
    pthread_create(&helper[0], NULL, read_news, NULL);
    pthread_create(&helper[1], NULL, change_adapters, (void *)77);
    for (uintptr_t i = 0; i < THREADS; i++)
        pthread_create(&sender[i], NULL, send_jobs, (void *)(i + 1));
    for (int i = 0; i < THREADS; i++) pthread_join(sender[i], NULL);
    stop_helpers = true;
    for (int i = 0; i < 2; i++) pthread_join(helper[i], NULL);
}

static void check_all_given_back(void)
{
    hg_engine_figures figures;
    hg_engine_read_figures(engine, &figures);
    assert_int_equal(figures.jobs, 0);
    assert_int_equal(figures.lanes, 0);
    assert_int_equal(figures.pages_free + figures.pages_cached, figures.pages);
}

static int reset(void **state)
{
    (void)state;
    fake_reset();
    device_may_fail = false;
    return 0;
}

static void random_jobs(void **state)
{
    (void)state;
    start_engine(130); /* two large jobs at most: admission and eviction are busy */
    run_threads();
    check_all_given_back();
    assert_true(ended_ok > 300 && ended_otherwise > 50);
    assert_true(news > 0 && rings > 0);
    assert_int_equal(refused, 0);
    close_engine(engine);
}

static void random_jobs_on_a_faulty_device(void **state)
{
    (void)state;
    static const unsigned every[] = {11, 37, 200};
    for (int i = 0; i < 3; i++) {
        fake_reset();
        fake.fail_status = HG_ERROR_MEMORY;
        device_may_fail = true;
        start_engine(200);
        fake.fail_every = every[i];
        run_threads();
        check_all_given_back();
        assert_true(ended_ok > 0);
        close_engine(engine);
    }
}

static void a_device_is_lost_among_threads(void **state)
{
    (void)state;
    fake.fail_status = HG_ERROR_DEVICE;
    device_may_fail = true;
    start_engine(200);
    fake.fail_at = fake.calls + 300;
    run_threads();
    check_all_given_back();
    assert_true(refused > 0);
    close_engine(engine);
}

/* Closing ends what runs; held jobs stay readable and say so. */
static void close_while_jobs_run(void **state)
{
    (void)state;
    uint64_t random = 5;
    for (int round = 0; round < 30; round++) {
        static job_case c[10];
        hg_job *job[10];
        hg_error error;
        start_engine(200);
        for (int i = 0; i < 10; i++) {
            draw_job(&random, &c[i]);
            const hg_job_request request = {.lane = c[i].lane, .lanes = c[i].lanes};
            hg_status status = hg_engine_submit(engine, &request, &job[i], &error);
            assert_int_equal(status, HG_OK);
        }
        usleep(draw(&random, 400));
        close_engine(engine);
        for (int i = 0; i < 10; i++) {
            wait_end(job[i]);
            check_job(job[i], &c[i], true);
            hg_job_release(job[i]);
        }
    }
}

/* Who reads the news only after a ring misses nothing. */
static void the_doorbell_suffices(void **state)
{
    (void)state;
    uint64_t random = 9;
    unsigned seen = 0;
    start_engine(0);
    for (int n = 0; n < 100; n++) {
        static job_case c;
        hg_error error;
        hg_job *job, *heard;
        hg_job_state s = {0};
        draw_job(&random, &c);
        const hg_job_request request = {.lane = c.lane, .lanes = c.lanes};
        assert_int_equal(hg_engine_submit(engine, &request, &job, &error), HG_OK);
        while (!s.ended) {
            while (rings == seen) sched_yield();
            seen = rings;
            while ((heard = hg_engine_next_news(engine, 0))) {
                assert_ptr_equal(heard, job);
                hg_job_read(heard, &s);
                hg_job_release(heard);
            }
        }
        check_job(job, &c, false);
        hg_job_release(job);
    }
    close_engine(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(random_jobs, reset),
        cmocka_unit_test_setup(random_jobs_on_a_faulty_device, reset),
        cmocka_unit_test_setup(a_device_is_lost_among_threads, reset),
        cmocka_unit_test_setup(close_while_jobs_run, reset),
        cmocka_unit_test_setup(the_doorbell_suffices, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
