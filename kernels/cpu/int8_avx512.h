/* int8_avx512.h: products of the families of 512 bits, with VNNI.
 *
 * A register holds four columns of 16 output rows; vpdpbusd multiplies it by four activations of
 * one row, broadcast from memory, and adds into 16 exact 32-bit sums. Up to twelve activation rows
 * share one load of the weights. */
#ifndef HG_KERNELS_CPU_INT8_AVX512_H
#define HG_KERNELS_CPU_INT8_AVX512_H

#include "kernels/cpu/int8.h"
#include "kernels/cpu/vector_avx512.h"
#include "kernels/cpu/vector_attention.h"
#include "kernels/cpu/vector_head.h"

#define ROWS HG_TILE /* 12 + 12 sums fit the 32 registers */

static inline __m512i broadcast4(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm512_set1_epi32(four);
}

/* sum[rows] += codes of one group times the rows' q. */
INLINE void dot_group(const uint8_t *codes, const int8_t *q, __m512i *sum, const uint32_t rows,
                      const uint32_t bits, const uint32_t group)
{
    const __m512i nibble = _mm512_set1_epi8(15);
    for (uint32_t c = 0; c < group; c += 32 / bits) {
        __m512i w = _mm512_loadu_si512(codes + c * 2 * bits);
        const int8_t *x = q + c * HG_TILE;
        __m512i first = bits == 8 ? w : _mm512_and_si512(w, nibble);
        UNROLL for (uint32_t r = 0; r < rows; r++) sum[r] =
            _mm512_dpbusd_epi32(sum[r], first, broadcast4(x + r * 4));
        if (bits == 8) continue;
        __m512i second = _mm512_and_si512(_mm512_srli_epi16(w, 4), nibble);
        UNROLL for (uint32_t r = 0; r < rows; r++) sum[r] =
            _mm512_dpbusd_epi32(sum[r], second, broadcast4(x + HG_TILE * 4 + r * 4));
    }
}

/* One block of output rows, whose scales start at cell: out[rows] = W x. */
INLINE void multiply_block(const tile *t, size_t cell, __m512 *out, const uint32_t rows,
                           const uint32_t bits, const uint32_t group)
{
    const hg_packed *w = t->product->w;
    const uint32_t share = w->share, sub = t->row % HG_TILE;
    const size_t group_bytes = (size_t)group * 2 * bits;
    const uint8_t *codes = w->codes + cell * share * group_bytes;
    const uint16_t *scales = w->scales + cell * HG_BLOCK;
    const int8_t *q = hg_tiles_q(t->product->x, t->row);
    const hg_tile_group *x = hg_tiles_group(t->product->x, t->row), *end = x + w->groups;
    UNROLL for (uint32_t r = 0; r < rows; r++) out[r] = _mm512_setzero_ps();
    for (__m512 scaled[ROWS]; x < end; scales += HG_BLOCK) {
        UNROLL for (uint32_t r = 0; r < rows; r++) scaled[r] = _mm512_setzero_ps();
        for (uint32_t s = 0; s < share; s++, x++, codes += group_bytes, q += group * HG_TILE) {
            __m512i sum[ROWS];
            UNROLL for (uint32_t r = 0; r < rows; r++)
            {
                /* The codes' zero is 8, or 16 times 8. */
                __m512i start = _mm512_set1_epi32(x->minus8[sub + r]);
                sum[r] = bits == 4 ? start : _mm512_slli_epi32(start, 4);
            }
            dot_group(codes, q, sum, rows, bits, group);
            UNROLL for (uint32_t r = 0; r < rows; r++)
            {
                __m512 y = _mm512_cvtepi32_ps(sum[r]);
                __m512 factor = _mm512_set1_ps(x->scale[sub + r]);
                scaled[r] = _mm512_fmadd_ps(y, factor, scaled[r]);
            }
        }
        __m512 scale = v16_load_half(scales);
        UNROLL for (uint32_t r = 0; r < rows; r++) out[r] =
            _mm512_fmadd_ps(scaled[r], scale, out[r]);
    }
}

#include "kernels/cpu/int8_blocks.h"

static bool runs_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
}

#endif
