/* forward.h: an F32 forward pass over many tokens at once, layer by layer, with taps.
 *
 * For calibration and for comparing models, not for serving: no KV cache, no adapters, whole
 * sequences only. All sequences go through one layer before the next is looked at, so only one
 * layer's weights are needed at a time, in whatever form the model has them. The arithmetic is the
 * reference device's up to the order of sums.
 */
#ifndef HG_CONVERT_FORWARD_H
#define HG_CONVERT_FORWARD_H

#include "core/convert/multiply.h"
#include "kernels/weights.h"

/* The four places whose values are inputs of linear layers. */
typedef enum hg_tap {
    HG_TAP_ATTENTION, /* normed hidden state: q, k, v */
    HG_TAP_O,         /* attention's output */
    HG_TAP_MLP,       /* normed hidden state: gate, up */
    HG_TAP_DOWN,      /* silu(gate) * up */
    HG_TAPS
} hg_tap;

/* x [rows, columns] is valid during the call. */
typedef void hg_tap_see(void *context, hg_tap tap, const float *x, uint32_t rows, uint32_t columns);

/* Tokens of sequences one behind the other: span tokens each, the last may be shorter. */
typedef struct hg_sequences {
    const int32_t *token; /* [rows] borrowed */
    uint32_t rows, span;
} hg_sequences;

typedef struct hg_forward {
    const hg_weights *weights; /* borrowed */
    hg_pool *pool;             /* borrowed */
    const int32_t *token;      /* [rows] borrowed */
    uint32_t rows, span;       /* sequences of span tokens, the last may be shorter */
    float *hidden;             /* [rows, hidden] the residual stream */
    float *room;               /* owned: everything, hidden first */
    float *normed, *wide[3];   /* [rows, hidden]; [rows, widest output of a projection] */
} hg_forward;

/* Looks up the embeddings. The tokens are below the vocabulary's size. */
hg_status hg_forward_open(const hg_weights *weights, hg_pool *pool, hg_sequences text,
                          hg_forward *out, hg_error *error) HG_CHECKED;
void hg_forward_close(hg_forward *forward);

/* One layer, which the caller holds (hg_hold_layer). see may be NULL. */
void hg_forward_layer(hg_forward *forward, uint32_t layer, hg_tap_see *see, void *context);

/* After the last layer: logits [count, vocabulary] of rows first .. first + count - 1. */
void hg_forward_logits(hg_forward *forward, uint32_t first, uint32_t count, float *logits);

/* Mean negative log-likelihood, in nats, of each token given those before it in its sequence, and
 * how many tokens that were. */
hg_status hg_forward_loss(hg_forward *forward, double *nats, uint32_t *tokens,
                          hg_error *error) HG_CHECKED;

/* Floats of scratch that the pool needs. */
size_t hg_forward_scratch(const hg_shape *shape, uint32_t span);

#endif
