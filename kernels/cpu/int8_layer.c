/* int8_layer.c: the parts of a layer that an item computes.
 *
 * What one thread writes another reads a stage later, line by line across the processor, and that
 * costs more than the arithmetic of a small model: so only the residual stream, quantised rows and
 * h = A x are shared. What lies between a product and the quantisation of its result stays in the
 * thread's own memory.
 */
#include <assert.h>

#include "kernels/cpu/int8_item.h"

/* The projections of an input are those from first on. */
static const struct {
    uint8_t first, count;
} projections_of[HG_INPUTS] = {{HG_Q, 3}, {HG_O, 1}, {HG_GATE, 2}, {HG_DOWN, 1}};

static const hg_rows8 *rows_of(const hg_int8 *s, hg_input input)
{
    return input == HG_IN_O || input == HG_IN_DOWN ? &s->mid : &s->in;
}

static const hg_pair8 *slot_pair(const hg_item *it, uint16_t slot, uint32_t projection)
{
    const hg_pair8 *all = it->device->slot[slot].pair;
    return &all[it->layer * HG_PROJECTIONS + projection];
}

const hg_tiles *hg_item_gather(const hg_item *it, const hg_rows8 *from, uint32_t rows,
                               const hg_packed *w)
{
    uint64_t stage = it->s->steps << 16 | it->stage;
    if (it->thread->gathered != stage) hg_tiles_gather(&it->thread->in, from, 0, rows, w);
    it->thread->gathered = stage;
    return &it->thread->in;
}

/* ---- rows: quantise and shrink ---- */

/* h = A x of rows [from, to), all of one slot, whose x the thread has gathered. */
static void shrink(const hg_item *it, const hg_pair8 *pair, const hg_rows8 *h, uint32_t from,
                   uint32_t to)
{
    const hg_int8 *s = it->s;
    hg_product p = {.w = &pair->a,
                    .blocks = pair->a.blocks,
                    .x = &it->thread->in,
                    .rows = to - from,
                    .y = it->thread->scratch,
                    .y_stride = pair->rank};
    s->ops->linear(&p);
    for (uint32_t r = from; r < to; r++)
        s->ops->quantise(it->thread->scratch + (size_t)(r - from) * pair->rank, pair->rank,
                         pair->b.group, pair->factor, h->q + (size_t)r * h->columns,
                         h->group + (size_t)r * (h->columns / 16));
}

void hg_item_shrink_rows(const hg_item *it, hg_input input)
{
    const hg_int8 *s = it->s;
    uint32_t projection = projections_of[input].first, end = it->first + it->count;
    const hg_packed *w = &s->linear[it->layer * HG_PROJECTIONS + projection];
    for (uint32_t i = 0; i < s->runs; i++) {
        const hg_run *run = &s->run[i];
        uint32_t from = run->row > it->first ? run->row : it->first;
        uint32_t to = run->row + run->rows < end ? run->row + run->rows : end;
        if (run->slot == HG_NO_SLOT || from >= to) continue;
        const hg_pair8 *pair = slot_pair(it, run->slot, projection);
        hg_tiles_gather(&it->thread->in, rows_of(s, input), from, to - from, w);
        for (uint32_t j = 0; j < projections_of[input].count; j++)
            if (pair[j].rank) shrink(it, &pair[j], &s->h[j], from, to);
    }
    it->thread->gathered = 0; /* in holds these rows, not the stage's */
}

void hg_item_norm_row(const hg_item *it, const float *x, const float *weight, uint32_t group,
                      uint32_t to)
{
    const hg_int8 *s = it->s;
    const hg_shape *shape = &it->device->weights.shape;
    s->ops->norm(it->thread->scratch, x, weight, shape->hidden, shape->rms_epsilon);
    s->ops->quantise(it->thread->scratch, shape->hidden, group, 1,
                     s->in.q + (size_t)to * s->in.columns,
                     s->in.group + (size_t)to * (s->in.columns / 16));
}

void hg_item_norm_rows(const hg_item *it, hg_input input)
{
    const hg_int8 *s = it->s;
    const hg_layer *layer = &it->device->weights.layer[it->layer];
    const float *weight = input == HG_IN_QKV ? layer->attention_norm : layer->mlp_norm;
    uint32_t group = s->group[it->layer * HG_INPUTS + input];
    for (uint32_t r = it->first; r < it->first + it->count; r++)
        hg_item_norm_row(it, s->x + (size_t)r * it->device->weights.shape.hidden, weight, group, r);
    hg_item_shrink_rows(it, input);
}

