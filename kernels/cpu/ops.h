/* ops.h: what an instruction set brings to the fast families: a table of functions over packed
 * matrices, quantised rows and KV pages. Each is pure arithmetic on what it is given; what a row
 * gives depends on that row alone.
 */
#ifndef HG_KERNELS_CPU_OPS_H
#define HG_KERNELS_CPU_OPS_H

#include "kernels/cpu/packed.h"

/* The query heads of one row that share a KV head, over positions 0 .. positions - 1. In a page
 * stand, for each layer and KV head, K as [head_dim, 16 tokens] and V as [16 tokens, head_dim] F16:
 * the scores of a page's tokens are then one register, and so are 16 elements of the output. */
typedef struct hg_attention {
    const float *q; /* [heads, head_dim] */
    float *out;     /* [heads, head_dim] */
    uint32_t heads, head_dim, positions;
    const uint8_t *pages; /* page 0, at this layer and KV head */
    size_t page_bytes;
    const uint32_t *page; /* the lane's table */
    float *score;         /* [HG_HEAD_TILE, positions rounded up to 16] scratch */
} hg_attention;

#define HG_HEAD_TILE 4 /* query heads that attention takes at once */

typedef struct hg_int8_ops {
    void (*linear)(const hg_product *product);
    /* y = x / rms(x) * weight, [n] */
    void (*norm)(float *y, const float *x, const float *weight, uint32_t n, float epsilon);
    /* One row of n columns, each group with its own scale; factor is applied to x first. */
    void (*quantise)(const float *x, uint32_t n, uint32_t group, float factor, int8_t *q,
                     hg_group *out);
    void (*swiglu)(float *gate, const float *up, uint32_t n); /* gate = silu(gate) * up */
    /* Of up to 64 values a bit for each that is above the bound. */
    uint64_t (*above)(const float *x, uint32_t n, float bound);
    /* Sums of n products, n a multiple of 16; y as F32, or as F16 at any address. */
    float (*dot)(const float *x, const float *y, uint32_t n);
    float (*dot_half)(const float *x, const void *y, uint32_t n);
    /* k and v [head_dim] into place token of a page's part. */
    void (*store_k)(uint16_t *part, const float *k, uint32_t head_dim, uint32_t token);
    void (*store_v)(uint16_t *part, const float *v, uint32_t head_dim, uint32_t token);
    void (*attention)(const hg_attention *job);
} hg_int8_ops;

extern const hg_int8_ops hg_ops_avx2, hg_ops_avxvnni, hg_ops_avx512vnni, hg_ops_amx; /* x86-64 */
extern const hg_int8_ops hg_ops_neondot, hg_ops_neoni8mm;                            /* aarch64 */

#endif
