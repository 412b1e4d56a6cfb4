/* packed.h: a linear layer in fragment order: what a lane of a warp loads is what its
 * mma.m16n8k16 wants, 16 bytes at a time.
 *
 * Outputs are cut into tiles of 64, a tile into 4 warps' shares of 16; inputs into units of 1 KiB
 * of codes: 128, 64 or 32 columns at 4, 8 or 16 bits. A unit is 64 pieces of 16 bytes: piece
 * 32 i + lane is the lane's for steps (of 16 columns) from i * steps / 2 on. Behind the codes
 * stand, for each group of the unit, its scales as 8 pairs (outputs g and g + 8, F16), and where
 * the layer has them its offsets or zeros in the same way. What fills tiles and units up has scale
 * 0.
 *
 * In a step lane = 4 g + q holds outputs g and g + 8 at columns 4q .. 4q + 3 (the products' order
 * of columns is ours to choose, as long as the rows keep to it too): register 0: (g, 4q), (g, 4q +
 * 1)   1: (g + 8, 4q), (g + 8, 4q + 1)   2, 3: columns 4q + 2, + 3 16 bits: as they are. 8 bits:
 * bytes of two words, registers 0, 1 and 2, 3. 4 bits: nibble r of a word is the first value of
 * register r, nibble r + 4 its second.
 */
#ifndef HG_KERNELS_CUDA_PACKED_H
#define HG_KERNELS_CUDA_PACKED_H

#include <stdbool.h>

#include "kernels/weights.h"

#define HG_CUDA_TILE       64
#define HG_CUDA_UNIT_CODES 1024 /* bytes */
#define HG_CUDA_UNIT_MOST  1536 /* with the scales and offsets of 8 groups */
#define HG_CUDA_CHUNK      1024 /* columns whose products one block adds up */

/* Tiles of a layer of so many outputs. */
static inline uint32_t hg_cuda_tiles(uint32_t outs)
{
    return (outs + HG_CUDA_TILE - 1) / HG_CUDA_TILE;
}

typedef enum hg_cuda_shift { HG_CUDA_SYMMETRIC, HG_CUDA_OFFSETS, HG_CUDA_ZEROS } hg_cuda_shift;

/* How a tile's outputs stand: as they are, or values that belong together side by side. */
typedef enum hg_cuda_order {
    HG_CUDA_PLAIN,
    HG_CUDA_TURNED, /* of each head, (i, i + head_dim / 2): what RoPE turns together */
    HG_CUDA_PAIRED  /* (gate i, up i) */
} hg_cuda_order;

typedef struct hg_cuda_linear {
    const uint8_t *unit;   /* [tiles, 4 warps, units, unit_bytes] */
    uint32_t outs;         /* real ones */
    uint32_t tiles, units; /* units of one row */
    uint16_t unit_bytes;
    uint8_t bits;  /* 4, 8 or 16 */
    uint8_t steps; /* of 16 columns that share a scale in a unit */
    uint8_t shift; /* hg_cuda_shift */
    uint8_t order; /* hg_cuda_order */
} hg_cuda_linear;

/* Where packed outputs come from. */
typedef struct hg_cuda_source {
    const hg_linear *w;    /* [outs, columns]; of PAIRED the gate */
    const hg_linear *pair; /* of PAIRED: up, of the same size */
    uint32_t head_dim;     /* of TURNED */
    bool dense;            /* products are rounded to F16: gate and up in two forms */
    bool to_int8;          /* dense values become 8-bit codes in groups of 128: the head */
    hg_cuda_order order;
} hg_cuda_source;

/* The shape of the packed layer; unit is NULL. */
hg_cuda_linear hg_cuda_pack_shape(const hg_cuda_source *source);

/* Bytes of one tile, and tile number of the layer into out. */
size_t hg_cuda_tile_bytes(const hg_cuda_linear *packed);
void hg_cuda_pack_tile(const hg_cuda_source *source, const hg_cuda_linear *packed, uint32_t tile,
                       uint8_t *out);

#endif
