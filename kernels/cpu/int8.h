/* int8.h: the fast families: INT8 activations times 4- or 8-bit weights, on integer dot products.
 *
 * All matrices (linear layers, the head, both sides of LoRA pairs) are packed into one form and go
 * through one function, `linear`; what differs between instruction sets is that function and the
 * vector type of a few others (vector.h). Activations are quantised anew for each product, each
 * group of each row with its own scale. Integer sums are exact, and the F32 sum over groups runs in
 * the groups' order for each row by itself, so a row's bits depend on nothing but that row.
 *
 *   packed.c, int8_pack.c  into packed form   int8_step.c, int8_layer.c, int8_head.c  a step
 *   int8_memory.c  layouts, KV pages          vector*.h, avx*.c, amx.c, neon*.c  the arithmetic
 */
#ifndef HG_KERNELS_CPU_INT8_H
#define HG_KERNELS_CPU_INT8_H

#include "kernels/cpu/family.h"
#include "kernels/cpu/ops.h"

/* The four inputs of a layer's products; products of one input share its quantised rows. */
typedef enum hg_input { HG_IN_QKV, HG_IN_O, HG_IN_GATE_UP, HG_IN_DOWN, HG_INPUTS } hg_input;

/* An adapter's pair; A has the group of the product's input. */
typedef struct hg_pair8 {
    hg_packed a;   /* [rank, columns] */
    hg_packed b;   /* [rows, rank] */
    float factor;  /* of h = A x before it is quantised */
    uint32_t rank; /* rounded up to whole blocks, 0: none */
} hg_pair8;

/* Rows of a step that stand together and have the same slot. */
typedef struct hg_run {
    uint32_t row, rows;
    uint16_t slot;
} hg_run;

typedef struct hg_best {
    float value;
    int32_t token;
} hg_best;
#define HG_HEAD_BEST  32 /* highest logits of a row that are computed again in F32 */
#define HG_HEAD_CHUNK 4  /* blocks of the head that are computed before they are looked at */

/* What a thread has for itself; it keeps the tiles of a stage's input from item to item. */
typedef struct hg_thread8 {
    _Alignas(HG_ARENA_ALIGN) float *scratch; /* [scratch_floats] */
    float *q;          /* [step_rows, heads / kv_heads * head_dim], or NULL: shared */
    hg_tiles in;       /* [step_rows, widest] */
    hg_tiles rest;     /* of in, for the head's low plane */
    hg_tiles h;        /* [step_rows, HG_LIMIT_ADAPTER_RANK] */
    uint64_t gathered; /* stage whose input `in` holds */
    hg_best *best;     /* [step_rows, HG_HEAD_BEST] of the wanted rows */
    uint64_t noted;    /* step that best belongs to */
} hg_thread8;

/* The state of a device with a fast family. */
typedef struct hg_int8 {
    const hg_int8_ops *ops;
    hg_packed *linear;        /* [layers, HG_PROJECTIONS] */
    hg_packed head, head_low; /* two planes; head_low.codes NULL: head is all of it */
    uint16_t *group;          /* [layers, HG_INPUTS] */
    /* Workspace; widths are multiples of 16. */
    float *x;             /* [step_rows, hidden] the residual stream */
    float *q;             /* [kv_heads, step_rows, heads / kv_heads * head_dim], or NULL: the
                           * threads' own */
    float *cosine, *sine; /* [step_rows, head_dim / 2] */
    hg_rows8 in;          /* [step_rows, hidden] quantised input of Q K V, gate and up, the head */
    hg_rows8 mid;         /* [step_rows, widest] of O and down */
    hg_rows8 h[3];        /* [step_rows, rank] A x of up to three products of one input */
    hg_run *run;          /* [step_rows] */
    uint32_t *wanted;     /* [step_rows] rows whose result is asked for */
    uint32_t *logits_row; /* [step_rows] of the wanted: its row of result->logits, or UINT32_MAX */
    hg_thread8 *thread;   /* [threads] */
    uint32_t scratch_floats, widest;
    /* The step that runs. */
    const hg_step *step;
    const hg_result *result;
    uint32_t runs, wants, logits;
    uint64_t steps; /* so far, this one counted */
    bool adapted;   /* some row has a slot */
} hg_int8;

/* int8_pack.c */
hg_status hg_int8_pack_model(hg_device *device, hg_error *error);
void hg_int8_pack_lora(const hg_device *device, hg_slot *slot, const hg_lora_piece *piece);
/* Scales of packed adapters are F16; their values are multiplied by this to stay in its range. */
#define HG_LORA_FACTOR 4096.0f

/* int8_memory.c */
hg_status hg_int8_check(const hg_weights *weights, const hg_device_plan *plan, hg_error *error);
size_t hg_int8_page_bytes(const hg_shape *shape);
void hg_int8_layout_model(hg_device *device, hg_arena *arena);
void hg_int8_layout_workspace(hg_device *device, hg_arena *arena);
void hg_int8_layout_adapter(const hg_device *device, hg_slot *slot, hg_arena *arena);
void hg_int8_copy_page(const hg_device *device, uint32_t from, uint32_t to, uint32_t tokens);

/* int8_step.c */
void hg_int8_forward(hg_device *device, const hg_int8_ops *ops, const hg_step *step,
                     const hg_result *result);

#endif
