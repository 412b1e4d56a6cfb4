/* emulated_convert.h: conversions and integers of AVX-512 for immintrin.h. */
#ifndef HG_TESTS_EMULATED_CONVERT_H
#define HG_TESTS_EMULATED_CONVERT_H

EMULATED __m512i emulated_to_whole(__m512 a)
{
    emulated512 x = {.f = a};
    x.half_i[0] = _mm256_cvtps_epi32(x.half[0]);
    x.half_i[1] = _mm256_cvtps_epi32(x.half[1]);
    return x.i;
}

EMULATED __m512 emulated_to_float(__m512i a)
{
    emulated512 x = {.i = a};
    x.half[0] = _mm256_cvtepi32_ps(x.half_i[0]);
    x.half[1] = _mm256_cvtepi32_ps(x.half_i[1]);
    return x.f;
}

EMULATED __m512 emulated_from_half(__m256i a)
{
    emulated512 x = {.half = {_mm256_cvtph_ps(_mm256_castsi256_si128(a)),
                              _mm256_cvtph_ps(_mm256_extracti128_si256(a, 1))}};
    return x.f;
}

EMULATED __m256i emulated_to_half(__m512 a)
{
    emulated512 x = {.f = a};
    return _mm256_set_m128i(_mm256_cvtps_ph(x.half[1], _MM_FROUND_TO_NEAREST_INT),
                            _mm256_cvtps_ph(x.half[0], _MM_FROUND_TO_NEAREST_INT));
}

/* To bytes, with saturation. */
EMULATED __m128i emulated_to_bytes(__m512i a)
{
    emulated512 x = {.i = a};
    for (int k = 0; k < 16; k++) {
        int32_t w = x.whole[k];
        x.byte[k] = (uint8_t)(w < -128 ? -128 : w > 127 ? 127 : w);
    }
    return _mm256_castsi256_si128(x.half_i[0]);
}

EMULATED __m512i emulated_add_whole(__m512i a, __m512i b)
{
    emulated512 x = {.i = a}, y = {.i = b};
    x.half_i[0] = _mm256_add_epi32(x.half_i[0], y.half_i[0]);
    x.half_i[1] = _mm256_add_epi32(x.half_i[1], y.half_i[1]);
    return x.i;
}

EMULATED __m512i emulated_and(__m512i a, __m512i b)
{
    return a & b;
}

EMULATED __m512i emulated_shift_right16(__m512i a, unsigned by)
{
    emulated512 x = {.i = a};
    for (int k = 0; k < 32; k++) x.word[k] = (uint16_t)(x.word[k] >> by);
    return x.i;
}

EMULATED __m512i emulated_shift_left32(__m512i a, unsigned by)
{
    PER_LANE(i, whole, (int32_t)((uint32_t)x.whole[k] << by));
}

EMULATED int32_t emulated_sum_whole(__m512i a)
{
    emulated512 x = {.i = a};
    for (int k = 1; k < 16; k++) x.whole[0] += x.whole[k];
    return x.whole[0];
}

#endif
