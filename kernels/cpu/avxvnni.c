/* avxvnni.c: the family for AVX2 with the VEX-encoded VNNI of processors without AVX-512.
 *
 * vpdpbusd adds four products of bytes to exact 32-bit sums, so both widths of codes go the same
 * way: the two halves of a block share each broadcast of four activations. Compiled with the
 * instruction set's flags, run only where runs_here says so.
 */
#if defined(__x86_64__)

#include <cpuid.h>

#include "kernels/cpu/int8.h"
#include "kernels/cpu/vector_avx2.h"
#include "kernels/cpu/vector_attention.h"
#include "kernels/cpu/vector_head.h"

#define ROWS          5 /* 5 * 2 sums and what they are made of fit the 16 registers */
#define VECTORS(bits) 2

#include "kernels/cpu/int8_avx2.h"

/* sum[rows][2] += two vectors of codes times four columns of each row. */
INLINE void dot_two(__m256i a, __m256i b, const int8_t *x, __m256i *sum, const uint32_t rows)
{
    UNROLL for (uint32_t r = 0; r < rows; r++)
    {
        __m256i four = broadcast4(x + r * 4);
        sum[2 * r] = _mm256_dpbusd_avx_epi32(sum[2 * r], a, four);
        sum[2 * r + 1] = _mm256_dpbusd_avx_epi32(sum[2 * r + 1], b, four);
    }
}

INLINE void dot_group(const uint8_t *codes, const int8_t *q, __m256i *sum, const uint32_t rows,
                      const uint32_t bits, const uint32_t group)
{
    UNROLL for (uint32_t i = 0; i < 2 * rows; i++) sum[i] = _mm256_setzero_si256();
    UNROLL for (uint32_t c = 0; c < group; c += 32 / bits)
    {
        const uint8_t *w = codes + c * 2 * bits;
        const int8_t *x = q + c * HG_TILE;
        if (bits == 8) {
            dot_two(load32(w), load32(w + 32), x, sum, rows);
        } else {
            dot_two(low_nibbles(w), low_nibbles(w + 32), x, sum, rows);
            dot_two(high_nibbles(w), high_nibbles(w + 32), x + HG_TILE * 4, sum, rows);
        }
    }
}

INLINE __m256 dot_total(const __m256i *sum, int32_t minus8, uint32_t r, uint32_t v,
                        const uint32_t rows, const uint32_t bits)
{
    (void)rows;
    __m256i zero = _mm256_set1_epi32(bits == 4 ? minus8 : 16 * minus8);
    return _mm256_cvtepi32_ps(_mm256_add_epi32(sum[2 * r + v], zero));
}

#define SINGLE false
#include "kernels/cpu/int8_tiles.h"

static bool runs_here(void)
{
    unsigned eax = 0, ebx, ecx, edx; /* compilers' own tests do not know it everywhere */
    bool vnni = __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 4 & 1);
    return vnni && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

HG_INT8_FAMILY(avxvnni, vector_linear);

#endif
