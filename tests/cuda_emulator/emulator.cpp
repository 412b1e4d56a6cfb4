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
 * A new fiber's stack is laid out as if it had been saved at the first instruction of fiber_main.
 */
extern "C" void emulator_switch(void **save, void *load);
#if defined(__x86_64__)
#define SAVED_WORDS 8 /* six registers, the return address and one to keep the alignment */
#define RETURN_WORD 6
asm(".text\n.globl emulator_switch\n.hidden emulator_switch\n"
    ".type emulator_switch,@function\nemulator_switch:\n"
    "push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "mov %rsp,(%rdi)\n mov %rsi,%rsp\n"
    "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n");
#elif defined(__aarch64__)
#define SAVED_WORDS 20 /* x19 to x30, d8 to d15 */
#define RETURN_WORD 11
asm(".text\n.globl emulator_switch\n.hidden emulator_switch\n"
    ".type emulator_switch,%function\nemulator_switch:\n"
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

enum fiber_state { READY, AT_BARRIER, AT_WARP, ENDED };

/* An asynchronous copy that its thread has not waited for. */
struct pending_copy {
    emulator_array *array;
    size_t index, count;
    const void *from;
    uint32_t group;
};

struct fiber {
    emulator_thread thread;
    fiber_state state;
    const char *site;             /* of the barrier, or of what the whole warp does */
    emulator_collective together; /* at AT_WARP: what */
    void *operand;                /* and with what */
    std::vector<pending_copy> copies;
    uint32_t groups; /* of copies, committed so far */
    void *where;     /* the stack pointer of a fiber that waits */
    char *stack;
};

emulator_thread *emulator_now;
dim3 emulator_block, emulator_grid;

static fiber *fibers[BLOCK_MAX];
static fiber *current;
static void *scheduler;             /* its stack pointer while a fiber runs */
static const void *scheduler_stack; /* told by AddressSanitizer */
static size_t scheduler_stack_bytes;
static const std::function<void()> *run_kernel;
static const char *kernel_name;
static std::vector<emulator_array *> shared;
static uint32_t interval;                /* barriers passed so far, in all blocks */
static uint32_t epoch[BLOCK_MAX / WARP]; /* barriers of each warp, the same way */
static uint64_t block_order;             /* 0: blocks run by number */
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
        (*run_kernel)();
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
        void *stack =
            mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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
    f->copies.clear();
    f->groups = 0;
    f->thread.index = index;
    f->thread.number = i;
}

/* ---- the words of the kernel language ---- */

void emulator_barrier(const char *site)
{
    wait_as(AT_BARRIER, site);
}

void emulator_together(const char *site, emulator_collective what, void *operand)
{
    current->together = what;
    current->operand = operand;
    wait_as(AT_WARP, site);
}

void emulator_exchange(void *const *operand)
{
    uint32_t bits[WARP];
    for (uint32_t i = 0; i < WARP; i++) bits[i] = ((emulator_shuffled *)operand[i])->bits;
    for (uint32_t i = 0; i < WARP; i++) {
        emulator_shuffled *own = (emulator_shuffled *)operand[i];
        own->bits = bits[(i ^ own->lanes) % WARP];
    }
}

/* A lane's row of A is lane / 4 and 8 more, its column of B and rows of D are its rest by 4 (PTX
 * ISA, "Matrix fragments for mma.m16n8k16"). */
void emulator_multiply(void *const *operand)
{
    float a[16][16], b[16][8];
    for (uint32_t i = 0; i < WARP; i++) {
        const emulator_product *own = (const emulator_product *)operand[i];
        uint32_t g = i / 4, q = i % 4 * 2;
        for (uint32_t v = 0; v < 8; v++)
            a[g + v / 2 % 2 * 8][q + v % 2 + v / 4 * 8] =
                f32_of_f16((uint16_t)(own->a[v / 2] >> v % 2 * 16));
        for (uint32_t v = 0; v < 4; v++)
            b[q + v % 2 + v / 2 * 8][g] = f32_of_f16((uint16_t)(own->b[v / 2] >> v % 2 * 16));
    }
    for (uint32_t m = 0; m < 16; m++) {
        float sum[8];
        for (uint32_t n = 0; n < 8; n++)
            sum[n] = ((emulator_product *)operand[m % 8 * 4 + n / 2])->d[m / 8 * 2 + n % 2];
        for (uint32_t k = 0; k < 16; k++)
            for (uint32_t n = 0; n < 8; n++) sum[n] += a[m][k] * b[k][n];
        for (uint32_t n = 0; n < 8; n++)
            ((emulator_product *)operand[m % 8 * 4 + n / 2])->d[m / 8 * 2 + n % 2] = sum[n];
    }
}

