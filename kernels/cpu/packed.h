/* packed.h: matrices and rows in the order in which the fast families read them. */
#ifndef HG_KERNELS_CPU_PACKED_H
#define HG_KERNELS_CPU_PACKED_H

#include <stdbool.h>

#include "kernels/cpu/arena.h"
#include "kernels/weights.h"

/* Of what layout_model and pack_model of the fast families make. Raise it when they make anything
 * else of the same model: files of the cache are then packed anew. */
#define HG_PACKED_VERSION 4

/* A packed matrix. 16 rows make a block; in a block the groups of columns follow each other; in a
 * group, four columns at a time of all 16 rows, one byte each: 64 bytes, a register's worth. With
 * 4 bits a byte holds such a quad in its low and the next quad in its high nibble. Codes are
 * unsigned: zero stands at 8 or 128. The groups are those of the activations, 16 or 32 columns; a
 * weight's scale may be that of several of them. */
typedef struct hg_packed {
    uint8_t *codes;    /* [blocks, groups, group / 4, 16, 4] x bits / 8 bytes */
    uint16_t *scales;  /* [blocks, groups / share, 16] F16 */
    uint16_t *offsets; /* the same, or NULL */
    uint32_t rows, blocks, groups;
    uint16_t group; /* 16 or 32 */
    uint8_t share;  /* groups that have one scale: 1, 2, 4 or 8 */
    uint8_t bits;   /* 4 or 8 */
} hg_packed;

/* Of one group of columns of one quantised row: x = q * scale. */
typedef struct hg_group {
    float scale;
    int32_t minus8; /* -8 times the sum of the group's q: what the codes' zero adds */
} hg_group;

/* Quantised rows, q in [-127, 127], as they are written: each row by itself, so that threads which
 * write different rows do not meet in a cache line. */
typedef struct hg_rows8 {
    int8_t *q;        /* [rows, columns] */
    hg_group *group;  /* [rows, columns / 16], of which as many as there are groups are used */
    uint32_t columns; /* room for; a multiple of 64 */
} hg_rows8;

#define HG_TILE                                                                                    \
    12 /* activation rows that a product reads together; nine lanes are the usual step */

typedef struct hg_tile_group {
    float scale[HG_TILE];
    int32_t minus8[HG_TILE];
} hg_tile_group;

/* Quantised rows as products read them, gathered by each thread for itself. Four columns of each
 * row of a tile stand together, then the next four: whatever the number of rows, they are at fixed
 * distances from one address. */
typedef struct hg_tiles {
    int8_t *q;                /* [tiles, columns / 4, HG_TILE, 4] */
    hg_tile_group *group;     /* [tiles, groups] */
    uint32_t columns, groups; /* of what was gathered last */
} hg_tiles;

/* y[rows, 16 * blocks] = x W^T for some blocks of W. */
typedef struct hg_product {
    const hg_packed *w;
    uint32_t block, blocks; /* of w */
    const hg_tiles *x;      /* columns of w */
    uint32_t rows;
    bool add; /* y += */
    float *y; /* [rows, y_stride] */
    size_t y_stride;
} hg_product;

/* Where a row's first four columns stand in its tile, and the tile's groups. */
static inline int8_t *hg_tiles_q(const hg_tiles *x, uint32_t row)
{
    return x->q + (size_t)(row / HG_TILE) * HG_TILE * x->columns + row % HG_TILE * 4;
}

static inline hg_tile_group *hg_tiles_group(const hg_tiles *x, uint32_t row)
{
    return x->group + (size_t)(row / HG_TILE) * x->groups;
}

/* The sum of the q * scale of one row of a tile over the groups of one weight's scale. */
static inline float hg_tile_sum(const hg_tile_group *x, uint32_t share, uint32_t sub)
{
    float sum = 0;
    for (uint32_t s = 0; s < share; s++)
        sum += x[s].scale[sub] * ((float)x[s].minus8[sub] * -0.125f);
    return sum;
}

/* Fills tiles with rows [row, row + rows) of from, as columns of w need them. */
void hg_tiles_gather(hg_tiles *to, const hg_rows8 *from, uint32_t row, uint32_t rows,
                     const hg_packed *w);

/* Packing: packed.c. layout takes w's arrays from the arena; rows, group, share and
 * bits are given. */
void hg_packed_layout(hg_packed *w, uint32_t columns, bool offsets, hg_arena *arena);
/* Block `block` of a quantised layer, which must be of w's bits; exactly, but for zero points,
 * which become offsets of F16. */
void hg_packed_put_linear(const hg_packed *w, const hg_linear *from, uint32_t block);
/* Block `block` of a matrix of floats times factor, quantised, into a w with share 1; row: [columns
 * of w] scratch. */
void hg_packed_put_matrix(const hg_packed *w, const hg_matrix *from, float factor, uint32_t block,
                          float *row);

/* A matrix of 8 bits as two of 4 which share scales: code = 16 * high + low, so that the high one
 * alone is the matrix at 4 bits and both together are all of it. layout: as above. */
void hg_planes_layout(hg_packed *high, hg_packed *low, uint32_t columns, hg_arena *arena);
/* from: floats, or a quantised layer of 8 bits without offsets. */
void hg_planes_put(const hg_packed *high, const hg_packed *low, const hg_matrix *from,
                   uint32_t block, float *row);
/* Splits gathered rows for the planes: x is for the high one, with what the low nibbles are on
 * average (7.5) in its zero; rest is of the same q, for the low one, and its group is the caller's,
 * [tiles, groups]. The two products add up to that of 8 bits. */
void hg_planes_split(hg_tiles *x, hg_tiles *rest, uint32_t rows);

#endif
