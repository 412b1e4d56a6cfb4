/* check.h: what every device checks of a call before it touches memory (the contract of device.h).
 */
#ifndef HG_KERNELS_CHECK_H
#define HG_KERNELS_CHECK_H

#include "kernels/device.h"

/* A device as the checks see it. */
typedef struct hg_checked {
    const hg_device *device;
    const hg_device_plan *plan; /* NULL: no model is loaded */
    uint32_t vocabulary;
    bool (*ready)(const hg_device *device, uint16_t slot); /* slot is in the plan */
    uint32_t chunk_rows, chunks;                           /* as in hg_device_info */
} hg_checked;

/* HG_ERROR_ARGUMENT, naming the row and what is wrong with it, for a step that would make a kernel
 * read or write outside its memory; HG_ERROR_STATE without a model. */
hg_status hg_check_step(const hg_checked *to, const hg_step *step, hg_error *error) HG_CHECKED;

/* Rows of the whole chunks that the step begins with. */
uint32_t hg_whole_rows(const hg_step *step);

hg_status hg_check_page_copy(const hg_device_plan *plan, uint32_t from, uint32_t to,
                             uint32_t tokens, hg_error *error) HG_CHECKED;

#endif
