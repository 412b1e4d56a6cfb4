/* memory.c: the card's memory in pools, and how much of it the device holds. */
#include <stdlib.h>

#include "kernels/cuda/state.h"

hg_status hg_cuda_take(hg_device *d, hg_cuda_pool *pool, size_t bytes, void **out, hg_error *error)
{
    size_t lines = (bytes + HG_CUDA_LINE - 1) / HG_CUDA_LINE * HG_CUDA_LINE;
    *out = NULL;
    if (!pool->counting) {
        if (pool->blocks == pool->capacity) {
            size_t capacity = pool->capacity ? pool->capacity * 2 : 64;
            void **grown = realloc(pool->block, capacity * sizeof *grown);
            if (!grown) return hg_fail(error, HG_ERROR_MEMORY, "no memory to list the card's");
            pool->block = grown;
            pool->capacity = capacity;
        }
        hg_status status = HG_CUDA_TRY(d, cudaMalloc(out, bytes ? bytes : 1), error);
        if (status) return status;
        pool->block[pool->blocks++] = *out;
    }
    pool->bytes += lines;
    return HG_OK;
}

void hg_cuda_pool_free(hg_device *d, hg_cuda_pool *pool)
{
    while (pool->blocks) hg_cuda_note(d, cudaFree(pool->block[--pool->blocks]), "cudaFree");
    free(pool->block);
    *pool = (hg_cuda_pool){0};
}

void hg_cuda_memory(const hg_device *d, hg_device_memory *out)
{
    *out = (hg_device_memory){.weights_bytes = d->weights.bytes,
                              .pages_bytes = d->pages.bytes,
                              .adapters_bytes = d->adapters.bytes,
                              .workspace_bytes = d->workspace.bytes,
                              .graphs_bytes = d->graphs_bytes};
    for (uint32_t i = 0; d->slot && i < d->plan.adapter_slots; i++)
        out->filled_bytes += d->slot[i].bytes;
}

size_t hg_cuda_held(const hg_device *d)
{
    hg_device_memory m;
    hg_cuda_memory(d, &m);
    return hg_device_memory_sum(&m);
}

hg_status hg_cuda_room(hg_device *d, hg_device_room *out, hg_error *error)
{
    hg_status status = hg_cuda_alive(d, error);
    if (status) return status;
    return HG_CUDA_TRY(d, cudaMemGetInfo(&out->left_bytes, &out->whole_bytes), error);
}

/* ---- ranges ---- */

/* The slot with the lowest beginning among those that end behind at, or NULL. */
static const hg_cuda_slot *next_range(const hg_device *d, size_t at)
{
    const hg_cuda_slot *next = NULL;
    for (uint32_t i = 0; i < d->plan.adapter_slots; i++) {
        const hg_cuda_slot *slot = &d->slot[i];
        if (slot->at + slot->bytes > at && (!next || slot->at < next->at)) next = slot;
    }
    return next;
}

hg_status hg_cuda_find_range(const hg_device *d, size_t bytes, size_t *at, hg_error *error)
{
    size_t begin = 0, whole = d->adapters.bytes, left = 0, largest = 0;
    while (begin < whole) {
        const hg_cuda_slot *next = next_range(d, begin);
        size_t gap = (next ? next->at : whole) - begin;
        if (gap >= bytes) {
            *at = begin;
            return HG_OK;
        }
        left += gap;
        if (gap > largest) largest = gap;
        begin = next ? next->at + next->bytes : whole;
    }
    if (bytes == 0) { /* an adapter that leaves everything alone, and no room for any */
        *at = 0;
        return HG_OK;
    }
    return hg_fail(error, HG_ERROR_LIMIT,
                   "the adapter has %zu bytes; of %zu for adapters %zu are free, at most %zu in "
                   "one piece: give --adapters a larger number, or use fewer",
                   bytes, whole, left, largest);
}
