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
    char name[HG_PATH_MAX + 260];
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
    char path[HG_PATH_MAX + 260];
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
    char path[HG_PATH_MAX + 260];
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

#endif
