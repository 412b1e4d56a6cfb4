/* gguf.c: header, metadata, tensors, in the order of the file, by a cursor that knows how much is
 * left. Nothing of the data is touched, so opening costs the header only.
 *
 * A count is believed only as far as the bytes behind it can hold so many entries: memory is asked
 * for in proportion to the file.
 */
#include "core/model/gguf.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/gguf_blocks.h"

static const struct {
    const char *name;
    uint8_t bytes; /* 0: varies */
} kinds[HG_GGUF_KINDS] = {
    [HG_GGUF_U8] = {"u8", 1},       [HG_GGUF_I8] = {"i8", 1},     [HG_GGUF_U16] = {"u16", 2},
    [HG_GGUF_I16] = {"i16", 2},     [HG_GGUF_U32] = {"u32", 4},   [HG_GGUF_I32] = {"i32", 4},
    [HG_GGUF_F32] = {"f32", 4},     [HG_GGUF_BOOL] = {"bool", 1}, [HG_GGUF_STRING] = {"string", 0},
    [HG_GGUF_ARRAY] = {"array", 0}, [HG_GGUF_U64] = {"u64", 8},   [HG_GGUF_I64] = {"i64", 8},
    [HG_GGUF_F64] = {"f64", 8},
};

/* Where reading is. at and size count from the file's first byte. */
typedef struct cursor {
    const uint8_t *bytes;
    size_t at, size;
    hg_gguf *file;
    hg_error *error;
    uint64_t alignment;
} cursor;

static hg_status no_memory(const cursor *c)
{
    return hg_fail(c->error, HG_ERROR_MEMORY, "%s: no memory for its header", c->file->path);
}

/* what names the field, of is the key or tensor it belongs to or "". */
static hg_status take(cursor *c, size_t count, const char *what, const char *of,
                      const uint8_t **out)
{
    if (count > c->size - c->at) {
        hg_fail(c->error, HG_ERROR_FORMAT,
                "%s: %s%s%s: needs %zu bytes at byte %zu, but the file ends at %zu: it is cut "
                "short or damaged",
                c->file->path, of, *of ? ": " : "", what, count, c->at, c->size);
        return HG_ERROR_FORMAT;
    }
    *out = c->bytes + c->at;
    c->at += count;
    return HG_OK;
}

static hg_status take_u32(cursor *c, const char *what, const char *of, uint32_t *out)
{
    const uint8_t *at = NULL;
    hg_status status = take(c, sizeof *out, what, of, &at);
    if (!status) memcpy(out, at, sizeof *out);
    return status;
}

static hg_status take_u64(cursor *c, const char *what, const char *of, uint64_t *out)
{
    const uint8_t *at = NULL;
    hg_status status = take(c, sizeof *out, what, of, &at);
    if (!status) memcpy(out, at, sizeof *out);
    return status;
}

/* A name: 1 to HG_LIMIT_TENSOR_NAME - 1 printable bytes of ASCII, copied and terminated. */
static hg_status take_name(cursor *c, const char *what, uint32_t index, const char **out)
{
    char where[64];
    uint64_t length = 0;
    const uint8_t *at = NULL;
    snprintf(where, sizeof where, "%s %u", what, index);
    hg_status status = take_u64(c, "length of its name", where, &length);
    if (status) return status;
    if (length == 0 || length >= HG_LIMIT_TENSOR_NAME)
        return hg_fail(c->error, HG_ERROR_FORMAT,
                       "%s: %s: its name has %llu bytes, expected 1 to %d", c->file->path, where,
                       (unsigned long long)length, HG_LIMIT_TENSOR_NAME - 1);
    status = take(c, (size_t)length, "its name", where, &at);
    if (status) return status;
    for (size_t i = 0; i < length; i++)
        if (at[i] <= ' ' || at[i] > '~')
            return hg_fail(c->error, HG_ERROR_FORMAT,
                           "%s: %s: byte %zu of its name is 0x%02x, expected printable ASCII",
                           c->file->path, where, i, at[i]);
    char *name = hg_memory_alloc(&c->file->memory, (size_t)length + 1, 1);
    if (!name) return no_memory(c);
    memcpy(name, at, (size_t)length);
    *out = name;
    return HG_OK;
}

