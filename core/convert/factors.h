/* factors.h: what activation-aware scaling does to one layer's norms, inputs and outputs, kept for
 * all layers until input_scales.safetensors (core/model/scales.h) is written. */
#ifndef HG_CONVERT_FACTORS_H
#define HG_CONVERT_FACTORS_H

#include "core/convert/awq.h"
#include "core/model/safetensors.h"

/* Zero-initialise: no scaling. */
typedef struct hg_factors {
    hg_shape shape;
    const float *input[HG_PROJECTIONS];  /* [columns] of the layer in work */
    const float *output[HG_PROJECTIONS]; /* [rows] or NULL */
    float *norm[2];                      /* [hidden] attention's, the MLP's: divided */
    float *scale[HG_TAPS];               /* [columns] as applied */
    float *value;                        /* [kv_heads * head_dim] factors of v's rows */
    float *importance;                   /* [widest] */
    float *room, *kept;                  /* owned; kept: scale of all taps of all layers */
    size_t kept_floats;                  /* of one layer */
} hg_factors;

hg_status hg_factors_open(const hg_shape *shape, hg_factors *out, hg_error *error) HG_CHECKED;
void hg_factors_close(hg_factors *factors);

/* Takes over the factors that were searched for a layer. A norm divided by its factors is rounded
 * to its type in the file, and the factors become what was really divided by: nothing is lost. */
void hg_factors_set(hg_factors *factors, const hg_awq *awq, const hg_layer *layer,
                    hg_tensor_type norm_type);

/* Mean squares of a projection's scaled inputs; valid until the next call. */
const float *hg_factors_importance(hg_factors *factors, const hg_awq *awq, hg_projection which);

/* Remembers the layer's factors. */
void hg_factors_keep(hg_factors *factors, uint32_t layer);

/* Writes them all. */
hg_status hg_factors_write(const hg_factors *factors, const char *folder,
                           hg_error *error) HG_CHECKED;

#endif
