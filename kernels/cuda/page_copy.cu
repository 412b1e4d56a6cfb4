/* page_copy.cu: the first entries of a KV page to another page, when lanes part.
 *
 * One block for K or V of one layer, where the entries of a page stand together.
 * Bytes moved: layers * 2 * tokens * kv_heads * head_dim * (2 read, 2 written).
 */
#include "kernels/cuda/vocabulary.cuh"

static __global__ void page_copy_kernel(hg_cuda_kv kv, uint32_t from, uint32_t to, uint32_t values)
{
    previous_done();
    next_may_start();
    kv.layer = blockIdx.x / 2;
    const uint16_t *source = kv_entry(kv, from, blockIdx.x % 2, 0);
    uint16_t *target = kv_entry(kv, to, blockIdx.x % 2, 0);
    for (uint32_t i = threadIdx.x; i < values; i += THREADS) target[i] = source[i];
}

extern "C" cudaError_t hg_cuda_page_copy(const hg_cuda_queue *queue, const hg_cuda_kv *kv,
                                         uint32_t from, uint32_t to, uint32_t tokens)
{
    HG_LAUNCH(page_copy_kernel, kv->layers * 2, 0, *queue, *kv, from, to, tokens * kv->width);
    return cudaGetLastError();
}
