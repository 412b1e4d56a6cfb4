/* packed.c: matrices into the packed form of packed.h. Runs at load and between steps; plain C.
 *
 * Quantised layers keep their codes and scales: packing is exact but for zero points, which become
 * offsets. What comes as floats (adapters, a head that is not quantised, dense layers that the
 * operator wants rounded) is quantised symmetrically in the packed groups.
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
    assert(w->share && columns % (w->group * w->share) == 0);
    w->blocks = (w->rows + HG_BLOCK - 1) / HG_BLOCK;
    w->groups = columns / w->group;
    w->offsets = NULL;
    size_t cells = (size_t)w->blocks * HG_BLOCK * (w->groups / w->share);
    w->codes = hg_arena_take(arena, cells * w->share * w->group * w->bits / 8);
    w->scales = hg_arena_take(arena, cells * sizeof *w->scales);
    if (offsets) w->offsets = hg_arena_take(arena, cells * sizeof *w->offsets);
}

/* Where the first four columns of a row stand; the same of later columns follow at distances of 64
 * bytes, through all groups. */
static uint8_t *row_codes(const hg_packed *w, uint32_t row)
{
    size_t block_bytes = (size_t)HG_BLOCK * w->groups * w->group * w->bits / 8;
    return w->codes + row / HG_BLOCK * block_bytes + row % HG_BLOCK * 4;
}

/* Of a row the entry of its scale (or offset) g. */
static uint16_t *group_entry(const hg_packed *w, uint16_t *array, uint32_t row, uint32_t g)
{
    size_t cell = (size_t)(row / HG_BLOCK) * (w->groups / w->share) + g;
    return array + cell * HG_BLOCK + row % HG_BLOCK;
}

/* Four nibbles, the lowest first, to the low halves of four bytes. */
static uint32_t spread(uint32_t nibbles)
{
    nibbles = (nibbles | nibbles << 8) & 0x00FF00FF;
    return (nibbles | nibbles << 4) & 0x0F0F0F0F;
}

/* The codes of one row in device form: eight columns, or four of 8 bits, are a word here and a word
 * there. */
static void put_codes(const hg_packed *w, uint32_t row, const uint8_t *codes)
{
    uint8_t *to = row_codes(w, row);
    size_t words = (size_t)w->groups * w->group * w->bits / 32;
    for (size_t i = 0; i < words; i++) {
        uint32_t word;
        memcpy(&word, codes + i * 4, sizeof word);
        if (w->bits == 4) word = spread(word & 0xFFFF) | spread(word >> 16) << 4;
        memcpy(to + i * 64, &word, sizeof word);
    }
}

/* Zero points become offsets, -zero * scale, rounded to F16: an error of at most 2^-12 of what is
 * added to each weight of a group, below a hundredth of a step of 4 bits and an eighth of one of 8,
 * which activations of 8 bits do not notice. */
static void put_scales(const hg_packed *w, const hg_linear *from, uint32_t row)
{
    uint32_t repeat = from->group / (w->group * w->share);
    size_t at = (size_t)row * (from->columns / from->group);
    for (uint32_t g = 0; g < w->groups / w->share; g++) {
        size_t source = at + g / repeat;
        uint16_t scale = from->scales[source];
        *group_entry(w, w->scales, row, g) = scale;
        if (from->offsets) *group_entry(w, w->offsets, row, g) = from->offsets[source];
        if (from->zeros)
            *group_entry(w, w->offsets, row, g) =
                hg_f16_nearest(-(float)from->zeros[source] * hg_f32_of_f16(scale));
    }
}

void hg_packed_put_linear(const hg_packed *w, const hg_linear *from, uint32_t block)
{
    assert(w->bits == from->bits && from->group % (w->group * w->share) == 0);
    assert(!w->offsets == !(from->offsets || from->zeros));
    uint32_t end = (block + 1) * HG_BLOCK < from->rows ? (block + 1) * HG_BLOCK : from->rows;
    for (uint32_t row = block * HG_BLOCK; row < end; row++) {
        put_codes(w, row, from->codes + (size_t)row * from->columns * from->bits / 8);
        put_scales(w, from, row);
    }
}

/* ---- floats to codes ---- */

/* The smallest F16 not below a value in [0, 65504]. */
static uint16_t f16_above(float f)
{
    assert(f >= 0 && f <= 65504.0f);
    if (f < 0x1p-14f) { /* subnormal; 0x400, the first normal, included */
        uint32_t count = (uint32_t)(f * 0x1p24f);
        return (uint16_t)(count + ((float)count < f * 0x1p24f));
    }
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)((bits - (112u << 23) + 0x1FFF) >> 13);
}

/* rintf of a small value, without a call: adding 1.5 * 2^23 leaves no bits behind the point. */
static inline float round_near(float x)
{
    return (x + 12582912.0f) - 12582912.0f;
}

/* To 8 bits, by the largest: the scale is an F16 no smaller than max|x| / 127, so nothing is cut.
 */
