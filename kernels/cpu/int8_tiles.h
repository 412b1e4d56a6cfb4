/* int8_tiles.h: the end of a fast family's file: vector_linear out of its multiply_tile.
 *
 * multiply_tile is compiled once for each number of rows up to ROWS, each width, each group, and
 * for scales of a single group or of several, so that its sums are registers. For each row all of
 * them add in the same order.
 */
#ifndef HG_KERNELS_CPU_INT8_TILES_H
#define HG_KERNELS_CPU_INT8_TILES_H

#define CASE(n)                                                                                    \
    case n: multiply_tile(t, n, bits, group, single); break

INLINE void multiply_rows(const tile *t, uint32_t rows, const uint32_t bits, const uint32_t group,
                          const bool single)
{
    switch (rows) {
        CASE(1);
        CASE(2);
        CASE(3);
        CASE(4);
#if ROWS > 4
        CASE(5);
#endif
#if ROWS > 5
        CASE(6);
        CASE(7);
        CASE(8);
        CASE(9);
        CASE(10);
        CASE(11);
        CASE(12);
#endif
    default: assert(!"more rows than a tile has");
    }
}

/* All tiles of rows pass over a piece of the weights while that stays in the second cache. */
#define PIECE_BYTES ((size_t)128 << 10)

/* Of n rows up to the end of a tile, how many to take first: the parts are as even as can be. */
static uint32_t rows_first(uint32_t n)
{
    uint32_t parts = (n + ROWS - 1) / ROWS;
    return (n + parts - 1) / parts;
}

INLINE void multiply_blocks(const hg_product *p, const uint32_t bits, const uint32_t group,
                            const bool single)
{
    size_t fit = PIECE_BYTES / ((size_t)p->w->groups * group * 2 * bits);
    uint32_t piece = fit < 1 ? 1 : fit > p->blocks ? p->blocks : (uint32_t)fit, blocks, rows;
    uint32_t end = p->block + p->blocks, end_row = p->rows;
    for (uint32_t block = p->block; block < end; block += blocks) {
        blocks = piece < end - block ? piece : end - block;
        for (uint32_t row = 0; row < end_row; row += rows) {
            rows = HG_TILE - row % HG_TILE;
            rows = rows_first(rows < end_row - row ? rows : end_row - row);
            tile t = {p, block, blocks, row, 0};
            multiply_rows(&t, rows, bits, group, single);
        }
    }
}

#define LINEAR(bits, group)                                                                        \
    static void linear_##bits##_##group(const hg_product *p)                                       \
    {                                                                                              \
        if (SINGLE && p->w->share == 1)                                                            \
            multiply_blocks(p, bits, group, true);                                                 \
        else                                                                                       \
            multiply_blocks(p, bits, group, false);                                                \
    }
LINEAR(4, 16)
LINEAR(4, 32)
LINEAR(8, 16)
LINEAR(8, 32)

static void vector_linear(const hg_product *p)
{
    assert(p->block + p->blocks <= p->w->blocks);
    if (p->w->bits == 4)
        (p->w->group == 32 ? linear_4_32 : linear_4_16)(p);
    else
        (p->w->group == 32 ? linear_8_32 : linear_8_16)(p);
}

#include "kernels/cpu/int8_family.h"

#endif
