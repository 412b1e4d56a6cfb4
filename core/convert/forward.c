/* forward.c: see forward.h. Norms, rotation and attention are shared out by token or by head; the
 * products are hg_multiply's. */
#include "core/convert/forward.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cpu/convert.h"

#define LOSS_ROWS 256 /* rows whose logits are in memory at once: 131 MB of Llama-3's */

static uint32_t widest(const hg_shape *s)
{
    uint32_t attention = s->heads * s->head_dim;
    return attention > s->intermediate ? attention : s->intermediate;
}

size_t hg_forward_scratch(const hg_shape *shape, uint32_t span)
{
    size_t scores = span > shape->hidden ? span : shape->hidden;
    return scores > HG_MULTIPLY_SCRATCH ? scores : HG_MULTIPLY_SCRATCH;
}

hg_status hg_forward_open(const hg_weights *weights, hg_pool *pool, hg_sequences text,
                          hg_forward *out, hg_error *error)
{
    const hg_shape *s = &weights->shape;
    const uint32_t rows = text.rows, span = text.span;
    assert(rows > 0 && span > 0 && pool->scratch_floats >= hg_forward_scratch(s, span));
    *out = (hg_forward){
        .weights = weights, .pool = pool, .token = text.token, .rows = rows, .span = span};
    const size_t narrow = (size_t)rows * s->hidden, wide = (size_t)rows * widest(s);
    out->room = malloc((2 * narrow + 3 * wide) * sizeof *out->room);
    if (!out->room)
        return hg_fail(error, HG_ERROR_MEMORY, "no memory for the activations of %u tokens", rows);
    out->hidden = out->room;
    out->normed = out->hidden + narrow;
    for (int i = 0; i < 3; i++) out->wide[i] = out->normed + narrow + (size_t)i * wide;
    for (uint32_t r = 0; r < rows; r++) {
        assert((uint32_t)text.token[r] < s->vocabulary);
        hg_matrix_read(&weights->embedding, (size_t)text.token[r], 0, s->hidden,
                       out->hidden + (size_t)r * s->hidden);
    }
    return HG_OK;
}

void hg_forward_close(hg_forward *forward)
{
    free(forward->room);
    *forward = (hg_forward){0};
}

/* ---- norms ---- */

typedef struct norming {
    const hg_forward *f;
    const float *weight; /* [hidden] */
    const float *x;
    float *y;
} norming;

static void norm_rows(void *context, uint32_t first, uint32_t count, float *scratch)
{
    const norming *n = context;
    const hg_shape *s = &n->f->weights->shape;
    (void)scratch;
    for (uint32_t r = first; r < first + count; r++) {
        const float *x = n->x + (size_t)r * s->hidden;
        float *y = n->y + (size_t)r * s->hidden;
        double sum = 0;
        for (uint32_t i = 0; i < s->hidden; i++) sum += (double)x[i] * (double)x[i];
        float scale = 1 / sqrtf((float)(sum / s->hidden) + s->rms_epsilon);
        for (uint32_t i = 0; i < s->hidden; i++) y[i] = x[i] * scale * n->weight[i];
    }
}

static void norm(hg_forward *f, const float *weight)
{
    norming n = {.f = f, .weight = weight, .x = f->hidden, .y = f->normed};
    hg_pool_each(f->pool, f->rows, norm_rows, &n);
}

/* ---- attention ---- */

/* Turns the pairs (i, i + head_dim / 2) of each head by the position's angles. */
static void rotate(const hg_forward *f, uint32_t position, uint32_t heads, float *x)
{
    const uint32_t half = f->weights->shape.head_dim / 2;
    for (uint32_t i = 0; i < half; i++) {
        float angle = (float)position * f->weights->rope_frequency[i];
        float c = cosf(angle), s = sinf(angle);
        for (uint32_t h = 0; h < heads; h++) {
            float *pair = x + (size_t)h * 2 * half + i, a = pair[0], b = pair[half];
            pair[0] = a * c - b * s;
            pair[half] = b * c + a * s;
        }
    }
}

