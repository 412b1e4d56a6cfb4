/* chunk_steps.cu: what whole chunks of a prompt need around cuBLASLt's products: norms, adapters'
 * first halves, weights as F16, and what follows a layer.
 *
 * Each value of a row is made as the decode kernel makes it, but that weights are rounded to F16
 * and products add in cuBLASLt's order. A row's norm takes a warp, a unit of weights too.
 *
 * Bytes moved: weights once as they are packed, and 2 bytes a weight written; of each row 4 bytes a
 * column for a norm, and for each output 4 bytes read.
 */
#include "kernels/cuda/chunk.h"
#include "kernels/cuda/fragment.cuh"
#include "kernels/cuda/project_finish.cuh"

/* The arguments as pass number y sees them. */
static __device__ inline hg_cuda_project of_pass(const hg_cuda_project &p, uint32_t y)
{
    hg_cuda_project own = p;
    size_t rows = (size_t)y * HG_CUDA_ROWS;
    own.residual.x += rows * p.residual.hidden;
    own.residual.square += rows * divide_up(p.residual.hidden, HG_CUDA_TILE);
    if (p.half) own.half += rows * p.columns;
    if (p.out) own.out += rows * (p.part[0].outs / 2);
    if (p.q) own.q += rows * p.part[0].outs;
    own.h += rows * HG_CUDA_PARTS * HG_LIMIT_ADAPTER_RANK;
    return own;
}

static __global__ void chunk_norm_kernel(const __grid_constant__ hg_cuda_project p,
                                         uint16_t *normed)
{
    uint32_t row = blockIdx.x * WARPS + threadIdx.x / 32;
    float factor = inverse_rms(p, row);
    for (uint32_t k = threadIdx.x % 32 * 4; k < p.columns; k += 128)
        *(uint2 *)(void *)(normed + (size_t)row * p.columns + k) = input_values(p, row, factor, k);
}

static __global__ void chunk_shrink_kernel(const __grid_constant__ hg_cuda_project p,
                                           const __grid_constant__ hg_cuda_queue queue)
{
    HG_SHARED(float, factor, 1); /* of no use: rows are normed */
    const hg_cuda_pass &pass = queue.pass[blockIdx.y];
    hg_cuda_project own = of_pass(p, blockIdx.y);
    uint32_t layers = p.finish == HG_CUDA_SWIGLU ? 2 : p.parts;
    uint32_t pieces = pass.rows * layers * divide_up(pass.rank_most, WARPS);
    for (uint32_t i = blockIdx.x; i < pieces; i += gridDim.x)
        shrink(own, pass, i % pass.rows, i / pass.rows % layers, i / pass.rows / layers, factor);
}

/* One step's weights of a lane: four of output g and four of output g + 8, to their rows. */
template <int bits>
static __device__ inline void widen_step(const uint32_t *word, const float *scale,
                                         const float *shift, uint32_t columns, uint16_t *to)
{
    uint32_t a[4];
    decode<bits>(word, a);
    for (uint32_t half = 0; half < 2; half++) {
        uint32_t out[2];
        for (uint32_t i = 0; i < 2; i++) {
            uint32_t pair = a[i * 2 + half];
            out[i] = bits == 16
                         ? pair
                         : f16x2(multiply_add(f32_of_f16((uint16_t)pair), scale[half], shift[half]),
                                 multiply_add(f32_of_f16((uint16_t)(pair >> 16)), scale[half],
                                              shift[half]));
        }
        *(uint2 *)(void *)(to + (size_t)half * 8 * columns) = {out[0], out[1]};
    }
}

/* The group's scales of outputs g and g + 8, and what is added to their weights. */
template <int bits>
static __device__ inline void group_values(const hg_cuda_linear &w, const uint32_t *behind,
                                           uint32_t group, float *scale, float *shift)
{
    uint32_t groups = STEPS(bits) / w.steps, g = threadIdx.x % 32 / 4;
    for (uint32_t half = 0; half < 2; half++) {
        scale[half] = f32_of_f16((uint16_t)(behind[group * 8 + g] >> half * 16));
        shift[half] = 0;
        if (w.shift == HG_CUDA_SYMMETRIC) continue;
        float own = f32_of_f16((uint16_t)(behind[(groups + group) * 8 + g] >> half * 16));
        shift[half] = group_shift<bits>(w, scale[half], own);
    }
}

