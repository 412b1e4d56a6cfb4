/* int8_blocks.h: multiply_tile of the families whose v16 takes a block of output rows at once.
 *
 * Included by one file per kind of register, which first defines ROWS, the type s16 (exact 32-bit
 * sums of a row with the block's 16 output rows) and
 *   s16_start   what the codes' zero adds, given the row's minus8   s16_float   sums as floats
 * and leaves dot_group to the family. Scales of a single group gain nothing: SINGLE is false. */
#ifndef HG_KERNELS_CPU_INT8_BLOCKS_H
#define HG_KERNELS_CPU_INT8_BLOCKS_H

#define SINGLE false

/* sum[rows] += one group of a block's codes times the rows' q. */
INLINE void dot_group(const uint8_t *codes, const int8_t *q, s16 *sum, const uint32_t rows,
                      const uint32_t bits, const uint32_t group);

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

/* One block of output rows, whose scales start at cell: out[rows] = W x. */
INLINE void multiply_block(const tile *t, size_t cell, v16 *out, const uint32_t rows,
                           const uint32_t bits, const uint32_t group)
{
    const hg_packed *w = t->product->w;
    const uint32_t share = w->share, sub = t->row % HG_TILE;
    const size_t group_bytes = (size_t)group * 2 * bits;
    const uint8_t *codes = w->codes + cell * share * group_bytes;
    const uint16_t *scales = w->scales + cell * HG_BLOCK;
    const int8_t *q = hg_tiles_q(t->product->x, t->row);
    const hg_tile_group *x = hg_tiles_group(t->product->x, t->row), *end = x + w->groups;
    UNROLL for (uint32_t r = 0; r < rows; r++) out[r] = v16_set1(0);
    for (v16 scaled[ROWS]; x < end; scales += HG_BLOCK) {
        UNROLL for (uint32_t r = 0; r < rows; r++) scaled[r] = v16_set1(0);
        for (uint32_t s = 0; s < share; s++, x++, codes += group_bytes, q += group * HG_TILE) {
            s16 sum[ROWS];
            UNROLL for (uint32_t r = 0; r < rows; r++) sum[r] = s16_start(x->minus8[sub + r], bits);
            dot_group(codes, q, sum, rows, bits, group);
            UNROLL for (uint32_t r = 0; r < rows; r++) scaled[r] =
                v16_fma(s16_float(sum[r]), v16_set1(x->scale[sub + r]), scaled[r]);
        }
        v16 scale = v16_load_half(scales);
        UNROLL for (uint32_t r = 0; r < rows; r++) out[r] = v16_fma(scaled[r], scale, out[r]);
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
