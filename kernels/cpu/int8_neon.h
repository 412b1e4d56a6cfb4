/* int8_neon.h: products of the families for NEON, over a dot_group of their own.
 *
 * Codes of 8 bits are signed once their highest bit is turned over, which also takes their zero
 * away. Parts of a tile begin at its row 8 at the latest: four rows may always be read. */
#ifndef HG_KERNELS_CPU_INT8_NEON_H
#define HG_KERNELS_CPU_INT8_NEON_H

#include "kernels/cpu/int8.h"
#include "kernels/cpu/vector_neon.h"
#include "kernels/cpu/vector_attention.h"
#include "kernels/cpu/vector_head.h"

#define ROWS 4 /* 4 * 4 sums and the vectors of codes fit the 32 registers */

typedef struct s16 {
    int32x4_t q[4];
} s16;

/* Codes of 8 bits are signed already. */
INLINE s16 s16_start(int32_t minus8, const uint32_t bits)
{
    int32x4_t start = vdupq_n_s32(bits == 4 ? minus8 : 0);
    return (s16){{start, start, start, start}};
}

static inline v16 s16_float(s16 a)
{
    V16_EACH(vcvtq_f32_s32(a.q[i]));
}

/* Four columns of four output rows each, and with 4 bits the next four columns. */
INLINE void load_codes(const uint8_t *p, int8x16_t *first, int8x16_t *second, const uint32_t bits)
{
    UNROLL for (uint32_t v = 0; v < 4; v++)
    {
        uint8x16_t w = vld1q_u8(p + 16 * v), low = vandq_u8(w, vdupq_n_u8(15));
        first[v] = vreinterpretq_s8_u8(bits == 8 ? veorq_u8(w, vdupq_n_u8(128)) : low);
        second[v] = vreinterpretq_s8_u8(vshrq_n_u8(w, 4));
    }
}

/* One more row of dot_quad; the lane must be a literal. */
#define DOT_ROW(r)                                                                                 \
    if (rows > r)                                                                                  \
    UNROLL for (uint32_t v = 0; v < 4; v++) sum[r].q[v] =                                          \
        vdotq_laneq_s32(sum[r].q[v], w[v], four, r)

/* sum[rows] += four columns of a block's codes times those of each row. */
INLINE void dot_quad(const int8x16_t *w, const int8_t *x, s16 *sum, const uint32_t rows)
{
    int8x16_t four = vld1q_s8(x);
    DOT_ROW(0);
    DOT_ROW(1);
    DOT_ROW(2);
    DOT_ROW(3);
}

/* dot_group by dot products. */
INLINE void dot_quads(const uint8_t *codes, const int8_t *q, s16 *sum, const uint32_t rows,
                      const uint32_t bits, const uint32_t group)
{
    for (uint32_t c = 0; c < group; c += 32 / bits) {
        int8x16_t first[4], second[4];
        load_codes(codes + c * 2 * bits, first, second, bits);
        dot_quad(first, q + c * HG_TILE, sum, rows);
        if (bits == 4) dot_quad(second, q + (c + 4) * HG_TILE, sum, rows);
    }
}

#include "kernels/cpu/int8_blocks.h"

#endif
