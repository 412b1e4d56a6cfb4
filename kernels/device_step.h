/* device_step.h: a part of device.h: a step's rows, and what comes out. */
#ifndef HG_KERNELS_DEVICE_STEP_H
#define HG_KERNELS_DEVICE_STEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/limits.h"

#define HG_NO_SLOT UINT16_MAX /* a row that runs on the base alone */
#define HG_NO_STOP (-1)       /* an unused place in a table of stop tokens */

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
    const int32_t *stop; /* [lanes, HG_LIMIT_STOP_TOKENS] tokens that end the lane, HG_NO_STOP where
                          * there are fewer; NULL: none of any lane */
    uint32_t rows, lanes;
} hg_step;

/* Memory of the caller. Entries of rows that did not ask are left alone. Of equal logits the
 * lowest token id wins. */
typedef struct hg_result {
    int32_t *token; /* [rows] arg-max of the row's logits */
    bool *stopped;  /* [rows] whether that is a stop token of the row's lane; NULL: not asked */
    float *logits;  /* [rows that want_logits, vocabulary], in row order; NULL when none does */
} hg_result;

/* Whether token is among stop [HG_LIMIT_STOP_TOKENS]. */
static inline bool hg_token_stops(const int32_t *stop, int32_t token)
{
    bool found = false;
    for (int i = 0; i < HG_LIMIT_STOP_TOKENS; i++) found |= stop[i] == token;
    return found;
}

/* result->stopped of a step on the processor, once its tokens stand. */
static inline void hg_note_stops(const hg_step *step, hg_result *result)
{
    for (uint32_t r = 0; result->stopped && r < step->rows; r++) {
        const hg_row *row = &step->row[r];
        if (!row->want && !row->want_logits) continue;
        const int32_t *stop =
            step->stop ? step->stop + (size_t)row->lane * HG_LIMIT_STOP_TOKENS : NULL;
        result->stopped[r] = stop && hg_token_stops(stop, result->token[r]);
    }
}

#endif