/* ---- metadata ---- */

static hg_status take_kind(cursor *c, const char *what, const char *key, hg_gguf_kind *out)
{
    uint32_t kind = 0;
    hg_status status = take_u32(c, what, key, &kind);
    if (!status && kind >= HG_GGUF_KINDS)
        status = hg_fail(c->error, HG_ERROR_FORMAT, "%s: key %s: %s is %u, expected 0 to %d",
                         c->file->path, key, what, kind, HG_GGUF_KINDS - 1);
    if (!status) *out = (hg_gguf_kind)kind;
    return status;
}

/* Moves past the elements of a value. */
static hg_status pass_elements(cursor *c, const hg_gguf_value *value)
{
    const uint8_t *at = NULL;
    const size_t bytes = kinds[value->kind].bytes, least = bytes ? bytes : sizeof(uint64_t);
    if (value->count > (c->size - c->at) / least)
        return hg_fail(c->error, HG_ERROR_FORMAT,
                       "%s: key %s: its %llu elements need more than the %zu bytes that are left: "
                       "the file is cut short or damaged",
                       c->file->path, value->key, (unsigned long long)value->count,
                       c->size - c->at);
    if (bytes) return take(c, (size_t)value->count * bytes, "its value", value->key, &at);
    for (uint64_t i = 0; i < value->count; i++) {
        uint64_t length = 0;
        hg_status status = take_u64(c, "length of a text", value->key, &length);
        if (!status && length > c->size) length = c->size; /* which take refuses */
        if (!status) status = take(c, (size_t)length, "a text", value->key, &at);
        if (status) return status;
    }
    return HG_OK;
}

static hg_status read_value(cursor *c, uint32_t index, hg_gguf_value *value)
{
    hg_status status = take_name(c, "metadata entry", index, &value->key);
    if (!status) status = take_kind(c, "its type", value->key, &value->kind);
    if (status) return status;
    value->count = 1;
    value->array = value->kind == HG_GGUF_ARRAY;
    if (value->array) {
        status = take_kind(c, "the type of its elements", value->key, &value->kind);
        if (!status) status = take_u64(c, "its number of elements", value->key, &value->count);
        if (!status && value->kind == HG_GGUF_ARRAY)
            status = hg_fail(c->error, HG_ERROR_UNSUPPORTED,
                             "%s: key %s: arrays of arrays are not supported", c->file->path,
                             value->key);
        if (status) return status;
    }
    value->data = c->bytes + c->at;
    return pass_elements(c, value);
}

static int by_key(const void *left, const void *right)
{
    return strcmp(((const hg_gguf_value *)left)->key, ((const hg_gguf_value *)right)->key);
}

/* A count of entries of at least `least` bytes each, and of at most `limit`. */
static hg_status check_count(const cursor *c, const char *what, uint64_t count, uint64_t limit,
                             size_t least)
{
    if (count > limit)
        return hg_fail(c->error, HG_ERROR_LIMIT, "%s: %s: %llu, at most %llu are allowed",
                       c->file->path, what, (unsigned long long)count, (unsigned long long)limit);
    if (count <= (c->size - c->at) / least) return HG_OK;
    return hg_fail(c->error, HG_ERROR_FORMAT,
                   "%s: %s: %llu, but the %zu bytes that follow hold no more than %zu: the file is "
                   "cut short or damaged",
                   c->file->path, what, (unsigned long long)count, c->size - c->at,
                   (c->size - c->at) / least);
}

