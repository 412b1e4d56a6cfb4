/* safetensors.c: header first, then each tensor by itself, then all of them against each other.
 *
 * Nothing of the data is touched here, so opening a file of any size costs its header only. All
 * arithmetic on sizes from the file is in 64 bits and checked for overflow before it is used.
 */
#include "core/model/safetensors.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/json.h"

enum { LENGTH_BYTES = 8 };

static const struct {
    const char *name;
    uint32_t bits;
} types[] = {
#define ROW(name, bits) {#name, bits},
    HG_TENSOR_TYPES(ROW)
#undef ROW
};

const char *hg_tensor_type_name(hg_tensor_type type)
{
    assert(type < HG_TENSOR_TYPE_COUNT);
    return types[type].name;
}

uint32_t hg_tensor_type_bits(hg_tensor_type type)
{
    assert(type < HG_TENSOR_TYPE_COUNT);
    return types[type].bits;
}

/* What a tensor's checks need to know of the file around it. */
typedef struct place {
    const char *path;
    const uint8_t *data; /* [size] what follows the header */
    size_t size;
    hg_error *error;
} place;

/* dtype must be a name of the table; an unknown one has an unknown size. */
static hg_status read_type(const place *in, hg_tensor *tensor, const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    for (unsigned t = 0; name && t < HG_TENSOR_TYPE_COUNT; t++) {
        if (strcmp(name, types[t].name) != 0) continue;
        tensor->type = (hg_tensor_type)t;
        return HG_OK;
    }
    return hg_fail(in->error, HG_ERROR_FORMAT,
                   "%s: tensor %s: dtype %.32s is none of safetensors' types", in->path,
                   tensor->name, name ? name : "(missing)");
}

/* Reads shape and multiplies it out; *bits is elements times the type's bits. */
static hg_status read_shape(const place *in, hg_tensor *tensor, const json_t *entry, uint64_t *bits)
{
    const json_t *shape = json_object_get(entry, "shape");
    size_t dimensions = json_array_size(shape);
    if (!json_is_array(shape) || dimensions > HG_LIMIT_TENSOR_DIMENSIONS)
        return hg_fail(in->error, HG_ERROR_FORMAT,
                       "%s: tensor %s: shape is not a list of up to %d sizes", in->path,
                       tensor->name, HG_LIMIT_TENSOR_DIMENSIONS);
    tensor->dimensions = (uint32_t)dimensions;
    *bits = types[tensor->type].bits;
    for (size_t i = 0; i < dimensions; i++) {
        const json_t *value = json_array_get(shape, i);
        if (!json_is_integer(value) || json_integer_value(value) < 0)
            return hg_fail(in->error, HG_ERROR_FORMAT,
                           "%s: tensor %s: size %zu of its shape is not an integer from 0 on",
                           in->path, tensor->name, i);
        tensor->shape[i] = (uint64_t)json_integer_value(value);
        if (__builtin_mul_overflow(*bits, tensor->shape[i], bits))
            return hg_fail(in->error, HG_ERROR_FORMAT, "%s: tensor %s: its shape overflows 64 bits",
                           in->path, tensor->name);
    }
    return HG_OK;
}

/* data_offsets must lie in the data and be as long as shape and type say. */
static hg_status read_offsets(const place *in, hg_tensor *tensor, const json_t *entry,
                              uint64_t bits)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last) ||
        json_integer_value(first) < 0 || json_integer_value(last) < json_integer_value(first))
        return hg_fail(in->error, HG_ERROR_FORMAT,
                       "%s: tensor %s: data_offsets is not [begin, end] with begin <= end",
                       in->path, tensor->name);
    uint64_t begin = (uint64_t)json_integer_value(first), end = (uint64_t)json_integer_value(last);
    if (end > in->size)
        return hg_fail(
            in->error, HG_ERROR_FORMAT,
            "%s: tensor %s: ends at byte %llu of the data, but only %zu bytes of data are "
            "there: the file is cut short",
            in->path, tensor->name, (unsigned long long)end, in->size);
    if (bits % 8 || bits / 8 != end - begin)
        return hg_fail(in->error, HG_ERROR_FORMAT,
                       "%s: tensor %s: found %llu bytes, expected %llu bits by its shape and dtype "
                       "%s",
                       in->path, tensor->name, (unsigned long long)(end - begin),
                       (unsigned long long)bits, types[tensor->type].name);
    assert(end - begin <= in->size);
    tensor->data = in->data + begin;
    tensor->bytes = end - begin;
    return HG_OK;
}

/* One entry of the header. bits links the steps: shape times type, compared with the offsets. */
static hg_status read_tensor(const place *in, const char *name, const json_t *entry,
                             hg_tensor *tensor)
{
    uint64_t bits = 0;
    *tensor = (hg_tensor){.name = name};
    if (strlen(name) >= HG_LIMIT_TENSOR_NAME)
        return hg_fail(in->error, HG_ERROR_LIMIT,
                       "%s: tensor %.64s...: its name has more than %d bytes", in->path, name,
                       HG_LIMIT_TENSOR_NAME - 1);
    if (!json_is_object(entry))
        return hg_fail(in->error, HG_ERROR_FORMAT, "%s: tensor %s: its entry is not an object",
                       in->path, name);
    hg_status status = read_type(in, tensor, entry);
    if (!status) status = read_shape(in, tensor, entry, &bits);
    return status ? status : read_offsets(in, tensor, entry, bits);
}

