/* multiply.c: see multiply.h. */
#include "core/convert/multiply.h"

#include <assert.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "core/convert/vectored.h"
#include "kernels/cpu/convert.h"

#define WIDE       HG_TILE_OUTPUTS
#define ROWS_AVX2  6 /* rows of x at once */
#define ROWS_PLAIN 2
#define EDGE_ROWS  48

static void read_linear(const void *from, size_t row, size_t at, size_t count, float *out)
{
    hg_linear_read(from, row, at, count, out);
}

static void read_matrix(const void *from, size_t row, size_t at, size_t count, float *out)
{
    hg_matrix_read(from, row, at, count, out);
}

hg_rows hg_rows_of_linear(const hg_linear *linear)
{
    return (hg_rows){read_linear, linear, linear->rows, linear->columns};
}

hg_rows hg_rows_of_matrix(const hg_matrix *matrix)
{
    return (hg_rows){read_matrix, matrix, matrix->rows, matrix->columns};
}

/* ---- one tile ----
 *
 * rows is a constant in each use, so that the sums are registers: of AVX2's sixteen, 6 x 16 sums
 * take twelve, a row of the tile two and an input one. */

HG_INLINE void multiply_rows(const hg_tile *t, uint32_t first, uint32_t rows)
{
    float sum[ROWS_PLAIN][WIDE];
    for (uint32_t r = 0; r < rows; r++)
        memcpy(sum[r], t->y + (first + r) * t->y_stride, sizeof sum[r]);
    const float *x = t->x + first * t->x_stride, *w = t->tile;
    for (uint32_t k = 0; k < t->inputs; k++, w += WIDE)
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t o = 0; o < WIDE; o++) sum[r][o] += x[r * t->x_stride + k] * w[o];
    for (uint32_t r = 0; r < rows; r++)
        memcpy(t->y + (first + r) * t->y_stride, sum[r], sizeof sum[r]);
}

static void multiply_tile(const hg_tile *t)
{
    uint32_t at = 0;
    for (; at + ROWS_PLAIN <= t->count; at += ROWS_PLAIN) multiply_rows(t, at, ROWS_PLAIN);
    for (; at < t->count; at++) multiply_rows(t, at, 1);
}

#if defined(__x86_64__)
HG_AVX2 HG_INLINE void multiply_rows_avx2(const hg_tile *t, uint32_t first, uint32_t rows)
{
    __m256 low[ROWS_AVX2], high[ROWS_AVX2];
    const float *x = t->x + first * t->x_stride, *w = t->tile;
    float *y = t->y + first * t->y_stride;
    for (uint32_t r = 0; r < rows; r++) low[r] = high[r] = _mm256_setzero_ps();
    for (uint32_t k = 0; k < t->inputs; k++, w += WIDE) {
        const __m256 w_low = _mm256_loadu_ps(w), w_high = _mm256_loadu_ps(w + 8);
#pragma GCC unroll 6
        for (uint32_t r = 0; r < rows; r++) {
            const __m256 input = _mm256_broadcast_ss(x + r * t->x_stride + k);
            low[r] = _mm256_fmadd_ps(input, w_low, low[r]);
            high[r] = _mm256_fmadd_ps(input, w_high, high[r]);
        }
    }
    for (uint32_t r = 0; r < rows; r++, y += t->y_stride) {
        _mm256_storeu_ps(y, _mm256_add_ps(_mm256_loadu_ps(y), low[r]));
        _mm256_storeu_ps(y + 8, _mm256_add_ps(_mm256_loadu_ps(y + 8), high[r]));
    }
}

HG_AVX2 static void multiply_tile_avx2(const hg_tile *t)
{
    uint32_t at = 0;
    for (; at + ROWS_AVX2 <= t->count; at += ROWS_AVX2) multiply_rows_avx2(t, at, ROWS_AVX2);
    for (; at < t->count; at++) multiply_rows_avx2(t, at, 1);
}
#else
static void multiply_tile_avx2(const hg_tile *t)
{
    multiply_tile(t);
}
#endif

static void multiply_in_parts(const hg_tile *t, void (*multiply)(const hg_tile *))
{
    hg_tile part = *t;
    for (uint32_t at = 0; at < t->inputs; at += HG_TILE_INPUTS) {
        const uint32_t left = t->inputs - at;
        part.inputs = left < HG_TILE_INPUTS ? left : HG_TILE_INPUTS;
        part.x = t->x + at;
        part.tile = t->tile + (size_t)at * WIDE;
        multiply(&part);
    }
}

