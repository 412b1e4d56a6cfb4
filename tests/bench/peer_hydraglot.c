/* peer_hydraglot.c: the engine behind the commands of tests/bench/bench_peers.py.
 *
 *     peer_hydraglot THREADS MODEL [ADAPTER ...]
 *
 * An ADAPTER is a folder, or random:RANK. Commands and answers are those of peer_llama.cpp, without
 * `force`. A lane that repeats itself is ended by the engine's guard, so a fixed number of tokens
 * wants text that does not.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/cli/bench.h"
#include "core/model/adapter.h"
#include "core/translate/device.h"

#define LINE 65536

static hg_model *model;
static hg_tokenizer *tokenizer;
static hg_engine *engine;
static uint32_t adapters;

static void must(hg_status status, const hg_error *error)
{
    if (!status) return;
    fprintf(stderr, "peer_hydraglot: %s\n", error->message);
    exit(1);
}

static void keep(void *owner)
{
    (void)owner; /* the process ends before it */
}

/* Key: its number from 1 on. */
static void add_adapter(const char *name)
{
    hg_error error;
    const hg_lora_weights *weights;
    if (strncmp(name, "random:", 7) == 0) {
        hg_shaped_adapter *random;
        must(hg_shaped_adapter_open(&model->weights.shape, (uint32_t)atoi(name + 7), &random,
                                    &error),
             &error);
        weights = hg_shaped_adapter_weights(random);
    } else {
        hg_adapter *adapter;
        must(hg_adapter_open(name, &model->weights.shape, &adapter, &error), &error);
        weights = &adapter->lora;
    }
    must(hg_engine_add_adapter(engine, ++adapters, weights, keep, NULL, &error), &error);
}

static int32_t next_number(char **at)
{
    return (int32_t)strtol(*at, at, 10);
}

static void print_lane(hg_job *job, uint32_t lane)
{
    static int32_t token[HG_LIMIT_LANE_TOKENS];
    hg_lane_state state;
    uint32_t n = hg_job_read_lane(job, lane, 0, token, HG_LIMIT_LANE_TOKENS, &state);
    if (state.status != HG_LANE_OK) fprintf(stderr, "peer_hydraglot: a lane failed\n");
    if (!n) printf(" -");
    for (uint32_t i = 0; i < n; i++) printf(i ? ",%" PRId32 : " %" PRId32, token[i]);
}

static void wait_for(hg_job *job, hg_job_state *state)
{
    for (hg_job_read(job, state); !state->ended; hg_job_read(job, state)) {
        hg_job *news = hg_engine_next_news(engine, 1000);
        if (news) hg_job_release(news);
    }
}

static void run(char *at)
{
    static int32_t prompt[HG_LIMIT_LANES][LINE / 2];
    hg_lane_request lane[HG_LIMIT_LANES] = {0};
    hg_error error;
    hg_job *job;
    hg_job_state state;
    uint32_t lanes = (uint32_t)next_number(&at), max = (uint32_t)next_number(&at);
    int32_t stop = next_number(&at), shared = next_number(&at);
    uint32_t count = (uint32_t)next_number(&at);
    if (lanes > HG_LIMIT_LANES || count >= LINE / 2) exit(1);
    for (uint32_t i = 0; i < count; i++) prompt[0][i] = next_number(&at);
    for (uint32_t i = 0; i < lanes; i++) {
        memcpy(prompt[i], prompt[0], count * sizeof **prompt);
        prompt[i][count] = next_number(&at);
        lane[i] = (hg_lane_request){.adapter = i < adapters ? i + 1 : HG_NO_ADAPTER,
                                    .prompt = prompt[i],
                                    .prompt_tokens = count + 1,
                                    .invocation = shared ? count : 0,
                                    .stop = &stop,
                                    .stops = stop >= 0,
                                    .max_tokens = max,
                                    .top_p = 1};
    }
    const hg_job_request request = {.lane = lane, .lanes = lanes};
    clock_t before = clock();
    int64_t start_us = hg_clock_us();
    must(hg_engine_submit(engine, &request, &job, &error), &error);
    wait_for(job, &state);
    int64_t end_us = hg_clock_us();
    printf("%" PRId64 " %" PRId64 " %.0f", state.prefill_us - start_us, end_us - start_us,
           (double)(clock() - before) * 1e6 / CLOCKS_PER_SEC);
    for (uint32_t i = 0; i < lanes; i++) print_lane(job, i);
    printf("\n");
    hg_job_release(job);
}

static void tokens(const char *text)
{
    hg_tokens out = {0};
    hg_error error;
    must(hg_tokenizer_encode(tokenizer, text, strlen(text), &out, &error), &error);
    for (uint32_t i = 0; i < out.count; i++) printf(i ? ",%" PRId32 : " %" PRId32, out.id[i]);
    printf("\n");
    hg_tokens_free(&out);
}

int main(int count, char **argument)
{
    static char line[LINE];
    hg_error error;
    if (count < 3) {
        fprintf(stderr, "usage: peer_hydraglot THREADS MODEL [ADAPTER ...]\n");
        return 2;
    }
    must(hg_model_open(argument[2], &model, &error), &error);
    must(hg_model_tokenizer(model, &tokenizer, &error), &error);
    hg_engine_options options = {.device = {.threads = (uint32_t)atoi(argument[1])},
                                 .weights = &model->weights};
    must(hg_device_open_engine("cpu", &options, &engine, &error), &error);
    for (int i = 3; i < count; i++) add_adapter(argument[i]);
    must(hg_engine_wait_adapters(engine, &error), &error);
    printf("ready\n");
    fflush(stdout);
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "run ", 4) == 0) run(line + 4);
        if (strncmp(line, "tokens ", 7) == 0) tokens(line + 7);
        fflush(stdout);
    }
    hg_engine_close(engine);
    hg_tokenizer_close(tokenizer);
    hg_model_close(model);
    return 0;
}
