/* test_engine.c: the engine on the fake device, which shows any wrong page, slot or position. */
#include "tests/unit/engine_help.h"

static hg_lora_weights weights[HG_LIMIT_ADAPTER_SLOTS + 2];

static void count_release(void *owner)
{
    atomic_fetch_add((atomic_uint *)owner, 1);
}

static atomic_uint released;

/* Adds adapters 1 .. count and waits for them. */
static void add_adapters(hg_engine *engine, uint32_t count)
{
    hg_error error = {0};
    released = 0;
    for (uint32_t i = 0; i < count; i++) {
        weights[i] = fake_lora(i + 1);
        hg_status status =
            hg_engine_add_adapter(engine, i + 1, &weights[i], count_release, &released, &error);
        if (status) fail_msg("%s", error.message);
    }
    assert_int_equal(hg_engine_wait_adapters(engine, &error), HG_OK);
}

static int32_t text[FAKE_POSITIONS]; /* a long source; tests use its beginning */

static int make_text(void **state)
{
    (void)state;
    fake_reset();
    for (uint32_t i = 0; i < FAKE_POSITIONS; i++) text[i] = (int32_t)(2 + i * 31 % 90);
    return 0;
}

/* An aLoRA lane: tokens of the text, then its adapter's own token. */
typedef struct prompt {
    int32_t token[FAKE_POSITIONS];
} prompt;

static hg_lane_request alora(prompt *p, uint32_t tokens, uint64_t adapter)
{
    memcpy(p->token, text, tokens * sizeof *text);
    p->token[tokens] = (int32_t)(90 + adapter % 7);
    return (hg_lane_request){.adapter = adapter,
                             .prompt = p->token,
                             .prompt_tokens = tokens + 1,
                             .invocation = tokens,
                             .stop = fake_stops,
                             .stops = 1,
                             .max_tokens = 40,
                             .top_p = 1};
}

static hg_lane_request lora(prompt *p, uint32_t tokens, uint64_t adapter)
{
    hg_lane_request lane = alora(p, tokens, adapter);
    lane.invocation = 0;
    return lane;
}

static hg_job *submit(hg_engine *engine, const hg_lane_request *lane, uint32_t lanes)
{
    hg_error error = {0};
    hg_job *job = NULL;
    hg_status status = hg_engine_submit(engine, lane, lanes, &text, &job, &error);
    if (status) fail_msg("%s", error.message);
    assert_ptr_equal(hg_job_user(job), &text);
    return job;
}

/* Runs one job to its end, checks all outputs and counts, and returns its state. */
static hg_job_state run(hg_engine *engine, const hg_lane_request *lane, uint32_t lanes)
{
    hg_job *job = submit(engine, lane, lanes);
    wait_job(engine, job);
    uint32_t prompts = 0;
    for (uint32_t i = 0; i < lanes; i++) {
        check_lane(job, i, &lane[i]);
        prompts += lane[i].prompt_tokens;
    }
    hg_job_state state;
    hg_job_read(job, &state);
    assert_int_equal(state.prefill_tokens + state.shared_tokens, prompts);
    assert_true(state.submit_us <= state.start_us && state.start_us <= state.prefill_us);
    assert_true(state.prefill_us <= state.end_us);
    hg_job_release(job);
    return state;
}

/* All pages are free or idle when nothing runs. */
static void check_no_leak(hg_engine *engine)
{
    hg_engine_figures figures;
    hg_engine_read_figures(engine, &figures);
    assert_int_equal(figures.lanes, 0);
    assert_int_equal(figures.jobs, 0);
    assert_int_equal(figures.pages_free + figures.pages_cached, figures.pages);
}

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
        text[0] = (int32_t)(2 + tokens); /* nothing in common with the one before */
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

