/* verify.c: both models go through the text layer by layer, side by side. */
#include "core/convert/verify.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/convert/forward.h"
#include "kernels/cpu/convert.h"

typedef struct side {
    const hg_weights *w;
    hg_scales *scales; /* NULL: none */
    hg_forward forward;
} side;

static hg_status check_shapes(const hg_verify *v, hg_error *error)
{
    static const struct {
        const char *name;
        size_t at;
    } fields[] = {{"vocab_size", offsetof(hg_shape, vocabulary)},
                  {"hidden_size", offsetof(hg_shape, hidden)},
                  {"intermediate_size", offsetof(hg_shape, intermediate)},
                  {"num_hidden_layers", offsetof(hg_shape, layers)},
                  {"num_attention_heads", offsetof(hg_shape, heads)},
                  {"num_key_value_heads", offsetof(hg_shape, kv_heads)},
                  {"head_dim", offsetof(hg_shape, head_dim)}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        uint32_t a, b;
        memcpy(&a, (const char *)&v->a->weights.shape + fields[i].at, sizeof a);
        memcpy(&b, (const char *)&v->b->weights.shape + fields[i].at, sizeof b);
        if (a != b)
            return hg_fail(error, HG_ERROR_ARGUMENT,
                           "--against: %s: %s is %u, of %s it is %u; only forms of one model can "
                           "be compared",
                           v->b->path, fields[i].name, b, v->a->path, a);
    }
    return HG_OK;
}

/* ---- weights ---- */

typedef struct comparing {
    const side *side; /* [2] */
    uint32_t layer;
    hg_projection projection;
    double *sums; /* [rows, 2]: of the difference, of b */
} comparing;

/* One row as the unscaled model has it. */
static void read_row(const side *s, const comparing *c, uint32_t row, float *out)
{
    const hg_linear *linear = &s->w->layer[c->layer].linear[c->projection];
    hg_linear_read(linear, row, 0, linear->columns, out);
    if (!s->scales) return;
    const float *input = s->scales->layer[c->layer].input[c->projection];
    const float *output = s->scales->layer[c->layer].output[c->projection];
    for (uint32_t i = 0; input && i < linear->columns; i++) out[i] /= input[i];
    for (uint32_t i = 0; output && i < linear->columns; i++) out[i] *= output[row];
}

static void compare_rows(void *context, uint32_t first, uint32_t count, float *scratch)
{
    const comparing *c = context;
    const uint32_t columns = c->side[0].w->layer[c->layer].linear[c->projection].columns;
    for (uint32_t r = first; r < first + count; r++) {
        double change = 0, size = 0;
        read_row(&c->side[0], c, r, scratch);
        read_row(&c->side[1], c, r, scratch + columns);
        for (uint32_t i = 0; i < columns; i++) {
            double b = (double)scratch[columns + i], d = (double)scratch[i] - b;
            change += d * d;
            size += b * b;
        }
        c->sums[2 * (size_t)r] = change;
        c->sums[2 * (size_t)r + 1] = size;
    }
}

static double ratio(double change, double size)
{
    return size > 0 ? change / size : change > 0 ? INFINITY : 0;
}

static hg_status compare_weights(const side *sides, uint32_t layer, hg_pool *pool, double *out,
                                 hg_error *error)
{
    double change = 0, size = 0;
    for (int p = 0; p < HG_PROJECTIONS; p++) {
        const uint32_t rows = sides[0].w->layer[layer].linear[p].rows;
        comparing c = {.side = sides, .layer = layer, .projection = (hg_projection)p};
        c.sums = malloc(2 * sizeof *c.sums * rows);
        if (!c.sums) return hg_fail(error, HG_ERROR_MEMORY, "no memory to compare rows");
        hg_pool_each(pool, rows, compare_rows, &c);
        for (uint32_t r = 0; r < rows; r++) {
            change += c.sums[2 * (size_t)r];
            size += c.sums[2 * (size_t)r + 1];
        }
        free(c.sums);
    }
    *out = ratio(change, size);
    return HG_OK;
}

/* ---- outputs ---- */

static double compare_outputs(const side *sides)
{
    const hg_forward *a = &sides[0].forward, *b = &sides[1].forward;
    const size_t count = (size_t)a->rows * a->weights->shape.hidden;
    double change = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        double d = (double)a->hidden[i] - (double)b->hidden[i];
        change += d * d;
        size += (double)b->hidden[i] * (double)b->hidden[i];
    }
    return ratio(change, size);
}

static hg_status run_layer(hg_verify *v, side *sides, uint32_t layer, hg_pool *pool,
                           hg_error *error)
{
    hg_status status = hg_hold_layer(sides[0].w, layer, error);
    if (status) return status;
    status = hg_hold_layer(sides[1].w, layer, error);
    if (!status) {
        status = compare_weights(sides, layer, pool, &v->layer[layer].weight, error);
        for (int i = 0; !status && i < 2; i++)
            hg_forward_layer(&sides[i].forward, layer, NULL, NULL);
        v->layer[layer].output = compare_outputs(sides);
        hg_release_layer(sides[1].w, layer);
    }
    hg_release_layer(sides[0].w, layer);
    if (v->progress) v->progress(v->context, layer + 1);
    return status;
}

static hg_status open_side(const hg_verify *v, const hg_model *model, hg_pool *pool, side *out,
                           hg_error *error)
{
    out->w = &model->weights;
    hg_status status = hg_scales_open(model->path, &model->weights.shape, &out->scales, error);
    return status ? status
                  : hg_forward_open(out->w, pool, (hg_sequences){v->token, v->tokens, v->span},
                                    &out->forward, error);
}

static size_t scratch_floats(const hg_verify *v)
{
    const hg_shape *s = &v->a->weights.shape;
    size_t rows = 2 * ((size_t)s->hidden + s->intermediate + (size_t)s->heads * s->head_dim);
    size_t forward = hg_forward_scratch(s, v->span);
    return rows > forward ? rows : forward;
}

hg_status hg_verify_run(hg_verify *v, hg_error *error)
{
    side sides[2] = {0};
    hg_pool pool;
    double nats[2] = {0};
    hg_status status = check_shapes(v, error);
    if (!status) status = hg_pool_open(v->threads, scratch_floats(v), &pool, error);
    if (status) return status;
    status = open_side(v, v->a, &pool, &sides[0], error);
    if (!status) status = open_side(v, v->b, &pool, &sides[1], error);
    for (uint32_t l = 0; !status && l < v->a->weights.shape.layers; l++)
        status = run_layer(v, sides, l, &pool, error);
    for (int i = 0; !status && i < 2; i++)
        status = hg_forward_loss(&sides[i].forward, &nats[i], &v->scored, error);
    v->perplexity_a = exp(nats[0]);
    v->perplexity_b = exp(nats[1]);
    for (int i = 0; i < 2; i++) {
        hg_forward_close(&sides[i].forward);
        hg_scales_close(sides[i].scales);
    }
    hg_pool_close(&pool);
    return status;
}