void hg_tile_multiply(const hg_tile *t)
{
    multiply_in_parts(t, hg_have_avx2() ? multiply_tile_avx2 : multiply_tile);
}

void hg_tile_multiply_plain(const hg_tile *t)
{
    multiply_in_parts(t, multiply_tile);
}

/* ---- the product ---- */

typedef struct product {
    const hg_rows *w;
    const float *x;
    float *y;
    uint32_t count, blocks; /* rows of x; blocks of 16 outputs */
} product;

/* Elements [at, at + inputs) of 16 rows of W, or fewer at its end, inputs outermost. */
static void read_tile(const hg_rows *w, uint32_t first, uint32_t outputs, uint32_t at,
                      uint32_t inputs, float *scratch)
{
    float *tile = scratch, *row = scratch + HG_TILE_INPUTS * WIDE;
    if (outputs < WIDE) memset(tile, 0, sizeof *tile * HG_TILE_INPUTS * WIDE);
    for (uint32_t o = 0; o < outputs; o++) {
        w->read(w->from, first + o, at, inputs, row);
        for (uint32_t k = 0; k < inputs; k++) tile[k * WIDE + o] = row[k];
    }
}

/* The last outputs of W have no room for 16 sums in y. */
static void multiply_edge(const product *p, const hg_tile *whole, uint32_t outputs)
{
    float edge[EDGE_ROWS][WIDE];
    hg_tile t = *whole;
    t.y = edge[0];
    t.y_stride = WIDE;
    for (uint32_t r = 0; r < whole->count; r += t.count) {
        t.count = whole->count - r < EDGE_ROWS ? whole->count - r : EDGE_ROWS;
        t.x = whole->x + r * whole->x_stride;
        memset(edge, 0, sizeof edge);
        hg_tile_multiply(&t);
        for (uint32_t i = 0; i < t.count; i++)
            for (uint32_t o = 0; o < outputs; o++)
                whole->y[(r + i) * (size_t)p->w->rows + o] += edge[i][o];
    }
}

/* One block of outputs of at most HG_TILE_ROWS rows of x, from row on. */
static void multiply_block(const product *p, uint32_t block, uint32_t row, float *scratch)
{
    const uint32_t columns = p->w->columns, rows = p->w->rows, first = block * WIDE;
    const uint32_t outputs = rows - first < WIDE ? rows - first : WIDE;
    const uint32_t left = p->count - row, count = left < HG_TILE_ROWS ? left : HG_TILE_ROWS;
    for (uint32_t at = 0; at < columns; at += HG_TILE_INPUTS) {
        const uint32_t inputs = columns - at < HG_TILE_INPUTS ? columns - at : HG_TILE_INPUTS;
        read_tile(p->w, first, outputs, at, inputs, scratch);
        const hg_tile t = {.tile = scratch,
                           .x = p->x + (size_t)row * columns + at,
                           .y = p->y + (size_t)row * rows + first,
                           .inputs = inputs,
                           .count = count,
                           .x_stride = columns,
                           .y_stride = rows};
        if (outputs == WIDE)
            hg_tile_multiply(&t);
        else
            multiply_edge(p, &t, outputs);
    }
}

/* Outputs innermost: all threads read the same rows of x at a time. */
static void multiply_blocks(void *context, uint32_t first, uint32_t count, float *scratch)
{
    const product *p = context;
    for (uint32_t i = first; i < first + count; i++)
        multiply_block(p, i % p->blocks, i / p->blocks * HG_TILE_ROWS, scratch);
}

void hg_multiply(hg_pool *pool, const hg_rows *w, const float *x, uint32_t count, float *y)
{
    product p = {.w = w, .x = x, .y = y, .count = count, .blocks = (w->rows + WIDE - 1) / WIDE};
    assert(pool->scratch_floats >= HG_MULTIPLY_SCRATCH);
    memset(y, 0, sizeof *y * count * w->rows);
    hg_pool_each(pool, p.blocks * ((count + HG_TILE_ROWS - 1) / HG_TILE_ROWS), multiply_blocks, &p);
}