static hg_status read_values(cursor *c, uint64_t count)
{
    hg_gguf *file = c->file;
    hg_status status =
        check_count(c, "number of metadata entries", count, HG_LIMIT_GGUF_KEYS, 8 + 1 + 4 + 1);
    if (status) return status;
    file->value = hg_memory_alloc(&file->memory, (size_t)count + 1, sizeof *file->value);
    if (!file->value) return no_memory(c);
    for (uint32_t i = 0; i < count; i++) {
        status = read_value(c, i, &file->value[i]);
        if (status) return status;
    }
    file->values = (uint32_t)count;
    qsort(file->value, count, sizeof *file->value, by_key);
    for (uint32_t i = 1; i < count; i++)
        if (by_key(&file->value[i - 1], &file->value[i]) == 0)
            return hg_fail(c->error, HG_ERROR_FORMAT, "%s: key %s: stands there twice", file->path,
                           file->value[i].key);
    return HG_OK;
}

/* ---- tensors ---- */

/* Reads sizes and type; *bytes is what the tensor takes. */
static hg_status read_shape(cursor *c, hg_gguf_tensor *tensor, uint64_t *bytes)
{
    uint64_t elements = 1;
    hg_status status = take_u32(c, "number of dimensions", tensor->name, &tensor->dimensions);
    if (status) return status;
    if (tensor->dimensions == 0 || tensor->dimensions > 4)
        return hg_fail(c->error, HG_ERROR_FORMAT,
                       "%s: tensor %s: has %u dimensions, expected 1 to 4", c->file->path,
                       tensor->name, tensor->dimensions);
    for (uint32_t i = 0; i < tensor->dimensions; i++) {
        status = take_u64(c, "size of a dimension", tensor->name, &tensor->shape[i]);
        if (status) return status;
        if (tensor->shape[i] == 0 || __builtin_mul_overflow(elements, tensor->shape[i], &elements))
            return hg_fail(
                c->error, HG_ERROR_FORMAT,
                "%s: tensor %s: size %u of its shape is %llu, which makes no or too many "
                "elements",
                c->file->path, tensor->name, i, (unsigned long long)tensor->shape[i]);
    }
    status = take_u32(c, "its type", tensor->name, &tensor->type);
    if (status) return status;
    const hg_gguf_type *type = hg_gguf_type_find(tensor->type);
    if (!type)
        return hg_fail(c->error, HG_ERROR_UNSUPPORTED,
                       "%s: tensor %s: its type has number %u, which is none that is known",
                       c->file->path, tensor->name, tensor->type);
    if (tensor->shape[0] % type->block)
        return hg_fail(c->error, HG_ERROR_FORMAT,
                       "%s: tensor %s: rows of %llu elements are not whole blocks of %u of type %s",
                       c->file->path, tensor->name, (unsigned long long)tensor->shape[0],
                       type->block, type->name);
    if (elements / type->block > c->size / type->bytes)
        return hg_fail(c->error, HG_ERROR_FORMAT,
                       "%s: tensor %s: its %llu elements of type %s need more than the file's %zu "
                       "bytes: it is cut short or damaged",
                       c->file->path, tensor->name, (unsigned long long)elements, type->name,
                       c->size);
    *bytes = elements / type->block * type->bytes;
    return HG_OK;
}

/* The offset is kept in data until the data's begin is known. */
static hg_status read_tensor(cursor *c, uint32_t index, hg_gguf_tensor *tensor, uint64_t *offset)
{
    uint64_t bytes = 0;
    hg_status status = take_name(c, "tensor", index, &tensor->name);
    if (!status) status = read_shape(c, tensor, &bytes);
    if (!status) status = take_u64(c, "its offset", tensor->name, offset);
    if (status) return status;
    if (*offset % c->alignment)
        return hg_fail(c->error, HG_ERROR_FORMAT,
                       "%s: tensor %s: its offset %llu is not a multiple of the alignment %llu",
                       c->file->path, tensor->name, (unsigned long long)*offset,
                       (unsigned long long)c->alignment);
    tensor->bytes = (size_t)bytes;
    return HG_OK;
}

