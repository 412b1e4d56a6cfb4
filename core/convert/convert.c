/* convert.c: the walk over a model's layers. See convert.h. */
#include "core/convert/convert.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/convert/awq.h"
#include "core/convert/factors.h"
#include "core/convert/quantise.h"
#include "core/convert/tables.h"
#include "core/convert/tensor_writer.h"
#include "core/model/projections.h"
#include "kernels/cpu/convert.h"

/* What the parts of one run share. */
typedef struct run {
    hg_convert *c;
    const hg_weights *w;
    hg_pool pool;
    hg_tensor_writer *writer;
    hg_tensor_type norm_type;
    hg_forward forward; /* with calibration */
    hg_awq awq;
    hg_factors factors;
    uint64_t done;
    hg_error *error;
} run;

hg_status hg_convert_group(const hg_shape *shape, uint16_t *group, hg_error *error)
{
    const uint32_t inputs[] = {shape->hidden, shape->intermediate, shape->heads * shape->head_dim};
    const uint16_t asked = *group;
    for (uint16_t g = asked ? asked : 128; g >= 16; g /= 2) {
        bool fits = true;
        for (int i = 0; i < 3; i++) fits = fits && inputs[i] % g == 0;
        *group = g;
        if (fits) return HG_OK;
        if (asked) break;
    }
    return hg_fail(error, HG_ERROR_ARGUMENT,
                   "--group: %u does not divide the model's layers' inputs (%u, %u, %u)%s", *group,
                   inputs[0], inputs[1], inputs[2],
                   asked ? "; without --group the largest that does is taken" : "");
}

/* ---- what will be written ---- */

typedef struct listing {
    hg_planned_tensor *tensor; /* [count], or NULL: only counted */
    uint32_t count;
} listing;

static void list(listing *l, const char *name, const char *suffix, hg_tensor_type type,
                 uint64_t rows, uint64_t columns)
{
    if (l->tensor) {
        hg_planned_tensor *t = &l->tensor[l->count];
        *t = (hg_planned_tensor){
            .type = type, .dimensions = columns ? 2 : 1, .shape = {rows, columns}};
        snprintf(t->name, sizeof t->name, "%s%s", name, suffix);
    }
    l->count++;
}

static void list_layer(const run *r, uint32_t layer, listing *l)
{
    char name[HG_LIMIT_TENSOR_NAME / 2];
    const hg_convert *c = r->c;
    const hg_shape *s = &r->w->shape;
    snprintf(name, sizeof name, "model.layers.%u", layer);
    list(l, name, ".input_layernorm.weight", r->norm_type, s->hidden, 0);
    list(l, name, ".post_attention_layernorm.weight", r->norm_type, s->hidden, 0);
    for (int p = 0; p < HG_PROJECTIONS; p++) {
        uint32_t rows, columns;
        hg_projection_name(layer, (hg_projection)p, name, sizeof name);
        hg_projection_size(s, (hg_projection)p, &rows, &columns);
        if (!c->bits) {
            list(l, name, ".weight", HG_TENSOR_BF16, rows, columns);
            continue;
        }
        list(l, name, ".weight_packed", HG_TENSOR_I32, rows, columns / (32u / c->bits));
        list(l, name, ".weight_scale", HG_TENSOR_F16, rows, columns / c->group);
        list(l, name, ".weight_shape", HG_TENSOR_I64, 2, 0);
    }
}

static void list_all(const run *r, listing *l)
{
    const hg_weights *w = r->w;
    const uint64_t rows = w->shape.vocabulary, columns = w->shape.hidden;
    l->count = 0;
    list(l, "model.embed_tokens.weight", "", hg_table_type(&w->embedding), rows, columns);
    for (uint32_t i = 0; i < w->shape.layers; i++) list_layer(r, i, l);
    list(l, "model.norm.weight", "", r->norm_type, columns, 0);
    if (w->head.data != w->embedding.data)
        list(l, "lm_head.weight", "", hg_table_type(&w->head), rows, columns);
}

static hg_status open_writer(run *r)
{
    listing l = {0};
    list_all(r, &l);
    l.tensor = calloc(l.count, sizeof *l.tensor);
    if (!l.tensor) return hg_fail(r->error, HG_ERROR_MEMORY, "no memory for a list of tensors");
    list_all(r, &l);
    hg_status status =
        hg_tensor_writer_open((hg_writer_place){r->c->folder, "model", r->c->shard_bytes}, l.tensor,
                              l.count, &r->writer, r->error);
    free(l.tensor);
    return status;
}

/* ---- one projection ---- */

