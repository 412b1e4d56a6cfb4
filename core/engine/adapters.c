/* adapters.c: the table of adapters.
 *
 *     ABSENT -> LOADING -> READY -> LEAVING -> ABSENT
 *                  |  \               ^
 *                  |   `--- drop -----'
 *                  `-> FAILED -> (drop, or added again) -> ABSENT
 *
 * Any thread adds, drops and asks; the engine thread moves bytes and is the only one that changes
 * LOADING to READY or FAILED, and LEAVING to ABSENT. A device call is made without the lock, on a
 * slot that nobody else changes meanwhile: dropping marks it LEAVING and leaves the rest to the
 * engine thread.
 */
#include "core/engine/state.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "core/base/log.h"

_Static_assert(HG_LIMIT_ADAPTER_SLOTS < HG_NO_SLOT, "slot numbers and HG_NO_SLOT differ");

/* ---- any thread --------------------------------------------------------------------------- */

static hg_slot *find(hg_engine *engine, uint64_t key)
{
    for (uint32_t i = 0; i < HG_LIMIT_ADAPTER_SLOTS; i++)
        if (engine->slot[i].state != HG_ADAPTER_ABSENT && engine->slot[i].key == key)
            return &engine->slot[i];
    return NULL;
}

/* A failed adapter holds its place only so that its state can be read. */
static bool is_spare(const hg_slot *slot)
{
    return slot->state == HG_ADAPTER_ABSENT ||
           (slot->state == HG_ADAPTER_FAILED && slot->lanes == 0);
}

/* The place for a new adapter: that of a failed one with this key, an empty one, a failed one. */
static hg_slot *choose(hg_engine *engine, uint64_t key)
{
    hg_slot *slot = find(engine, key);
    if (slot) return is_spare(slot) ? slot : NULL;
    for (uint32_t i = 0; i < HG_LIMIT_ADAPTER_SLOTS; i++) {
        if (!is_spare(&engine->slot[i])) continue;
        if (!slot || engine->slot[i].state == HG_ADAPTER_ABSENT) slot = &engine->slot[i];
        if (slot->state == HG_ADAPTER_ABSENT) break;
    }
    return slot;
}

static hg_status add_locked(hg_engine *engine, const hg_slot *wanted, hg_error *error)
{
    if (engine->lost.status)
        return hg_fail(error, HG_ERROR_DEVICE, "adapter %" PRIu64 ": the device is lost (%s)",
                       wanted->key, engine->lost.message);
    hg_slot *slot = choose(engine, wanted->key);
    if (!slot && find(engine, wanted->key))
        return hg_fail(error, HG_ERROR_STATE, "adapter %" PRIu64 " is in the engine already",
                       wanted->key);
    if (!slot)
        return hg_fail(error, HG_ERROR_STATE,
                       "adapter %" PRIu64 ": all %d adapter slots are taken; disable another one",
                       wanted->key, HG_LIMIT_ADAPTER_SLOTS);
    *slot = *wanted;
    slot->order = ++engine->slot_order;
    engine->posted = true;
    pthread_cond_signal(&engine->work);
    return HG_OK;
}

hg_status hg_engine_add_adapter(hg_engine *engine, uint64_t key, const hg_lora_weights *weights,
                                void (*release)(void *owner), void *owner, hg_error *error)
{
    if (key == HG_NO_ADAPTER)
        return hg_fail(error, HG_ERROR_ARGUMENT, "adapter key %d means the base alone",
                       HG_NO_ADAPTER);
    if (weights->layers != engine->options.weights->shape.layers)
        return hg_fail(error, HG_ERROR_ARGUMENT,
                       "adapter %" PRIu64 " has %u layers, the base model %u", key, weights->layers,
                       engine->options.weights->shape.layers);
    hg_slot wanted = {.key = key,
                      .state = HG_ADAPTER_LOADING,
                      .weights = weights,
                      .release = release,
                      .owner = owner};
    pthread_mutex_lock(&engine->lock);
    hg_status status = add_locked(engine, &wanted, error);
    pthread_mutex_unlock(&engine->lock);
    return status;
}

hg_status hg_engine_drop_adapter(hg_engine *engine, uint64_t key, hg_error *error)
{
    hg_status status = HG_OK;
    pthread_mutex_lock(&engine->lock);
    hg_slot *slot = find(engine, key);
    if (!slot)
        status =
            hg_fail(error, HG_ERROR_NOT_FOUND, "adapter %" PRIu64 " is not in the engine", key);
    else if (slot->state == HG_ADAPTER_LEAVING)
        status = hg_fail(error, HG_ERROR_STATE, "adapter %" PRIu64 " is leaving already", key);
    else
        slot->state = HG_ADAPTER_LEAVING;
    engine->posted = true;
    pthread_cond_signal(&engine->work);
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
    return status;
}

