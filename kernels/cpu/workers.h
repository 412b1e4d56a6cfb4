/* workers.h: the threads of the CPU device, and how a step's work is shared out.
 *
 * Work is a sequence of stages; a stage is a number of items that may run in any order on any
 * thread; a stage begins when all items of the one before are done. The caller is worker 0 and
 * takes items like the others. Nobody waits for a thread to *arrive*: only for items that some
 * thread has begun, so that a worker which another process keeps off its core costs nothing but
 * its help. Results must therefore not depend on who runs an item.
 */
#ifndef HG_KERNELS_CPU_WORKERS_H
#define HG_KERNELS_CPU_WORKERS_H

#include <assert.h>
#include <stdint.h>

#include "core/base/error.h"

typedef struct hg_workers hg_workers;

#define HG_WORKERS_ITEMS 4095 /* most items of one stage */

typedef struct hg_work {
    uint32_t stages;
    /* Items of a stage, 0 to skip it. Called once a stage, by one thread. */
    uint32_t (*items)(void *context, uint32_t stage);
    /* worker < threads: the index of the thread, for its scratch memory. */
    void (*run)(void *context, uint32_t stage, uint32_t item, uint32_t worker);
    void *context;
} hg_work;

/* Starts threads - 1 threads; with one thread all work is done by the caller. */
hg_status hg_workers_open(uint32_t threads, hg_workers **out, hg_error *error) HG_CHECKED;
void hg_workers_close(hg_workers *workers); /* NULL is allowed */

/* Runs the work and returns when its last item is done. One caller at a time. */
void hg_workers_run(hg_workers *workers, const hg_work *work);

uint32_t hg_workers_threads(const hg_workers *workers);

/* The part [*first, *first + *count) of total units that belongs to one of items: as even as whole
 * units allow. */
static inline void hg_workers_share(uint32_t total, uint32_t items, uint32_t item, uint32_t *first,
                                    uint32_t *count)
{
    assert(items > 0 && item < items);
    *first = (uint32_t)((uint64_t)total * item / items);
    *count = (uint32_t)((uint64_t)total * (item + 1) / items) - *first;
}

#endif
