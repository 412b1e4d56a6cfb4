/* packed.c: matrices into the packed form of packed.h. Runs at load and between steps; plain C.
 *
 * Quantised layers keep their codes and scales: packing is exact. The head and adapters, which come
 * as floats, are quantised to 8 bits, each group of each row with a scale that is an F16 no smaller
 * than max|w| / 127, so that no value is cut.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/family.h"
#include "kernels/cpu/packed.h"

void hg_packed_layout(hg_packed *w, uint32_t columns, bool offsets, hg_arena *arena)
{
    assert((w->group == 16 || w->group == 32) && (w->bits == 4 || w->bits == 8));
    assert(columns % w->group == 0);
    w->blocks = (w->rows + HG_BLOCK - 1) / HG_BLOCK;
    w->groups = columns / w->group;
    w->offsets = NULL;
    size_t cells = (size_t)w->blocks * HG_BLOCK * w->groups;
    w->codes = hg_arena_take(arena, cells * w->group * w->bits / 8);
    w->scales = hg_arena_take(arena, cells * sizeof *w->scales);
    if (offsets) w->offsets = hg_arena_take(arena, cells * sizeof *w->offsets);
}

/* Puts the codes of one row of one group, [group] bytes, in their places. */
static void put_codes(const hg_packed *w, uint32_t row, uint32_t g, const uint8_t *code)
{
    size_t group_bytes = (size_t)HG_BLOCK * w->group * w->bits / 8;
    uint8_t *to = w->codes + ((size_t)(row / HG_BLOCK) * w->groups + g) * group_bytes;
    to += row % HG_BLOCK * 4;
    for (uint32_t c = 0; c < w->group; c++) {
        uint32_t quad = c / 4;
        if (w->bits == 8)
            to[quad * 64 + c % 4] = code[c];
        else
            to[quad / 2 * 64 + c % 4] |= (uint8_t)(code[c] << (quad % 2 * 4));
    }
}

static uint16_t *group_entry(const hg_packed *w, uint16_t *array, uint32_t row, uint32_t g)
{
    return array + ((size_t)(row / HG_BLOCK) * w->groups + g) * HG_BLOCK + row % HG_BLOCK;
}

void hg_packed_put_linear(const hg_packed *w, const hg_linear *from, uint32_t block)
{
    assert(w->bits == from->bits && from->group % w->group == 0);
    uint32_t end = (block + 1) * HG_BLOCK < from->rows ? (block + 1) * HG_BLOCK : from->rows;
    for (uint32_t row = block * HG_BLOCK; row < end; row++) {
        for (uint32_t g = 0; g < w->groups; g++) {
            uint8_t code[32];
            for (uint32_t c = 0; c < w->group; c++) {
                size_t at = (size_t)row * from->columns + g * w->group + c;
                code[c] =
                    from->bits == 8 ? from->codes[at] : from->codes[at / 2] >> (at % 2 * 4) & 15;
            }
            put_codes(w, row, g, code);
            size_t source =
                (size_t)row * (from->columns / from->group) + g * w->group / from->group;
            *group_entry(w, w->scales, row, g) = from->scales[source];
            if (w->offsets) *group_entry(w, w->offsets, row, g) = from->offsets[source];
        }
    }
}

/* The smallest F16 not below a value in [0, 65504]. */
static uint16_t f16_above(float f)
{
    assert(f >= 0 && f <= 65504.0f);
    if (f < 0x1p-14f) return (uint16_t)ceilf(f * 0x1p24f); /* 0x400, the first normal, included */
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)((bits - (112u << 23) + 0x1FFF) >> 13);
}

static void quantise_group(const float *x, uint32_t n, float factor, uint8_t *code, uint16_t *scale)
{
    float most = 0;
    for (uint32_t i = 0; i < n; i++) {
        float a = fabsf(x[i] * factor);
        most = a > most ? a : most;
    }
    if (most > 65504.0f * 127) most = 65504.0f * 127; /* no trained adapter comes near */
    *scale = f16_above(most / 127);
    float s = hg_f32_of_f16(*scale), inverse = s > 0 ? factor / s : 0;
    for (uint32_t i = 0; i < n; i++) {
        float q = rintf(x[i] * inverse);
        q = q > 127 ? 127 : q >= -127 ? q : -127; /* NaN too */
        code[i] = (uint8_t)(128 + (int)q);
    }
}

void hg_packed_put_matrix(const hg_packed *w, const hg_matrix *from, float factor, uint32_t block,
                          float *row)
{
    assert(w->bits == 8 && !w->offsets);
    uint32_t columns = w->groups * w->group;
    uint32_t end = (block + 1) * HG_BLOCK < from->rows ? (block + 1) * HG_BLOCK : from->rows;
    for (uint32_t r = block * HG_BLOCK; r < end; r++) {
        hg_matrix_read(from, r, 0, from->columns, row);
        memset(row + from->columns, 0, (columns - from->columns) * sizeof *row);
        for (uint32_t g = 0; g < w->groups; g++) {
            uint8_t code[32];
            quantise_group(row + g * w->group, w->group, factor, code,
                           group_entry(w, w->scales, r, g));
            put_codes(w, r, g, code);
        }
    }
}

void hg_tiles_gather(hg_tiles *to, const hg_rows8 *from, uint32_t row, uint32_t rows,
                     const hg_packed *w)
{
    to->groups = w->groups;
    to->columns = w->groups * w->group;
    for (uint32_t r = 0; r < rows; r++) {
        const int8_t *source = from->q + (size_t)(row + r) * from->columns;
        const hg_group *group = from->group + (size_t)(row + r) * (from->columns / 16);
        int8_t *q = hg_tiles_q(to, r);
        hg_tile_group *target = hg_tiles_group(to, r);
        for (uint32_t c = 0; c < to->columns; c += 4) memcpy(q + c * HG_TILE, source + c, 4);
        for (uint32_t g = 0; g < to->groups; g++) {
            target[g].scale[r % HG_TILE] = group[g].scale;
            target[g].minus8[r % HG_TILE] = group[g].minus8;
        }
    }
}
