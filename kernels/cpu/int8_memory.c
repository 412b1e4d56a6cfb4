/* int8_memory.c: layouts of the fast families' memory, and their KV pages.
 *
 * A page is [layers, kv_heads, K and V] parts of 16 * head_dim F16 each; int8.h says how a part is
 * ordered.
 */
#include <assert.h>
#include <string.h>

#include "kernels/cpu/int8.h"

static_assert(HG_LIMIT_PAGE_TOKENS == 16, "a page's scores are one vector of 16");

/* The first dense layer, or HG_OK. */
static hg_status refuse_dense(const hg_weights *weights, hg_error *error)
{
    static const char *const name[] = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                       "gate_proj", "up_proj", "down_proj"};
    for (uint32_t i = 0; i < weights->shape.layers * HG_PROJECTIONS; i++) {
        uint32_t l = i / HG_PROJECTIONS, p = i % HG_PROJECTIONS;
        if (!weights->layer[l].linear[p].bits)
            return hg_fail(error, HG_ERROR_UNSUPPORTED,
                           "layer %u: %s is not quantised, which the vectorised kernels need: give "
                           "--quantize int8 or int4, quantise the model with `hydraglot model "
                           "quantize`, or use --kernel reference",
                           l, name[p]);
    }
    return HG_OK;
}

hg_status hg_int8_check(const hg_weights *weights, const hg_device_plan *plan, hg_error *error)
{
    const hg_shape *s = &weights->shape;
    const struct {
        const char *name;
        uint32_t value;
    } widths[] = {{"head_dim", s->head_dim},
                  {"hidden_size", s->hidden},
                  {"intermediate_size", s->intermediate}};
    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++)
        if (widths[i].value % 16)
            return hg_fail(error, HG_ERROR_UNSUPPORTED,
                           "%s %u is no multiple of 16, which the vectorised kernels need; use "
                           "--kernel reference",
                           widths[i].name, widths[i].value);
    return plan->dense_bits ? HG_OK : refuse_dense(weights, error);
}

static size_t part_bytes(const hg_shape *shape)
{
    return (size_t)HG_LIMIT_PAGE_TOKENS * shape->head_dim * sizeof(uint16_t);
}

size_t hg_int8_page_bytes(const hg_shape *shape)
{
    return (size_t)shape->layers * shape->kv_heads * 2 * part_bytes(shape);
}

void hg_int8_copy_page(const hg_device *d, uint32_t from, uint32_t to, uint32_t tokens)
{
    const hg_shape *shape = &d->weights.shape;
    size_t part = part_bytes(shape);
    const uint8_t *source = hg_page(d, from);
    uint8_t *target = hg_page(d, to);
    for (uint32_t i = 0; i < shape->layers * shape->kv_heads; i++) {
        for (uint32_t e = 0; e < shape->head_dim; e++) { /* K: 16 tokens of each element */
            size_t at = e * HG_LIMIT_PAGE_TOKENS * sizeof(uint16_t);
            memcpy(target + at, source + at, tokens * sizeof(uint16_t));
        }
        memcpy(target + part, source + part, part / HG_LIMIT_PAGE_TOKENS * tokens);
        source += 2 * part;
        target += 2 * part;
    }
}

static hg_input input_of(uint32_t projection)
{
    switch (projection) {
    case HG_O: return HG_IN_O;
    case HG_GATE:
    case HG_UP: return HG_IN_GATE_UP;
    case HG_DOWN: return HG_IN_DOWN;
    default: return HG_IN_QKV;
    }
}

static bool needs_group16(const hg_linear *w)
{
    return w->columns % 32 || (w->bits && w->group == 16);
}

/* The group in which the products of one input are packed and their rows quantised: 32, or 16 when
 * one of them comes in groups of 16, or when groups of 32 would cross from KV head to KV head. The
 * inputs of O and DOWN, which no norm has evened out, get finer groups too, unless these would add
 * to the bytes of a model of coarse groups. */
