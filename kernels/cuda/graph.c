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

static void project(recorder *r, hg_cuda_project *p)
{
    const hg_device *d = r->device;
    p->partial = d->work.partial;
    p->counter = d->work.counter;
    r->queue.blocks = d->processors * (uint32_t)d->residency.project[r->width];
    HG_CUDA_LAUNCH(r, hg_cuda_project_run(&r->queue, p));
}

static void attend(recorder *r, uint32_t layer)
{
    const hg_device *d = r->device;
    hg_cuda_attend a = hg_cuda_attend_of(d, layer, &d->work.between);
    r->queue.blocks = d->processors * (uint32_t)d->residency.attend;
    HG_CUDA_LAUNCH(r, hg_cuda_attend_run(&r->queue, &a));
}

static void record_layer(recorder *r, uint32_t layer)
{
    hg_cuda_products p = hg_cuda_products_of(r->device, layer, &r->device->work.between);
    project(r, &p.qkv);
    attend(r, layer);
    project(r, &p.o);
    project(r, &p.gate_up);
    project(r, &p.down);
}

static void record_head(recorder *r)
{
    const hg_device *d = r->device;
    const hg_cuda_workspace *w = &d->work;
    hg_cuda_project head = {.part = {d->head},
                            .parts = 1,
                            .tiles = d->head.tiles,
                            .finish = HG_CUDA_HEAD,
                            .columns = d->shape.hidden,
                            .residual = w->between.residual,
                            .norm = d->final_norm,
                            .epsilon = d->shape.rms_epsilon,
                            .logits = w->logits,
                            .best = w->best,
                            .best_id = w->best_id};
    project(r, &head);
    HG_CUDA_LAUNCH(r, hg_cuda_arg_max_run(&r->queue, &head, w->choice));
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
                            .page = w->page,
                            .stop = w->stop},
                  .width = width};
    HG_CUDA_LAUNCH(&r, hg_cuda_embed_run(&r.queue, &d->embedding, &w->between.residual));
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
