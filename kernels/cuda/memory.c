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
                              .workspace_bytes = d->workspace.bytes};
    for (uint32_t i = 0; d->slot && i < d->plan.adapter_slots; i++)
        out->adapters_bytes += d->slot[i].bytes;
}

size_t hg_cuda_held(const hg_device *d)
{
    hg_device_memory m;
    hg_cuda_memory(d, &m);
    return m.weights_bytes + m.pages_bytes + m.adapters_bytes + m.workspace_bytes;
}
