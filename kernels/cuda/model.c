/* model.c: the plan of the card's memory, its allocation, and the upload of a model.
 *
 * One function names every array; it runs twice, first on counting pools, then on real ones, so the
 * plan that is checked and printed is the one that is allocated. Each array is a block of its own.
 * Layers are put in fragment order tile by tile on their way.
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
    uint32_t unit_bytes; /* the largest */
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

static uint32_t most(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

/* Packs and uploads the tiles of a layer whose block is taken. */
static void send_tiles(layout *l, const hg_cuda_source *from, const hg_cuda_linear *to)
{
    size_t bytes = hg_cuda_tile_bytes(to);
    uint8_t *tile = malloc(bytes);
    if (!tile) l->status = hg_fail(l->error, HG_ERROR_MEMORY, "no memory to pack a layer");
    for (uint32_t t = 0; t < to->tiles && !l->status; t++) {
        uint8_t *place = (uint8_t *)(uintptr_t)to->unit + t * bytes; /* our own block */
        hg_cuda_pack_tile(from, to, t, tile);
        l->status = HG_CUDA_TRY(l->device, cudaMemcpy(place, tile, bytes, cudaMemcpyHostToDevice),
                                l->error);
    }
    free(tile);
}

static void lay_packed(layout *l, const hg_cuda_source *from, hg_cuda_linear *to)
{
    *to = hg_cuda_pack_shape(from);
    l->unit_bytes = most(l->unit_bytes, to->unit_bytes);
    to->unit = take(l, &l->device->weights, NULL, to->tiles * hg_cuda_tile_bytes(to));
    if (to->unit && !l->status) send_tiles(l, from, to);
}

static bool same_form(const hg_linear *a, const hg_linear *b)
{
    return a->bits == b->bits && a->group == b->group && !a->offsets == !b->offsets &&
           !a->zeros == !b->zeros;
}

static void lay_layer(layout *l, const hg_layer *from, hg_cuda_layer *to)
{
    const hg_linear *w = from->linear;
    uint32_t dim = l->device->shape.head_dim;
    hg_cuda_source q = {.w = &w[HG_Q], .head_dim = dim, .order = HG_CUDA_TURNED}, k = q;
    k.w = &w[HG_K];
    lay_packed(l, &q, &to->qkv[0]);
    lay_packed(l, &k, &to->qkv[1]);
    lay_packed(l, &(hg_cuda_source){.w = &w[HG_V]}, &to->qkv[2]);
    lay_packed(l, &(hg_cuda_source){.w = &w[HG_O]}, &to->o);
    hg_cuda_source gate = {.w = &w[HG_GATE],
                           .pair = &w[HG_UP],
                           .dense = !same_form(&w[HG_GATE], &w[HG_UP]),
                           .order = HG_CUDA_PAIRED};
    lay_packed(l, &gate, &to->gate_up);
    lay_packed(l, &(hg_cuda_source){.w = &w[HG_DOWN]}, &to->down);
}

/* The embedding in the file's form; of a quantised one the card has the hg_linear too. */
static void lay_embedding(layout *l, const hg_matrix *from, hg_matrix *to)
{
    hg_cuda_pool *pool = &l->device->weights;
    *to = *from;
    if (from->type != HG_QUANTISED) {
        to->data = take(l, pool, from->data, matrix_bytes(from));
        return;
    }
    hg_linear w = *(const hg_linear *)from->data;
    size_t values = (size_t)w.rows * w.columns, groups = values / w.group;
    w.codes = take(l, pool, w.codes, values * w.bits / 8);
    w.scales = take(l, pool, w.scales, groups * sizeof *w.scales);
    if (w.offsets) w.offsets = take(l, pool, w.offsets, groups * sizeof *w.offsets);
    if (w.zeros) w.zeros = take(l, pool, w.zeros, groups);
    to->data = take(l, pool, &w, sizeof w);
}

static void lay_head(layout *l, const hg_matrix *from)
{
    hg_linear dense = {.rows = from->rows,
                       .columns = from->columns,
                       .dense = from->data,
                       .dense_type = from->type};
    const hg_linear *w = from->type == HG_QUANTISED ? from->data : &dense;
    lay_packed(l, &(hg_cuda_source){.w = w, .to_int8 = true}, &l->device->head);
}

static void lay_weights(layout *l, const hg_weights *w)
{
    hg_device *d = l->device;
    hg_cuda_pool *pool = &d->weights;
    size_t hidden = w->shape.hidden * sizeof(float);
    lay_head(l, &w->head);
    lay_embedding(l, &w->embedding, &d->embedding);
    if (!pool->counting) hg_release_layer(w, w->shape.layers);
    d->final_norm = take(l, pool, w->final_norm, hidden);
    d->frequency = take(l, pool, w->rope_frequency, w->shape.head_dim / 2 * sizeof(float));
    for (uint32_t i = 0; i < w->shape.layers; i++) {
        const hg_layer *from = &w->layer[i];
        hg_cuda_layer *to = &d->layer[i];
        to->attention_norm = take(l, pool, from->attention_norm, hidden);
        to->mlp_norm = take(l, pool, from->mlp_norm, hidden);
        if (!pool->counting && !l->status) l->status = hg_hold_layer(w, i, l->error);
        if (l->status) return;
        lay_layer(l, from, to);
        if (!pool->counting) hg_release_layer(w, i);
    }
}

static void *take_rows(layout *l, size_t columns, size_t value_bytes)
{
    return take(l, &l->device->workspace, NULL, HG_CUDA_ROWS * columns * value_bytes);
}

/* What blocks leave for each other, as large as the largest launch needs. */
static void lay_exchange(layout *l)
{
    hg_device *d = l->device;
    const hg_shape *s = &d->shape;
    hg_cuda_workspace *w = &d->work;
    hg_cuda_pool *pool = &d->workspace;
    uint32_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
    const uint32_t product[][2] = {/* tiles and columns of a launch */
                                   {hg_cuda_tiles(q) + 2 * hg_cuda_tiles(kv), s->hidden},
                                   {hg_cuda_tiles(s->hidden), q},
                                   {hg_cuda_tiles(2 * s->intermediate), s->hidden},
                                   {hg_cuda_tiles(s->hidden), s->intermediate},
                                   {hg_cuda_tiles(s->vocabulary), s->hidden}};
    uint32_t tiles = 0;
    size_t items = 0;
    for (size_t i = 0; i < sizeof product / sizeof product[0]; i++) {
        size_t chunks = (product[i][1] + HG_CUDA_CHUNK - 1) / HG_CUDA_CHUNK;
        tiles = most(tiles, product[i][0]);
        if (product[i][0] * chunks > items) items = product[i][0] * chunks;
    }
    size_t splits = (d->plan.lane_pages * HG_LIMIT_PAGE_TOKENS + HG_CUDA_SPLIT - 1) / HG_CUDA_SPLIT;
    w->partial = take_rows(l, items * HG_CUDA_TILE, sizeof(float));
    w->attend_partial = take_rows(l, s->heads * splits * (s->head_dim + 2), sizeof(float));
    w->between.h = take_rows(l, (size_t)HG_CUDA_PARTS * HG_LIMIT_ADAPTER_RANK, sizeof(float));
    w->counter = take(l, pool, NULL, (tiles + 1) * sizeof(uint32_t));
    w->attend_counter = take_rows(l, s->kv_heads, sizeof(uint32_t));
    if (pool->counting || l->status) return;
    size_t attend = HG_CUDA_ROWS * s->kv_heads * sizeof(uint32_t);
    l->status = HG_CUDA_TRY(
        d, cudaMemsetAsync(w->counter, 0, (tiles + 1) * sizeof(uint32_t), d->compute), l->error);
    if (!l->status)
        l->status =
            HG_CUDA_TRY(d, cudaMemsetAsync(w->attend_counter, 0, attend, d->compute), l->error);
}

static void lay_workspace(layout *l)
{
    hg_device *d = l->device;
    const hg_shape *s = &d->shape;
    const hg_device_plan *plan = &d->plan;
    hg_cuda_workspace *w = &d->work;
    hg_cuda_pool *pool = &d->workspace;
    w->between.residual.hidden = s->hidden;
    w->between.residual.x = take_rows(l, s->hidden, sizeof(float));
    w->between.residual.square = take_rows(l, hg_cuda_tiles(s->hidden), sizeof(float));
    w->between.q = take_rows(l, (size_t)s->heads * s->head_dim, sizeof(float));
    w->between.attention = take_rows(l, (size_t)s->heads * s->head_dim, sizeof(uint16_t));
    w->between.mlp = take_rows(l, s->intermediate, sizeof(uint16_t));
    w->logits = take_rows(l, s->vocabulary, sizeof(float));
    w->best = take_rows(l, hg_cuda_tiles(s->vocabulary), sizeof(float));
    w->best_id = take_rows(l, hg_cuda_tiles(s->vocabulary), sizeof(int32_t));
    w->choice = take_rows(l, 1, sizeof *w->choice);
    w->pass = take(l, pool, NULL, sizeof *w->pass);
    w->page = take(l, pool, NULL, (size_t)plan->step_lanes * plan->lane_pages * sizeof *w->page);
    w->stop =
        take(l, pool, NULL, (size_t)plan->step_lanes * HG_LIMIT_STOP_TOKENS * sizeof *w->stop);
    w->lora = take(l, pool, NULL,
                   (size_t)plan->adapter_slots * s->layers * HG_PROJECTIONS * sizeof *w->lora);
    lay_exchange(l);
}

static hg_status lay_all(hg_device *d, const hg_weights *weights, bool counting, hg_error *error)
{
    const hg_shape *s = &d->shape;
    size_t page = (size_t)s->layers * 2 * HG_LIMIT_PAGE_TOKENS * s->kv_heads * s->head_dim;
    d->weights = d->pages = d->workspace = d->adapters = (hg_cuda_pool){.counting = counting};
    layout l = {d, error, HG_OK, 0};
    lay_weights(&l, weights);
    lay_workspace(&l);
    if (!l.status) l.status = hg_cuda_chunks_take(d, error);
    d->kv = take(&l, &d->pages, NULL, page * sizeof *d->kv * d->plan.pages);
    d->adapter_room = take(&l, &d->adapters, NULL, d->plan.adapter_bytes);
    if (counting) d->graphs_bytes = hg_cuda_graphs_assumed(s->layers);
    d->unit_bytes = l.unit_bytes;
    return l.status;
}

/* The plan just counted against the operator's bound and what the card has left. */
static hg_status check_plan(hg_device *d, hg_error *error)
{
    size_t need = hg_cuda_held(d);
    hg_device_room room = {0};
    hg_status status = hg_cuda_room(d, &room, error);
    if (status) return status;
    bool bounded = d->memory_bytes && need > d->memory_bytes;
    if (!bounded && need <= room.left_bytes) return HG_OK;
    return hg_fail(error, HG_ERROR_LIMIT,
                   "%s %zu: the plan needs %zu bytes (weights %zu; %u KV pages %zu; adapters %zu; "
                   "workspace of %d rows %zu; graphs %zu): %s, or serve fewer lanes or adapters",
                   bounded ? "--device-memory" : "free memory of the card",
                   bounded ? d->memory_bytes : room.left_bytes, need, d->weights.bytes,
                   d->plan.pages, d->pages.bytes, d->adapters.bytes, HG_CUDA_ROWS,
                   d->workspace.bytes, d->graphs_bytes, bounded ? "allow more" : "free some");
}

/* What the kernels' launches depend on of the card and of the layers' forms. */
static hg_status ask_residency(hg_device *d, hg_error *error)
{
    hg_status status =
        HG_CUDA_TRY(d, hg_cuda_project_residency(d->unit_bytes, &d->residency), error);
    return status ? status : HG_CUDA_TRY(d, hg_cuda_attend_residency(&d->residency), error);
}

/* Captures the graphs and takes down what the card then has less. */
static hg_status make_graphs(hg_device *d, hg_error *error)
{
    hg_device_room before = {0}, after = {0};
    hg_status status = hg_cuda_room(d, &before, error);
    if (!status) status = hg_cuda_capture(d, error);
    if (!status) status = hg_cuda_room(d, &after, error);
    bool less = after.left_bytes < before.left_bytes;
    d->graphs_bytes = less ? before.left_bytes - after.left_bytes : 0;
    return status;
}

void hg_cuda_unload_model(hg_device *d)
{
    for (uint32_t i = 0; d->slot && i < d->plan.adapter_slots; i++) hg_cuda_drop(d, (uint16_t)i);
    for (uint32_t i = 0; i < HG_CUDA_WIDTHS * 2; i++) {
        cudaGraphExec_t *graph = &d->graph[i / 2][i % 2];
        if (*graph) hg_cuda_note(d, cudaGraphExecDestroy(*graph), "cudaGraphExecDestroy");
        *graph = NULL;
    }
    hg_blas_close(&d->chunks.blas);
    d->chunks = (hg_cuda_chunks){0};
    hg_cuda_pool_free(d, &d->weights);
    hg_cuda_pool_free(d, &d->pages);
    hg_cuda_pool_free(d, &d->workspace);
    hg_cuda_pool_free(d, &d->adapters);
    if (d->pass) hg_cuda_note(d, cudaFreeHost(d->pass), "cudaFreeHost");
    if (d->choice) hg_cuda_note(d, cudaFreeHost(d->choice), "cudaFreeHost");
    free(d->slot);
    free(d->layer);
    d->slot = NULL;
    d->layer = NULL;
    d->pass = NULL;
    d->choice = NULL;
    d->graphs_bytes = 0;
    d->loaded = false;
}

static hg_status take_host(hg_device *d, hg_error *error)
{
    const hg_device_plan *plan = &d->plan;
    size_t rows = plan->step_rows + (size_t)plan->chunks * HG_CUDA_CHUNK_ROWS;
    size_t passes = (rows + HG_CUDA_ROWS - 1) / HG_CUDA_ROWS;
    d->slot = calloc(plan->adapter_slots ? plan->adapter_slots : 1, sizeof *d->slot);
    d->layer = calloc(d->shape.layers, sizeof *d->layer);
    if (!d->slot || !d->layer)
        return hg_fail(error, HG_ERROR_MEMORY, "no memory for the CUDA device's tables");
    hg_status status =
        HG_CUDA_TRY(d, cudaMallocHost((void **)&d->pass, passes * sizeof *d->pass), error);
    if (status) return status;
    return HG_CUDA_TRY(d, cudaMallocHost((void **)&d->choice, rows * sizeof *d->choice), error);
}

static hg_status check_shape(const hg_shape *s, hg_error *error)
{
    if (s->head_dim > HG_CUDA_HEAD_DIM_MAX)
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "config.json: head_dim %u, the CUDA device takes up to %d", s->head_dim,
                       HG_CUDA_HEAD_DIM_MAX);
    if (s->hidden % 8 || s->intermediate % 8 || (s->heads * s->head_dim) % 8)
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "config.json: hidden_size %u, intermediate_size %u, attention %u: the CUDA "
                       "device takes multiples of 8; use --device cpu --kernel reference",
                       s->hidden, s->intermediate, s->heads * s->head_dim);
    return HG_OK;
}

