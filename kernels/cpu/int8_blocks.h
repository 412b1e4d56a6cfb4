/* int8_blocks.h: multiply_tile of the families whose v16 takes a block of output rows at once.
 *
 * Included behind such a family's ROWS and
 *   multiply_block   out[rows] = W x of one block, whose scales start at cell
 * without what offsets add. Scales of a single group gain nothing here: SINGLE is false. */
#ifndef HG_KERNELS_CPU_INT8_BLOCKS_H
#define HG_KERNELS_CPU_INT8_BLOCKS_H

#define SINGLE false

/* What offsets add: code * scale + offset is (code - zero) * scale + (offset + zero * scale). */
INLINE void add_offsets(const hg_packed *w, size_t cell, const hg_tile_group *x, uint32_t sub,
                        v16 *out, const uint32_t rows)
{
    v16 zero = v16_set1(w->bits == 4 ? 8.0f : 128.0f);
    for (uint32_t g = 0; g < w->groups; g += w->share, x += w->share, cell++) {
        v16 offset = v16_fma(v16_load_half(w->scales + cell * HG_BLOCK), zero,
                             v16_load_half(w->offsets + cell * HG_BLOCK));
        UNROLL for (uint32_t r = 0; r < rows; r++) out[r] =
            v16_fma(offset, v16_set1(hg_tile_sum(x, w->share, sub + r)), out[r]);
    }
}

INLINE void multiply_tile(const tile *t, const uint32_t rows, const uint32_t bits,
                          const uint32_t group, const bool single)
{
    (void)single;
    const hg_product *p = t->product;
    const hg_packed *w = p->w;
    const size_t cells = w->groups / w->share, stride = p->y_stride;
    size_t cell = t->block * cells;
    float *y = p->y + t->row * stride + (size_t)(t->block - p->block) * HG_BLOCK;
    for (uint32_t b = 0; b < t->blocks; b++, cell += cells, y += HG_BLOCK) {
        v16 out[ROWS];
        multiply_block(t, cell, out, rows, bits, group);
        if (w->offsets)
            add_offsets(w, cell, hg_tiles_group(p->x, t->row), t->row % HG_TILE, out, rows);
        UNROLL for (uint32_t r = 0; r < rows; r++)
        {
            if (p->add) out[r] = v16_add(v16_load(y + r * stride), out[r]);
            v16_store(y + r * stride, out[r]);
        }
    }
}

#endif