typedef struct projecting {
    const run *r;
    const hg_linear *linear;
    const hg_lora *lora;         /* of rank 0: none */
    float *a;                    /* [rank, columns] of the LoRA pair, or NULL */
    const float *input, *output; /* [columns], [rows] factors, or NULL */
    hg_quantise_job job;
    uint8_t *codes;        /* [rows, columns * bits / 8] */
    uint16_t *halves;      /* scales [rows, columns / group], or BF16 [rows, columns] */
    double *change, *size; /* [rows] */
} projecting;

/* The row as the model means it: W + scale (B A), in F32, as PEFT merges. */
static void read_row(const projecting *p, uint32_t row, float *out, float *delta)
{
    const uint32_t columns = p->linear->columns;
    hg_linear_read(p->linear, row, 0, columns, out);
    if (!p->a) return;
    memset(delta, 0, columns * sizeof *delta);
    for (uint32_t k = 0; k < p->lora->rank; k++) {
        float b = 0;
        hg_matrix_read(&p->lora->b, row, k, 1, &b);
        const float *a = p->a + (size_t)k * columns;
        for (uint32_t c = 0; c < columns; c++) delta[c] += b * a[c];
    }
    for (uint32_t c = 0; c < columns; c++) out[c] += delta[c] * p->lora->scale;
}

/* Scales, rounds, stores; what became of the row, unscaled, against what it was. scratch: three
 * rows. */
static void convert_row(const projecting *p, uint32_t row, float *scratch)
{
    const uint32_t columns = p->linear->columns,
                   groups = columns / (p->job.group ? p->job.group : 1);
    float *w = scratch, *back = w + columns, *delta = back + columns;
    const float down = p->output ? 1 / p->output[row] : 1;
    read_row(p, row, w, delta);
    for (uint32_t c = 0; c < columns; c++) w[c] *= (p->input ? p->input[c] : 1) * down;
    if (p->job.bits) {
        hg_quantise_row(&p->job, w, p->codes + (size_t)row * columns * p->job.bits / 8,
                        p->halves + (size_t)row * groups, back);
    } else {
        uint16_t *out = p->halves + (size_t)row * columns;
        for (uint32_t c = 0; c < columns; c++) {
            out[c] = hg_bf16_nearest(w[c]);
            back[c] = hg_f32_of_bf16(out[c]);
        }
    }
    double change = 0, size = 0;
    for (uint32_t c = 0; c < columns; c++) {
        const double undo = 1 / ((p->input ? (double)p->input[c] : 1) * (double)down);
        const double d = ((double)back[c] - (double)w[c]) * undo, v = (double)w[c] * undo;
        change += d * d;
        size += v * v;
    }
    p->change[row] = change;
    p->size[row] = size;
}

static void convert_rows(void *context, uint32_t first, uint32_t count, float *scratch)
{
    for (uint32_t r = first; r < first + count; r++) convert_row(context, r, scratch);
}

/* A of the LoRA pair as F32; NULL with rank 0. */
static hg_status read_a(projecting *p, hg_error *error)
{
    if (!p->lora || !p->lora->rank) return HG_OK;
    const uint32_t columns = p->linear->columns;
    p->a = malloc(sizeof *p->a * p->lora->rank * columns);
    if (!p->a) return hg_fail(error, HG_ERROR_MEMORY, "no memory for an adapter's matrix");
    for (uint32_t k = 0; k < p->lora->rank; k++)
        hg_matrix_read(&p->lora->a, k, 0, columns, p->a + (size_t)k * columns);
    return HG_OK;
}

static hg_status put_projection(run *r, const projecting *p)
{
    const size_t rows = p->linear->rows, columns = p->linear->columns;
    const int64_t shape[2] = {(int64_t)rows, (int64_t)columns};
    if (!p->job.bits)
        return hg_tensor_writer_put(r->writer, p->halves, rows * columns * sizeof *p->halves,
                                    r->error);
    hg_status status =
        hg_tensor_writer_put(r->writer, p->codes, rows * columns * p->job.bits / 8, r->error);
    if (!status)
        status = hg_tensor_writer_put(r->writer, p->halves,
                                      rows * columns / p->job.group * sizeof *p->halves, r->error);
    return status ? status : hg_tensor_writer_put(r->writer, shape, sizeof shape, r->error);
}

