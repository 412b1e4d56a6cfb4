/* values.h: what bits mean, for kernels and for the emulator's cuBLASLt. */
#ifndef HG_TESTS_EMULATOR_VALUES_H
#define HG_TESTS_EMULATOR_VALUES_H

#include <stdint.h>
#include <string.h>

static inline float __uint_as_float(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

/* Exponent and mantissa go to F32's places; the multiplication mends the bias (subnormals too). */
static inline float f32_of_f16(uint16_t half)
{
    uint32_t rest = (uint32_t)(half & 0x7FFF) << 13;
    float f = rest >= 0x0F800000 ? __uint_as_float(rest | 0x7F800000)
                                 : __uint_as_float(rest) * 5192296858534827628530496329220096.0f;
    return half & 0x8000 ? -f : f;
}

#endif
