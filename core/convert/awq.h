/* awq.h: activation-aware scaling of one layer (Lin et al., "AWQ: Activation-aware Weight
 * Quantization", 2023, https://arxiv.org/abs/2306.00978).
 *
 * Inputs with large activations matter more. Their weights are multiplied by s = mean|x|^alpha
 * before quantisation and the inputs divided by s, by what feeds them: the norm before q, k, v and
 * before gate, up; the rows of v before o (with grouped queries, heads that share a value head
 * share its factors); the rows of up before down. alpha is searched on a grid, 0 (no scaling)
 * among it, for the least error of the layers' outputs on a sample of the calibration's
 * activations. Scales of groups are then fitted with the inputs' mean squares as weights.
 */
#ifndef HG_CONVERT_AWQ_H
#define HG_CONVERT_AWQ_H

#include "core/convert/forward.h"

#define HG_AWQ_SAMPLE 128    /* rows of activations that the search sees */
#define HG_AWQ_LEAST  1e-12f /* importance of an input that was never seen */

/* What a forward pass told about one layer, and the factors found. Zero-initialise. */
typedef struct hg_awq {
    uint32_t columns[HG_TAPS];
    float *mean[HG_TAPS];       /* [columns] mean |x| */
    float *importance[HG_TAPS]; /* [columns] mean x^2 */
    float *sample[HG_TAPS];     /* [HG_AWQ_SAMPLE, columns], rows spread over the text */
    uint32_t samples;
    float *scale[HG_TAPS]; /* [columns] s */
    float *room;           /* owned: all of these */
} hg_awq;

hg_status hg_awq_open(const hg_shape *shape, hg_awq *out, hg_error *error) HG_CHECKED;
void hg_awq_close(hg_awq *awq);

/* A hg_tap_see whose context is a hg_awq. */
void hg_awq_see(void *context, hg_tap tap, const float *x, uint32_t rows, uint32_t columns);

/* After a layer was seen: finds scale. The pool's scratch holds hg_awq_scratch floats. */
typedef struct hg_awq_form {
    uint16_t group;
    uint8_t bits;
} hg_awq_form;
hg_status hg_awq_search(hg_awq *awq, const hg_shape *shape, const hg_layer *layer, hg_awq_form form,
                        hg_pool *pool, hg_error *error) HG_CHECKED;
size_t hg_awq_scratch(const hg_shape *shape);

/* Which inputs a projection has. */
hg_tap hg_tap_of(hg_projection projection);

#endif
