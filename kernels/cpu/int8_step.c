/* int8_step.c: one step of the transformer as stages for the workers.
 *
 * Rows are normed, quantised and shrunk (A x of their adapters) by one item each; products are cut
 * by output blocks, attention by KV heads, and by rows where there are more threads than KV heads.
 * No sum is ever cut, so results depend neither on the number of threads nor on who ran what. The
 * last stages norm the wanted rows, run the head and settle their tokens (int8_head.c).
 */
#include <math.h>
#include <string.h>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/int8_item.h"

typedef enum stage_kind {
    ROWS_QKV,     /* embed (first layer), norm, quantise, shrink */
    KV_HEADS,     /* products, rope, K and V into pages, attention: or, with more threads, */
    HEADS_QKV,    /* all of it but attention, */
    ATTENTION,    /* and attention */
    ROWS_O,       /* shrink; left out, like ROWS_DOWN, in steps without adapters */
    BLOCKS_O,     /* and the residual */
    ROWS_GATE_UP, /* norm, quantise, shrink */
    BLOCKS_GATE_UP,
    ROWS_DOWN,
    BLOCKS_DOWN,
    LAYER_STAGES,
    ROWS_HEAD = LAYER_STAGES, /* final norm of the wanted rows */
    BLOCKS_HEAD,
    ROWS_SETTLE,
    LAST_STAGES = ROWS_SETTLE + 1 - ROWS_HEAD, /* behind the layers */
} stage_kind;

static void embed_rows(const hg_item *it)
{
    const hg_weights *w = &it->device->weights;
    hg_int8 *s = it->s;
    uint32_t half = w->shape.head_dim / 2;
    for (uint32_t r = it->first; r < it->first + it->count; r++) {
        const hg_row *row = &s->step->row[r];
        hg_matrix_read(&w->embedding, (size_t)row->token, 0, w->shape.hidden,
                       s->x + (size_t)r * w->shape.hidden);
        for (uint32_t i = 0; i < half; i++) {
            float angle = (float)row->position * w->rope_frequency[i];
            s->cosine[(size_t)r * half + i] = cosf(angle);
            s->sine[(size_t)r * half + i] = sinf(angle);
        }
    }
}

/* ---- stages ---- */

static stage_kind kind_of(const hg_device *d, uint32_t stage)
{
    uint32_t layers = d->weights.shape.layers * LAYER_STAGES;
    return stage < layers ? stage % LAYER_STAGES : ROWS_HEAD + stage - layers;
}

static uint32_t stage_units(const hg_device *d, uint32_t stage)
{
    const hg_shape *shape = &d->weights.shape;
    const hg_int8 *s = d->state;
    uint32_t rows = s->step->rows, layer = stage / LAYER_STAGES;
    bool together = s->q == NULL;
    switch (kind_of(d, stage)) {
    case KV_HEADS: return together ? shape->kv_heads : 0;
    case HEADS_QKV: return together ? 0 : shape->heads + 2 * shape->kv_heads;
    case ATTENTION: return together ? 0 : rows * shape->kv_heads;
    case ROWS_O:
    case ROWS_DOWN: return s->adapted ? rows : 0;
    case BLOCKS_O:
    case BLOCKS_DOWN: return shape->hidden / HG_BLOCK;
    case BLOCKS_GATE_UP: return shape->intermediate / s->group[layer * HG_INPUTS + HG_IN_DOWN];
    case ROWS_HEAD:
    case ROWS_SETTLE: return s->wants;
    case BLOCKS_HEAD: return s->wants ? s->head.blocks : 0;
    default: return rows;
    }
}

static uint32_t step_items(void *context, uint32_t stage)
{
    const hg_device *d = context;
    uint32_t units = stage_units(d, stage), threads = hg_workers_threads(d->workers);
    /* A few items a thread: enough to even out, few enough to cost nothing. */
    uint32_t items = threads == 1 ? 1 : 4 * threads;
    return units < items ? units : items;
}

static void run_item(const hg_item *it)
{
    uint32_t kv_heads = it->device->weights.shape.kv_heads, end = it->first + it->count;
    switch (kind_of(it->device, it->stage)) {
    case ROWS_QKV:
        if (it->layer == 0) embed_rows(it);
        hg_item_norm_rows(it, HG_IN_QKV);
        break;
    case KV_HEADS:
        for (uint32_t unit = it->first; unit < end; unit++) hg_item_attend_head(it, unit);
        break;
    case HEADS_QKV:
        for (uint32_t unit = it->first; unit < end; unit++) hg_item_project_head(it, unit);
        break;
    case ATTENTION:
        for (uint32_t unit = it->first; unit < end; unit++)
            hg_item_attend(it, unit / kv_heads, unit % kv_heads);
        break;
    case ROWS_O: hg_item_shrink_rows(it, HG_IN_O); break;
    case BLOCKS_O: hg_item_add_blocks(it, HG_O); break;
    case ROWS_GATE_UP: hg_item_norm_rows(it, HG_IN_GATE_UP); break;
    case BLOCKS_GATE_UP: hg_item_gate_up(it); break;
    case ROWS_DOWN: hg_item_shrink_rows(it, HG_IN_DOWN); break;
    case BLOCKS_DOWN: hg_item_add_blocks(it, HG_DOWN); break;
    case ROWS_HEAD: hg_item_norm_wanted(it); break;
    case BLOCKS_HEAD: hg_item_head_blocks(it); break;
    case ROWS_SETTLE: hg_item_settle_tokens(it); break;
    }
}

static void step_run(void *context, uint32_t stage, uint32_t index, uint32_t worker)
{
    hg_device *d = context;
    hg_int8 *s = d->state;
    hg_item it = {.device = d, .s = s, .thread = &s->thread[worker], .stage = stage};
    it.layer = stage / LAYER_STAGES;
    hg_workers_share(stage_units(d, stage), step_items(d, stage), index, &it.first, &it.count);
    run_item(&it);
}

/* Lists the runs of equal slots and the wanted rows. */
static void survey_step(hg_int8 *s, const hg_step *step)
{
    s->runs = s->wants = s->logits = 0;
    s->adapted = false;
    for (uint32_t r = 0; r < step->rows; r++) {
        const hg_row *row = &step->row[r];
        s->adapted |= row->slot != HG_NO_SLOT;
        if (r && row->slot == row[-1].slot)
            s->run[s->runs - 1].rows++;
        else
            s->run[s->runs++] = (hg_run){r, 1, row->slot};
        if (!row->want && !row->want_logits) continue;
        s->logits_row[s->wants] = row->want_logits ? s->logits++ : UINT32_MAX;
        s->wanted[s->wants++] = r;
    }
}

void hg_int8_forward(hg_device *d, const hg_int8_ops *ops, const hg_step *step,
                     const hg_result *result)
{
    hg_int8 *s = d->state;
    s->ops = ops;
    s->step = step;
    s->result = result;
    s->steps++;
    survey_step(s, step);
    uint32_t stages = d->weights.shape.layers * LAYER_STAGES + LAST_STAGES;
    hg_work work = {stages, step_items, step_run, d};
    hg_workers_run(d->workers, &work);
}
