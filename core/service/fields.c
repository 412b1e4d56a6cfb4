/* fields.c: see fields.h. Forms after the URL standard (x-www-form-urlencoded parsing) and RFC 7578
 * (multipart/form-data, as clients write it: no encodings, no nesting). */
#include "core/service/fields.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/buf.h"
#include "core/base/limits.h"
#include "core/model/json.h"
#include "core/text/utf8.h"

#define WHAT "the body"

/* ---- one value ---- */

static bool printable_text(const char *bytes, size_t count)
{
    return hg_utf8_valid(bytes, count) == count && !memchr(bytes, '\0', count);
}

/* Line ends become LF in place; returns the new length. */
static size_t plain_line_ends(char *text, size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        if (text[i] != '\r' || i + 1 == count || text[i + 1] != '\n') text[used++] = text[i];
    return used;
}

/* value [count] may be changed. */
static hg_status put(json_t *fields, const char *name, char *value, size_t count, hg_error *error)
{
    if (!printable_text(name, strlen(name)) || !printable_text(value, count))
        return hg_fail(error, HG_ERROR_FORMAT, WHAT ": a field is not UTF-8 text");
    if (json_object_get(fields, name)) return HG_OK;
    if (json_object_size(fields) >= HG_LIMIT_HTTP_FIELDS)
        return hg_fail(error, HG_ERROR_LIMIT, WHAT ": more than %d fields", HG_LIMIT_HTTP_FIELDS);
    json_t *text = json_stringn(value, plain_line_ends(value, count));
    if (json_object_set_new(fields, name, text))
        return hg_fail(error, HG_ERROR_MEMORY, "no memory for " WHAT);
    return HG_OK;
}

/* ---- x-www-form-urlencoded ---- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Decodes in place; returns the new length. A % without two digits stands for itself. */
static size_t percent_decode(char *text, size_t count)
{
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        int high = text[i] == '%' && i + 2 < count ? hex_digit(text[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(text[i + 2]) : -1;
        if (low >= 0) {
            text[used++] = (char)(high << 4 | low);
            i += 2;
        } else {
            text[used++] = text[i] == '+' ? ' ' : text[i];
        }
    }
    text[used] = '\0';
    return used;
}

/* body is NUL-terminated and is changed. */
static hg_status read_form(char *body, size_t count, json_t *fields, hg_error *error)
{
    if (memchr(body, '\0', count)) return hg_fail(error, HG_ERROR_FORMAT, WHAT ": a NUL in a form");
    hg_status status = HG_OK;
    char *pair;
    while ((pair = strsep(&body, "&")) && !status) {
        if (!*pair) continue;
        char *value = strchr(pair, '=');
        size_t length = strlen(pair), name_length = value ? (size_t)(value - pair) : length;
        char *start = value ? value + 1 : pair + length;
        pair[name_length] = '\0';
        size_t bytes = percent_decode(start, length - (size_t)(start - pair));
        if (percent_decode(pair, name_length) != strlen(pair))
            return hg_fail(error, HG_ERROR_FORMAT, WHAT ": a NUL in a field's name");
        status = put(fields, pair, start, bytes, error);
    }
    return status;
}

/* ---- multipart/form-data ---- */

/* The value of a parameter such as boundary=x or name="x" into out [size]; "" and false without. */
static bool parameter(const char *header, const char *name, char *out, size_t size)
{
    size_t length = strlen(name);
    for (const char *at = header; (at = strchr(at, ';'));) {
        at += 1 + strspn(at + 1, " \t");
        if (strncasecmp(at, name, length) != 0 || at[length] != '=') continue;
        at += length + 1;
        bool quoted = *at == '"';
        at += quoted;
        size_t count = strcspn(at, quoted ? "\"" : "; \t\r\n");
        if (!count || count >= size) return false;
        memcpy(out, at, count);
        out[count] = '\0';
        return true;
    }
    return false;
}

/* The name in a part's headers, which a NUL ends. */
static bool part_name(const char *headers, char *out, size_t size)
{
    static const char wanted[] = "Content-Disposition:";
    for (const char *line = headers; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncasecmp(line, wanted, sizeof wanted - 1) == 0)
            return parameter(line, "name", out, size);
    }
    return false;
}