uint16_t f16_of_f32(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t sign = bits >> 16 & 0x8000, rest = bits & 0x7FFFFFFF;
    if (rest > 0x7F800000) return (uint16_t)(sign | 0x7FFF);
    if (rest >= 0x477FF000) return (uint16_t)(sign | 0x7BFF);
    if (rest < 0x38800000) { /* subnormal: units of 2^-24 */
        float small = fabsf(value) * 16777216.0f;
        return (uint16_t)(sign | (uint32_t)nearbyintf(small));
    }
    rest += 0xFFF + (rest >> 13 & 1);
    return (uint16_t)(sign | ((rest - 0x38000000) >> 13));
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

/* Two accesses in one interval: the earlier one's thread and epoch. */
static bool unordered(uint32_t thread, uint32_t then)
{
    uint32_t me = emulator_now->number;
    return thread != me && (thread / WARP != me / WARP || then == epoch[me / WARP]);
}

static void note_write(emulator_shadow *s)
{
    s->written = interval;
    s->writer = (uint16_t)emulator_now->number;
    s->written_epoch = epoch[s->writer / WARP];
}

static void note_read(emulator_shadow *s)
{
    uint16_t me = (uint16_t)emulator_now->number;
    bool again = s->read == interval;
    s->reader_warps = again && (s->reader_warps || s->reader / WARP != me / WARP);
    s->readers = again && (s->readers || s->reader != me);
    s->read = interval;
    s->reader = me;
    s->read_epoch = epoch[me / WARP];
}

void emulator_access(emulator_array *array, size_t index, bool write)
{
    if (index >= array->count) {
        fault("index out of bounds of", array->site);
        return;
    }
    emulator_shadow *s = &array->shadow[index];
    uint32_t me = emulator_now->number;
    if (s->coming) fault("touched before the asynchronous copy has been waited for:", array->site);
    if (s->written == interval && unordered(s->writer, s->written_epoch))
        fault("race with a write in", array->site);
    if (!write) {
        note_read(s);
        return;
    }
    bool others =
        s->readers && (s->reader / WARP != me / WARP || s->read_epoch == epoch[me / WARP]);
    if (s->read == interval && (s->reader_warps || others || unordered(s->reader, s->read_epoch)))
        fault("race with a read in", array->site);
    note_write(s);
}

void emulator_copy(emulator_array *array, size_t index, size_t count, const void *from)
{
    for (size_t i = index; i < index + count; i++) {
        emulator_access(array, i, true);
        if (i < array->count) array->shadow[i].coming = true;
    }
    if (index + count <= array->count)
        current->copies.push_back({array, index, count, from, current->groups});
}

void emulator_copy_commit(void)
{
    current->groups++;
}

void emulator_copy_wait(const char *site, uint32_t left)
{
    fiber *me = current;
    (void)site;
    size_t kept = 0;
    for (const pending_copy &copy : me->copies) {
        if (copy.group + left >= me->groups) {
            me->copies[kept++] = copy;
            continue;
        }
        memcpy(copy.array->data + copy.index * copy.array->bytes, copy.from,
               copy.count * copy.array->bytes);
        for (size_t i = copy.index; i < copy.index + copy.count; i++) {
            copy.array->shadow[i].coming = false;
            note_write(&copy.array->shadow[i]);
        }
    }
    me->copies.resize(kept);
}

/* ---- the scheduler ---- */

/* Does what a whole warp waits for together; false when it does not wait there yet. */
static bool finish_together(uint32_t first)
{
    void *operand[WARP];
    uint32_t waiting = 0;
    const fiber *one = NULL;
    for (uint32_t i = 0; i < WARP; i++) {
        fiber *f = fibers[first + i];
        operand[i] = f->operand;
        if (f->state != AT_WARP) continue;
        waiting++;
        if (!one) one = f;
        if (f->site != one->site || f->together != one->together)
            fault("lanes of a warp at different shuffles", f->site);
    }
    if (!waiting || faulty) return false;
    if (waiting != WARP) {
        fault("not all lanes of a warp are at the shuffle", one->site);
        return false;
    }
    if (one->together)
        one->together(operand);
    else
        epoch[first / WARP]++;
    for (uint32_t i = 0; i < WARP; i++) fibers[first + i]->state = READY;
    return true;
}

/* Runs a warp until all of its lanes are at a barrier or at their ends. */
static void run_warp(uint32_t first)
{
    do {
        for (uint32_t i = 0; i < WARP && !faulty; i++)
            if (fibers[first + i]->state == READY) resume(fibers[first + i]);
    } while (!faulty && finish_together(first));
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
    for (uint32_t i = 0; i < threads && !waiting; i++)
        for (const pending_copy &copy : fibers[i]->copies)
            fault("asynchronous copies outlive the kernel into", copy.array->site);
    for (uint32_t i = 0; i < threads && waiting == threads; i++) fibers[i]->state = READY;
    interval++;
    return waiting && !faulty;
}

static void run_block(uint32_t threads, dim3 block)
{
    interval++;
    for (emulator_array *array : shared) {
        memset(array->data, 0xFF, array->bytes * array->count);
        for (size_t i = 0; i < array->count; i++) array->shadow[i].coming = false;
    }
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

/* The block that runs as number i: by number, or backwards from anywhere. */
static uint64_t ordered_block(uint64_t i, uint64_t blocks)
{
    return block_order ? (block_order + blocks - 1 - i) % blocks : i;
}

void hg_emulator_set_order(unsigned seed)
{
    block_order = seed;
}

void emulator_run_grid(const emulator_job *job)
{
    run_kernel = &job->run;
    kernel_name = job->name;
    emulator_now = NULL;
    emulator_grid = job->grid;
    dim3 grid = job->grid;
    uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z;
    for (uint64_t i = 0; i < blocks && !faulty; i++) {
        uint64_t b = ordered_block(i, blocks);
        emulator_block = dim3((uint32_t)(b % grid.x), (uint32_t)(b / grid.x % grid.y),
                              (uint32_t)(b / grid.x / grid.y));
        run_block(job->block.x * job->block.y * job->block.z, job->block);
    }
    forget_shared();
    if (faulty) emulator_set_error(cudaErrorLaunchFailure);
}

bool emulator_fits(const emulator_job *job)
{
    dim3 grid = job->grid, block = job->block;
    uint32_t threads = block.x * block.y * block.z;
    return threads && threads <= BLOCK_MAX && threads % WARP == 0 && grid.x && grid.y && grid.z &&
           grid.y <= 65535 && grid.z <= 65535;
}
