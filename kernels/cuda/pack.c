/* pack.c: from the device form (kernels/weights.h) to fragment order (packed.h), a tile at a time.
 *
 * A row is read once: its codes, scales and shifts into a line of plain arrays; the tile's sixteen
 * rows of a warp are then dealt out to the lanes. Everything is the caller's memory but for those
 * lines, which the stack holds.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/model/half.h"
#include "kernels/cuda/packed.h"

#define WARPS      4
#define WARP_OUTS  16
#define HEAD_GROUP 128 /* columns that share a scale where dense values become codes */

/* One unit of one output: up to 128 columns. */
typedef struct line {
    uint16_t value[128]; /* codes, or F16 */
    uint16_t scale[8], shift[8];
} line;

static uint32_t unit_columns(const hg_cuda_linear *w)
{
    return HG_CUDA_UNIT_CODES / WARP_OUTS * 8 / w->bits;
}

static bool to_int8(const hg_cuda_source *s)
{
    return s->to_int8 && !s->w->bits;
}

static hg_cuda_shift shift_of(const hg_linear *w)
{
    return w->offsets ? HG_CUDA_OFFSETS : w->zeros ? HG_CUDA_ZEROS : HG_CUDA_SYMMETRIC;
}

hg_cuda_linear hg_cuda_pack_shape(const hg_cuda_source *s)
{
    const hg_linear *w = s->w;
    uint32_t outs = w->rows * (s->order == HG_CUDA_PAIRED ? 2 : 1);
    hg_cuda_linear p = {.outs = outs,
                        .tiles = hg_cuda_tiles(outs),
                        .bits = to_int8(s)             ? 8
                                : s->dense || !w->bits ? 16
                                                       : w->bits,
                        .order = (uint8_t)s->order};
    uint32_t columns = unit_columns(&p), group = to_int8(s) ? HEAD_GROUP : w->group;
    if (p.bits < 16 && !to_int8(s)) p.shift = (uint8_t)shift_of(w);
    p.steps = (uint8_t)((p.bits == 16 || group > columns ? columns : group) / 16);
    /* Whole units, and rows of a multiple of 128 columns, which every form has units for. */
    p.units = (w->columns + 127) / 128 * 128 / columns;
    uint32_t groups = p.bits == 16 ? 0 : columns / 16 / p.steps;
    p.unit_bytes = (uint16_t)(HG_CUDA_UNIT_CODES + groups * 32 * (p.shift ? 2 : 1));
    return p;
}

size_t hg_cuda_tile_bytes(const hg_cuda_linear *p)
{
    return (size_t)WARPS * p->units * p->unit_bytes;
}

/* The row of the file that a packed output is, and of which layer. */
static uint32_t origin(const hg_cuda_source *s, uint32_t packed, const hg_linear **w)
{
    *w = s->w;
    if (s->order == HG_CUDA_PAIRED) {
        if (packed % 2) *w = s->pair;
        return packed / 2;
    }
    if (s->order == HG_CUDA_PLAIN) return packed;
    uint32_t half = s->head_dim / 2, pair = packed / 2;
    return pair / half * s->head_dim + pair % half + packed % 2 * half;
}

static uint32_t code_at(const hg_linear *w, size_t at)
{
    return w->bits == 8 ? w->codes[at] : w->codes[at / 2] >> at % 2 * 4 & 15;
}

static float dense_at(const hg_linear *w, size_t at)
{
    if (!w->bits) {
        if (w->dense_type == HG_F32) return ((const float *)w->dense)[at];
        uint16_t bits = ((const uint16_t *)w->dense)[at];
        return w->dense_type == HG_F16 ? hg_f16_to_f32(bits) : hg_bf16_to_f32(bits);
    }
    size_t group = at / w->group;
    float scale = hg_f16_to_f32(w->scales[group]), code = (float)code_at(w, at);
    if (w->offsets) return code * scale + hg_f16_to_f32(w->offsets[group]);
    return (code - (w->zeros ? (float)w->zeros[group] : w->bits == 8 ? 128.0f : 8.0f)) * scale;
}

/* The nearest F16, ties to even; beyond its range the largest. A dense model has billions. */
static uint16_t half_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000, rest = bits & 0x7FFFFFFF;
    if (rest >= 0x477FF000) return (uint16_t)(sign | 0x7BFF);
    if (rest < 0x38800000) /* subnormal: units of 2^-24 */
        return (uint16_t)(sign | (uint32_t)nearbyintf(fabsf(value) * 0x1p24f));
    rest += 0xFFF + (rest >> 13 & 1);
    return (uint16_t)(sign | (rest - 0x38000000) >> 13);
}

