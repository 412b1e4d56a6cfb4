/* int8_pack.c: a whole model into packed form, shared out over the workers, and pieces of adapters.
 */
#include <assert.h>

#include "kernels/cpu/int8.h"

#define PACK_BLOCKS 8 /* blocks of an item: some 100 KB of weights */

static uint32_t pack_items(void *context, uint32_t stage)
{
    const hg_device *d = context;
    const hg_int8 *s = d->state;
    uint32_t matrices = d->weights.shape.layers * HG_PROJECTIONS;
    uint32_t blocks = stage < matrices ? s->linear[stage].blocks : s->head.blocks;
    uint32_t items = (blocks + PACK_BLOCKS - 1) / PACK_BLOCKS;
    return items < HG_WORKERS_ITEMS ? items : HG_WORKERS_ITEMS;
}

static void pack_run(void *context, uint32_t stage, uint32_t item, uint32_t worker)
{
    const hg_device *d = context;
    const hg_int8 *s = d->state;
    bool head = stage == d->weights.shape.layers * HG_PROJECTIONS;
    const hg_packed *w = head ? &s->head : &s->linear[stage];
    const hg_layer *layer = &d->weights.layer[stage / HG_PROJECTIONS];
    uint32_t first, count;
    hg_workers_share(w->blocks, pack_items(context, stage), item, &first, &count);
    for (uint32_t b = first; b < first + count; b++) {
        if (head)
            hg_packed_put_matrix(w, &d->weights.head, 1, b, s->thread[worker].scratch);
        else
            hg_packed_put_linear(w, &layer->linear[stage % HG_PROJECTIONS], b);
    }
}

void hg_int8_pack_model(hg_device *d)
{
    hg_work work = {d->weights.shape.layers * HG_PROJECTIONS + 1, pack_items, pack_run, d};
    hg_workers_run(d->workers, &work);
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
