/* test_mixed_lanes.c: the engine on the CPU device with a random model, for every kernel family of
 * this processor: base lanes, LoRA lanes and aLoRA lanes, whose prompts begin alike, in one job and
 * in several at once. The oracle has no engine: each lane decoded by itself, its whole text
 * computed anew for every token. Most lanes have a draft, which must change nothing.
 */
#include "tests/support/device_harness.h"
#include "tests/support/small_models.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/engine/engine.h"

#define ADAPTERS 5
#define LANES    12
#define JOBS     3
#define PROMPT   40
#define TOKENS   6
#define ROUNDS   3

static const hg_shape shape = {.vocabulary = 97,
                               .hidden = 64,
                               .intermediate = 96,
                               .layers = 2,
                               .heads = 4,
                               .kv_heads = 2,
                               .head_dim = 16,
                               .positions = 128,
                               .rms_epsilon = 1e-5f};

static random_model *model;
static random_adapter *adapter[ADAPTERS];

/* A lane and what it must give. */
typedef struct lane_case {
    int32_t token[PROMPT + TOKENS]; /* prompt, then the oracle's output */
    int32_t draft[TOKENS];
    hg_lane_request request;
} lane_case;

static int set_up(void **state)
{
    (void)state;
    static const uint32_t rank[ADAPTERS] = {1, 8, 3, 32, 0};
    random_form form[HG_PROJECTIONS];
    for (int p = 0; p < HG_PROJECTIONS; p++)
        form[p] = (random_form){.group = 32, .bits = p % 2 ? 8 : 4, .zero = (random_zero)(p % 3)};
    model = random_model_new(5, &shape, form, HG_F16);
    for (uint32_t i = 0; i < ADAPTERS; i++)
        adapter[i] = random_adapter_new(50 + i, &shape, rank[i], (hg_dtype)(i % 3));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < ADAPTERS; i++) random_adapter_free(adapter[i]);
    random_model_free(model);
    return 0;
}

/* Greedy decoding of one lane by plain steps. */
static void decode(hg_device *device, lane_case *c)
{
    hg_lane_request *r = &c->request;
    int32_t best[PROMPT + TOKENS];
    float *logits = malloc((size_t)(PROMPT + TOKENS) * shape.vocabulary * sizeof *logits);
    bool adapted = r->adapter != HG_NO_ADAPTER;
    small_lane lane = {.token = c->token,
                       .invocation = r->invocation,
                       .slot = adapted ? (uint16_t)(r->adapter - 1) : HG_NO_SLOT,
                       .best = best,
                       .logits = logits};
    assert_non_null(logits);
    for (uint32_t i = 0; i < TOKENS; i++) {
        lane.rows = r->prompt_tokens + i;
        small_run(device, shape.vocabulary, &lane, 1, SMALL_ROWS);
        c->token[lane.rows] = best[lane.rows - 1];
    }
    free(logits);
}

/* A prompt that begins like the others of its job, a kind, and a place where an aLoRA begins. */
static void make_case(lane_case *c, random_source *r, const int32_t *common)
{
    uint32_t length = 2 + random_below(r, PROMPT - 2), kind = random_below(r, 4);
    uint32_t alike = random_below(r, 4) ? length - 1 : random_below(r, length);
    for (uint32_t i = 0; i < length; i++)
        c->token[i] = i < alike ? common[i] : (int32_t)random_below(r, shape.vocabulary);
    c->request = (hg_lane_request){
        .adapter = kind ? 1 + random_below(r, ADAPTERS) : HG_NO_ADAPTER,
        .prompt = c->token,
        .prompt_tokens = length,
        .invocation = kind > 1 ? random_below(r, 3) ? length - 1 : random_below(r, length) : 0,
        .max_tokens = TOKENS};
}

/* The oracle's output from some token on, one of its tokens changed; or none, or the output. */
static void make_draft(lane_case *c, random_source *r)
{
    const int32_t *output = c->token + c->request.prompt_tokens;
    uint32_t from = random_below(r, 3), wrong = random_below(r, 2 * TOKENS);
    c->request.draft_tokens = random_below(r, 5) ? TOKENS - from : 0;
    for (uint32_t i = 0; i < c->request.draft_tokens; i++)
        c->draft[i] =
            i == wrong ? (output[i + from] + 1) % (int32_t)shape.vocabulary : output[i + from];
}

static hg_engine *open_engine(const char *kernel)
{
    hg_engine *engine;
    hg_error error = {0};
    hg_engine_options options = {.api = hg_cpu_device(),
                                 .device = {.kernel = kernel, .threads = 2},
                                 .weights = &model->weights,
                                 .drafts = HG_DRAFTS_ALWAYS,
                                 .plan = {.pages = 4 * 32}};
    harness_check(hg_engine_open(&options, &engine, &error), &error);
    for (uint64_t i = 0; i < ADAPTERS; i++)
        harness_check(
            hg_engine_add_adapter(engine, i + 1, &adapter[i]->weights, NULL, NULL, &error), &error);
    harness_check(hg_engine_wait_adapters(engine, &error), &error);
    return engine;
}

