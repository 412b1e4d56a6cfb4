/* vocabulary.cuh: the few words in which kernels are written.
 *
 * Kernels use threadIdx, blockIdx, gridDim, __syncthreads, __shfl_xor_sync, the words of card.cuh
 * and what stands here, nothing else of CUDA, so that tests/cuda_emulator can run the same sources
 * on a CPU: compiled as C++ there, <cuda_runtime.h> is the emulator's and brings its own words.
 *
 * Sums have a fixed order: a thread adds its own values from left to right, then threads are added
 * in a tree by number. No order depends on how many rows a step has.
 */
#ifndef HG_KERNELS_CUDA_VOCABULARY_CUH
#define HG_KERNELS_CUDA_VOCABULARY_CUH

#include <cuda_runtime.h>
#include <stdint.h>

#include "kernels/cuda/project.h"

#if defined(__CUDACC__)
#include "kernels/cuda/card.cuh"
#endif

#define THREADS 128 /* of every block */
#define WARPS   (THREADS / 32)

static inline __host__ __device__ uint32_t divide_up(uint32_t a, uint32_t b)
{
    return (a + b - 1) / b;
}

static __device__ inline float f32_of_bf16(uint16_t bits)
{
    return __uint_as_float((uint32_t)bits << 16);
}

/* Value at of an array of floats, which starts on a 256-byte line of the card. */
static __device__ inline float float_value(const void *data, hg_dtype type, size_t at)
{
    if (type == HG_F32) return ((const float *)data)[at];
    uint16_t bits = ((const uint16_t *)data)[at];
    return type == HG_F16 ? f32_of_f16(bits) : f32_of_bf16(bits);
}

/* What is added to code * scale in a group. */
static __device__ inline float group_offset(const hg_linear &w, size_t group, float scale)
{
    if (w.offsets) return f32_of_f16(w.offsets[group]);
    return -scale * (w.zeros ? (float)w.zeros[group] : w.bits == 8 ? 128.0f : 8.0f);
}

/* Value at of a matrix of the file's type; data of a quantised one is the card's hg_linear. */
static __device__ inline float matrix_value(const hg_matrix &m, size_t at)
{
    if (m.type != HG_QUANTISED) return float_value(m.data, m.type, at);
    const hg_linear &w = *(const hg_linear *)m.data;
    float scale = f32_of_f16(w.scales[at / w.group]);
    uint32_t code = w.bits == 8 ? w.codes[at] : w.codes[at / 2] >> (at % 2 * 4) & 15;
    return multiply_add((float)code, scale, group_offset(w, at / w.group, scale));
}

/* The sum over the warp, in all lanes. */
static __device__ inline float warp_sum(float value)
{
    for (int step = 16; step > 0; step /= 2) value += __shfl_xor_sync(0xFFFFFFFFu, value, step);
    return value;
}

/* 1 / rms of a row of the residual stream, in all lanes of a warp. */
static __device__ inline float inverse_rms(const hg_cuda_project &p, uint32_t row)
{
    uint32_t tiles = divide_up(p.residual.hidden, HG_CUDA_TILE);
    const float *square = p.residual.square + (size_t)row * tiles;
    float sum = 0;
    for (uint32_t t = threadIdx.x % 32; t < tiles; t += 32) sum += square[t];
    return 1.0f / sqrtf(warp_sum(sum) / (float)p.columns + p.epsilon);
}

/* The sum over the block, in all threads; scratch is shared [WARPS] and free again afterwards. */
template <class Scratch> static __device__ inline float block_sum(float value, Scratch &scratch)
{
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
    __syncthreads();
    float sum = 0;
    for (uint32_t w = 0; w < WARPS; w++) sum += scratch[w];
    __syncthreads();
    return sum;
}

template <class Scratch> static __device__ inline float block_max(float value, Scratch &scratch)
{
    for (int step = 16; step > 0; step /= 2)
        value = fmaxf(value, __shfl_xor_sync(0xFFFFFFFFu, value, step));
    if (threadIdx.x % 32 == 0) scratch[threadIdx.x / 32] = value;
    __syncthreads();
    float most = scratch[0];
    for (uint32_t w = 1; w < WARPS; w++) most = fmaxf(most, scratch[w]);
    __syncthreads();
    return most;
}

/* K (which 0) or V (which 1) of one position in one page, [width]. */
static __device__ inline uint16_t *kv_entry(const hg_cuda_kv &kv, uint32_t page, uint32_t which,
                                            uint32_t position)
{
    size_t half = ((size_t)page * kv.layers + kv.layer) * 2 + which;
    return kv.pool + (half * HG_LIMIT_PAGE_TOKENS + position % HG_LIMIT_PAGE_TOKENS) * kv.width;
}

#endif
