/* emulated512.h: what immintrin.h needs of AVX-512 beside integer products and conversions. */
#ifndef HG_TESTS_EMULATED512_H
#define HG_TESTS_EMULATED512_H

EMULATED uint32_t emulated_above(__m512 a, __m512 b)
{
    emulated512 x = {.f = a}, y = {.f = b};
    uint32_t above = 0;
    for (int k = 0; k < 16; k++) above |= (uint32_t)(x.lane[k] > y.lane[k]) << k;
    return above;
}

EMULATED __m512 emulated_add(__m512 a, __m512 b)
{
    return a + b;
}

EMULATED __m512 emulated_mul(__m512 a, __m512 b)
{
    return a * b;
}

EMULATED __m512 emulated_div(__m512 a, __m512 b)
{
    return a / b;
}

EMULATED __m512 emulated_max(__m512 a, __m512 b)
{
    emulated512 x = {.f = a}, y = {.f = b};
    x.half[0] = _mm256_max_ps(x.half[0], y.half[0]);
    x.half[1] = _mm256_max_ps(x.half[1], y.half[1]);
    return x.f;
}

EMULATED __m512 emulated_fmadd(__m512 a, __m512 b, __m512 c)
{
    emulated512 x = {.f = a}, y = {.f = b}, z = {.f = c};
    x.half[0] = _mm256_fmadd_ps(x.half[0], y.half[0], z.half[0]);
    x.half[1] = _mm256_fmadd_ps(x.half[1], y.half[1], z.half[1]);
    return x.f;
}

EMULATED __m512 emulated_set1(float v)
{
    emulated512 x = {.half = {_mm256_set1_ps(v), _mm256_set1_ps(v)}};
    return x.f;
}

EMULATED __m512i emulated_set1_epi32(int32_t v)
{
    emulated512 x = {.half_i = {_mm256_set1_epi32(v), _mm256_set1_epi32(v)}};
    return x.i;
}

EMULATED __m512 emulated_load(const void *p)
{
    emulated512 x;
    memcpy(&x, p, sizeof x);
    return x.f;
}

EMULATED __m512i emulated_load_whole(const void *p)
{
    emulated512 x;
    memcpy(&x, p, sizeof x);
    return x.i;
}

EMULATED void emulated_store(void *p, __m512 a)
{
    memcpy(p, &a, sizeof a);
}

EMULATED __m512 emulated_abs(__m512 a)
{
    PER_LANE(f, lane, fabsf(x.lane[k]));
}

EMULATED __m512 emulated_round(__m512 a)
{
    PER_LANE(f, lane, nearbyintf(x.lane[k]));
}

EMULATED __m512 emulated_scalef(__m512 a, __m512 n)
{
    emulated512 y = {.f = n};
    PER_LANE(f, lane, ldexpf(x.lane[k], (int)y.lane[k]));
}

/* Sums and the largest: halves upon halves, as the compilers' own do. */
EMULATED float emulated_sum(__m512 a)
{
    emulated512 x = {.f = a};
    for (int n = 8; n; n /= 2)
        for (int k = 0; k < n; k++) x.lane[k] += x.lane[k + n];
    return x.lane[0];
}

EMULATED float emulated_most(__m512 a)
{
    emulated512 x = {.f = a};
    for (int k = 1; k < 16; k++) x.lane[0] = x.lane[k] > x.lane[0] ? x.lane[k] : x.lane[0];
    return x.lane[0];
}

#endif
