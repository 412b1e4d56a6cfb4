/* int8_pack.c: a whole model into packed form, layer by layer, each shared out over the workers;
 * and pieces of adapters. A layer is held only while it is packed, and of its file only what the
 * workers are about stays in memory.
 */
#include <assert.h>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/int8.h"

#define PACK_BLOCKS 8 /* blocks of an item: some 100 KB of weights */

/* The projections of one layer, or the head. */
typedef struct packing {
    hg_device *device;
    uint32_t layer; /* behind the last: the head */
} packing;

static const hg_packed *target(const packing *p, uint32_t stage)
{
    const hg_int8 *s = p->device->state;
    if (p->layer == p->device->weights.shape.layers) return &s->head;
    return &s->linear[p->layer * HG_PROJECTIONS + stage];
}

static uint32_t pack_items(void *context, uint32_t stage)
{
    uint32_t items = (target(context, stage)->blocks + PACK_BLOCKS - 1) / PACK_BLOCKS;
    return items < HG_WORKERS_ITEMS ? items : HG_WORKERS_ITEMS;
}

/* Rows that were packed are passed. */
static void pass_rows(const hg_weights *weights, const hg_matrix *m, uint32_t row, uint32_t rows)
{
    const hg_linear *linear = m->type == HG_QUANTISED ? m->data : NULL;
    const uint8_t *data = linear ? linear->codes : m->data;
    size_t bits = linear ? linear->bits : 8 * hg_dtype_bytes(m->type);
    size_t row_bytes = m->columns * bits / 8;
    if (row + rows > m->rows) rows = m->rows - row;
    if (weights->source.pass)
        weights->source.pass(weights->source.context, data + row * row_bytes, rows * row_bytes);
}

static void pack_run(void *context, uint32_t stage, uint32_t item, uint32_t worker)
{
    const packing *p = context;
    const hg_weights *weights = &p->device->weights;
    const hg_int8 *s = p->device->state;
    const hg_packed *w = target(p, stage);
    bool planes = w == &s->head && s->head_low.codes;
    hg_matrix from = weights->head;
    if (p->layer < weights->shape.layers)
        from = hg_linear_matrix(&weights->layer[p->layer].linear[stage]);
    uint32_t first, count;
    hg_workers_share(w->blocks, pack_items(context, stage), item, &first, &count);
    for (uint32_t b = first; b < first + count; b++) {
        if (planes)
            hg_planes_put(w, &s->head_low, &from, b, s->thread[worker].scratch);
        else if (from.type == HG_QUANTISED)
            hg_packed_put_linear(w, from.data, b);
        else
            hg_packed_put_matrix(w, &from, 1, b, s->thread[worker].scratch);
    }
    pass_rows(weights, &from, first * HG_BLOCK, count * HG_BLOCK);
}

hg_status hg_int8_pack_model(hg_device *d, hg_error *error)
{
    const hg_weights *weights = &d->weights;
    /* The head, often the largest matrix in the file, while the rest takes no memory yet. */
    for (uint32_t i = 0; i <= weights->shape.layers; i++) {
        packing p = {d, i ? i - 1 : weights->shape.layers};
        hg_status status = hg_hold_layer(weights, p.layer, error);
        if (status) return status;
        hg_work work = {i ? HG_PROJECTIONS : 1, pack_items, pack_run, &p};
        hg_workers_run(d->workers, &work);
        hg_release_layer(weights, p.layer);
    }
    return HG_OK;
}

void hg_int8_pack_lora(const hg_device *d, hg_slot *slot, const hg_lora_piece *piece)
{
    const hg_int8 *s = d->state;
    const hg_lora *lora = &slot->weights->layer[piece->layer].pair[piece->projection];
    const hg_pair8 *all = slot->pair,
                   *pair = &all[piece->layer * HG_PROJECTIONS + piece->projection];
    assert(piece->row % HG_BLOCK == 0);
    hg_packed_put_matrix(piece->side ? &pair->b : &pair->a, piece->side ? &lora->b : &lora->a,
                         HG_LORA_FACTOR, piece->row / HG_BLOCK, s->thread[0].scratch);
}
