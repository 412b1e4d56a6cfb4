/* multiply.c: see multiply.h. */
#include "core/convert/multiply.h"

#include <assert.h>
#include <string.h>

#include "core/convert/vectored.h"
#include "kernels/cpu/convert.h"

#define WIDE HG_TILE_OUTPUTS
#define DEEP 4 /* rows of x at once: 4 x 16 sums fill half of AVX2's registers */

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

/* rows rows of x, a constant up to DEEP in each use. */
HG_INLINE void multiply_rows(const hg_tile *t, uint32_t first, uint32_t rows)
{
    float sum[DEEP][WIDE];
    for (uint32_t r = 0; r < rows; r++)
        memcpy(sum[r], t->y + (first + r) * t->y_stride, sizeof sum[r]);
    const float *x = t->x + first * t->x_stride, *w = t->tile;
    for (uint32_t k = 0; k < t->inputs; k++, w += WIDE)
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t o = 0; o < WIDE; o++) sum[r][o] += x[r * t->x_stride + k] * w[o];
    for (uint32_t r = 0; r < rows; r++)
        memcpy(t->y + (first + r) * t->y_stride, sum[r], sizeof sum[r]);
}

HG_INLINE void multiply_tile(const hg_tile *t)
{
    uint32_t at = 0;
    for (; at + DEEP <= t->count; at += DEEP) multiply_rows(t, at, DEEP);
    for (; at < t->count; at++) multiply_rows(t, at, 1);
}

HG_AVX2 static void multiply_tile_avx2(const hg_tile *t)
{
    multiply_tile(t);
}

void hg_tile_multiply(const hg_tile *t)
{
    if (hg_have_avx2())
        multiply_tile_avx2(t);
    else
        multiply_tile(t);
}

typedef struct product {
    const hg_rows *w;
    const float *x;
    float *y;
    uint32_t count;
} product;

/* Outputs [first, first + outputs) of all rows of x; fewer than 16 at the end of W. */
static void multiply_outputs(const product *p, uint32_t first, uint32_t outputs, float *scratch)
{
    float *tile = scratch, *row = scratch + HG_TILE_INPUTS * WIDE;
    float edge[DEEP][WIDE]; /* sums that have no room in y */
    for (uint32_t at = 0; at < p->w->columns; at += HG_TILE_INPUTS) {
        const uint32_t left = p->w->columns - at;
        const uint32_t inputs = left < HG_TILE_INPUTS ? left : HG_TILE_INPUTS;
        if (outputs < WIDE) memset(tile, 0, sizeof *tile * HG_TILE_INPUTS * WIDE);
        for (uint32_t o = 0; o < outputs; o++) {
            p->w->read(p->w->from, first + o, at, inputs, row);
            for (uint32_t k = 0; k < inputs; k++) tile[k * WIDE + o] = row[k];
        }
        hg_tile t = {.tile = tile,
                     .x = p->x + at,
                     .y = p->y + first,
                     .inputs = inputs,
                     .count = p->count,
                     .x_stride = p->w->columns,
                     .y_stride = p->w->rows};
        if (outputs == WIDE) {
            hg_tile_multiply(&t);
            continue;
        }
        t.y = edge[0], t.y_stride = WIDE;
        for (uint32_t r = 0; r < p->count; r += t.count) {
            t.count = p->count - r < DEEP ? p->count - r : DEEP;
            t.x = p->x + (size_t)r * t.x_stride + at;
            memset(edge, 0, sizeof edge);
            hg_tile_multiply(&t);
            for (uint32_t i = 0; i < t.count; i++)
                for (uint32_t o = 0; o < outputs; o++)
                    p->y[(size_t)(r + i) * p->w->rows + first + o] += edge[i][o];
        }
    }
}

static void multiply_blocks(void *context, uint32_t first, uint32_t count, float *scratch)
{
    const product *p = context;
    for (uint32_t b = first; b < first + count; b++) {
        const uint32_t at = b * WIDE, left = p->w->rows - at;
        multiply_outputs(p, at, left < WIDE ? left : WIDE, scratch);
    }
}

void hg_multiply(hg_pool *pool, const hg_rows *w, const float *x, uint32_t count, float *y)
{
    product p = {.w = w, .x = x, .y = y, .count = count};
    assert(pool->scratch_floats >= HG_MULTIPLY_SCRATCH);
    memset(y, 0, sizeof *y * count * w->rows);
    hg_pool_each(pool, (w->rows + WIDE - 1) / WIDE, multiply_blocks, &p);
}
