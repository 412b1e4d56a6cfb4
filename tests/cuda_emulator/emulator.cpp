/* emulator.cpp: runs a block of CUDA threads as fibers, in lockstep at barriers and shuffles.
 *
 * A switch between fibers saves the registers that a call must keep and changes the stack, in a few
 * instructions for each processor: setjmp and longjmp enter the operating system when
 * AddressSanitizer watches them. It is told of each switch instead. A fiber serves thread after
 * thread.
 */
#include <cstdio>
#include <cstdlib>
#include <sys/mman.h>
#include <vector>

#include "tests/cuda_emulator/cuda_runtime.h"
#include "tests/cuda_emulator/emulator.h"

#if defined(__SANITIZE_ADDRESS__)
#define EMULATOR_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATOR_ASAN 1
#endif
#endif
#if defined(EMULATOR_ASAN)
#include <sanitizer/common_interface_defs.h>
#endif

/* emulator_switch(save, load): puts the stack pointer into *save and goes on where load was saved.
 * A new fiber's stack is laid out as if it had been saved at the first instruction of fiber_main. */
extern "C" void emulator_switch(void **save, void *load);
#if defined(__x86_64__)
#define SAVED_WORDS 8 /* six registers, the return address and one to keep the alignment */
#define RETURN_WORD 6
asm(".text\n.globl emulator_switch\n.type emulator_switch,@function\nemulator_switch:\n"
    "push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "mov %rsp,(%rdi)\n mov %rsi,%rsp\n"
    "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n");
#elif defined(__aarch64__)
#define SAVED_WORDS 20 /* x19 to x30, d8 to d15 */
#define RETURN_WORD 11
asm(".text\n.globl emulator_switch\n.type emulator_switch,%function\nemulator_switch:\n"
    "sub sp,sp,#160\n stp x19,x20,[sp]\n stp x21,x22,[sp,#16]\n stp x23,x24,[sp,#32]\n"
    "stp x25,x26,[sp,#48]\n stp x27,x28,[sp,#64]\n stp x29,x30,[sp,#80]\n"
    "stp d8,d9,[sp,#96]\n stp d10,d11,[sp,#112]\n stp d12,d13,[sp,#128]\n"
    "stp d14,d15,[sp,#144]\n mov x9,sp\n str x9,[x0]\n mov sp,x1\n"
    "ldp x19,x20,[sp]\n ldp x21,x22,[sp,#16]\n ldp x23,x24,[sp,#32]\n"
    "ldp x25,x26,[sp,#48]\n ldp x27,x28,[sp,#64]\n ldp x29,x30,[sp,#80]\n"
    "ldp d8,d9,[sp,#96]\n ldp d10,d11,[sp,#112]\n ldp d12,d13,[sp,#128]\n"
    "ldp d14,d15,[sp,#144]\n add sp,sp,#160\n ret\n");
#else
#error "the emulator needs a switch between fibers for this processor"
#endif

#define WARP        32
#define STACK_BYTES (128 << 10)
#define BLOCK_MAX   1024

enum fiber_state { READY, AT_BARRIER, AT_SHUFFLE, ENDED };

struct fiber {
    emulator_thread thread;
    fiber_state state;
    const char *site;     /* of the barrier or shuffle */
    uint32_t bits, lanes; /* of the shuffle */
    void *where; /* the stack pointer of a fiber that waits */
    char *stack;
};

emulator_thread *emulator_now;
dim3 emulator_block;

static fiber *fibers[BLOCK_MAX];
static fiber *current;
static void *scheduler; /* its stack pointer while a fiber runs */
static const void *scheduler_stack; /* told by AddressSanitizer */
static size_t scheduler_stack_bytes;
static void (*run_kernel)(const void *);
static const void *kernel_closure;
static const char *kernel_name;
static std::vector<emulator_array *> shared;
static uint32_t interval; /* barriers passed so far, in all blocks */
static char fault_text[512];
static bool faulty;

