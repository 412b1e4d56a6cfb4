/* tensor_writer.h: a model's safetensors files, written as a stream.
 *
 * What will be written is said first: names, types and shapes in order. From these follow the
 * shards (model.safetensors, or model-00001-of-0000N.safetensors with model.safetensors.index.json
 * when all would be larger than one shard may be) and every offset, so that a file's header stands
 * before its first tensor is known and memory does not grow with the model. A file is written
 * beside its name, synced and renamed; the index comes last.
 */
#ifndef HG_CONVERT_TENSOR_WRITER_H
#define HG_CONVERT_TENSOR_WRITER_H

#include <stdint.h>

#include "core/base/error.h"
#include "core/model/safetensors.h"

typedef struct hg_tensor_writer hg_tensor_writer;

typedef struct hg_planned_tensor {
    char name[HG_LIMIT_TENSOR_NAME];
    hg_tensor_type type; /* of whole bytes */
    uint32_t dimensions; /* 1 or 2 */
    uint64_t shape[2];
} hg_planned_tensor;

/* Which files. A shard begins when the next tensor would make it larger than shard_bytes; 0: one
 * file. */
typedef struct hg_writer_place {
    const char *folder, *name; /* name: "model" gives model.safetensors */
    uint64_t shard_bytes;
} hg_writer_place;

/* tensor [count] is copied. */
hg_status hg_tensor_writer_open(hg_writer_place place, const hg_planned_tensor *tensor,
                                uint32_t count, hg_tensor_writer **out, hg_error *error) HG_CHECKED;

/* The next bytes of the tensors' data, in the order that was said; in pieces as one likes, but a
 * piece belongs to one tensor. */
hg_status hg_tensor_writer_put(hg_tensor_writer *writer, const void *bytes, size_t count,
                               hg_error *error) HG_CHECKED;

/* Of the data of all tensors. */
uint64_t hg_tensor_writer_bytes(const hg_tensor_writer *writer);

/* Everything was put: the last file and the index get their names. */
hg_status hg_tensor_writer_finish(hg_tensor_writer *writer, hg_error *error) HG_CHECKED;

/* Frees; of a writer that did not finish, the file in work goes. NULL is allowed. */
void hg_tensor_writer_close(hg_tensor_writer *writer);

#endif
