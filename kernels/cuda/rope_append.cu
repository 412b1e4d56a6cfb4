/* rope_append.cu: rotary positions (Su et al., 2021) and the append to the KV pages.
 *
 * One block a row. A thread turns pairs (i, i + head_dim / 2) of q in place and of k on its way to
 * the row's page, and copies v. The rows' own pages belong to one lane each, so no two blocks
 * write the same place.
 * Bytes moved: rows * (2 * heads + 4 * kv_heads) * head_dim * 4.
 */
#include "kernels/cuda/vocabulary.cuh"

/* Turns pair i of one head of from into to; they may be the same. */
static __device__ inline void turn(const hg_cuda_heads &heads, uint32_t position, uint32_t i,
                                   const float *from, float *to)
{
    uint32_t half = heads.head_dim / 2;
    float angle = (float)position * heads.frequency[i], c = cosf(angle), s = sinf(angle);
    float a = from[i], b = from[i + half];
    to[i] = a * c - b * s;
    to[i + half] = b * c + a * s;
}

static __global__ void rope_append_kernel(hg_cuda_rows rows, hg_cuda_kv kv, hg_cuda_heads heads)
{
    uint32_t r = blockIdx.x, dim = heads.head_dim, half = dim / 2;
    hg_row row = rows.row[r];
    uint32_t page = rows.page[(size_t)row.lane * rows.lane_pages +
                              row.position / HG_LIMIT_PAGE_TOKENS];
    float *q = heads.q + (size_t)r * heads.heads * dim;
    for (uint32_t i = threadIdx.x; i < heads.heads * half; i += THREADS) {
        float *head = q + (size_t)(i / half) * dim;
        turn(heads, row.position, i % half, head, head);
    }
    const float *k = heads.k + (size_t)r * kv.width, *v = heads.v + (size_t)r * kv.width;
    float *k_to = kv_entry(kv, page, 0, row.position), *v_to = kv_entry(kv, page, 1, row.position);
    for (uint32_t i = threadIdx.x; i < heads.kv_heads * half; i += THREADS) {
        size_t head = (size_t)(i / half) * dim;
        turn(heads, row.position, i % half, k + head, k_to + head);
    }
    for (uint32_t i = threadIdx.x; i < kv.width; i += THREADS) v_to[i] = v[i];
}

extern "C" cudaError_t hg_cuda_rope_append(const hg_cuda_rows *rows, const hg_cuda_kv *kv,
                                           const hg_cuda_heads *heads)
{
    HG_LAUNCH(rope_append_kernel, rows->rows, THREADS, rows->stream, *rows, *kv, *heads);
    return cudaGetLastError();
}
