/* recovery.h: a part of engine.h: what follows when the device fails for good.
 *
 * Lanes that ran on it end with HG_ERROR_DEVICE in any case, and none is taken until a device
 * serves again. Adapters keep their places; those that the device held are read anew.
 */
#ifndef HG_ENGINE_RECOVERY_H
#define HG_ENGINE_RECOVERY_H

#include "kernels/device.h"

typedef enum hg_device_policy {
    HG_DEVICE_RECOVER,  /* it is closed and opened anew, with ever longer waits; after
                         * HG_LIMIT_DEVICE_TRIES failures the spare is tried too */
    HG_DEVICE_FALLBACK, /* the spare takes over for the rest of the engine's life */
    HG_DEVICE_STOP      /* nothing: hg_engine_stopped tells whoever runs the program */
} hg_device_policy;

/* An adapter read anew; as in hg_engine_add_adapter. */
typedef struct hg_adapter_source {
    const hg_lora_weights *weights;
    void (*release)(void *owner);
    void *owner;
} hg_adapter_source;

typedef struct hg_recovery {
    hg_device_policy policy;
    const hg_device_api *spare; /* takes over, with its own best kernel; NULL: none */
    /* Reads the adapter of that key again. Called by the engine thread. NULL: such adapters fail.
     */
    hg_status (*reopen)(void *context, uint64_t key, hg_adapter_source *out, hg_error *error);
    void *context;
} hg_recovery;

struct hg_engine;
/* Whether the device was lost and nothing will be done about it; *error says why. Any thread. */
bool hg_engine_stopped(struct hg_engine *engine, hg_error *error);

#endif
