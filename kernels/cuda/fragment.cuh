/* fragment.cuh: units of packed weights (packed.h) times staged rows, on tensor cores.
 *
 * The codes become F16 without rounding, as code - 8 or code - 128: or'ed into 1024 (or 16 times as
 * much) and taken away again (as in Marlin, Frantar et al., 2024). Products of codes are added in
 * F32 for each group, and the group's scale is applied to that sum. What a group adds to its
 * weights (offset, or zero point times scale) multiplies the sum of its inputs, which comes from
 * one more product, with ones.
 */
#ifndef HG_KERNELS_CUDA_FRAGMENT_CUH
#define HG_KERNELS_CUDA_FRAGMENT_CUH

#include "kernels/cuda/vocabulary.cuh"

#define PAIR_1024   0x64006400u
#define PAIR_M1032  0xE408E408u /* -1024 - 8 */
#define PAIR_M1152  0xE480E480u /* -1024 - 128 */
#define PAIR_16TH   0x2C002C00u /* 1 / 16 */
#define PAIR_M72    0xD480D480u /* -1024 / 16 - 8 */
#define PAIR_1      0x3C003C00u
#define UNIT_WORDS  (HG_CUDA_UNIT_CODES / 4)
#define STEPS(bits) (32 / (bits)) /* of 16 columns in a unit */

/* One step's 16 x 16 weights of the lane's warp: a[4] of the product. */
template <int bits> static __device__ inline void decode(const uint32_t *word, uint32_t *a)
{
    if constexpr (bits == 4) {
        uint32_t w = word[0];
        a[0] = f16x2_add((w & 0x000F000F) | PAIR_1024, PAIR_M1032);
        a[1] = f16x2_multiply_add((w & 0x00F000F0) | PAIR_1024, PAIR_16TH, PAIR_M72);
        a[2] = f16x2_add((w >> 8 & 0x000F000F) | PAIR_1024, PAIR_M1032);
        a[3] = f16x2_multiply_add((w >> 8 & 0x00F000F0) | PAIR_1024, PAIR_16TH, PAIR_M72);
    } else if constexpr (bits == 8) {
        for (int i = 0; i < 4; i++)
            a[i] = f16x2_add(byte_permute(word[i / 2], PAIR_1024, i % 2 ? 0x7372 : 0x7170),
                             PAIR_M1152);
    } else {
        for (int i = 0; i < 4; i++) a[i] = word[i];
    }
}

/* What a group adds to its weights, given its offset or zero point; codes are less 8 or 128. */
template <int bits>
static __device__ inline float group_shift(const hg_cuda_linear &w, float scale, float own)
{
    const float middle = bits == 4 ? 8.0f : 128.0f;
    return w.shift == HG_CUDA_OFFSETS ? multiply_add(middle, scale, own) : (middle - own) * scale;
}

/* total += scale * product + shift * sum, for outputs g and g + 8 of the lane. */
template <int bits, int row_tiles, bool shifted, class Words>
static __device__ inline void fold(const hg_cuda_linear &w, const Words &ring, uint32_t at,
                                   uint32_t group, float (*product)[4], float (*ones)[4],
                                   float (*total)[4])
{
    uint32_t groups = STEPS(bits) / w.steps, g = threadIdx.x % 32 / 4;
    uint32_t scales = ring[at + UNIT_WORDS + group * 8 + g], shifts = 0;
    if (shifted) shifts = ring[at + UNIT_WORDS + (groups + group) * 8 + g];
    for (uint32_t half = 0; half < 2; half++) {
        float scale = f32_of_f16((uint16_t)(scales >> half * 16));
        float shift = f32_of_f16((uint16_t)(shifts >> half * 16));
        if (shifted) shift = group_shift<bits>(w, scale, shift);
        for (int j = 0; j < row_tiles; j++)
            for (uint32_t c = half * 2; c < half * 2 + 2; c++) {
                total[j][c] = multiply_add(scale, product[j][c], total[j][c]);
                product[j][c] = 0;
                if (!shifted) continue;
                total[j][c] = multiply_add(shift, ones[j][c], total[j][c]);
                ones[j][c] = 0;
            }
    }
}

/* total += one unit, whose words begin at ring[at], times the staged rows from step first on. */
template <int bits, int row_tiles, bool shifted, class Words>
static __device__ inline void multiply_unit(const hg_cuda_linear &w, const Words &ring, uint32_t at,
                                            const Words &x, uint32_t first, float (*total)[4])
{
    const uint32_t one[4] = {PAIR_1, PAIR_1, PAIR_1, PAIR_1};
    uint32_t lane = threadIdx.x % 32, a[4], word[4];
    float product[row_tiles][4] = {}, ones[row_tiles][4] = {};
    for (uint32_t s = 0; s < STEPS(bits); s++) {
        constexpr uint32_t words = bits / 4; /* of a step, in a lane */
        if (s * words % 4 == 0) {
            uint4 four = load4(ring, at + (s * words / 4 * 32 + lane) * 4);
            word[0] = four.x, word[1] = four.y, word[2] = four.z, word[3] = four.w;
        }
        decode<bits>(word + s * words % 4, a);
        for (int j = 0; j < row_tiles; j++) {
            uint2 b = load2(x, (((first + s) * row_tiles + j) * 32 + lane) * 2);
            multiply_fragments(bits == 16 ? total[j] : product[j], a, b.x, b.y);
            if (shifted) multiply_fragments(ones[j], one, b.x, b.y);
        }
        if (bits < 16 && (s + 1) % w.steps == 0)
            fold<bits, row_tiles, shifted>(w, ring, at, s / w.steps, product, ones, total);
    }
}

/* The same, for whichever form the layer has. */
template <int row_tiles, class Words>
static __device__ inline void multiply_any(const hg_cuda_linear &w, const Words &ring, uint32_t at,
                                           const Words &x, uint32_t first, float (*total)[4])
{
    if (w.bits == 16)
        multiply_unit<16, row_tiles, false>(w, ring, at, x, first, total);
    else if (w.bits == 4 && !w.shift)
        multiply_unit<4, row_tiles, false>(w, ring, at, x, first, total);
    else if (w.bits == 4)
        multiply_unit<4, row_tiles, true>(w, ring, at, x, first, total);
    else if (!w.shift)
        multiply_unit<8, row_tiles, false>(w, ring, at, x, first, total);
    else
        multiply_unit<8, row_tiles, true>(w, ring, at, x, first, total);
}

#endif
