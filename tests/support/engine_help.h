/* engine_help.h: what the engine's tests share: opening on the fake device, requests, expected
 * outputs, and a gate that holds the engine thread before a step.
 */
#ifndef HG_TESTS_ENGINE_HELP_H
#define HG_TESTS_ENGINE_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "core/engine/engine.h"
#include "tests/support/fake_device.h"

extern const int32_t fake_stops[1];

/* A long source; requests use its beginning. make_source is the setup of a test: it also resets
 * the fake device. */
extern int32_t source[FAKE_POSITIONS];
int make_source(void **state);

/* pages 0: as many as the engine takes by itself. Closing fails the test when the device saw a
 * violation. */
hg_engine *open_engine(uint32_t pages, void (*doorbell)(void *), void *context);
void close_engine(hg_engine *engine);

/* An adapter of the fake device is known by its rank: its key. */
hg_lora_weights fake_lora(uint64_t key);

/* Adds adapters 1 .. count and waits for them; released counts how many were given back. */
void add_adapters(hg_engine *engine, uint32_t count);
void count_release(void *owner);
extern atomic_uint released;
extern hg_lora_weights adapter_weights[HG_LIMIT_ADAPTER_SLOTS];

/* Requests over the source: its first tokens, then one token of the adapter's own, where an aLoRA
 * begins to act. */
typedef struct prompt {
    int32_t token[FAKE_POSITIONS];
} prompt;
hg_lane_request alora(prompt *p, uint32_t tokens, uint64_t adapter);
hg_lane_request lora(prompt *p, uint32_t tokens, uint64_t adapter);

hg_job *submit(hg_engine *engine, const hg_lane_request *lane, uint32_t lanes);
void wait_job(hg_engine *engine, hg_job *job); /* takes all news */

/* The output that a lane must have, computed from its request alone. Returns its length. */
uint32_t expect_output(const hg_lane_request *lane, int32_t *output, hg_stop *stop);

/* Gives the lane a draft in draft [FAKE_POSITIONS]: its output with edits, one after every at
 * tokens: a token changed, left out or put in, by turns. at 0: the output as it is. */
void give_draft(hg_lane_request *lane, uint32_t at, int32_t *draft);

void check_lane(hg_job *job, uint32_t index, const hg_lane_request *lane);
void check_no_leak(hg_engine *engine); /* all pages are free or idle; nothing runs */
void expect_failed(hg_job *job, uint32_t index, hg_status failure);
void expect_refused(hg_engine *engine, const hg_lane_request *lane, uint32_t lanes, hg_status want,
                    const char *part);

/* Runs one job during which the device's call number n from now fails: each lane ends well
 * or with failure. Returns how many did not end well. */
uint32_t run_failing(hg_engine *engine, const hg_lane_request *lane, uint32_t lanes, unsigned n,
                     hg_status failure);

/* Runs one job to its end, checks all outputs and counts, and returns its state. */
hg_job_state run(hg_engine *engine, const hg_lane_request *lane, uint32_t lanes);

/* After close_gate the engine thread stops before each step until allow_steps lets it through. */
void close_gate(void);
void await_step(unsigned number); /* until it stands before step number, from 1 */
void allow_steps(unsigned number);

#endif
