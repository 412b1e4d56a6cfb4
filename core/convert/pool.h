/* pool.h: all cores for one loop at a time, each thread with scratch memory of its own. */
#ifndef HG_CONVERT_POOL_H
#define HG_CONVERT_POOL_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "kernels/cpu/workers.h"

typedef struct hg_pool {
    hg_workers *workers; /* owned */
    uint32_t threads;
    size_t scratch_floats;
    float *scratch; /* [threads, scratch_floats] owned */
} hg_pool;

/* threads 0: one for each core this process may run on. scratch_floats: of each thread. */
hg_status hg_pool_open(uint32_t threads, size_t scratch_floats, hg_pool *out,
                       hg_error *error) HG_CHECKED;
void hg_pool_close(hg_pool *pool);

/* Calls run for the units [first, first + count) of total in as many pieces as are good, on all
 * threads; which thread runs a piece must not matter. scratch [scratch_floats] is the thread's. */
typedef void hg_pool_run(void *context, uint32_t first, uint32_t count, float *scratch);
void hg_pool_each(hg_pool *pool, uint32_t total, hg_pool_run *run, void *context);

#endif
