/* model_pieces.h: safetensors files as lists of tensors that tests change and write again. */
#ifndef HG_TESTS_MODEL_PIECES_H
#define HG_TESTS_MODEL_PIECES_H

#include "tests/unit/model_fixture.h"

/* A safetensors file as a list that tests change and write again. */
typedef struct piece {
    char name[128], type[16];
    int dimensions;
    long shape[3];
    uint8_t *data; /* [size] owned */
    size_t size;
} piece;

typedef struct pieces {
    piece piece[128];
    int count;
} pieces;

static inline void pieces_free(pieces *list)
{
    for (int i = 0; i < list->count; i++) free(list->piece[i].data);
    list->count = 0;
}

static inline piece *pieces_add(pieces *list, const char *name, const char *type, int dimensions,
                                const long *shape, size_t size)
{
    assert_true(list->count < 128);
    piece *p = &list->piece[list->count++];
    snprintf(p->name, sizeof p->name, "%s", name);
    snprintf(p->type, sizeof p->type, "%s", type);
    p->dimensions = dimensions;
    memcpy(p->shape, shape, (size_t)dimensions * sizeof *shape);
    p->size = size;
    p->data = calloc(1, size + 1);
    return p;
}

static inline piece *pieces_find(pieces *list, const char *name)
{
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->piece[i].name, name) == 0) return &list->piece[i];
    fail_msg("no piece %s", name);
    abort(); /* fail_msg does not come back */
}

static inline void pieces_load(pieces *list, const char *folder, const char *file)
{
    size_t size;
    uint8_t *bytes = read_bytes(folder, file, &size);
    uint64_t length;
    const char *name;
    json_t *entry;
    memcpy(&length, bytes, 8);
    json_t *header = json_loadb((char *)bytes + 8, length, 0, NULL);
    list->count = 0;
    json_object_foreach(header, name, entry)
    {
        long shape[3] = {0};
        size_t begin, end;
        json_t *sizes = json_object_get(entry, "shape"),
               *at = json_object_get(entry, "data_offsets");
        if (!sizes) continue;
        for (size_t i = 0; i < json_array_size(sizes); i++)
            shape[i] = (long)json_integer_value(json_array_get(sizes, i));
        begin = (size_t)json_integer_value(json_array_get(at, 0));
        end = (size_t)json_integer_value(json_array_get(at, 1));
        piece *p = pieces_add(list, name, json_string_value(json_object_get(entry, "dtype")),
                              (int)json_array_size(sizes), shape, end - begin);
        memcpy(p->data, bytes + 8 + length + begin, end - begin);
    }
    json_decref(header);
    free(bytes);
}

/* Writes the list; pad spaces are put behind the header, to shift the data. */
static inline void pieces_save(const pieces *list, const char *folder, const char *file, int pad)
{
    char *text = NULL;
    size_t length, offset = 0;
    FILE *out = open_memstream(&text, &length);
    fprintf(out, "{\"__metadata__\":{\"format\":\"pt\"}");
    for (int i = 0; i < list->count; i++) {
        const piece *p = &list->piece[i];
        fprintf(out, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", p->name, p->type);
        for (int d = 0; d < p->dimensions; d++) fprintf(out, d ? ",%ld" : "%ld", p->shape[d]);
        fprintf(out, "],\"data_offsets\":[%zu,%zu]}", offset, offset + p->size);
        offset += p->size;
    }
    fprintf(out, "}%*s", pad, "");
    fclose(out);
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, file);
    FILE *to = fopen(path, "wb");
    assert_non_null(to);
    uint64_t header = length;
    fwrite(&header, 8, 1, to);
    fwrite(text, 1, length, to);
    for (int i = 0; i < list->count; i++) fwrite(list->piece[i].data, 1, list->piece[i].size, to);
    assert_int_equal(fclose(to), 0);
    free(text);
}

#endif
