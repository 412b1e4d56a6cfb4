/* fields.h: the body of an HTTP request as named values, in whichever form it came.
 *
 * Pure: any thread.
 */
#ifndef HG_SERVICE_FIELDS_H
#define HG_SERVICE_FIELDS_H

#include <jansson.h>
#include <stddef.h>

#include "core/base/error.h"

/* Reads bytes [count] as its Content-Type says ("" counts as a form): application/json (an object),
 * application/x-www-form-urlencoded or multipart/form-data (strings; of two with one name the first
 * counts, CR LF becomes LF). *out is an object that the caller frees by json_decref; all text in it
 * is valid UTF-8 without NUL. HG_ERROR_FORMAT says what is wrong with the body,
 * HG_ERROR_UNSUPPORTED that nobody reads this type. */
hg_status hg_fields_read(const char *content_type, const char *bytes, size_t count, json_t **out,
                         hg_error *error) HG_CHECKED;

#endif
