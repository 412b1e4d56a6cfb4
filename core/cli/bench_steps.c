/* bench_steps.c: the device's steps against what the machine can do at most.
 *
 * A step has to read its bytes once (packed weights, the adapters that its lanes use, their KV) and
 * to do its integer operations (two for a product and its sum). In each round every kind of step is
 * run for some milliseconds, between measurements of how fast this machine reads that many bytes
 * again and again, and what its INT8 instruction reaches in registers. Ratios are taken inside a
 * round, so that a machine which slows down slows all of them. Attention's arithmetic, in F32, is
 * not counted: of short lanes it is little.
 *
 * Adapters are random, one in memory for each rank, uploaded into as many slots as lanes want.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/cli/bench.h"
#include "core/cli/table.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/measure.h"

#define POSITION     40 /* of a decode row: behind a short sentence */
#define LANE_ROWS    16 /* most rows of a lane in a prefill step */
#define ROWS_MOST    64 /* of one lane: what its pages hold */
#define LANE_PAGES   4
#define LANES        32
#define STEP_US      4000 /* least time of one kind of step in one round */
#define STEPS_MAX    64
#define ADAPTERS_MAX ((size_t)1 << 30) /* bytes of all slots: distinct adapters of an 8B fit 16 */

typedef struct bench {
    const hg_weights *weights;
    const hg_device_api *api;
    hg_device *device;
    hg_measure *measure;
    hg_shaped_adapter *adapter; /* of the rank at hand, or NULL */
    hg_bench_steps *out;
    uint32_t page[LANES * LANE_PAGES];
    uint32_t slots; /* uploaded */
    size_t page_bytes, slot_bytes;
    double peak; /* INT8 operations/s, of this round */
    hg_progress progress;
    uint64_t done;
} bench;

/* ---- which steps ---- */

static void add(bench *b, bool prefill, uint32_t lanes, hg_bench_adapters adapters, uint32_t rank)
{
    hg_bench_steps *s = b->out;
    assert(s->count < HG_BENCH_STEPS && lanes <= LANES);
    uint32_t most = HG_LIMIT_STEP_ROWS / lanes;
    uint32_t rows = lanes * (!prefill ? 1 : most < LANE_ROWS ? most : LANE_ROWS);
    s->step[s->count++] = (hg_bench_step){.prefill = prefill,
                                          .adapters = adapters,
                                          .lanes = lanes,
                                          .rows = rows,
                                          .rank = adapters ? rank : 0};
}

static void add_all(bench *b, bool prefill, uint32_t rank, bool none)
{
    for (uint32_t lanes = 1; lanes <= LANES; lanes *= 2) {
        if (none) add(b, prefill, lanes, HG_BENCH_NONE, 0);
        add(b, prefill, lanes, HG_BENCH_SAME, rank);
        if (lanes > 1) add(b, prefill, lanes, HG_BENCH_DISTINCT, rank);
    }
}

/* Prompts of one lane, row count by row count: what a row adds, and that none adds much more than
 * the next. full: each of them, or those at which the kernels' tiles begin and end. */
static void add_rows(bench *b, bool full)
{
    static const uint8_t some[] = {1,  2,  3,  4,  5,  6,  8,  10, 11, 12, 13,
                                   15, 16, 17, 20, 24, 25, 32, 33, 48, 49, 64};
    for (uint32_t i = 0; i < (full ? ROWS_MOST : sizeof some); i++) {
        add(b, true, 1, HG_BENCH_NONE, 0);
        b->out->step[b->out->count - 1].rows = full ? i + 1 : some[i];
    }
}

/* Rank by rank: the adapters of one are resident at a time. */
static void choose(bench *b, bool full, bool shape)
{
    static const uint32_t ranks[] = {16, 8, 32, 64};
    if (shape && !full) {
        static const uint32_t lanes[] = {1, 8, 32};
        for (size_t i = 0; i < 3; i++) add(b, false, lanes[i], HG_BENCH_NONE, 0);
        add(b, false, 1, HG_BENCH_SAME, 16);
        add(b, false, 8, HG_BENCH_DISTINCT, 16);
        add_rows(b, false);
        return;
    }
    for (size_t i = 0; i < sizeof ranks / sizeof *ranks; i++) {
        if (full || i == 0) {
            add_all(b, false, ranks[i], i == 0);
            add_all(b, true, ranks[i], i == 0);
            if (i == 0) add_rows(b, full);
        } else {
            add(b, false, 8, HG_BENCH_DISTINCT, ranks[i]);
        }
    }
}

/* ---- bytes and operations ---- */

