/* vector.h: the fast families' arithmetic beside `linear`, written once over a vector of 16 floats.
 *
 * Included by one file per instruction set, which first defines the type v16 and
 *   v16_set1 v16_load v16_store v16_add v16_mul v16_div v16_max v16_abs
 *   v16_fma (a * b + c)   v16_round (to nearest even)   v16_scale2 (a * 2^n, n integral)
 *   v16_load_half v16_store_half (16 F16)   v16_sum v16_most (of the 16, in a fixed order)
 *   v16_store_int8 (16 integral values as int8; returns their sum)
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

static void vector_store_v(uint16_t *part, const float *v, uint32_t head_dim, uint32_t token)
{
    uint16_t *to = part + (size_t)token * head_dim;
    for (uint32_t i = 0; i < head_dim; i += 16) v16_store_half(to + i, v16_load(v + i));
}

static void vector_store_k(uint16_t *part, const float *k, uint32_t head_dim, uint32_t token)
{
    for (uint32_t i = 0; i < head_dim; i += 16) {
        uint16_t half[16];
        v16_store_half(half, v16_load(k + i));
        for (uint32_t j = 0; j < 16; j++) part[(i + j) * HG_LIMIT_PAGE_TOKENS + token] = half[j];
    }
}

INLINE const uint16_t *attention_part(const hg_attention *job, uint32_t page)
{
    return (const uint16_t *)(const void *)(job->pages + job->page[page] * job->page_bytes);
}

/* q k / sqrt(head_dim) of `heads` heads with the 16 tokens of one page. */
INLINE void score_page(const hg_attention *job, const float *q, const uint16_t *k, float *score,
                       uint32_t room, const uint32_t heads)
{
    v16 sum[HG_HEAD_TILE];
    for (uint32_t h = 0; h < heads; h++) sum[h] = v16_set1(0);
    for (uint32_t i = 0; i < job->head_dim; i++) {
        v16 keys = v16_load_half(k + i * HG_LIMIT_PAGE_TOKENS);
        for (uint32_t h = 0; h < heads; h++)
            sum[h] = v16_fma(v16_set1(q[h * job->head_dim + i]), keys, sum[h]);
    }
    v16 scale = v16_set1(1.0f / sqrtf((float)job->head_dim));
    for (uint32_t h = 0; h < heads; h++) v16_store(score + h * room, v16_mul(sum[h], scale));
}

/* score[positions] to e^(score - max), as good as zero up to a multiple of 16; returns 1 / sum. */
static float soften(float *score, uint32_t positions)
{
    float most = vector_max(score, positions);
    v16 sum = v16_set1(0), shift = v16_set1(-most);
    for (uint32_t i = positions; i % 16; i++) score[i] = -INFINITY;
    for (uint32_t i = 0; i < positions; i += 16) {
        v16 e = v16_exp(v16_add(v16_load(score + i), shift));
        v16_store(score + i, e);
        sum = v16_add(sum, e);
    }
    return 1.0f / v16_sum(sum);
}

/* out[heads, V16_TILE * 16 elements from `element`] = score V */
INLINE void mix_values(const hg_attention *job, float *out, uint32_t element, const float *score,
                       uint32_t room, const float *inverse, const uint32_t heads,
                       const uint32_t tile)
{
    v16 sum[HG_HEAD_TILE][V16_TILE];
    for (uint32_t h = 0; h < heads; h++)
        for (uint32_t j = 0; j < tile; j++) sum[h][j] = v16_set1(0);
    for (uint32_t t = 0; t < job->positions; t++) {
        const uint16_t *v = attention_part(job, t / HG_LIMIT_PAGE_TOKENS) + element;
        v += (size_t)(HG_LIMIT_PAGE_TOKENS + t % HG_LIMIT_PAGE_TOKENS) * job->head_dim;
        for (uint32_t j = 0; j < tile; j++) {
            v16 values = v16_load_half(v + 16 * j);
            for (uint32_t h = 0; h < heads; h++)
                sum[h][j] = v16_fma(v16_set1(score[h * room + t]), values, sum[h][j]);
        }
    }
    for (uint32_t h = 0; h < heads; h++)
        for (uint32_t j = 0; j < tile; j++)
            v16_store(out + h * job->head_dim + element + 16 * j,
                      v16_mul(sum[h][j], v16_set1(inverse[h])));
}

INLINE void attend_heads(const hg_attention *job, uint32_t head, const uint32_t heads)
{
    const float *q = job->q + (size_t)head * job->head_dim;
    float *out = job->out + (size_t)head * job->head_dim, inverse[HG_HEAD_TILE];
    uint32_t pages = (job->positions + 15) / 16, room = pages * 16, i = 0;
    for (uint32_t p = 0; p < pages; p++)
        score_page(job, q, attention_part(job, p), job->score + p * 16, room, heads);
    for (uint32_t h = 0; h < heads; h++)
        inverse[h] = soften(job->score + (size_t)h * room, job->positions);
    for (; i + 16 * V16_TILE <= job->head_dim; i += 16 * V16_TILE)
        mix_values(job, out, i, job->score, room, inverse, heads, V16_TILE);
    for (; i < job->head_dim; i += 16) mix_values(job, out, i, job->score, room, inverse, heads, 1);
}

static void vector_attention(const hg_attention *job)
{
    for (uint32_t head = 0; head < job->heads; head += HG_HEAD_TILE) {
        switch (job->heads - head) { /* so that the compiler knows the number */
        case 1: attend_heads(job, head, 1); break;
        case 2: attend_heads(job, head, 2); break;
        case 3: attend_heads(job, head, 3); break;
        default: attend_heads(job, head, HG_HEAD_TILE); break;
        }
    }
}

#endif