static uint16_t input_group(const hg_shape *shape, const hg_layer *layer, hg_input input)
{
    uint32_t share = shape->heads / shape->kv_heads * shape->head_dim;
    if (input == HG_IN_O && (share % 32 || layer->linear[HG_O].group <= 32)) return 16;
    if (input == HG_IN_DOWN && layer->linear[HG_DOWN].group <= 32) return 16;
    for (uint32_t p = 0; p < HG_PROJECTIONS; p++)
        if (input_of(p) == input && needs_group16(&layer->linear[p])) return 16;
    return 32;
}

/* A quantised head keeps its codes; one of floats gets 8 bits. What has 8 bits stands as two
 * planes, unless it has offsets. */
static void layout_head(hg_device *d, hg_arena *arena)
{
    hg_int8 *s = d->state;
    const hg_matrix *m = &d->weights.head;
    const hg_linear *from = m->type == HG_QUANTISED ? m->data : NULL;
    bool small = from ? needs_group16(from) : m->columns % 32 != 0;
    bool offsets = from && (from->offsets || from->zeros);
    hg_packed head = {.rows = m->rows, .group = small ? 16 : 32, .bits = from ? from->bits : 8};
    head.share = from ? (uint8_t)(from->group / head.group) : 1;
    s->head_low = (hg_packed){0};
    d->logits_bytes = 0;
    if (head.bits == 8 && !offsets) {
        head.bits = 4;
        hg_planes_layout(&head, &s->head_low, m->columns, arena);
        d->logits_bytes = (size_t)head.blocks * HG_BLOCK * m->columns / 2;
    } else {
        hg_packed_layout(&head, m->columns, offsets, arena);
    }
    s->head = head;
}

void hg_int8_layout_model(hg_device *d, hg_arena *arena)
{
    hg_int8 *s = d->state;
    const hg_shape *shape = &d->weights.shape;
    s->linear = hg_arena_take(arena, sizeof *s->linear * shape->layers * HG_PROJECTIONS);
    s->group = hg_arena_take(arena, sizeof *s->group * shape->layers * HG_INPUTS);
    for (uint32_t l = 0; l < shape->layers; l++) {
        const hg_layer *layer = &d->weights.layer[l];
        for (uint32_t p = 0; p < HG_PROJECTIONS; p++) {
            const hg_linear *from = &layer->linear[p];
            uint16_t group = input_group(shape, layer, input_of(p));
            hg_packed w = {.rows = from->rows, .group = group, .bits = from->bits};
            w.share = from->bits ? (uint8_t)(from->group / group) : 1;
            if (!from->bits) w.bits = d->plan.dense_bits;
            hg_packed_layout(&w, from->columns, from->offsets || from->zeros, arena);
            if (!arena->base) continue;
            s->linear[l * HG_PROJECTIONS + p] = w;
            s->group[l * HG_INPUTS + input_of(p)] = group;
        }
    }
    layout_head(d, arena);
}

static hg_rows8 take_rows8(hg_arena *arena, size_t rows, uint32_t columns)
{
    hg_rows8 out = {.columns = (columns + 63) / 64 * 64};
    out.q = hg_arena_take(arena, rows * out.columns);
    out.group = hg_arena_take(arena, rows * (out.columns / 16) * sizeof *out.group);
    return out;
}

static hg_tile_group *take_tile_groups(hg_arena *arena, size_t rows, uint32_t columns)
{
    size_t tiles = (rows + HG_TILE - 1) / HG_TILE;
    return hg_arena_take(arena, tiles * (columns / 16) * sizeof(hg_tile_group));
}

static hg_tiles take_tiles(hg_arena *arena, size_t rows, uint32_t columns)
{
    hg_tiles out = {0};
    size_t tiles = (rows + HG_TILE - 1) / HG_TILE;
    out.q = hg_arena_take(arena, tiles * HG_TILE * columns);
    out.group = take_tile_groups(arena, rows, columns);
    return out;
}

static uint32_t larger(uint32_t a, uint32_t b)
{
    return a > b ? a : b;
}

