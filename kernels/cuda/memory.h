/* memory.h: what the CUDA device takes of the card: pools and adapter slots.
 *
 * Memory is tracked, so that what is reported is what is held and close frees all of it.
 */
#ifndef HG_KERNELS_CUDA_MEMORY_H
#define HG_KERNELS_CUDA_MEMORY_H

#include "kernels/device.h"

/* Blocks of the card's memory that live and die together. */
typedef struct hg_cuda_pool {
    void **block; /* [blocks] */
    size_t blocks, capacity;
    size_t bytes;  /* as CUDA hands them out: whole lines of HG_CUDA_LINE */
    bool counting; /* takes nothing, only counts bytes */
} hg_cuda_pool;

#define HG_CUDA_LINE 256 /* cudaMalloc's alignment */

typedef enum hg_cuda_slot_state {
    HG_CUDA_EMPTY,
    HG_CUDA_LOADING,
    HG_CUDA_READY
} hg_cuda_slot_state;

/* One adapter: a range of the block for adapters, each matrix in the file's type on a line of its
 * own. */
typedef struct hg_cuda_slot {
    hg_cuda_slot_state state;
    const hg_lora_weights *weights; /* NULL once committed */
    size_t at, bytes;               /* in hg_device's adapters */
    hg_lora *pair; /* [layers * HG_PROJECTIONS], host: pointers of the card; the table's line */
    uint32_t rank_max;
    uint32_t next;    /* matrix of the upload: pair * 2 + (0: A, 1: B) */
    size_t next_byte; /* in that matrix */
} hg_cuda_slot;

/* bytes of the card's memory into *out; of a counting pool NULL. */
hg_status hg_cuda_take(hg_device *device, hg_cuda_pool *pool, size_t bytes, void **out,
                       hg_error *error) HG_CHECKED;
void hg_cuda_pool_free(hg_device *device, hg_cuda_pool *pool);

/* What the device holds, or has counted. */
void hg_cuda_memory(const hg_device *device, hg_device_memory *out);
size_t hg_cuda_held(const hg_device *device);

hg_status hg_cuda_room(hg_device *device, hg_device_room *out, hg_error *error);

/* The lowest range of bytes of the block for adapters that no slot has; HG_ERROR_LIMIT, saying
 * what is free, when there is none. */
hg_status hg_cuda_find_range(const hg_device *device, size_t bytes, size_t *at,
                             hg_error *error) HG_CHECKED;

#endif
