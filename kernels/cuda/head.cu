/* head.cu: logits of the rows that ask for them, and their arg-max.
 *
 * The matrix keeps the file's type. Logits: a team of 8 lanes for one token of the vocabulary and 4
 * rows, as in linear.cu. Arg-max: one block a row; each thread looks at every 128th token from
 * below, then pairs of threads settle it; of equal logits the lowest id wins, and where none
 * compares (all NaN) it is id 0.
 *
 * Bytes moved: for each 4 rows the matrix once; rows * vocabulary * 4 written and read again.
 */
#include "kernels/cuda/vocabulary.cuh"

static __global__ void logits_kernel(hg_cuda_head head)
{
    uint32_t member = threadIdx.x % TEAM, id = blockIdx.x * TEAMS + threadIdx.x / TEAM;
    uint32_t first = blockIdx.y * TILE, hidden = head.matrix.columns;
    uint32_t vocabulary = head.matrix.rows, chunks = id < vocabulary ? hidden / 8 : 0;
    float sum[TILE] = {0};
    for (uint32_t chunk = member; chunk < chunks; chunk += TEAM) {
        float value[8];
        for (uint32_t i = 0; i < 8; i++)
            value[i] = matrix_value(head.matrix, (size_t)id * hidden + chunk * 8 + i);
        for (uint32_t r = 0; r < TILE; r++) {
            if (first + r >= head.count) continue;
            const float *x = head.x + (size_t)head.wanted[first + r] * hidden + chunk * 8;
            for (uint32_t i = 0; i < 8; i++) sum[r] = multiply_add(value[i], x[i], sum[r]);
        }
    }
    for (uint32_t r = 0; r < TILE; r++) {
        if (first + r >= head.count) continue;
        float total = team_sum(sum[r]);
        if (!member && id < vocabulary) head.logits[(size_t)(first + r) * vocabulary + id] = total;
    }
}

static __global__ void arg_max_kernel(hg_cuda_head head)
{
    HG_SHARED(float, value, THREADS);
    HG_SHARED(int32_t, token, THREADS);
    uint32_t me = threadIdx.x, vocabulary = head.matrix.rows;
    const float *logits = head.logits + (size_t)blockIdx.x * vocabulary;
    float best = -INFINITY;
    int32_t best_id = 0;
    for (uint32_t i = me; i < vocabulary; i += THREADS) {
        if (!(logits[i] > best)) continue;
        best = logits[i];
        best_id = (int32_t)i;
    }
    value[me] = best;
    token[me] = best_id;
    for (uint32_t step = THREADS / 2; step > 0; step /= 2) {
        __syncthreads();
        if (me >= step) continue;
        float other = value[me + step];
        int32_t other_id = token[me + step];
        if (other < best || (other == best && other_id >= best_id)) continue;
        value[me] = best = other;
        token[me] = best_id = other_id;
    }
    if (me == 0) head.token[blockIdx.x] = best_id;
}

extern "C" cudaError_t hg_cuda_head_run(const hg_cuda_rows *rows, const hg_cuda_head *head)
{
    dim3 grid(divide_up(head->matrix.rows, TEAMS), divide_up(head->count, TILE));
    HG_LAUNCH(logits_kernel, grid, THREADS, rows->stream, *head);
    cudaError_t failed = cudaGetLastError();
    if (failed != cudaSuccess) return failed;
    HG_LAUNCH(arg_max_kernel, head->count, THREADS, rows->stream, *head);
    return cudaGetLastError();
}
