/* json.h: checked reading of JSON objects that came from outside.
 *
 * A getter checks presence, type and range in one call and fills the error with the file, the
 * field's whole path, what was found and what was expected. A field that is null counts as absent.
 * Values are borrowed from the document, which the caller keeps until it is done (jansson counts
 * references). Used by whoever reads config.json, adapter_config.json and plugin.json.
 */
#ifndef HG_MODEL_JSON_H
#define HG_MODEL_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "core/base/error.h"

/* One object of a document and where it stands, for messages. */
typedef struct hg_json {
    json_t *object;   /* borrowed */
    const char *file; /* borrowed; how messages call the document */
    char prefix[160]; /* path of the object with a final dot; "" for the root */
    hg_error *error;  /* borrowed; getters fill it */
} hg_json;

typedef enum hg_json_need { HG_JSON_REQUIRED, HG_JSON_OPTIONAL } hg_json_need;

/* Parses bytes [count], whose root must be an object. *out is the cursor on the root; the caller
 * frees the document with json_decref(out->object). out->object is NULL after a failure. */
hg_status hg_json_parse(const char *bytes, size_t count, const char *file, hg_json *out,
                        hg_error *error) HG_CHECKED;

/* The same from a file; path must outlive the cursor. */
hg_status hg_json_read(const char *path, hg_json *out, hg_error *error) HG_CHECKED;

/* Getters. A missing optional field is HG_OK and leaves *out as it was. */
hg_status hg_json_bool(const hg_json *at, const char *field, hg_json_need need,
                       bool *out) HG_CHECKED;
hg_status hg_json_u32(const hg_json *at, const char *field, hg_json_need need, uint32_t min,
                      uint32_t max, uint32_t *out) HG_CHECKED;
hg_status hg_json_number(const hg_json *at, const char *field, hg_json_need need,
                         double *out) HG_CHECKED;
/* *out is borrowed, up to max bytes long; a required one is not empty. */
hg_status hg_json_string(const hg_json *at, const char *field, hg_json_need need, size_t max,
                         const char **out) HG_CHECKED;
/* An optional object that is absent gives out->object NULL. */
hg_status hg_json_object(const hg_json *at, const char *field, hg_json_need need,
                         hg_json *out) HG_CHECKED;
/* A list of up to max entries, all of them non-empty strings or all of them integers 0 .. INT32_MAX
 * (checked). An optional one that is absent gives *out NULL. */
typedef enum hg_json_list { HG_JSON_STRINGS, HG_JSON_INTEGERS } hg_json_list;
hg_status hg_json_array(const hg_json *at, const char *field, hg_json_need need, hg_json_list of,
                        size_t max, json_t **out) HG_CHECKED;

/* The field, or NULL when it is absent or null. */
json_t *hg_json_get(const hg_json *at, const char *field);

/* True for null, false, "", [] and {}: what a writer leaves where an option is off. */
bool hg_json_is_off(const json_t *value);

/* "FILE: field PATH: found VALUE, MESSAGE". */
hg_status hg_json_fail(const hg_json *at, const char *field, hg_status status, const char *format,
                       ...) HG_PRINTF(4, 5);

#endif