/* A unit of a warp: 16 outputs, 128, 64 or 32 columns; to is output g at the lane's columns. */
template <int bits>
static __device__ inline void widen_unit(const hg_cuda_linear &w, const uint8_t *unit,
                                         uint32_t columns, uint32_t left, uint16_t *to)
{
    const uint32_t *words = (const uint32_t *)(const void *)unit;
    uint32_t lane = threadIdx.x % 32, word[4];
    float scale[2] = {}, shift[2] = {};
    for (uint32_t s = 0; s < STEPS(bits); s++) {
        constexpr uint32_t size = bits / 4; /* words of a step, in a lane */
        if (s * size % 4 == 0) {
            const uint32_t *from = words + (s * size / 4 * 32 + lane) * 4;
            uint4 four = *(const uint4 *)(const void *)from;
            word[0] = four.x, word[1] = four.y, word[2] = four.z, word[3] = four.w;
        }
        if (bits < 16 && s % w.steps == 0)
            group_values<bits>(w, words + UNIT_WORDS, s / w.steps, scale, shift);
        if (s * 16 + lane % 4 * 4 < left)
            widen_step<bits>(word + s * size % 4, scale, shift, columns, to + s * 16);
    }
}

static __global__ void chunk_widen_kernel(const __grid_constant__ hg_cuda_linear w, uint32_t first,
                                          uint32_t columns, uint16_t *values)
{
    uint32_t warp = threadIdx.x / 32, lane = threadIdx.x % 32, u = blockIdx.x;
    uint32_t unit_columns = 16 * 32 / w.bits;
    const uint8_t *unit =
        w.unit + ((size_t)((first + blockIdx.y) * WARPS + warp) * w.units + u) * w.unit_bytes;
    size_t out = blockIdx.y * HG_CUDA_TILE + warp * 16 + lane / 4;
    if (u * unit_columns >= columns) return;
    uint32_t left = columns - u * unit_columns;
    uint16_t *to = values + out * columns + u * unit_columns + lane % 4 * 4;
    if (w.bits == 4)
        widen_unit<4>(w, unit, columns, left, to);
    else if (w.bits == 8)
        widen_unit<8>(w, unit, columns, left, to);
    else
        widen_unit<16>(w, unit, columns, left, to);
}

static __global__ void chunk_finish_kernel(const __grid_constant__ hg_cuda_project p,
                                           const __grid_constant__ hg_cuda_queue queue,
                                           const __grid_constant__ hg_cuda_panel panel)
{
    const hg_cuda_pass &pass = queue.pass[blockIdx.y];
    hg_cuda_project own = of_pass(p, blockIdx.y);
    uint32_t lane = threadIdx.x % 32, outs = panel.tiles * HG_CUDA_TILE;
    uint32_t tile = panel.first + blockIdx.x; /* of the part */
    const float *from = panel.product + (size_t)blockIdx.y * HG_CUDA_ROWS * outs +
                        blockIdx.x * HG_CUDA_TILE + lane * 2;
    finished f;
    f.part = panel.part;
    find_places(own, tile * HG_CUDA_TILE + lane * 2, &f);
    for (f.row = threadIdx.x / 32; f.row < pass.rows; f.row += WARPS) {
        f.y[0] = from[(size_t)f.row * outs];
        f.y[1] = from[(size_t)f.row * outs + 1];
        if (pass.rank_most) expand(own, pass, &f);
        switch (p.finish) {
        case HG_CUDA_QKV: finish_qkv(own, pass, queue.page, queue.lane_pages, &f); break;
        case HG_CUDA_ADD: finish_add(own, tile, f); break;
        case HG_CUDA_SWIGLU: finish_swiglu(own, f); break;
        case HG_CUDA_HEAD: break; /* no row of a chunk is wanted */
        }
    }
}

extern "C" cudaError_t hg_cuda_chunk_norm(const hg_cuda_queue *queue, const hg_cuda_project *p,
                                          uint32_t passes, uint16_t *normed)
{
    HG_LAUNCH(chunk_norm_kernel, passes * HG_CUDA_ROWS / WARPS, 0, *queue, *p, normed);
    return cudaGetLastError();
}

extern "C" cudaError_t hg_cuda_chunk_shrink(const hg_cuda_queue *queue, const hg_cuda_project *p,
                                            uint32_t passes)
{
    HG_LAUNCH(chunk_shrink_kernel, dim3(HG_CUDA_ROWS, passes), 0, *queue, *p, *queue);
    return cudaGetLastError();
}

extern "C" cudaError_t hg_cuda_chunk_widen(const hg_cuda_queue *queue, const hg_cuda_project *p,
                                           const hg_cuda_panel *panel)
{
    const hg_cuda_linear &w = p->part[panel->part];
    HG_LAUNCH(chunk_widen_kernel, dim3(w.units, panel->tiles), 0, *queue, w, panel->first,
              p->columns, panel->values);
    return cudaGetLastError();
}

extern "C" cudaError_t hg_cuda_chunk_finish(const hg_cuda_queue *queue, const hg_cuda_project *p,
                                            const hg_cuda_panel *panel)
{
    HG_LAUNCH(chunk_finish_kernel, dim3(panel->tiles, panel->passes), 0, *queue, *p, *queue,
              *panel);
    return cudaGetLastError();
}
