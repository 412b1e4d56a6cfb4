/* json_out.h: writing JSON into a buffer, member by member.
 *
 * The order of members is the order of calls, numbers come out short ("3.9", never
 * "3.8999999999999999"), and nothing is allocated but by the buffer. A failure (no memory, over the
 * buffer's maximum) sticks: the caller writes on and asks once, at the end. Texts must be valid
 * UTF-8. Not thread-safe: a writer has one owner.
 */
#ifndef HG_SERVICE_JSON_OUT_H
#define HG_SERVICE_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buf.h"

typedef struct hg_json_out {
    hg_buf *out;      /* appended to */
    hg_status status; /* the first failure, or HG_OK */
    bool comma;       /* a value stands before this place */
} hg_json_out;

hg_json_out hg_json_out_new(hg_buf *out);

/* name is the member's name inside an object, NULL inside an array and at the top. */
void hg_json_begin_object(hg_json_out *json, const char *name);
void hg_json_end_object(hg_json_out *json);
void hg_json_begin_array(hg_json_out *json, const char *name);
void hg_json_end_array(hg_json_out *json);

/* A member's name alone; its value follows with name NULL. */
void hg_json_put_name(hg_json_out *json, const char *name);
void hg_json_put_text(hg_json_out *json, const char *name, const char *text);
void hg_json_put_integer(hg_json_out *json, const char *name, int64_t value);
/* With up to three digits after the point; 0 for what JSON has no number for. */
void hg_json_put_number(hg_json_out *json, const char *name, double value);
void hg_json_put_bool(hg_json_out *json, const char *name, bool value);
/* value is JSON already. */
void hg_json_put_raw(hg_json_out *json, const char *name, const char *value);

#endif
