/* linear.cu: y = W x for a layer in device form (kernels/weights.h).
 *
 * A team of 8 lanes computes one output for 4 rows; 16 teams make a block. A lane takes 8 codes at
 * a time (4 bytes of INT4, 8 of INT8; one group, since groups have 16 columns or more), so a team
 * reads whole 32-byte sectors; it widens them once and uses them for all its rows. Lanes are added
 * by shuffles. A row has its own sums in the same order wherever it stands in the step.
 *
 * w = code * scale + offset; without offsets the offset is -zero * scale. Both products are exact
 * in F32 (11 bits of scale, 8 of code), so each form rounds once, as the reference does. Dense
 * layers (bits 0) are read in the file's type by the same teams.
 *
 * Bytes moved: for each 4 rows the codes, scales and offsets once, and x from the cache.
 */
#include "kernels/cuda/vocabulary.cuh"

/* Weights [8 * chunk, 8 * chunk + 8) of output row out. */
template <int bits>
static __device__ inline void decode(const hg_linear &w, uint32_t out, uint32_t chunk, float *value)
{
    size_t at = (size_t)out * w.columns + chunk * 8;
    if constexpr (bits == 0) {
        for (uint32_t i = 0; i < 8; i++) value[i] = float_value(w.dense, w.dense_type, at + i);
    } else {
        size_t group = at / w.group;
        float scale = f32_of_f16(w.scales[group]), offset = group_offset(w, group, scale);
        const uint32_t *codes = (const uint32_t *)w.codes + at * bits / 32; /* one word or two */
        for (uint32_t i = 0; i < 8; i++) {
            uint32_t code = codes[i * bits / 32] >> (i * bits % 32) & ((1u << bits) - 1);
            value[i] = multiply_add((float)code, scale, offset);
        }
    }
}

template <int bits>
static __global__ void linear_kernel(hg_linear w, const float *x, uint32_t rows, bool add, float *y)
{
    uint32_t member = threadIdx.x % TEAM, out = blockIdx.x * TEAMS + threadIdx.x / TEAM;
    uint32_t first = blockIdx.y * TILE;
    uint32_t chunks = out < w.rows ? w.columns / 8 : 0;
    float sum[TILE] = {0};
    for (uint32_t chunk = member; chunk < chunks; chunk += TEAM) {
        float value[8];
        decode<bits>(w, out, chunk, value);
        for (uint32_t r = 0; r < TILE; r++) {
            if (first + r >= rows) continue;
            const float *own = x + (size_t)(first + r) * w.columns + chunk * 8;
            for (uint32_t i = 0; i < 8; i++) sum[r] = multiply_add(value[i], own[i], sum[r]);
        }
    }
    for (uint32_t r = 0; r < TILE; r++) {
        if (first + r >= rows) continue; /* the same in the whole block: no lane is missed */
        float total = team_sum(sum[r]);
        if (member || out >= w.rows) continue;
        float *to = y + (size_t)(first + r) * w.rows + out;
        *to = add ? *to + total : total;
    }
}

extern "C" cudaError_t hg_cuda_linear(const hg_cuda_rows *rows, const hg_linear *w, const float *x,
                                      bool add, float *y)
{
    dim3 grid(divide_up(w->rows, TEAMS), divide_up(rows->rows, TILE));
    if (w->bits == 4)
        HG_LAUNCH(linear_kernel<4>, grid, THREADS, rows->stream, *w, x, rows->rows, add, y);
    else if (w->bits == 0)
        HG_LAUNCH(linear_kernel<0>, grid, THREADS, rows->stream, *w, x, rows->rows, add, y);
    else
        HG_LAUNCH(linear_kernel<8>, grid, THREADS, rows->stream, *w, x, rows->rows, add, y);
    return cudaGetLastError();
}