static void quantise8(const float *x, uint32_t n, uint8_t *code, uint16_t *scale)
{
    float most = 0;
    for (uint32_t i = 0; i < n; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    if (most > 65504.0f * 127) most = 65504.0f * 127; /* no trained adapter comes near */
    *scale = f16_above(most / 127);
    float s = hg_f32_of_f16(*scale), inverse = s > 0 ? 1 / s : 0;
    for (uint32_t i = 0; i < n; i++) {
        float q = x[i] * inverse;
        q = q > 127 ? 127 : q >= -127 ? q : -127; /* NaN too */
        code[i] = (uint8_t)(128 + (int)round_near(q));
    }
}

/* Nearest code - 8 of x / scale. */
static inline float round4(float x, float inverse)
{
    float q = x * inverse;
    return round_near(q > 7 ? 7 : q >= -8 ? q : -8);
}

/* To 4 bits, by least squares. Each candidate for the scale, between max|x| / 8.5 and max|x| / 5.5
 * with either sign (-8 has no opposite), gives codes q; the best scale for those is xq / qq, which
 * leaves an error of xx - (xq)^2 / qq. The best of all is rounded to F16 and x to its codes. */
static void quantise4(const float *x, uint32_t n, uint8_t *code, uint16_t *scale)
{
    float most = 0, best = 0, gain = 0;
    for (uint32_t i = 0; i < n; i++) most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    for (int k = 0; most >= 0x1p-60f && k < 14; k++) {
        float steps = 5.5f + 0.5f * (float)(k >> 1), xq = 0, qq = 0;
        float inverse = (k & 1 ? -steps : steps) / most;
        for (uint32_t i = 0; i < n; i++) {
            float q = round4(x[i], inverse);
            xq += x[i] * q;
            qq += q * q;
        }
        if (qq <= 0 || xq * xq <= gain * qq) continue;
        gain = xq * xq / qq;
        best = xq / qq;
    }
    *scale = hg_f16_nearest(best);
    float s = hg_f32_of_f16(*scale), inverse = s < 0 || s > 0 ? 1 / s : 0;
    for (uint32_t i = 0; i < n; i++) code[i] = (uint8_t)(8 + (int)round4(x[i], inverse));
}

/* One row of codes of 4 bits, a byte each, two by two. */
static void join_nibbles(uint8_t *code, uint32_t columns)
{
    for (uint32_t c = 0; c < columns / 2; c++)
        code[c] = (uint8_t)(code[2 * c] | code[2 * c + 1] << 4);
}

/* Row r of a matrix of floats times factor: its scales into w, its codes of `bits` bits, a byte
 * each, to the begin of row, [columns of w]. */
static void quantise_row(const hg_packed *w, const hg_matrix *from, float factor, uint32_t bits,
                         uint32_t r, float *row)
{
    uint32_t columns = w->groups * w->group;
    hg_matrix_read(from, r, 0, from->columns, row);
    memset(row + from->columns, 0, (columns - from->columns) * sizeof *row);
    for (uint32_t c = 0; c < from->columns; c++) row[c] *= factor;
    uint8_t *code = (uint8_t *)row; /* a group's codes end before the next group's floats */
    for (uint32_t g = 0; g < w->groups; g++, code += w->group) {
        float x[32];
        memcpy(x, row + g * w->group, w->group * sizeof *x);
        (bits == 8 ? quantise8 : quantise4)(x, w->group, code, group_entry(w, w->scales, r, g));
    }
}

void hg_packed_put_matrix(const hg_packed *w, const hg_matrix *from, float factor, uint32_t block,
                          float *row)
{
    assert(!w->offsets && w->share == 1 && from->type != HG_QUANTISED);
    uint32_t end = (block + 1) * HG_BLOCK < from->rows ? (block + 1) * HG_BLOCK : from->rows;
    for (uint32_t r = block * HG_BLOCK; r < end; r++) {
        quantise_row(w, from, factor, w->bits, r, row);
        if (w->bits == 4) join_nibbles((uint8_t *)row, w->groups * w->group);
        put_codes(w, r, (uint8_t *)row);
    }
}

/* ---- planes ---- */

void hg_planes_layout(hg_packed *high, hg_packed *low, uint32_t columns, hg_arena *arena)
{
    assert(high->bits == 4);
    hg_packed_layout(high, columns, false, arena);
    *low = *high;
    low->codes =
        hg_arena_take(arena, (size_t)low->blocks * HG_BLOCK * low->groups * low->group / 2);
}

void hg_planes_put(const hg_packed *high, const hg_packed *low, const hg_matrix *from,
                   uint32_t block, float *row)
{
    uint32_t columns = high->groups * high->group;
    const hg_linear *linear = from->type == HG_QUANTISED ? from->data : NULL;
    assert(!linear || (linear->bits == 8 && !linear->offsets && !linear->zeros));
    uint8_t *code = (uint8_t *)row, *nibbles = code + columns; /* a float has room for four */
    uint32_t end = (block + 1) * HG_BLOCK < from->rows ? (block + 1) * HG_BLOCK : from->rows;
    for (uint32_t r = block * HG_BLOCK; r < end; r++) {
        if (linear) {
            put_scales(high, linear, r);
            memcpy(code, linear->codes + (size_t)r * columns, columns);
        } else {
            quantise_row(high, from, 1, 8, r, row);
        }
        for (uint32_t c = 0; c < columns; c++) nibbles[c] = code[c] >> 4;
        join_nibbles(nibbles, columns);
        put_codes(high, r, nibbles);
        for (uint32_t c = 0; c < columns; c++) nibbles[c] = code[c] & 15;
        join_nibbles(nibbles, columns);
        put_codes(low, r, nibbles);
    }
}

void hg_planes_split(hg_tiles *x, hg_tiles *rest, uint32_t rows)
{
    rest->q = x->q;
    rest->columns = x->columns;
    rest->groups = x->groups;
    for (uint32_t r = 0; r < rows; r++) {
        hg_tile_group *high = hg_tiles_group(x, r), *low = hg_tiles_group(rest, r);
        uint32_t at = r % HG_TILE;
        for (uint32_t g = 0; g < x->groups; g++) {
            /* -8 + 7.5 / 16 times the sum of q, to a whole number: the low plane gets the rest. */
            int32_t all = high[g].minus8[at], most = all * 241 / 256;
            low[g].scale[at] = high[g].scale[at];
            low[g].minus8[at] = 16 * (all - most);
            high[g].scale[at] *= 16;
            high[g].minus8[at] = most;
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
