/* test_engine_chunks.c: whole chunks of prompts, on the fake device, whose hash tells whether a row
 * was of one. Which rows are is a prompt's own matter: whatever runs beside it, whatever was kept
 * of earlier prompts, a lane's output is what it is alone on a fresh engine.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/support/engine_help.h"

#define CHUNK    32
#define REQUESTS 12
#define MOST     40 /* output tokens of a lane */

typedef struct output {
    int32_t token[MOST];
    uint32_t tokens;
} output;

static int set_up(void **state)
{
    int failed = make_source(state);
    fake.chunk_rows = CHUNK;
    return failed;
}

static void read_output(hg_job *job, uint32_t lane, output *out)
{
    hg_lane_state state;
    out->tokens = hg_job_read_lane(job, lane, 0, out->token, MOST, &state);
    assert_int_equal(state.status, HG_LANE_OK);
}

/* Lanes over beginnings of the same source: plain adapters, the base, aLoRAs; from no chunk to
 * several. */
static hg_lane_request make_request(prompt *p, uint32_t i)
{
    static const uint32_t tokens[REQUESTS] = {200, 90, 33, 31, 150, 65, 64, 200, 128, 97, 40, 129};
    if (i % 3 == 0) return lora(p, tokens[i], 1 + i % 2);
    return i % 3 == 1 ? alora(p, tokens[i], 1 + i % 4) : lora(p, tokens[i], HG_NO_ADAPTER);
}

static void run_alone(const hg_lane_request *lane, output *out)
{
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 4);
    hg_job *job = submit(engine, lane, 1);
    wait_job(engine, job);
    read_output(job, 0, out);
    hg_job_release(job);
    close_engine(engine);
}

static void assert_same(const output *a, const output *b, uint32_t request)
{
    if (a->tokens != b->tokens || memcmp(a->token, b->token, a->tokens * sizeof *a->token) != 0)
        fail_msg("request %u: other tokens than alone", request);
}

static void test_company(void **state)
{
    (void)state;
    static prompt text[REQUESTS];
    hg_lane_request lane[REQUESTS];
    output alone[REQUESTS], now;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        lane[i] = make_request(&text[i], i);
        run_alone(&lane[i], &alone[i]);
    }
    assert_true(fake.whole_rows > 20 * CHUNK && fake.most_whole == HG_LIMIT_CHUNKS * CHUNK);
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 4);
    uint32_t random = 1;
    for (uint32_t round = 0; round < 60; round++) {
        hg_lane_request job_lane[3];
        uint32_t which[3], lanes = 1 + round % 3;
        hg_job *job[2];
        for (uint32_t i = 0; i < lanes; i++) {
            random = random * 1664525u + 1013904223u;
            which[i] = (random >> 16) % REQUESTS;
            job_lane[i] = lane[which[i]];
        }
        for (int j = 0; j < 2; j++) job[j] = submit(engine, job_lane, lanes);
        for (int j = 0; j < 2; j++) {
            wait_job(engine, job[j]);
            for (uint32_t i = 0; i < lanes; i++) {
                read_output(job[j], i, &now);
                assert_same(&now, &alone[which[i]], which[i]);
            }
            hg_job_release(job[j]);
        }
    }
    check_no_leak(engine);
    close_engine(engine);
}

/* Chunks of a long prompt do not keep a lane that decodes from its step: one comes in each. */
static void test_beside_decoding(void **state)
{
    (void)state;
    static prompt text[2];
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 2);
    hg_lane_request first = lora(&text[0], 4, 1), second = lora(&text[1], 5 * CHUNK, 2);
    first.stops = 0;
    close_gate();
    hg_job *a = submit(engine, &first, 1);
    await_step(1);
    hg_job *b = submit(engine, &second, 1);
    allow_steps(1000);
    wait_job(engine, a);
    wait_job(engine, b);
    assert_int_equal(fake.whole_rows, 5 * CHUNK);
    assert_int_equal(fake.most_whole, CHUNK);
    hg_job_release(a);
    hg_job_release(b);
    close_engine(engine);
}

/* A device without whole chunks gets none. */
static void test_none(void **state)
{
    (void)state;
    static prompt text;
    fake.chunk_rows = 0;
    hg_engine *engine = open_engine(0, NULL, NULL);
    add_adapters(engine, 1);
    hg_lane_request lane = lora(&text, 200, 1);
    run(engine, &lane, 1);
    assert_int_equal(fake.whole_rows, 0);
    close_engine(engine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_company, set_up),
        cmocka_unit_test_setup(test_beside_decoding, set_up),
        cmocka_unit_test_setup(test_none, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
