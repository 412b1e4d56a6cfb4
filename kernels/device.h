/* device.h: the one interface to something that computes a transformer step.
 *
 * A device holds one base model, a pool of KV pages and a table of adapter slots. The whole step is
 * the device's own business, so that each can fuse as it likes; page ids, slots, lanes and
 * scheduling belong to the caller (core/engine), whose engine thread makes all calls.
 *
 * Contract, for every implementation:
 * - A row's result depends only on its own lane: the same bits whatever other rows a step has and
 *   however a prompt was cut into steps.
 * - Nothing is allocated after load_model, but by put_adapter_begin where measure is NULL.
 * - A call that fails leaves the device as it was, unless it returns HG_ERROR_DEVICE: then only
 *   close may follow.
 */
#ifndef HG_KERNELS_DEVICE_H
#define HG_KERNELS_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "kernels/device_cache.h"
#include "kernels/device_plan.h"
#include "kernels/device_step.h"
#include "kernels/weights.h"

#define HG_DEVICE_VERSION 6

typedef struct hg_device hg_device; /* each implementation defines its own */

typedef struct hg_device_options {
    const char *kernel;  /* name of a kernel family, or NULL: the best one here */
    uint32_t threads;    /* CPU threads, 0: one for each core we may run on */
    size_t memory_bytes; /* most device memory to take, 0: no bound of ours */
    hg_device_cache cache;
} hg_device_options;

typedef struct hg_device_info {
    char name[64];   /* "cpu: AMD EPYC 9B14", "cuda: NVIDIA H200" */
    char kernel[32]; /* "avx512vnni" */
    uint32_t threads;
    size_t page_bytes;           /* of one KV page; 0 before load_model */
    bool cached;                 /* the packed model came from the cache */
    uint32_t chunk_rows, chunks; /* after load_model: rows of a whole chunk, 0: it has none; most of
                                  * them in a step */
} hg_device_info;

typedef struct hg_device_api {
    uint32_t version; /* HG_DEVICE_VERSION */
    const char *name; /* "cpu", "cuda" */

    hg_status (*open)(const hg_device_options *options, hg_device **out, hg_error *error);
    void (*close)(hg_device *device); /* NULL is allowed */
    void (*describe)(const hg_device *device, hg_device_info *out);
    void (*memory)(const hg_device *device, hg_device_memory *out); /* what is really held */

    /* What load_model would take with plan, by sizes alone: neither device nor card is needed, the
     * weights' values are not looked at. NULL: memory is the host's and is taken as it is needed;
     * then room is NULL too. */
    hg_status (*measure)(const hg_weights *weights, const hg_device_plan *plan,
                         hg_device_memory *out, hg_error *error);
    hg_status (*room)(hg_device *device, hg_device_room *out, hg_error *error);

    /* Packs the model into the device's own order and allocates what plan says. Once per device.
     * The views in weights must stay valid until close. */
    hg_status (*load_model)(hg_device *device, const hg_weights *weights,
                            const hg_device_plan *plan, hg_error *error);

    /* An adapter comes in pieces, so that steps can run in between: begin (allocates; weights must
     * stay valid until commit), step (reads about bytes more; *done when nothing is left), commit
     * (from now on rows may name slot). drop frees a slot in any of these states. */
    hg_status (*put_adapter_begin)(hg_device *device, uint16_t slot, const hg_lora_weights *weights,
                                   hg_error *error);
    hg_status (*put_adapter_step)(hg_device *device, uint16_t slot, size_t bytes, bool *done,
                                  hg_error *error);
    hg_status (*put_adapter_commit)(hg_device *device, uint16_t slot, hg_error *error);
    void (*drop_adapter)(hg_device *device, uint16_t slot);

    /* Copies the first tokens K and V entries of all layers from one page to another. */
    hg_status (*copy_page)(hg_device *device, uint32_t from, uint32_t to, uint32_t tokens,
                           hg_error *error);

    hg_status (*forward)(hg_device *device, const hg_step *step, hg_result *result,
                         hg_error *error);

    /* b / a when steps of n wanted rows take a + b n, as far as is known. NULL: rows are free. */
    double (*row_cost)(const hg_device *device);
} hg_device_api;

#endif
