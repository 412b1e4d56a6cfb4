/* swiglu.cu: gate = silu(gate) * up (Shazeer, 2020). The residual is added by the projections
 * before and behind it, which write y += W x.
 *
 * One thread a value. Bytes moved: rows * columns * (8 read, 4 written).
 */
#include "kernels/cuda/vocabulary.cuh"

static __global__ void swiglu_kernel(float *gate, const float *up, uint32_t columns)
{
    uint32_t i = blockIdx.x * THREADS + threadIdx.x;
    size_t at = (size_t)blockIdx.y * columns + i;
    if (i >= columns) return;
    float g = gate[at];
    gate[at] = g / (1.0f + expf(-g)) * up[at];
}

extern "C" cudaError_t hg_cuda_swiglu(const hg_cuda_rows *rows, float *gate, const float *up,
                                      uint32_t columns)
{
    dim3 grid(divide_up(columns, THREADS), rows->rows);
    HG_LAUNCH(swiglu_kernel, grid, THREADS, rows->stream, gate, up, columns);
    return cudaGetLastError();
}
