/* int8_avx2.h: products of the families of 256 bits. Included by one file per instruction set,
 * which defines ROWS            most rows that share a load of the weights VECTORS(bits)   vectors
 * of 8 output rows that multiply_part takes at once: 2, a block, or 1 dot_group       sum[ROWS * 2]
 * = one group's codes times the rows' q, in a form of its own dot_total       what sum holds of
 * vector v of row r, less the codes' zero, as floats
 */
#ifndef HG_KERNELS_CPU_INT8_AVX2_H
#define HG_KERNELS_CPU_INT8_AVX2_H

#include "kernels/cpu/vector_avx2.h"

INLINE void dot_group(const uint8_t *codes, const int8_t *q, __m256i *sum, const uint32_t rows,
                      const uint32_t bits, const uint32_t group);
INLINE __m256 dot_total(const __m256i *sum, int32_t minus8, uint32_t r, uint32_t v,
                        const uint32_t rows, const uint32_t bits);

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

static inline __m256i low_nibbles(const uint8_t *p)
{
    return _mm256_and_si256(load32(p), _mm256_set1_epi8(15));
}

static inline __m256i high_nibbles(const uint8_t *p)
{
    return _mm256_and_si256(_mm256_srli_epi16(load32(p), 4), _mm256_set1_epi8(15));
}

/* What offsets add: code * scale + offset is (code - zero) * scale + (offset + zero * scale). */
INLINE void add_offsets(const tile *t, __m256 *out, const uint32_t rows, const uint32_t vectors)
{
    size_t cell = t->cell;
    const hg_packed *w = t->product->w;
    const hg_tile_group *x = hg_tiles_group(t->product->x, t->row);
    __m256 zero = _mm256_set1_ps(w->bits == 4 ? 8.0f : 128.0f);
    for (uint32_t g = 0; g < w->groups; g += w->share, x += w->share, cell += HG_BLOCK) {
        __m256 offset[2];
        UNROLL for (uint32_t v = 0; v < vectors; v++) offset[v] = _mm256_fmadd_ps(
            load_half8(w->scales + cell + 8 * v), zero, load_half8(w->offsets + cell + 8 * v));
        UNROLL for (uint32_t r = 0; r < rows; r++)
        {
            __m256 sum = _mm256_set1_ps(hg_tile_sum(x, w->share, t->row % HG_TILE + r));
            UNROLL for (uint32_t v = 0; v < vectors; v++) out[r * vectors + v] =
                _mm256_fmadd_ps(offset[v], sum, out[r * vectors + v]);
        }
    }
}

/* out[rows][vectors] = W x; of cells (scale, output row) from t->cell on there are 16 a scale. */
INLINE void multiply_part(const tile *t, __m256 *out, const uint32_t rows, const uint32_t bits,
                          const uint32_t group, const bool single)
{
    const size_t cell = t->cell;
    const hg_packed *w = t->product->w;
    const uint32_t vectors = VECTORS(bits), sub = t->row % HG_TILE;
    const uint32_t share = single ? 1 : w->share;
    const size_t group_bytes = (size_t)group * 2 * bits;
    const uint8_t *codes = w->codes + cell / HG_BLOCK * share * group_bytes + cell % HG_BLOCK * 4;
    const uint16_t *scales = w->scales + cell;
    const int8_t *q = hg_tiles_q(t->product->x, t->row);
    const hg_tile_group *x = hg_tiles_group(t->product->x, t->row), *end = x + w->groups;
    UNROLL for (uint32_t i = 0; i < rows * vectors; i++) out[i] = _mm256_setzero_ps();
    for (; x < end; scales += HG_BLOCK) {
        __m256 scaled[ROWS * 2];
        UNROLL for (uint32_t i = 0; i < rows * vectors; i++) scaled[i] = _mm256_setzero_ps();
        for (uint32_t s = 0; s < share; s++, x++, codes += group_bytes, q += group * HG_TILE) {
            __m256i sum[ROWS * 2];
            dot_group(codes, q, sum, rows, bits, group);
            UNROLL for (uint32_t i = 0; i < rows * vectors; i++)
            {
                uint32_t r = i / vectors;
                __m256 y = dot_total(sum, x->minus8[sub + r], r, i % vectors, rows, bits);
                __m256 factor = _mm256_set1_ps(x->scale[sub + r]);
                scaled[i] =
                    single ? _mm256_mul_ps(y, factor) : _mm256_fmadd_ps(y, factor, scaled[i]);
            }
        }
        UNROLL for (uint32_t i = 0; i < rows * vectors; i++) out[i] =
            _mm256_fmadd_ps(scaled[i], load_half8(scales + i % vectors * 8), out[i]);
    }
    if (w->offsets) add_offsets(t, out, rows, vectors);
}

INLINE void multiply_tile(const tile *t, const uint32_t rows, const uint32_t bits,
                          const uint32_t group, const bool single)
{
    const hg_product *p = t->product;
    const uint32_t vectors = VECTORS(bits);
    size_t block_cells = (size_t)(p->w->groups / p->w->share) * HG_BLOCK, stride = p->y_stride;
    float *y = p->y + t->row * stride + (size_t)(t->block - p->block) * HG_BLOCK;
    for (uint32_t part = 0; part < t->blocks * 2 / vectors; part++, y += 8 * vectors) {
        tile own = *t;
        own.cell = (t->block + part * vectors / 2) * block_cells + part * vectors % 2 * 8;
        __m256 out[ROWS * 2];
        multiply_part(&own, out, rows, bits, group, single);
        UNROLL for (uint32_t i = 0; i < rows * vectors; i++)
        {
            float *to = y + i / vectors * stride + i % vectors * 8;
            if (p->add) out[i] = _mm256_add_ps(_mm256_loadu_ps(to), out[i]);
            _mm256_storeu_ps(to, out[i]);
        }
    }
}

#endif
