/* reference.h: what the two halves of the reference family share: reference.c computes the step,
 * reference_memory.c lays out what it works on.
 */
#ifndef HG_KERNELS_CPU_REFERENCE_H
#define HG_KERNELS_CPU_REFERENCE_H

#include "kernels/cpu/family.h"

/* An adapter's pair in F32. */
typedef struct hg_reference_pair {
    float *a; /* [rank, columns] */
    float *b; /* [rows, rank] */
    float scale;
    uint32_t rank;
} hg_reference_pair;

typedef struct hg_reference {
    const hg_step *step;  /* of the forward that runs */
    float *x, *normed;    /* [step_rows, hidden] */
    float *q, *attention; /* [step_rows, heads * head_dim] */
    float *k, *v;         /* [step_rows, kv_heads * head_dim] */
    float *gate, *up;     /* [step_rows, intermediate] */
    float *h;             /* [step_rows, HG_LIMIT_ADAPTER_RANK] A x of the rows' adapters */
    float *logits;        /* [step_rows, vocabulary] */
    float *weight_row;    /* [threads, widest] one decoded row of a matrix */
    float *score;         /* [threads, lane_pages * PAGE] attention weights of one head */
    uint32_t widest;
} hg_reference;

void hg_reference_forward(hg_device *device, const hg_step *step, const hg_result *result);

#endif
