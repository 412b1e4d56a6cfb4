/* device_plan.h: a part of device.h: what a device makes room for, and what that takes. */
#ifndef HG_KERNELS_DEVICE_PLAN_H
#define HG_KERNELS_DEVICE_PLAN_H

#include <stddef.h>
#include <stdint.h>

/* What to make room for; fixed from load_model to close. */
typedef struct hg_device_plan {
    uint32_t pages;         /* KV pages of HG_LIMIT_PAGE_TOKENS tokens, all layers, K and V */
    uint32_t lane_pages;    /* entries of one lane's page table */
    uint32_t step_rows;     /* most rows of a step */
    uint32_t step_lanes;    /* most lanes of a step */
    uint32_t adapter_slots; /* slots 0 .. adapter_slots - 1 */
    size_t adapter_bytes;   /* of all adapters, for devices that take their room at load_model */
    uint32_t chunks; /* most whole chunks of a step, beside its step_rows; a device may ignore it */
    uint8_t dense_bits; /* 4 or 8: how families without floats round dense layers; 0: they refuse */
} hg_device_plan;

/* What a device holds, or would hold. */
typedef struct hg_device_memory {
    size_t weights_bytes, pages_bytes, workspace_bytes;
    size_t adapters_bytes; /* taken for adapters */
    size_t filled_bytes;   /* of them, by adapters that are there or on their way */
    size_t graphs_bytes;   /* recorded steps */
    size_t logits_bytes;   /* the part of the weights that only logits need */
} hg_device_memory;

static inline size_t hg_device_memory_sum(const hg_device_memory *m)
{
    return m->weights_bytes + m->pages_bytes + m->workspace_bytes + m->adapters_bytes +
           m->graphs_bytes;
}

/* A device's own memory. */
typedef struct hg_device_room {
    size_t whole_bytes;
    size_t left_bytes; /* that nobody holds */
} hg_device_room;

#endif
