/* tensors.c: taking tensors, with one wording for each way in which a file can disappoint.
 *
 * A set is one file or a few shards, so a name is looked up in each in turn; a tensor that two
 * shards hold is taken from the first, and the second is then refused as left over.
 */
#include "core/model/tensors.h"

#include <assert.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/half.h"
#include "core/model/json.h"

hg_status hg_tensors_open(const char *path, hg_tensors *out, hg_error *error)
{
    *out = (hg_tensors){0};
    snprintf(out->path, sizeof out->path, "%s", path);
    out->file = calloc(1, sizeof *out->file);
    if (!out->file) return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", path);
    hg_status status = hg_safetensors_open(path, out->file, error);
    if (!status)
        out->files = 1;
    else
        hg_tensors_close(out);
    return status;
}

/* Opens folder/name as one more file unless it is among them already. */
static hg_status add_shard(hg_tensors *set, const char *folder, const char *name, hg_error *error)
{
    char path[HG_PATH_MAX];
    if (strchr(name, '/'))
        return hg_fail(error, HG_ERROR_FORMAT, "%s: shard \"%s\" is not in the model's folder",
                       set->path, name);
    hg_status status = hg_path_join(path, sizeof path, folder, name, error);
    if (status) return status;
    for (uint32_t i = set->files; i-- > 0;)
        if (strcmp(set->file[i].path, path) == 0) return HG_OK;
    if (set->files == HG_LIMIT_MODEL_SHARDS)
        return hg_fail(error, HG_ERROR_LIMIT, "%s: more than %d shards", set->path,
                       HG_LIMIT_MODEL_SHARDS);
    status = hg_safetensors_open(path, &set->file[set->files], error);
    if (!status) set->files++;
    return status;
}

/* Order of the fingerprint's lines. */
static int by_path(const void *left, const void *right)
{
    return strcmp(((const hg_safetensors *)left)->path, ((const hg_safetensors *)right)->path);
}

/* The index maps tensor names to files. Only the set of files is taken from it: where a tensor lies
 * the files say themselves. */
static hg_status open_shards(const char *folder, const char *index, hg_tensors *out,
                             hg_error *error)
{
    hg_json root, map = {0};
    hg_status status = hg_json_read(index, &root, error);
    *out = (hg_tensors){0};
    snprintf(out->path, sizeof out->path, "%s", index);
    if (!status) status = hg_json_object(&root, "weight_map", HG_JSON_REQUIRED, &map);
    if (status) goto out;
    out->file = calloc(HG_LIMIT_MODEL_SHARDS, sizeof *out->file);
    if (!out->file) status = hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", index);
    const char *tensor;
    json_t *shard;
    if (!status) {
        json_object_foreach(map.object, tensor, shard)
        {
            if (!json_is_string(shard))
                status = hg_json_fail(&map, tensor, HG_ERROR_FORMAT, "expected a file name");
            else
                status = add_shard(out, folder, json_string_value(shard), error);
            if (status) break;
        }
    }
    assert(status || out->file);
    if (!status) qsort(out->file, out->files, sizeof *out->file, by_path);
out:
    json_decref(root.object);
    if (status) hg_tensors_close(out);
    return status;
}

/* One file is preferred to an index, as in transformers. */
hg_status hg_tensors_open_model(const char *folder, hg_tensors *out, hg_error *error)
{
    char path[HG_PATH_MAX], other[HG_PATH_MAX];
    *out = (hg_tensors){0};
    hg_status status = hg_path_join(path, sizeof path, folder, "model.safetensors", error);
    if (status) return status;
    if (hg_file_exists(path)) return hg_tensors_open(path, out, error);
    status = hg_path_join(other, sizeof other, folder, "model.safetensors.index.json", error);
    if (status) return status;
    if (hg_file_exists(other)) return open_shards(folder, other, out, error);
    status = hg_path_join(other, sizeof other, folder, "pytorch_model.bin", error);
    if (status) return status;
    if (hg_file_exists(other))
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "%s: PyTorch pickles are not read; save the model as safetensors", other);
    return hg_fail(error, HG_ERROR_NOT_FOUND,
                   "%s: no such file, nor model.safetensors.index.json beside it", path);
}

void hg_tensors_close(hg_tensors *set)
{
    for (uint32_t i = 0; i < set->files; i++) hg_safetensors_close(&set->file[i]);
    free(set->file);
    hg_memory_free(&set->memory);
    *set = (hg_tensors){0};
}

