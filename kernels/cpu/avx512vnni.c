/* avx512vnni.c: the family for AVX-512 with VNNI.
 *
 * A register holds four columns of 16 output rows; vpdpbusd multiplies it by four activations of
 * one row, broadcast from memory, and adds into 16 exact 32-bit sums. Up to eight activation rows
 * share one load of the weights. Compiled with the instruction set's flags, run only where
 * runs_here says so.
 */
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels/cpu/int8.h"

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

#include "kernels/cpu/vector.h"

#define ROWS 8 /* activation rows that share a load of the weights: 8 + 8 sums fit the registers   \
                */

static inline __m512i broadcast4(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm512_set1_epi32(four);
}

/* sum[rows] += codes of one group times the rows' q. */
INLINE void dot_group(const uint8_t *codes, const int8_t *q, size_t stride, __m512i *sum,
                      const uint32_t rows, const uint32_t bits, const uint32_t group)
{
    const __m512i nibble = _mm512_set1_epi8(15);
    for (uint32_t c = 0; c < group; c += 32 / bits) {
        __m512i w = _mm512_loadu_si512(codes + c * 2 * bits);
        if (bits == 8) {
            for (uint32_t r = 0; r < rows; r++)
                sum[r] = _mm512_dpbusd_epi32(sum[r], w, broadcast4(q + r * stride + c));
            continue;
        }
        __m512i low = _mm512_and_si512(w, nibble);
        __m512i high = _mm512_and_si512(_mm512_srli_epi16(w, 4), nibble);
        for (uint32_t r = 0; r < rows; r++)
            sum[r] = _mm512_dpbusd_epi32(sum[r], low, broadcast4(q + r * stride + c));
        for (uint32_t r = 0; r < rows; r++)
            sum[r] = _mm512_dpbusd_epi32(sum[r], high, broadcast4(q + r * stride + c + 4));
    }
}

/* One block of output rows for `rows` activation rows from `row` on. */
INLINE void multiply_tile(const hg_product *p, uint32_t block, uint32_t row, const uint32_t rows,
                          const uint32_t bits, const uint32_t group)
{
    const hg_packed *w = p->w;
    hg_rows8 x = hg_rows8_at(&p->x, row);
    size_t stride = x.stride, group_stride = x.stride / 16, cell = (size_t)block * w->groups;
    float *y = p->y + row * p->y_stride + (size_t)(block - p->block) * HG_BLOCK;
    __m512 out[ROWS];
    for (uint32_t r = 0; r < rows; r++) out[r] = _mm512_setzero_ps();
    for (uint32_t g = 0; g < w->groups; g++, cell++) {
        __m512i sum[ROWS];
        for (uint32_t r = 0; r < rows; r++) {
            /* The codes' zero is 8, or 16 times 8. */
            __m512i start = _mm512_set1_epi32(x.group[r * group_stride + g].minus8);
            sum[r] = bits == 4 ? start : _mm512_slli_epi32(start, 4);
        }
        dot_group(w->codes + cell * group * 2 * bits, x.q + g * group, stride, sum, rows, bits,
                  group);
        __m512 scale = v16_load_half(w->scales + cell * HG_BLOCK);
        for (uint32_t r = 0; r < rows; r++) {
            __m512 both = _mm512_mul_ps(scale, _mm512_set1_ps(x.group[r * group_stride + g].scale));
            out[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[r]), both, out[r]);
        }
        if (!w->offsets) continue;
        /* code * scale + offset = (code - zero) * scale + (offset + zero * scale) */
        __m512 offset = v16_load_half(w->offsets + cell * HG_BLOCK);
        offset = _mm512_fmadd_ps(scale, _mm512_set1_ps(bits == 4 ? 8.0f : 128.0f), offset);
        for (uint32_t r = 0; r < rows; r++) {
            const hg_group *own = &x.group[r * group_stride + g];
            float total = own->scale * ((float)own->minus8 * -0.125f);
            out[r] = _mm512_fmadd_ps(offset, _mm512_set1_ps(total), out[r]);
        }
    }
    for (uint32_t r = 0; r < rows; r++) {
        if (p->add) out[r] = _mm512_add_ps(_mm512_loadu_ps(y + r * p->y_stride), out[r]);
        _mm512_storeu_ps(y + r * p->y_stride, out[r]);
    }
}

#include "kernels/cpu/int8_tiles.h"

static bool runs_here(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("fma");
}

HG_INT8_FAMILY(hg_family_avx512vnni, "avx512vnni");

#endif
