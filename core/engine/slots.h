/* slots.h: a part of state.h: adapters' places, which adapters.c looks after. Private to
 * core/engine.
 */
#ifndef HG_ENGINE_SLOTS_H
#define HG_ENGINE_SLOTS_H

#include "core/engine/engine.h"
#include "core/engine/job.h"

/* An adapter's place. Its index is the device's slot number. All fields: engine lock. */
typedef struct hg_slot {
    uint64_t key;
    hg_adapter_state state;
    uint64_t order; /* of adding: uploads go one after the other */
    bool begun;     /* the device holds something in this slot */
    bool resident;  /* rows may name it */
    uint32_t lanes; /* submitted and not ended */
    const hg_lora_weights *weights;
    void (*release)(void *owner); /* NULL once called */
    void *owner;
    hg_error failure;
} hg_slot;

/* Counts a lane on its adapter, so that the adapter stays until the lane has ended. When the
 * adapter takes no new lanes the lane ends FAILED. Engine lock held; the job is not posted yet. */
void hg_slot_take(hg_engine *engine, hg_lane *lane);
void hg_slot_give(hg_engine *engine, hg_lane *lane); /* engine thread; takes the lock */

typedef enum hg_slot_ready { HG_SLOT_READY, HG_SLOT_WAIT, HG_SLOT_NEVER } hg_slot_ready;
/* Whether rows may name the lane's slot; *failure says why not ever. Engine lock held. */
hg_slot_ready hg_slot_check(const hg_engine *engine, const hg_lane *lane, hg_status *failure);

/* Something is to be uploaded or freed. Engine lock held. */
bool hg_slots_busy(const hg_engine *engine);
/* Uploads a piece and frees what has left. Engine thread, no lock held. */
void hg_slots_work(hg_engine *engine);
/* The device is lost: what it held, or was getting, is to be uploaded from the beginning. Engine
 * thread, no lock held. */
void hg_slots_suspend(hg_engine *engine);
/* Gives all owners back; the device is about to close, or is lost. Engine thread, no lock held. */
void hg_slots_abandon(hg_engine *engine);

#endif
