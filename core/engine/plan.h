/* plan.h: what a device makes room for, decided from sizes alone: no device, no card is touched.
 *
 * Asked for are lanes (each HG_LIMIT_PLAN_TOKENS of KV) and adapters (each of rank
 * HG_LIMIT_PLAN_RANK in F16 on all linear layers; those of other ranks count by their bytes). The
 * usual numbers are taken where nobody says any, never what is left of a card; where those do not
 * fit, both are lowered alike until they do. A number that somebody gave is kept or refused.
 *
 * A plan gets --device-memory, or without it the card less a reserve for others: an eighth of it,
 * at least 1 GiB, in which CUDA's own context stands too. Nor does it get what others hold.
 */
#ifndef HG_ENGINE_PLAN_H
#define HG_ENGINE_PLAN_H

#include <stdbool.h>

#include "core/base/limits.h"
#include "kernels/device.h"

typedef struct hg_plan_wish {
    uint32_t lanes, adapters; /* 0: the usual number, or fewer */
    uint32_t pages;           /* of the KV pool, exactly; 0: those of the lanes */
    uint8_t dense_bits;       /* of hg_device_plan */
    size_t bound_bytes;       /* --device-memory, 0: none */
} hg_plan_wish;

typedef struct hg_plan {
    hg_device_plan device;
    uint32_t lanes, adapters;
    bool lowered;            /* fewer than the usual numbers */
    hg_device_memory memory; /* expected; zeros where the device takes memory as it is needed */
    size_t budget_bytes;     /* that memory may add up to; SIZE_MAX: no bound is known */
} hg_plan;

/* room: of the card, or NULL: not known. HG_ERROR_LIMIT, saying what would fit, when the plan does
 * not. */
hg_status hg_plan_make(const hg_device_api *api, const hg_weights *weights,
                       const hg_plan_wish *wish, const hg_device_room *room, hg_plan *out,
                       hg_error *error) HG_CHECKED;

/* One line about a plan that fits: parts and sum, into text [size]. */
void hg_plan_print(const hg_plan *plan, char *text, size_t size);

#endif
