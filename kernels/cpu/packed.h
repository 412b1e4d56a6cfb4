/* packed.h: matrices and rows in the order in which the fast families read them. */
#ifndef HG_KERNELS_CPU_PACKED_H
#define HG_KERNELS_CPU_PACKED_H

#include <stdbool.h>

#include "kernels/cpu/arena.h"
#include "kernels/weights.h"

/* A packed matrix. 16 rows make a block; in a block the groups of columns follow each other; in a
 * group, four columns at a time of all 16 rows, one byte each: 64 bytes, a register's worth. With
 * 4 bits a byte holds such a quad in its low and the next quad in its high nibble. Codes are
 * unsigned: zero stands at 8 or 128. Groups of 64 and 128 are packed as groups of 32. */
typedef struct hg_packed {
    uint8_t *codes;    /* [blocks, groups, group / 4, 16, 4] x bits / 8 bytes */
    uint16_t *scales;  /* [blocks, groups, 16] F16 */
    uint16_t *offsets; /* the same, or NULL */
    uint32_t rows, blocks, groups;
    uint16_t group; /* 16 or 32 */
    uint8_t bits;   /* 4 or 8 */
} hg_packed;

#define HG_TILE 12 /* activation rows that are kept interleaved; nine lanes are the usual step */

/* Of one group of columns of a tile of quantised rows: x = q * scale. */
typedef struct hg_group {
    float scale[HG_TILE];
    int32_t minus8[HG_TILE]; /* -8 times the sum of the group's q: what the codes' zero adds */
} hg_group;

/* Quantised rows, q in [-127, 127]. Four columns of each row of a tile stand together, then the
 * next four: whatever rows a product takes, it reads them at fixed distances from one address. */
typedef struct hg_rows8 {
    int8_t *q;        /* [tiles, columns / 4, HG_TILE, 4] */
    hg_group *group;  /* [tiles, columns / 16], of which columns / group are used */
    uint32_t columns; /* room for; a multiple of 16 */
} hg_rows8;

/* y[rows, 16 * blocks] = x W^T for some rows of x and some blocks of W. */
typedef struct hg_product {
    const hg_packed *w;
    uint32_t block, blocks; /* of w */
    const hg_rows8 *x;      /* columns of w */
    uint32_t row, rows;     /* of x */
    bool add;               /* y += */
    float *y;               /* [rows, y_stride] */
    size_t y_stride;
} hg_product;

/* Where row's first four columns stand, and its tile's groups. */
static inline int8_t *hg_rows8_q(const hg_rows8 *x, uint32_t row)
{
    return x->q + (size_t)(row / HG_TILE) * HG_TILE * x->columns + row % HG_TILE * 4;
}

static inline hg_group *hg_rows8_group(const hg_rows8 *x, uint32_t row)
{
    return x->group + (size_t)(row / HG_TILE) * (x->columns / 16);
}

/* Packing: packed.c. layout takes w's arrays from the arena; rows, group and bits are given. */
void hg_packed_layout(hg_packed *w, uint32_t columns, bool offsets, hg_arena *arena);
/* Block `block` of a quantised layer, exactly. */
void hg_packed_put_linear(const hg_packed *w, const hg_linear *from, uint32_t block);
/* Block `block` of a matrix times factor, quantised to 8 bits; row: [widest] scratch. */
void hg_packed_put_matrix(const hg_packed *w, const hg_matrix *from, float factor, uint32_t block,
                          float *row);

#endif