static hg_status convert_projection(run *r, uint32_t layer, hg_projection which)
{
    const hg_linear *linear = &r->w->layer[layer].linear[which];
    const hg_convert *c = r->c;
    const size_t elements = (size_t)linear->rows * linear->columns;
    projecting p = {.r = r,
                    .linear = linear,
                    .lora = c->lora ? &c->lora->layer[layer].pair[which] : NULL,
                    .input = r->factors.input[which],
                    .output = r->factors.output[which],
                    .job = {.columns = linear->columns, .group = c->group, .bits = c->bits}};
    if (c->token) p.job.importance = hg_factors_importance(&r->factors, &r->awq, which);
    p.codes = c->bits ? malloc(elements * c->bits / 8) : NULL;
    p.halves = malloc((c->bits ? elements / c->group : elements) * sizeof *p.halves);
    p.change = malloc(2 * linear->rows * sizeof *p.change);
    p.size = p.change ? p.change + linear->rows : NULL;
    hg_status status = read_a(&p, r->error);
    if (!status && ((c->bits && !p.codes) || !p.halves || !p.change))
        status = hg_fail(r->error, HG_ERROR_MEMORY, "no memory for a layer");
    if (!status) {
        hg_pool_each(&r->pool, linear->rows, convert_rows, &p);
        for (uint32_t i = 0; i < linear->rows; i++) {
            r->c->change += p.change[i];
            r->c->size += p.size[i];
        }
        status = put_projection(r, &p);
    }
    free(p.a);
    free(p.codes);
    free(p.halves);
    free(p.change);
    r->done += elements;
    if (c->progress) c->progress(c->context, r->done);
    return status;
}

/* ---- the walk ---- */

/* The calibration's tokens go through the layer as it is; then the layer is changed. */
static hg_status calibrate(run *r, uint32_t layer)
{
    const hg_awq_form form = {.group = r->c->group, .bits = r->c->bits};
    const hg_layer *l = &r->w->layer[layer];
    hg_forward_layer(&r->forward, layer, hg_awq_see, &r->awq);
    hg_status status = hg_awq_search(&r->awq, &r->w->shape, l, form, &r->pool, r->error);
    if (status) return status;
    hg_factors_set(&r->factors, &r->awq, l, r->norm_type);
    hg_factors_keep(&r->factors, layer);
    return HG_OK;
}

static hg_status convert_layer(run *r, uint32_t layer)
{
    const uint32_t hidden = r->w->shape.hidden;
    const hg_layer *l = &r->w->layer[layer];
    hg_status status = r->c->token ? calibrate(r, layer) : HG_OK;
    const bool scaled = r->factors.norm[0] != NULL;
    const float *norm[2] = {scaled ? r->factors.norm[0] : l->attention_norm,
                            scaled ? r->factors.norm[1] : l->mlp_norm};
    for (int i = 0; !status && i < 2; i++)
        status = hg_values_put(r->writer, norm[i], hidden, r->norm_type, r->error);
    for (int p = 0; !status && p < HG_PROJECTIONS; p++)
        status = convert_projection(r, layer, (hg_projection)p);
    return status;
}

static hg_status walk(run *r)
{
    const hg_weights *w = r->w;
    hg_status status = hg_table_put(r->writer, &w->embedding, r->error);
    for (uint32_t l = 0; !status && l < w->shape.layers; l++) {
        if ((status = hg_hold_layer(w, l, r->error))) break;
        status = convert_layer(r, l);
        hg_release_layer(w, l);
    }
    if (!status)
        status = hg_values_put(r->writer, w->final_norm, w->shape.hidden, r->norm_type, r->error);
    if (!status && w->head.data != w->embedding.data)
        status = hg_table_put(r->writer, &w->head, r->error);
    r->c->bytes = hg_tensor_writer_bytes(r->writer);
    if (!status) status = hg_tensor_writer_finish(r->writer, r->error);
    if (!status && r->c->token) status = hg_factors_write(&r->factors, r->c->folder, r->error);
    return status;
}

static hg_status open_calibration(run *r)
{
    const hg_convert *c = r->c;
    hg_status status = hg_forward_open(r->w, &r->pool, (hg_sequences){c->token, c->tokens, c->span},
                                       &r->forward, r->error);
    if (!status) status = hg_awq_open(&r->w->shape, &r->awq, r->error);
    if (!status) status = hg_factors_open(&r->w->shape, &r->factors, r->error);
    return status;
}

static size_t scratch_floats(const hg_convert *c)
{
    const hg_shape *s = &c->model->weights.shape;
    const size_t search = hg_awq_scratch(s), forward = hg_forward_scratch(s, c->span);
    return search > forward ? search : forward; /* the search's holds three rows too */
}

hg_status hg_convert_run(hg_convert *c, hg_error *error)
{
    run r = {.c = c, .w = &c->model->weights, .error = error};
    assert(c->bits == 0 || c->group);
    assert(!c->token || (c->bits && c->tokens && c->span && !c->lora));
    c->change = c->size = 0;
    r.norm_type = hg_norm_type(r.w);
    hg_status status = hg_pool_open(c->threads, scratch_floats(c), &r.pool, error);
    if (status) return status;
    if (c->token) status = open_calibration(&r);
    if (!status) status = open_writer(&r);
    if (!status) status = walk(&r);
    hg_tensor_writer_close(r.writer);
    hg_factors_close(&r.factors);
    hg_awq_close(&r.awq);
    hg_forward_close(&r.forward);
    hg_pool_close(&r.pool);
    return status;
}
