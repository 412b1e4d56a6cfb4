/* pool.c: see pool.h. A loop is one stage of the CPU device's workers. */
#include "core/convert/pool.h"

#include <sched.h>
#include <stdlib.h>

#include "core/base/limits.h"

typedef struct loop {
    const hg_pool *pool;
    uint32_t total, items;
    hg_pool_run *run;
    void *context;
} loop;

static uint32_t count_items(void *context, uint32_t stage)
{
    (void)stage;
    return ((const loop *)context)->items;
}

static void run_item(void *context, uint32_t stage, uint32_t item, uint32_t worker)
{
    const loop *l = context;
    uint32_t first, count;
    (void)stage;
    hg_workers_share(l->total, l->items, item, &first, &count);
    l->run(l->context, first, count, l->pool->scratch + worker * l->pool->scratch_floats);
}

static uint32_t count_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    int cores = CPU_COUNT(&set);
    return cores > HG_LIMIT_WORKERS ? HG_LIMIT_WORKERS : (uint32_t)cores;
}

hg_status hg_pool_open(uint32_t threads, size_t scratch_floats, hg_pool *out, hg_error *error)
{
    *out = (hg_pool){.threads = threads ? threads : count_cores(),
                     .scratch_floats = (scratch_floats + 15) / 16 * 16};
    out->scratch = aligned_alloc(64, out->threads * out->scratch_floats * sizeof *out->scratch);
    if (!out->scratch) return hg_fail(error, HG_ERROR_MEMORY, "no memory for %u threads", threads);
    hg_status status = hg_workers_open(out->threads, &out->workers, error);
    if (status) hg_pool_close(out);
    return status;
}

void hg_pool_close(hg_pool *pool)
{
    hg_workers_close(pool->workers);
    free(pool->scratch);
    *pool = (hg_pool){0};
}

void hg_pool_each(hg_pool *pool, uint32_t total, hg_pool_run *run, void *context)
{
    const uint32_t most = HG_WORKERS_ITEMS;
    loop l = {.pool = pool,
              .total = total,
              .items = total < most ? total : most,
              .run = run,
              .context = context};
    hg_work work = {.stages = 1, .items = count_items, .run = run_item, .context = &l};
    hg_workers_run(pool->workers, &work);
}