static void fault(const char *what, const char *site)
{
    if (faulty) return;
    faulty = true;
    const emulator_thread *t = emulator_now;
    snprintf(fault_text, sizeof fault_text, "%s: block (%u,%u,%u) thread %u: %s at %s", kernel_name,
             emulator_block.x, emulator_block.y, emulator_block.z, t ? t->number : 0, what, site);
}

const char *emulator_fault_text(void)
{
    if (!faulty) return NULL;
    faulty = false;
    return fault_text;
}

/* ---- fibers ---- */

static void leave_for(const void *stack, size_t bytes)
{
#if defined(EMULATOR_ASAN)
    void *unused;
    __sanitizer_start_switch_fiber(&unused, stack, bytes);
#else
    (void)stack, (void)bytes;
#endif
}

static void arrived(const void **from, size_t *bytes)
{
#if defined(EMULATOR_ASAN)
    __sanitizer_finish_switch_fiber(NULL, from, bytes);
#else
    (void)from, (void)bytes;
#endif
}

/* Back to the scheduler until it calls this fiber again. */
static void wait_as(fiber_state state, const char *site)
{
    fiber *me = current;
    me->state = state;
    me->site = site;
    leave_for(scheduler_stack, scheduler_stack_bytes);
    emulator_switch(&me->where, scheduler);
    arrived(NULL, NULL);
}

static void fiber_main(void)
{
    arrived(&scheduler_stack, &scheduler_stack_bytes);
    for (;;) {
        run_kernel(kernel_closure);
        wait_as(ENDED, "its end");
    }
}

static void resume(fiber *f)
{
    current = f;
    emulator_now = &f->thread;
    f->state = READY;
    leave_for(f->stack, STACK_BYTES);
    emulator_switch(&scheduler, f->where);
    arrived(NULL, NULL);
}

/* A fiber at its beginning: new, or one that was abandoned in the midst of a faulty kernel. */
static void prepare(uint32_t i, dim3 index)
{
    if (!fibers[i]) {
        fibers[i] = new fiber();
        void *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack == MAP_FAILED) abort();
        fibers[i]->stack = (char *)stack;
        fibers[i]->state = READY;
    }
    fiber *f = fibers[i];
    if (f->state != ENDED) {
        void **words = (void **)(void *)(f->stack + STACK_BYTES) - SAVED_WORDS;
        memset(words, 0, SAVED_WORDS * sizeof *words);
        words[RETURN_WORD] = (void *)fiber_main;
        f->where = words;
    }
    f->state = READY;
    f->thread.index = index;
    f->thread.number = i;
}

/* ---- the words of the kernel language ---- */

void emulator_barrier(const char *site)
{
    wait_as(AT_BARRIER, site);
}

uint32_t emulator_shuffle_xor(const char *site, uint32_t bits, uint32_t lanes)
{
    fiber *me = current;
    me->bits = bits;
    me->lanes = lanes;
    wait_as(AT_SHUFFLE, site);
    return me->bits;
}

emulator_array *emulator_shared(const char *site, size_t bytes, size_t count)
{
    for (emulator_array *array : shared)
        if (array->site == site && array->count == count) return array;
    emulator_array *array = new emulator_array();
    array->site = site;
    array->bytes = bytes;
    array->count = count;
    array->data = (char *)malloc(bytes * count);
    array->shadow = (emulator_shadow *)calloc(count, sizeof *array->shadow);
    memset(array->data, 0xFF, bytes * count);
    shared.push_back(array);
    return array;
}

void emulator_access(emulator_array *array, size_t index, bool write)
{
    if (index >= array->count) {
        fault("index out of bounds of", array->site);
        return;
    }
    emulator_shadow *s = &array->shadow[index];
    uint16_t me = (uint16_t)emulator_now->number;
    bool read_now = s->read == interval, written_now = s->written == interval;
    if (written_now && s->writer != me) fault("race with a write in", array->site);
    if (write) {
        if (read_now && (s->readers || s->reader != me)) fault("race with a read in", array->site);
        s->written = interval;
        s->writer = me;
        return;
    }
    s->readers = read_now && (s->readers || s->reader != me);
    s->read = interval;
    s->reader = me;
}

