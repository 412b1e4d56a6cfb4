/* lora.cu: y += scale * B (A x), each row with the adapter of its own slot (Hu et al., 2021; the
 * rows of a batch with different adapters as in Punica's SGMV, Chen et al., 2023).
 *
 * A table on the card, [slots, layers, projections], holds each pair's pointers, scale and true
 * rank; rows find theirs by slot, so adapters come and go by writing a line of the table. Nothing
 * is padded: the grid is as wide as the step's largest rank, and what is beyond a row's own rank
 * does nothing.
 * - shrink: a team of 8 lanes for one row and one rank, h = A x.
 * - expand: one thread for one row and one output, over the rank from left to right.
 *
 * Bytes moved: each row's own A and B once, from the cache where rows share an adapter.
 */
#include "kernels/cuda/vocabulary.cuh"

/* The row's pair, or NULL. */
static __device__ inline const hg_lora *find_pair(const hg_cuda_rows &rows,
                                                  const hg_cuda_lora &lora, uint32_t r)
{
    uint16_t slot = rows.row[r].slot;
    return slot == HG_NO_SLOT ? nullptr : lora.pair + (size_t)slot * lora.pairs;
}

static __global__ void shrink_kernel(hg_cuda_rows rows, hg_cuda_lora lora)
{
    uint32_t r = blockIdx.y, member = threadIdx.x % TEAM;
    uint32_t i = blockIdx.x * TEAMS + threadIdx.x / TEAM;
    const hg_lora *pair = find_pair(rows, lora, r);
    bool mine = pair && i < pair->rank;
    float sum = 0;
    if (mine) {
        hg_matrix a = pair->a;
        const float *x = lora.x + (size_t)r * lora.columns;
        for (uint32_t c = member; c < lora.columns; c += TEAM)
            sum = multiply_add(matrix_value(a, (size_t)i * lora.columns + c), x[c], sum);
    }
    sum = team_sum(sum);
    if (mine && !member) lora.h[(size_t)r * HG_LIMIT_ADAPTER_RANK + i] = sum;
}

static __global__ void expand_kernel(hg_cuda_rows rows, hg_cuda_lora lora)
{
    uint32_t r = blockIdx.y, out = blockIdx.x * THREADS + threadIdx.x;
    const hg_lora *pair = find_pair(rows, lora, r);
    if (!pair || !pair->rank || out >= lora.outs) return;
    hg_matrix b = pair->b;
    const float *h = lora.h + (size_t)r * HG_LIMIT_ADAPTER_RANK;
    float sum = 0;
    for (uint32_t i = 0; i < pair->rank; i++)
        sum = multiply_add(matrix_value(b, (size_t)out * pair->rank + i), h[i], sum);
    float *y = lora.y + (size_t)r * lora.outs + out;
    *y = multiply_add(pair->scale, sum, *y);
}

extern "C" cudaError_t hg_cuda_lora_add(const hg_cuda_rows *rows, const hg_cuda_lora *lora)
{
    if (!rows->rank_max) return cudaSuccess;
    dim3 shrink(divide_up(rows->rank_max, TEAMS), rows->rows);
    dim3 expand(divide_up(lora->outs, THREADS), rows->rows);
    HG_LAUNCH(shrink_kernel, shrink, THREADS, rows->stream, *rows, *lora);
    cudaError_t failed = cudaGetLastError();
    if (failed != cudaSuccess) return failed;
    HG_LAUNCH(expand_kernel, expand, THREADS, rows->stream, *rows, *lora);
    return cudaGetLastError();
}
