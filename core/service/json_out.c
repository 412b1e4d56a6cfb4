/* json_out.c: see json_out.h. */
#include "core/service/json_out.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

hg_json_out hg_json_out_new(hg_buf *out)
{
    return (hg_json_out){.out = out};
}

static void put(hg_json_out *json, const char *bytes, size_t count)
{
    if (!json->status) json->status = hg_buf_append(json->out, bytes, count);
}

/* The escape of c, or NULL when it stands for itself. */
static const char *escape(unsigned char c, char *room, size_t size)
{
    switch (c) {
    case '"': return "\\\"";
    case '\\': return "\\\\";
    case '\n': return "\\n";
    case '\r': return "\\r";
    case '\t': return "\\t";
    default:
        if (c >= 0x20) return NULL;
        snprintf(room, size, "\\u%04x", c);
        return room;
    }
}

static void put_string(hg_json_out *json, const char *text)
{
    char room[8];
    put(json, "\"", 1);
    const char *start = text, *at = text;
    for (; *at; at++) {
        const char *escaped = escape((unsigned char)*at, room, sizeof room);
        if (!escaped) continue;
        put(json, start, (size_t)(at - start));
        put(json, escaped, strlen(escaped));
        start = at + 1;
    }
    put(json, start, (size_t)(at - start));
    put(json, "\"", 1);
}

/* The comma and the name that stand before a value. */
static void put_name(hg_json_out *json, const char *name)
{
    if (json->comma) put(json, ",", 1);
    json->comma = true;
    if (!name) return;
    put_string(json, name);
    put(json, ":", 1);
}

static void begin(hg_json_out *json, const char *name, const char *bracket)
{
    put_name(json, name);
    put(json, bracket, 1);
    json->comma = false;
}

static void end(hg_json_out *json, const char *bracket)
{
    put(json, bracket, 1);
    json->comma = true;
}

void hg_json_begin_object(hg_json_out *json, const char *name)
{
    begin(json, name, "{");
}

void hg_json_end_object(hg_json_out *json)
{
    end(json, "}");
}

void hg_json_begin_array(hg_json_out *json, const char *name)
{
    begin(json, name, "[");
}

void hg_json_end_array(hg_json_out *json)
{
    end(json, "]");
}

void hg_json_put_name(hg_json_out *json, const char *name)
{
    put_name(json, name);
    json->comma = false;
}

void hg_json_put_text(hg_json_out *json, const char *name, const char *text)
{
    assert(text);
    put_name(json, name);
    put_string(json, text);
}

void hg_json_put_integer(hg_json_out *json, const char *name, int64_t value)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%" PRId64, value);
    hg_json_put_raw(json, name, digits);
}

void hg_json_put_number(hg_json_out *json, const char *name, double value)
{
    char digits[40];
    if (!isfinite(value) || fabs(value) > 1e15) value = 0;
    int count = snprintf(digits, sizeof digits, "%.3f", value);
    assert(count > 4 && count < (int)sizeof digits);
    while (digits[count - 1] == '0') count--;
    if (digits[count - 1] == '.') count--;
    digits[count] = '\0';
    hg_json_put_raw(json, name, strcmp(digits, "-0") == 0 ? "0" : digits);
}

void hg_json_put_bool(hg_json_out *json, const char *name, bool value)
{
    hg_json_put_raw(json, name, value ? "true" : "false");
}

void hg_json_put_raw(hg_json_out *json, const char *name, const char *value)
{
    put_name(json, name);
    put(json, value, strlen(value));
}
