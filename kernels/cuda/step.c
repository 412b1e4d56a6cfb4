/* step.c: one step on the card: checks, the order of the operations, the results' way back.
 *
 * All operations of a step are queued on one stream; the host waits once for each
 * HG_CUDA_HEAD_ROWS rows that want a result. Residuals are added by the projections that end a
 * block: x += W y.
 */
#include <assert.h>
#include <string.h>

#include "kernels/check.h"
#include "kernels/cuda/state.h"

static bool slot_ready(const hg_device *d, uint16_t slot)
{
    return d->slot[slot].state == HG_CUDA_READY;
}

/* ---- the transformer; each function is one operation or stops at the first that fails ---- */

typedef struct run {
    hg_device *device;
    hg_error *error;
    hg_cuda_rows rows;
    hg_cuda_kv kv;
    hg_cuda_heads heads;
    uint32_t layer;
    hg_status status;
} run;

static void launched(run *r, cudaError_t result, const char *operation)
{
    if (!r->status) r->status = hg_cuda_check(r->device, result, operation, r->error);
}

#define LAUNCH(r, call)                                                                            \
    do {                                                                                           \
        if (!(r)->status) launched((r), (call), #call);                                            \
    } while (0)

static void norm(run *r, const float *weight)
{
    const hg_device *d = r->device;
    hg_cuda_norm n = {d->work.x, weight, d->work.normed, d->shape.hidden, d->shape.rms_epsilon};
    LAUNCH(r, hg_cuda_rms_norm(&r->rows, &n));
}

/* y = W x with the rows' adapters, or y += that. */
static void project(run *r, uint32_t projection, const float *x, bool add, float *y)
{
    hg_device *d = r->device;
    const hg_linear *w = &d->layer[r->layer].linear[projection];
    hg_cuda_lora lora = {.pair = d->work.lora + (size_t)r->layer * HG_PROJECTIONS + projection,
                         .pairs = d->shape.layers * HG_PROJECTIONS,
                         .columns = w->columns,
                         .outs = w->rows,
                         .x = x,
                         .h = d->work.h,
                         .y = y};
    LAUNCH(r, hg_cuda_linear(&r->rows, w, x, add, y));
    LAUNCH(r, hg_cuda_lora_add(&r->rows, &lora));
}

static void run_layer(run *r)
{
    hg_device *d = r->device;
    const hg_cuda_workspace *w = &d->work;
    norm(r, d->layer[r->layer].attention_norm);
    project(r, HG_Q, w->normed, false, w->q);
    project(r, HG_K, w->normed, false, w->k);
    project(r, HG_V, w->normed, false, w->v);
    r->kv.layer = r->layer;
    LAUNCH(r, hg_cuda_rope_append(&r->rows, &r->kv, &r->heads));
    LAUNCH(r, hg_cuda_attention(&r->rows, &r->kv, &r->heads));
    project(r, HG_O, w->attention, true, w->x);
    norm(r, d->layer[r->layer].mlp_norm);
    project(r, HG_GATE, w->normed, false, w->gate);
    project(r, HG_UP, w->normed, false, w->up);
    LAUNCH(r, hg_cuda_swiglu(&r->rows, w->gate, w->up, d->shape.intermediate));
    project(r, HG_DOWN, w->gate, true, w->x);
}

/* ---- the way in and out ---- */

static void put(run *r, void *to, const void *from, size_t bytes)
{
    LAUNCH(r, cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, r->rows.stream));
}

static void get(run *r, void *to, const void *from, size_t bytes)
{
    LAUNCH(r, cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, r->rows.stream));
}

static hg_cuda_kv kv_of(const hg_device *d)
{
    return (hg_cuda_kv){
        .pool = d->kv, .layers = d->shape.layers, .width = d->shape.kv_heads * d->shape.head_dim};
}

