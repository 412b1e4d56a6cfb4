/* reference_memory.c: the reference family's memory: workspace, adapters in F32, KV pages.
 *
 * A KV page is [layers, K and V, HG_LIMIT_PAGE_TOKENS, kv_heads * head_dim] F32. The model itself
 * stays where it is: the reference reads the caller's views.
 */
#include <string.h>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/reference.h"

#define PAGE HG_LIMIT_PAGE_TOKENS

static float *take(hg_arena *arena, size_t rows, size_t columns)
{
    return hg_arena_take(arena, rows * columns * sizeof(float));
}

static void layout_workspace(hg_device *d, hg_arena *arena)
{
    const hg_shape *s = &d->weights.shape;
    hg_reference *ref = d->state;
    size_t rows = d->plan.step_rows, q_dim = (size_t)s->heads * s->head_dim;
    size_t kv_dim = (size_t)s->kv_heads * s->head_dim, threads = hg_workers_threads(d->workers);
    ref->widest = s->hidden;
    for (uint32_t p = 0; p < HG_PROJECTIONS; p++)
        if (hg_projection_columns(s, p) > ref->widest) ref->widest = hg_projection_columns(s, p);
    ref->x = take(arena, rows, s->hidden);
    ref->normed = take(arena, rows, s->hidden);
    ref->q = take(arena, rows, q_dim);
    ref->attention = take(arena, rows, q_dim);
    ref->k = take(arena, rows, kv_dim);
    ref->v = take(arena, rows, kv_dim);
    ref->gate = take(arena, rows, s->intermediate);
    ref->up = take(arena, rows, s->intermediate);
    ref->h = take(arena, rows, HG_LIMIT_ADAPTER_RANK);
    ref->logits = take(arena, rows, s->vocabulary);
    ref->weight_row = take(arena, threads, ref->widest);
    ref->score = take(arena, threads, (size_t)d->plan.lane_pages * PAGE);
}

static void layout_model(hg_device *d, hg_arena *arena)
{
    (void)d, (void)arena; /* the reference reads the caller's views */
}

/* Nothing is packed: layers are read where they are, at each step, so all are held. */
static hg_status pack_model(hg_device *d, hg_error *error)
{
    hg_status status = HG_OK;
    for (uint32_t l = 0; !status && l < d->weights.shape.layers; l++)
        status = hg_hold_layer(&d->weights, l, error);
    return status;
}

static void layout_adapter(const hg_device *d, hg_slot *slot, hg_arena *arena)
{
    const hg_shape *s = &d->weights.shape;
    hg_reference_pair *all = hg_arena_take(arena, (size_t)s->layers * HG_PROJECTIONS * sizeof *all);
    slot->pair = all;
    for (uint32_t i = 0; i < s->layers * HG_PROJECTIONS; i++) {
        const hg_lora *lora = &slot->weights->layer[i / HG_PROJECTIONS].pair[i % HG_PROJECTIONS];
        hg_reference_pair own = {.scale = lora->scale, .rank = lora->rank};
        own.a = take(arena, lora->rank, hg_projection_columns(s, i % HG_PROJECTIONS));
        own.b = take(arena, hg_projection_rows(s, i % HG_PROJECTIONS), lora->rank);
        if (all) all[i] = own;
    }
}

static void pack_lora(const hg_device *d, hg_slot *slot, const hg_lora_piece *piece)
{
    (void)d;
    const hg_lora *lora = &slot->weights->layer[piece->layer].pair[piece->projection];
    const hg_reference_pair *all = slot->pair,
                            *own = &all[piece->layer * HG_PROJECTIONS + piece->projection];
    const hg_matrix *m = piece->side ? &lora->b : &lora->a;
    float *to = piece->side ? own->b : own->a;
    for (uint32_t r = piece->row; r < piece->row + HG_BLOCK && r < m->rows; r++)
        hg_matrix_read(m, r, 0, m->columns, to + (size_t)r * m->columns);
}

static size_t page_bytes(const hg_shape *s)
{
    return (size_t)s->layers * 2 * PAGE * s->kv_heads * s->head_dim * sizeof(float);
}

static void copy_page(const hg_device *d, uint32_t from, uint32_t to, uint32_t tokens)
{
    const hg_shape *s = &d->weights.shape;
    size_t part = page_bytes(s) / s->layers / 2, bytes = part / PAGE * tokens;
    for (uint32_t i = 0; i < s->layers * 2; i++)
        memcpy(hg_page(d, to) + i * part, hg_page(d, from) + i * part, bytes);
}

static bool runs_here(void)
{
    return true;
}

const hg_family hg_family_reference = {
    .name = "reference",
    .runs_here = runs_here,
    .state_bytes = sizeof(hg_reference),
    .page_bytes = page_bytes,
    .layout_model = layout_model,
    .layout_workspace = layout_workspace,
    .layout_adapter = layout_adapter,
    .pack_model = pack_model,
    .pack_lora = pack_lora,
    .copy_page = copy_page,
    .forward = hg_reference_forward,
};
