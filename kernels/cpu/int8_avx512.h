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

typedef __m512i s16;

/* The codes' zero is 8, or 16 times 8. */
INLINE s16 s16_start(int32_t minus8, const uint32_t bits)
{
    __m512i start = _mm512_set1_epi32(minus8);
    return bits == 4 ? start : _mm512_slli_epi32(start, 4);
}

static inline v16 s16_float(s16 a)
{
    return _mm512_cvtepi32_ps(a);
}

static inline __m512i broadcast4(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm512_set1_epi32(four);
}

INLINE void dot_group(const uint8_t *codes, const int8_t *q, s16 *sum, const uint32_t rows,
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

#include "kernels/cpu/int8_blocks.h"

static bool runs_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
}

#endif
