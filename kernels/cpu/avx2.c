/* avx2.c: the family for AVX2 with FMA and F16C.
 *
 * Without VNNI the product of bytes is vpmaddubsw, unsigned by signed, whose 16-bit sums of two
 * must not overflow. With 4 bits they cannot (15 * 127 * 2), nor can the eight of them that a group
 * of 32 adds up, so the step to 32 bits is taken once a group. Codes of 8 bits are therefore two of
 * 4: 16 * high + low; but for a row or two the code is made signed and its sign moved to the
 * activation (128 * 127 * 2 just fits), which needs less at a group's end. The sums are the same.
 * Either way two vectors of codes share each broadcast of four activations: both halves of a
 * block's 16 output rows, or low and high of one half. Compiled with the instruction set's flags,
 * run only where runs_here says so.
 */
#if defined(__x86_64__)

#include "kernels/cpu/int8.h"
#include "kernels/cpu/vector_avx2.h"
#include "kernels/cpu/vector_attention.h"
#include "kernels/cpu/vector_head.h"

#define ROWS          5 /* 5 * 2 sums and what they are made of fit the 16 registers */
#define VECTORS(bits) ((bits) == 4 ? 2 : 1)

#include "kernels/cpu/int8_avx2.h"

/* A sum that the compiler must not add up in another order: that would take more registers than
 * there are. */
#define HOLD(x) __asm__("" : "+x"(x))

/* pair[rows][2] (+)= two vectors of codes times four columns of each row; 16-bit sums. */
INLINE void dot_two(__m256i a, __m256i b, const int8_t *x, __m256i *pair, const uint32_t rows,
                    const bool first)
{
    UNROLL for (uint32_t r = 0; r < rows; r++)
    {
        __m256i four = broadcast4(x + r * 4);
        __m256i pa = _mm256_maddubs_epi16(a, four), pb = _mm256_maddubs_epi16(b, four);
        pair[2 * r] = first ? pa : _mm256_add_epi16(pair[2 * r], pa);
        pair[2 * r + 1] = first ? pb : _mm256_add_epi16(pair[2 * r + 1], pb);
        HOLD(pair[2 * r]);
        HOLD(pair[2 * r + 1]);
    }
}

#define FEW 2

/* pair[rows][2]: in the first the 32-bit sums of codes of 8 bits, less their zero. */
INLINE void dot_signed(const uint8_t *codes, const int8_t *q, __m256i *pair, const uint32_t rows,
                       const uint32_t group)
{
    const __m256i zero = _mm256_set1_epi8(-128), one = _mm256_set1_epi16(1);
    UNROLL for (uint32_t c = 0; c < group; c += 4)
    {
        __m256i w = _mm256_xor_si256(load32(codes + c * 16), zero);
        UNROLL for (uint32_t r = 0; r < rows; r++)
        {
            __m256i x = _mm256_sign_epi8(broadcast4(q + c * HG_TILE + r * 4), w);
            __m256i sum = _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_abs_epi8(w), x), one);
            pair[2 * r] = c ? _mm256_add_epi32(pair[2 * r], sum) : sum;
        }
    }
}

/* pair[rows][2] = codes of one group times the rows' q: of a block's two halves, or of low and high
 * nibbles of one half. */
INLINE void dot_group(const uint8_t *codes, const int8_t *q, __m256i *pair, const uint32_t rows,
                      const uint32_t bits, const uint32_t group)
{
    if (bits == 8 && rows <= FEW) {
        dot_signed(codes, q, pair, rows, group);
        return;
    }
    UNROLL for (uint32_t c = 0; c < group; c += 32 / bits)
    {
        const uint8_t *w = codes + c * 2 * bits;
        const int8_t *x = q + c * HG_TILE;
        if (bits == 8) {
            dot_two(low_nibbles(w), high_nibbles(w), x, pair, rows, c == 0);
        } else {
            dot_two(low_nibbles(w), low_nibbles(w + 32), x, pair, rows, c == 0);
            dot_two(high_nibbles(w), high_nibbles(w + 32), x + HG_TILE * 4, pair, rows, false);
        }
    }
}

/* (codes - zero) times q of row r: the 32-bit sums of vector v, as floats. */
INLINE __m256 dot_total(const __m256i *pair, int32_t minus8, uint32_t r, uint32_t v,
                        const uint32_t rows, const uint32_t bits)
{
    if (bits == 8 && rows <= FEW) return _mm256_cvtepi32_ps(pair[2 * r]);
    const __m256i one = _mm256_set1_epi16(1), sixteen = _mm256_set1_epi16(16);
    __m256i start = _mm256_set1_epi32(minus8);
    if (bits == 4)
        return _mm256_cvtepi32_ps(_mm256_add_epi32(_mm256_madd_epi16(pair[2 * r + v], one), start));
    __m256i low = _mm256_madd_epi16(pair[2 * r], one);
    __m256i high =
        _mm256_add_epi32(_mm256_madd_epi16(pair[2 * r + 1], sixteen), _mm256_slli_epi32(start, 4));
    return _mm256_cvtepi32_ps(_mm256_add_epi32(low, high));
}

#define SINGLE true
#include "kernels/cpu/int8_tiles.h"

static bool runs_here(void)
{
    /* F16C came before AVX2 in both makers' processors; clang 14 cannot be asked about it. */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

HG_INT8_FAMILY(avx2, vector_linear);

#endif
