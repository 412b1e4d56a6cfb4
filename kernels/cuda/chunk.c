/* chunk.c: whole chunks of a prompt on the card: their memory, and their way through the layers.
 *
 * Rows of all chunks of a step go through a layer together, so that each panel of weights is
 * widened once; each chunk is a product of its own, of the same shape and algorithm, so that its
 * bits do not depend on how many there are. Nothing is captured: the launches are few beside their
 * work. No row of a chunk is wanted, so the head has no part in it.
 */
#include <string.h>

#include "kernels/cuda/state.h"

#define PASSES_OF_CHUNK (HG_CUDA_CHUNK_ROWS / HG_CUDA_ROWS)

/* One step's chunks; after a failure it does nothing more. */
typedef struct walk {
    hg_device *device;
    hg_error *error;
    hg_cuda_queue queue;
    uint32_t passes;
    bool adapters; /* some row has one */
    hg_status status;
} walk;

/* ---- memory ---- */

/* Tiles of a layer of so many inputs that a panel has room for. */
static uint32_t panel_tiles(uint32_t columns)
{
    uint32_t tiles = HG_CUDA_PANEL_BYTES / (columns * HG_CUDA_TILE * (uint32_t)sizeof(uint16_t));
    return tiles ? tiles : 1;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Asks cuBLASLt for the products of a layer's panels: full ones, and the last. */
static bool prepare(hg_device *d, const hg_cuda_linear *part, uint32_t columns)
{
    uint32_t most = panel_tiles(columns), rest = part->tiles % most;
    hg_blas *blas = &d->chunks.blas;
    bool ok = part->tiles < most ||
              hg_blas_prepare(blas, HG_CUDA_CHUNK_ROWS, columns, most * HG_CUDA_TILE);
    return ok && (!rest || hg_blas_prepare(blas, HG_CUDA_CHUNK_ROWS, columns, rest * HG_CUDA_TILE));
}

static bool prepare_all(hg_device *d)
{
    const hg_cuda_layer *layer = d->layer;
    const hg_shape *s = &d->shape;
    bool ok = true;
    for (int i = 0; i < 3; i++) ok = ok && prepare(d, &layer->qkv[i], s->hidden);
    return ok && prepare(d, &layer->o, s->heads * s->head_dim) &&
           prepare(d, &layer->gate_up, s->hidden) && prepare(d, &layer->down, s->intermediate);
}

/* The most values that a panel has, and the most outputs. */
static void widest_panel(const hg_shape *s, size_t *values, size_t *outs)
{
    uint32_t q = s->heads * s->head_dim;
    const uint32_t size[][2] = {{s->hidden, q},
                                {s->hidden, s->kv_heads * s->head_dim},
                                {q, s->hidden},
                                {s->hidden, 2 * s->intermediate},
                                {s->intermediate, s->hidden}};
    *values = *outs = 0;
    for (size_t i = 0; i < sizeof size / sizeof *size; i++) {
        uint32_t tiles = smaller(panel_tiles(size[i][0]), hg_cuda_tiles(size[i][1]));
        size_t own = (size_t)tiles * HG_CUDA_TILE;
        if (own > *outs) *outs = own;
        if (own * size[i][0] > *values) *values = own * size[i][0];
    }
}

hg_status hg_cuda_chunks_take(hg_device *d, hg_error *error)
{
    hg_cuda_chunks *c = &d->chunks;
    const hg_shape *s = &d->shape;
    uint32_t chunks = d->plan.chunks, rows = chunks * HG_CUDA_CHUNK_ROWS;
    size_t q = (size_t)s->heads * s->head_dim, squares = hg_cuda_tiles(s->hidden);
    size_t values, outs;
    if (!chunks || !(c->blas.library || c->assumed)) return HG_OK;
    widest_panel(s, &values, &outs);
    const struct {
        void *to;
        size_t bytes;
    } block[] = {
        {&c->between.residual.x, rows * s->hidden * sizeof(float)},
        {&c->between.residual.square, rows * squares * sizeof(float)},
        {&c->normed, (size_t)rows * s->hidden * sizeof(uint16_t)},
        {&c->between.attention, rows * q * sizeof(uint16_t)},
        {&c->between.mlp, (size_t)rows * s->intermediate * sizeof(uint16_t)},
        {&c->between.q, rows * q * sizeof(float)},
        {&c->between.h, (size_t)rows * HG_CUDA_PARTS * HG_LIMIT_ADAPTER_RANK * sizeof(float)},
        {&c->product, rows * outs * sizeof(float)},
        {&c->panel, values * sizeof(uint16_t)},
        {&c->workspace, HG_BLAS_WORKSPACE_BYTES},
        {&c->pass, rows / HG_CUDA_ROWS * sizeof *c->pass},
    };
    hg_status status = HG_OK;
    for (size_t i = 0; i < sizeof block / sizeof *block && !status; i++) {
        void *taken = NULL;
        status = hg_cuda_take(d, &d->workspace, block[i].bytes, &taken, error);
        memcpy(block[i].to, &taken, sizeof taken);
    }
    c->between.residual.hidden = s->hidden;
    if (!status) c->rows = rows;
    return status;
}

/* A product of each shape, of whatever stands there: the card loads its kernels now, not in a step,
 * and what cannot be queued shows. */
static bool try_all(const hg_device *d)
{
    const hg_cuda_chunks *c = &d->chunks;
    bool ok = true;
    for (uint32_t i = 0; i < c->blas.shapes && ok; i++) {
        const hg_blas_shape *s = &c->blas.shape[i];
        const uint16_t *x = s->columns == d->shape.hidden         ? c->normed
                            : s->columns == d->shape.intermediate ? c->between.mlp
                                                                  : c->between.attention;
        const hg_blas_operands operands = {x, c->panel, c->product, c->workspace, d->compute};
        ok = hg_blas_multiply(&c->blas, s->columns, s->outs, &operands) == cudaSuccess;
    }
    return ok;
}

hg_status hg_cuda_chunks_ready(hg_device *d, hg_error *error)
{
    if (!prepare_all(d) || !try_all(d)) d->chunks.rows = 0;
    return HG_CUDA_TRY(d, cudaStreamSynchronize(d->compute), error);
}

/* ---- a step's chunks ---- */

/* A panel: widened once, multiplied for each chunk, finished for all rows. */
static void run_panel(walk *w, const hg_cuda_project *p, const hg_cuda_panel *panel)
{
    const hg_cuda_chunks *c = &w->device->chunks;
    uint32_t outs = panel->tiles * HG_CUDA_TILE;
    HG_CUDA_LAUNCH(w, hg_cuda_chunk_widen(&w->queue, p, panel));
    for (uint32_t i = 0; i < w->passes / PASSES_OF_CHUNK; i++) {
        size_t row = (size_t)i * HG_CUDA_CHUNK_ROWS;
        const hg_blas_operands operands = {p->half + row * p->columns, panel->values,
                                           panel->product + row * outs, c->workspace,
                                           w->queue.stream};
        HG_CUDA_LAUNCH(w, hg_blas_multiply(&c->blas, p->columns, outs, &operands));
    }
    HG_CUDA_LAUNCH(w, hg_cuda_chunk_finish(&w->queue, p, panel));
}

/* Layers times the rows of x [rows, p->columns], or with a norm those of the residual stream. */
static void project(walk *w, hg_cuda_project *p)
{
    const hg_cuda_chunks *c = &w->device->chunks;
    if (p->norm) {
        HG_CUDA_LAUNCH(w, hg_cuda_chunk_norm(&w->queue, p, w->passes, c->normed));
        p->half = c->normed;
    }
    if (w->adapters) HG_CUDA_LAUNCH(w, hg_cuda_chunk_shrink(&w->queue, p, w->passes));
    uint32_t most = panel_tiles(p->columns);
    for (uint32_t i = 0; i < p->parts; i++)
        for (uint32_t first = 0; first < p->part[i].tiles; first += most) {
            const hg_cuda_panel panel = {
                i, first, smaller(most, p->part[i].tiles - first), w->passes, c->panel, c->product};
            run_panel(w, p, &panel);
        }
}

/* The rows' attention, in passes: what a pass leaves for its own blocks is the decode path's. */
static void attend(walk *w, uint32_t layer)
{
    const hg_device *d = w->device;
    hg_cuda_attend a = hg_cuda_attend_of(d, layer, &d->chunks.between);
    hg_cuda_queue queue = w->queue;
    size_t values = (size_t)HG_CUDA_ROWS * d->shape.heads * d->shape.head_dim;
    queue.blocks = d->processors * (uint32_t)d->residency.attend;
    for (uint32_t i = 0; i < w->passes; i++, queue.pass++) {
        HG_CUDA_LAUNCH(w, hg_cuda_attend_run(&queue, &a));
        a.q += values;
        a.out += values;
    }
}

static void run_layer(walk *w, uint32_t layer)
{
    hg_cuda_products p = hg_cuda_products_of(w->device, layer, &w->device->chunks.between);
    project(w, &p.qkv);
    attend(w, layer);
    project(w, &p.o);
    project(w, &p.gate_up);
    project(w, &p.down);
}

static void embed(walk *w)
{
    const hg_device *d = w->device;
    hg_cuda_residual to = d->chunks.between.residual;
    hg_cuda_queue queue = w->queue;
    for (uint32_t i = 0; i < w->passes; i++, queue.pass++) {
        HG_CUDA_LAUNCH(w, hg_cuda_embed_run(&queue, &d->embedding, &to));
        to.x += HG_CUDA_ROWS * to.hidden;
        to.square += HG_CUDA_ROWS * hg_cuda_tiles(to.hidden);
    }
}

hg_status hg_cuda_chunks_run(hg_device *d, const hg_cuda_pass *pass, uint32_t rows, hg_error *error)
{
    hg_cuda_chunks *c = &d->chunks;
    walk w = {.device = d,
              .error = error,
              .queue = {.stream = d->compute,
                        .row_tiles = HG_CUDA_ROWS / 8,
                        .lane_pages = d->plan.lane_pages,
                        .pass = c->pass,
                        .page = d->work.page},
              .passes = rows / HG_CUDA_ROWS};
    for (uint32_t i = 0; i < w.passes; i++) w.adapters |= pass[i].rank_most > 0;
    HG_CUDA_LAUNCH(&w, cudaMemcpyAsync(c->pass, pass, w.passes * sizeof *pass,
                                       cudaMemcpyHostToDevice, d->compute));
    embed(&w);
    for (uint32_t layer = 0; layer < d->shape.layers; layer++) run_layer(&w, layer);
    return w.status;
}
