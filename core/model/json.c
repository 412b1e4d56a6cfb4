/* json.c: getters over jansson. Each ends in hg_json_fail, the one place that words a message.
 *
 * jansson bounds nesting, refuses NUL inside strings, invalid UTF-8 and integers beyond 64 bits, so
 * what passes hg_json_parse is a tree of C strings and json_int_t. Duplicate keys are refused: two
 * readers could take different ones.
 */
#include "core/model/json.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/base/file.h"
#include "core/base/limits.h"

hg_status hg_json_parse(const char *bytes, size_t count, const char *file, hg_json *out,
                        hg_error *error)
{
    json_error_t why;
    *out = (hg_json){.file = file, .error = error};
    assert(bytes || !count);
    json_t *root = json_loadb(bytes, count, JSON_REJECT_DUPLICATES, &why);
    if (!root)
        return hg_fail(error, HG_ERROR_FORMAT, "%s: not JSON: line %d, column %d: %s", file,
                       why.line, why.column, why.text);
    if (!json_is_object(root)) {
        json_decref(root);
        return hg_fail(error, HG_ERROR_FORMAT, "%s: expected a JSON object", file);
    }
    out->object = root;
    return HG_OK;
}

hg_status hg_json_read(const char *path, hg_json *out, hg_error *error)
{
    hg_buf text = hg_buf_new(HG_LIMIT_FILE_JSON);
    *out = (hg_json){.file = path, .error = error};
    hg_status status = hg_file_read(path, &text, error);
    if (!status) status = hg_json_parse(hg_buf_text(&text), text.length, path, out, error);
    hg_buf_free(&text);
    return status;
}

