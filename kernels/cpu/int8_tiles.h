/* int8_tiles.h: the end of a fast family's file: `linear` out of its multiply_tile, and its tables.
 *
 * multiply_tile is compiled once for each number of rows up to ROWS, each width and each group, so
 * that its sums are registers. All of them add in the same order.
 */
#ifndef HG_KERNELS_CPU_INT8_TILES_H
#define HG_KERNELS_CPU_INT8_TILES_H

INLINE void multiply_rows(const hg_product *p, uint32_t block, uint32_t row, uint32_t rows,
                          const uint32_t bits, const uint32_t group)
{
    switch (rows) {
    case 1: multiply_tile(p, block, row, 1, bits, group); break;
    case 2: multiply_tile(p, block, row, 2, bits, group); break;
    case 3: multiply_tile(p, block, row, 3, bits, group); break;
#if ROWS > 4
    case 4: multiply_tile(p, block, row, 4, bits, group); break;
    case 5: multiply_tile(p, block, row, 5, bits, group); break;
    case 6: multiply_tile(p, block, row, 6, bits, group); break;
    case 7: multiply_tile(p, block, row, 7, bits, group); break;
#endif
    default: multiply_tile(p, block, row, ROWS, bits, group); break;
    }
}

/* A block's weights stay in the nearest cache while all rows pass; tiles of rows are as even as
 * they can be, since the smallest pay most for unpacking. */
INLINE void multiply_blocks(const hg_product *p, const uint32_t bits, const uint32_t group)
{
    uint32_t tiles = (p->rows + ROWS - 1) / ROWS, row, rows;
    for (uint32_t block = p->block; block < p->block + p->blocks; block++) {
        for (uint32_t i = 0; i < tiles; i++) {
            hg_workers_share(p->rows, tiles, i, &row, &rows);
            multiply_rows(p, block, row, rows, bits, group);
        }
    }
}

static void linear_4_32(const hg_product *p)
{
    multiply_blocks(p, 4, 32);
}

static void linear_4_16(const hg_product *p)
{
    multiply_blocks(p, 4, 16);
}

static void linear_8_32(const hg_product *p)
{
    multiply_blocks(p, 8, 32);
}

static void linear_8_16(const hg_product *p)
{
    multiply_blocks(p, 8, 16);
}

static void vector_linear(const hg_product *p)
{
    assert(p->block + p->blocks <= p->w->blocks);
    if (p->w->bits == 4)
        (p->w->group == 32 ? linear_4_32 : linear_4_16)(p);
    else
        (p->w->group == 32 ? linear_8_32 : linear_8_16)(p);
}

static const hg_int8_ops ops = {
    .linear = vector_linear,
    .norm = vector_norm,
    .quantise = vector_quantise,
    .swiglu = vector_swiglu,
    .max = vector_max,
    .store_k = vector_store_k,
    .store_v = vector_store_v,
    .attention = vector_attention,
};

static void forward(hg_device *device, const hg_step *step, const hg_result *result)
{
    hg_int8_forward(device, &ops, step, result);
}

#define HG_INT8_FAMILY(symbol, family_name)                                                        \
    const hg_family symbol = {                                                                     \
        .name = family_name,                                                                       \
        .runs_here = runs_here,                                                                    \
        .state_bytes = sizeof(hg_int8),                                                            \
        .check = hg_int8_check,                                                                    \
        .page_bytes = hg_int8_page_bytes,                                                          \
        .layout_model = hg_int8_layout_model,                                                      \
        .layout_workspace = hg_int8_layout_workspace,                                              \
        .layout_adapter = hg_int8_layout_adapter,                                                  \
        .pack_model = hg_int8_pack_model,                                                          \
        .pack_lora = hg_int8_pack_lora,                                                            \
        .copy_page = hg_int8_copy_page,                                                            \
        .forward = forward,                                                                        \
    }

#endif