static double cells_of(const hg_shape *s, uint32_t rank)
{
    double q = (double)s->heads * s->head_dim, kv = (double)s->kv_heads * s->head_dim;
    double hidden = s->hidden, wide = s->intermediate;
    if (rank)
        return s->layers * (double)rank *
               (2 * (hidden + q) + 2 * (hidden + kv) + 3 * (hidden + wide));
    return s->layers * (2 * hidden * q + 2 * hidden * kv + 3 * hidden * wide);
}

static void count_work(const bench *b, hg_bench_step *s)
{
    const hg_shape *shape = &b->weights->shape;
    double used = s->adapters == HG_BENCH_DISTINCT ? s->lanes : s->adapters ? 1 : 0;
    double position = s->prefill ? (double)s->rows / s->lanes : POSITION + 1;
    double kv = position * (double)b->page_bytes / HG_LIMIT_PAGE_TOKENS;
    s->bytes = (double)b->out->step_bytes + used * (double)b->slot_bytes + s->lanes * kv;
    double products = s->rows * cells_of(shape, 0) + (double)s->lanes * shape->vocabulary *
                                                         shape->hidden; /* one head row a lane */
    if (s->adapters) products += s->rows * cells_of(shape, s->rank);
    s->operations = 2 * products;
}

/* ---- running ---- */

static void fill_rows(const hg_bench_step *s, uint32_t vocabulary, hg_row *row)
{
    uint32_t each = s->rows / s->lanes;
    for (uint32_t i = 0; i < s->rows; i++) {
        uint32_t lane = i / each, at = i % each;
        row[i] = (hg_row){.token = (int32_t)((17 * i + 5) % vocabulary),
                          .position = s->prefill ? at : POSITION,
                          .lane = (uint16_t)lane,
                          .slot = s->adapters == HG_BENCH_NONE       ? HG_NO_SLOT
                                  : s->adapters == HG_BENCH_DISTINCT ? (uint16_t)lane
                                                                     : 0,
                          .want = at + 1 == each};
    }
}

/* The median time of the steps that fit STEP_US, at least one. */
static hg_status time_step(bench *b, const hg_bench_step *s, double *us, hg_error *error)
{
    hg_row row[HG_LIMIT_STEP_ROWS];
    int32_t token[HG_LIMIT_STEP_ROWS];
    double time[STEPS_MAX];
    size_t n = 0;
    fill_rows(s, b->weights->shape.vocabulary, row);
    const hg_step step = {.row = row, .page = b->page, .rows = s->rows, .lanes = s->lanes};
    hg_result result = {.token = token};
    int64_t begin = hg_measure_clock_us(b->measure), from = begin, now = begin;
    while (n < STEPS_MAX && (n == 0 || now - begin < STEP_US)) {
        hg_status status = b->api->forward(b->device, &step, &result, error);
        if (status) return status;
        now = hg_measure_clock_us(b->measure);
        time[n++] = now > from ? (double)(now - from) : 1;
        from = now;
    }
    *us = hg_spread_of(time, n).median;
    return HG_OK;
}

static hg_status run_round(bench *b, hg_bench_step *s, uint32_t round, hg_error *error)
{
    double us = 0, read = 0;
    hg_status status = hg_measure_read(b->measure, (size_t)s->bytes, &read, error);
    if (!status) status = time_step(b, s, &us, error);
    if (status) return status;
    double floor_us = s->bytes / read * 1e6, work_us = 0;
    if (b->peak > 0) work_us = s->operations / b->peak * 1e6;
    s->round_us[round] = us;
    s->round_read[round] = read;
    s->round_share[round] = (floor_us > work_us ? floor_us : work_us) / us;
    hg_progress_set(&b->progress, ++b->done);
    return HG_OK;
}

static hg_status upload(bench *b, uint16_t slot, hg_error *error)
{
    const hg_lora_weights *weights = hg_shaped_adapter_weights(b->adapter);
    hg_status status = b->api->put_adapter_begin(b->device, slot, weights, error);
    for (bool done = false; !status && !done;)
        status = b->api->put_adapter_step(b->device, slot, 1 << 24, &done, error);
    return status ? status : b->api->put_adapter_commit(b->device, slot, error);
}

static void drop_adapters(bench *b)
{
    while (b->slots) b->api->drop_adapter(b->device, (uint16_t)--b->slots);
    hg_shaped_adapter_close(b->adapter);
    b->adapter = NULL;
}