/* ---- products ---- */

/* A product of some blocks of a projection and where it goes. */
typedef struct projecting {
    uint32_t projection, block, blocks;
    float *y; /* [step_rows, width] */
    size_t width;
    bool add; /* to what is there */
} projecting;

/* y (+)= W x + B h for all rows of the step; h is what shrink made of x. */
static void project(const hg_item *it, const projecting *to)
{
    const hg_int8 *s = it->s;
    uint32_t projection = to->projection;
    hg_input input = projection <= HG_V    ? HG_IN_QKV
                     : projection == HG_O  ? HG_IN_O
                     : projection <= HG_UP ? HG_IN_GATE_UP
                                           : HG_IN_DOWN;
    const hg_packed *w = &s->linear[it->layer * HG_PROJECTIONS + projection];
    hg_product p = {.w = w,
                    .block = to->block,
                    .blocks = to->blocks,
                    .x = hg_item_gather(it, rows_of(s, input), s->step->rows, w),
                    .rows = s->step->rows,
                    .add = to->add,
                    .y = to->y,
                    .y_stride = to->width};
    s->ops->linear(&p);
    p.add = true;
    p.x = &it->thread->h;
    for (uint32_t i = 0; i < s->runs; i++) {
        const hg_run *run = &s->run[i];
        if (run->slot == HG_NO_SLOT) continue;
        const hg_pair8 *pair = slot_pair(it, run->slot, projection);
        if (!pair->rank) continue;
        const hg_rows8 *h = &s->h[projection - projections_of[input].first];
        hg_tiles_gather(&it->thread->h, h, run->row, run->rows, &pair->b);
        p.w = &pair->b;
        p.rows = run->rows;
        p.y = to->y + run->row * to->width;
        s->ops->linear(&p);
    }
}

void hg_item_add_blocks(const hg_item *it, uint32_t projection)
{
    uint32_t hidden = it->device->weights.shape.hidden;
    float *y = it->s->x + (size_t)it->first * HG_BLOCK;
    project(it, &(projecting){projection, it->first, it->count, y, hidden, true});
}

void hg_item_gate_up(const hg_item *it)
{
    const hg_int8 *s = it->s;
    uint32_t group = s->group[it->layer * HG_INPUTS + HG_IN_DOWN], rows = s->step->rows;
    uint32_t unit = group / HG_BLOCK, block = it->first * unit, end = block + it->count * unit;
    /* As many columns at a time as the scratch holds of gate and up. */
    uint32_t fit = s->scratch_floats / (2 * rows * group) * unit, blocks;
    assert(fit > 0);
    for (; block < end; block += blocks) {
        blocks = fit < end - block ? fit : end - block;
        size_t width = (size_t)blocks * HG_BLOCK, column = (size_t)block * HG_BLOCK;
        float *gate = it->thread->scratch, *up = gate + rows * width;
        project(it, &(projecting){HG_GATE, block, blocks, gate, width, false});
        project(it, &(projecting){HG_UP, block, blocks, up, width, false});
        s->ops->swiglu(gate, up, (uint32_t)(rows * width));
        for (uint32_t r = 0; r < rows; r++)
            s->ops->quantise(gate + r * width, (uint32_t)width, group, 1,
                             s->mid.q + (size_t)r * s->mid.columns + column,
                             s->mid.group + (size_t)r * (s->mid.columns / 16) + column / group);
    }
}

/* ---- attention ---- */

/* Turns each pair (i, i + head_dim / 2) of one head. */
static void rope(float *head, const float *cosine, const float *sine, uint32_t half)
{
    for (uint32_t i = 0; i < half; i++) {
        float a = head[i], b = head[i + half];
        head[i] = a * cosine[i] - b * sine[i];
        head[i + half] = b * cosine[i] + a * sine[i];
    }
}

