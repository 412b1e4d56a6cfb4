/* vector.h: the fast families' arithmetic beside `linear`, written once over a vector of 16 floats.
 *
 * Included by one file per instruction set, which first defines the type v16 and
 *   v16_set1 v16_load v16_store v16_add v16_mul v16_div v16_max v16_abs
 *   v16_fma (a * b + c)   v16_round (to nearest even)   v16_scale2 (a * 2^n, n integral)
 *   v16_load_half v16_store_half (16 F16)   v16_sum v16_most (of the 16, in a fixed order)
 *   v16_store_int8 (16 integral values as int8; returns their sum)
 *   v16_above (a bit for each a > b)
 *   V16_TILE (vectors of V that attention keeps in registers for each head)
 * and afterwards fills its hg_int8_ops with these functions.
 */
#ifndef HG_KERNELS_CPU_VECTOR_H
#define HG_KERNELS_CPU_VECTOR_H

#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/cpu/int8.h"

#define INLINE static inline __attribute__((always_inline))

/* Before loops over registers: their number is a constant, and they must not stay loops. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* Blocks of a product, for rows of one tile from row on. */
typedef struct tile {
    const hg_product *product;
    uint32_t block, blocks, row;
    size_t cell; /* (scale, output row) of w that a part of them begins with: avx2 */
} tile;

/* e^x: x = n ln 2 + r with |r| <= ln 2 / 2, Taylor's series for e^r (its rest is below 2e-8), and a
 * scaling by 2^n. Below -87 the result would be subnormal: it is that of -87, which no sum notices.
 */
INLINE v16 v16_exp(v16 x)
{
    x = v16_max(x, v16_set1(-87.0f));
    v16 n = v16_round(v16_mul(x, v16_set1(1.44269504f)));
    v16 r = v16_fma(n, v16_set1(-0.693359375f), x); /* ln 2 in two parts, the first exact */
    r = v16_fma(n, v16_set1(2.12194440e-4f), r);
    v16 y = v16_set1(1.0f / 5040);
    y = v16_fma(y, r, v16_set1(1.0f / 720));
    y = v16_fma(y, r, v16_set1(1.0f / 120));
    y = v16_fma(y, r, v16_set1(1.0f / 24));
    y = v16_fma(y, r, v16_set1(1.0f / 6));
    y = v16_fma(y, r, v16_set1(0.5f));
    y = v16_fma(y, r, v16_set1(1.0f));
    y = v16_fma(y, r, v16_set1(1.0f));
    return v16_scale2(y, n);
}

static void vector_norm(float *y, const float *x, const float *weight, uint32_t n, float epsilon)
{
    v16 squares = v16_set1(0);
    for (uint32_t i = 0; i < n; i += 16)
        squares = v16_fma(v16_load(x + i), v16_load(x + i), squares);
    v16 scale = v16_set1(1.0f / sqrtf(v16_sum(squares) / (float)n + epsilon));
    for (uint32_t i = 0; i < n; i += 16)
        v16_store(y + i, v16_mul(v16_mul(v16_load(x + i), scale), v16_load(weight + i)));
}

static void vector_quantise(const float *x, uint32_t n, uint32_t group, float factor, int8_t *q,
                            hg_group *out)
{
    assert(n % group == 0 && group % 16 == 0);
    for (uint32_t g = 0; g < n; g += group, out++) {
        v16 most = v16_set1(0);
        for (uint32_t i = 0; i < group; i += 16) most = v16_max(v16_abs(v16_load(x + g + i)), most);
        float largest = v16_most(most);
        /* Of values this small (2^-100) nothing would be left to see: they are zero, and the
         * division stays finite. */
        v16 inverse = v16_set1(largest > 0x1p-100f ? 127.0f / largest : 0.0f);
        int32_t sum = 0;
        for (uint32_t i = 0; i < group; i += 16)
            sum += v16_store_int8(q + g + i, v16_round(v16_mul(v16_load(x + g + i), inverse)));
        *out = (hg_group){largest * factor / 127.0f, -8 * sum};
    }
}

static void vector_swiglu(float *gate, const float *up, uint32_t n)
{
    v16 one = v16_set1(1.0f);
    for (uint32_t i = 0; i < n; i += 16) {
        v16 g = v16_load(gate + i);
        /* Below -87 silu is as good as zero, and e^87 does not overflow. */
        v16 e = v16_exp(v16_mul(v16_max(g, v16_set1(-87.0f)), v16_set1(-1.0f)));
        v16_store(gate + i, v16_mul(v16_div(g, v16_add(one, e)), v16_load(up + i)));
    }
}

static float vector_max(const float *x, uint32_t n)
{
    float most = x[0];
    uint32_t i = 0;
    if (n >= 16) {
        v16 m = v16_load(x);
        for (i = 16; i + 16 <= n; i += 16) m = v16_max(v16_load(x + i), m);
        most = v16_most(m);
    }
    for (; i < n; i++) most = x[i] > most ? x[i] : most;
    return most;
}

#endif