/* The same text, but the adapter acts from different places on: only what the base computed alone
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
        text[0] = (int32_t)(2 + j % 4);
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

static void expect_refused(hg_engine *engine, const hg_lane_request *lane, uint32_t lanes,
                           hg_status want, const char *part)
{
    hg_error error = {0};
    hg_job *job = NULL;
    assert_int_equal(hg_engine_submit(engine, lane, lanes, NULL, &job, &error), want);
    assert_null(job);
    if (!strstr(error.message, part)) fail_msg("\"%s\" lacks \"%s\"", error.message, part);
}

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

static void expect_failed(hg_job *job, uint32_t index, hg_status failure)
{
    hg_lane_state s;
    hg_job_read_lane(job, index, 0, NULL, 0, &s);
    assert_int_equal(s.status, HG_LANE_FAILED);
    assert_int_equal(s.failure, failure);
    assert_true(s.end_us > 0);
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
    assert_int_equal(hg_engine_add_adapter(engine, 1, &weights[0], NULL, NULL, &error), HG_OK);
    assert_int_equal(hg_engine_wait_adapters(engine, &error), HG_OK);
    hg_job_state s = run(engine, &lane, 1);
    assert_int_equal(s.shared_tokens, 0);
    assert_int_equal(hg_engine_add_adapter(engine, 1, &weights[0], NULL, NULL, &error),
                     HG_ERROR_STATE);
    assert_int_equal(hg_engine_add_adapter(engine, HG_NO_ADAPTER, &weights[0], NULL, NULL, &error),
                     HG_ERROR_ARGUMENT);
    close_engine(engine);
}

static void the_adapter_table_is_bounded(void **state)
{
    (void)state;
    hg_error error = {0};
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, HG_LIMIT_ADAPTER_SLOTS);
    assert_int_equal(hg_engine_add_adapter(engine, 999, &weights[0], NULL, NULL, &error),
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
    slow.bytes = (size_t)HG_LIMIT_ADAPTER_PIECE * 2000;
    assert_int_equal(hg_engine_add_adapter(engine, 5, &slow, NULL, NULL, &error), HG_OK);
    prompt p[2];
    hg_lane_request late = alora(&p[0], 9, 5), early = lora(&p[1], 9, HG_NO_ADAPTER);
    hg_job *waits = submit(engine, &late, 1), *passes = submit(engine, &early, 1);
    wait_job(engine, passes);
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
    assert_int_equal(hg_engine_add_adapter(engine, 7, &weights[0], NULL, NULL, &error),
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
        text[0] = (int32_t)(2 + n);
        for (uint32_t i = 0; i < 6; i++) lane[i] = alora(&p[i], 10 + n, i % 4 + 1);
        fake.fail_at = fake.calls + n;
        hg_job *job = submit(engine, lane, 6);
        wait_job(engine, job);
        for (uint32_t i = 0; i < 6; i++) {
            hg_lane_state s;
            hg_job_read_lane(job, i, 0, NULL, 0, &s);
            if (s.status == HG_LANE_OK)
                check_lane(job, i, &lane[i]);
            else
                expect_failed(job, i, HG_ERROR_MEMORY);
        }
        hg_job_release(job);
        check_no_leak(engine);
    }
    fake.fail_at = 0;
    prompt p;
    hg_lane_request lane = alora(&p, 30, 1);
    run(engine, &lane, 1);
    close_engine(engine);
}

/* The engine thread stops in before_forward until the test lets it go. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned arrived, allowed;
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, 0};

static void pass_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    gate.arrived++;
    pthread_cond_broadcast(&gate.changed);
    while (gate.allowed < gate.arrived) pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static void await_step(unsigned number)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.arrived < number) pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static void allow_steps(unsigned number)
{
    pthread_mutex_lock(&gate.lock);
    gate.allowed = number;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

static void close_gate(void)
{
    gate.arrived = gate.allowed = 0;
    fake.before_forward = pass_gate;
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
#define TEST(name) cmocka_unit_test_setup(name, make_text)
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
        TEST(bad_requests_are_refused),
        TEST(an_unknown_adapter_ends_its_lane_only),
        TEST(a_new_generation_has_new_kv),
        TEST(the_adapter_table_is_bounded),
        TEST(lanes_wait_for_their_adapter),
        TEST(a_failed_upload_fails_its_lanes),
        TEST(a_lost_device_ends_everything),
        TEST(a_device_that_does_not_open),
        TEST(failures_at_every_call),
        TEST(a_cancelled_leader_has_an_heir),
        TEST(cancel_is_idempotent_and_frees),
        TEST(jobs_are_bounded),
        TEST(lanes_of_a_step_are_bounded),
        TEST(news_and_close),
    };
#undef TEST
    return cmocka_run_group_tests(tests, NULL, NULL);
}