hg_adapter_state hg_engine_adapter_state(hg_engine *engine, uint64_t key)
{
    pthread_mutex_lock(&engine->lock);
    hg_slot *slot = find(engine, key);
    hg_adapter_state state = slot ? slot->state : HG_ADAPTER_ABSENT;
    pthread_mutex_unlock(&engine->lock);
    return state;
}

static const hg_slot *find_state(const hg_engine *engine, hg_adapter_state state)
{
    for (uint32_t i = 0; i < HG_LIMIT_ADAPTER_SLOTS; i++)
        if (engine->slot[i].state == state) return &engine->slot[i];
    return NULL;
}

hg_status hg_engine_wait_adapters(hg_engine *engine, hg_error *error)
{
    hg_status status = HG_OK;
    pthread_mutex_lock(&engine->lock);
    while (find_state(engine, HG_ADAPTER_LOADING) && !engine->lost.status)
        pthread_cond_wait(&engine->changed, &engine->lock);
    const hg_slot *failed = find_state(engine, HG_ADAPTER_FAILED);
    if (failed)
        status =
            hg_fail(error, HG_ERROR_DEVICE, "adapter %" PRIu64 " did not get onto the device: %s",
                    failed->key, failed->failure.message);
    pthread_mutex_unlock(&engine->lock);
    return status;
}

void hg_slot_take(hg_engine *engine, hg_lane *lane)
{
    if (lane->adapter == HG_NO_ADAPTER) return;
    hg_slot *slot = find(engine, lane->adapter);
    if (slot && (slot->state == HG_ADAPTER_LOADING || slot->state == HG_ADAPTER_READY)) {
        slot->lanes++;
        lane->slot = (uint16_t)(slot - engine->slot);
    } else {
        bool failed = slot && slot->state == HG_ADAPTER_FAILED;
        hg_lane_end(lane, HG_LANE_FAILED, failed ? slot->failure.status : HG_ERROR_NOT_FOUND);
    }
}

/* ---- engine thread ------------------------------------------------------------------------ */

void hg_slot_give(hg_engine *engine, hg_lane *lane)
{
    if (lane->slot == HG_NO_SLOT) return;
    pthread_mutex_lock(&engine->lock);
    hg_slot *slot = &engine->slot[lane->slot];
    assert(slot->key == lane->adapter && slot->lanes > 0);
    slot->lanes--;
    pthread_mutex_unlock(&engine->lock);
    lane->slot = HG_NO_SLOT;
}

hg_slot_ready hg_slot_check(const hg_engine *engine, const hg_lane *lane, hg_status *failure)
{
    if (lane->slot == HG_NO_SLOT) return HG_SLOT_READY;
    const hg_slot *slot = &engine->slot[lane->slot];
    assert(slot->key == lane->adapter && slot->lanes > 0);
    if (slot->resident) return HG_SLOT_READY;
    if (slot->state == HG_ADAPTER_LOADING) return HG_SLOT_WAIT;
    bool failed = slot->state == HG_ADAPTER_FAILED;
    *failure = failed ? slot->failure.status : HG_ERROR_NOT_FOUND;
    return HG_SLOT_NEVER;
}

static bool may_go(const hg_slot *slot)
{
    return slot->state == HG_ADAPTER_LEAVING && slot->lanes == 0;
}

bool hg_slots_busy(const hg_engine *engine)
{
    for (uint32_t i = 0; i < HG_LIMIT_ADAPTER_SLOTS; i++)
        if (engine->slot[i].state == HG_ADAPTER_LOADING || may_go(&engine->slot[i])) return true;
    return false;
}

/* Calls release(owner) once. Without the lock: only this thread looks at the two fields now. */
static void give_back(hg_engine *engine, hg_slot *slot)
{
    pthread_mutex_lock(&engine->lock);
    void (*release)(void *owner) = slot->release;
    void *owner = slot->owner;
    slot->release = NULL;
    slot->weights = NULL;
    pthread_mutex_unlock(&engine->lock);
    if (release) release(owner);
}

/* The memory that the device holds for adapters has changed. */
static void read_memory(hg_engine *engine)
{
    hg_device_memory memory;
    engine->options.api->memory(engine->device, &memory);
    pthread_mutex_lock(&engine->lock);
    engine->figures.memory = memory;
    pthread_mutex_unlock(&engine->lock);
}

static void free_slot(hg_engine *engine, hg_slot *slot)
{
    if (slot->begun && !hg_engine_is_lost(engine))
        engine->options.api->drop_adapter(engine->device, (uint16_t)(slot - engine->slot));
    hg_prefix_forget(&engine->prefixes, slot->key);
    give_back(engine, slot);
    pthread_mutex_lock(&engine->lock);
    *slot = (hg_slot){.state = HG_ADAPTER_ABSENT};
    pthread_mutex_unlock(&engine->lock);
    if (!hg_engine_is_lost(engine)) read_memory(engine);
}

