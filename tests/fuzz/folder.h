/* folder.h: for targets that open a folder: a temporary one, and inputs that hold two files: a JSON
 * text, a byte 0, and the rest.
 */
#ifndef HG_TESTS_FUZZ_FOLDER_H
#define HG_TESTS_FUZZ_FOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"

static char fuzz_folder[64];

static inline void fuzz_write(const char *name, const void *bytes, size_t count)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", fuzz_folder, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, count, file) != count || fclose(file)) abort();
}

static inline void fuzz_folder_remove(void)
{
    hg_folder_remove(fuzz_folder);
}

/* Once. */
static inline void fuzz_make_folder(void)
{
    if (*fuzz_folder) return;
    /* In memory where there is such a folder: a disk's file system flushes each short file. */
    const bool memory = access("/dev/shm", W_OK) == 0;
    snprintf(fuzz_folder, sizeof fuzz_folder, "%s/hydraglot-fuzz-XXXXXX",
             memory ? "/dev/shm" : "/tmp");
    if (!mkdtemp(fuzz_folder)) abort();
    atexit(fuzz_folder_remove);
}

/* Writes what stands before the first byte 0 as json and what stands behind it as weights. */
static inline void fuzz_split(const uint8_t *data, size_t size, const char *json,
                              const char *weights)
{
    fuzz_make_folder();
    const uint8_t *end = size ? memchr(data, 0, size) : NULL;
    size_t text = end ? (size_t)(end - data) : size;
    fuzz_write(json, data, text);
    fuzz_write(weights, end ? end + 1 : data, end ? size - text - 1 : 0);
}

#endif
