/* job.h: a sentence's job and its lanes, as the engine sees them.
 *
 * One allocation holds a job, its lanes, their tokens and their page tables; its size is fixed at
 * submit. Who may touch what:
 *   fixed       written before the job is posted, read by all
 *   job lock    written by the engine thread, read by all; the engine thread reads without it
 *   engine lock the engine's lock
 *   engine      the engine thread alone
 * The job lock is always the inner one: nothing else is locked while it is held.
 *
 * Lanes whose prompts begin with the same tokens under the same weights share that part: the first
 * one (the *leader*) computes it while the others (*followers*) wait, then they *fork*: whole pages
 * by reference, the last partly filled one copied. The shared part of an aLoRA lane is what stands
 * before its invocation; of another lane, all of its prompt but the last token, whose result is
 * its first output.
 */
#ifndef HG_ENGINE_JOB_H
#define HG_ENGINE_JOB_H

#include <pthread.h>
#include <stdatomic.h>

#include "core/base/limits.h"
#include "core/engine/draft.h"
#include "core/engine/engine.h"
#include "core/engine/guard.h"

typedef struct hg_lane {
    /* fixed */
    hg_job *job;
    uint64_t adapter; /* key */
    uint16_t slot;    /* its adapter's, which counts this lane; HG_NO_SLOT */
    uint32_t prompt_tokens, invocation, max_tokens;
    int32_t stop[HG_LIMIT_STOP_TOKENS]; /* HG_NO_STOP behind the last */
    float temperature, top_p;
    uint64_t seed;

    /* job lock; the prompt is fixed */
    int32_t *token; /* [prompt_tokens + max_tokens] the prompt, then the output */
    hg_lane_state state;

    /* engine */
    uint32_t *page;    /* [hg_pages_for(prompt_tokens + max_tokens)]; the first pages are held */
    uint32_t pages;    /* 0: not admitted, or ended */
    uint32_t computed; /* positions whose KV stands in the pages */
    struct hg_lane *leader; /* whom this lane waits for; NULL: it computes for itself */
    uint32_t whole;         /* positions of the prompt that are computed in whole chunks */
    bool kept;              /* the shared part was given to the prefixes */
    bool prompted;          /* its whole prompt was computed */
    uint32_t step_rows;     /* of known tokens, in the step being built or read */
    uint32_t step_drafts;   /* and of draft tokens behind them */
    hg_draft draft;
    hg_guard guard;
} hg_lane;

struct hg_job {
    atomic_uint references;
    void *user;                /* fixed */
    const void *session;       /* fixed; compared, not followed */
    uint32_t lanes;            /* fixed */
    pthread_mutex_t lock;      /* the job lock */
    hg_job_state state;        /* job lock */
    uint32_t cancel;           /* engine lock: bit per lane, asked for */
    bool in_news;              /* engine lock */
    struct hg_job *next_news;  /* engine lock */
    bool fresh;                /* engine: something to tell since the last news */
    bool admitted;             /* engine */
    uint32_t live, unprompted; /* engine: lanes not ended; of them, prompts not computed */
    uint32_t pages;            /* engine: that admission counted for it */
    hg_lane lane[];            /* [lanes] */
};

_Static_assert(HG_LIMIT_LANES <= 32, "cancel has one bit for each lane");

/* A job with one reference, not known to the engine yet. The requests were checked. The lanes'
 * slots are HG_NO_SLOT. HG_ERROR_MEMORY. */
hg_status hg_job_new(const hg_job_request *request, hg_job **out, hg_error *error) HG_CHECKED;
void hg_job_hold(hg_job *job);

/* The adapter that acts on the shared part, HG_NO_ADAPTER for the base alone; its length. */
uint64_t hg_lane_shared_key(const hg_lane *lane);
uint32_t hg_lane_shared_tokens(const hg_lane *lane);

/* Chooses leaders among the lanes that have not ended, and says what of them comes in whole chunks.
 * Before admission only. */
void hg_job_group(hg_job *job, uint32_t chunk_rows);

/* Pages that the grouped job needs when nothing is found among the prefixes. */
uint32_t hg_job_pages(const hg_job *job);

static inline bool hg_lane_ended(const hg_lane *lane)
{
    return lane->state.status > HG_LANE_RUNNING;
}

/* The rest is for the engine thread. */

/* Ends a lane with a status other than OK. */
void hg_lane_end(hg_lane *lane, hg_lane_status status, hg_status failure);

/* A new output token: appends it, or ends the lane where stopped, which says that it is one of the
 * lane's stops; looks for all other ends. drafted: a row of the draft said so before. */
void hg_lane_accept(hg_lane *lane, int32_t token, bool stopped, bool drafted);

/* Counts draft rows that were computed; before those are accepted that hold. */
void hg_lane_count_drafts(hg_lane *lane, uint32_t rows);

/* Counts prompt tokens: computed by this job, or had from elsewhere. */
void hg_job_count_prompt(hg_job *job, uint32_t prefill_tokens, uint32_t shared_tokens);

/* The lane's prompt was computed, or never will be: it runs, or has ended. */
void hg_lane_prompted(hg_lane *lane);

#endif
