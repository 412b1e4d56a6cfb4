/* bench.c: what the CUDA device takes on a card, as lines that report.py makes tables of.
 *
 *     bench [SHAPE [ROUNDS [SECONDS]]]   by default 8b (Llama-3-8B, random INT4 in groups of 128),
 *                                        50, no bound
 *
 * What matters most comes first; when SECONDS are over, rows are only named:
 *
 * A time is that of a whole forward as the engine calls it, upload of the rows and download of the
 * tokens included, by the steady clock; the median of ROUNDS after a tenth of that to warm up.
 *
 *     copy     GB/s                          read and written, within the card's memory
 *     step     lanes adapters rank ms        one row a lane behind 100 positions; adapters: none,
 *                                            same, distinct
 *     prefill  tokens ms way                 one prompt, no adapter: in whole chunks as the engine
 *                                            gives them to an idle device, the last one row by row;
 *                                            without cuBLASLt in passes
 *     request  batch adapters rank ms        43 tokens in, 100 out for each of a batch
 *     left     what lanes adapters rank      a row that there was no time for
 */
#include <cuda_runtime_api.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/cli/bench_shape.h"
#include "kernels/cuda/cuda.h"

#define LANES      32
#define LANE_PAGES 129 /* 2,048 tokens and one more */
#define POSITION   100
#define RANK_MOST  64
#define IN         43
#define OUT        100
#define COPY_BYTES ((size_t)256 << 20)
#define COPIES     10 /* one behind the other */
#define ROUNDS_MAX 1000
#define ROWS_MAX   (HG_LIMIT_STEP_ROWS + HG_LIMIT_CHUNKS * HG_LIMIT_CHUNK_ROWS)

typedef enum sharing { NONE, SAME, DISTINCT } sharing;
static const char *const sharing_name[] = {"none", "same", "distinct"};

typedef struct bench {
    const hg_device_api *api;
    hg_device *device;
    const hg_weights *weights;
    int64_t until_us;                    /* no row begins later */
    uint32_t rounds, chunk_rows, chunks; /* of the device; chunk_rows 0: it has no whole chunks */
    uint32_t page[LANES * LANE_PAGES]; /* of lane l, shared by no other: long prompts need lane 0 */
    hg_row row[ROWS_MAX];
    int32_t token[ROWS_MAX];
} bench;

static void must(hg_status status, const hg_error *error)
{
    if (!status) return;
    fprintf(stderr, "gpu-bench: %s\n", error->message);
    exit(1);
}

