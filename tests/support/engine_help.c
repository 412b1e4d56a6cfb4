/* engine_help.c: opening on the fake device, requests, running a job and checking all of it. */
#include "tests/support/engine_help.h"

#include <pthread.h>
#include <string.h>

#include "core/engine/guard.h"
#include "core/engine/sample.h"

const int32_t fake_stops[1] = {FAKE_STOP};

/* An adapter of the fake device is known by its rank: its key. */
hg_lora_weights fake_lora(uint64_t key)
{
    return (hg_lora_weights){
        .layers = 1, .rank_max = (uint32_t)key, .bytes = HG_LIMIT_ADAPTER_PIECE * 2 + 1};
}

hg_engine *open_engine(uint32_t pages, void (*doorbell)(void *), void *context)
{
    hg_error error = {0};
    hg_engine *engine = NULL;
    hg_engine_options options = {.api = &fake_api,
                                 .weights = &fake_weights,
                                 .plan = {.pages = pages},
                                 .recovery = {.policy = HG_DEVICE_STOP},
                                 .doorbell = doorbell,
                                 .doorbell_context = context};
    hg_status status = hg_engine_open(&options, &engine, &error);
    if (status) fail_msg("%s", error.message);
    return engine;
}

void close_engine(hg_engine *engine)
{
    hg_engine_close(engine);
    if (fake.violations) fail_msg("%u violations: %s", fake.violations, fake.first_violation);
}

/* The output that a lane must have, computed from its request alone. Returns its length. */
uint32_t expect_output(const hg_lane_request *lane, int32_t *output, hg_stop *stop)
{
    int32_t token[FAKE_POSITIONS];
    float logits[FAKE_VOCABULARY];
    hg_candidate scratch[FAKE_VOCABULARY];
    hg_guard guard = {0};
    uint32_t known = lane->prompt_tokens;
    memcpy(token, lane->prompt, known * sizeof *token);
    for (uint32_t n = 0;; n++) {
        uint64_t sum = fake_sum(token, known, lane->invocation, lane->adapter);
        int32_t next = fake_token(sum, known - 1, FAKE_VOCABULARY);
        if (lane->temperature > 0) {
            fake_logits(sum, next, FAKE_VOCABULARY, logits);
            hg_sampling how = {lane->temperature, lane->top_p, lane->seed, known};
            next = hg_sample(logits, FAKE_VOCABULARY, &how, scratch);
        }
        *stop = HG_STOP_EOS;
        for (uint32_t i = 0; i < lane->stops; i++)
            if (lane->stop[i] == next) return n;
        output[n] = token[known++] = next;
        *stop = HG_STOP_REPETITION;
        if (hg_guard_fires(&guard, output, n + 1)) return n + 1;
        *stop = HG_STOP_LENGTH;
        if (n + 1 == lane->max_tokens) return n + 1;
    }
}

void give_draft(hg_lane_request *lane, uint32_t at, int32_t *draft)
{
    int32_t output[FAKE_POSITIONS];
    hg_stop stop;
    uint32_t tokens = expect_output(lane, output, &stop), count = 0, edits = 0;
    for (uint32_t i = 0; i < tokens && count + 1 < FAKE_POSITIONS; i++) {
        bool edit = at && i % at == at - 1;
        uint32_t kind = edit ? edits++ % 3 : 3;
        if (kind == 0) draft[count++] = output[i] % 90 + 2;
        if (kind == 2) draft[count++] = output[i] % 80 + 5;
        if (kind > 1) draft[count++] = output[i];
    }
    lane->draft = draft;
    lane->draft_tokens = count;
}

/* Waits for the end of one job through the news of an engine that runs no other. */
void wait_job(hg_engine *engine, hg_job *job)
{
    hg_job_state state;
    for (;;) {
        hg_job_read(job, &state);
        if (state.ended) break;
        hg_job *news = hg_engine_next_news(engine, 10000);
        hg_job_release(news);
    }
}

void check_lane(hg_job *job, uint32_t index, const hg_lane_request *lane)
{
    int32_t want[FAKE_POSITIONS], have[FAKE_POSITIONS];
    hg_stop stop;
    hg_lane_state state;
    uint32_t tokens = expect_output(lane, want, &stop);
    uint32_t count = hg_job_read_lane(job, index, 0, have, FAKE_POSITIONS, &state);
    assert_int_equal(state.status, HG_LANE_OK);
    assert_int_equal(state.stop, stop);
    assert_int_equal(count, tokens);
    assert_int_equal(state.tokens, tokens);
    if (tokens) assert_memory_equal(have, want, tokens * sizeof *want);
}

