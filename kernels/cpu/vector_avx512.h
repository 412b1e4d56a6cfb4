/* vector_avx512.h: the v16 of vector.h as one register of AVX-512. */
#ifndef HG_KERNELS_CPU_VECTOR_AVX512_H
#define HG_KERNELS_CPU_VECTOR_AVX512_H

#include <immintrin.h>
#include <stdint.h>

typedef __m512 v16;
#define V16_TILE 4

static inline v16 v16_set1(float x)
{
    return _mm512_set1_ps(x);
}
static inline v16 v16_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
static inline void v16_store(float *p, v16 a)
{
    _mm512_storeu_ps(p, a);
}
static inline v16 v16_add(v16 a, v16 b)
{
    return _mm512_add_ps(a, b);
}
static inline v16 v16_mul(v16 a, v16 b)
{
    return _mm512_mul_ps(a, b);
}
static inline v16 v16_div(v16 a, v16 b)
{
    return _mm512_div_ps(a, b);
}
static inline v16 v16_max(v16 a, v16 b)
{
    return _mm512_max_ps(a, b);
}
static inline v16 v16_abs(v16 a)
{
    return _mm512_abs_ps(a);
}
static inline v16 v16_fma(v16 a, v16 b, v16 c)
{
    return _mm512_fmadd_ps(a, b, c);
}
static inline v16 v16_round(v16 a)
{
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT);
}
static inline v16 v16_scale2(v16 a, v16 n)
{
    return _mm512_scalef_ps(a, n);
}
static inline float v16_sum(v16 a)
{
    return _mm512_reduce_add_ps(a);
}
static inline float v16_most(v16 a)
{
    return _mm512_reduce_max_ps(a);
}

static inline uint32_t v16_above(v16 a, v16 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ);
}

static inline v16 v16_load_half(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

static inline void v16_store_half(uint16_t *p, v16 a)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}

static inline int32_t v16_store_int8(int8_t *p, v16 a)
{
    __m512i whole = _mm512_cvtps_epi32(a);
    _mm_storeu_si128((__m128i *)(void *)p, _mm512_cvtsepi32_epi8(whole));
    return _mm512_reduce_add_epi32(whole);
}

#endif
