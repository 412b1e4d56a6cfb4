/* state.h: what the engine's files share. Private to core/engine.
 *
 *   engine.c    opening, closing, submitting, cancelling, news: called from any thread
 *   adapters.c  the table of adapters: both sides
 *   thread.c    the engine thread's loop and the reading of results
 *   device.c    opening and closing the device, and what is as large as its plan
 *   admit.c     room for a job: turns, pages, prefixes, forks; and giving it back
 *   schedule.c  the rows of the next step
 *
 * Locks: engine->lock guards what says so below; a job's own lock may be taken inside it, never the
 * other way round. No lock is held over a call of the device, the doorbell or release(owner).
 */
#ifndef HG_ENGINE_STATE_H
#define HG_ENGINE_STATE_H

#include <pthread.h>

#include "core/engine/engine.h"
#include "core/engine/job.h"
#include "core/engine/pages.h"
#include "core/engine/prefix.h"
#include "core/engine/sample.h"
#include "core/engine/slots.h"
#include "core/engine/turns.h"

typedef struct hg_job_list {
    hg_job *job[HG_LIMIT_JOBS]; /* [count] in the order of submitting */
    uint32_t count;
} hg_job_list;

struct hg_engine {
    /* Fixed from open. */
    hg_engine_options options;
    uint32_t vocabulary, lane_tokens; /* most positions of a lane */
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t work;    /* the thread has something to do: posted rose */
    pthread_cond_t changed; /* an adapter's state, or opened */
    pthread_cond_t news_up; /* news came */
    /* The engine lock guards: */
    bool opened;          /* the thread tried to open the device; lost says how it went */
    bool posted, closing; /* for the thread */
    bool cancels;         /* some job->cancel has risen */
    hg_device_plan plan;  /* written while the device is opened; the thread reads without it */
    uint32_t chunk_rows, chunks; /* the device's; as plan */
    hg_error lost;               /* the device failed: status is not HG_OK, nothing runs any more */
    hg_job_list inbox;           /* submitted, each with the engine's reference */
    uint32_t jobs;               /* in the engine, inbox included */
    hg_job *news_first, *news_last; /* each with a reference */
    hg_slot slot[HG_LIMIT_ADAPTER_SLOTS];
    uint64_t slot_order;
    hg_engine_figures figures;

    /* The thread's own, as are api and device of the options from open on: */
    hg_device *device;
    uint32_t tries;   /* to open a lost device again, since the last step */
    int64_t retry_us; /* when the next one is due; INT64_MAX: never */
    hg_pages pages;
    hg_prefixes prefixes;
    hg_job_list waiting, running;
    uint32_t running_lanes;
    hg_turns turns;
    hg_row *row;                             /* [plan.step_rows and plan.chunks] */
    uint32_t *table;                         /* [plan.step_lanes, plan.lane_pages] */
    hg_lane *step_lane[HG_LIMIT_STEP_LANES]; /* the lanes of the step, by its lane numbers */
    int32_t *stop;                           /* [plan.step_lanes, HG_LIMIT_STOP_TOKENS] */
    int32_t *token;                          /* for as many rows: arg-max of each wanted one */
    bool *stopped;                           /* and whether that ends its lane */
    float *logits;                           /* [plan.step_lanes, vocabulary] */
    hg_candidate *candidate;                 /* [vocabulary] */
    hg_engine_figures counts;                /* the growing ones, copied into figures */
};

/* ---- admit.c: engine thread ---- */

/* Admits waiting jobs in order while there is room. */
void hg_admit(hg_engine *engine);
/* Gives back what an ended lane holds; its followers fork or find another leader. */
void hg_retire(hg_engine *engine, hg_lane *lane);
/* Ends a job's live lanes whose bits are set. All end before the first is retired, so that none of
 * them becomes another's heir. */
void hg_end_lanes(hg_engine *engine, hg_job *job, uint32_t lanes, hg_lane_status status,
                  hg_status failure);
/* A follower takes over what its leader has computed of their common part. */
void hg_fork(hg_engine *engine, hg_lane *lane);

/* ---- schedule.c: engine thread ---- */
/* Builds the next step in engine->row, table and step_lane. */
hg_step hg_schedule(hg_engine *engine);

/* ---- device.c: engine thread ---- */

/* Opens the device, plans its memory, loads the model, and makes what follows the plan's sizes;
 * after a failure there is no device. figures say what it is and holds. */
hg_status hg_engine_open_device(hg_engine *engine, hg_error *error) HG_CHECKED;
/* Nothing may run on it any more. */
void hg_engine_close_device(hg_engine *engine);
/* The device said HG_ERROR_DEVICE: nothing may be asked of it but close. */
void hg_engine_lose(hg_engine *engine, const hg_error *error);
bool hg_engine_is_lost(hg_engine *engine); /* no lock needed, this thread alone writes */
/* Closes the lost device, on which no lane runs any more; opens one when a try is due. */
void hg_engine_recover(hg_engine *engine);

/* ---- thread.c ---- */

void *hg_engine_thread(void *engine);

#endif