static run begin(hg_device *d, const hg_step *step, hg_error *error)
{
    const hg_cuda_workspace *w = &d->work;
    const hg_shape *s = &d->shape;
    run r = {.device = d,
             .error = error,
             .rows = {w->row, w->page, step->rows, d->plan.lane_pages, 0, d->compute},
             .kv = kv_of(d),
             .heads = {d->frequency, w->q, w->k, w->v, w->attention, s->heads, s->kv_heads,
                       s->head_dim}};
    for (uint32_t i = 0; i < step->rows; i++) {
        uint16_t slot = step->row[i].slot;
        uint32_t rank = slot == HG_NO_SLOT ? 0 : d->slot[slot].rank_max;
        if (rank > r.rows.rank_max) r.rows.rank_max = rank;
    }
    return r;
}

/* Rows that want a result, to d->wanted; their number. */
static uint32_t list_wanted(hg_device *d, const hg_step *step)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < step->rows; i++)
        if (step->row[i].want || step->row[i].want_logits) d->wanted[count++] = i;
    return count;
}

/* The head for wanted rows [first, first + count); logits go on at *logits. */
static void run_head(run *r, const hg_step *step, uint32_t first, uint32_t count, float **logits)
{
    hg_device *d = r->device;
    const hg_cuda_workspace *w = &d->work;
    size_t vocabulary = d->shape.vocabulary;
    hg_cuda_head head = {d->head, w->normed, w->wanted + first, count, w->logits, w->token};
    LAUNCH(r, hg_cuda_head_run(&r->rows, &head));
    get(r, d->token + first, w->token, count * sizeof *d->token);
    for (uint32_t i = 0; i < count; i++) {
        if (!step->row[d->wanted[first + i]].want_logits) continue;
        get(r, *logits, w->logits + i * vocabulary, vocabulary * sizeof **logits);
        *logits += vocabulary;
    }
}

hg_status hg_cuda_forward(hg_device *d, const hg_step *step, hg_result *result, hg_error *error)
{
    const hg_checked checked = {d, d->loaded ? &d->plan : NULL, d->shape.vocabulary, slot_ready};
    hg_status status = hg_cuda_alive(d, error);
    if (!status) status = hg_check_step(&checked, step, error);
    if (status) return status;
    run r = begin(d, step, error);
    uint32_t wanted = list_wanted(d, step);
    float *logits = result->logits;
    put(&r, d->work.row, step->row, step->rows * sizeof *step->row);
    put(&r, d->work.page, step->page,
        (size_t)step->lanes * d->plan.lane_pages * sizeof *step->page);
    put(&r, d->work.wanted, d->wanted, wanted * sizeof *d->wanted);
    LAUNCH(&r, hg_cuda_embed(&r.rows, &d->embedding, d->work.x));
    for (r.layer = 0; r.layer < d->shape.layers; r.layer++) run_layer(&r);
    norm(&r, d->final_norm);
    for (uint32_t first = 0; first < wanted; first += HG_CUDA_HEAD_ROWS) {
        uint32_t count = wanted - first;
        run_head(&r, step, first, count < HG_CUDA_HEAD_ROWS ? count : HG_CUDA_HEAD_ROWS, &logits);
    }
    LAUNCH(&r, cudaStreamSynchronize(d->compute));
    /* After a failure too nothing may still write to the caller's memory. */
    if (r.status) hg_cuda_note(d, cudaStreamSynchronize(d->compute), "cudaStreamSynchronize");
    for (uint32_t i = 0; !r.status && i < wanted; i++) result->token[d->wanted[i]] = d->token[i];
    return r.status;
}

hg_status hg_cuda_copy_page(hg_device *d, uint32_t from, uint32_t to, uint32_t tokens,
                            hg_error *error)
{
    hg_status status = hg_cuda_alive(d, error);
    if (!status) status = hg_check_page_copy(&d->plan, from, to, tokens, error);
    if (status || from == to || !tokens) return status;
    hg_cuda_kv kv = kv_of(d);
    return HG_CUDA_TRY(d, hg_cuda_page_copy(&kv, from, to, tokens, d->compute), error);
}
