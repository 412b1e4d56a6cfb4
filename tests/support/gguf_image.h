/* gguf_image.h: a GGUF file in memory, which tests change and cut. For tests only: what goes wrong
 * fails the test. Include <cmocka.h> before.
 */
#ifndef HG_TESTS_GGUF_IMAGE_H
#define HG_TESTS_GGUF_IMAGE_H

#include <stdlib.h>
#include <string.h>

#include "core/model/gguf.h"

typedef struct image {
    uint8_t *bytes; /* owned, aligned to 64 */
    size_t size;
} image;

static inline image image_read(const char *path)
{
    hg_mapping mapping;
    hg_error error;
    if (hg_file_map(path, &mapping, &error)) fail_msg("%s", error.message);
    image out = {aligned_alloc(64, (mapping.size + 63) / 64 * 64), mapping.size};
    assert_non_null(out.bytes);
    memcpy(out.bytes, mapping.data, mapping.size);
    hg_file_unmap(&mapping);
    return out;
}

/* Where the bytes of text stand, the first time. */
static inline uint8_t *image_find(image in, const char *text)
{
    uint8_t *at = memmem(in.bytes, in.size, text, strlen(text));
    if (!at) fail_msg("no %s in the file", text);
    return at;
}

/* Where the last tensor ends: what stands behind it may be cut off. */
static inline size_t image_end(image in)
{
    hg_gguf file;
    hg_error error;
    size_t end = 0;
    if (hg_gguf_parse(in.bytes, in.size, "x.gguf", &file, &error)) fail_msg("%s", error.message);
    for (uint32_t i = 0; i < file.tensors; i++) {
        size_t last = (size_t)(file.tensor[i].data - in.bytes) + file.tensor[i].bytes;
        if (last > end) end = last;
    }
    hg_gguf_close(&file);
    assert_true(end <= in.size && in.size - end < 32);
    return end;
}

#endif
