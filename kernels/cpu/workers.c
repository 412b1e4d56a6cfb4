/* workers.c: a pool whose only shared state of a stage is one 32-bit ticket.
 *
 * The ticket holds a sequence number (high 19 bits), a bit that says that all stages are done, and
 * how many items of the current stage nobody has begun (low 12 bits). A thread takes an item by a
 * compare-and-swap that lowers the count. What the item is, it reads only afterwards: the stage
 * cannot end before that item is done, so even a thread that slept for a million stages between
 * load and swap takes a true item of whatever stage is current. The thread that finishes a stage's
 * last item opens the next one. Waiting is a short spin and then a futex on the ticket, so that a
 * busy machine gets its cores back.
 */
#include "kernels/cpu/workers.h"

#include <assert.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/limits.h"

#define ITEM_MASK HG_WORKERS_ITEMS /* 12 bits */
#define IDLE      (ITEM_MASK + 1u)
#define SEQUENCE  (IDLE << 1)
#define LINE      64 /* bytes of a cache line: what threads write stands apart */

/* Turns of the spin before a thread sleeps: some 50 microseconds, longer than the pause between
 * two steps and far shorter than a scheduler's slice. */
#define SPIN_TURNS 1500

typedef struct worker {
    hg_workers *pool;
    pthread_t thread;
    uint32_t index; /* 1 .. threads - 1; the caller is 0 */
} worker;

struct hg_workers {
    _Alignas(LINE) _Atomic uint32_t ticket;     /* also the futex word */
    _Atomic uint32_t sleepers;                  /* threads in or near futex_wait */
    _Alignas(LINE) _Atomic uint32_t unfinished; /* items of the current stage */
    _Atomic bool leave;                         /* close was called */
    /* Written by the thread that opens a stage, read by those that hold an item of it. */
    _Alignas(LINE) const hg_work *work;
    uint32_t stage, items;
    uint32_t threads;
    worker *worker; /* [threads], entry 0 unused */
};

static void pause_briefly(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void sleep_on(_Atomic uint32_t *word, uint32_t value)
{
    /* Every reason to return (woken, value changed, signal) makes the caller look again. */
    (void)syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

/* Publishes items that nobody has begun; 0: there is nothing to do. Only the thread that opens a
 * stage, or the caller between two works, is here. */
static void set_ticket(hg_workers *pool, uint32_t items)
{
    assert(items <= HG_WORKERS_ITEMS);
    uint32_t old = atomic_load_explicit(&pool->ticket, memory_order_relaxed);
    uint32_t next = (old & ~(SEQUENCE - 1)) + SEQUENCE;
    /* Sequentially consistent with sleepers: either we see the sleeper or it sees the ticket. */
    atomic_store(&pool->ticket, next | (items ? items : IDLE));
    if (atomic_load(&pool->sleepers))
        (void)syscall(SYS_futex, &pool->ticket, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

/* Opens the first stage from `stage` on that has items, or ends the work. */
static void open_stage(hg_workers *pool, uint32_t stage)
{
    const hg_work *work = pool->work;
    uint32_t items = 0;
    while (stage < work->stages && (items = work->items(work->context, stage)) == 0) stage++;
    pool->stage = stage;
    pool->items = items;
    atomic_store_explicit(&pool->unfinished, items, memory_order_relaxed);
    set_ticket(pool, items);
}

/* Takes and runs one item. False: there was none, or another thread was faster; *ticket is then
 * what was seen. */
static bool run_item(hg_workers *pool, uint32_t index, uint32_t *ticket)
{
    uint32_t t = atomic_load_explicit(&pool->ticket, memory_order_acquire);
    *ticket = t;
    uint32_t left = t & ITEM_MASK;
    if (!left || !atomic_compare_exchange_strong_explicit(
                     &pool->ticket, &t, t - 1, memory_order_acquire, memory_order_relaxed))
        return false;
    assert(left <= pool->items);
    uint32_t stage = pool->stage;
    pool->work->run(pool->work->context, stage, pool->items - left, index);
    if (atomic_fetch_sub_explicit(&pool->unfinished, 1, memory_order_acq_rel) == 1)
        open_stage(pool, stage + 1);
    return true;
}

/* Waits until the ticket is no longer the one that was seen. */
static void await_change(hg_workers *pool, uint32_t seen)
{
    for (int i = 0; i < SPIN_TURNS; i++) {
        if (atomic_load_explicit(&pool->ticket, memory_order_relaxed) != seen) return;
        pause_briefly();
    }
    atomic_fetch_add(&pool->sleepers, 1);
    if (atomic_load(&pool->ticket) == seen) sleep_on(&pool->ticket, seen);
    atomic_fetch_sub(&pool->sleepers, 1);
}

static void *worker_main(void *argument)
{
    worker *self = argument;
    hg_workers *pool = self->pool;
    while (!atomic_load_explicit(&pool->leave, memory_order_acquire)) {
        uint32_t seen;
        if (!run_item(pool, self->index, &seen) && !(seen & ITEM_MASK)) {
            /* leave is set before the ticket changes, so it is not missed. */
            if (!atomic_load(&pool->leave)) await_change(pool, seen);
        }
    }
    return NULL;
}

void hg_workers_run(hg_workers *pool, const hg_work *work)
{
    assert(work->stages > 0);
    pool->work = work;
    open_stage(pool, 0);
    for (;;) {
        uint32_t seen;
        if (run_item(pool, 0, &seen) || (seen & ITEM_MASK)) continue;
        /* The acquiring load of an idle ticket orders all that others wrote before our return. */
        if (seen & IDLE) break;
        await_change(pool, seen);
    }
}

hg_status hg_workers_open(uint32_t threads, hg_workers **out, hg_error *error)
{
    assert(threads >= 1 && threads <= HG_LIMIT_WORKERS);
    *out = NULL;
    hg_workers *pool = aligned_alloc(LINE, sizeof *pool);
    worker *list = calloc(threads, sizeof *list);
    if (!pool || !list) {
        free(pool);
        free(list);
        return hg_fail(error, HG_ERROR_MEMORY, "no memory for %u CPU workers", threads);
    }
    memset(pool, 0, sizeof *pool);
    pool->worker = list;
    pool->threads = 1;
    for (uint32_t i = 1; i < threads; i++) {
        list[i] = (worker){.pool = pool, .index = i};
        int failed = pthread_create(&list[i].thread, NULL, worker_main, &list[i]);
        if (failed) {
            hg_workers_close(pool);
            return hg_fail(error, HG_ERROR_IO, "cannot start CPU worker %u of %u: %s", i, threads,
                           strerror(failed));
        }
        pool->threads = i + 1;
    }
    *out = pool;
    return HG_OK;
}

void hg_workers_close(hg_workers *pool)
{
    if (!pool) return;
    atomic_store(&pool->leave, true);
    set_ticket(pool, 0);
    for (uint32_t i = 1; i < pool->threads; i++) pthread_join(pool->worker[i].thread, NULL);
    free(pool->worker);
    free(pool);
}

uint32_t hg_workers_threads(const hg_workers *pool)
{
    return pool->threads;
}
