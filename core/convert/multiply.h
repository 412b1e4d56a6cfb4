/* multiply.h: y = x W^T in F32 for many rows of x, with W in whatever form a model has it.
 *
 * W is dequantised a tile at a time (16 outputs, up to 256 inputs, inputs outermost: half of a
 * first-level cache), so memory does not grow with it; a tile is then used by up to 1024 rows of x,
 * a few at a time. Sums run over the inputs of a tile in order, then over the tiles: the result
 * does not depend on the number of threads.
 */
#ifndef HG_CONVERT_MULTIPLY_H
#define HG_CONVERT_MULTIPLY_H

#include "core/convert/pool.h"
#include "kernels/weights.h"

#define HG_TILE_OUTPUTS 16
#define HG_TILE_INPUTS  256
#define HG_TILE_ROWS    1024
/* Floats of a pool's scratch that hg_multiply needs: a tile and a row of it. */
#define HG_MULTIPLY_SCRATCH (HG_TILE_INPUTS * (HG_TILE_OUTPUTS + 1))

/* Where rows of weights come from. */
typedef struct hg_rows {
    /* Elements [at, at + count) of a row as F32. Called by several threads. */
    void (*read)(const void *from, size_t row, size_t at, size_t count, float *out);
    const void *from; /* borrowed */
    uint32_t rows, columns;
} hg_rows;

hg_rows hg_rows_of_linear(const hg_linear *linear);
hg_rows hg_rows_of_matrix(const hg_matrix *matrix);

/* x [count, columns], y [count, rows]. */
void hg_multiply(hg_pool *pool, const hg_rows *w, const float *x, uint32_t count, float *y);

/* The inner part: y [count rows of y_stride floats, 16] += x [count rows of x_stride floats,
 * inputs] tile [inputs, 16]. */
typedef struct hg_tile {
    const float *tile, *x;
    float *y;
    uint32_t inputs, count;
    size_t x_stride, y_stride;
} hg_tile;
void hg_tile_multiply(const hg_tile *t);
void hg_tile_multiply_plain(const hg_tile *t); /* the same on any processor */

#endif