hg_status hg_cuda_measure(const hg_weights *weights, const hg_device_plan *plan,
                          hg_device_memory *out, hg_error *error)
{
    hg_device d = {.shape = weights->shape, .plan = *plan};
    hg_status status = check_shape(&d.shape, error);
    if (status) return status;
    d.layer = calloc(d.shape.layers, sizeof *d.layer);
    if (!d.layer) return hg_fail(error, HG_ERROR_MEMORY, "no memory for the CUDA device's tables");
    d.chunks.assumed = true;
    status = lay_all(&d, weights, true, error);
    hg_cuda_memory(&d, out);
    free(d.layer);
    return status;
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
    status = check_shape(s, error);
    if (status) return status;
    d->shape = *s;
    d->plan = *plan;
    status = take_host(d, error);
    if (plan->chunks) (void)hg_blas_open(&d->chunks.blas); /* without it prompts go in passes */
    if (!status) status = lay_all(d, weights, true, error);
    if (!status) status = check_plan(d, error);
    if (!status) status = lay_all(d, weights, false, error);
    /* cudaMemcpy may return before the last bytes arrive, and our streams do not wait for it. */
    if (!status) status = HG_CUDA_TRY(d, cudaDeviceSynchronize(), error);
    if (!status) status = ask_residency(d, error);
    if (!status) status = make_graphs(d, error);
    if (!status && d->chunks.rows) status = hg_cuda_chunks_ready(d, error);
    if (status) {
        hg_cuda_unload_model(d);
        return status;
    }
    d->loaded = true;
    return HG_OK;
}
