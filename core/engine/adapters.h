/* adapters.h: the part of the engine that keeps adapters on the device.
 *
 * An adapter is known by a key that the caller chooses (never HG_NO_ADAPTER, and never one that it
 * used before, so KV keyed by it is never taken for another generation's). It is uploaded by the
 * engine thread in pieces of HG_LIMIT_ADAPTER_PIECE bytes between steps. Lanes submitted while it
 * still loads wait for it.
 */
#ifndef HG_ENGINE_ADAPTERS_H
#define HG_ENGINE_ADAPTERS_H

#include "core/engine/engine.h"

typedef enum hg_adapter_state {
    HG_ADAPTER_ABSENT,
    HG_ADAPTER_LOADING,
    HG_ADAPTER_READY,
    HG_ADAPTER_LEAVING, /* dropped, but lanes still run on it */
    HG_ADAPTER_FAILED,
} hg_adapter_state;

typedef struct hg_engine_figures {
    hg_device_info device;
    hg_device_memory memory;
    bool lost;                   /* no device serves now */
    uint32_t losses, recoveries; /* devices that failed, and that serve since in their place */
    uint32_t pages, pages_free, pages_cached; /* cached: held only for reuse */
    uint32_t adapters_ready, jobs, lanes;
    uint64_t steps, rows, decode_tokens, prefill_tokens, shared_tokens;
    uint64_t drafted_tokens, accepted_tokens;
    uint64_t step_us; /* time spent in forward, all steps */
} hg_engine_figures;

/* weights must stay valid until release(owner) is called by the engine thread: after the upload,
 * its failure, or its drop; when this call fails it is never called. HG_ERROR_STATE when the key is
 * in use or all slots are taken; a FAILED adapter makes way. */
hg_status hg_engine_add_adapter(hg_engine *engine, uint64_t key, const hg_lora_weights *weights,
                                void (*release)(void *owner), void *owner,
                                hg_error *error) HG_CHECKED;

/* New lanes are refused from now on; the memory is freed when the last lane on it has ended. */
hg_status hg_engine_drop_adapter(hg_engine *engine, uint64_t key, hg_error *error) HG_CHECKED;

hg_adapter_state hg_engine_adapter_state(hg_engine *engine, uint64_t key);

/* Waits until no adapter is LOADING, or the device is lost; HG_ERROR_DEVICE, naming the key, when
 * one failed. */
hg_status hg_engine_wait_adapters(hg_engine *engine, hg_error *error) HG_CHECKED;

void hg_engine_read_figures(hg_engine *engine, hg_engine_figures *out);

#endif
