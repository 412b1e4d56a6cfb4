/* scales.h: how a base's linear layers were scaled when it was quantised
 * (input_scales.safetensors).
 *
 * Activation-aware quantisation multiplies a layer's input columns by s and divides what feeds them
 * by s: the model computes the same, but inputs and outputs of single layers differ from those of
 * the model that adapters were trained on. `model quantize --method awq` therefore leaves the
 * factors beside the weights: F32 "<module>.input_scale" [columns] and "<module>.output_scale"
 * [rows], absent where they are 1. With the original's W, the file's weights mean
 * W[r][c] * input[c] / output[r], so an adapter's A is multiplied by input and its B divided by
 * output. A folder without the file has no scales.
 */
#ifndef HG_MODEL_SCALES_H
#define HG_MODEL_SCALES_H

#include "core/base/error.h"
#include "kernels/weights.h"

#define HG_SCALES_NAME "input_scales"
#define HG_SCALES_FILE HG_SCALES_NAME ".safetensors"

typedef struct hg_layer_scales {
    const float *input[HG_PROJECTIONS];  /* [columns], or NULL: all 1 */
    const float *output[HG_PROJECTIONS]; /* [rows], or NULL: all 1 */
} hg_layer_scales;

typedef struct hg_scales {
    const hg_layer_scales *layer; /* [layers of the shape] */
    struct hg_scales_owned *owned;
} hg_scales;

/* model_path: the base's. *out is NULL when there is no such file. Values are positive and finite.
 */
hg_status hg_scales_open(const char *model_path, const hg_shape *shape, hg_scales **out,
                         hg_error *error) HG_CHECKED;
void hg_scales_close(hg_scales *scales); /* NULL is allowed */

#endif
