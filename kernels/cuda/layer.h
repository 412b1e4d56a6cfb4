/* layer.h: the operations of a layer, whichever rows go through it: those of a pass (graph.c) or of
 * a step's whole chunks (chunk.c). As project.h, which it completes.
 */
#ifndef HG_KERNELS_CUDA_LAYER_H
#define HG_KERNELS_CUDA_LAYER_H

#include "kernels/cuda/project.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A layer's weights on the card. */
typedef struct hg_cuda_layer {
    float *attention_norm, *mlp_norm; /* [hidden] */
    hg_cuda_linear qkv[3], o, gate_up, down;
} hg_cuda_layer;

/* What the operations of a layer leave for each other. */
typedef struct hg_cuda_between {
    hg_cuda_residual residual;
    float *q;                  /* [rows, heads * head_dim] */
    uint16_t *attention, *mlp; /* [rows, heads * head_dim], [rows, intermediate] F16 */
    float *h;                  /* [rows, HG_CUDA_PARTS, HG_LIMIT_ADAPTER_RANK] */
} hg_cuda_between;

/* The products of a layer, in their order; attention follows the first. */
typedef struct hg_cuda_products {
    hg_cuda_project qkv, o, gate_up, down;
} hg_cuda_products;

hg_cuda_kv hg_cuda_kv_of(const hg_device *device);
/* Without what blocks of a launch share: partial, counter. */
hg_cuda_products hg_cuda_products_of(const hg_device *device, uint32_t layer,
                                     const hg_cuda_between *between);
/* The layer's attention, of the rows of one pass. */
hg_cuda_attend hg_cuda_attend_of(const hg_device *device, uint32_t layer,
                                 const hg_cuda_between *between);

#ifdef __cplusplus
}
#endif
#endif