/* The part of a row's page that holds its K for a layer and KV head; V's part follows. */
static uint16_t *kv_part(const hg_item *it, const hg_row *row, uint32_t kv_head)
{
    const hg_device *d = it->device;
    const hg_shape *shape = &d->weights.shape;
    uint32_t index = row->position / HG_LIMIT_PAGE_TOKENS;
    uint32_t page = it->s->step->page[(size_t)row->lane * d->plan.lane_pages + index];
    size_t part = (size_t)HG_LIMIT_PAGE_TOKENS * shape->head_dim;
    uint16_t *base = (uint16_t *)(void *)hg_page(d, page);
    return base + ((size_t)it->layer * shape->kv_heads + kv_head) * 2 * part;
}

/* The query heads of a KV head, [step_rows, heads / kv_heads * head_dim]. */
static float *queries(const hg_item *it, uint32_t kv_head)
{
    const hg_shape *shape = &it->device->weights.shape;
    size_t width = (size_t)shape->heads / shape->kv_heads * shape->head_dim;
    if (it->thread->q) return it->thread->q;
    return it->s->q + kv_head * it->device->plan.step_rows * width;
}

void hg_item_project_head(const hg_item *it, uint32_t unit)
{
    const hg_int8 *s = it->s;
    const hg_shape *shape = &it->device->weights.shape;
    uint32_t dim = shape->head_dim, share = shape->heads / shape->kv_heads;
    uint32_t kv_head = unit / (share + 2), head = unit % (share + 2);
    projecting to = {.blocks = dim / HG_BLOCK, .y = it->thread->scratch, .width = dim};
    to.projection = head < share ? HG_Q : head == share ? HG_K : HG_V;
    to.block = (head < share ? kv_head * share + head : kv_head) * to.blocks;
    if (head < share) {
        to.y = queries(it, kv_head) + (size_t)head * dim;
        to.width = (size_t)share * dim;
    }
    project(it, &to);
    for (uint32_t r = 0; r < s->step->rows; r++) {
        const hg_row *row = &s->step->row[r];
        float *own = to.y + r * to.width;
        size_t angle = (size_t)r * (dim / 2);
        uint32_t token = row->position % HG_LIMIT_PAGE_TOKENS;
        uint16_t *part = kv_part(it, row, kv_head);
        if (to.projection != HG_V) rope(own, s->cosine + angle, s->sine + angle, dim / 2);
        if (to.projection == HG_K) s->ops->store_k(part, own, dim, token);
        if (to.projection == HG_V)
            s->ops->store_v(part + (size_t)HG_LIMIT_PAGE_TOKENS * dim, own, dim, token);
    }
}

void hg_item_attend(const hg_item *it, uint32_t r, uint32_t kv_head)
{
    const hg_int8 *s = it->s;
    const hg_device *d = it->device;
    const hg_shape *shape = &d->weights.shape;
    uint32_t share = shape->heads / shape->kv_heads, width = share * shape->head_dim;
    uint32_t group = s->group[it->layer * HG_INPUTS + HG_IN_O];
    const hg_row *row = &s->step->row[r];
    size_t part = (size_t)HG_LIMIT_PAGE_TOKENS * shape->head_dim * sizeof(uint16_t);
    hg_attention job = {
        .q = queries(it, kv_head) + (size_t)r * width,
        .out = it->thread->scratch,
        .heads = share,
        .head_dim = shape->head_dim,
        .positions = row->position + 1,
        .pages = d->pages.base + ((size_t)it->layer * shape->kv_heads + kv_head) * 2 * part,
        .page_bytes = d->page_bytes,
        .page = s->step->page + (size_t)row->lane * d->plan.lane_pages,
        .score = it->thread->scratch + width,
    };
    s->ops->attention(&job);
    size_t column = (size_t)kv_head * width;
    s->ops->quantise(job.out, width, group, 1, s->mid.q + (size_t)r * s->mid.columns + column,
                     s->mid.group + (size_t)r * (s->mid.columns / 16) + column / group);
}

void hg_item_attend_head(const hg_item *it, uint32_t kv_head)
{
    const hg_shape *shape = &it->device->weights.shape;
    uint32_t units = shape->heads / shape->kv_heads + 2;
    for (uint32_t i = 0; i < units; i++) hg_item_project_head(it, kv_head * units + i);
    for (uint32_t r = 0; r < it->s->step->rows; r++) hg_item_attend(it, r, kv_head);
}
