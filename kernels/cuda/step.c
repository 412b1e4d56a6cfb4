/* step.c: one step on the card: checks, its passes, the results' way back.
 *
 * Everything is queued on one stream, pass by pass, and the host waits once. Rows of one lane in
 * different passes find each other's K and V in the pages.
 */
#include <string.h>

#include "kernels/check.h"
#include "kernels/cuda/state.h"

static bool slot_ready(const hg_device *d, uint16_t slot)
{
    return d->slot[slot].state == HG_CUDA_READY;
}

/* The pass of rows [first, first + 32) of the step, or as many as there are. */
static void fill_pass(const hg_device *d, const hg_step *step, uint32_t first, hg_cuda_pass *pass)
{
    *pass = (hg_cuda_pass){.rows = step->rows - first, .stops = step->stop != NULL};
    if (pass->rows > HG_CUDA_ROWS) pass->rows = HG_CUDA_ROWS;
    for (uint32_t i = 0; i < pass->rows; i++) {
        const hg_row *row = &step->row[first + i];
        uint32_t rank = row->slot == HG_NO_SLOT ? 0 : d->slot[row->slot].rank_max;
        uint32_t splits = row->position / HG_CUDA_SPLIT + 1;
        if (rank > pass->rank_most) pass->rank_most = rank;
        if (splits > pass->splits) pass->splits = splits;
        if (row->want || row->want_logits) pass->want[pass->wanted++] = i;
        if (row->want_logits) pass->logits = 1;
        pass->row[i] = *row;
    }
}

/* Logits of the pass's rows that ask for them, to *logits, which moves on. */
static hg_status get_logits(hg_device *d, const hg_cuda_pass *pass, float **logits, hg_error *error)
{
    size_t vocabulary = d->shape.vocabulary;
    hg_status status = HG_OK;
    for (uint32_t i = 0; i < pass->wanted && !status; i++) {
        if (!pass->row[pass->want[i]].want_logits) continue;
        status = HG_CUDA_TRY(d,
                             cudaMemcpyAsync(*logits, d->work.logits + i * vocabulary,
                                             vocabulary * sizeof **logits, cudaMemcpyDeviceToHost,
                                             d->compute),
                             error);
        *logits += vocabulary;
    }
    return status;
}

/* Queues a pass; choice has room for its wanted rows. */
static hg_status run_pass(hg_device *d, const hg_cuda_pass *pass, hg_cuda_choice *choice,
                          float **logits, hg_error *error)
{
    uint32_t width = pass->rows <= 8 ? 0 : pass->rows <= 16 ? 1 : 2;
    hg_status status = HG_CUDA_TRY(
        d, cudaMemcpyAsync(d->work.pass, pass, sizeof *pass, cudaMemcpyHostToDevice, d->compute),
        error);
    if (!status)
        status =
            HG_CUDA_TRY(d, cudaGraphLaunch(d->graph[width][pass->wanted > 0], d->compute), error);
    if (status || !pass->wanted) return status;
    status = HG_CUDA_TRY(d,
                         cudaMemcpyAsync(choice, d->work.choice, pass->wanted * sizeof *choice,
                                         cudaMemcpyDeviceToHost, d->compute),
                         error);
    return status ? status : get_logits(d, pass, logits, error);
}

/* What the step's rows share. */
static hg_status put_tables(hg_device *d, const hg_step *step, hg_error *error)
{
    size_t pages = (size_t)step->lanes * d->plan.lane_pages * sizeof *step->page;
    size_t stops = (size_t)step->lanes * HG_LIMIT_STOP_TOKENS * sizeof *step->stop;
    hg_status status = HG_CUDA_TRY(
        d, cudaMemcpyAsync(d->work.page, step->page, pages, cudaMemcpyHostToDevice, d->compute),
        error);
    if (status || !step->stop) return status;
    return HG_CUDA_TRY(
        d, cudaMemcpyAsync(d->work.stop, step->stop, stops, cudaMemcpyHostToDevice, d->compute),
        error);
}

/* The results of the rows from first on, whose choices stand in choice. */
static void read_pass(const hg_cuda_pass *pass, const hg_cuda_choice *choice, uint32_t first,
                      hg_result *result)
{
    for (uint32_t i = 0; i < pass->wanted; i++) {
        uint32_t row = first + pass->want[i];
        result->token[row] = choice[i].token;
        if (result->stopped) result->stopped[row] = choice[i].stopped;
    }
}

hg_status hg_cuda_forward(hg_device *d, const hg_step *step, hg_result *result, hg_error *error)
{
    const hg_checked checked = {.device = d,
                                .plan = d->loaded ? &d->plan : NULL,
                                .vocabulary = d->shape.vocabulary,
                                .ready = slot_ready,
                                .chunk_rows = d->chunks.rows ? HG_CUDA_CHUNK_ROWS : 0,
                                .chunks = d->chunks.rows / HG_CUDA_CHUNK_ROWS};
    hg_status status = hg_cuda_alive(d, error);
    if (!status) status = hg_check_step(&checked, step, error);
    if (status) return status;
    float *logits = result->logits;
    const uint32_t whole = hg_whole_rows(step);
    status = put_tables(d, step, error);
    for (uint32_t first = 0; first < step->rows; first += HG_CUDA_ROWS)
        fill_pass(d, step, first, &d->pass[first / HG_CUDA_ROWS]);
    if (!status && whole) status = hg_cuda_chunks_run(d, d->pass, whole, error);
    for (uint32_t first = whole; first < step->rows && !status; first += HG_CUDA_ROWS) {
        const hg_cuda_pass *pass = &d->pass[first / HG_CUDA_ROWS];
        status = run_pass(d, pass, d->choice + first, &logits, error);
    }
    /* After a failure too nothing may still write to the caller's memory. */
    if (status)
        hg_cuda_note(d, cudaStreamSynchronize(d->compute), "cudaStreamSynchronize");
    else
        status = HG_CUDA_TRY(d, cudaStreamSynchronize(d->compute), error);
    for (uint32_t first = whole; first < step->rows && !status; first += HG_CUDA_ROWS)
        read_pass(&d->pass[first / HG_CUDA_ROWS], d->choice + first, first, result);
    return status;
}

hg_status hg_cuda_copy_page(hg_device *d, uint32_t from, uint32_t to, uint32_t tokens,
                            hg_error *error)
{
    hg_status status = hg_cuda_alive(d, error);
    if (!status) status = hg_check_page_copy(&d->plan, from, to, tokens, error);
    if (status || from == to || !tokens) return status;
    hg_cuda_kv kv = hg_cuda_kv_of(d);
    hg_cuda_queue queue = {.stream = d->compute};
    return HG_CUDA_TRY(d, hg_cuda_page_copy(&queue, &kv, from, to, tokens), error);
}