/* Dense values of one group as 8-bit codes: the nearest multiple of the scale, largest 127. */
static void quantise_group(const hg_linear *w, size_t at, uint32_t first, uint32_t columns, line *l)
{
    size_t row = at - first;
    uint32_t start = first / HEAD_GROUP * HEAD_GROUP, end = start + HEAD_GROUP;
    float most = 0;
    if (end > w->columns) end = w->columns;
    for (uint32_t c = start; c < end; c++) most = fmaxf(most, fabsf(dense_at(w, row + c)));
    l->scale[0] = half_of(most / 127);
    float scale = hg_f16_to_f32(l->scale[0]);
    for (uint32_t c = 0; c < columns; c++) {
        float code = scale > 0 ? nearbyintf(dense_at(w, at + c) / scale) : 0;
        l->value[c] = (uint16_t)(128 + (int)fminf(fmaxf(code, -127), 127));
    }
}

/* Columns [first, first + those of a unit) of one output; what is not there has code and scale 0.
 */
static void read_line(const hg_cuda_source *s, const hg_cuda_linear *p, uint32_t packed,
                      uint32_t first, line *l)
{
    memset(l, 0, sizeof *l);
    if (packed >= p->outs || first >= s->w->columns) return;
    const hg_linear *w;
    size_t at = (size_t)origin(s, packed, &w) * w->columns + first;
    uint32_t columns = unit_columns(p);
    if (columns > w->columns - first) columns = w->columns - first;
    if (to_int8(s)) {
        quantise_group(w, at, first, columns, l);
        return;
    }
    for (uint32_t c = 0; c < columns; c++)
        l->value[c] = p->bits == 16 ? half_of(dense_at(w, at + c)) : (uint16_t)code_at(w, at + c);
    for (uint32_t g = 0; p->bits < 16 && g * p->steps * 16 < columns; g++) {
        size_t group = (at + g * p->steps * 16u) / w->group;
        l->scale[g] = w->scales[group];
        if (p->shift == HG_CUDA_OFFSETS) l->shift[g] = w->offsets[group];
        if (p->shift == HG_CUDA_ZEROS) l->shift[g] = half_of(w->zeros[group]);
    }
}

/* One lane's registers of one step: eight values to their places. */
static void deal_step(const line *low, const line *high, uint32_t column, uint8_t bits, uint8_t *to)
{
    for (uint32_t v = 0; v < 8; v++) { /* register v / 2, its first or second value */
        const line *l = v / 2 % 2 ? high : low;
        uint16_t value = l->value[column + v / 4 * 2 + v % 2];
        if (bits == 16)
            memcpy(to + v * 2, &value, 2);
        else if (bits == 8)
            to[v] = (uint8_t)value;
        else { /* nibble v / 2, or four on */
            uint32_t nibble = v / 2 + v % 2 * 4;
            to[nibble / 2] |= (uint8_t)(value << nibble % 2 * 4);
        }
    }
}

static void deal_unit(const hg_cuda_linear *p, const line *row, uint8_t *unit)
{
    uint32_t step_bytes = p->bits, steps = unit_columns(p) / 16; /* of one lane */
    memset(unit, 0, p->unit_bytes);
    for (uint32_t lane = 0; lane < 32; lane++)
        for (uint32_t s = 0; s < steps; s++) {
            uint32_t byte = s * step_bytes;
            deal_step(&row[lane / 4], &row[lane / 4 + 8], s * 16 + lane % 4 * 4, p->bits,
                      unit + (byte / 16 * 32 + lane) * 16 + byte % 16);
        }
    if (p->bits == 16) return;
    uint32_t groups = steps / p->steps;
    uint16_t *pair = (uint16_t *)(void *)(unit + HG_CUDA_UNIT_CODES);
    for (uint32_t i = 0; i < groups * 16; i++) {
        const line *l = &row[i % 16 / 2 + i % 2 * 8];
        pair[i] = l->scale[i / 16];
        if (p->shift) pair[groups * 16 + i] = l->shift[i / 16];
    }
}

void hg_cuda_pack_tile(const hg_cuda_source *source, const hg_cuda_linear *p, uint32_t tile,
                       uint8_t *out)
{
    line row[WARP_OUTS];
    assert(tile < p->tiles);
    for (uint32_t warp = 0; warp < WARPS; warp++)
        for (uint32_t u = 0; u < p->units; u++, out += p->unit_bytes) {
            for (uint32_t i = 0; i < WARP_OUTS; i++)
                read_line(source, p, tile * HG_CUDA_TILE + warp * WARP_OUTS + i,
                          u * unit_columns(p), &row[i]);
            deal_unit(p, row, out);
        }
}
