/* neoni8mm.c: the family for Arm's NEON with products of 8-bit matrices.
 *
 * smmla multiplies eight columns of two activation rows by the same columns of two output rows and
 * adds into a matrix of four exact 32-bit sums: twice the products of sdot. Two vectors of packed
 * codes, zipped, are eight columns of four output rows; two of a tile's quads eight columns of four
 * activation rows. A single row, which would leave half of each product unused, goes neondot's way.
 * The sums are the same either way, and so are the results. Compiled with the instruction set's
 * flags, run only where runs_here says so.
 */
#if defined(__aarch64__)

#include <sys/auxv.h>

#include "kernels/cpu/int8_neon.h"

/* Eight columns of two rows each out of two vectors of four columns of four rows. */
INLINE int8x16_t zip_rows(int8x16_t a, int8x16_t b, const bool upper)
{
    int32x4_t x = vreinterpretq_s32_s8(a), y = vreinterpretq_s32_s8(b);
    return vreinterpretq_s8_s32(upper ? vzip2q_s32(x, y) : vzip1q_s32(x, y));
}

/* square[rows / 2][8] += eight columns: of each pair of rows the sums [2][2] with each pair of
 * output rows. */
INLINE void multiply_eight(const int8x16_t *first, const int8x16_t *second, const int8_t *x,
                           int32x4_t *square, const uint32_t rows)
{
    int8x16_t low = vld1q_s8(x), high = vld1q_s8(x + HG_TILE * 4);
    int8x16_t pair[2] = {zip_rows(low, high, false), zip_rows(low, high, true)};
    UNROLL for (uint32_t v = 0; v < 8; v++)
    {
        int8x16_t w = zip_rows(first[v / 2], second[v / 2], v % 2);
        UNROLL for (uint32_t r = 0; r < rows; r += 2) square[r * 4 + v] =
            vmmlaq_s32(square[r * 4 + v], pair[r / 2], w);
    }
}

INLINE void dot_group(const uint8_t *codes, const int8_t *q, s16 *sum, const uint32_t rows,
                      const uint32_t bits, const uint32_t group)
{
    if (rows == 1) {
        dot_quads(codes, q, sum, rows, bits, group);
        return;
    }
    int32x4_t square[ROWS * 4];
    UNROLL for (uint32_t i = 0; i < ROWS * 4; i++) square[i] = vdupq_n_s32(0);
    for (uint32_t c = 0; c < group; c += 8) {
        int8x16_t first[4], second[4], none[4];
        load_codes(codes + c * 2 * bits, first, second, bits);
        if (bits == 8) load_codes(codes + c * 2 * bits + 64, second, none, bits);
        multiply_eight(first, second, q + c * HG_TILE, square, rows);
    }
    UNROLL for (uint32_t i = 0; i < rows * 4; i++)
    {
        uint32_t r = i / 4, at = r / 2 * 8 + i % 4 * 2;
        int64x2_t a = vreinterpretq_s64_s32(square[at]), b = vreinterpretq_s64_s32(square[at + 1]);
        int64x2_t own = r % 2 ? vzip2q_s64(a, b) : vzip1q_s64(a, b);
        sum[r].q[i % 4] = vaddq_s32(sum[r].q[i % 4], vreinterpretq_s32_s64(own));
    }
}

#include "kernels/cpu/int8_tiles.h"

static bool runs_here(void)
{
    return (getauxval(AT_HWCAP) & HWCAP_ASIMDDP) && (getauxval(AT_HWCAP2) & HWCAP2_I8MM);
}

HG_INT8_FAMILY(neoni8mm, vector_linear);

#endif
