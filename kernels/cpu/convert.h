/* convert.h: half-width floats and quantised layers to F32, in plain C.
 *
 * For files' scales, embeddings and adapters, and for the reference; the inner loops of the vector
 * families use the processor's own conversions.
 */
#ifndef HG_KERNELS_CPU_CONVERT_H
#define HG_KERNELS_CPU_CONVERT_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernels/weights.h"

static inline float hg_f32_of_bits(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline float hg_f32_of_bf16(uint16_t h)
{
    return hg_f32_of_bits((uint32_t)h << 16);
}

/* Exponent and mantissa move to F32's places and a multiplication by 2^112 mends the bias, for
 * subnormals too; infinities and NaN get F32's exponent. */
static inline float hg_f32_of_f16(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, rest = (uint32_t)(h & 0x7FFF) << 13;
    float f = hg_f32_of_bits(rest) * 0x1p112f;
    if (rest >= 0x0F800000) f = hg_f32_of_bits(rest | 0x7F800000);
    return sign ? -f : f;
}

/* The nearest F16, of ties the even one; what is too large becomes the largest. */
static inline uint16_t hg_f16_nearest(float f)
{
    float a = f < 0 ? -f : f;
    uint16_t sign = f < 0 ? 0x8000 : 0;
    if (!(a < 65504.0f)) return sign | 0x7BFF;
    if (a < 0x1p-14f) { /* adding 2^-1 rounds to units of 2^-24 */
        uint32_t bits;
        a += 0.5f;
        memcpy(&bits, &a, sizeof bits);
        return (uint16_t)(sign | (bits - 0x3F000000));
    }
    uint32_t bits;
    memcpy(&bits, &a, sizeof bits);
    bits += 0xFFF + (bits >> 13 & 1);
    return (uint16_t)(sign | ((bits - (112u << 23)) >> 13));
}

/* Values [at, at + count) of an array of floats. */
static inline void hg_floats_read(const void *data, hg_dtype type, size_t at, size_t count,
                                  float *out)
{
    const uint8_t *bytes = data;
    assert(type != HG_QUANTISED);
    if (type == HG_F32) {
        memcpy(out, bytes + at * sizeof(float), count * sizeof(float));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint16_t h; /* files align tensors to 8 bytes at best: read without that assumption */
        memcpy(&h, bytes + (at + i) * sizeof h, sizeof h);
        out[i] = type == HG_F16 ? hg_f32_of_f16(h) : hg_f32_of_bf16(h);
    }
}

static inline uint32_t hg_linear_code(const hg_linear *w, size_t at)
{
    return w->bits == 8 ? w->codes[at] : w->codes[at / 2] >> (at % 2 * 4) & 15;
}

/* Weights [from, from + count) of row r of a layer. (code - zero) * scale is exact in F32. */
static inline void hg_linear_read(const hg_linear *w, size_t r, size_t from, size_t count,
                                  float *out)
{
    size_t at = r * w->columns + from, end = at + count;
    if (!w->bits) {
        hg_floats_read(w->dense, w->dense_type, at, count, out);
        return;
    }
    for (; at < end; at++, out++) {
        size_t g = at / w->group;
        float scale = hg_f32_of_f16(w->scales[g]), code = (float)hg_linear_code(w, at);
        float zero = w->zeros ? w->zeros[g] : w->bits == 8 ? 128.0f : 8.0f;
        *out = w->offsets ? code * scale + hg_f32_of_f16(w->offsets[g]) : (code - zero) * scale;
    }
}

/* Elements [from, from + count) of row r of a matrix in the file's type. */
static inline void hg_matrix_read(const hg_matrix *m, size_t r, size_t from, size_t count,
                                  float *out)
{
    if (m->type == HG_QUANTISED)
        hg_linear_read(m->data, r, from, count, out);
    else
        hg_floats_read(m->data, m->type, r * m->columns + from, count, out);
}

static inline size_t hg_dtype_bytes(hg_dtype type)
{
    return type == HG_F32 ? 4 : 2;
}

#endif
