/* test_lanes.c: the engine on the CPU device with the embedded model and its nine languages.
 *
 * A lane's tokens must be the same alone, in a batch of nine, beside other jobs, and when its
 * source was found among the prefixes, for every kernel family of this processor. Some lanes
 * sample at a temperature, so that not only the largest logit counts.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/engine/engine.h"
#include "core/model/adapter.h"
#include "core/model/model.h"
#include "core/text/tokenizer.h"
#include "kernels/cpu/cpu.h"

#define LANGUAGES 9
#define TOKENS    8 /* most output tokens: the reference kernel is slow */
#define PROMPT    64

static const char *const language[LANGUAGES] = {"de", "es", "fr", "ja", "nl",
                                                "ru", "sv", "tr", "zh"};
static const char *const sentence[] = {
    "Where is the train station?",
    "Where is the train that goes to the sea?", /* begins like the one before */
    "I have never seen such a beautiful garden in my life.",
};
#define SENTENCES (sizeof sentence / sizeof *sentence)

static hg_model *model;
static hg_tokenizer *tokenizer;
static hg_adapter *adapter[LANGUAGES];
static hg_engine *engine;

typedef struct lane_case {
    int32_t token[PROMPT];
    hg_lane_request lane;
} lane_case;

typedef struct output {
    int32_t token[TOKENS];
    uint32_t tokens;
    hg_stop stop;
} output;

#define CHECK(call)                                                                                \
    do {                                                                                           \
        if ((call) != HG_OK) fail_msg("%s", error.message);                                        \
    } while (0)

static int open_model(void **state)
{
    (void)state;
    hg_error error = {0};
    CHECK(hg_model_open("models/hydra-tiny", &model, &error));
    CHECK(hg_model_tokenizer(model, &tokenizer, &error));
    for (int i = 0; i < LANGUAGES; i++) {
        char folder[64];
        snprintf(folder, sizeof folder, "plugins/%s", language[i]);
        CHECK(hg_adapter_open(folder, &model->weights.shape, &adapter[i], &error));
    }
    return 0;
}

static int close_model(void **state)
{
    (void)state;
    for (int i = 0; i < LANGUAGES; i++) hg_adapter_close(adapter[i]);
    hg_tokenizer_close(tokenizer);
    hg_model_close(model);
    return 0;
}

static void open_engine(const char *kernel)
{
    hg_error error = {0};
    hg_engine_options options = {.api = hg_cpu_device(),
                                 .device = {.kernel = kernel, .threads = 2},
                                 .weights = &model->weights,
                                 .plan = {.pages = 64 * 32}};
    CHECK(hg_engine_open(&options, &engine, &error));
    for (uint64_t i = 0; i < LANGUAGES; i++)
        CHECK(hg_engine_add_adapter(engine, i + 1, &adapter[i]->lora, NULL, NULL, &error));
    CHECK(hg_engine_wait_adapters(engine, &error));
}

/* The request of one sentence for one language: bos, source, the language's token. Every third
 * lane samples, every fifth takes its adapter for a plain LoRA. */
static void make_case(lane_case *c, uint32_t s, uint32_t l)
{
    hg_error error = {0};
    hg_tokens source = {0};
    char tag[16];
    int tag_length = snprintf(tag, sizeof tag, "<|%s|>", language[l]);
    CHECK(hg_tokenizer_encode(tokenizer, sentence[s], strlen(sentence[s]), &source, &error));
    assert_true(source.count + 2 <= PROMPT);
    c->token[0] = model->bos;
    memcpy(c->token + 1, source.id, source.count * sizeof *source.id);
    c->token[source.count + 1] = hg_tokenizer_special(tokenizer, tag, (size_t)tag_length);
    c->lane = (hg_lane_request){.adapter = l + 1,
                                .prompt = c->token,
                                .prompt_tokens = source.count + 2,
                                .invocation = l % 5 == 4 ? 0 : source.count + 1,
                                .stop = model->stop,
                                .stops = model->stops,
                                .max_tokens = TOKENS,
                                .temperature = l % 3 == 2 ? 1.0f : 0,
                                .top_p = 0.95f,
                                .seed = s};
    hg_tokens_free(&source);
}

static hg_job *submit(const lane_case *c, uint32_t lanes)
{
    hg_error error = {0};
    hg_job *job;
    hg_lane_request lane[LANGUAGES];
    for (uint32_t i = 0; i < lanes; i++) lane[i] = c[i].lane;
    const hg_job_request request = {.lane = lane, .lanes = lanes};
    CHECK(hg_engine_submit(engine, &request, &job, &error));
    return job;
}

/* Waits for the job's end, reads its lanes and gives it back. */
static hg_job_state finish(hg_job *job, uint32_t lanes, output *out)
{
    hg_job_state state;
    for (hg_job_read(job, &state); !state.ended; hg_job_read(job, &state))
        hg_job_release(hg_engine_next_news(engine, 1000));
    for (uint32_t i = 0; i < lanes; i++) {
        hg_lane_state lane;
        memset(&out[i], 0, sizeof out[i]);
        out[i].tokens = hg_job_read_lane(job, i, 0, out[i].token, TOKENS, &lane);
        assert_int_equal(lane.status, HG_LANE_OK);
        out[i].stop = lane.stop;
    }
    hg_job_release(job);
    return state;
}

