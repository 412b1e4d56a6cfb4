/* bench_kernels.c: time of one device step, by kernel family and number of rows.
 *
 *     bench_kernels [--kernel NAME] [--threads N]
 *
 * hydra-tiny with its ten adapters. Decode rows are one a lane at position 40, each on an adapter
 * of its own (in turn); prefill rows are one lane's, without adapter, and want one result. For
 * each: the least and the median time of a step, rows/s by the median, and by the least time GB/s
 * of weights and adapters read and integer operations/s. Above them what the machine reads from
 * memory with all threads.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/limits.h"
#include "core/model/adapter.h"
#include "core/model/model.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/workers.h"

#define ADAPTERS   10
#define LANES      64
#define LANE_PAGES 16
#define POSITION   40
#define STEPS      300

typedef struct bench {
    const hg_device_api *api;
    hg_device *device;
    hg_model *model;
    hg_adapter *adapter[ADAPTERS];
    uint32_t page[LANES * LANE_PAGES];
} bench;

static void must(hg_status status, const hg_error *error)
{
    if (!status) return;
    fprintf(stderr, "bench_kernels: %s\n", error->message);
    exit(1);
}

/* ---- reading memory ---- */

#define READ_BYTES ((size_t)64 << 20)

typedef struct reading {
    const uint64_t *data;
    uint64_t sum[HG_LIMIT_WORKERS * 8];
} reading;

static uint32_t reading_items(void *context, uint32_t stage)
{
    (void)context, (void)stage;
    return 64;
}

static void read_part(void *context, uint32_t stage, uint32_t item, uint32_t worker)
{
    (void)stage;
    reading *r = context;
    size_t n = READ_BYTES / 64 / sizeof *r->data;
    const uint64_t *p = r->data + item * n;
    uint64_t sum[8] = {0};
    for (size_t i = 0; i < n; i += 8)
        for (size_t j = 0; j < 8; j++) sum[j] += p[i + j];
    for (size_t j = 0; j < 8; j++) r->sum[worker * 8 + j] += sum[j];
}

static double read_bandwidth(uint32_t threads)
{
    static reading r;
    hg_error error;
    hg_workers *workers;
    must(hg_workers_open(threads, &workers, &error), &error);
    uint64_t *data = malloc(READ_BYTES);
    if (!data) exit(1);
    memset(data, 1, READ_BYTES);
    r.data = data;
    int64_t least = INT64_MAX;
    hg_work work = {1, reading_items, read_part, &r};
    for (int i = 0; i < 20; i++) {
        int64_t start = hg_clock_us();
        hg_workers_run(workers, &work);
        int64_t time = hg_clock_us() - start;
        least = time < least ? time : least;
    }
    hg_workers_close(workers);
    free(data);
    return (double)READ_BYTES / (double)least / 1e3;
}

/* ---- steps ---- */

