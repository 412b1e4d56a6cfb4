/* gguf.h: one GGUF file: header, metadata by key, table of tensors, data.
 *
 * Versions 2 and 3 in little endian, as https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 * has them. Every count, length and offset is checked against the file before it is used; tensors
 * lie aligned, inside the file and apart from each other. A file that breaks a rule is refused
 * whole, with the key's or tensor's name.
 */
#ifndef HG_MODEL_GGUF_H
#define HG_MODEL_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/limits.h"
#include "core/model/memory.h"

/* Kinds of metadata, by the number in the file. */
typedef enum hg_gguf_kind {
    HG_GGUF_U8,
    HG_GGUF_I8,
    HG_GGUF_U16,
    HG_GGUF_I16,
    HG_GGUF_U32,
    HG_GGUF_I32,
    HG_GGUF_F32,
    HG_GGUF_BOOL,
    HG_GGUF_STRING,
    HG_GGUF_ARRAY,
    HG_GGUF_U64,
    HG_GGUF_I64,
    HG_GGUF_F64,
    HG_GGUF_KINDS
} hg_gguf_kind;

typedef struct hg_gguf_value {
    const char *key;   /* owned by the file's memory */
    hg_gguf_kind kind; /* of an array: that of its elements, never ARRAY */
    bool array;
    uint64_t count;      /* elements; 1 without an array */
    const uint8_t *data; /* in the file, unaligned; a string is its length (8 bytes) and its text */
} hg_gguf_value;

/* Text in the file, not terminated. */
typedef struct hg_gguf_text {
    const char *text;
    uint64_t length;
} hg_gguf_text;

typedef struct hg_gguf_tensor {
    const char *name; /* owned by the file's memory */
    uint32_t type;    /* ggml's number: gguf_blocks.h */
    uint32_t dimensions;
    uint64_t shape[4];   /* [dimensions], innermost first, as in the file */
    const uint8_t *data; /* [bytes] in the file, aligned to HG_GGUF_ALIGNMENT_LEAST */
    size_t bytes;
    bool taken; /* a reader asked for it: what is left over at the end is refused */
} hg_gguf_tensor;

enum { HG_GGUF_ALIGNMENT_LEAST = 8 };

typedef struct hg_gguf {
    char path[HG_PATH_MAX]; /* for messages */
    hg_mapping mapping;     /* owned after open; nothing after parse */
    hg_memory memory;       /* names, tables, and what readers make of the tensors */
    hg_gguf_value *value;   /* [values] sorted by key */
    hg_gguf_tensor *tensor; /* [tensors] sorted by name */
    uint32_t values, tensors;
} hg_gguf;

/* Whether the file at path begins with GGUF's magic. */
bool hg_gguf_is(const char *path);

/* Maps and checks a file. *out is empty after a failure. */
hg_status hg_gguf_open(const char *path, hg_gguf *out, hg_error *error) HG_CHECKED;

/* The same for a file image in memory, which must stay and be aligned to 8; path is for messages.
 */
hg_status hg_gguf_parse(const uint8_t *bytes, size_t size, const char *path, hg_gguf *out,
                        hg_error *error) HG_CHECKED;
void hg_gguf_close(hg_gguf *file);

/* NULL when there is none of that name. */
const hg_gguf_value *hg_gguf_find(const hg_gguf *file, const char *key);
hg_gguf_tensor *hg_gguf_find_tensor(const hg_gguf *file, const char *name);

/* ---- values by key. Absent ones leave *out alone unless they are required; others of another kind
 * or out of range are errors that name the key ---- */

typedef struct hg_gguf_range {
    uint32_t min, max;
    bool required;
} hg_gguf_range;

hg_status hg_gguf_u32(const hg_gguf *file, const char *key, hg_gguf_range range, uint32_t *out,
                      hg_error *error) HG_CHECKED;
hg_status hg_gguf_number(const hg_gguf *file, const char *key, bool required, double *out,
                         hg_error *error) HG_CHECKED;
hg_status hg_gguf_string(const hg_gguf *file, const char *key, bool required, hg_gguf_text *out,
                         hg_error *error) HG_CHECKED;
/* An array of that kind. */
hg_status hg_gguf_array(const hg_gguf *file, const char *key, hg_gguf_kind kind, bool required,
                        const hg_gguf_value **out, hg_error *error) HG_CHECKED;

bool hg_gguf_text_is(hg_gguf_text text, const char *word);

/* The text at *at, which moves to the next one; for arrays of strings, checked before. */
hg_gguf_text hg_gguf_next_text(const uint8_t **at);
/* Element i of an array of whole numbers (or bools). */
int64_t hg_gguf_integer(const hg_gguf_value *value, uint64_t i);

#endif
