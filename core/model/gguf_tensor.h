/* gguf_tensor.h: tensors of a GGUF file taken by name, as tensors.h does with safetensors: who says
 * what is expected gets the tensor or an error that names it, and in the end nothing may be left.
 */
#ifndef HG_MODEL_GGUF_TENSOR_H
#define HG_MODEL_GGUF_TENSOR_H

#include "core/model/gguf.h"
#include "core/model/gguf_blocks.h"
#include "core/model/safetensors.h"

typedef struct hg_gguf_want {
    const char *name;
    uint32_t rows, columns; /* no rows: a tensor of one dimension */
    bool blocks;            /* blocks of codes will do as well as floats */
    const char *because;    /* what the shape follows from, for the message */
} hg_gguf_want;

/* Finds, checks and marks a tensor; its type is one that is supported. */
hg_status hg_gguf_take(hg_gguf *file, const hg_gguf_want *want, const hg_gguf_tensor **out,
                       const hg_gguf_type **type, hg_error *error) HG_CHECKED;

/* A tensor of floats as those of safetensors are, for what can be done with them. */
hg_tensor hg_gguf_floats(const hg_gguf_tensor *tensor);

/* HG_ERROR_FORMAT, naming the tensor, when one of its floats is NaN or infinite. */
hg_status hg_gguf_check_finite(const hg_gguf *file, const hg_gguf_tensor *tensor,
                               hg_error *error) HG_CHECKED;

/* HG_ERROR_FORMAT, naming the first tensor that was not taken; why ends the message. */
hg_status hg_gguf_check_all_taken(const hg_gguf *file, const char *why, hg_error *error) HG_CHECKED;

#endif