/* As many adapters of a rank as the steps from first to end want. */
static hg_status put_adapters(bench *b, uint32_t first, uint32_t end, hg_error *error)
{
    uint32_t want = 0, rank = 0;
    for (uint32_t i = first; i < end; i++) {
        const hg_bench_step *s = &b->out->step[i];
        uint32_t own = s->adapters == HG_BENCH_DISTINCT ? s->lanes : s->adapters ? 1 : 0;
        want = own > want ? own : want;
        rank = s->rank > rank ? s->rank : rank;
    }
    if (!want) return HG_OK;
    hg_device_memory before, after;
    b->api->memory(b->device, &before);
    hg_status status = hg_shaped_adapter_open(&b->weights->shape, rank, &b->adapter, error);
    for (; b->slots < want && !status; b->slots++) {
        status = upload(b, (uint16_t)b->slots, error);
        if (status) break;
        b->api->memory(b->device, &after);
        if (!b->slots) b->slot_bytes = after.adapters_bytes - before.adapters_bytes;
        if (b->slot_bytes * want > ADAPTERS_MAX)
            status = hg_fail(error, HG_ERROR_LIMIT,
                             "bench: %u adapters of rank %u take more than %zu bytes", want, rank,
                             ADAPTERS_MAX);
    }
    return status;
}

/* The steps from first to end, all of one rank or of none, in turns. */
static hg_status run_group(bench *b, uint32_t first, uint32_t end, uint32_t rounds, hg_error *error)
{
    hg_status status = put_adapters(b, first, end, error);
    for (uint32_t i = first; i < end; i++) count_work(b, &b->out->step[i]);
    for (uint32_t round = 0; round < rounds && !status; round++) {
        b->peak = hg_measure_int8(b->measure, b->out->kernel);
        if (b->peak > b->out->peak) b->out->peak = b->peak;
        for (uint32_t i = first; i < end && !status; i++)
            status = run_round(b, &b->out->step[i], round, error);
    }
    drop_adapters(b);
    for (uint32_t i = first; i < end && !status; i++) {
        hg_bench_step *s = &b->out->step[i];
        s->us = hg_spread_of(s->round_us, rounds);
        s->read_bytes = hg_spread_of(s->round_read, rounds);
        s->share = hg_spread_of(s->round_share, rounds);
        double read_us = s->bytes / s->read_bytes.most * 1e6, work_us = 0;
        if (b->out->peak > 0) work_us = s->operations / b->out->peak * 1e6;
        s->best = (read_us > work_us ? read_us : work_us) / s->us.least;
    }
    return status;
}

static hg_status open_device(bench *b, const hg_settings *settings, hg_error *error)
{
    const hg_device_plan plan = {.pages = LANES * LANE_PAGES,
                                 .lane_pages = LANE_PAGES,
                                 .step_rows = HG_LIMIT_STEP_ROWS,
                                 .step_lanes = LANES,
                                 .adapter_slots = LANES,
                                 .dense_bits = hg_cli_runtime_options(settings, false).dense_bits};
    const hg_device_options options = {.kernel = settings->kernel,
                                       .threads = (uint32_t)settings->threads};
    hg_device_info info;
    hg_device_memory memory;
    b->api = hg_cpu_device();
    hg_status status = b->api->open(&options, &b->device, error);
    int64_t start_us = hg_clock_us();
    if (!status) status = b->api->load_model(b->device, b->weights, &plan, error);
    if (status) return status;
    b->out->load_ms = (double)(hg_clock_us() - start_us) / 1e3;
    b->api->describe(b->device, &info);
    b->api->memory(b->device, &memory);
    memcpy(b->out->device, info.name, sizeof b->out->device);
    memcpy(b->out->kernel, info.kernel, sizeof b->out->kernel);
    b->out->threads = info.threads;
    b->out->weights_bytes = memory.weights_bytes;
    b->out->step_bytes = memory.weights_bytes - memory.logits_bytes;
    b->page_bytes = info.page_bytes;
    for (uint32_t i = 0; i < LANES * LANE_PAGES; i++) b->page[i] = i;
    return hg_measure_open(info.threads, &b->measure, error);
}

hg_status hg_bench_steps_run(const hg_settings *settings, const hg_weights *weights,
                             hg_bench_steps *out, hg_error *error)
{
    bench b = {.weights = weights, .out = out};
    uint32_t rounds = (uint32_t)settings->runs;
    assert(rounds >= 1 && rounds <= HG_BENCH_ROUNDS);
    *out = (hg_bench_steps){.step = calloc(HG_BENCH_STEPS, sizeof *out->step)};
    if (!out->step) return hg_fail(error, HG_ERROR_MEMORY, "out of memory");
    hg_status status = open_device(&b, settings, error);
    choose(&b, settings->full, settings->shape != NULL);
    b.progress = hg_progress_start("steps", (uint64_t)out->count * rounds);
    for (uint32_t first = 0, end; first < out->count && !status; first = end) {
        uint32_t rank = out->step[first].rank;
        for (end = first; end < out->count; end++) {
            if (rank && out->step[end].rank && out->step[end].rank != rank) break;
            if (!rank) rank = out->step[end].rank;
        }
        status = run_group(&b, first, end, rounds, error);
    }
    hg_progress_end(&b.progress);
    hg_measure_close(b.measure);
    if (b.api) b.api->close(b.device);
    return status;
}