static int by_name(const void *left, const void *right)
{
    return strcmp(((const hg_gguf_tensor *)left)->name, ((const hg_gguf_tensor *)right)->name);
}

static int by_data(const void *left, const void *right)
{
    const hg_gguf_tensor *a = left, *b = right;
    return (a->data > b->data) - (a->data < b->data);
}

/* Sorted by place, then by name, which is the order in which they stay. */
static hg_status check_apart(const cursor *c)
{
    hg_gguf *file = c->file;
    qsort(file->tensor, file->tensors, sizeof *file->tensor, by_data);
    for (uint32_t i = 1; i < file->tensors; i++) {
        const hg_gguf_tensor *a = &file->tensor[i - 1], *b = &file->tensor[i];
        if ((size_t)(b->data - a->data) < a->bytes)
            return hg_fail(c->error, HG_ERROR_FORMAT, "%s: tensor %s: overlaps tensor %s",
                           file->path, a->name, b->name);
    }
    qsort(file->tensor, file->tensors, sizeof *file->tensor, by_name);
    for (uint32_t i = 1; i < file->tensors; i++)
        if (by_name(&file->tensor[i - 1], &file->tensor[i]) == 0)
            return hg_fail(c->error, HG_ERROR_FORMAT, "%s: tensor %s: stands there twice",
                           file->path, file->tensor[i].name);
    return HG_OK;
}

/* The data begins at the next multiple of the alignment behind the table. */
static hg_status place_tensors(cursor *c, const uint64_t *offset)
{
    hg_gguf *file = c->file;
    uint64_t begin = (c->at + c->alignment - 1) / c->alignment * c->alignment;
    for (uint32_t i = 0; i < file->tensors; i++) {
        hg_gguf_tensor *tensor = &file->tensor[i];
        if (begin > c->size || offset[i] > c->size - begin ||
            tensor->bytes > c->size - begin - offset[i])
            return hg_fail(c->error, HG_ERROR_FORMAT,
                           "%s: tensor %s: its %zu bytes at byte %llu of the data go over the "
                           "file's end at %zu: it is cut short or damaged",
                           file->path, tensor->name, tensor->bytes, (unsigned long long)offset[i],
                           c->size);
        tensor->data = c->bytes + begin + offset[i];
    }
    return check_apart(c);
}

static hg_status read_tensors(cursor *c, uint64_t count)
{
    hg_gguf *file = c->file;
    hg_status status =
        check_count(c, "number of tensors", count, HG_LIMIT_TENSORS, 8 + 1 + 4 + 8 + 4 + 8);
    if (status) return status;
    file->tensor = hg_memory_alloc(&file->memory, (size_t)count + 1, sizeof *file->tensor);
    uint64_t *offset = hg_memory_alloc(&file->memory, (size_t)count + 1, sizeof *offset);
    if (!file->tensor || !offset) return no_memory(c);
    for (uint32_t i = 0; i < count; i++) {
        status = read_tensor(c, i, &file->tensor[i], &offset[i]);
        if (status) return status;
    }
    file->tensors = (uint32_t)count;
    return place_tensors(c, offset);
}

/* ---- the file ---- */

static hg_status read_alignment(cursor *c)
{
    uint32_t alignment = 32;
    hg_status status = hg_gguf_u32(c->file, "general.alignment",
                                   (hg_gguf_range){.min = HG_GGUF_ALIGNMENT_LEAST, .max = 1 << 16},
                                   &alignment, c->error);
    if (!status && alignment & (alignment - 1))
        status = hg_fail(c->error, HG_ERROR_FORMAT,
                         "%s: key general.alignment: %u is not a power of two", c->file->path,
                         alignment);
    c->alignment = alignment;
    return status;
}