/* How much of it a kernel family runs: the slow reference only two sentences, once beside each
 * other, and of the lanes that run alone every fourth language: a greedy aLoRA lane, a greedy LoRA
 * lane and one that samples. */
static bool is_slow(const char *kernel)
{
    return strcmp(kernel, "reference") == 0;
}
static uint32_t stride(const char *kernel)
{
    return is_slow(kernel) ? 4 : 1;
}
static uint32_t sentences(const char *kernel)
{
    return is_slow(kernel) ? 2 : SENTENCES;
}

static lane_case cases[SENTENCES][LANGUAGES];
static output alone[SENTENCES][LANGUAGES];

static void compare(const output *have, const output *want, const char *kernel)
{
    for (uint32_t i = 0; i < LANGUAGES; i += stride(kernel)) {
        assert_int_equal(have[i].tokens, want[i].tokens);
        assert_int_equal(have[i].stop, want[i].stop);
        assert_memory_equal(have[i].token, want[i].token, sizeof want[i].token);
    }
}

/* The first lane of a fresh engine finds no prefix and has no company. */
static void run_alone(const char *kernel)
{
    for (uint32_t l = 0; l < LANGUAGES; l += stride(kernel)) {
        open_engine(kernel);
        for (uint32_t s = 0; s < sentences(kernel); s++) {
            hg_job_state state = finish(submit(&cases[s][l], 1), 1, &alone[s][l]);
            if (s == 0) assert_int_equal(state.shared_tokens, 0);
            if (s == 1) assert_in_range(state.shared_tokens, 4, 7); /* bos, Where is the train */
            assert_true(alone[s][l].tokens > 0);
        }
        hg_engine_close(engine);
    }
}

static void run_together(const char *kernel)
{
    output have[SENTENCES][LANGUAGES];
    hg_job *job[SENTENCES] = {NULL};
    open_engine(kernel);
    for (uint32_t s = 0; s < sentences(kernel); s++) { /* nine lanes, nobody else */
        hg_job_state state = finish(submit(cases[s], LANGUAGES), LANGUAGES, have[s]);
        assert_true(state.shared_tokens > 3 * state.prefill_tokens / 2);
        compare(have[s], alone[s], kernel);
    }
    hg_engine_close(engine);

    open_engine(kernel);
    int rounds = is_slow(kernel) ? 1 : 2;
    for (int round = 0; round < rounds; round++) { /* beside others; then on kept prefixes too */
        for (uint32_t s = 0; s < sentences(kernel); s++) job[s] = submit(cases[s], LANGUAGES);
        for (uint32_t s = 0; s < sentences(kernel); s++) {
            finish(job[s], LANGUAGES, have[s]);
            compare(have[s], alone[s], kernel);
        }
    }
    hg_engine_close(engine);
}

static void company_changes_nothing(void **state)
{
    (void)state;
    for (uint32_t s = 0; s < SENTENCES; s++)
        for (uint32_t l = 0; l < LANGUAGES; l++) make_case(&cases[s][l], s, l);
    for (const char *const *kernel = hg_cpu_kernels(); *kernel; kernel++) {
        run_alone(*kernel);
        run_together(*kernel);
    }
}

/* The greedy output for the first sentence, as transformers + PEFT give it (make_model_goldens.py,
 * function greedy, on these prompts). */
static void equals_transformers(void **state)
{
    (void)state;
    static const char *const want[LANGUAGES] = {"Wo ist der Zug?",
                                                "¿Dónde está la estación de tren?",
                                                "Où se trouve la station ?",
                                                "駅はどこですか。",
                                                "Waar is de treinstation?",
                                                "Где поездок?",
                                                "Var ligger tåget?",
                                                "Tren nerede?",
                                                "火车站在哪里？"};
    lane_case c[LANGUAGES];
    output have[LANGUAGES];
    for (uint32_t l = 0; l < LANGUAGES; l++) {
        make_case(&c[l], 0, l);
        c[l].lane.invocation = c[l].lane.prompt_tokens - 1;
        c[l].lane.temperature = 0;
    }
    open_engine("reference");
    hg_job_state job = finish(submit(c, LANGUAGES), LANGUAGES, have);
    assert_int_equal(job.shared_tokens, 8 * c[0].lane.invocation);
    hg_engine_close(engine);
    for (uint32_t l = 0; l < LANGUAGES; l++) {
        hg_buf text = hg_buf_new(1000);
        for (uint32_t t = 0; t < have[l].tokens; t++) {
            size_t count;
            const char *bytes = hg_tokenizer_bytes(tokenizer, have[l].token[t], &count);
            assert_int_equal(hg_buf_append(&text, bytes, count), HG_OK);
        }
        assert_string_equal(hg_buf_text(&text), want[l]);
        assert_int_equal(have[l].stop, HG_STOP_EOS);
        hg_buf_free(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(company_changes_nothing),
        cmocka_unit_test(equals_transformers),
    };
    return cmocka_run_group_tests(tests, open_model, close_model);
}