/* One part: headers, an empty line, the value. */
static hg_status read_part(char *part, size_t count, json_t *fields, hg_error *error)
{
    char name[HG_LIMIT_ID];
    char *blank = memmem(part, count, "\r\n\r\n", 4);
    if (!blank) return hg_fail(error, HG_ERROR_FORMAT, WHAT ": a part without headers");
    *blank = '\0';
    if (!part_name(part, name, sizeof name))
        return hg_fail(error, HG_ERROR_FORMAT, WHAT ": a part without a name");
    char *value = blank + 4;
    return put(fields, name, value, count - (size_t)(value - part), error);
}

static hg_status read_multipart(const char *content_type, char *body, size_t count, json_t *fields,
                                hg_error *error)
{
    char boundary[80] = "--"; /* RFC 2046: at most 70 characters */
    if (!parameter(content_type, "boundary", boundary + 2, sizeof boundary - 2))
        return hg_fail(error, HG_ERROR_FORMAT, "Content-Type: multipart without its boundary");
    size_t length = strlen(boundary);
    char *end = body + count, *at = memmem(body, count, boundary, length);
    hg_status status = HG_OK;
    while (at && !status) {
        char *start = at + length;
        if (end - start >= 2 && memcmp(start, "--", 2) == 0) return HG_OK;
        at = memmem(start, (size_t)(end - start), boundary, length);
        if (at && at - start >= 4 && memcmp(start, "\r\n", 2) == 0)
            status = read_part(start, (size_t)(at - start) - 2, fields, error);
        else if (at)
            return hg_fail(error, HG_ERROR_FORMAT, WHAT ": a boundary stands inside a line");
    }
    return status ? status : hg_fail(error, HG_ERROR_FORMAT, WHAT ": the last boundary is missing");
}

/* ---- any of them ---- */

/* Whether content_type is name, with or without parameters. */
static bool is_type(const char *content_type, const char *name)
{
    size_t length = strlen(name);
    char next = strncasecmp(content_type, name, length) == 0 ? content_type[length] : 'x';
    return !next || next == ';' || next == ' ' || next == '\t';
}

static hg_status read_json(const char *bytes, size_t count, json_t **out, hg_error *error)
{
    hg_json json;
    hg_status status = hg_json_parse(bytes, count, WHAT, &json, error);
    *out = json.object;
    if (!status) return HG_OK;
    /* The parser quotes what it found, cut at any byte: that part is left out. */
    char *quote = strstr(error->message, " near ");
    if (quote) *quote = '\0';
    return status;
}

hg_status hg_fields_read(const char *content_type, const char *bytes, size_t count, json_t **out,
                         hg_error *error)
{
    *out = NULL;
    if (is_type(content_type, "application/json")) return read_json(bytes, count, out, error);
    bool form = !*content_type || is_type(content_type, "application/x-www-form-urlencoded");
    if (!form && !is_type(content_type, "multipart/form-data"))
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "Content-Type: expected application/json, "
                       "application/x-www-form-urlencoded or multipart/form-data");
    hg_buf copy = hg_buf_new(HG_LIMIT_HTTP_BODY);
    json_t *fields = json_object();
    hg_status status = fields ? hg_buf_append(&copy, bytes, count) : HG_ERROR_MEMORY;
    if (status)
        hg_fail(error, status, "no memory for " WHAT);
    else if (form)
        status = read_form(copy.data, count, fields, error);
    else
        status = read_multipart(content_type, copy.data, count, fields, error);
    hg_buf_free(&copy);
    if (status)
        json_decref(fields);
    else
        *out = fields;
    return status;
}
