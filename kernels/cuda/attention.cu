/* attention.cu: softmax(q k / sqrt(head_dim)) v over a lane's pages, heads in groups.
 *
 * One block for one row and one head, 128 positions at a time with a running maximum and sum
 * (online softmax: Milakov and Gimelshein, 2018; over pages: Kwon et al., 2023). Each thread first
 * holds one position's score, then one or two of the head's values, which it adds position by
 * position. Tiles begin at position 0 whatever else the step holds, so a row's sums always have
 * the same order. Heads of one group read the same K and V, from the cache.
 *
 * Bytes moved: for each row positions * kv_heads * head_dim * 2 * 4 (KV in F32).
 */
#include "kernels/cuda/vocabulary.cuh"

#define VALUES (HG_CUDA_HEAD_DIM_MAX / THREADS) /* of a head, in one thread */

/* The row's page at a position, and the position's K or V of the head's group. */
struct lane_view {
    const uint32_t *page; /* of the row's lane */
    size_t head;          /* offset of the group's head in an entry */
};

static __device__ inline const float *entry(const hg_cuda_kv &kv, const lane_view &lane,
                                            uint32_t which, uint32_t position)
{
    return kv_entry(kv, lane.page[position / HG_LIMIT_PAGE_TOKENS], which, position) + lane.head;
}

/* sum[j] = sum[j] * keep + the tile's weights times V. */
template <class Weights>
static __device__ inline void add_values(const hg_cuda_kv &kv, const lane_view &lane,
                                         const Weights &weight, uint32_t first, uint32_t count,
                                         float *sum, uint32_t head_dim)
{
    for (uint32_t j = 0; j < VALUES; j++) {
        uint32_t i = threadIdx.x + j * THREADS;
        if (i >= head_dim) continue;
        for (uint32_t t = 0; t < count; t++)
            sum[j] = multiply_add(weight[t], entry(kv, lane, 1, first + t)[i], sum[j]);
    }
}

static __global__ void attention_kernel(hg_cuda_rows rows, hg_cuda_kv kv, hg_cuda_heads heads)
{
    HG_SHARED(float, scratch, WARPS);
    HG_SHARED(float, q, HG_CUDA_HEAD_DIM_MAX);
    HG_SHARED(float, weight, THREADS);
    uint32_t r = blockIdx.x, head = blockIdx.y, dim = heads.head_dim, me = threadIdx.x;
    hg_row row = rows.row[r];
    lane_view lane = {rows.page + (size_t)row.lane * rows.lane_pages,
                      (size_t)(head / (heads.heads / heads.kv_heads)) * dim};
    size_t at = ((size_t)r * heads.heads + head) * dim;
    for (uint32_t i = me; i < dim; i += THREADS) q[i] = heads.q[at + i];
    __syncthreads();

    uint32_t positions = row.position + 1;
    float most = -INFINITY, total = 0, sum[VALUES] = {0}, root = sqrtf((float)dim);
    for (uint32_t first = 0; first < positions; first += THREADS) {
        uint32_t count = positions - first < THREADS ? positions - first : THREADS;
        float score = -INFINITY;
        if (me < count) {
            const float *k = entry(kv, lane, 0, first + me);
            float product = 0;
            for (uint32_t i = 0; i < dim; i++) product = multiply_add(q[i], k[i], product);
            score = product / root;
        }
        float higher = fmaxf(most, block_max(score, scratch));
        float keep = expf(most - higher), mine = me < count ? expf(score - higher) : 0;
        most = higher;
        weight[me] = mine;
        total = total * keep + block_sum(mine, scratch); /* its barriers publish the weights too */
        for (uint32_t j = 0; j < VALUES; j++) sum[j] *= keep;
        add_values(kv, lane, weight, first, count, sum, dim);
        /* The next tile's block_max keeps the weights until all threads have used them. */
    }
    for (uint32_t j = 0; j < VALUES; j++)
        if (me + j * THREADS < dim) heads.out[at + me + j * THREADS] = sum[j] / total;
}

extern "C" cudaError_t hg_cuda_attention(const hg_cuda_rows *rows, const hg_cuda_kv *kv,
                                         const hg_cuda_heads *heads)
{
    dim3 grid(rows->rows, heads->heads);
    HG_LAUNCH(attention_kernel, grid, THREADS, rows->stream, *rows, *kv, *heads);
    return cudaGetLastError();
}