static void must_cuda(cudaError_t failed)
{
    if (!failed) return;
    fprintf(stderr, "gpu-bench: %s\n", cudaGetErrorString(failed));
    exit(1);
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Sorts us [count]. */
static double median_ms(int64_t *us, uint32_t count)
{
    qsort(us, count, sizeof *us, by_time);
    const int64_t middle = us[count / 2];
    return (double)middle / 1e3;
}

/* ---- the card's memory ---- */

static void measure_copy(uint32_t rounds)
{
    void *from, *to;
    int64_t us[ROUNDS_MAX];
    must_cuda(cudaMalloc(&from, COPY_BYTES));
    must_cuda(cudaMalloc(&to, COPY_BYTES));
    for (uint32_t i = 0; i < rounds; i++) {
        int64_t begin = hg_clock_us();
        for (int c = 0; c < COPIES; c++)
            must_cuda(cudaMemcpyAsync(to, from, COPY_BYTES, cudaMemcpyDeviceToDevice, NULL));
        must_cuda(cudaStreamSynchronize(NULL));
        us[i] = hg_clock_us() - begin;
    }
    printf("copy\t%.1f\n", 2.0 * COPIES * (double)COPY_BYTES / median_ms(us, rounds) / 1e6);
    must_cuda(cudaFree(from));
    must_cuda(cudaFree(to));
}

/* ---- steps ---- */

/* What adapters of the largest rank take in all slots; a little more, for their matrices' lines. */
static size_t adapters_bytes(const bench *b)
{
    hg_shaped_adapter *adapter;
    hg_error error;
    must(hg_shaped_adapter_open(&b->weights->shape, RANK_MOST, &adapter, &error), &error);
    size_t bytes = hg_shaped_adapter_weights(adapter)->bytes;
    hg_shaped_adapter_close(adapter);
    return LANES * (bytes + bytes / 64);
}

static void open_device(bench *b)
{
    /* Lanes of 32 with 9 pages, and one of 129: pages are lane 0's first. */
    const hg_device_plan plan = {.pages = LANE_PAGES + LANES * 10,
                                 .lane_pages = LANE_PAGES,
                                 .step_rows = HG_LIMIT_STEP_ROWS,
                                 .step_lanes = LANES,
                                 .adapter_slots = LANES,
                                 .adapter_bytes = adapters_bytes(b),
                                 .chunks = HG_LIMIT_CHUNKS};
    const hg_device_options options = {0};
    hg_error error;
    b->api = hg_cuda_device();
    must(b->api->open(&options, &b->device, &error), &error);
    int64_t begin = hg_clock_us();
    must(b->api->load_model(b->device, b->weights, &plan, &error), &error);
    hg_device_info info;
    b->api->describe(b->device, &info);
    b->chunk_rows = info.chunk_rows;
    b->chunks = info.chunks;
    fprintf(stderr, "packed and loaded in %.1f s\n", (double)(hg_clock_us() - begin) / 1e6);
    for (uint32_t lane = 0; lane < LANES; lane++)
        for (uint32_t i = 0; i < LANE_PAGES; i++)
            b->page[lane * LANE_PAGES + i] = lane ? LANE_PAGES + lane * 10 + i % 10 : i;
}

/* Adapters of one rank in all slots, the same values in each: memory of its own. Those of another
 * rank leave all at once, so that their room is whole again. */
static void put_adapters(bench *b, uint32_t rank)
{
    hg_shaped_adapter *adapter;
    hg_error error;
    must(hg_shaped_adapter_open(&b->weights->shape, rank, &adapter, &error), &error);
    for (uint16_t slot = 0; slot < LANES; slot++) b->api->drop_adapter(b->device, slot);
    for (uint16_t slot = 0; slot < LANES; slot++) {
        must(b->api->put_adapter_begin(b->device, slot, hg_shaped_adapter_weights(adapter), &error),
             &error);
        for (bool done = false; !done;)
            must(b->api->put_adapter_step(b->device, slot, HG_LIMIT_ADAPTER_PIECE, &done, &error),
                 &error);
        must(b->api->put_adapter_commit(b->device, slot, &error), &error);
    }
    hg_shaped_adapter_close(adapter);
}

/* Rows [position, position + count) of each of so many lanes, the last of each wanted, or none and
 * whole chunks where the device has such. */
static int64_t run_rows(bench *b, uint32_t lanes, uint32_t position, uint32_t count, bool want,
                        sharing adapters)
{
    uint32_t rows = 0;
    for (uint32_t lane = 0; lane < lanes; lane++)
        for (uint32_t i = 0; i < count; i++, rows++)
            b->row[rows] = (hg_row){
                .token = (int32_t)((rows * 7919 + position) % b->weights->shape.vocabulary),
                .position = position + i,
                .lane = (uint16_t)lane,
                .slot = adapters == NONE   ? HG_NO_SLOT
                        : adapters == SAME ? 0
                                           : (uint16_t)lane,
                .want = want && i + 1 == count,
                .whole = !want && b->chunk_rows && count % b->chunk_rows == 0};
    const hg_step step = {.row = b->row, .page = b->page, .rows = rows, .lanes = lanes};
    hg_result result = {.token = b->token};
    hg_error error;
    int64_t begin = hg_clock_us();
    must(b->api->forward(b->device, &step, &result, &error), &error);
    return hg_clock_us() - begin;
}

/* Positions 0 .. tokens - 1 of all lanes, in steps that are as full as lanes allow; with a single
 * lane whole chunks first. */
static int64_t run_prompts(bench *b, uint32_t lanes, uint32_t tokens, sharing adapters)
{
    int64_t us = 0;
    uint32_t share = HG_LIMIT_STEP_ROWS / lanes, done = 0;
    for (uint32_t n; done < tokens; done += n) {
        uint32_t chunks = lanes == 1 && b->chunk_rows ? (tokens - 1 - done) / b->chunk_rows : 0;
        n = tokens - done < share ? tokens - done : share;
        if (chunks) n = (chunks < b->chunks ? chunks : b->chunks) * b->chunk_rows;
        us += run_rows(b, lanes, done, n, done + n == tokens, adapters);
    }
    return us;
}

static void measure_step(bench *b, uint32_t lanes, sharing adapters, uint32_t rank)
{
    int64_t us[ROUNDS_MAX];
    run_prompts(b, lanes, POSITION, adapters);
    for (uint32_t i = 0; i <= b->rounds / 10; i++) run_rows(b, lanes, POSITION, 1, true, adapters);
    for (uint32_t i = 0; i < b->rounds; i++)
        us[i] = run_rows(b, lanes, POSITION, 1, true, adapters);
    printf("step\t%u\t%s\t%u\t%.4f\n", lanes, sharing_name[adapters], rank,
           median_ms(us, b->rounds));
    fflush(stdout);
}

static void measure_request(bench *b, uint32_t batch, sharing adapters, uint32_t rank)
{
    int64_t us = run_prompts(b, batch, IN, adapters);
    for (uint32_t i = 0; i + 1 < OUT; i++) us += run_rows(b, batch, IN + i, 1, true, adapters);
    printf("request\t%u\t%s\t%u\t%.3f\n", batch, sharing_name[adapters], rank, (double)us / 1e3);
    fflush(stdout);
}

static void measure_prompt(bench *b)
{
    int64_t us[ROUNDS_MAX];
    uint32_t rounds = b->rounds < 10 ? b->rounds : 10;
    uint32_t tokens = b->weights->shape.positions / 4; /* 2,048 */
    run_prompts(b, 1, tokens, NONE);
    for (uint32_t i = 0; i < rounds; i++) us[i] = run_prompts(b, 1, tokens, NONE);
    printf("prefill\t%u\t%.3f\t%s\n", tokens, median_ms(us, rounds),
           b->chunk_rows ? "whole chunks" : "passes");
    fflush(stdout);
}

/* Whether there is time for a row; else it is named. */
static bool has_time(const bench *b, const char *what, uint32_t lanes, sharing s, uint32_t rank)
{
    if (hg_clock_us() < b->until_us) return true;
    printf("left\t%s\t%u\t%s\t%u\n", what, lanes, sharing_name[s], rank);
    return false;
}

static void measure_steps(bench *b, sharing s, uint32_t rank)
{
    static const uint32_t lanes[] = {8, 1, 32, 16};
    for (uint32_t i = 0; i < 4; i++)
        if (has_time(b, "step", lanes[i], s, rank)) measure_step(b, lanes[i], s, rank);
}

static void measure_requests(bench *b, sharing s, uint32_t rank)
{
    static const uint32_t batch[] = {1, 16, 8, 4, 2};
    for (uint32_t i = 0; i < 5; i++)
        if (has_time(b, "request", batch[i], s, rank)) measure_request(b, batch[i], s, rank);
}

static void measure_all(bench *b)
{
    static const uint32_t ranks[] = {16, 64};
    measure_steps(b, NONE, 0);
    if (has_time(b, "prefill", 1, NONE, 0)) measure_prompt(b);
    for (uint32_t r = 0; r < 2; r++) {
        if (hg_clock_us() < b->until_us) put_adapters(b, ranks[r]);
        measure_steps(b, DISTINCT, ranks[r]);
        measure_steps(b, SAME, ranks[r]);
        measure_requests(b, DISTINCT, ranks[r]);
        measure_requests(b, SAME, ranks[r]);
    }
}

int main(int argc, char **argv)
{
    static bench b;
    hg_shaped *shaped;
    hg_device_info info;
    hg_error error;
    b.until_us = argc > 3 ? hg_clock_us() + 1000000 * (int64_t)atoi(argv[3]) : INT64_MAX;
    b.rounds = argc > 2 ? (uint32_t)atoi(argv[2]) : 50;
    if (!b.rounds || b.rounds > ROUNDS_MAX) {
        fprintf(stderr, "gpu-bench: ROUNDS: from 1 to %d\n", ROUNDS_MAX);
        return 2;
    }
    must(hg_shaped_open(argc > 1 ? argv[1] : "8b", &shaped, &error), &error);
    b.weights = hg_shaped_weights(shaped);
    open_device(&b);
    b.api->describe(b.device, &info);
    printf("card\t%s\n", info.name);
    measure_copy(b.rounds);
    measure_all(&b);
    b.api->close(b.device);
    hg_shaped_close(shaped);
    return 0;
}
