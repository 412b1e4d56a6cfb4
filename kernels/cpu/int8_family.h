/* int8_family.h: the tables of a fast family, out of the functions that its file has. */
#ifndef HG_KERNELS_CPU_INT8_FAMILY_H
#define HG_KERNELS_CPU_INT8_FAMILY_H

#include "kernels/cpu/int8.h"

/* The family and its ops, whose linear is product; after it nothing follows in the file. */
#define HG_INT8_FAMILY(isa, product)                                                               \
    const hg_int8_ops hg_ops_##isa = {                                                             \
        .linear = (product),                                                                       \
        .norm = vector_norm,                                                                       \
        .quantise = vector_quantise,                                                               \
        .swiglu = vector_swiglu,                                                                   \
        .above = vector_above,                                                                     \
        .dot = vector_dot,                                                                         \
        .dot_half = vector_dot_half,                                                               \
        .store_k = vector_store_k,                                                                 \
        .store_v = vector_store_v,                                                                 \
        .attention = vector_attention,                                                             \
    };                                                                                             \
    static void forward(hg_device *device, const hg_step *step, const hg_result *result)           \
    {                                                                                              \
        hg_int8_forward(device, &hg_ops_##isa, step, result);                                      \
    }                                                                                              \
    const hg_family hg_family_##isa = {                                                            \
        .name = #isa,                                                                              \
        .runs_here = runs_here,                                                                    \
        .state_bytes = sizeof(hg_int8),                                                            \
        .check = hg_int8_check,                                                                    \
        .page_bytes = hg_int8_page_bytes,                                                          \
        .layout_model = hg_int8_layout_model,                                                      \
        .layout_workspace = hg_int8_layout_workspace,                                              \
        .layout_adapter = hg_int8_layout_adapter,                                                  \
        .pack_model = hg_int8_pack_model,                                                          \
        .pack_lora = hg_int8_pack_lora,                                                            \
        .copy_page = hg_int8_copy_page,                                                            \
        .forward = forward,                                                                        \
    }

#endif
