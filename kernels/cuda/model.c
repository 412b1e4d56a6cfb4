/* model.c: the plan of the card's memory, its allocation, and the upload of a model.
 *
 * One function names every array; it runs twice, first on counting pools, then on real ones, so the
 * plan that is checked and printed is the one that is allocated. Each array is a block of its own.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/state.h"

/* The walk over all arrays; after a failure it does nothing more. */
typedef struct layout {
    hg_device *device;
    hg_error *error;
    hg_status status;
} layout;

/* A block, filled from source unless that is NULL; NULL while counting. */
static void *take(layout *l, hg_cuda_pool *pool, const void *source, size_t bytes)
{
    void *block = NULL;
    if (!l->status) l->status = hg_cuda_take(l->device, pool, bytes, &block, l->error);
    if (l->status || !block) return NULL;
    if (source)
        l->status = HG_CUDA_TRY(l->device, cudaMemcpy(block, source, bytes, cudaMemcpyHostToDevice),
                                l->error);
    return block;
}

static size_t matrix_bytes(const hg_matrix *m)
{
    assert(m->type != HG_QUANTISED);
    return (size_t)m->rows * m->columns * (m->type == HG_F32 ? 4 : 2);
}

static void lay_linear(layout *l, const hg_linear *from, hg_linear *to)
{
    hg_cuda_pool *pool = &l->device->weights;
    size_t values = (size_t)from->rows * from->columns;
    *to = *from;
    if (!from->bits) {
        hg_matrix dense = hg_linear_matrix(from);
        to->dense = take(l, pool, from->dense, matrix_bytes(&dense));
        return;
    }
    to->codes = take(l, pool, from->codes, values * from->bits / 8);
    to->scales = take(l, pool, from->scales, values / from->group * sizeof *from->scales);
    if (from->offsets)
        to->offsets = take(l, pool, from->offsets, values / from->group * sizeof *from->offsets);
    if (from->zeros) to->zeros = take(l, pool, from->zeros, values / from->group);
}

/* The embedding or the head; of a quantised one the card has the hg_linear too. */
static void lay_table(layout *l, const hg_matrix *from, hg_matrix *to)
{
    hg_cuda_pool *pool = &l->device->weights;
    hg_linear linear;
    *to = *from;
    if (from->type == HG_QUANTISED) {
        lay_linear(l, from->data, &linear);
        to->data = take(l, pool, &linear, sizeof linear);
    } else {
        to->data = take(l, pool, from->data, matrix_bytes(from));
    }
}

static void lay_weights(layout *l, const hg_weights *w)
{
    hg_device *d = l->device;
    hg_cuda_pool *pool = &d->weights;
    size_t hidden = w->shape.hidden * sizeof(float);
    lay_table(l, &w->embedding, &d->embedding);
    d->head = d->embedding;
    if (w->head.data != w->embedding.data) lay_table(l, &w->head, &d->head);
    d->final_norm = take(l, pool, w->final_norm, hidden);
    d->frequency = take(l, pool, w->rope_frequency, w->shape.head_dim / 2 * sizeof(float));
    for (uint32_t i = 0; i < w->shape.layers; i++) {
        const hg_layer *from = &w->layer[i];
        hg_layer *to = &d->layer[i];
        to->attention_norm = take(l, pool, from->attention_norm, hidden);
        to->mlp_norm = take(l, pool, from->mlp_norm, hidden);
        if (!pool->counting && !l->status) l->status = hg_hold_layer(w, i, l->error);
        if (l->status) return;
        for (uint32_t p = 0; p < HG_PROJECTIONS; p++)
            lay_linear(l, &from->linear[p], &to->linear[p]);
        if (!pool->counting) hg_release_layer(w, i);
    }
}

static float *take_rows(layout *l, size_t rows, size_t columns)
{
    return take(l, &l->device->workspace, NULL, rows * columns * sizeof(float));
}

static void lay_workspace(layout *l)
{
    hg_device *d = l->device;
    const hg_shape *s = &d->shape;
    const hg_device_plan *plan = &d->plan;
    hg_cuda_workspace *w = &d->work;
    size_t rows = plan->step_rows, q = (size_t)s->heads * s->head_dim;
    size_t kv = (size_t)s->kv_heads * s->head_dim;
    w->x = take_rows(l, rows, s->hidden);
    w->normed = take_rows(l, rows, s->hidden);
    w->q = take_rows(l, rows, q);
    w->attention = take_rows(l, rows, q);
    w->k = take_rows(l, rows, kv);
    w->v = take_rows(l, rows, kv);
    w->gate = take_rows(l, rows, s->intermediate);
    w->up = take_rows(l, rows, s->intermediate);
    w->h = take_rows(l, rows, HG_LIMIT_ADAPTER_RANK);
    w->logits = take_rows(l, HG_CUDA_HEAD_ROWS, s->vocabulary);
    hg_cuda_pool *pool = &d->workspace;
    w->token = take(l, pool, NULL, HG_CUDA_HEAD_ROWS * sizeof *w->token);
    w->wanted = take(l, pool, NULL, rows * sizeof *w->wanted);
    w->row = take(l, pool, NULL, rows * sizeof *w->row);
    w->page = take(l, pool, NULL, (size_t)plan->step_lanes * plan->lane_pages * sizeof *w->page);
    w->lora = take(l, pool, NULL,
                   (size_t)plan->adapter_slots * s->layers * HG_PROJECTIONS * sizeof *w->lora);
}