static void open_bench(bench *b, const hg_device_options *options)
{
    static const char *const names[ADAPTERS] = {"de", "en", "es", "fr", "ja",
                                                "nl", "ru", "sv", "tr", "zh"};
    const hg_device_plan plan = {LANES * LANE_PAGES, LANE_PAGES, 256, LANES, ADAPTERS};
    hg_error error;
    b->api = hg_cpu_device();
    must(b->api->open(options, &b->device, &error), &error);
    must(b->api->load_model(b->device, &b->model->weights, &plan, &error), &error);
    for (uint16_t i = 0; i < ADAPTERS; i++) {
        char path[64];
        snprintf(path, sizeof path, "plugins/%s", names[i]);
        if (!b->adapter[i])
            must(hg_adapter_open(path, &b->model->weights.shape, &b->adapter[i], &error), &error);
        must(b->api->put_adapter_begin(b->device, i, &b->adapter[i]->lora, &error), &error);
        for (bool done = false; !done;)
            must(b->api->put_adapter_step(b->device, i, 1 << 20, &done, &error), &error);
        must(b->api->put_adapter_commit(b->device, i, &error), &error);
    }
    for (uint32_t i = 0; i < LANES * LANE_PAGES; i++) b->page[i] = i;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* A step of rows decode rows, or of one lane's prompt. */
static void run_case(bench *b, uint32_t rows, bool prefill, int steps)
{
    hg_row row[256];
    int32_t token[256];
    int64_t time[STEPS];
    for (uint32_t i = 0; i < rows; i++) {
        row[i] = (hg_row){.token = (int32_t)(17 * i + 5), .want = !prefill || i + 1 == rows};
        row[i].position = prefill ? i : POSITION;
        row[i].lane = prefill ? 0 : (uint16_t)i;
        row[i].slot = prefill ? HG_NO_SLOT : (uint16_t)(i % ADAPTERS);
    }
    hg_step step = {.row = row, .page = b->page, .rows = rows, .lanes = prefill ? 1 : rows};
    hg_result result = {.token = token};
    hg_error error;
    for (int i = 0; i < steps; i++) {
        int64_t start = hg_clock_us();
        must(b->api->forward(b->device, &step, &result, &error), &error);
        time[i] = hg_clock_us() - start;
    }
    qsort(time, (size_t)steps, sizeof time[0], by_time);
    hg_device_memory memory;
    b->api->memory(b->device, &memory);
    double used = prefill ? 0 : rows < ADAPTERS ? (double)rows / ADAPTERS : 1;
    size_t step_bytes = memory.weights_bytes - memory.logits_bytes;
    double bytes = (double)step_bytes + used * (double)memory.adapters_bytes;
    int64_t middle = time[steps / 2];
    double median = (double)middle, least = (double)time[0];
    /* The head runs for wanted rows only. */
    const hg_matrix *head = &b->model->weights.head;
    double operations = 2.0 * ((double)b->model->parameters * rows -
                               (prefill ? (double)head->rows * head->columns * (rows - 1) : 0));
    printf("  %-8s %4u %9.0f %9.0f %9.0f %8.1f %9.0f\n", prefill ? "prefill" : "decode", rows,
           least, median, 1e6 * rows / median, bytes / least / 1e3, operations / least / 1e3);
}

static void run_family(bench *b, const char *kernel, uint32_t threads)
{
    static const uint32_t decode[] = {1, 2, 4, 8, 9, 16, 32, 64}, prefill[] = {8, 16, 32, 64, 256};
    hg_device_options options = {.kernel = kernel, .threads = threads};
    hg_device_info info;
    int64_t start = hg_clock_us();
    open_bench(b, &options);
    b->api->describe(b->device, &info);
    double load_ms = (double)(hg_clock_us() - start) / 1e3;
    printf("%s, %s, %u threads, loaded with adapters in %.0f ms; memory is read at %.1f GB/s\n",
           info.name, info.kernel, info.threads, load_ms, read_bandwidth(info.threads));
    printf("  %-8s %4s %9s %9s %9s %8s %9s\n", "", "rows", "least us", "median us", "rows/s",
           "GB/s", "GOP/s");
    bool slow = strcmp(info.kernel, "reference") == 0;
    for (size_t i = 0; i < sizeof decode / sizeof decode[0]; i++)
        run_case(b, decode[i], false, slow ? 3 : STEPS);
    for (size_t i = 0; i < sizeof prefill / sizeof prefill[0] && !slow; i++)
        run_case(b, prefill[i], true, STEPS / 3);
    b->api->close(b->device);
}

int main(int arguments, char **argument)
{
    bench b = {0};
    hg_error error;
    const char *kernel = NULL;
    uint32_t threads = 0;
    for (int i = 1; i + 1 < arguments; i += 2) {
        if (strcmp(argument[i], "--kernel") == 0) kernel = argument[i + 1];
        if (strcmp(argument[i], "--threads") == 0) threads = (uint32_t)atoi(argument[i + 1]);
    }
    must(hg_model_open("models/hydra-tiny", &b.model, &error), &error);
    for (const char *const *name = hg_cpu_kernels(); *name; name++)
        if (!kernel || strcmp(kernel, *name) == 0) run_family(&b, *name, threads);
    for (int i = 0; i < ADAPTERS; i++) hg_adapter_close(b.adapter[i]);
    hg_model_close(b.model);
    return 0;
}