/* path, unless NULL, becomes the file that holds the tensor, for messages. */
static hg_tensor *find(const hg_tensors *set, const char *name, const char **path)
{
    for (uint32_t i = 0; i < set->files; i++) {
        hg_tensor *tensor = hg_safetensors_find(&set->file[i], name);
        if (!tensor) continue;
        if (path) *path = set->file[i].path;
        return tensor;
    }
    return NULL;
}

bool hg_tensors_have(const hg_tensors *set, const char *name)
{
    return find(set, name, NULL) != NULL;
}

void hg_tensors_pass_over(hg_tensors *set, const char *name)
{
    hg_tensor *tensor = find(set, name, NULL);
    if (tensor) tensor->taken = true;
}

/* "[1024, 48]" into text [128]. */
static void show_shape(const uint64_t *shape, uint32_t dimensions, char *text)
{
    int used = snprintf(text, 128, "[");
    for (uint32_t i = 0; i < dimensions && used < 100; i++)
        used += snprintf(text + used, 128 - (size_t)used, i ? ", %llu" : "%llu",
                         (unsigned long long)shape[i]);
    snprintf(text + used, 128 - (size_t)used, "]");
}

/* "F32 or F16" into text [128]. */
static void show_types(unsigned wanted, char *text)
{
    int used = 0;
    for (unsigned t = 0; t < HG_TENSOR_TYPE_COUNT; t++)
        if (wanted >> t & 1)
            used += snprintf(text + used, 128 - (size_t)used, "%s%s", used ? " or " : "",
                             hg_tensor_type_name((hg_tensor_type)t));
}

/* Type first: of a tensor in another form the type says more than the shape does. */
static hg_status check_want(const hg_tensor *tensor, const hg_tensor_want *want, const char *path,
                            hg_error *error)
{
    char found[128], expected[128];
    if (!(want->types >> tensor->type & 1)) {
        show_types(want->types, expected);
        return hg_fail(error, HG_ERROR_FORMAT, "%s: tensor %s: found type %s, expected %s", path,
                       want->name, hg_tensor_type_name(tensor->type), expected);
    }
    if (tensor->dimensions == want->dimensions &&
        memcmp(tensor->shape, want->shape, want->dimensions * sizeof *want->shape) == 0)
        return HG_OK;
    show_shape(tensor->shape, tensor->dimensions, found);
    show_shape(want->shape, want->dimensions, expected);
    return hg_fail(error, HG_ERROR_FORMAT, "%s: tensor %s: found shape %s, expected %s (%s)", path,
                   want->name, found, expected, want->because);
}

hg_status hg_tensors_take(hg_tensors *set, const hg_tensor_want *want, hg_tensor *out,
                          hg_error *error)
{
    const char *path = set->path;
    char expected[128];
    assert(want->dimensions <= 2 && want->types != 0 && want->because);
    hg_tensor *tensor = find(set, want->name, &path);
    if (!tensor) {
        show_shape(want->shape, want->dimensions, expected);
        return hg_fail(error, HG_ERROR_FORMAT,
                       "%s: tensor %s is missing, expected one of shape %s "
                       "(%s)",
                       path, want->name, expected, want->because);
    }
    hg_status status = check_want(tensor, want, path, error);
    if (status) return status;
    tensor->taken = true;
    *out = *tensor;
    if ((uintptr_t)tensor->data % (hg_tensor_type_bits(tensor->type) / 8) == 0) return HG_OK;
    /* Rare: writers pad the header, but the format does not ask for it. */
    uint8_t *copy = hg_memory_alloc(&set->memory, tensor->bytes, 1);
    if (!copy) return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", path);
    memcpy(copy, tensor->data, tensor->bytes);
    out->data = copy;
    return HG_OK;
}

hg_status hg_tensors_check_all_taken(const hg_tensors *set, const char *why, hg_error *error)
{
    for (uint32_t i = 0; i < set->files; i++)
        for (uint32_t k = 0; k < set->file[i].tensors; k++)
            if (!set->file[i].tensor[k].taken)
                return hg_fail(error, HG_ERROR_FORMAT, "%s: tensor %s is not expected: %s",
                               set->file[i].path, set->file[i].tensor[k].name, why);
    return HG_OK;
}

/* True when all count halves have an exponent that is not all ones. No early end: the loop is to
 * be vectorised. */
