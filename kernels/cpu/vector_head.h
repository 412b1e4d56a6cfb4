/* vector_head.h: what the head needs beside its product: which logits are high, and logits in F32.
 *
 * Included after vector.h, by the same files.
 */
#ifndef HG_KERNELS_CPU_VECTOR_HEAD_H
#define HG_KERNELS_CPU_VECTOR_HEAD_H

#include "kernels/cpu/vector.h"

static uint64_t vector_above(const float *x, uint32_t n, float bound)
{
    assert(n <= 64);
    uint64_t above = 0;
    uint32_t i = 0;
    for (v16 b = v16_set1(bound); i + 16 <= n; i += 16)
        above |= (uint64_t)v16_above(v16_load(x + i), b) << i;
    for (; i < n; i++) above |= (uint64_t)(x[i] > bound) << i;
    return above;
}

INLINE v16 load_of(const void *y, uint32_t at, const bool half)
{
    return half ? v16_load_half((const uint16_t *)y + at) : v16_load((const float *)y + at);
}

/* Two sums, so that one addition need not wait for the other. y: F16 or F32. */
INLINE float dot_of(const float *x, const void *y, uint32_t n, const bool half)
{
    v16 even = v16_set1(0), odd = even;
    for (uint32_t i = 0; i + 16 < n; i += 32) {
        even = v16_fma(v16_load(x + i), load_of(y, i, half), even);
        odd = v16_fma(v16_load(x + i + 16), load_of(y, i + 16, half), odd);
    }
    if (n % 32) even = v16_fma(v16_load(x + n - 16), load_of(y, n - 16, half), even);
    return v16_sum(v16_add(even, odd));
}

static float vector_dot(const float *x, const float *y, uint32_t n)
{
    return dot_of(x, y, n, false);
}

static float vector_dot_half(const float *x, const void *y, uint32_t n)
{
    return dot_of(x, y, n, true);
}

#endif
