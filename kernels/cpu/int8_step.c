/* int8_step.c: one step of the transformer as stages for the workers.
 *
 * Nine stages a layer: rows are normed, quantised and shrunk (A x of their adapters) by one item
 * each, products are cut by output blocks, attention by rows and KV heads. No sum is ever cut, so
 * results depend neither on the number of threads nor on who ran what. The last stages norm the
 * wanted rows and run the head, whose items keep their best token so far.
 */
#include <assert.h>
#include <math.h>
#include <string.h>

#include "kernels/cpu/convert.h"
#include "kernels/cpu/int8.h"

typedef enum stage_kind {
    ROWS_QKV,  /* embed (first layer), norm, quantise, shrink */
    HEADS_QKV, /* products, rope, K and V into pages */
    ATTENTION,
    ROWS_O, /* quantise, shrink */
    BLOCKS_O,
    ROWS_GATE_UP,
    BLOCKS_GATE_UP, /* products, SwiGLU */
    ROWS_DOWN,
    BLOCKS_DOWN,
    LAYER_STAGES,
    ROWS_HEAD = LAYER_STAGES, /* final norm of the wanted rows */
    BLOCKS_HEAD,
} stage_kind;

/* What an item works on. */
typedef struct item {
    hg_device *device;
    hg_int8 *s;
    hg_thread8 *thread;
    uint32_t stage, layer;
    uint32_t first, count; /* units: rows, heads, blocks */
} item;

/* ---- rows: quantise and shrink ---- */

static void quantise_row(const hg_int8 *s, const float *x, uint32_t columns, uint32_t group,
                         uint32_t row)
{
    s->ops->quantise(x, columns, group, 1, s->in.q + (size_t)row * s->in.columns,
                     s->in.group + (size_t)row * (s->in.columns / 16));
}

