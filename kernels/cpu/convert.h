/* convert.h: half-width floats to F32, in plain C.
 *
 * For files' scales, embeddings and adapters; the inner loops of the vector families use the
 * processor's own conversions.
 */
#ifndef HG_KERNELS_CPU_CONVERT_H
#define HG_KERNELS_CPU_CONVERT_H

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

/* Elements [from, from + count) of row r of a matrix in the file's type. */
static inline void hg_matrix_read(const hg_matrix *m, size_t r, size_t from, size_t count,
                                  float *out)
{
    size_t at = r * m->columns + from;
    const uint8_t *data = m->data;
    if (m->type == HG_F32) {
        memcpy(out, data + at * sizeof(float), count * sizeof(float));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint16_t h; /* files align tensors to 8 bytes at best: read without that assumption */
        memcpy(&h, data + (at + i) * sizeof h, sizeof h);
        out[i] = m->type == HG_F16 ? hg_f32_of_f16(h) : hg_f32_of_bf16(h);
    }
}

static inline size_t hg_dtype_bytes(hg_dtype type)
{
    return type == HG_F32 ? 4 : 2;
}

#endif
