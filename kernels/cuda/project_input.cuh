/* project_input.cuh: what project.cu multiplies: the rows' activations as F16, normed on the way
 * where they come from the residual stream, and the adapters' first halves, h = A x.
 *
 * The root mean square is made from the squares that whoever wrote the residual left, tile by tile
 * (Zhang and Sennrich, 2019): norm needs no launch of its own.
 */
#ifndef HG_KERNELS_CUDA_PROJECT_INPUT_CUH
#define HG_KERNELS_CUDA_PROJECT_INPUT_CUH

#include "kernels/cuda/vocabulary.cuh"

/* Row r of the product: the row of the pass; the head has only rows that are wanted. */
static __device__ inline uint32_t source_row(const hg_cuda_project &p, const hg_cuda_pass &pass,
                                             uint32_t r)
{
    return p.finish == HG_CUDA_HEAD ? pass.want[r] : r;
}

/* factor[r] = 1 / rms of row r, by one warp each. */
template <class Factors>
static __device__ inline void find_factors(const hg_cuda_project &p, const hg_cuda_pass &pass,
                                           uint32_t rows, Factors &factor)
{
    for (uint32_t r = threadIdx.x / 32; r < rows && !p.half; r += WARPS) {
        float own = inverse_rms(p, source_row(p, pass, r));
        if (threadIdx.x % 32 == 0) factor[r] = own;
    }
    __syncthreads();
}

/* Four values of a row from column k on, a multiple of four: two pairs of F16; 0 behind the end. */
static __device__ inline uint2 input_values(const hg_cuda_project &p, uint32_t row, float factor,
                                            uint32_t k)
{
    if (k >= p.columns) return {0, 0};
    size_t at = (size_t)row * p.columns + k;
    if (p.half) {
        const uint32_t *pair = (const uint32_t *)(const void *)(p.half + at);
        return {pair[0], pair[1]};
    }
    const float *x = p.residual.x + at, *g = p.norm + k;
    return {f16x2(x[0] * factor * g[0], x[1] * factor * g[1]),
            f16x2(x[2] * factor * g[2], x[3] * factor * g[3])};
}

/* One chunk of all rows into shared memory, in the order in which the products read it: of each
 * step of 16 columns and tile of 8 rows, lane 4 g + q has row g's columns 4q .. 4q + 3. */
template <int row_tiles, class Words, class Factors>
static __device__ inline void stage_rows(const hg_cuda_project &p, const hg_cuda_pass &pass,
                                         uint32_t rows, uint32_t chunk, const Factors &factor,
                                         Words &x)
{
    uint32_t first = chunk * HG_CUDA_CHUNK, end = divide_up(p.columns, 128) * 128;
    uint32_t quads = (end - first < HG_CUDA_CHUNK ? end - first : HG_CUDA_CHUNK) / 4;
    for (uint32_t i = threadIdx.x; i < rows * quads; i += THREADS) {
        uint32_t r = i / quads, quad = i % quads;
        float own = p.half ? 1.0f : (float)factor[r];
        uint2 value = input_values(p, source_row(p, pass, r), own, first + quad * 4);
        uint32_t lane = r % 8 * 4 + quad % 4;
        store2(x, ((quad / 4 * row_tiles + r / 8) * 32 + lane) * 2, value);
    }
}

/* Eight values of A from at on, in the file's type. */
static __device__ inline void factor_values(const hg_matrix &a, size_t at, float *value)
{
    if (a.type == HG_F32 || a.columns % 8) {
        for (uint32_t i = 0; i < 8; i++) value[i] = float_value(a.data, a.type, at + i);
        return;
    }
    uint4 word = *(const uint4 *)(const void *)((const uint16_t *)a.data + at);
    uint32_t bits[4] = {word.x, word.y, word.z, word.w};
    for (uint32_t i = 0; i < 8; i++) {
        uint16_t half = (uint16_t)(bits[i / 2] >> i % 2 * 16);
        value[i] = a.type == HG_F16 ? f32_of_f16(half) : f32_of_bf16(half);
    }
}

static __device__ inline float dot8(const float *a, uint2 low, uint2 high, float sum)
{
    uint32_t pair[4] = {low.x, low.y, high.x, high.y};
    for (uint32_t i = 0; i < 8; i++)
        sum = multiply_add(a[i], f32_of_f16((uint16_t)(pair[i / 2] >> i % 2 * 16)), sum);
    return sum;
}

/* The pair that a row's adapter has for one of the launch's layers, or NULL. */
static __device__ inline const hg_lora *
find_pair(const hg_cuda_project &p, const hg_cuda_pass &pass, uint32_t row, uint32_t layer)
{
    uint16_t slot = pass.row[row].slot;
    return slot == HG_NO_SLOT ? nullptr : p.lora + (size_t)slot * p.pairs + layer;
}

/* h[row][layer][4 ranks] = A x, a warp for each rank. */
template <class Factors>
static __device__ inline void shrink(const hg_cuda_project &p, const hg_cuda_pass &pass,
                                     uint32_t row, uint32_t layer, uint32_t ranks,
                                     const Factors &factor)
{
    uint32_t lane = threadIdx.x % 32, i = ranks * WARPS + threadIdx.x / 32;
    const hg_lora *pair = find_pair(p, pass, row, layer);
    if (!pair || i >= pair->rank) return;
    float own = p.half ? 1.0f : (float)factor[row], sum = 0, a[8];
    for (uint32_t k = lane * 8; k < p.columns; k += 256) {
        factor_values(pair->a, (size_t)i * p.columns + k, a);
        sum = dot8(a, input_values(p, row, own, k), input_values(p, row, own, k + 4), sum);
    }
    sum = warp_sum(sum);
    size_t at = ((size_t)row * HG_CUDA_PARTS + layer) * HG_LIMIT_ADAPTER_RANK + i;
    if (!lane) p.h[at] = sum;
}

#endif