/* h = A x of rows [from, to), all of one slot, whose x the thread has gathered. */
static void shrink(const item *it, const hg_pair8 *pair, const hg_rows8 *h, uint32_t from,
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

/* The projections of an input are those from first on. */
static const struct {
    uint8_t first, count;
} projections_of[HG_INPUTS] = {{HG_Q, 3}, {HG_O, 1}, {HG_GATE, 2}, {HG_DOWN, 1}};

static void shrink_rows(const item *it, hg_input input)
{
    const hg_int8 *s = it->s;
    uint32_t projection = projections_of[input].first, end = it->first + it->count;
    uint32_t index = it->layer * HG_PROJECTIONS + projection;
    for (uint32_t i = 0; i < s->runs; i++) {
        const hg_run *run = &s->run[i];
        uint32_t from = run->row > it->first ? run->row : it->first;
        uint32_t to = run->row + run->rows < end ? run->row + run->rows : end;
        if (run->slot == HG_NO_SLOT || from >= to) continue;
        const hg_pair8 *all = it->device->slot[run->slot].pair, *pair = &all[index];
        hg_tiles_gather(&it->thread->in, &s->in, from, to - from, &s->linear[index]);
        for (uint32_t j = 0; j < projections_of[input].count; j++)
            if (pair[j].rank) shrink(it, &pair[j], &s->h[j], from, to);
    }
    it->thread->gathered = 0;
}

/* Quantises rows of x [step_rows, columns], normed first if there is a weight, and shrinks them
 * for the projections of the input. */
static void prepare_rows(const item *it, hg_input input, const float *x, uint32_t columns,
                         const float *norm)
{
    hg_int8 *s = it->s;
    for (uint32_t r = it->first; r < it->first + it->count; r++) {
        const float *row = x + (size_t)r * columns;
        if (norm) {
            s->ops->norm(it->thread->scratch, row, norm, columns,
                         it->device->weights.shape.rms_epsilon);
            row = it->thread->scratch;
        }
        quantise_row(s, row, columns, s->group[it->layer * HG_INPUTS + input], r);
    }
    shrink_rows(it, input);
}

static void embed_rows(const item *it)
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

/* ---- products ---- */

/* Where a projection's result goes. */
typedef struct target {
    float *y; /* [step_rows, width] */
    size_t width;
    bool add; /* to what is there */
} target;

/* The first rows of the stage's input in tiles. */
static const hg_tiles *gather_input(const item *it, uint32_t rows, const hg_packed *w)
{
    uint64_t stage = it->s->steps << 16 | it->stage;
    if (it->thread->gathered != stage) hg_tiles_gather(&it->thread->in, &it->s->in, 0, rows, w);
    it->thread->gathered = stage;
    return &it->thread->in;
}

/* y (+)= W x + B h for all rows and some blocks of a projection; h: what shrink made of it. */
static void project(const item *it, uint32_t projection, uint32_t block, uint32_t blocks,
                    const hg_rows8 *h, const target *to)
{
    const hg_int8 *s = it->s;
    uint32_t index = it->layer * HG_PROJECTIONS + projection;
    float *y = to->y + (size_t)block * HG_BLOCK;
    hg_product p = {.w = &s->linear[index],
                    .block = block,
                    .blocks = blocks,
                    .x = gather_input(it, s->step->rows, &s->linear[index]),
                    .rows = s->step->rows,
                    .add = to->add,
                    .y = y,
                    .y_stride = to->width};
    s->ops->linear(&p);
    p.add = true;
    p.x = &it->thread->h;
    for (uint32_t i = 0; i < s->runs; i++) {
        const hg_run *run = &s->run[i];
        if (run->slot == HG_NO_SLOT) continue;
        const hg_pair8 *all = it->device->slot[run->slot].pair, *pair = &all[index];
        if (!pair->rank) continue;
        hg_tiles_gather(&it->thread->h, h, run->row, run->rows, &pair->b);
        p.w = &pair->b;
        p.rows = run->rows;
        p.y = y + run->row * to->width;
        s->ops->linear(&p);
    }
}

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
static uint16_t *kv_part(const item *it, const hg_row *row, uint32_t kv_head)
{
    const hg_device *d = it->device;
    const hg_shape *shape = &d->weights.shape;
    uint32_t index = row->position / HG_LIMIT_PAGE_TOKENS;
    uint32_t page = it->s->step->page[(size_t)row->lane * d->plan.lane_pages + index];
    size_t part = (size_t)HG_LIMIT_PAGE_TOKENS * shape->head_dim;
    uint16_t *base = (uint16_t *)(void *)hg_page(d, page);
    return base + ((size_t)it->layer * shape->kv_heads + kv_head) * 2 * part;
}

/* One head of Q, K or V, for all rows. Units: the heads of Q, of K, of V. */
static void run_head(const item *it, uint32_t unit)
{
    hg_int8 *s = it->s;
    const hg_shape *shape = &it->device->weights.shape;
    uint32_t dim = shape->head_dim, blocks = dim / HG_BLOCK, kv = shape->kv_heads;
    uint32_t projection = HG_Q, head = unit;
    if (unit >= shape->heads) {
        projection = unit - shape->heads < kv ? HG_K : HG_V;
        head = (unit - shape->heads) % kv;
    }
    target to = {projection == HG_Q   ? s->q
                 : projection == HG_K ? s->k
                                      : s->v,
                 (size_t)dim * (projection == HG_Q ? shape->heads : kv), false};
    project(it, projection, head * blocks, blocks, &s->h[projection], &to);
    for (uint32_t r = 0; r < s->step->rows; r++) {
        const hg_row *row = &s->step->row[r];
        float *own = to.y + r * to.width + (size_t)head * dim;
        size_t angle = (size_t)r * (dim / 2);
        uint32_t token = row->position % HG_LIMIT_PAGE_TOKENS;
        if (projection != HG_V) rope(own, s->cosine + angle, s->sine + angle, dim / 2);
        if (projection == HG_K) s->ops->store_k(kv_part(it, row, head), own, dim, token);
        if (projection == HG_V)
            s->ops->store_v(kv_part(it, row, head) + (size_t)HG_LIMIT_PAGE_TOKENS * dim, own, dim,
                            token);
    }
}

static void attend(const item *it, uint32_t unit)
{
    hg_int8 *s = it->s;
    const hg_device *d = it->device;
    const hg_shape *shape = &d->weights.shape;
    uint32_t r = unit / shape->kv_heads, head = unit % shape->kv_heads;
    uint32_t share = shape->heads / shape->kv_heads;
    const hg_row *row = &s->step->row[r];
    size_t at = ((size_t)r * shape->heads + (size_t)head * share) * shape->head_dim;
    size_t part = (size_t)HG_LIMIT_PAGE_TOKENS * shape->head_dim * sizeof(uint16_t);
    hg_attention job = {
        .q = s->q + at,
        .out = s->attention + at,
        .heads = share,
        .head_dim = shape->head_dim,
        .positions = row->position + 1,
        .pages = d->pages.base + ((size_t)it->layer * shape->kv_heads + head) * 2 * part,
        .page_bytes = d->page_bytes,
        .page = s->step->page + (size_t)row->lane * d->plan.lane_pages,
        .score = it->thread->scratch,
    };
    s->ops->attention(&job);
}

static void run_gate_up(const item *it)
{
    hg_int8 *s = it->s;
    uint32_t width = it->device->weights.shape.intermediate;
    target gate = {s->gate, width, false}, up = {s->up, width, false};
    project(it, HG_GATE, it->first, it->count, &s->h[0], &gate);
    project(it, HG_UP, it->first, it->count, &s->h[1], &up);
    for (uint32_t r = 0; r < s->step->rows; r++) {
        size_t at = (size_t)r * width + (size_t)it->first * HG_BLOCK;
        s->ops->swiglu(s->gate + at, s->up + at, it->count * HG_BLOCK);
    }
}

/* ---- the head ---- */

static void norm_wanted(const item *it)
{
    hg_int8 *s = it->s;
    const hg_weights *w = &it->device->weights;
    uint32_t hidden = w->shape.hidden;
    for (uint32_t i = it->first; i < it->first + it->count; i++) {
        s->ops->norm(it->thread->scratch, s->x + (size_t)s->wanted[i] * hidden, w->final_norm,
                     hidden, w->shape.rms_epsilon);
        quantise_row(s, it->thread->scratch, hidden, s->head.group, i);
    }
}

/* Takes down n logits of the row i of the wanted; the first is token `from`'s. */
static void take_logits(const item *it, uint32_t i, const float *y, uint32_t from, uint32_t n,
                        hg_best *best)
{
    hg_int8 *s = it->s;
    float most = s->ops->max(y, n);
    if (most > best->value) { /* equal is not enough: the lower token stays */
        uint32_t at = 0;
        while (at + 1 < n && y[at] != most) at++;
        *best = (hg_best){most, (int32_t)(from + at)};
    }
    if (s->logits_row[i] == UINT32_MAX) return;
    memcpy(s->result->logits + (size_t)s->logits_row[i] * s->head.rows + from, y, n * sizeof *y);
}

static void run_head_blocks(const item *it, uint32_t index)
{
    hg_int8 *s = it->s;
    hg_best *best = s->best + (size_t)index * it->device->plan.step_rows;
    for (uint32_t i = 0; i < s->wants; i++)
        best[i] = (hg_best){-INFINITY, (int32_t)(it->first * HG_BLOCK)};
    const hg_tiles *x = gather_input(it, s->wants, &s->head);
    size_t stride = HG_HEAD_CHUNK * HG_BLOCK;
    uint32_t end = it->first + it->count;
    for (uint32_t block = it->first; block < end; block += HG_HEAD_CHUNK) {
        uint32_t blocks = end - block < HG_HEAD_CHUNK ? end - block : HG_HEAD_CHUNK;
        uint32_t from = block * HG_BLOCK, n = blocks * HG_BLOCK;
        if (from + n > s->head.rows) n = s->head.rows - from;
        hg_product p = {&s->head, block, blocks, x, s->wants, false, it->thread->scratch, stride};
        s->ops->linear(&p);
        for (uint32_t i = 0; i < s->wants; i++)
            take_logits(it, i, it->thread->scratch + i * stride, from, n, &best[i]);
    }
}

/* ---- stages ---- */

static stage_kind kind_of(const hg_device *d, uint32_t stage)
{
    uint32_t layers = d->weights.shape.layers * LAYER_STAGES;
    return stage < layers ? stage % LAYER_STAGES : ROWS_HEAD + stage - layers;
}

static uint32_t stage_units(const hg_device *d, stage_kind kind)
{
    const hg_shape *shape = &d->weights.shape;
    const hg_int8 *s = d->state;
    switch (kind) {
    case HEADS_QKV: return shape->heads + 2 * shape->kv_heads;
    case ATTENTION: return s->step->rows * shape->kv_heads;
    case BLOCKS_O:
    case BLOCKS_DOWN: return shape->hidden / HG_BLOCK;
    case BLOCKS_GATE_UP: return shape->intermediate / HG_BLOCK;
    case ROWS_HEAD: return s->wants;
    case BLOCKS_HEAD: return s->wants ? s->head.blocks : 0;
    default: return s->step->rows;
    }
}

static uint32_t step_items(void *context, uint32_t stage)
{
    const hg_device *d = context;
    stage_kind kind = kind_of(d, stage);
    uint32_t units = stage_units(d, kind), threads = hg_workers_threads(d->workers);
    if (kind == BLOCKS_HEAD) return units ? hg_int8_head_items(d) : 0;
    /* A few items a thread: enough to even out, few enough to cost nothing. */
    uint32_t items = threads == 1 ? 1 : 4 * threads;
    return units < items ? units : items;
}

static void run_stage(item *it, stage_kind kind, uint32_t index)
{
    hg_int8 *s = it->s;
    const hg_shape *shape = &it->device->weights.shape;
    const hg_layer *layer = &it->device->weights.layer[it->layer];
    uint32_t hidden = shape->hidden, end = it->first + it->count;
    const target residual = {s->x, hidden, true};
    switch (kind) {
    case ROWS_QKV:
        if (it->layer == 0) embed_rows(it);
        prepare_rows(it, HG_IN_QKV, s->x, hidden, layer->attention_norm);
        break;
    case HEADS_QKV:
        for (uint32_t unit = it->first; unit < end; unit++) run_head(it, unit);
        break;
    case ATTENTION:
        for (uint32_t unit = it->first; unit < end; unit++) attend(it, unit);
        break;
    case ROWS_O:
        prepare_rows(it, HG_IN_O, s->attention, shape->heads * shape->head_dim, NULL);
        break;
    case BLOCKS_O: project(it, HG_O, it->first, it->count, &s->h[0], &residual); break;
    case ROWS_GATE_UP: prepare_rows(it, HG_IN_GATE_UP, s->x, hidden, layer->mlp_norm); break;
    case BLOCKS_GATE_UP: run_gate_up(it); break;
    case ROWS_DOWN: prepare_rows(it, HG_IN_DOWN, s->gate, shape->intermediate, NULL); break;
    case BLOCKS_DOWN: project(it, HG_DOWN, it->first, it->count, &s->h[0], &residual); break;
    case ROWS_HEAD: norm_wanted(it); break;
    case BLOCKS_HEAD: run_head_blocks(it, index); break;
    }
}

static void step_run(void *context, uint32_t stage, uint32_t index, uint32_t worker)
{
    hg_device *d = context;
    hg_int8 *s = d->state;
    stage_kind kind = kind_of(d, stage);
    item it = {.device = d, .s = s, .thread = &s->thread[worker], .stage = stage};
    it.layer = stage / LAYER_STAGES;
    hg_workers_share(stage_units(d, kind), step_items(d, stage), index, &it.first, &it.count);
    run_stage(&it, kind, index);
}

/* Lists the runs of equal slots and the wanted rows. */
static void survey_step(hg_int8 *s, const hg_step *step)
{
    uint32_t logits = 0;
    s->runs = s->wants = 0;
    for (uint32_t r = 0; r < step->rows; r++) {
        const hg_row *row = &step->row[r];
        if (r && row->slot == row[-1].slot)
            s->run[s->runs - 1].rows++;
        else
            s->run[s->runs++] = (hg_run){r, 1, row->slot};
        if (!row->want && !row->want_logits) continue;
        s->logits_row[s->wants] = row->want_logits ? logits++ : UINT32_MAX;
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
    hg_work work = {d->weights.shape.layers * LAYER_STAGES + 2, step_items, step_run, d};
    hg_workers_run(d->workers, &work);
    for (uint32_t i = 0; i < s->wants; i++) {
        hg_best best = s->best[i];
        for (uint32_t j = 1; j < hg_int8_head_items(d); j++) {
            hg_best other = s->best[(size_t)j * d->plan.step_rows + i];
            if (other.value > best.value) best = other;
        }
        result->token[s->wanted[i]] = best.token;
    }
}
