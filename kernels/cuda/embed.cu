/* embed.cu: the rows' tokens become the residual stream, with the squares that the first norm
 * needs.
 *
 * One block a row; the matrix keeps the file's type and is widened on the way.
 * Bytes moved: rows * hidden * (2 or 4 read, 4 written).
 */
#include "kernels/cuda/vocabulary.cuh"

static __global__ void embed_kernel(hg_cuda_queue queue, hg_matrix embedding, hg_cuda_residual to)
{
    previous_done();
    next_may_start();
    uint32_t r = blockIdx.x, lane = threadIdx.x % 32, tiles = divide_up(to.hidden, HG_CUDA_TILE);
    if (r >= queue.pass->rows) return;
    size_t from = (size_t)queue.pass->row[r].token * to.hidden;
    for (uint32_t t = threadIdx.x / 32; t < tiles; t += WARPS) {
        float square = 0;
        for (uint32_t i = t * HG_CUDA_TILE + lane; i < (t + 1) * HG_CUDA_TILE; i += 32) {
            if (i >= to.hidden) continue;
            float value = matrix_value(embedding, from + i);
            to.x[(size_t)r * to.hidden + i] = value;
            square = multiply_add(value, value, square);
        }
        square = warp_sum(square);
        if (!lane) to.square[(size_t)r * tiles + t] = square;
    }
}

extern "C" cudaError_t hg_cuda_embed_run(const hg_cuda_queue *queue, const hg_matrix *embedding,
                                         const hg_cuda_residual *residual)
{
    HG_LAUNCH(embed_kernel, queue->row_tiles * 8, 0, *queue, *queue, *embedding, *residual);
    return cudaGetLastError();
}
