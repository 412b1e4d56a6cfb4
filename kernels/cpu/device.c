/* device.c: the CPU device: families, slots and checks; memory is load.c's, the arithmetic the
 * family's.
 *
 * Memory is four kinds of arena: the packed model, the KV pool and the workspace, mapped once by
 * load_model, and one arena for each adapter. All functions belong to one thread, the caller's.
 */
#include "kernels/cpu/cpu.h"

#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "kernels/check.h"
#include "kernels/cpu/family.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* Best first. */
static const hg_family *const families[] = {
#if defined(__x86_64__)
    &hg_family_amx,       &hg_family_avx512vnni, &hg_family_avxvnni, &hg_family_avx2,
#elif defined(__aarch64__)
    &hg_family_neoni8mm,
    &hg_family_neondot,
#endif
    &hg_family_reference,
};
#define FAMILIES (sizeof families / sizeof families[0])

static const char *names[FAMILIES + 1]; /* of those that run here; written once */

static void list_names(void)
{
    size_t n = 0;
    for (size_t i = 0; i < FAMILIES; i++)
        if (families[i]->runs_here()) names[n++] = families[i]->name;
}

const char *const *hg_cpu_kernels(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    int failed = pthread_once(&once, list_names);
    assert(!failed);
    (void)failed;
    return names;
}

static hg_status find_family(const char *name, const hg_family **out, hg_error *error)
{
    char list[128] = "";
    for (size_t i = 0; i < FAMILIES; i++) {
        if (!families[i]->runs_here()) continue;
        *out = families[i];
        if (!name || strcmp(name, families[i]->name) == 0) return HG_OK;
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", families[i]->name);
    }
    return hg_fail(error, HG_ERROR_ARGUMENT,
                   "--kernel %s: this processor does not run it; it has: %s", name, list);
}

uint32_t hg_cpu_usable_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set)) return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > HG_LIMIT_WORKERS ? HG_LIMIT_WORKERS : (uint32_t)n;
}

static void cpu_close(hg_device *d)
{
    if (!d) return;
    for (uint32_t i = 0; d->slot && i < d->plan.adapter_slots; i++)
        hg_arena_unmap(&d->slot[i].memory);
    hg_arena_unmap(&d->model);
    hg_arena_unmap(&d->pages);
    hg_arena_unmap(&d->workspace);
    hg_workers_close(d->workers);
    free(d->slot);
    free(d->state);
    free(d);
}

static hg_status cpu_open(const hg_device_options *options, hg_device **out, hg_error *error)
{
    *out = NULL;
    const hg_family *family = NULL;
    hg_status status = find_family(options->kernel, &family, error);
    if (status) return status;
    if (options->threads > HG_LIMIT_WORKERS)
        return hg_fail(error, HG_ERROR_LIMIT, "--threads %u: at most %d", options->threads,
                       HG_LIMIT_WORKERS);
    hg_device *d = calloc(1, sizeof *d);
    if (!d) return hg_fail(error, HG_ERROR_MEMORY, "no memory for the CPU device");
    d->family = family;
    d->memory_bytes = options->memory_bytes;
    d->cache = options->cache;
    status = hg_workers_open(options->threads ? options->threads : hg_cpu_usable_cores(),
                             &d->workers, error);
    if (status) {
        cpu_close(d);
        return status;
    }
    *out = d;
    return HG_OK;
}

/* The processor's own name, or "" where it has none to tell. */
static void read_cpu_name(char name[49])
{
    memset(name, 0, 49);
#if defined(__x86_64__)
    unsigned highest, b, c, e, word[4];
    if (!__get_cpuid(0x80000000u, &highest, &b, &c, &e) || highest < 0x80000004u) return;
    for (unsigned leaf = 0; leaf < 3; leaf++) {
        __get_cpuid(0x80000002u + leaf, &word[0], &word[1], &word[2], &word[3]);
        memcpy(name + 16 * leaf, word, sizeof word);
    }
    size_t n = strlen(name);
    while (n && name[n - 1] == ' ') name[--n] = '\0';
#endif
}