static hg_job *submit(hg_engine *engine, const lane_case *c, uint32_t lanes)
{
    hg_job *job;
    hg_error error = {0};
    hg_lane_request request[LANES];
    for (uint32_t i = 0; i < lanes; i++) {
        request[i] = c[i].request;
        request[i].draft = c[i].draft;
    }
    const hg_job_request asked = {.lane = request, .lanes = lanes};
    harness_check(hg_engine_submit(engine, &asked, &job, &error), &error);
    return job;
}

/* The guard against repetition may end a lane before its last token. */
static void check(hg_engine *engine, hg_job *job, const lane_case *c, uint32_t lanes)
{
    hg_job_state state;
    for (hg_job_read(job, &state); !state.ended; hg_job_read(job, &state))
        hg_job_release(hg_engine_next_news(engine, 1000));
    for (uint32_t i = 0; i < lanes; i++) {
        int32_t token[TOKENS];
        hg_lane_state lane;
        uint32_t tokens = hg_job_read_lane(job, i, 0, token, TOKENS, &lane);
        assert_int_equal(lane.status, HG_LANE_OK);
        assert_true(tokens == TOKENS || lane.stop == HG_STOP_REPETITION);
        assert_memory_equal(token, c[i].token + c[i].request.prompt_tokens, tokens * sizeof *token);
    }
    hg_job_release(job);
}

static void run_family(const char *kernel)
{
    lane_case c[JOBS][LANES];
    char message[HG_ERROR_MESSAGE_MAX] = "";
    random_source r = {.state = 77};
    hg_device *device = small_device(kernel, &model->weights, message, sizeof message);
    if (!device) fail_msg("%s", message);
    for (uint16_t i = 0; i < ADAPTERS; i++) small_put(device, i, &adapter[i]->weights);
    hg_engine *engine = open_engine(kernel);
    for (int round = 0; round < ROUNDS; round++) {
        hg_job *job[JOBS];
        int32_t common[PROMPT];
        for (int i = 0; i < PROMPT; i++) common[i] = (int32_t)random_below(&r, shape.vocabulary);
        for (int j = 0; j < JOBS; j++)
            for (int l = 0; l < LANES; l++) {
                make_case(&c[j][l], &r, common);
                decode(device, &c[j][l]);
                make_draft(&c[j][l], &r);
            }
        check(engine, submit(engine, c[0], 1), c[0], 1); /* alone, nothing to share */
        for (int j = 0; j < JOBS; j++) job[j] = submit(engine, c[j], LANES);
        for (int j = 0; j < JOBS; j++) check(engine, job[j], c[j], LANES);
        check(engine, submit(engine, c[0], LANES), c[0], LANES); /* on kept prefixes */
    }
    hg_engine_figures figures;
    hg_engine_read_figures(engine, &figures);
    assert_true(figures.accepted_tokens > 0 && figures.accepted_tokens < figures.drafted_tokens);
    hg_engine_close(engine);
    hg_cpu_device()->close(device);
}

static void test_mixed_lanes(void **state)
{
    (void)state;
    for (const char *const *kernel = hg_cpu_kernels(); *kernel; kernel++) run_family(*kernel);
}

/* An adapter changes what its lane says, or the test above would prove little. */
static void test_kinds_differ(void **state)
{
    (void)state;
    char message[HG_ERROR_MESSAGE_MAX] = "";
    uint32_t different = 0;
    random_source r = {.state = 9};
    lane_case c[ADAPTERS + 2];
    hg_device *device = small_device("reference", &model->weights, message, sizeof message);
    if (!device) fail_msg("%s", message);
    for (uint16_t i = 0; i < ADAPTERS; i++) small_put(device, i, &adapter[i]->weights);
    make_case(&c[0], &r, c[0].token);
    c[0].request.prompt_tokens = PROMPT;
    for (int i = 0; i < PROMPT; i++) c[0].token[i] = (int32_t)random_below(&r, shape.vocabulary);
    for (uint32_t i = 0; i < ADAPTERS + 2; i++) { /* LoRA of each, base, and one aLoRA */
        if (i) c[i] = c[0];
        c[i].request.adapter = i == ADAPTERS ? HG_NO_ADAPTER : 1 + i % ADAPTERS;
        c[i].request.invocation = i > ADAPTERS ? PROMPT / 2 : 0;
    }
    c[ADAPTERS + 1].request.adapter = 4;
    for (uint32_t i = 0; i < ADAPTERS + 2; i++) {
        decode(device, &c[i]);
        bool fresh = true;
        for (uint32_t j = 0; j < i; j++)
            fresh &=
                memcmp(c[i].token + PROMPT, c[j].token + PROMPT, TOKENS * sizeof(int32_t)) != 0;
        different += fresh;
    }
    assert_true(different > ADAPTERS); /* all but one at most */
    hg_cpu_device()->close(device);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kinds_differ),
        cmocka_unit_test(test_mixed_lanes),
    };
    return cmocka_run_group_tests_name("mixed lanes", tests, set_up, tear_down);
}
