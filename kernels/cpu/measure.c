/* measure.c: see measure.h. The loops are in assembly: what they run is what is written here, at
 * any optimisation, and no file needs the flags of an instruction set. A part belongs to one thread
 * for a whole measurement, so that it stays in that core's caches when it fits there.
 */
#include "kernels/cpu/measure.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "core/base/clock.h"
#include "kernels/cpu/cpu.h"
#include "kernels/cpu/workers.h"

#define CHUNK      512  /* bytes of one turn of the reading loops */
#define READ_US    1500 /* least time of one measurement */
#define READ_TRIES 3
#define TURNS      20000 /* of the INT8 loops: some 200 microseconds */
#define INT8_TRIES 5

typedef struct int8_loop {
    const char *kernel;
    double operations; /* of one turn */
    void (*run)(uint64_t turns);
} int8_loop;

struct hg_measure {
    hg_workers *workers;
    uint8_t *data; /* [mapped], or NULL */
    size_t mapped;
    /* Of the measurement that runs: */
    size_t bytes;
    uint64_t passes;
    const int8_loop *loop; /* NULL: read */
};

/* ---- loops: x86-64 ---- */

#if defined(__x86_64__)
#define EIGHT(f) f("2") f("3") f("4") f("5") f("6") f("7") f("8") f("9")
#define XMM                                                                                        \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",       \
        "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc"

static void read_256(const uint8_t *p, size_t chunks)
{
#define LOAD(at) "vpaddq " at "(%0), %%ymm0, %%ymm0\n vpaddq 32+" at "(%0), %%ymm1, %%ymm1\n"
    __asm__ volatile("1:" LOAD("0") LOAD("64") LOAD("128") LOAD("192") LOAD("256") LOAD("320")
                         LOAD("384") LOAD("448") "add $512, %0\n dec %1\n jnz 1b\n vzeroupper"
                     : "+r"(p), "+r"(chunks)
                     :
                     : "memory", XMM);
#undef LOAD
}

static void read_512(const uint8_t *p, size_t chunks)
{
#define LOAD(at) "vpaddq " at "(%0), %%zmm0, %%zmm0\n vpaddq 64+" at "(%0), %%zmm1, %%zmm1\n"
    __asm__ volatile("1:" LOAD("0") LOAD("128") LOAD("256")
                         LOAD("384") "add $512, %0\n dec %1\n jnz 1b\n vzeroupper"
                     : "+r"(p), "+r"(chunks)
                     :
                     : "memory", XMM);
#undef LOAD
}

/* Products of bytes become 16-bit sums of two; eight of them (a group of 32 codes of 4 bits) fit 16
 * bits before they must be widened: the cheapest way to add them up. Six chains, 48 products. */
static void maddubs_256(uint64_t turns)
{
#define PRODUCT(sum)                                                                               \
    "vpmaddubsw %%ymm0, %%ymm1, %%ymm15\n vpaddw %%ymm15, %%ymm" sum ", %%ymm" sum "\n"
#define SIX(f) f("2") f("3") f("4") f("5") f("6") f("7")
#define WIDEN(from, to)                                                                            \
    "vpmaddwd %%ymm0, %%ymm" from ", %%ymm14\n vpaddd %%ymm14, %%ymm" to ", %%ymm" to "\n"         \
    "vpxor %%ymm" from ", %%ymm" from ", %%ymm" from "\n"
    __asm__ volatile("vpxor %%ymm0, %%ymm0, %%ymm0\n vpxor %%ymm1, %%ymm1, %%ymm1\n 1:" SIX(PRODUCT)
                         SIX(PRODUCT) SIX(PRODUCT) SIX(PRODUCT) SIX(PRODUCT) SIX(PRODUCT)
                             SIX(PRODUCT) SIX(PRODUCT) WIDEN("2", "8") WIDEN("3", "9")
                                 WIDEN("4", "10") WIDEN("5", "11") WIDEN("6", "12")
                                     WIDEN("7", "13") "dec %0\n jnz 1b\n vzeroupper"
                     : "+r"(turns)
                     :
                     : XMM);
#undef PRODUCT
#undef SIX
#undef WIDEN
}

static void dpbusd_256(uint64_t turns)
{
#define PRODUCT(sum) "%{vex%} vpdpbusd %%ymm0, %%ymm1, %%ymm" sum "\n"
    __asm__ volatile("vpxor %%ymm0, %%ymm0, %%ymm0\n vpxor %%ymm1, %%ymm1, %%ymm1\n 1:" EIGHT(
                         PRODUCT) EIGHT(PRODUCT) "dec %0\n jnz 1b\n vzeroupper"
                     : "+r"(turns)
                     :
                     : XMM);
#undef PRODUCT
}

