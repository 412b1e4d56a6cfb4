/* factors.c: see factors.h. */
#include "core/convert/factors.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/convert/tables.h"
#include "core/convert/tensor_writer.h"
#include "core/model/projections.h"
#include "core/model/scales.h"

static uint32_t columns_of(const hg_shape *s, hg_tap tap)
{
    if (tap == HG_TAP_O) return s->heads * s->head_dim;
    return tap == HG_TAP_DOWN ? s->intermediate : s->hidden;
}

hg_status hg_factors_open(const hg_shape *shape, hg_factors *out, hg_error *error)
{
    uint32_t widest = 0;
    size_t floats = 0;
    *out = (hg_factors){.shape = *shape};
    for (int t = 0; t < HG_TAPS; t++) {
        const uint32_t columns = columns_of(shape, (hg_tap)t);
        floats += columns;
        widest = columns > widest ? columns : widest;
    }
    out->kept_floats = floats;
    const size_t value = (size_t)shape->kv_heads * shape->head_dim;
    float *at = out->room = malloc((floats + 2 * shape->hidden + value + widest) * sizeof *at);
    out->kept = malloc(floats * shape->layers * sizeof *out->kept);
    if (!at || !out->kept)
        return hg_fail(error, HG_ERROR_MEMORY, "no memory for the factors of scaling");
    for (int t = 0; t < HG_TAPS; at += columns_of(shape, (hg_tap)t++)) out->scale[t] = at;
    for (int i = 0; i < 2; i++, at += shape->hidden) out->norm[i] = at;
    out->value = at;
    out->importance = at + value;
    return HG_OK;
}

void hg_factors_close(hg_factors *factors)
{
    free(factors->room);
    free(factors->kept);
    *factors = (hg_factors){0};
}

/* Divides and rounds a norm; what was really divided by becomes the factor. */
static void divide_norm(const float *norm, uint32_t count, hg_tensor_type type, float *scale,
                        float *out)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i] = hg_value_rounded(norm[i] / scale[i], type);
        float real = norm[i] / out[i];
        if (real > 0 && isfinite(real)) {
            scale[i] = real;
            continue;
        }
        scale[i] = 1; /* too small to divide */
        out[i] = norm[i];
    }
}

void hg_factors_set(hg_factors *f, const hg_awq *awq, const hg_layer *layer,
                    hg_tensor_type norm_type)
{
    const hg_shape *s = &f->shape;
    const uint32_t d = s->head_dim, share = s->heads / s->kv_heads;
    for (int t = 0; t < HG_TAPS; t++)
        memcpy(f->scale[t], awq->scale[t], columns_of(s, (hg_tap)t) * sizeof(float));
    divide_norm(layer->attention_norm, s->hidden, norm_type, f->scale[HG_TAP_ATTENTION],
                f->norm[0]);
    divide_norm(layer->mlp_norm, s->hidden, norm_type, f->scale[HG_TAP_MLP], f->norm[1]);
    for (uint32_t r = 0; r < s->kv_heads * d; r++)
        f->value[r] = f->scale[HG_TAP_O][r / d * share * d + r % d];
    for (int p = 0; p < HG_PROJECTIONS; p++) f->input[p] = f->scale[hg_tap_of((hg_projection)p)];
    f->output[HG_V] = f->value;
    f->output[HG_UP] = f->scale[HG_TAP_DOWN];
}

const float *hg_factors_importance(hg_factors *f, const hg_awq *awq, hg_projection which)
{
    const hg_tap tap = hg_tap_of(which);
    for (uint32_t c = 0; c < columns_of(&f->shape, tap); c++)
        f->importance[c] =
            awq->importance[tap][c] / (f->scale[tap][c] * f->scale[tap][c]) + HG_AWQ_LEAST;
    return f->importance;
}

void hg_factors_keep(hg_factors *f, uint32_t layer)
{
    assert(layer < f->shape.layers);
    memcpy(f->kept + layer * f->kept_floats, f->scale[0], f->kept_floats * sizeof *f->kept);
}

/* ---- the file ---- */

/* One list of the file: input of a projection, or output of v or up. */
typedef struct list_entry {
    hg_projection projection;
    bool output;
} list_entry;

static const list_entry entries[] = {{HG_Q, false},    {HG_K, false},    {HG_V, false},
                                     {HG_O, false},    {HG_GATE, false}, {HG_UP, false},
                                     {HG_DOWN, false}, {HG_V, true},     {HG_UP, true}};
#define ENTRIES ((uint32_t)(sizeof entries / sizeof *entries))

static void describe(const hg_factors *f, uint32_t index, hg_planned_tensor *out)
{
    char module[HG_LIMIT_TENSOR_NAME / 2];
    uint32_t rows, columns;
    const list_entry *e = &entries[index % ENTRIES];
    hg_projection_name(index / ENTRIES, e->projection, module, sizeof module);
    hg_projection_size(&f->shape, e->projection, &rows, &columns);
    *out = (hg_planned_tensor){
        .type = HG_TENSOR_F32, .dimensions = 1, .shape = {e->output ? rows : columns}};
    snprintf(out->name, sizeof out->name, "%s.%s_scale", module, e->output ? "output" : "input");
}

static hg_status put(const hg_factors *f, uint32_t index, hg_tensor_writer *writer, hg_error *error)
{
    const hg_shape *s = &f->shape;
    const list_entry *e = &entries[index % ENTRIES];
    const float *at = f->kept + index / ENTRIES * f->kept_floats;
    const hg_tap tap = !e->output              ? hg_tap_of(e->projection)
                       : e->projection == HG_V ? HG_TAP_O
                                               : HG_TAP_DOWN;
    for (int t = 0; t < (int)tap; t++) at += columns_of(s, (hg_tap)t);
    if (!e->output || e->projection == HG_UP)
        return hg_tensor_writer_put(writer, at, columns_of(s, tap) * sizeof *at, error);
    hg_status status = HG_OK;
    const uint32_t stride = s->heads / s->kv_heads * s->head_dim; /* of o's factors, a value head */
    for (uint32_t h = 0; !status && h < s->kv_heads; h++)
        status =
            hg_tensor_writer_put(writer, at + (size_t)h * stride, s->head_dim * sizeof *at, error);
    return status;
}

hg_status hg_factors_write(const hg_factors *f, const char *folder, hg_error *error)
{
    const uint32_t count = f->shape.layers * ENTRIES;
    hg_planned_tensor *tensor = calloc(count, sizeof *tensor);
    hg_tensor_writer *writer = NULL;
    if (!tensor) return hg_fail(error, HG_ERROR_MEMORY, "no memory for a list of factors");
    for (uint32_t i = 0; i < count; i++) describe(f, i, &tensor[i]);
    hg_status status = hg_tensor_writer_open((hg_writer_place){folder, HG_SCALES_NAME, 0}, tensor,
                                             count, &writer, error);
    for (uint32_t i = 0; !status && i < count; i++) status = put(f, i, writer, error);
    if (!status) status = hg_tensor_writer_finish(writer, error);
    hg_tensor_writer_close(writer);
    free(tensor);
    return status;
}
