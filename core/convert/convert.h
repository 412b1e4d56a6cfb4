/* convert.h: a model's weights, written anew: quantised, or as BF16, with an adapter folded in.
 *
 * One layer at a time is held, changed and written; a layer's projections are shared out by rows to
 * all cores. Memory: one projection in its new form, two tables' rows and, with calibration, the
 * activations of its tokens.
 */
#ifndef HG_CONVERT_CONVERT_H
#define HG_CONVERT_CONVERT_H

#include "core/convert/pool.h"
#include "core/model/model.h"

typedef struct hg_convert {
    const hg_model *model;       /* read from */
    const char *folder;          /* the safetensors files come here */
    uint8_t bits;                /* 4 or 8 (compressed-tensors pack-quantized); 0: BF16 */
    uint16_t group;              /* with bits; divides all layers' inputs: see hg_convert_group */
    uint64_t shard_bytes;        /* 0: one file */
    const hg_lora_weights *lora; /* folded in first, or NULL */
    const int32_t *token;        /* [tokens] calibration: activation-aware scaling; or NULL */
    uint32_t tokens, span;       /* in sequences of span */
    uint32_t threads;            /* 0: all */
    /* NULL, or told how many of the model's weights are done. */
    void (*progress)(void *context, uint64_t done);
    void *context;

    double change, size; /* results: sums of |new - old|^2 and |old|^2 over the linear layers */
    uint64_t bytes;      /* of tensor data written */
} hg_convert;

/* Writes the weights, and the factors of scaling (core/model/scales.h) if there are any. */
hg_status hg_convert_run(hg_convert *convert, hg_error *error) HG_CHECKED;

/* The largest of 128, 64, 32 and 16 that divides all layers' inputs into *group when it is 0; else
 * HG_ERROR_ARGUMENT when *group does not divide them. */
hg_status hg_convert_group(const hg_shape *shape, uint16_t *group, hg_error *error) HG_CHECKED;

#endif