static void dpbusd_512(uint64_t turns)
{
#define PRODUCT(sum) "vpdpbusd %%zmm0, %%zmm1, %%zmm" sum "\n"
    __asm__ volatile("vpxor %%ymm0, %%ymm0, %%ymm0\n vpxor %%ymm1, %%ymm1, %%ymm1\n 1:" EIGHT(
                         PRODUCT) EIGHT(PRODUCT) "dec %0\n jnz 1b\n vzeroupper"
                     : "+r"(turns)
                     :
                     : XMM);
#undef PRODUCT
}

/* Tiles of 16 rows of 64 bytes, four sums. */
static void dpbusd_tiles(uint64_t turns)
{
    struct {
        uint8_t palette, start, zero[14];
        uint16_t row_bytes[16];
        uint8_t rows[16];
    } tiles = {.palette = 1};
    for (int i = 0; i < 8; i++) tiles.row_bytes[i] = 64, tiles.rows[i] = 16;
    __asm__ volatile("ldtilecfg %1\n tilezero %%tmm0\n tilezero %%tmm1\n tilezero %%tmm2\n"
                     "tilezero %%tmm3\n tilezero %%tmm4\n tilezero %%tmm5\n 1:"
                     "tdpbusd %%tmm5, %%tmm4, %%tmm0\n tdpbusd %%tmm5, %%tmm4, %%tmm1\n"
                     "tdpbusd %%tmm5, %%tmm4, %%tmm2\n tdpbusd %%tmm5, %%tmm4, %%tmm3\n"
                     "dec %0\n jnz 1b\n tilerelease"
                     : "+r"(turns)
                     : "m"(tiles)
                     : "cc");
}

static const int8_loop loops[] = {
    {"avx2", 48 * 32 * 2, maddubs_256},
    {"avxvnni", 16 * 32 * 2, dpbusd_256},
    {"avx512vnni", 16 * 64 * 2, dpbusd_512},
    {"amx", 4 * 16 * 16 * 64 * 2, dpbusd_tiles},
};

static void read_chunks(const uint8_t *p, size_t chunks)
{
    if (__builtin_cpu_supports("avx512f"))
        read_512(p, chunks);
    else if (__builtin_cpu_supports("avx2"))
        read_256(p, chunks);
    else
        for (const uint8_t *end = p + chunks * CHUNK; p < end; p += 64)
            (void)*(const volatile uint64_t *)(const void *)p;
}

/* ---- loops: Arm ---- */

#elif defined(__aarch64__)
#define V            "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "cc"
#define EIGHT(f)     f("2") f("3") f("4") f("5") f("6") f("7") f("8") f("9")

static void sdot_128(uint64_t turns)
{
#define PRODUCT(sum) "sdot v" sum ".4s, v0.16b, v1.16b\n"
    __asm__ volatile(".arch armv8.2-a+dotprod\n 1:" EIGHT(PRODUCT)
                         EIGHT(PRODUCT) "subs %0, %0, #1\n b.ne 1b"
                     : "+r"(turns)
                     :
                     : V);
#undef PRODUCT
}

static void smmla_128(uint64_t turns)
{
#define PRODUCT(sum) "smmla v" sum ".4s, v0.16b, v1.16b\n"
    __asm__ volatile(".arch armv8.2-a+i8mm\n 1:" EIGHT(PRODUCT)
                         EIGHT(PRODUCT) "subs %0, %0, #1\n b.ne 1b"
                     : "+r"(turns)
                     :
                     : V);
#undef PRODUCT
}

static const int8_loop loops[] = {
    {"neondot", 16 * 16 * 2, sdot_128},
    {"neoni8mm", 16 * 32 * 2, smmla_128},
};

static void read_chunks(const uint8_t *p, size_t chunks)
{
    __asm__ volatile("1: mov x2, #8\n 2: ldp q0, q1, [%0]\n ldp q2, q3, [%0, #32]\n"
                     "add %0, %0, #64\n subs x2, x2, #1\n b.ne 2b\n subs %1, %1, #1\n b.ne 1b"
                     : "+r"(p), "+r"(chunks)
                     :
                     : "memory", "x2", V);
}

#else
static const int8_loop loops[] = {{"", 0, NULL}};