/* ---- the scheduler ---- */

/* Exchanges the values of a warp that waits at a shuffle; false when it does not wait there yet. */
static bool finish_shuffle(uint32_t first)
{
    uint32_t bits[WARP], waiting = 0;
    const char *site = NULL;
    for (uint32_t i = 0; i < WARP; i++) {
        fiber *f = fibers[first + i];
        bits[i] = f->bits;
        if (f->state != AT_SHUFFLE) continue;
        waiting++;
        if (!site) site = f->site;
        if (f->site != site) fault("lanes of a warp at different shuffles", f->site);
    }
    if (!waiting) return false;
    if (waiting != WARP) {
        fault("not all lanes of a warp are at the shuffle", site);
        return false;
    }
    for (uint32_t i = 0; i < WARP; i++) {
        fiber *f = fibers[first + i];
        f->bits = bits[(i ^ f->lanes) % WARP];
        f->state = READY;
    }
    return true;
}

/* Runs a warp until all of its lanes are at a barrier or at their ends. */
static void run_warp(uint32_t first)
{
    do {
        for (uint32_t i = 0; i < WARP && !faulty; i++)
            if (fibers[first + i]->state == READY) resume(fibers[first + i]);
    } while (!faulty && finish_shuffle(first));
}

/* True while the block goes on: all its threads were at one barrier. */
static bool pass_barrier(uint32_t threads)
{
    uint32_t waiting = 0;
    const char *site = NULL;
    for (uint32_t i = 0; i < threads; i++) {
        if (fibers[i]->state != AT_BARRIER) continue;
        waiting++;
        if (!site) site = fibers[i]->site;
        if (fibers[i]->site != site) fault("threads wait at another barrier than", site);
    }
    if (waiting && waiting != threads) fault("threads ended without the barrier", site);
    for (uint32_t i = 0; i < threads && waiting == threads; i++) fibers[i]->state = READY;
    interval++;
    return waiting && !faulty;
}

static void run_block(uint32_t threads, dim3 block)
{
    interval++;
    for (emulator_array *array : shared) memset(array->data, 0xFF, array->bytes * array->count);
    for (uint32_t i = 0; i < threads; i++)
        prepare(i, dim3(i % block.x, i / block.x % block.y, i / block.x / block.y));
    do {
        for (uint32_t first = 0; first < threads && !faulty; first += WARP) run_warp(first);
    } while (!faulty && pass_barrier(threads));
}

/* Shared arrays belong to one launch. */
static void forget_shared(void)
{
    for (emulator_array *array : shared) {
        free(array->data);
        free(array->shadow);
        delete array;
    }
    shared.clear();
}

void emulator_launch(dim3 grid, dim3 block, const char *name, void (*run)(const void *),
                     const void *closure)
{
    uint32_t threads = block.x * block.y * block.z;
    if (emulator_call_fails()) return;
    if (!threads || threads > BLOCK_MAX || threads % WARP || !grid.x || !grid.y || !grid.z ||
        grid.y > 65535 || grid.z > 65535) {
        emulator_set_error(cudaErrorInvalidValue);
        return;
    }
    run_kernel = run;
    kernel_closure = closure;
    kernel_name = name;
    emulator_now = NULL;
    uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z;
    for (uint64_t b = 0; b < blocks && !faulty; b++) {
        emulator_block = dim3((uint32_t)(b % grid.x), (uint32_t)(b / grid.x % grid.y),
                              (uint32_t)(b / grid.x / grid.y));
        run_block(threads, block);
    }
    forget_shared();
    if (faulty) emulator_set_error(cudaErrorLaunchFailure);
}
