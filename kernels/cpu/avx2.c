/* avx2.c: the family for AVX2 with FMA and F16C.
 *
 * Without VNNI the product of bytes is vpmaddubsw, unsigned by signed, whose 16-bit sums of two
 * must not overflow. With 4 bits they cannot (15 * 127 * 2), nor can the eight of them that a group
 * of 32 adds up, so the step to 32 bits is taken once a group. With 8 bits the weight is made
 * signed and its sign moved to the activation: 128 * 127 * 2 just fits. A block of 16 output rows
 * is done as two halves. Compiled with the instruction set's flags, run only where runs_here says
 * so.
 */
#if defined(__x86_64__)

#include <immintrin.h>

#include "kernels/cpu/int8.h"

typedef struct v16 {
    __m256 a, b;
} v16;
#define V16_TILE 1

#define V16_BOTH(f, x, y) ((v16){f((x).a, (y).a), f((x).b, (y).b)})

static inline v16 v16_set1(float x)
{
    return (v16){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}
static inline v16 v16_add(v16 x, v16 y)
{
    return V16_BOTH(_mm256_add_ps, x, y);
}
static inline v16 v16_mul(v16 x, v16 y)
{
    return V16_BOTH(_mm256_mul_ps, x, y);
}
static inline v16 v16_div(v16 x, v16 y)
{
    return V16_BOTH(_mm256_div_ps, x, y);
}
static inline v16 v16_max(v16 x, v16 y)
{
    return V16_BOTH(_mm256_max_ps, x, y);
}

static inline v16 v16_load(const float *p)
{
    return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

static inline void v16_store(float *p, v16 x)
{
    _mm256_storeu_ps(p, x.a);
    _mm256_storeu_ps(p + 8, x.b);
}

static inline v16 v16_abs(v16 x)
{
    __m256 sign = _mm256_set1_ps(-0.0f);
    return (v16){_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}

static inline v16 v16_fma(v16 x, v16 y, v16 z)
{
    return (v16){_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}

static inline v16 v16_round(v16 x)
{
    return (v16){_mm256_round_ps(x.a, _MM_FROUND_TO_NEAREST_INT),
                 _mm256_round_ps(x.b, _MM_FROUND_TO_NEAREST_INT)};
}

static inline __m256 power2(__m256 n)
{
    __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}

static inline v16 v16_scale2(v16 x, v16 n)
{
    return (v16){_mm256_mul_ps(x.a, power2(n.a)), _mm256_mul_ps(x.b, power2(n.b))};
}

static inline v16 v16_load_half(const uint16_t *p)
{
    return (v16){_mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p)),
                 _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)(p + 8)))};
}

static inline void v16_store_half(uint16_t *p, v16 x)
{
    _mm_storeu_si128((__m128i *)(void *)p, _mm256_cvtps_ph(x.a, _MM_FROUND_TO_NEAREST_INT));
    _mm_storeu_si128((__m128i *)(void *)(p + 8), _mm256_cvtps_ph(x.b, _MM_FROUND_TO_NEAREST_INT));
}

static inline float v16_sum(v16 x)
{
    __m256 s = _mm256_add_ps(x.a, x.b);
    __m128 t = _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    t = _mm_add_ps(t, _mm_movehl_ps(t, t));
    return _mm_cvtss_f32(_mm_add_ss(t, _mm_movehdup_ps(t)));
}

static inline float v16_most(v16 x)
{
    __m256 s = _mm256_max_ps(x.a, x.b);
    __m128 t = _mm_max_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
    t = _mm_max_ps(t, _mm_movehl_ps(t, t));
    return _mm_cvtss_f32(_mm_max_ss(t, _mm_movehdup_ps(t)));
}

static inline int32_t v16_store_int8(int8_t *p, v16 x)
{
    __m256i a = _mm256_cvtps_epi32(x.a), b = _mm256_cvtps_epi32(x.b), s = _mm256_add_epi32(a, b);
    __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(a, b), 0xD8);
    __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((__m128i *)(void *)p, bytes);
    __m128i t = _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
    t = _mm_add_epi32(t, _mm_shuffle_epi32(t, 0x4E));
    return _mm_cvtsi128_si32(_mm_add_epi32(t, _mm_shuffle_epi32(t, 0xB1)));
}

#include "kernels/cpu/vector_attention.h"

#define ROWS 4 /* a third of a tile: 4 + 4 sums fit the 16 registers */

static inline __m256i broadcast4(const int8_t *q)
{
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm256_set1_epi32(four);
}

