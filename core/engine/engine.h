/* engine.h: many lanes on one device.
 *
 * The engine owns a device and one thread, which makes all device calls. A *job* is one sentence
 * for N lanes (one lane = one language): its lanes are admitted together, run together, are
 * cancelled together; one lane's failure ends that lane only. Others post: every function here may
 * be called from any thread unless it says otherwise, and none waits for a step to end.
 *
 * Ownership: the caller holds a reference to each job it submitted and gives it back with
 * hg_job_release; the engine holds its own while the job runs. Output tokens stay in the job, whose
 * size is bounded at submit, so that a slow reader costs nothing more: news are a doorbell and a
 * list of jobs that have something new, each job in it at most once.
 */
#ifndef HG_ENGINE_ENGINE_H
#define HG_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/engine/plan.h"
#include "core/engine/recovery.h"
#include "kernels/device.h"

typedef struct hg_engine hg_engine;
typedef struct hg_job hg_job;
#define HG_NO_ADAPTER 0 /* adapter key of a lane that runs on the base alone */

/* Whether lanes' drafts are tried: where they are likely to save time, always, or never. */
typedef enum hg_drafts { HG_DRAFTS_AUTO, HG_DRAFTS_ALWAYS, HG_DRAFTS_NEVER } hg_drafts;

typedef struct hg_engine_options {
    const hg_device_api *api;
    hg_device_options device;
    const hg_weights *weights; /* must stay valid until hg_engine_close */
    hg_recovery recovery;      /* when the device is lost */
    hg_plan_wish plan;         /* its bound is device.memory_bytes */
    hg_drafts drafts;
    void (*doorbell)(void *context); /* rung by the engine thread when news came up; may be NULL */
    void *doorbell_context;
} hg_engine_options;

typedef enum hg_stop { HG_STOP_NONE, HG_STOP_EOS, HG_STOP_LENGTH, HG_STOP_REPETITION } hg_stop;

typedef enum hg_lane_status {
    HG_LANE_WAITING, /* for room, for its adapter, for its prompt */
    HG_LANE_RUNNING,
    HG_LANE_OK, /* ended; stop says why */
    HG_LANE_CANCELLED,
    HG_LANE_FAILED, /* ended; its status says why */
} hg_lane_status;

typedef struct hg_lane_request {
    uint64_t adapter;      /* key given to hg_engine_add_adapter, or HG_NO_ADAPTER */
    const int32_t *prompt; /* [prompt_tokens] copied; a forced beginning of the output ends it */
    uint32_t prompt_tokens;
    uint32_t invocation; /* rows before this index of the prompt run on the base alone (aLoRA), so
                          * their KV is shared; 0: the adapter acts on all (LoRA) */
    const int32_t *stop; /* [stops] tokens that end the lane and are not output; copied */
    uint32_t stops;
    uint32_t max_tokens; /* output tokens, at least 1 */
    float temperature;   /* 0: greedy */
    float top_p;         /* 0 < top_p <= 1; used with a temperature */
    uint64_t seed;
    const int32_t *draft; /* [draft_tokens] a guess of the output: changes no token; copied */
    uint32_t draft_tokens;
} hg_lane_request;

typedef struct hg_job_request {
    const hg_lane_request *lane; /* [lanes] */
    uint32_t lanes;
    const void *session; /* whose job it is: sessions take turns; NULL: nobody else's */
    void *user;          /* for hg_job_user */
} hg_job_request;

/* Times in microseconds of hg_clock_us; 0: not yet. */
typedef struct hg_lane_state {
    hg_lane_status status;
    hg_stop stop;
    hg_status failure; /* why, when FAILED */
    uint32_t tokens;   /* output tokens so far */
    uint32_t drafted;  /* rows computed for tokens of the draft, and how many of them */
    uint32_t accepted; /* are output now */
    int64_t first_us, end_us;
} hg_lane_state;

typedef struct hg_job_state {
    bool ended; /* all lanes have */
    /* start_us: admitted; prefill_us: all prompts were computed */
    int64_t submit_us, start_us, prefill_us, end_us;
    /* prompt rows that were computed, and prompt tokens whose KV came from elsewhere: together the
     * sum of the prompts' lengths when no lane ended before its prompt was computed */
    uint32_t prefill_tokens, shared_tokens;
    uint32_t decode_tokens; /* output tokens of all lanes, stop tokens counted */
} hg_job_state;

hg_status hg_engine_open(const hg_engine_options *options, hg_engine **out,
                         hg_error *error) HG_CHECKED;
/* Cancels what runs, joins the thread, frees the device. Jobs still held stay readable. */
void hg_engine_close(hg_engine *engine);

/* Copies the request; *out is a reference for the caller. HG_ERROR_STATE when HG_LIMIT_JOBS are in;
 * HG_ERROR_LIMIT when a lane can never fit (prompt and max_tokens over positions or pool). */
hg_status hg_engine_submit(hg_engine *engine, const hg_job_request *request, hg_job **out,
                           hg_error *error) HG_CHECKED;
/* Ends the job's lanes that still run; lane HG_ALL_LANES or one index. Idempotent. */
#define HG_ALL_LANES UINT32_MAX
void hg_engine_cancel(hg_engine *engine, hg_job *job, uint32_t lane);

/* The next job with news, with a reference for the caller, or NULL. wait_ms 0 does not wait. */
hg_job *hg_engine_next_news(hg_engine *engine, uint32_t wait_ms);

void *hg_job_user(const hg_job *job);
void hg_job_read(hg_job *job, hg_job_state *out);
/* Copies output tokens from index from on into token [room]; returns how many. out may be NULL. */
uint32_t hg_job_read_lane(hg_job *job, uint32_t lane, uint32_t from, int32_t *token, uint32_t room,
                          hg_lane_state *out);
void hg_job_release(hg_job *job);

#include "core/engine/adapters.h"

#endif