static void read_chunks(const uint8_t *p, size_t chunks)
{
    for (const uint8_t *end = p + chunks * CHUNK; p < end; p += 8)
        (void)*(const volatile uint64_t *)(const void *)p;
}
#endif

/* ---- measuring ---- */

static uint32_t parts(void *context, uint32_t stage)
{
    (void)stage;
    return hg_workers_threads(((const hg_measure *)context)->workers);
}

static void run_part(void *context, uint32_t stage, uint32_t item, uint32_t worker)
{
    (void)worker;
    const hg_measure *m = context;
    if (m->loop) {
        m->loop->run(m->passes);
        return;
    }
    uint32_t first, count;
    hg_workers_share((uint32_t)(m->bytes / CHUNK), parts(context, stage), item, &first, &count);
    for (uint64_t i = 0; i < m->passes && count; i++)
        read_chunks(m->data + (size_t)first * CHUNK, count);
}

int64_t hg_measure_clock_us(const hg_measure *m)
{
    struct timespec own;
    if (hg_workers_threads(m->workers) > 1 || clock_gettime(CLOCK_THREAD_CPUTIME_ID, &own))
        return hg_clock_us();
    return (int64_t)own.tv_sec * 1000000 + own.tv_nsec / 1000;
}

static int64_t run_us(hg_measure *m)
{
    hg_work work = {1, parts, run_part, m};
    int64_t start_us = hg_measure_clock_us(m);
    hg_workers_run(m->workers, &work);
    int64_t us = hg_measure_clock_us(m) - start_us;
    return us > 0 ? us : 1;
}

hg_status hg_measure_open(uint32_t threads, hg_measure **out, hg_error *error)
{
    *out = calloc(1, sizeof **out);
    if (!*out) return hg_fail(error, HG_ERROR_MEMORY, "out of memory");
    hg_status status =
        hg_workers_open(threads ? threads : hg_cpu_usable_cores(), &(*out)->workers, error);
    if (status) {
        free(*out);
        *out = NULL;
    }
    return status;
}

void hg_measure_close(hg_measure *m)
{
    if (!m) return;
    if (m->data) munmap(m->data, m->mapped);
    hg_workers_close(m->workers);
    free(m);
}

static hg_status make_room(hg_measure *m, size_t bytes, hg_error *error)
{
    if (bytes <= m->mapped) return HG_OK;
    if (m->data) munmap(m->data, m->mapped);
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    m->data = data == MAP_FAILED ? NULL : data;
    m->mapped = m->data ? bytes : 0;
    if (!m->data) return hg_fail(error, HG_ERROR_MEMORY, "no memory to read: %zu bytes", bytes);
    (void)madvise(m->data, bytes, MADV_HUGEPAGE); /* a wish: fewer misses of the page table */
    memset(m->data, 1, bytes);
    return HG_OK;
}

hg_status hg_measure_read(hg_measure *m, size_t bytes, double *bytes_per_s, hg_error *error)
{
    bytes = bytes < CHUNK ? CHUNK : bytes > HG_MEASURE_BYTES ? HG_MEASURE_BYTES : bytes;
    m->bytes = bytes / CHUNK * CHUNK;
    hg_status status = make_room(m, m->bytes, error);
    if (status) return status;
    m->loop = NULL;
    m->passes = 1;
    int64_t us = run_us(m); /* also brings it into the caches */
    while (us < READ_US) {
        m->passes = m->passes * 2;
        us = run_us(m);
    }
    for (int i = 1; i < READ_TRIES; i++) {
        int64_t again = run_us(m);
        us = again < us ? again : us;
    }
    *bytes_per_s = (double)m->bytes * (double)m->passes / (double)us * 1e6;
    return HG_OK;
}

/* The loop of a family that runs here: its test also asks the system for what it needs. */
static const int8_loop *find_loop(const char *kernel)
{
    const char *const *here = hg_cpu_kernels();
    while (*here && strcmp(*here, kernel) != 0) here++;
    for (size_t i = 0; *here && i < sizeof loops / sizeof *loops; i++)
        if (strcmp(loops[i].kernel, kernel) == 0) return &loops[i];
    return NULL;
}

double hg_measure_int8(hg_measure *m, const char *kernel)
{
    int64_t least = INT64_MAX;
    m->loop = find_loop(kernel);
    if (!m->loop) return 0;
    m->passes = TURNS;
    for (int i = 0; i < INT8_TRIES; i++) {
        int64_t us = run_us(m);
        least = us < least ? us : least;
    }
    double threads = hg_workers_threads(m->workers);
    return m->loop->operations * (double)TURNS * threads / (double)least * 1e6;
}
