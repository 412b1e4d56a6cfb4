/* model_fixture.h: temporary folders and hand-made safetensors files for the tests of core/model.
 *
 * The writer here shares no code with the reader: it prints the header itself. Functions are static
 * inline because every test is a program of its own.
 */
#ifndef HG_TESTS_MODEL_FIXTURE_H
#define HG_TESTS_MODEL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/error.h"
#include "core/base/file.h"

#define TINY "tests/golden/models/int8-symmetric" /* a small model that tests may take apart */

/* The message must hold each of the texts: file, tensor or field, expectation. */
static inline void expect_message(const hg_error *error, const char *const *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strstr(error->message, text[i]))
            fail_msg("message \"%s\" lacks \"%s\"", error->message, text[i]);
}
#define EXPECT_MESSAGE(error, ...)                                                                 \
    expect_message(error, (const char *const[]){__VA_ARGS__},                                      \
                   sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

/* An empty folder; path [64]. */
static inline void folder_new(char *path)
{
    strcpy(path, "/tmp/hydraglot-test-XXXXXX");
    assert_non_null(mkdtemp(path));
}

static inline void folder_remove(const char *path)
{
    char name[512];
    struct dirent *entry;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while ((entry = readdir(folder))) {
        snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
        if (entry->d_name[0] != '.') unlink(name);
    }
    closedir(folder);
    assert_int_equal(rmdir(path), 0);
}

static inline void write_bytes(const char *folder, const char *name, const void *bytes, size_t size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

static inline void write_text(const char *folder, const char *name, const char *text)
{
    write_bytes(folder, name, text, strlen(text));
}

/* The whole of folder/name; free() it. */
static inline uint8_t *read_bytes(const char *folder, const char *name, size_t *size)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size + 1);
    assert_int_equal(fread(bytes, 1, *size, file), *size);
    bytes[*size] = 0;
    fclose(file);
    return bytes;
}

static inline void copy_file(const char *from, const char *to, const char *name)
{
    size_t size;
    uint8_t *bytes = read_bytes(from, name, &size);
    write_bytes(to, name, bytes, size);
    free(bytes);
}

/* Copies folder from's JSON file name with the field at path ("a.b") set to the JSON text value;
 * value NULL deletes it. */
static inline void copy_json(const char *from, const char *to, const char *name, const char *field,
                             const char *value)
{
    size_t size;
    char *bytes = (char *)read_bytes(from, name, &size), copy[256], *part = copy, *dot;
    json_t *root = json_loadb(bytes, size, 0, NULL), *at = root;
    assert_non_null(root);
    snprintf(copy, sizeof copy, "%s", field);
    for (; (dot = strchr(part, '.')); part = dot + 1) {
        *dot = 0;
        at = json_object_get(at, part);
        assert_non_null(at);
    }
    if (value)
        json_object_set_new(at, part, json_loads(value, JSON_DECODE_ANY, NULL));
    else
        json_object_del(at, part);
    char *text = json_dumps(root, 0);
    write_text(to, name, text);
    free(text);
    free(bytes);
    json_decref(root);
}

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