static void cpu_describe(const hg_device *d, hg_device_info *out)
{
    char cpu[49];
    read_cpu_name(cpu);
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "cpu: %s", cpu[0] ? cpu : "unnamed processor");
    snprintf(out->kernel, sizeof out->kernel, "%s", d->family->name);
    out->threads = hg_workers_threads(d->workers);
    out->page_bytes = d->page_bytes;
    out->cached = d->cached;
}

/* The slot, checked to be in the state that a call needs. */
static hg_status find_slot(hg_device *d, uint16_t index, hg_slot_state state, hg_slot **out,
                           hg_error *error)
{
    static const char *const word[] = {"empty", "loading", "ready"};
    if (!d->loaded) return hg_fail(error, HG_ERROR_STATE, "adapter slot: no model is loaded");
    if (index >= d->plan.adapter_slots)
        return hg_fail(error, HG_ERROR_ARGUMENT, "adapter slot %u: there are %u", index,
                       d->plan.adapter_slots);
    *out = &d->slot[index];
    if ((*out)->state == state) return HG_OK;
    return hg_fail(error, HG_ERROR_STATE, "adapter slot %u is %s, not %s", index,
                   word[(*out)->state], word[state]);
}

static const hg_matrix *piece_matrix(const hg_slot *slot, const hg_lora_piece *p)
{
    const hg_lora *lora = &slot->weights->layer[p->layer].pair[p->projection];
    return p->side ? &lora->b : &lora->a;
}

/* Moves to the first piece, from this one on, that exists; false at the end. */
static bool settle_piece(const hg_slot *slot, hg_lora_piece *p)
{
    for (; p->layer < slot->weights->layers; p->layer++, p->projection = 0) {
        for (; p->projection < HG_PROJECTIONS; p->projection++, p->side = 0) {
            if (!slot->weights->layer[p->layer].pair[p->projection].rank) continue;
            for (; p->side < 2; p->side++, p->row = 0)
                if (p->row < piece_matrix(slot, p)->rows) return true;
        }
    }
    return false;
}

static hg_status cpu_put_adapter_begin(hg_device *d, uint16_t index, const hg_lora_weights *weights,
                                       hg_error *error)
{
    hg_slot *slot = NULL;
    hg_status status = find_slot(d, index, HG_SLOT_EMPTY, &slot, error);
    if (status) return status;
    assert(slot && weights->layers == d->weights.shape.layers);
    assert(weights->rank_max <= HG_LIMIT_ADAPTER_RANK);
    slot->weights = weights;
    hg_arena arena = {0};
    d->family->layout_adapter(d, slot, &arena);
    status = hg_cpu_check_bound(d, arena.used, "another adapter", error);
    if (!status) status = hg_arena_map(&arena, "an adapter", error);
    if (status) {
        *slot = (hg_slot){0};
        return status;
    }
    slot->memory = arena;
    d->family->layout_adapter(d, slot, &slot->memory);
    slot->next = (hg_lora_piece){0};
    slot->state = HG_SLOT_LOADING;
    return HG_OK;
}

static hg_status cpu_put_adapter_step(hg_device *d, uint16_t index, size_t bytes, bool *done,
                                      hg_error *error)
{
    hg_slot *slot = NULL;
    hg_status status = find_slot(d, index, HG_SLOT_LOADING, &slot, error);
    if (status) return status;
    assert(slot);
    size_t read = 0;
    bool more = settle_piece(slot, &slot->next);
    while (more && read < bytes) {
        const hg_matrix *m = piece_matrix(slot, &slot->next);
        uint32_t rows = m->rows - slot->next.row;
        if (rows > HG_BLOCK) rows = HG_BLOCK;
        d->family->pack_lora(d, slot, &slot->next);
        read += (size_t)rows * m->columns * (m->type == HG_F32 ? 4 : 2);
        slot->next.row += HG_BLOCK;
        more = settle_piece(slot, &slot->next);
    }
    *done = !more;
    return HG_OK;
}

