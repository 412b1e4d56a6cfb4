/* family.h: what device.c knows of a kernel family.
 *
 * device.c owns the memory, the page pool, the slots and the checks; a family lays out and fills
 * the memory in its own order and computes the step. Private to kernels/cpu.
 */
#ifndef HG_KERNELS_CPU_FAMILY_H
#define HG_KERNELS_CPU_FAMILY_H

#include <stdbool.h>

#include "core/base/limits.h"
#include "kernels/cpu/arena.h"
#include "kernels/cpu/workers.h"
#include "kernels/device.h"

/* Adapters are packed in blocks of this many rows, the unit of an upload's bounded work. */
#define HG_BLOCK 16

typedef enum hg_slot_state { HG_SLOT_EMPTY, HG_SLOT_LOADING, HG_SLOT_READY } hg_slot_state;

/* One block of HG_BLOCK rows of one matrix of an adapter. */
typedef struct hg_lora_piece {
    uint32_t layer, projection;
    uint32_t side; /* 0: A, 1: B, 2: behind the last */
    uint32_t row;  /* the first of the block; a multiple of HG_BLOCK */
} hg_lora_piece;

typedef struct hg_slot {
    hg_slot_state state;
    const hg_lora_weights *weights; /* NULL once committed */
    hg_lora_piece next;             /* of the upload */
    hg_arena memory;
    void *pair; /* [layers * HG_PROJECTIONS] of the family's own type, in memory */
} hg_slot;

typedef struct hg_family {
    const char *name;
    bool (*runs_here)(void);
    size_t state_bytes; /* of device->state, zeroed before layout_model */

    /* HG_ERROR_UNSUPPORTED, naming the field, for a model the family cannot run; NULL: runs all. */
    hg_status (*check)(const hg_weights *weights, const hg_device_plan *plan, hg_error *error);
    size_t (*page_bytes)(const hg_shape *shape);
    /* Layouts, each run twice (arena.h). */
    void (*layout_model)(hg_device *device, hg_arena *arena);
    void (*layout_workspace)(hg_device *device, hg_arena *arena);
    void (*layout_adapter)(const hg_device *device, hg_slot *slot, hg_arena *arena);
    hg_status (*pack_model)(hg_device *device, hg_error *error);
    void (*pack_lora)(const hg_device *device, hg_slot *slot, const hg_lora_piece *piece);
    void (*copy_page)(const hg_device *device, uint32_t from, uint32_t to, uint32_t tokens);
    void (*forward)(hg_device *device, const hg_step *step, const hg_result *result);
} hg_family;

/* Means over the last steps of so many rows, all of them wanted. */
typedef struct hg_step_mean {
    double rows, us; /* 0: none yet */
} hg_step_mean;

/* All fields belong to the thread that makes the device calls; workers read them during a call. */
struct hg_device {
    const hg_family *family;
    hg_workers *workers;
    size_t memory_bytes; /* bound of the options, 0: none */
    hg_device_cache cache;
    bool cached; /* model was mapped from there */
    bool loaded;
    hg_weights weights; /* views of the caller */
    hg_device_plan plan;
    hg_arena model, pages, workspace;
    size_t logits_bytes; /* of model: what only logits need; layout_model says it */
    size_t page_bytes;
    hg_slot *slot; /* [plan.adapter_slots] */
    void *state;   /* the family's; owned by device.c */
    hg_step_mean few, many;
};

/* load.c */
void hg_cpu_memory(const hg_device *device, hg_device_memory *out);
/* Whether --device-memory allows more bytes; what names them in the error. */
hg_status hg_cpu_check_bound(const hg_device *device, size_t more, const char *what,
                             hg_error *error) HG_CHECKED;
hg_status hg_cpu_load_model(hg_device *device, const hg_weights *weights,
                            const hg_device_plan *plan, hg_error *error) HG_CHECKED;

static inline uint8_t *hg_page(const hg_device *device, uint32_t page)
{
    return device->pages.base + (size_t)page * device->page_bytes;
}

/* Rows of a model's projection and its columns. */
static inline uint32_t hg_projection_rows(const hg_shape *s, uint32_t projection)
{
    switch (projection) {
    case HG_Q: return s->heads * s->head_dim;
    case HG_K:
    case HG_V: return s->kv_heads * s->head_dim;
    case HG_GATE:
    case HG_UP: return s->intermediate;
    default: return s->hidden;
    }
}

static inline uint32_t hg_projection_columns(const hg_shape *s, uint32_t projection)
{
    if (projection == HG_O) return s->heads * s->head_dim;
    return projection == HG_DOWN ? s->intermediate : s->hidden;
}

extern const hg_family hg_family_reference;
#if defined(__x86_64__)
extern const hg_family hg_family_avx2, hg_family_avxvnni, hg_family_avx512vnni, hg_family_amx;
#elif defined(__aarch64__)
extern const hg_family hg_family_neondot, hg_family_neoni8mm;
#endif

#endif