static hg_status read_file(cursor *c)
{
    const uint8_t *magic = NULL;
    uint32_t version = 0;
    uint64_t tensors = 0, values = 0;
    hg_status status = take(c, 4, "magic", "", &magic);
    if (!status && memcmp(magic, "GGUF", 4) != 0)
        status = hg_fail(c->error, HG_ERROR_FORMAT,
                         "%s: does not begin with GGUF: it is no GGUF "
                         "file",
                         c->file->path);
    if (!status) status = take_u32(c, "version", "", &version);
    if (!status && version != 2 && version != 3)
        status = hg_fail(c->error, HG_ERROR_UNSUPPORTED,
                         "%s: GGUF version %u%s, expected 2 or 3 in little endian", c->file->path,
                         version, version > 0xFFFF ? " (or big endian)" : "");
    if (!status) status = take_u64(c, "number of tensors", "", &tensors);
    if (!status) status = take_u64(c, "number of metadata entries", "", &values);
    if (!status) status = read_values(c, values);
    if (!status) status = read_alignment(c);
    return status ? status : read_tensors(c, tensors);
}

hg_status hg_gguf_parse(const uint8_t *bytes, size_t size, const char *path, hg_gguf *out,
                        hg_error *error)
{
    assert((uintptr_t)bytes % HG_GGUF_ALIGNMENT_LEAST == 0);
    *out = (hg_gguf){0};
    snprintf(out->path, sizeof out->path, "%s", path);
    cursor c = {.bytes = bytes, .size = size, .file = out, .error = error};
    hg_status status = read_file(&c);
    if (status) hg_gguf_close(out);
    return status;
}

hg_status hg_gguf_open(const char *path, hg_gguf *out, hg_error *error)
{
    hg_mapping mapping;
    *out = (hg_gguf){0};
    hg_status status = hg_file_map(path, &mapping, error);
    if (status) return status;
    status = hg_gguf_parse(mapping.data, mapping.size, path, out, error);
    if (status)
        hg_file_unmap(&mapping);
    else
        out->mapping = mapping;
    return status;
}

void hg_gguf_close(hg_gguf *file)
{
    hg_memory_free(&file->memory);
    if (file->mapping.data) hg_file_unmap(&file->mapping);
    *file = (hg_gguf){0};
}

bool hg_gguf_is(const char *path)
{
    char magic[4] = "";
    FILE *file = fopen(path, "rbe");
    bool is = file && fread(magic, 1, 4, file) == 4 && memcmp(magic, "GGUF", 4) == 0;
    if (file) fclose(file);
    return is;
}

/* ---- look-ups ---- */

const hg_gguf_value *hg_gguf_find(const hg_gguf *file, const char *key)
{
    const hg_gguf_value want = {.key = key};
    if (!file->values) return NULL;
    return bsearch(&want, file->value, file->values, sizeof want, by_key);
}

hg_gguf_tensor *hg_gguf_find_tensor(const hg_gguf *file, const char *name)
{
    const hg_gguf_tensor want = {.name = name};
    if (!file->tensors) return NULL;
    return bsearch(&want, file->tensor, file->tensors, sizeof want, by_name);
}

/* What a reader of one value takes. */
typedef struct want {
    bool (*fits)(const hg_gguf_value *value);
    const char *expected;
    bool required;
} want;

/* *out is NULL when the key is absent and need not be there. */
static hg_status find_value(const hg_gguf *file, const char *key, want wanted,
                            const hg_gguf_value **out, hg_error *error)
{
    const hg_gguf_value *value = hg_gguf_find(file, key);
    *out = value;
    if (!value && wanted.required)
        return hg_fail(error, HG_ERROR_FORMAT, "%s: key %s is missing, expected %s", file->path,
                       key, wanted.expected);
    if (!value || wanted.fits(value)) return HG_OK;
    return hg_fail(error, HG_ERROR_FORMAT, "%s: key %s: found %s%s, expected %s", file->path, key,
                   value->array ? "an array of " : "", kinds[value->kind].name, wanted.expected);
}

