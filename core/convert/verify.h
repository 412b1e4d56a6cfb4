/* verify.h: two forms of one model against each other. */
#ifndef HG_CONVERT_VERIFY_H
#define HG_CONVERT_VERIFY_H

#include "core/model/model.h"
#include "core/model/scales.h"

/* |a - b|^2 / |b|^2 */
typedef struct hg_verify_layer {
    double weight; /* over all linear layers of the block, factors of scaling undone */
    double output; /* of the residual stream behind the block */
} hg_verify_layer;

typedef struct hg_verify {
    const hg_model *a, *b; /* of the same shape */
    const int32_t *token;  /* [tokens] in sequences of span */
    uint32_t tokens, span;
    uint32_t threads; /* 0: all */
    void (*progress)(void *context, uint64_t layers);
    void *context;

    hg_verify_layer *layer; /* [layers] memory of the caller; results */
    double perplexity_a, perplexity_b;
    uint32_t scored; /* tokens that the perplexities are of */
} hg_verify;

/* HG_ERROR_ARGUMENT, naming the size, when the models' shapes differ. */
hg_status hg_verify_run(hg_verify *verify, hg_error *error) HG_CHECKED;

#endif