/* A short picture of a value for messages; text [64]. */
static void show(const json_t *value, char *text)
{
    switch (value ? json_typeof(value) : JSON_NULL) {
    case JSON_STRING: {
        const char *s = json_string_value(value);
        snprintf(text, 64, strlen(s) > 40 ? "\"%.40s...\"" : "\"%s\"", s);
        break;
    }
    case JSON_INTEGER:
        snprintf(text, 64, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        break;
    case JSON_REAL: snprintf(text, 64, "%.9g", json_real_value(value)); break;
    case JSON_TRUE: snprintf(text, 64, "true"); break;
    case JSON_FALSE: snprintf(text, 64, "false"); break;
    case JSON_ARRAY: snprintf(text, 64, "a list of %zu", json_array_size(value)); break;
    case JSON_OBJECT: snprintf(text, 64, "an object"); break;
    case JSON_NULL: snprintf(text, 64, "nothing"); break;
    }
}

hg_status hg_json_fail(const hg_json *at, const char *field, hg_status status, const char *format,
                       ...)
{
    char message[HG_ERROR_MESSAGE_MAX], found[64];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    show(hg_json_get(at, field), found);
    return hg_fail(at->error, status, "%s: field %s%s: found %s, %s", at->file, at->prefix, field,
                   found, message);
}

json_t *hg_json_get(const hg_json *at, const char *field)
{
    json_t *value = json_object_get(at->object, field);
    return json_is_null(value) ? NULL : value;
}

bool hg_json_is_off(const json_t *value)
{
    if (!value || json_is_null(value) || json_is_false(value)) return true;
    if (json_is_string(value)) return json_string_length(value) == 0;
    if (json_is_array(value)) return json_array_size(value) == 0;
    return json_is_object(value) && json_object_size(value) == 0;
}

/* An absent field: fine when optional, an error that says what it should be otherwise. */
static hg_status absent(const hg_json *at, const char *field, hg_json_need need,
                        const char *expected)
{
    if (need == HG_JSON_OPTIONAL) return HG_OK;
    return hg_json_fail(at, field, HG_ERROR_FORMAT, "expected %s", expected);
}

/* JSON's own booleans only: 0, 1 and "true" are somebody's mistake. */
hg_status hg_json_bool(const hg_json *at, const char *field, hg_json_need need, bool *out)
{
    const json_t *value = hg_json_get(at, field);
    if (!value) return absent(at, field, need, "true or false");
    if (!json_is_boolean(value))
        return hg_json_fail(at, field, HG_ERROR_FORMAT, "expected true or false");
    *out = json_is_true(value);
    return HG_OK;
}

/* Values outside 32 bits are compared as 64-bit ones before they are narrowed. */
hg_status hg_json_u32(const hg_json *at, const char *field, hg_json_need need, uint32_t min,
                      uint32_t max, uint32_t *out)
{
    assert(min <= max);
    const json_t *value = hg_json_get(at, field);
    char expected[64];
    snprintf(expected, sizeof expected, "an integer %u to %u", min, max);
    if (!value) return absent(at, field, need, expected);
    json_int_t n = json_is_integer(value) ? json_integer_value(value) : -1;
    if (n < (json_int_t)min || n > (json_int_t)max)
        return hg_json_fail(at, field, HG_ERROR_FORMAT, "expected %s", expected);
    *out = (uint32_t)n;
    return HG_OK;
}

/* An integer is a number too; jansson cannot yield NaN, but 1e999 is infinite. */
hg_status hg_json_number(const hg_json *at, const char *field, hg_json_need need, double *out)
{
    const json_t *value = hg_json_get(at, field);
    if (!value) return absent(at, field, need, "a number");
    if (!json_is_number(value) || !isfinite(json_number_value(value)))
        return hg_json_fail(at, field, HG_ERROR_FORMAT, "expected a number");
    *out = json_number_value(value);
    return HG_OK;
}

/* Bytes, not characters, are counted: the bound is for memory. */
hg_status hg_json_string(const hg_json *at, const char *field, hg_json_need need, size_t max,
                         const char **out)
{
    const json_t *value = hg_json_get(at, field);
    if (!value) return absent(at, field, need, "a string");
    if (!json_is_string(value) || (need == HG_JSON_REQUIRED && !json_string_length(value)))
        return hg_json_fail(at, field, HG_ERROR_FORMAT, "expected a %sstring",
                            need == HG_JSON_REQUIRED ? "non-empty " : "");
    if (json_string_length(value) > max)
        return hg_json_fail(at, field, HG_ERROR_LIMIT, "%zu bytes, more than the %zu allowed",
                            json_string_length(value), max);
    *out = json_string_value(value);
    return HG_OK;
}

/* The new cursor carries the longer path, so that its messages name the field as a whole. */
hg_status hg_json_object(const hg_json *at, const char *field, hg_json_need need, hg_json *out)
{
    json_t *value = hg_json_get(at, field);
    *out = (hg_json){.file = at->file, .error = at->error};
    if (!value) return absent(at, field, need, "an object");
    if (!json_is_object(value))
        return hg_json_fail(at, field, HG_ERROR_FORMAT, "expected an object");
    int length = snprintf(out->prefix, sizeof out->prefix, "%s%s.", at->prefix, field);
    if (length >= (int)sizeof out->prefix)
        return hg_json_fail(at, field, HG_ERROR_LIMIT, "nested too deep, or its name is too long");
    out->object = value;
    return HG_OK;
}

/* Whether one entry of a list is of the kind that the whole list must be. */
static bool entry_is(const json_t *entry, hg_json_list of)
{
    if (of == HG_JSON_STRINGS) return json_is_string(entry) && json_string_length(entry) > 0;
    return json_is_integer(entry) && json_integer_value(entry) >= 0 &&
           json_integer_value(entry) <= INT32_MAX;
}

/* All entries are checked here, so that readers may index the list without asking again. */
hg_status hg_json_array(const hg_json *at, const char *field, hg_json_need need, hg_json_list of,
                        size_t max, json_t **out)
{
    const char *expected =
        of == HG_JSON_STRINGS ? "a list of non-empty strings" : "a list of integers from 0 on";
    json_t *value = hg_json_get(at, field);
    *out = NULL;
    if (!value) return absent(at, field, need, expected);
    if (!json_is_array(value))
        return hg_json_fail(at, field, HG_ERROR_FORMAT, "expected %s", expected);
    size_t count = json_array_size(value);
    if (count > max)
        return hg_json_fail(at, field, HG_ERROR_LIMIT, "more than the %zu entries allowed", max);
    for (size_t i = 0; i < count; i++)
        if (!entry_is(json_array_get(value, i), of))
            return hg_json_fail(at, field, HG_ERROR_FORMAT, "whose entry %zu is not that of %s", i,
                                expected);
    *out = value;
    return HG_OK;
}