static bool is_integer(const hg_gguf_value *value)
{
    return !value->array && value->kind != HG_GGUF_STRING && value->kind != HG_GGUF_F32 &&
           value->kind != HG_GGUF_F64 && value->kind != HG_GGUF_BOOL;
}

static bool is_number(const hg_gguf_value *value)
{
    return is_integer(value) ||
           (!value->array && (value->kind == HG_GGUF_F32 || value->kind == HG_GGUF_F64));
}

static bool is_string(const hg_gguf_value *value)
{
    return !value->array && value->kind == HG_GGUF_STRING;
}

hg_status hg_gguf_u32(const hg_gguf *file, const char *key, hg_gguf_range range, uint32_t *out,
                      hg_error *error)
{
    const hg_gguf_value *value;
    hg_status status =
        find_value(file, key, (want){is_integer, "a whole number", range.required}, &value, error);
    if (status || !value) return status;
    int64_t number = hg_gguf_integer(value, 0);
    if (number < range.min || number > range.max)
        return hg_fail(error, HG_ERROR_LIMIT, "%s: key %s: found %lld, expected %u to %u",
                       file->path, key, (long long)number, range.min, range.max);
    *out = (uint32_t)number;
    return HG_OK;
}

hg_status hg_gguf_number(const hg_gguf *file, const char *key, bool required, double *out,
                         hg_error *error)
{
    const hg_gguf_value *value;
    hg_status status =
        find_value(file, key, (want){is_number, "a number", required}, &value, error);
    if (status || !value) return status;
    float single;
    if (value->kind == HG_GGUF_F64)
        memcpy(out, value->data, sizeof *out);
    else if (value->kind == HG_GGUF_F32)
        memcpy(&single, value->data, sizeof single), *out = (double)single;
    else
        *out = (double)hg_gguf_integer(value, 0);
    return HG_OK;
}

hg_status hg_gguf_string(const hg_gguf *file, const char *key, bool required, hg_gguf_text *out,
                         hg_error *error)
{
    const hg_gguf_value *value;
    hg_status status =
        find_value(file, key, (want){is_string, "a string", required}, &value, error);
    if (status || !value) return status;
    const uint8_t *at = value->data;
    *out = hg_gguf_next_text(&at);
    return HG_OK;
}

hg_status hg_gguf_array(const hg_gguf *file, const char *key, hg_gguf_kind kind, bool required,
                        const hg_gguf_value **out, hg_error *error)
{
    const hg_gguf_value *value = hg_gguf_find(file, key);
    *out = NULL;
    if (!value && !required) return HG_OK;
    if (!value || !value->array || value->kind != kind)
        return hg_fail(error, HG_ERROR_FORMAT, "%s: key %s: found %s%s, expected an array of %s",
                       file->path, key, value && value->array ? "an array of " : "",
                       value ? kinds[value->kind].name : "nothing", kinds[kind].name);
    *out = value;
    return HG_OK;
}

bool hg_gguf_text_is(hg_gguf_text text, const char *word)
{
    return text.length == strlen(word) && memcmp(text.text, word, text.length) == 0;
}

hg_gguf_text hg_gguf_next_text(const uint8_t **at)
{
    hg_gguf_text text;
    memcpy(&text.length, *at, sizeof text.length);
    text.text = (const char *)*at + sizeof text.length;
    *at += sizeof text.length + text.length;
    return text;
}

int64_t hg_gguf_integer(const hg_gguf_value *value, uint64_t i)
{
    const uint32_t bytes = kinds[value->kind].bytes;
    uint64_t raw = 0;
    assert(i < value->count && bytes > 0);
    memcpy(&raw, value->data + i * bytes, bytes); /* little endian */
    switch (value->kind) {
    case HG_GGUF_I8: return (int8_t)raw;
    case HG_GGUF_I16: return (int16_t)raw;
    case HG_GGUF_I32: return (int32_t)raw;
    case HG_GGUF_U64: return raw > INT64_MAX ? INT64_MAX : (int64_t)raw;
    default: return (int64_t)raw;
    }
}
