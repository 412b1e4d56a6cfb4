/* engine_help.h: what the engine's tests share: opening on the fake device, expected outputs. */
#ifndef HG_TESTS_ENGINE_HELP_H
#define HG_TESTS_ENGINE_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/engine/engine.h"
#include "core/engine/guard.h"
#include "core/engine/sample.h"
#include "tests/unit/fake_device.h"

static const int32_t fake_stops[] = {FAKE_STOP};

/* An adapter of the fake device is known by its rank: its key. */
static inline hg_lora_weights fake_lora(uint64_t key)
{
    return (hg_lora_weights){
        .layers = 1, .rank_max = (uint32_t)key, .bytes = HG_LIMIT_ADAPTER_PIECE * 2 + 1};
}

static inline hg_engine *open_engine(uint32_t pages, void (*doorbell)(void *), void *context)
{
    hg_error error = {0};
    hg_engine *engine = NULL;
    hg_engine_options options = {.api = &fake_api,
                                 .weights = &fake_weights,
                                 .kv_bytes = pages * FAKE_PAGE_BYTES,
                                 .doorbell = doorbell,
                                 .doorbell_context = context};
    hg_status status = hg_engine_open(&options, &engine, &error);
    if (status) fail_msg("%s", error.message);
    return engine;
}

static inline void close_engine(hg_engine *engine)
{
    hg_engine_close(engine);
    if (fake.violations) fail_msg("%u violations: %s", fake.violations, fake.first_violation);
}

/* The output that a lane must have, computed from its request alone. Returns its length. */
static inline uint32_t expect_output(const hg_lane_request *lane, int32_t *output, hg_stop *stop)
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

/* Waits for the end of one job through the news of an engine that runs no other. */
static inline void wait_job(hg_engine *engine, hg_job *job)
{
    hg_job_state state;
    for (;;) {
        hg_job_read(job, &state);
        if (state.ended) break;
        hg_job *news = hg_engine_next_news(engine, 10000);
        hg_job_release(news);
    }
}

static inline void check_lane(hg_job *job, uint32_t index, const hg_lane_request *lane)
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

#endif