void hg_int8_layout_workspace(hg_device *d, hg_arena *arena)
{
    hg_int8 *s = d->state;
    const hg_shape *shape = &d->weights.shape;
    size_t rows = d->plan.step_rows, f = sizeof(float), threads = hg_workers_threads(d->workers);
    uint32_t q_dim = shape->heads * shape->head_dim, share = q_dim / shape->kv_heads;
    /* With KV heads for all threads, each takes its own through all of attention. */
    bool together = shape->kv_heads % threads == 0;
    s->widest = larger(larger(shape->hidden, shape->intermediate), q_dim);
    s->x = hg_arena_take(arena, rows * shape->hidden * f);
    if (!together) s->q = hg_arena_take(arena, rows * q_dim * f);
    s->cosine = hg_arena_take(arena, rows * (shape->head_dim / 2) * f);
    s->sine = hg_arena_take(arena, rows * (shape->head_dim / 2) * f);
    s->in = take_rows8(arena, rows, shape->hidden);
    s->mid = take_rows8(arena, rows, s->widest);
    for (int i = 0; i < 3; i++) s->h[i] = take_rows8(arena, rows, HG_LIMIT_ADAPTER_RANK);
    s->run = hg_arena_take(arena, rows * sizeof *s->run);
    s->wanted = hg_arena_take(arena, rows * sizeof *s->wanted);
    s->logits_row = hg_arena_take(arena, rows * sizeof *s->logits_row);
    /* A thread's scratch serves, one after another: a decoded or normed row; h of a run; K or V of
     * a head; output and scores of a tile of heads; gate and up; logits of a chunk of the head; a
     * normed row and a row of the head. */
    uint32_t h = (uint32_t)rows * larger(HG_LIMIT_ADAPTER_RANK, shape->head_dim);
    uint32_t score = share + HG_HEAD_TILE * d->plan.lane_pages * HG_LIMIT_PAGE_TOKENS;
    uint32_t logits = (uint32_t)rows * HG_HEAD_CHUNK * HG_BLOCK; /* or 2 blocks of gate and up */
    s->scratch_floats = larger(larger(2 * s->widest, h), larger(score, logits));
    s->thread = hg_arena_take(arena, threads * sizeof *s->thread);
    for (size_t i = 0; i < threads; i++) {
        hg_thread8 thread = {.scratch = hg_arena_take(arena, s->scratch_floats * f)};
        if (together) thread.q = hg_arena_take(arena, rows * share * f);
        thread.in = take_tiles(arena, rows, s->widest);
        thread.best = hg_arena_take(arena, rows * HG_HEAD_BEST * sizeof *thread.best);
        thread.rest.group = take_tile_groups(arena, rows, shape->hidden);
        thread.h = take_tiles(arena, rows, HG_LIMIT_ADAPTER_RANK);
        if (arena->base) s->thread[i] = thread;
    }
}

void hg_int8_layout_adapter(const hg_device *d, hg_slot *slot, hg_arena *arena)
{
    const hg_int8 *s = d->state;
    const hg_shape *shape = &d->weights.shape;
    hg_pair8 *all = hg_arena_take(arena, sizeof *all * shape->layers * HG_PROJECTIONS);
    slot->pair = all;
    for (uint32_t i = 0; i < shape->layers * HG_PROJECTIONS; i++) {
        uint32_t l = i / HG_PROJECTIONS, p = i % HG_PROJECTIONS;
        const hg_lora *lora = &slot->weights->layer[l].pair[p];
        if (!lora->rank) continue; /* the mapping is zero: rank 0 */
        hg_pair8 pair = {.rank = (lora->rank + HG_BLOCK - 1) / HG_BLOCK * HG_BLOCK};
        pair.factor = lora->scale / (HG_LORA_FACTOR * HG_LORA_FACTOR);
        pair.a = (hg_packed){.rows = pair.rank, .share = 1, .bits = 8};
        pair.a.group = s->group[l * HG_INPUTS + input_of(p)];
        pair.b = (hg_packed){.rows = hg_projection_rows(shape, p), .share = 1, .bits = 8};
        pair.b.group = pair.rank % 32 ? 16 : 32;
        hg_packed_layout(&pair.a, hg_projection_columns(shape, p), false, arena);
        hg_packed_layout(&pair.b, pair.rank, false, arena);
        if (all) all[i] = pair;
    }
}
