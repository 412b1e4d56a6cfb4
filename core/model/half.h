/* half.h: the 16-bit float types of weight files, converted one value at a time.
 *
 * F16 is IEEE binary16; BF16 is the upper half of binary32. Loaders convert norms and scales with
 * these; kernels have their own vector forms.
 */
#ifndef HG_MODEL_HALF_H
#define HG_MODEL_HALF_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline float hg_bf16_to_f32(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline float hg_f16_to_f32(uint16_t half)
{
    int exponent = half >> 10 & 31;
    float fraction = (float)(half & 1023);
    float value = exponent == 31 ? (fraction != 0 ? NAN : INFINITY)
                  : exponent     ? ldexpf(1024 + fraction, exponent - 25)
                                 : ldexpf(fraction, -24);
    return half & 0x8000 ? -value : value;
}

/* True, with *out set, when an F16 holds value exactly. */
static inline bool hg_f16_from_f32(float value, uint16_t *out)
{
    int exponent;
    if (!isfinite(value)) return false;
    frexpf(value, &exponent); /* |value| is in [2^(exponent-1), 2^exponent) */
    /* The last bit of the F16 is worth 2^unit; subnormals stop at 2^-24. */
    int unit = exponent - 11 < -24 ? -24 : exponent - 11;
    float count = ldexpf(fabsf(value), -unit);
    if (exponent > 16 || count != floorf(count)) return false;
    uint32_t bits = (uint32_t)count; /* below 2048; from 1024 on it is normal */
    if (bits >= 1024) bits += ((uint32_t)(unit + 25) << 10) - 1024;
    *out = (uint16_t)(bits | (signbit(value) ? 0x8000u : 0));
    return true;
}

/* The F16 nearest to value, ties to even, into *out; false when value is not finite or rounds to
 * infinity. */
static inline bool hg_f16_round(float value, uint16_t *out)
{
    int exponent;
    if (!isfinite(value)) return false;
    frexpf(value, &exponent);
    int unit = exponent - 11 < -24 ? -24 : exponent - 11;
    return hg_f16_from_f32(ldexpf(rintf(ldexpf(value, -unit)), unit), out);
}

#endif
