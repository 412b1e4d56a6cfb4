/* graph.c: the operations of a pass, five launches a layer, captured once for each width of passes.
 *
 * A pass of up to 8, 16 or 32 rows has one graph with the head and one without. What differs
 * between passes stands in card memory (hg_cuda_pass, page table, adapter table), so a graph is
 * never captured again. Residuals are added by the projections that end a block.
 */
#include "kernels/cuda/state.h"

/* The launches so far; after a failure it does nothing more. */
typedef struct recorder {
    hg_device *device;
    hg_error *error;
    hg_cuda_queue queue;
    uint32_t width;
    hg_status status;
} recorder;

hg_cuda_kv hg_cuda_kv_of(const hg_device *d)
{
    return (hg_cuda_kv){
        .pool = d->kv, .layers = d->shape.layers, .width = d->shape.kv_heads * d->shape.head_dim};
}

static void launched(recorder *r, cudaError_t result, const char *operation)
{
    if (!r->status) r->status = hg_cuda_check(r->device, result, operation, r->error);
}

#define LAUNCH(r, call)                                                                            \
    do {                                                                                           \
        if (!(r)->status) launched((r), (call), #call);                                            \
    } while (0)

/* What all projections of a layer share; adapters' pairs begin with that of first. */
static hg_cuda_project project_of(const hg_device *d, uint32_t layer, hg_projection first)
{
    const hg_cuda_workspace *w = &d->work;
    hg_cuda_project p = {.residual = w->residual,
                         .epsilon = d->shape.rms_epsilon,
                         .pairs = d->shape.layers * HG_PROJECTIONS,
                         .lora = w->lora + (size_t)layer * HG_PROJECTIONS + first,
                         .kv = hg_cuda_kv_of(d),
                         .frequency = d->frequency,
                         .head_dim = d->shape.head_dim,
                         .partial = w->partial,
                         .counter = w->counter,
                         .h = w->h};
    p.kv.layer = layer;
    return p;
}

static void project(recorder *r, hg_cuda_project *p, const hg_cuda_linear *part, uint32_t parts)
{
    const hg_device *d = r->device;
    p->parts = parts;
    for (uint32_t i = 0; i < parts; i++) {
        p->part[i] = part[i];
        p->tiles += part[i].tiles;
    }
    r->queue.blocks = d->processors * (uint32_t)d->residency.project[r->width];
    LAUNCH(r, hg_cuda_project_run(&r->queue, p));
}

hg_cuda_attend hg_cuda_attend_of(const hg_device *d, uint32_t layer)
{
    const hg_cuda_workspace *w = &d->work;
    uint32_t positions = d->plan.lane_pages * HG_LIMIT_PAGE_TOKENS;
    hg_cuda_attend a = {.q = w->q,
                        .out = w->attention,
                        .kv = hg_cuda_kv_of(d),
                        .heads = d->shape.heads,
                        .kv_heads = d->shape.kv_heads,
                        .head_dim = d->shape.head_dim,
                        .splits = (positions + HG_CUDA_SPLIT - 1) / HG_CUDA_SPLIT,
                        .partial = w->attend_partial,
                        .counter = w->attend_counter};
    a.kv.layer = layer;
    return a;
}

static void attend(recorder *r, uint32_t layer)
{
    const hg_device *d = r->device;
    hg_cuda_attend a = hg_cuda_attend_of(d, layer);
    r->queue.blocks = d->processors * (uint32_t)d->residency.attend;
    LAUNCH(r, hg_cuda_attend_run(&r->queue, &a));
}

static void record_layer(recorder *r, uint32_t layer)
{
    const hg_device *d = r->device;
    const hg_cuda_workspace *w = &d->work;
    const hg_cuda_layer *weights = &d->layer[layer];
    hg_cuda_project qkv = project_of(d, layer, HG_Q);
    qkv.finish = HG_CUDA_QKV;
    qkv.columns = d->shape.hidden;
    qkv.norm = weights->attention_norm;
    qkv.q = w->q;
    project(r, &qkv, weights->qkv, 3);
    attend(r, layer);
    hg_cuda_project o = project_of(d, layer, HG_O);
    o.finish = HG_CUDA_ADD;
    o.columns = d->shape.heads * d->shape.head_dim;
    o.half = w->attention;
    project(r, &o, &weights->o, 1);
    hg_cuda_project gate = project_of(d, layer, HG_GATE);
    gate.finish = HG_CUDA_SWIGLU;
    gate.columns = d->shape.hidden;
    gate.norm = weights->mlp_norm;
    gate.out = w->mlp;
    project(r, &gate, &weights->gate_up, 1);
    hg_cuda_project down = project_of(d, layer, HG_DOWN);
    down.finish = HG_CUDA_ADD;
    down.columns = d->shape.intermediate;
    down.half = w->mlp;
    project(r, &down, &weights->down, 1);
}

static void record_head(recorder *r)
{
    const hg_device *d = r->device;
    const hg_cuda_workspace *w = &d->work;
    hg_cuda_project head = project_of(d, 0, HG_Q);
    head.finish = HG_CUDA_HEAD;
    head.columns = d->shape.hidden;
    head.norm = d->final_norm;
    head.lora = NULL;
    head.logits = w->logits;
    head.best = w->best;
    head.best_id = w->best_id;
    project(r, &head, &d->head, 1);
    LAUNCH(r, hg_cuda_arg_max_run(&r->queue, &head, w->token));
}

static hg_status record(hg_device *d, uint32_t width, bool head, hg_error *error)
{
    const hg_cuda_workspace *w = &d->work;
    recorder r = {.device = d,
                  .error = error,
                  .queue = {.stream = d->compute,
                            .overlap = d->overlap,
                            .row_tiles = 1u << width,
                            .lane_pages = d->plan.lane_pages,
                            .pass = w->pass,
                            .page = w->page},
                  .width = width};
    LAUNCH(&r, hg_cuda_embed_run(&r.queue, &d->embedding, &w->residual));
    for (uint32_t layer = 0; layer < d->shape.layers; layer++) record_layer(&r, layer);
    if (head) record_head(&r);
    return r.status;
}

static hg_status capture(hg_device *d, uint32_t width, bool head, hg_error *error)
{
    cudaGraph_t graph = NULL;
    hg_status status =
        HG_CUDA_TRY(d, cudaStreamBeginCapture(d->compute, cudaStreamCaptureModeThreadLocal), error);
    if (status) return status;
    status = record(d, width, head, error);
    cudaError_t ended = cudaStreamEndCapture(d->compute, &graph); /* after a failure too */
    if (!status) status = hg_cuda_check(d, ended, "cudaStreamEndCapture", error);
    if (!status)
        status = HG_CUDA_TRY(d, cudaGraphInstantiate(&d->graph[width][head], graph, 0), error);
    /* What it needs of the card is taken now, not by the first step. */
    if (!status) status = HG_CUDA_TRY(d, cudaGraphUpload(d->graph[width][head], d->compute), error);
    if (graph) hg_cuda_note(d, cudaGraphDestroy(graph), "cudaGraphDestroy");
    return status;
}

#define LAUNCH_ASSUMED 8192 /* bytes of the card; not documented, and not measured by us yet */

size_t hg_cuda_graphs_assumed(uint32_t layers)
{
    size_t launches = 2 * (1 + 5 * (size_t)layers) + 2; /* without the head and with it */
    return HG_CUDA_WIDTHS * launches * LAUNCH_ASSUMED;
}

hg_status hg_cuda_capture(hg_device *d, hg_error *error)
{
    hg_status status = HG_OK;
    for (uint32_t i = 0; i < HG_CUDA_WIDTHS * 2 && !status; i++)
        status = capture(d, i / 2, i % 2, error);
    return status;
}
