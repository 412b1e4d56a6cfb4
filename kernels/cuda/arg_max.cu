/* arg_max.cu: the token of each wanted row, from the best of each tile of the head.
 *
 * One block a row: each thread looks at every 128th tile from below, then pairs of threads settle
 * it; of equal logits the lowest id wins.
 * Bytes moved: rows * vocabulary / 64 * 8.
 */
#include "kernels/cuda/vocabulary.cuh"

static __global__ void arg_max_kernel(hg_cuda_queue queue, const float *best,
                                      const int32_t *best_id, uint32_t tiles, int32_t *out)
{
    HG_SHARED(float, value, THREADS);
    HG_SHARED(int32_t, token, THREADS);
    previous_done();
    next_may_start();
    uint32_t me = threadIdx.x;
    if (blockIdx.x >= queue.pass->wanted) return;
    size_t row = (size_t)blockIdx.x * tiles;
    float most = -INFINITY;
    int32_t id = 0;
    for (uint32_t t = me; t < tiles; t += THREADS) {
        if (!(best[row + t] > most)) continue;
        most = best[row + t];
        id = best_id[row + t];
    }
    value[me] = most;
    token[me] = id;
    for (uint32_t step = THREADS / 2; step > 0; step /= 2) {
        __syncthreads();
        if (me >= step) continue;
        float other = value[me + step];
        int32_t other_id = token[me + step];
        if (other < most || (other == most && other_id >= id)) continue;
        value[me] = most = other;
        token[me] = id = other_id;
    }
    if (me == 0) out[blockIdx.x] = id;
}

extern "C" cudaError_t hg_cuda_arg_max_run(const hg_cuda_queue *queue, const hg_cuda_project *head,
                                           int32_t *token)
{
    HG_LAUNCH(arg_max_kernel, queue->row_tiles * 8, 0, *queue, *queue, head->best, head->best_id,
              head->tiles, token);
    return cudaGetLastError();
}
