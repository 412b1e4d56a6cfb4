/* packed.h: linear layers in compressed-tensors' pack-quantized form.
 *
 * weight_packed I32 [rows, columns * bits / 32] holds codes lowest bits first; in little endian
 * that is byte for byte the device form, so codes are used where they lie. A stored code is the
 * signed value plus 2^(bits - 1). weight_scale [rows, columns / group] becomes F16, weight_shape
 * I64 [2] must agree, weight_zero_point I32 [rows * bits / 32, columns / group] (asymmetric only)
 * is packed along the rows. Format: https://github.com/vllm-project/compressed-tensors.
 */
#ifndef HG_MODEL_PACKED_H
#define HG_MODEL_PACKED_H

#include "core/base/error.h"
#include "core/model/json.h"
#include "core/model/tensors.h"
#include "kernels/weights.h"

typedef struct hg_quantization {
    uint8_t bits;   /* 4 or 8 */
    uint16_t group; /* 16, 32, 64 or 128 */
    bool symmetric;
} hg_quantization;

/* Reads quantization_config of config.json; other methods and options are refused by name. */
hg_status hg_quantization_parse(const hg_json *config, hg_quantization *out) HG_CHECKED;

typedef struct hg_packed_want {
    const char *module; /* "model.layers.0.mlp.up_proj" */
    hg_quantization quantization;
    uint32_t rows, columns; /* outputs, inputs */
} hg_packed_want;

/* Takes the tensors of one linear layer and checks them. *out holds views that live with set. */
hg_status hg_packed_take(hg_tensors *set, const hg_packed_want *want, hg_linear *out,
                         hg_error *error) HG_CHECKED;

#endif
