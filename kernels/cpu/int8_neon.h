/* int8_neon.h: products of the families for NEON, over a dot_group of their own:
 *
 *   sum[rows][4] += one group of a block's codes times the rows' q, four output rows a vector
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
    UNROLL for (uint32_t v = 0; v < 4; v++) sum[r * 4 + v] =                                       \
        vdotq_laneq_s32(sum[r * 4 + v], w[v], four, r)

/* sum[rows][4] += four columns of a block's codes times those of each row. */
INLINE void dot_quad(const int8x16_t *w, const int8_t *x, int32x4_t *sum, const uint32_t rows)
{
    int8x16_t four = vld1q_s8(x);
    DOT_ROW(0);
    DOT_ROW(1);
    DOT_ROW(2);
    DOT_ROW(3);
}

/* dot_group by dot products. */
INLINE void dot_quads(const uint8_t *codes, const int8_t *q, int32x4_t *sum, const uint32_t rows,
                      const uint32_t bits, const uint32_t group)
{
    for (uint32_t c = 0; c < group; c += 32 / bits) {
        int8x16_t first[4], second[4];
        load_codes(codes + c * 2 * bits, first, second, bits);
        dot_quad(first, q + c * HG_TILE, sum, rows);
        if (bits == 4) dot_quad(second, q + (c + 4) * HG_TILE, sum, rows);
    }
}

INLINE void dot_group(const uint8_t *codes, const int8_t *q, int32x4_t *sum, const uint32_t rows,
                      const uint32_t bits, const uint32_t group);

/* One block of output rows, whose scales start at cell: out[rows] = W x. */
INLINE void multiply_block(const tile *t, size_t cell, v16 *out, const uint32_t rows,
                           const uint32_t bits, const uint32_t group)
{
    const hg_packed *w = t->product->w;
    const uint32_t sub = t->row % HG_TILE;
    const size_t group_bytes = (size_t)group * 2 * bits;
    const uint8_t *codes = w->codes + cell * w->share * group_bytes;
    const int8_t *q = hg_tiles_q(t->product->x, t->row);
    const hg_tile_group *x = hg_tiles_group(t->product->x, t->row), *end = x + w->groups;
    UNROLL for (uint32_t r = 0; r < rows; r++) out[r] = v16_set1(0);
    for (v16 scaled[ROWS]; x < end; cell++) {
        UNROLL for (uint32_t r = 0; r < rows; r++) scaled[r] = v16_set1(0);
        for (uint32_t s = 0; s < w->share; s++, x++, codes += group_bytes, q += group * HG_TILE) {
            int32x4_t sum[ROWS * 4];
            UNROLL for (uint32_t i = 0; i < rows * 4; i++) sum[i] =
                vdupq_n_s32(bits == 4 ? x->minus8[sub + i / 4] : 0);
            dot_group(codes, q, sum, rows, bits, group);
            UNROLL for (uint32_t i = 0; i < rows * 4; i++) scaled[i / 4].q[i % 4] =
                vfmaq_n_f32(scaled[i / 4].q[i % 4], vcvtq_f32_s32(sum[i]), x->scale[sub + i / 4]);
        }
        v16 scale = v16_load_half(w->scales + cell * HG_BLOCK);
        UNROLL for (uint32_t r = 0; r < rows; r++) out[r] = v16_fma(scaled[r], scale, out[r]);
    }
}

#include "kernels/cpu/int8_blocks.h"

#endif
