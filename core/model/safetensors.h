/* safetensors.h: one file of tensors: 8 bytes of header length (little endian), a JSON header,
 * data.
 *
 * The rules are the reference library's (https://github.com/huggingface/safetensors): the header is
 * at most 100 MB, tensors lie one after another and cover the data without gap or overlap, and
 * shape times type is the length. A file that breaks one is refused whole, with the tensor's name.
 */
#ifndef HG_MODEL_SAFETENSORS_H
#define HG_MODEL_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/limits.h"

/* X(name, bits of one element); the header's dtype is the name. */
#define HG_TENSOR_TYPES(X)                                                                         \
    X(F32, 32)                                                                                     \
    X(F16, 16)                                                                                     \
    X(BF16, 16)                                                                                    \
    X(I32, 32)                                                                                     \
    X(I64, 64)                                                                                     \
    X(U8, 8)                                                                                       \
    X(I8, 8)                                                                                       \
    X(BOOL, 8)                                                                                     \
    X(F64, 64)                                                                                     \
    X(I16, 16)                                                                                     \
    X(U16, 16)                                                                                     \
    X(U32, 32)                                                                                     \
    X(U64, 64)                                                                                     \
    X(C64, 64)                                                                                     \
    X(F8_E4M3, 8)                                                                                  \
    X(F8_E5M2, 8)                                                                                  \
    X(F8_E8M0, 8)                                                                                  \
    X(F6_E2M3, 6)                                                                                  \
    X(F6_E3M2, 6)                                                                                  \
    X(F4, 4)

typedef enum hg_tensor_type {
#define HG_TENSOR_ENUM(name, bits) HG_TENSOR_##name,
    HG_TENSOR_TYPES(HG_TENSOR_ENUM)
#undef HG_TENSOR_ENUM
        HG_TENSOR_TYPE_COUNT
} hg_tensor_type;

typedef struct hg_tensor {
    const char *name; /* owned by the file's table */
    hg_tensor_type type;
    uint32_t dimensions;
    uint64_t shape[HG_LIMIT_TENSOR_DIMENSIONS]; /* [dimensions], outermost first */
    const uint8_t *data;                        /* [bytes] in the file, as aligned as it lies */
    size_t bytes;
    bool taken; /* a reader asked for it: what is left over at the end is refused */
} hg_tensor;

typedef struct hg_safetensors {
    char path[HG_PATH_MAX]; /* for messages */
    hg_mapping mapping;     /* owned after open; nothing after parse */
    hg_tensor *tensor;      /* [tensors] owned, sorted by name */
    uint32_t tensors;
    struct json_t *header; /* owned: the names live in it */
} hg_safetensors;

/* Maps and checks a file. *out is empty after a failure. */
hg_status hg_safetensors_open(const char *path, hg_safetensors *out, hg_error *error) HG_CHECKED;

/* The same for a file image in memory, which must stay; path is for messages. */
hg_status hg_safetensors_parse(const uint8_t *bytes, size_t size, const char *path,
                               hg_safetensors *out, hg_error *error) HG_CHECKED;
void hg_safetensors_close(hg_safetensors *file);

/* NULL when there is none of that name. */
hg_tensor *hg_safetensors_find(const hg_safetensors *file, const char *name);

const char *hg_tensor_type_name(hg_tensor_type type);
uint32_t hg_tensor_type_bits(hg_tensor_type type);

#endif