static hg_status lay_all(hg_device *d, const hg_weights *weights, bool counting, hg_error *error)
{
    const hg_shape *s = &d->shape;
    size_t page = (size_t)s->layers * 2 * HG_LIMIT_PAGE_TOKENS * s->kv_heads * s->head_dim;
    d->weights = d->pages = d->workspace = (hg_cuda_pool){.counting = counting};
    layout l = {d, error, HG_OK};
    lay_weights(&l, weights);
    lay_workspace(&l);
    d->kv = take(&l, &d->pages, NULL, page * sizeof(float) * d->plan.pages);
    return l.status;
}

/* The plan just counted against the operator's bound and what the card has left. */
static hg_status check_plan(hg_device *d, hg_error *error)
{
    size_t need = hg_cuda_held(d), left = 0, whole = 0;
    hg_status status = HG_CUDA_TRY(d, cudaMemGetInfo(&left, &whole), error);
    if (status) return status;
    bool bounded = d->memory_bytes && need > d->memory_bytes;
    if (!bounded && need <= left) return HG_OK;
    return hg_fail(error, HG_ERROR_LIMIT,
                   "%s %zu: the plan needs %zu bytes (weights %zu; %u KV pages %zu; workspace of "
                   "%u rows %zu), adapters not counted: %s, or serve fewer lanes",
                   bounded ? "--device-memory" : "free memory of the card",
                   bounded ? d->memory_bytes : left, need, d->weights.bytes, d->plan.pages,
                   d->pages.bytes, d->plan.step_rows, d->workspace.bytes,
                   bounded ? "allow more" : "free some");
}

void hg_cuda_unload_model(hg_device *d)
{
    for (uint32_t i = 0; d->slot && i < d->plan.adapter_slots; i++) hg_cuda_drop(d, (uint16_t)i);
    hg_cuda_pool_free(d, &d->weights);
    hg_cuda_pool_free(d, &d->pages);
    hg_cuda_pool_free(d, &d->workspace);
    free(d->slot);
    free(d->layer);
    free(d->wanted);
    free(d->token);
    d->slot = NULL;
    d->layer = NULL;
    d->wanted = NULL;
    d->token = NULL;
    d->loaded = false;
}

static hg_status take_host(hg_device *d, hg_error *error)
{
    const hg_device_plan *plan = &d->plan;
    d->slot = calloc(plan->adapter_slots ? plan->adapter_slots : 1, sizeof *d->slot);
    d->layer = calloc(d->shape.layers, sizeof *d->layer);
    d->wanted = calloc(plan->step_rows, sizeof *d->wanted);
    d->token = calloc(plan->step_rows, sizeof *d->token);
    if (d->slot && d->layer && d->wanted && d->token) return HG_OK;
    return hg_fail(error, HG_ERROR_MEMORY, "no memory for the CUDA device's tables");
}

hg_status hg_cuda_load_model(hg_device *d, const hg_weights *weights, const hg_device_plan *plan,
                             hg_error *error)
{
    const hg_shape *s = &weights->shape;
    assert(plan->pages && plan->lane_pages && plan->step_rows && plan->step_lanes);
    assert(plan->adapter_slots < HG_NO_SLOT && s->heads % s->kv_heads == 0);
    hg_status status = hg_cuda_alive(d, error);
    if (status) return status;
    if (d->loaded) return hg_fail(error, HG_ERROR_STATE, "the CUDA device already holds a model");
    if (s->head_dim > HG_CUDA_HEAD_DIM_MAX)
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "config.json: head_dim %u, the CUDA device takes up to %d", s->head_dim,
                       HG_CUDA_HEAD_DIM_MAX);
    if (s->hidden % 8 || s->intermediate % 8 || (s->heads * s->head_dim) % 8)
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "config.json: hidden_size %u, intermediate_size %u, attention %u: the CUDA "
                       "device takes multiples of 8; use --device cpu --kernel reference",
                       s->hidden, s->intermediate, s->heads * s->head_dim);
    d->shape = *s;
    d->plan = *plan;
    status = take_host(d, error);
    if (!status) status = lay_all(d, weights, true, error);
    if (!status) status = check_plan(d, error);
    if (!status) status = lay_all(d, weights, false, error);
    /* cudaMemcpy may return before the last bytes arrive, and our streams do not wait for it. */
    if (!status) status = HG_CUDA_TRY(d, cudaDeviceSynchronize(), error);
    if (status) {
        hg_cuda_unload_model(d);
        return status;
    }
    d->loaded = true;
    return HG_OK;
}