/* Reads an adapter again that a lost device held. */
static hg_status read_again(hg_engine *engine, hg_slot *slot, const hg_lora_weights **weights,
                            hg_error *error)
{
    const hg_engine_options *options = &engine->options;
    hg_adapter_source source = {0};
    if (!options->recovery.reopen)
        return hg_fail(error, HG_ERROR_STATE, "it was on a device that is lost");
    hg_status status =
        options->recovery.reopen(options->recovery.context, slot->key, &source, error);
    if (status) return status;
    pthread_mutex_lock(&engine->lock);
    slot->weights = *weights = source.weights;
    slot->release = source.release;
    slot->owner = source.owner;
    pthread_mutex_unlock(&engine->lock);
    return HG_OK;
}

/* One piece of the upload: begins it, goes on with it, or commits it. */
static hg_status upload_piece(hg_engine *engine, hg_slot *slot, const hg_lora_weights *weights,
                              bool *done, hg_error *error)
{
    const hg_device_api *api = engine->options.api;
    uint16_t number = (uint16_t)(slot - engine->slot);
    if (!slot->begun) {
        hg_status status = api->put_adapter_begin(engine->device, number, weights, error);
        if (status) return status;
        slot->begun = true;
    }
    hg_status status =
        api->put_adapter_step(engine->device, number, HG_LIMIT_ADAPTER_PIECE, done, error);
    if (status || !*done) return status;
    return api->put_adapter_commit(engine->device, number, error);
}

/* The upload is over, well or not. It may have been dropped meanwhile: then it leaves next. */
static void finish_upload(hg_engine *engine, hg_slot *slot, const hg_error *error)
{
    if (error->status) {
        hg_log(HG_LOG_ERROR, "engine", "adapter %" PRIu64 ": %s", slot->key, error->message);
        if (slot->begun)
            engine->options.api->drop_adapter(engine->device, (uint16_t)(slot - engine->slot));
        slot->begun = false;
    }
    give_back(engine, slot);
    read_memory(engine);
    pthread_mutex_lock(&engine->lock);
    slot->resident = error->status == HG_OK;
    slot->failure = *error;
    if (slot->state == HG_ADAPTER_LOADING)
        slot->state = error->status ? HG_ADAPTER_FAILED : HG_ADAPTER_READY;
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
}

/* The next slot to free, or to upload to: the one added first. NULL: nothing to do. */
static hg_slot *next_work(hg_engine *engine, bool *leave, const hg_lora_weights **weights)
{
    hg_slot *next = NULL;
    *leave = false;
    pthread_mutex_lock(&engine->lock);
    for (uint32_t i = 0; i < HG_LIMIT_ADAPTER_SLOTS && !*leave; i++) {
        hg_slot *slot = &engine->slot[i];
        *leave = may_go(slot);
        bool load = slot->state == HG_ADAPTER_LOADING && (!next || slot->order < next->order);
        if (*leave || load) next = slot;
    }
    if (next) *weights = next->weights;
    pthread_mutex_unlock(&engine->lock);
    return next;
}

void hg_slots_work(hg_engine *engine)
{
    bool leave, done = false;
    const hg_lora_weights *weights = NULL;
    hg_slot *slot;
    while ((slot = next_work(engine, &leave, &weights)) && leave) free_slot(engine, slot);
    if (!slot || hg_engine_is_lost(engine)) return;

    hg_error error = {0};
    hg_status status = weights ? HG_OK : read_again(engine, slot, &weights, &error);
    if (!status) status = upload_piece(engine, slot, weights, &done, &error);
    if (status == HG_ERROR_DEVICE)
        hg_engine_lose(engine, &error); /* which sees to this slot too */
    else if (status || done)
        finish_upload(engine, slot, &error);
}

void hg_slots_suspend(hg_engine *engine)
{
    pthread_mutex_lock(&engine->lock);
    for (uint32_t i = 0; i < HG_LIMIT_ADAPTER_SLOTS; i++) {
        hg_slot *slot = &engine->slot[i];
        slot->begun = slot->resident = false;
        if (slot->state == HG_ADAPTER_READY) slot->state = HG_ADAPTER_LOADING;
    }
    pthread_cond_broadcast(&engine->changed);
    pthread_mutex_unlock(&engine->lock);
}

void hg_slots_abandon(hg_engine *engine)
{
    for (uint32_t i = 0; i < HG_LIMIT_ADAPTER_SLOTS; i++) {
        hg_slot *slot = &engine->slot[i];
        give_back(engine, slot);
        pthread_mutex_lock(&engine->lock);
        if (slot->state == HG_ADAPTER_LOADING) {
            slot->state = HG_ADAPTER_FAILED;
            slot->failure = engine->lost;
        }
        pthread_cond_broadcast(&engine->changed);
        pthread_mutex_unlock(&engine->lock);
    }
}