atomic_uint released;
hg_lora_weights adapter_weights[HG_LIMIT_ADAPTER_SLOTS];

void count_release(void *owner)
{
    atomic_fetch_add((atomic_uint *)owner, 1);
}

/* Adds adapters 1 .. count and waits for them. */
void add_adapters(hg_engine *engine, uint32_t count)
{
    hg_error error = {0};
    released = 0;
    for (uint32_t i = 0; i < count; i++) {
        adapter_weights[i] = fake_lora(i + 1);
        hg_status status = hg_engine_add_adapter(engine, i + 1, &adapter_weights[i], count_release,
                                                 &released, &error);
        if (status) fail_msg("%s", error.message);
    }
    assert_int_equal(hg_engine_wait_adapters(engine, &error), HG_OK);
}

int32_t source[FAKE_POSITIONS];

int make_source(void **state)
{
    (void)state;
    fake_reset();
    for (uint32_t i = 0; i < FAKE_POSITIONS; i++) source[i] = (int32_t)(2 + i * 31 % 90);
    return 0;
}

hg_lane_request alora(prompt *p, uint32_t tokens, uint64_t adapter)
{
    memcpy(p->token, source, tokens * sizeof *source);
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

hg_lane_request lora(prompt *p, uint32_t tokens, uint64_t adapter)
{
    hg_lane_request lane = alora(p, tokens, adapter);
    lane.invocation = 0;
    return lane;
}

hg_job *submit(hg_engine *engine, const hg_lane_request *lane, uint32_t lanes)
{
    hg_error error = {0};
    hg_job *job = NULL;
    const hg_job_request request = {.lane = lane, .lanes = lanes, .user = &source};
    hg_status status = hg_engine_submit(engine, &request, &job, &error);
    if (status) fail_msg("%s", error.message);
    assert_ptr_equal(hg_job_user(job), &source);
    return job;
}

/* Runs one job to its end, checks all outputs and counts, and returns its state. */
hg_job_state run(hg_engine *engine, const hg_lane_request *lane, uint32_t lanes)
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
void check_no_leak(hg_engine *engine)
{
    hg_engine_figures figures;
    hg_engine_read_figures(engine, &figures);
    assert_int_equal(figures.lanes, 0);
    assert_int_equal(figures.jobs, 0);
    assert_int_equal(figures.pages_free + figures.pages_cached, figures.pages);
}

void expect_refused(hg_engine *engine, const hg_lane_request *lane, uint32_t lanes, hg_status want,
                    const char *part)
{
    hg_error error = {0};
    hg_job *job = NULL;
    const hg_job_request request = {.lane = lane, .lanes = lanes};
    assert_int_equal(hg_engine_submit(engine, &request, &job, &error), want);
    assert_null(job);
    if (!strstr(error.message, part)) fail_msg("\"%s\" lacks \"%s\"", error.message, part);
}

void expect_failed(hg_job *job, uint32_t index, hg_status failure)
{
    hg_lane_state s;
    hg_job_read_lane(job, index, 0, NULL, 0, &s);
    assert_int_equal(s.status, HG_LANE_FAILED);
    assert_int_equal(s.failure, failure);
    assert_true(s.end_us > 0);
}

uint32_t run_failing(hg_engine *engine, const hg_lane_request *lane, uint32_t lanes, unsigned n,
                     hg_status failure)
{
    uint32_t failed = 0;
    fake.fail_at = fake.calls + n;
    hg_job *job = submit(engine, lane, lanes);
    wait_job(engine, job);
    for (uint32_t i = 0; i < lanes; i++) {
        hg_lane_state s;
        hg_job_read_lane(job, i, 0, NULL, 0, &s);
        if (s.status == HG_LANE_OK)
            check_lane(job, i, &lane[i]);
        else
            expect_failed(job, i, failure);
        failed += s.status != HG_LANE_OK;
    }
    hg_job_release(job);
    fake.fail_at = 0;
    return failed;
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

void await_step(unsigned number)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.arrived < number) pthread_cond_wait(&gate.changed, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

void allow_steps(unsigned number)
{
    pthread_mutex_lock(&gate.lock);
    gate.allowed = number;
    pthread_cond_broadcast(&gate.changed);
    pthread_mutex_unlock(&gate.lock);
}

void close_gate(void)
{
    gate.arrived = gate.allowed = 0;
    fake.before_forward = pass_gate;
}
