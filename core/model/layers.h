/* layers.h: the blocks of a Llama model in Hugging Face layout: norms and linear layers in
 * whichever form a file has them (quantization.h), one file of C for each form.
 *
 * Packed and dense layers are used where they lie in the mapped files. Those whose codes stand
 * input by input (AutoAWQ, GPTQ) are put in order when a device holds the layer and are freed when
 * it is released, so that never more than a layer of them takes memory. Releasing a layer also
 * gives back the memory of its pages of the files, which come again if somebody reads them.
 */
#ifndef HG_MODEL_LAYERS_H
#define HG_MODEL_LAYERS_H

#include "core/base/error.h"
#include "core/model/quantization.h"
#include "core/model/tensors.h"
#include "kernels/weights.h"

typedef struct hg_linear_want {
    const char *module; /* "model.layers.0.mlp.up_proj" */
    hg_quantization quantization;
    uint32_t rows, columns; /* outputs, inputs */
} hg_linear_want;

/* A layer whose codes stand input by input, in the file's memory. */
typedef struct hg_inputs {
    const uint8_t *codes;   /* AWQ: I32 [columns, rows / 8]; GPTQ: I32 [columns * bits / 32, rows];
                             * NULL: the linear layer is in device form already */
    const uint8_t *zeros;   /* I32 [groups of the file, rows * bits / 32] */
    const uint16_t *scales; /* F16 [groups of the file, rows] */
    hg_quantization quantization;
} hg_inputs;

typedef struct hg_layers {
    hg_tensors *set; /* borrowed */
    uint32_t count;
    hg_layer *layer;   /* [count] in set's memory, as are the others */
    hg_inputs *inputs; /* [count, HG_PROJECTIONS] */
    uint32_t *holds;   /* [count] */
    void **block;      /* [count] owned: what a held layer was put in order into, or NULL */
    hg_matrix head;    /* whose pages a release behind the last layer gives back */
    uint64_t parameters;
    uint32_t dense; /* linear layers that are not quantised */
} hg_layers;

/* Takes all blocks of a model of that shape out of set. */
hg_status hg_layers_take(hg_layers *layers, hg_tensors *set, const hg_shape *shape,
                         const hg_quantization *quantization, hg_error *error) HG_CHECKED;
void hg_layers_free(hg_layers *layers);

/* Puts a layer in order and gives it back; as hg_layer_source wants them, context: hg_layers. */
hg_status hg_layers_hold(void *context, uint32_t layer, hg_error *error) HG_CHECKED;
void hg_layers_release(void *context, uint32_t layer);
void hg_layers_pass(void *context, const void *data, size_t bytes);

/* A norm, [count] as F32 in set's memory. */
hg_status hg_layers_take_norm(hg_tensors *set, const char *name, uint32_t count, const float **out,
                              hg_error *error) HG_CHECKED;

/* ---- one linear layer; *out holds views that live with set ---- */

hg_status hg_packed_take(hg_tensors *set, const hg_linear_want *want, hg_linear *out,
                         hg_error *error) HG_CHECKED;
hg_status hg_dense_take(hg_tensors *set, const hg_linear_want *want, hg_linear *out,
                        hg_error *error) HG_CHECKED;
/* AWQ and GPTQ: out gets its sizes, *inputs the rest. */
hg_status hg_awq_take(hg_tensors *set, const hg_linear_want *want, hg_linear *out,
                      hg_inputs *inputs, hg_error *error) HG_CHECKED;
hg_status hg_gptq_take(hg_tensors *set, const hg_linear_want *want, hg_linear *out,
                       hg_inputs *inputs, hg_error *error) HG_CHECKED;

/* Bytes of a layer in order, and putting it there: codes, scales and zeros of *out then point into
 * to, aligned to 64. */
size_t hg_inputs_bytes(const hg_linear *linear);
void hg_inputs_order(const hg_inputs *inputs, hg_linear *out, uint8_t *to);
void hg_awq_order(const hg_inputs *inputs, const hg_linear *out, uint8_t *codes, uint8_t *zeros);
void hg_gptq_order(const hg_inputs *inputs, const hg_linear *out, uint8_t *codes, uint8_t *zeros);

/* ---- for the forms' files ---- */

/* One tensor of a layer: its whole name and what is wanted of it. */
typedef struct hg_part {
    char name[HG_LIMIT_TENSOR_NAME];
    hg_tensor_want want;
    hg_tensor tensor;
} hg_part;

/* Takes module.suffix as out->want describes it. */
hg_status hg_part_take(hg_tensors *set, const char *module, const char *suffix, hg_part *out,
                       hg_error *error) HG_CHECKED;
/* Scales as F16: finite, and values of F16 if they are of another type, so that nothing is lost. */
hg_status hg_part_scales(hg_tensors *set, const hg_part *scales, const uint16_t **out,
                         hg_error *error) HG_CHECKED;
/* Sizes of *out for quantised layers; an error where groups do not divide the columns. */
hg_status hg_layers_size(const hg_tensors *set, const hg_linear_want *want, hg_linear *out,
                         hg_error *error) HG_CHECKED;

#endif
