/* vector_attention.h: attention of one row's query heads that share a KV head, over pages.
 *
 * Included after vector.h, by the same files. Scores of a page's 16 tokens are one vector, summed
 * over the head's elements; the softmax and the sum over V go through the positions in their order.
 */
#ifndef HG_KERNELS_CPU_VECTOR_ATTENTION_H
#define HG_KERNELS_CPU_VECTOR_ATTENTION_H

#include "kernels/cpu/vector.h"

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

/* Softened scores of a tile of heads. */
typedef struct weighting {
    const float *score; /* [heads, room] */
    uint32_t room;
    float inverse[HG_HEAD_TILE]; /* 1 / sum of each head's */
} weighting;

/* out[heads, width * 16 elements from `element` on] = weights V */
INLINE void mix_values(const hg_attention *job, const weighting *w, float *out, uint32_t element,
                       const uint32_t heads, const uint32_t width)
{
    v16 sum[HG_HEAD_TILE][V16_TILE];
    for (uint32_t h = 0; h < heads; h++)
        for (uint32_t j = 0; j < width; j++) sum[h][j] = v16_set1(0);
    for (uint32_t t = 0; t < job->positions; t++) {
        const uint16_t *v = attention_part(job, t / HG_LIMIT_PAGE_TOKENS) + element;
        v += (size_t)(HG_LIMIT_PAGE_TOKENS + t % HG_LIMIT_PAGE_TOKENS) * job->head_dim;
        for (uint32_t j = 0; j < width; j++) {
            v16 values = v16_load_half(v + 16 * j);
            for (uint32_t h = 0; h < heads; h++)
                sum[h][j] = v16_fma(v16_set1(w->score[h * w->room + t]), values, sum[h][j]);
        }
    }
    for (uint32_t h = 0; h < heads; h++)
        for (uint32_t j = 0; j < width; j++)
            v16_store(out + h * job->head_dim + element + 16 * j,
                      v16_mul(sum[h][j], v16_set1(w->inverse[h])));
}

INLINE void attend_heads(const hg_attention *job, uint32_t head, const uint32_t heads)
{
    const float *q = job->q + (size_t)head * job->head_dim;
    float *out = job->out + (size_t)head * job->head_dim;
    uint32_t pages = (job->positions + 15) / 16, i = 0;
    weighting w = {.score = job->score, .room = pages * 16};
    for (uint32_t p = 0; p < pages; p++)
        score_page(job, q, attention_part(job, p), job->score + p * 16, w.room, heads);
    for (uint32_t h = 0; h < heads; h++)
        w.inverse[h] = soften(job->score + (size_t)h * w.room, job->positions);
    for (; i + 16 * V16_TILE <= job->head_dim; i += 16 * V16_TILE)
        mix_values(job, &w, out, i, heads, V16_TILE);
    for (; i < job->head_dim; i += 16) mix_values(job, &w, out, i, heads, 1);
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
