/* arg_max.cu: the token of each wanted row, from the best of each tile of the head, and whether it
 * ends the row's lane.
 *
 * One block a row: each thread looks at every 128th tile from below, then pairs of threads settle
 * it; of equal logits the lowest id wins. The last thread left compares it with the lane's stops.
 * Bytes moved: rows * (vocabulary / 64 * 8 + HG_LIMIT_STOP_TOKENS * 4).
 */
#include "kernels/cuda/vocabulary.cuh"

/* Whether token is one of the stops of the lane of the wanted row number i. */
static __device__ inline int32_t stops_lane(const hg_cuda_queue &queue, uint32_t i, int32_t token)
{
    const hg_cuda_pass &pass = *queue.pass;
    if (!pass.stops) return 0;
    const int32_t *stop = queue.stop + (size_t)pass.row[pass.want[i]].lane * HG_LIMIT_STOP_TOKENS;
    int32_t found = 0;
    for (int s = 0; s < HG_LIMIT_STOP_TOKENS; s++) found |= stop[s] == token;
    return found;
}

static __global__ void arg_max_kernel(hg_cuda_queue queue, const float *best,
                                      const int32_t *best_id, uint32_t tiles, hg_cuda_choice *out)
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
    if (me > 0) return;
    out[blockIdx.x].token = id;
    out[blockIdx.x].stopped = stops_lane(queue, blockIdx.x, id);
}

extern "C" cudaError_t hg_cuda_arg_max_run(const hg_cuda_queue *queue, const hg_cuda_project *head,
                                           hg_cuda_choice *choice)
{
    HG_LAUNCH(arg_max_kernel, queue->row_tiles * 8, 0, *queue, *queue, head->best, head->best_id,
              head->tiles, choice);
    return cudaGetLastError();
}