static inline __m256i load32(const uint8_t *p)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline __m256 load_half8(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* sum[rows] = (codes - 8) of one group, half a block, times the rows' q. */
INLINE void dot_group4(const uint8_t *codes, const int8_t *q, __m256i *sum, const uint32_t rows,
                       const uint32_t group)
{
    const __m256i nibble = _mm256_set1_epi8(15), one = _mm256_set1_epi16(1);
    __m256i pair[ROWS]; /* 16-bit sums */
    UNROLL for (uint32_t r = 0; r < rows; r++) pair[r] = _mm256_setzero_si256();
    UNROLL for (uint32_t c = 0; c < group; c += 8)
    {
        __m256i w = load32(codes + c * 8);
        __m256i low = _mm256_and_si256(w, nibble);
        __m256i high = _mm256_and_si256(_mm256_srli_epi16(w, 4), nibble);
        UNROLL for (uint32_t r = 0; r < rows; r++)
        {
            const int8_t *x = q + c * HG_TILE + r * 4;
            __m256i next = _mm256_maddubs_epi16(high, broadcast4(x + HG_TILE * 4));
            pair[r] = _mm256_add_epi16(pair[r], _mm256_maddubs_epi16(low, broadcast4(x)));
            pair[r] = _mm256_add_epi16(pair[r], next);
        }
    }
    UNROLL for (uint32_t r = 0; r < rows; r++) sum[r] =
        _mm256_add_epi32(sum[r], _mm256_madd_epi16(pair[r], one));
}

INLINE void dot_group8(const uint8_t *codes, const int8_t *q, __m256i *sum, const uint32_t rows,
                       const uint32_t group)
{
    const __m256i zero = _mm256_set1_epi8(-128), one = _mm256_set1_epi16(1);
    UNROLL for (uint32_t c = 0; c < group; c += 4)
    {
        __m256i w = _mm256_xor_si256(load32(codes + c * 16), zero); /* code - 128 */
        __m256i size = _mm256_abs_epi8(w);
        UNROLL for (uint32_t r = 0; r < rows; r++)
        {
            __m256i x = _mm256_sign_epi8(broadcast4(q + c * HG_TILE + r * 4), w);
            __m256i pair = _mm256_maddubs_epi16(size, x);
            sum[r] = _mm256_add_epi32(sum[r], _mm256_madd_epi16(pair, one));
        }
    }
}

/* Adds what offsets contribute to half a block: code * scale + offset is
 * (code - zero) * scale + (offset + zero * scale). */
INLINE void add_offsets(const hg_packed *w, size_t at, const hg_tile_group *x, uint32_t sub,
                        __m256 *out, const uint32_t rows)
{
    __m256 zero = _mm256_set1_ps(w->bits == 4 ? 8.0f : 128.0f);
    for (uint32_t g = 0; g < w->groups; g++, at += HG_BLOCK) {
        __m256 offset =
            _mm256_fmadd_ps(load_half8(w->scales + at), zero, load_half8(w->offsets + at));
        UNROLL for (uint32_t r = 0; r < rows; r++)
        {
            float total = x[g].scale[sub + r] * ((float)x[g].minus8[sub + r] * -0.125f);
            out[r] = _mm256_fmadd_ps(offset, _mm256_set1_ps(total), out[r]);
        }
    }
}

/* Half a block of output rows, cells (group, row) from `cell` on, of which there are 16 a group:
 * out[rows] = W x. */
INLINE void multiply_half(const tile *t, size_t cell, __m256 *out, const uint32_t rows,
                          const uint32_t bits, const uint32_t group)
{
    const hg_packed *w = t->product->w;
    const size_t group_bytes = (size_t)group * 2 * bits;
    const uint8_t *codes = w->codes + cell / HG_BLOCK * group_bytes + cell % HG_BLOCK * 4;
    const uint16_t *scales = w->scales + cell;
    const int8_t *q = hg_tiles_q(t->product->x, t->row);
    const hg_tile_group *x = hg_tiles_group(t->product->x, t->row), *first = x,
                        *end = x + w->groups;
    const uint32_t sub = t->row % HG_TILE;
    UNROLL for (uint32_t r = 0; r < rows; r++) out[r] = _mm256_setzero_ps();
    for (; x < end; x++, codes += group_bytes, scales += HG_BLOCK, q += group * HG_TILE) {
        const float *factor = x->scale + sub;
        __m256i sum[ROWS];
        UNROLL for (uint32_t r = 0; r < rows; r++) sum[r] =
            bits == 4 ? _mm256_set1_epi32(x->minus8[sub + r]) : _mm256_setzero_si256();
        if (bits == 4)
            dot_group4(codes, q, sum, rows, group);
        else
            dot_group8(codes, q, sum, rows, group);
        __m256 scale = load_half8(scales);
        UNROLL for (uint32_t r = 0; r < rows; r++)
        {
            __m256 both = _mm256_mul_ps(scale, _mm256_set1_ps(factor[r]));
            out[r] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(sum[r]), both, out[r]);
        }
    }
    if (w->offsets) add_offsets(w, cell, first, sub, out, rows);
}

INLINE void multiply_tile(const tile *t, const uint32_t rows, const uint32_t bits,
                          const uint32_t group)
{
    const hg_product *p = t->product;
    size_t cell = (size_t)t->block * p->w->groups * HG_BLOCK, stride = p->y_stride;
    float *y = p->y + t->row * stride + (size_t)(t->block - p->block) * HG_BLOCK;
    for (uint32_t half = 0; half < 2 * t->blocks; half++, y += 8) {
        __m256 out[ROWS];
        multiply_half(t, cell, out, rows, bits, group);
        UNROLL for (uint32_t r = 0; r < rows; r++)
        {
            if (p->add) out[r] = _mm256_add_ps(_mm256_loadu_ps(y + r * stride), out[r]);
            _mm256_storeu_ps(y + r * stride, out[r]);
        }
        /* From the first half to the second; then from there to the next block. */
        cell += half % 2 ? (size_t)p->w->groups * HG_BLOCK - 8 : 8;
    }
}

#define ROWS_MANY 0
#include "kernels/cpu/int8_tiles.h"

static bool runs_here(void)
{
    /* F16C came before AVX2 in both makers' processors; clang 14 cannot be asked about it. */
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}

HG_INT8_FAMILY(avx2);

#endif