/* Order of the data, for check_cover. */
static int by_place(const void *left, const void *right)
{
    const hg_tensor *a = left, *b = right;
    if (a->data != b->data) return a->data < b->data ? -1 : 1;
    return a->bytes < b->bytes ? -1 : a->bytes > b->bytes; /* empty ones stand before */
}

/* Order of hg_safetensors_find's binary search. */
static int by_name(const void *left, const void *right)
{
    return strcmp(((const hg_tensor *)left)->name, ((const hg_tensor *)right)->name);
}

/* In the order of the data each tensor begins where the one before it ended. */
static hg_status check_cover(const place *in, hg_tensor *tensor, uint32_t tensors)
{
    const uint8_t *expected = in->data;
    if (tensors) qsort(tensor, tensors, sizeof *tensor, by_place);
    for (uint32_t i = 0; i < tensors; i++) {
        if (tensor[i].data != expected)
            return hg_fail(
                in->error, HG_ERROR_FORMAT,
                "%s: tensor %s: begins at byte %zu of the data, expected %zu: tensors %s", in->path,
                tensor[i].name, (size_t)(tensor[i].data - in->data), (size_t)(expected - in->data),
                tensor[i].data < expected ? "overlap" : "leave a gap");
        expected += tensor[i].bytes;
    }
    if (expected != in->data + in->size)
        return hg_fail(in->error, HG_ERROR_FORMAT,
                       "%s: the tensors end at byte %zu of the data, expected %zu", in->path,
                       (size_t)(expected - in->data), in->size);
    return HG_OK;
}

/* Reads all entries into a sorted table. The names stay in the JSON header, which out owns. */
static hg_status read_table(const place *in, json_t *header, hg_safetensors *out)
{
    size_t entries = json_object_size(header);
    if (entries > HG_LIMIT_TENSORS)
        return hg_fail(in->error, HG_ERROR_LIMIT, "%s: %zu tensors, more than the %d allowed",
                       in->path, entries, HG_LIMIT_TENSORS);
    out->tensor = calloc(entries + 1, sizeof *out->tensor);
    if (!out->tensor) return hg_fail(in->error, HG_ERROR_MEMORY, "%s: no memory", in->path);
    const char *name;
    json_t *entry;
    json_object_foreach(header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) continue;
        assert(out->tensors < entries);
        hg_status status = read_tensor(in, name, entry, &out->tensor[out->tensors++]);
        if (status) return status;
    }
    hg_status status = check_cover(in, out->tensor, out->tensors);
    if (!status && out->tensors) qsort(out->tensor, out->tensors, sizeof *out->tensor, by_name);
    return status;
}

hg_status hg_safetensors_parse(const uint8_t *bytes, size_t size, const char *path,
                               hg_safetensors *out, hg_error *error)
{
    *out = (hg_safetensors){0};
    snprintf(out->path, sizeof out->path, "%s", path);
    if (size < LENGTH_BYTES)
        return hg_fail(error, HG_ERROR_FORMAT,
                       "%s: %zu bytes, too short for a safetensors file's 8 bytes of header length",
                       path, size);
    uint64_t length = 0; /* little endian, whatever we run on */
    for (int i = LENGTH_BYTES - 1; i >= 0; i--) length = length << 8 | bytes[i];
    if (length > HG_LIMIT_SAFETENSORS_HEADER)
        return hg_fail(error, HG_ERROR_FORMAT,
                       "%s: its header claims %llu bytes, more than the %d allowed: not a "
                       "safetensors file",
                       path, (unsigned long long)length, HG_LIMIT_SAFETENSORS_HEADER);
    if (length > size - LENGTH_BYTES)
        return hg_fail(error, HG_ERROR_FORMAT,
                       "%s: its header claims %llu bytes, but only %zu follow: the file is cut "
                       "short",
                       path, (unsigned long long)length, size - LENGTH_BYTES);
    hg_json root;
    hg_status status =
        hg_json_parse((const char *)bytes + LENGTH_BYTES, length, path, &root, error);
    if (status) return status;
    const place in = {path, bytes + LENGTH_BYTES + length, size - LENGTH_BYTES - length, error};
    assert(in.data + in.size == bytes + size);
    out->header = root.object;
    status = read_table(&in, root.object, out);
    if (status) hg_safetensors_close(out);
    return status;
}

hg_status hg_safetensors_open(const char *path, hg_safetensors *out, hg_error *error)
{
    hg_mapping mapping;
    *out = (hg_safetensors){0};
    hg_status status = hg_file_map(path, &mapping, error);
    if (status) return status;
    status = hg_safetensors_parse(mapping.data, mapping.size, path, out, error);
    if (status)
        hg_file_unmap(&mapping);
    else
        out->mapping = mapping;
    return status;
}

void hg_safetensors_close(hg_safetensors *file)
{
    json_decref(file->header);
    free(file->tensor);
    hg_file_unmap(&file->mapping);
    *file = (hg_safetensors){0};
}

hg_tensor *hg_safetensors_find(const hg_safetensors *file, const char *name)
{
    const hg_tensor key = {.name = name};
    if (!file->tensors) return NULL;
    return bsearch(&key, file->tensor, file->tensors, sizeof key, by_name);
}