static hg_status cpu_put_adapter_commit(hg_device *d, uint16_t index, hg_error *error)
{
    hg_slot *slot = NULL;
    hg_status status = find_slot(d, index, HG_SLOT_LOADING, &slot, error);
    if (status) return status;
    assert(slot);
    if (settle_piece(slot, &slot->next))
        return hg_fail(error, HG_ERROR_STATE, "adapter slot %u: commit before the last piece",
                       index);
    slot->weights = NULL;
    slot->state = HG_SLOT_READY;
    return HG_OK;
}

static void cpu_drop_adapter(hg_device *d, uint16_t index)
{
    assert(d->loaded && index < d->plan.adapter_slots);
    hg_arena_unmap(&d->slot[index].memory);
    d->slot[index] = (hg_slot){0};
}

static hg_status cpu_copy_page(hg_device *d, uint32_t from, uint32_t to, uint32_t tokens,
                               hg_error *error)
{
    hg_status status = hg_check_page_copy(&d->plan, from, to, tokens, error);
    if (!status && from != to && tokens) d->family->copy_page(d, from, to, tokens);
    return status;
}

static bool slot_ready(const hg_device *d, uint16_t slot)
{
    return d->slot[slot].state == HG_SLOT_READY;
}

/* ---- what rows cost ---- */

#define FEW_ROWS   2    /* at most; steps that tell what the first rows take */
#define MANY_ROWS  5    /* at least */
#define MEAN_STEPS 32.0 /* that a mean goes over */
/* What is assumed until steps have shown it: hydra-tiny with AVX2 has 0.7 to 0.9, what is larger
 * than the caches less. */
#define COST_ASSUMED 1.0

/* Only steps whose rows are all wanted are alike: rows of a prompt need no head. */
static void learn_cost(hg_device *d, const hg_step *step, double us)
{
    if (step->rows > FEW_ROWS && step->rows < MANY_ROWS) return;
    for (uint32_t r = 0; r < step->rows; r++)
        if (!step->row[r].want) return;
    hg_step_mean *mean = step->rows <= FEW_ROWS ? &d->few : &d->many;
    double weight = mean->us > 0 ? 1 / MEAN_STEPS : 1;
    mean->rows += ((double)step->rows - mean->rows) * weight;
    mean->us += (us - mean->us) * weight;
}

static double cpu_row_cost(const hg_device *d)
{
    if (d->few.us <= 0 || d->many.us <= 0) return COST_ASSUMED;
    double row_us = (d->many.us - d->few.us) / (d->many.rows - d->few.rows);
    double step_us = d->few.us - row_us * d->few.rows;
    const double least = 1.0 / 64, most = 16; /* beyond these it is another program's doing */
    if (row_us <= step_us * least) return least;
    return row_us >= step_us * most ? most : row_us / step_us;
}

static hg_status cpu_forward(hg_device *d, const hg_step *step, hg_result *result, hg_error *error)
{
    const hg_checked checked = {d, d->loaded ? &d->plan : NULL, d->weights.shape.vocabulary,
                                slot_ready};
    hg_status status = hg_check_step(&checked, step, error);
    if (status) return status;
    int64_t start_us = hg_clock_us();
    d->family->forward(d, step, result);
    hg_note_stops(step, result);
    learn_cost(d, step, (double)(hg_clock_us() - start_us));
    return HG_OK;
}

const hg_device_api *hg_cpu_device(void)
{
    static const hg_device_api api = {
        .version = HG_DEVICE_VERSION,
        .name = "cpu",
        .open = cpu_open,
        .close = cpu_close,
        .describe = cpu_describe,
        .memory = hg_cpu_memory,
        .load_model = hg_cpu_load_model,
        .put_adapter_begin = cpu_put_adapter_begin,
        .put_adapter_step = cpu_put_adapter_step,
        .put_adapter_commit = cpu_put_adapter_commit,
        .drop_adapter = cpu_drop_adapter,
        .copy_page = cpu_copy_page,
        .forward = cpu_forward,
        .row_cost = cpu_row_cost,
    };
    return &api;
}