void hg_bench_steps_free(hg_bench_steps *steps)
{
    free(steps->step);
    steps->step = NULL;
}

/* ---- the report ---- */

static const char *const adapters_name[] = {"none", "same", "distinct"};

hg_status hg_bench_steps_print(const hg_bench_steps *steps, hg_error *error)
{
    static const char *const titles[] = {"step",   ">lanes", ">rows",   "adapters", ">rank", ">ms",
                                         ">least", ">most",  ">tok/s",  ">MB",      ">GB/s", ">of",
                                         ">GOP/s", ">of",    ">roof %", ">best",    NULL};
    hg_table table;
    hg_table_start(&table, titles);
    for (uint32_t i = 0; i < steps->count; i++) {
        const hg_bench_step *s = &steps->step[i];
        double us = s->us.median;
        hg_table_cell(&table, "%s", s->prefill ? "prefill" : "decode");
        hg_table_cell(&table, "%u", s->lanes);
        hg_table_cell(&table, "%u", s->rows);
        hg_table_cell(&table, "%s", adapters_name[s->adapters]);
        hg_table_cell(&table, s->rank ? "%u" : "-", s->rank);
        hg_table_cell(&table, "%.3f", us / 1e3);
        hg_table_cell(&table, "%.3f", s->us.least / 1e3);
        hg_table_cell(&table, "%.3f", s->us.most / 1e3);
        hg_table_cell(&table, "%.0f", s->rows / us * 1e6);
        hg_table_cell(&table, "%.1f", s->bytes / 1e6);
        hg_table_cell(&table, "%.1f", s->bytes / us / 1e3);
        hg_table_cell(&table, "%.1f", s->read_bytes.median / 1e9);
        hg_table_cell(&table, "%.0f", s->operations / us / 1e3);
        hg_table_cell(&table, steps->peak > 0 ? "%.0f" : "-", steps->peak / 1e9);
        hg_table_cell(&table, "%.0f", 100 * s->share.median);
        hg_table_cell(&table, "%.0f", 100 * s->best);
    }
    printf("%s, kernel %s, %u threads; weights take %.1f MB, packed in %.0f ms\n\n", steps->device,
           steps->kernel, steps->threads, (double)steps->weights_bytes / 1e6, steps->load_ms);
    hg_status status = hg_table_end(&table, stdout, error);
    puts("\nms: median of the rounds, least, most. MB: what a step must read; of: how fast all "
         "threads read that many\nbytes. GOP/s: INT8 operations; of: the peak of the kernel's "
         "instruction. roof %: the larger of the two least times\nover the step's; best: at the "
         "highest rates, over the least.");
    return status;
}

static void spread_json(hg_json_out *json, const char *name, hg_spread spread)
{
    hg_json_begin_object(json, name);
    hg_json_put_number(json, "median", spread.median);
    hg_json_put_number(json, "least", spread.least);
    hg_json_put_number(json, "most", spread.most);
    hg_json_end_object(json);
}

void hg_bench_steps_json(const hg_bench_steps *steps, hg_json_out *json)
{
    hg_json_put_text(json, "device", steps->device);
    hg_json_put_text(json, "kernel", steps->kernel);
    hg_json_put_integer(json, "threads", steps->threads);
    hg_json_put_integer(json, "weights_bytes", (int64_t)steps->weights_bytes);
    hg_json_put_integer(json, "step_bytes", (int64_t)steps->step_bytes);
    hg_json_put_number(json, "load_ms", steps->load_ms);
    hg_json_put_number(json, "int8_peak_per_s", steps->peak);
    hg_json_begin_array(json, "steps");
    for (uint32_t i = 0; i < steps->count; i++) {
        const hg_bench_step *s = &steps->step[i];
        hg_json_begin_object(json, NULL);
        hg_json_put_text(json, "kind", s->prefill ? "prefill" : "decode");
        hg_json_put_integer(json, "lanes", s->lanes);
        hg_json_put_integer(json, "rows", s->rows);
        hg_json_put_text(json, "adapters", adapters_name[s->adapters]);
        hg_json_put_integer(json, "rank", s->rank);
        spread_json(json, "step_us", s->us);
        hg_json_put_number(json, "tokens_per_s", s->rows / s->us.median * 1e6);
        hg_json_put_number(json, "bytes", s->bytes);
        hg_json_put_number(json, "operations", s->operations);
        spread_json(json, "read_bytes_per_s", s->read_bytes);
        spread_json(json, "roofline_share", s->share);
        hg_json_put_number(json, "roofline_share_best", s->best);
        hg_json_end_object(json);
    }
    hg_json_end_array(json);
}
