/* immintrin.h: stands before the compiler's own in tests, so that the families for AMX, AVX-512
 * VNNI and AVX-VNNI run, from the very same source, on any processor with AVX2.
 *
 * Only what kernels/cpu uses. A vector of 512 bits is the compiler's own type, which it takes apart
 * by itself; rounding and fused operations are those of AVX2 on its halves.
 */
#ifndef HG_TESTS_IMMINTRIN_H
#define HG_TESTS_IMMINTRIN_H

#include_next <immintrin.h>

#include <math.h>
#include <stdint.h>
#include <string.h>

/* Not inline: with thousands of uses that compiles quicker. */
#define EMULATED static __attribute__((noinline, unused))

typedef union emulated512 {
    __m512 f;
    __m512i i;
    __m256 half[2];
    __m256i half_i[2];
    float lane[16];
    int32_t whole[16];
    uint16_t word[32];
    uint8_t byte[64];
} emulated512;

#define PER_LANE(type, member, expression)                                                         \
    emulated512 x = {.type = a};                                                                   \
    for (int k = 0; k < 16; k++) x.member[k] = (expression);                                       \
    return x.type

/* Sums of four products of unsigned and signed bytes, without saturation: of the even bytes and of
 * the odd ones. */
static inline __m256i emulated_dpbusd256(__m256i a, __m256i u, __m256i s)
{
    __m256i even = _mm256_madd_epi16(_mm256_and_si256(u, _mm256_set1_epi16(255)),
                                     _mm256_srai_epi16(_mm256_slli_epi16(s, 8), 8));
    __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(u, 8), _mm256_srai_epi16(s, 8));
    return _mm256_add_epi32(a, _mm256_add_epi32(even, odd));
}

EMULATED __m512i emulated_dpbusd512(__m512i a, __m512i u, __m512i s)
{
    emulated512 x = {.i = a}, y = {.i = u}, z = {.i = s};
    x.half_i[0] = emulated_dpbusd256(x.half_i[0], y.half_i[0], z.half_i[0]);
    x.half_i[1] = emulated_dpbusd256(x.half_i[1], y.half_i[1], z.half_i[1]);
    return x.i;
}

#include "emulated512.h"
#include "emulated_convert.h"
#include "emulated_tiles.h"

#undef _mm512_roundscale_ps
#undef _mm512_cvtps_ph
#undef _mm512_srli_epi16
#undef _mm512_slli_epi32
#define _mm512_cmp_ps_mask(a, b, how)            emulated_above(a, b)
#define _mm512_roundscale_ps(a, how)             emulated_round(a)
#define _mm512_cvtps_ph(a, how)                  emulated_to_half(a)
#define _mm512_srli_epi16                        emulated_shift_right16
#define _mm512_slli_epi32                        emulated_shift_left32
#define _mm512_setzero_ps()                      emulated_set1(0)
#define _mm512_set1_ps                           emulated_set1
#define _mm512_set1_epi32                        emulated_set1_epi32
#define _mm512_set1_epi8(v)                      emulated_set1_epi32((v)*0x01010101)
#define _mm512_loadu_ps                          emulated_load
#define _mm512_loadu_si512                       emulated_load_whole
#define _mm512_storeu_ps                         emulated_store
#define _mm512_storeu_si512(p, a)                emulated_store(p, (__m512)(a))
#define _mm512_add_ps                            emulated_add
#define _mm512_add_epi32                         emulated_add_whole
#define _mm512_mul_ps                            emulated_mul
#define _mm512_div_ps                            emulated_div
#define _mm512_and_si512                         emulated_and
#define _mm512_max_ps                            emulated_max
#define _mm512_abs_ps                            emulated_abs
#define _mm512_fmadd_ps                          emulated_fmadd
#define _mm512_scalef_ps                         emulated_scalef
#define _mm512_reduce_add_ps                     emulated_sum
#define _mm512_reduce_max_ps                     emulated_most
#define _mm512_reduce_add_epi32                  emulated_sum_whole
#define _mm512_cvtph_ps                          emulated_from_half
#define _mm512_cvtps_epi32                       emulated_to_whole
#define _mm512_cvtsepi32_epi8                    emulated_to_bytes
#define _mm512_cvtepi32_ps                       emulated_to_float
#define _mm512_dpbusd_epi32                      emulated_dpbusd512
#define _mm256_dpbusd_avx_epi32                  emulated_dpbusd256
#define __builtin_cpu_supports(which)            1
#define __get_cpuid_count(leaf, sub, a, b, c, d) (*(a) = *(b) = *(c) = *(d) = ~0u, 1)

#endif