static bool halves_finite(const uint16_t *half, size_t count, uint16_t exponent)
{
    unsigned bad = 0;
    for (size_t i = 0; i < count; i++) bad |= (half[i] & exponent) == exponent;
    return !bad;
}

/* The same for F32. */
static bool words_finite(const uint32_t *word, size_t count)
{
    unsigned bad = 0;
    for (size_t i = 0; i < count; i++) bad |= (word[i] & 0x7F800000u) == 0x7F800000u;
    return !bad;
}

static bool floats_finite(hg_tensor_type type, const void *data, size_t bytes)
{
    if (type == HG_TENSOR_F32) return words_finite(data, bytes / 4);
    return halves_finite(data, bytes / 2, type == HG_TENSOR_F16 ? 0x7C00 : 0x7F80);
}

hg_status hg_tensors_check_finite(const hg_tensors *set, const hg_tensor *tensor, hg_error *error)
{
    enum { PIECE = 4 << 20 }; /* of a large table no more stays in memory */
    const char *path = set->path;
    bool finite = true;
    assert(HG_TENSOR_FLOATS >> tensor->type & 1);
    for (size_t at = 0; finite && at < tensor->bytes; at += PIECE) {
        size_t bytes = tensor->bytes - at < PIECE ? tensor->bytes - at : PIECE;
        finite = floats_finite(tensor->type, tensor->data + at, bytes);
        hg_tensors_release(set, tensor->data + at, bytes);
    }
    if (finite) return HG_OK;
    find(set, tensor->name, &path);
    return hg_fail(error, HG_ERROR_FORMAT,
                   "%s: tensor %s: holds NaN or infinity, expected finite values only", path,
                   tensor->name);
}

hg_matrix hg_tensor_matrix(const hg_tensor *tensor)
{
    assert(tensor->dimensions == 2 && (HG_TENSOR_FLOATS >> tensor->type & 1));
    assert(tensor->shape[0] <= UINT32_MAX && tensor->shape[1] <= UINT32_MAX);
    return (hg_matrix){.data = tensor->data,
                       .rows = (uint32_t)tensor->shape[0],
                       .columns = (uint32_t)tensor->shape[1],
                       .type = tensor->type == HG_TENSOR_F32   ? HG_F32
                               : tensor->type == HG_TENSOR_F16 ? HG_F16
                                                               : HG_BF16};
}

const float *hg_tensors_to_f32(hg_tensors *set, const hg_tensor *tensor)
{
    assert(HG_TENSOR_FLOATS >> tensor->type & 1);
    size_t count = tensor->bytes / (hg_tensor_type_bits(tensor->type) / 8);
    assert((uintptr_t)tensor->data % (hg_tensor_type_bits(tensor->type) / 8) == 0);
    float *out = hg_memory_alloc(&set->memory, count, sizeof *out);
    if (!out) return NULL;
    const uint16_t *half = (const void *)tensor->data;
    if (tensor->type == HG_TENSOR_F32)
        memcpy(out, tensor->data, tensor->bytes);
    else if (tensor->type == HG_TENSOR_F16)
        for (size_t i = 0; i < count; i++) out[i] = hg_f16_to_f32(half[i]);
    else
        for (size_t i = 0; i < count; i++) out[i] = hg_bf16_to_f32(half[i]);
    return out;
}

void hg_tensors_release(const hg_tensors *set, const void *data, size_t bytes)
{
    for (uint32_t i = 0; i < set->files; i++) hg_file_release(&set->file[i].mapping, data, bytes);
}

size_t hg_tensors_bytes(const hg_tensors *set)
{
    size_t bytes = 0;
    for (uint32_t i = 0; i < set->files; i++) bytes += set->file[i].mapping.size;
    return bytes;
}

hg_status hg_tensors_fingerprint(const hg_tensors *set, const char *cache, const char *identity,
                                 hg_fingerprint **out, hg_error *error)
{
    hg_fingerprint_file file[HG_LIMIT_MODEL_SHARDS];
    assert(set->files > 0 && set->files <= HG_LIMIT_MODEL_SHARDS);
    for (uint32_t i = 0; i < set->files; i++)
        file[i] = (hg_fingerprint_file){&set->file[i].mapping, strrchr(set->file[i].path, '/') + 1};
    const hg_fingerprint_want want = {file, set->files, cache, identity};
    return hg_fingerprint_start(&want, out, error);
}