static void rotate_rows(void *context, uint32_t first, uint32_t count, float *scratch)
{
    const hg_forward *f = context;
    const hg_shape *s = &f->weights->shape;
    (void)scratch;
    for (uint32_t r = first; r < first + count; r++) {
        rotate(f, r % f->span, s->heads, f->wide[0] + (size_t)r * s->heads * s->head_dim);
        rotate(f, r % f->span, s->kv_heads, f->wide[1] + (size_t)r * s->kv_heads * s->head_dim);
    }
}

static float dot(const float *a, const float *b, uint32_t n)
{
    float sum[8] = {0};
    uint32_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (uint32_t j = 0; j < 8; j++) sum[j] += a[i + j] * b[i + j];
    for (; i < n; i++) sum[0] += a[i] * b[i];
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

/* Softmax of score [n] in place. */
static void softmax(float *score, uint32_t n)
{
    float most = score[0], sum = 0;
    for (uint32_t i = 1; i < n; i++) most = score[i] > most ? score[i] : most;
    for (uint32_t i = 0; i < n; i++) sum += score[i] = expf(score[i] - most);
    for (uint32_t i = 0; i < n; i++) score[i] /= sum;
}

/* One head of one row: over the rows of its sequence up to itself. The result takes the place of
 * the query, which nobody else needs. */
static void attend(const hg_forward *f, uint32_t row, uint32_t head, float *score)
{
    const hg_shape *s = &f->weights->shape;
    const uint32_t begin = row - row % f->span, n = row % f->span + 1, d = s->head_dim;
    const size_t stride = (size_t)s->kv_heads * d;
    const size_t at = begin * stride + (size_t)(head / (s->heads / s->kv_heads)) * d;
    const float *k = f->wide[1] + at, *v = f->wide[2] + at;
    float *q = f->wide[0] + ((size_t)row * s->heads + head) * d;
    const float scale = 1 / sqrtf((float)d);
    for (uint32_t t = 0; t < n; t++) score[t] = dot(q, k + t * stride, d) * scale;
    softmax(score, n);
    memset(q, 0, d * sizeof *q);
    for (uint32_t t = 0; t < n; t++)
        for (uint32_t i = 0; i < d; i++) q[i] += score[t] * v[t * stride + i];
}

static void attend_rows(void *context, uint32_t first, uint32_t count, float *scratch)
{
    const hg_forward *f = context;
    const uint32_t heads = f->weights->shape.heads;
    for (uint32_t r = first; r < first + count; r++)
        for (uint32_t h = 0; h < heads; h++) attend(f, r, h, scratch);
}

/* ---- a layer ---- */

static void project(hg_forward *f, const hg_layer *layer, hg_projection p, const float *x, float *y)
{
    hg_rows w = hg_rows_of_linear(&layer->linear[p]);
    hg_multiply(f->pool, &w, x, f->rows, y);
}

static void add_to_hidden(hg_forward *f)
{
    const size_t count = (size_t)f->rows * f->weights->shape.hidden;
    for (size_t i = 0; i < count; i++) f->hidden[i] += f->normed[i];
}

static void silu_rows(void *context, uint32_t first, uint32_t count, float *scratch)
{
    const hg_forward *f = context;
    const size_t wide = f->weights->shape.intermediate;
    (void)scratch;
    for (size_t i = first * wide; i < (first + count) * wide; i++) {
        float g = f->wide[0][i];
        f->wide[0][i] = g / (1 + expf(-g)) * f->wide[1][i];
    }
}

void hg_forward_layer(hg_forward *f, uint32_t index, hg_tap_see *see, void *context)
{
    const hg_shape *s = &f->weights->shape;
    assert(index < s->layers);
    const hg_layer *layer = &f->weights->layer[index];
    norm(f, layer->attention_norm);
    if (see) see(context, HG_TAP_ATTENTION, f->normed, f->rows, s->hidden);
    for (int p = HG_Q; p <= HG_V; p++)
        project(f, layer, (hg_projection)p, f->normed, f->wide[p - HG_Q]);
    hg_pool_each(f->pool, f->rows, rotate_rows, f);
    hg_pool_each(f->pool, f->rows, attend_rows, f);
    if (see) see(context, HG_TAP_O, f->wide[0], f->rows, s->heads * s->head_dim);
    project(f, layer, HG_O, f->wide[0], f->normed);
    add_to_hidden(f);
    norm(f, layer->mlp_norm);
    if (see) see(context, HG_TAP_MLP, f->normed, f->rows, s->hidden);
    project(f, layer, HG_GATE, f->normed, f->wide[0]);
    project(f, layer, HG_UP, f->normed, f->wide[1]);
    hg_pool_each(f->pool, f->rows, silu_rows, f);
    if (see) see(context, HG_TAP_DOWN, f->wide[0], f->rows, s->intermediate);
    project(f, layer, HG_DOWN, f->wide[0], f->normed);
    add_to_hidden(f);
}

/* ---- the end ---- */

void hg_forward_logits(hg_forward *f, uint32_t first, uint32_t count, float *logits)
{
    const size_t hidden = f->weights->shape.hidden;
    assert(first + count <= f->rows);
    norming n = {
        .f = f, .weight = f->weights->final_norm, .x = f->hidden + first * hidden, .y = f->normed};
    hg_pool_each(f->pool, count, norm_rows, &n);
    hg_rows head = hg_rows_of_matrix(&f->weights->head);
    hg_multiply(f->pool, &head, f->normed, count, logits);
}

/* -log of the softmax's value at token. */
static double surprise(const float *logits, uint32_t count, int32_t token)
{
    float most = logits[0];
    double sum = 0;
    for (uint32_t i = 1; i < count; i++) most = logits[i] > most ? logits[i] : most;
    for (uint32_t i = 0; i < count; i++) sum += (double)expf(logits[i] - most);
    return (double)most + log(sum) - (double)logits[token];
}

typedef struct scoring {
    const hg_forward *f;
    const float *logits; /* [LOSS_ROWS, vocabulary] of the rows from first on */
    uint32_t first;
    double nats[LOSS_ROWS];
} scoring;

static void score_rows(void *context, uint32_t first, uint32_t count, float *scratch)
{
    scoring *s = context;
    const size_t vocabulary = s->f->weights->shape.vocabulary;
    (void)scratch;
    for (uint32_t i = first; i < first + count; i++)
        s->nats[i] = surprise(s->logits + i * vocabulary, (uint32_t)vocabulary,
                              s->f->token[s->first + i + 1]);
}

hg_status hg_forward_loss(hg_forward *f, double *nats, uint32_t *tokens, hg_error *error)
{
    float *logits = malloc(sizeof *logits * LOSS_ROWS * f->weights->shape.vocabulary);
    scoring s = {.f = f, .logits = logits};
    double sum = 0;
    if (!logits) return hg_fail(error, HG_ERROR_MEMORY, "no memory for logits");
    *tokens = 0;
    for (; s.first + 1 < f->rows; s.first += LOSS_ROWS) { /* nothing follows the last row */
        const uint32_t left = f->rows - 1 - s.first, count = left < LOSS_ROWS ? left : LOSS_ROWS;
        hg_forward_logits(f, s.first, count, logits);
        hg_pool_each(f->pool, count, score_rows, &s);
        for (uint32_t i = 0; i < count; i++) {
            if ((s.first + i + 1) % f->span == 0) continue; /* what follows is another sequence's */
            sum += s.nats[i];
            ++*tokens;
        }
    }
    free(logits);
    *nats = *tokens ? sum / *tokens : 0;
    return HG_OK;
}
