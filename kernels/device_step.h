/* device_step.h: a part of device.h: a step's rows, and what comes out. */
#ifndef HG_KERNELS_DEVICE_STEP_H
#define HG_KERNELS_DEVICE_STEP_H

#include <stdbool.h>
#include <stdint.h>

#define HG_NO_SLOT UINT16_MAX /* a row that runs on the base alone */

/* Rows of one lane stand together, positions rising by one from row to row. A row attends to
 * positions 0 .. its own of its lane; what it needs below its lane's first row of this step must
 * have been computed by earlier steps.
 *
 * Whole chunks: chunk_rows rows of one lane and slot, the first at a multiple of chunk_rows, none
 * of them wanted, that a device may compute faster together, with other bits than row by row. So
 * whether a row is of one is the prompt's own matter: the caller decides it by the lane's tokens
 * and never by the company. A step begins with them. */
typedef struct hg_row {
    int32_t token;
    uint32_t position; /* in its lane; its K and V go to page table[position / PAGE_TOKENS] */
    uint16_t lane;     /* row of the page table */
    uint16_t slot;     /* adapter slot, or HG_NO_SLOT */
    bool want;         /* the caller reads this row's result */
    bool want_logits;  /* implies want: its logits too */
    bool whole;        /* of a whole chunk */
} hg_row;

typedef struct hg_step {
    const hg_row *row;    /* [rows] */
    const uint32_t *page; /* [lanes, lane_pages] page ids; entries not needed may hold anything */
    uint32_t rows, lanes;
} hg_step;

/* Memory of the caller. Entries of rows that did not ask are left alone. Of equal logits the
 * lowest token id wins. */
typedef struct hg_result {
    int32_t *token; /* [rows] arg-max of the row's logits */
    float *logits;  /* [rows that want_logits, vocabulary], in row order; NULL when none does */
} hg_result;

#endif
