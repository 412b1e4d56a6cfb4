/* tensors.h: the tensors of one model or adapter, in one file or in shards, taken by name.
 *
 * A reader says what it expects (name, types, shape); a take checks all of it and gives the data,
 * aligned for its type. Who has taken all that it knows asks hg_tensors_check_all_taken: a tensor
 * that nobody understood would change the result, so it is refused by name.
 */
#ifndef HG_MODEL_TENSORS_H
#define HG_MODEL_TENSORS_H

#include "core/model/fingerprint.h"
#include "core/model/memory.h"
#include "core/model/safetensors.h"
#include "kernels/weights.h"

typedef struct hg_tensors {
    char path[HG_PATH_MAX]; /* the file, or the shards' index: for messages */
    hg_safetensors *file;   /* [files] owned */
    uint32_t files;
    hg_memory memory; /* aligned copies, and what the reader makes of the tensors */
} hg_tensors;

#define HG_TENSOR_BIT(type) (1u << HG_TENSOR_##type)
#define HG_TENSOR_FLOATS    (HG_TENSOR_BIT(F32) | HG_TENSOR_BIT(F16) | HG_TENSOR_BIT(BF16))

typedef struct hg_tensor_want {
    const char *name;
    unsigned types; /* HG_TENSOR_BIT of those that will do */
    uint32_t dimensions;
    uint64_t shape[2];   /* [dimensions] */
    const char *because; /* what the shape follows from, for the message */
} hg_tensor_want;

/* One file. */
hg_status hg_tensors_open(const char *path, hg_tensors *out, hg_error *error) HG_CHECKED;

/* folder/model.safetensors, or the shards that folder/model.safetensors.index.json names. */
hg_status hg_tensors_open_model(const char *folder, hg_tensors *out, hg_error *error) HG_CHECKED;
void hg_tensors_close(hg_tensors *set);

bool hg_tensors_have(const hg_tensors *set, const char *name);

/* Finds, checks and marks a tensor. Its data is aligned for its type: a misaligned one is copied.
 */
hg_status hg_tensors_take(hg_tensors *set, const hg_tensor_want *want, hg_tensor *out,
                          hg_error *error) HG_CHECKED;

/* Marks a tensor that is known to carry nothing; it need not be there. */
void hg_tensors_pass_over(hg_tensors *set, const char *name);

/* HG_ERROR_FORMAT, naming the first tensor that was not taken; why ends the message. */
hg_status hg_tensors_check_all_taken(const hg_tensors *set, const char *why,
                                     hg_error *error) HG_CHECKED;

/* HG_ERROR_FORMAT, naming the tensor (F32, F16 or BF16), when a value is NaN or infinite. Its pages
 * leave memory behind the check. */
hg_status hg_tensors_check_finite(const hg_tensors *set, const hg_tensor *tensor,
                                  hg_error *error) HG_CHECKED;

/* A two-dimensional F32, F16 or BF16 tensor as a matrix. */
hg_matrix hg_tensor_matrix(const hg_tensor *tensor);

/* Values as F32 in the set's memory; NULL without memory. */
const float *hg_tensors_to_f32(hg_tensors *set, const hg_tensor *tensor);

/* Lets the pages of data, if it is part of a file, leave memory. They come again when read. */
void hg_tensors_release(const hg_tensors *set, const void *data, size_t bytes);

size_t hg_tensors_bytes(const hg_tensors *set); /* of all files */

/* Starts computing the fingerprint of the files, as hg_fingerprint_want says. */
hg_status hg_tensors_fingerprint(const hg_tensors *set, const char *cache, const char *identity,
                                 hg_fingerprint **out, hg_error *error) HG_CHECKED;

#endif
