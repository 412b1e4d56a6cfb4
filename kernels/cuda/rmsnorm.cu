/* rmsnorm.cu: out = x / rms(x) * weight (Zhang and Sennrich, 2019), as Llama has it.
 *
 * One block a row: each thread adds the squares of every 128th value, the block adds its threads
 * in a fixed tree, and the row is read again, by then from the cache.
 * Bytes moved: rows * columns * (4 read, 4 written) and the weight.
 */
#include "kernels/cuda/vocabulary.cuh"

static __global__ void rms_norm_kernel(hg_cuda_norm norm)
{
    HG_SHARED(float, scratch, WARPS);
    const float *x = norm.x + (size_t)blockIdx.x * norm.columns;
    float *out = norm.out + (size_t)blockIdx.x * norm.columns;
    float squares = 0;
    for (uint32_t i = threadIdx.x; i < norm.columns; i += THREADS)
        squares = multiply_add(x[i], x[i], squares);
    float mean = block_sum(squares, scratch) / (float)norm.columns;
    float scale = 1.0f / sqrtf(mean + norm.epsilon);
    for (uint32_t i = threadIdx.x; i < norm.columns; i += THREADS)
        out[i] = x[i] * scale * norm.weight[i];
}

extern "C" cudaError_t hg_cuda_rms_norm(const hg_cuda_rows *rows, const hg_cuda_norm *norm)
{
    HG_LAUNCH(rms_norm_kernel, rows->rows, THREADS, rows->stream, *norm);
    return cudaGetLastError();
}
