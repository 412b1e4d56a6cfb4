/* asyncapi.c: the tables of messages, events, codes and close codes as an AsyncAPI 3.0 document.
 *
 * Payloads are JSON Schema (draft 7). They say what the tables say and no more: both sides ignore
 * members that they do not know, so no schema closes its object.
 */
#include "core/service/asyncapi.h"

#include <stdio.h>
#include <string.h>

#include "core/base/version.h"
#include "core/service/close.h"
#include "core/service/json_out.h"
#include "core/service/message_table.h"
#include "core/service/server.h"
#include "core/service/yaml.h"

/* ---- schemas of what clients send ---- */

static void put_type(hg_json_out *json, const char *type, bool nullable)
{
    if (!nullable) {
        hg_json_put_text(json, "type", type);
        return;
    }
    hg_json_begin_array(json, "type");
    hg_json_put_text(json, NULL, type);
    hg_json_put_text(json, NULL, "null");
    hg_json_end_array(json);
}

static void put_bounds(hg_json_out *json, const hg_field *f, const char *least, const char *most)
{
    char number[32];
    snprintf(number, sizeof number, "%.17g", f->low);
    hg_json_put_raw(json, least, number);
    snprintf(number, sizeof number, "%.17g", f->high);
    hg_json_put_raw(json, most, number);
}

static void put_fields(hg_json_out *json, const hg_field *fields);

/* null counts as absent where a field may be absent. */
static void put_field_type(hg_json_out *json, const hg_field *f)
{
    switch (f->kind) {
    case HG_FIELD_STRING:
        put_type(json, "string", !f->required);
        put_bounds(json, f, "minLength", "maxLength");
        return;
    case HG_FIELD_INTEGER:
    case HG_FIELD_NUMBER:
        put_type(json, f->kind == HG_FIELD_INTEGER ? "integer" : "number", !f->required);
        put_bounds(json, f, "minimum", "maximum");
        return;
    case HG_FIELD_BOOL: put_type(json, "boolean", !f->required); return;
    case HG_FIELD_TARGETS:
        put_type(json, "array", !f->required);
        put_bounds(json, f, "minItems", "maxItems");
        hg_json_begin_object(json, "items");
        hg_json_put_text(json, "type", "string");
        hg_json_put_integer(json, "minLength", 1);
        hg_json_put_integer(json, "maxLength", HG_TARGET_MAX);
        hg_json_end_object(json);
        return;
    case HG_FIELD_ANY: return;
    case HG_FIELD_OBJECT:
        put_type(json, "object", !f->required);
        put_fields(json, f->inner);
        return;
    case HG_FIELD_UNSERVED:
        hg_json_put_text(json, "description", "not served by this version: empty or absent");
        hg_json_put_integer(json, "maxItems", 0);
        hg_json_put_integer(json, "maxProperties", 0);
        hg_json_put_raw(json, "type", "[\"array\",\"object\",\"null\"]");
        return;
    }
}

/* To be called inside the array `required`. */
static void put_required_names(hg_json_out *json, const hg_field *fields)
{
    for (const hg_field *f = fields; f->name; f++)
        if (f->required) hg_json_put_text(json, NULL, f->name);
}

static void put_properties(hg_json_out *json, const hg_field *fields)
{
    for (const hg_field *f = fields; f->name; f++) {
        hg_json_begin_object(json, f->name);
        if (f->what) hg_json_put_text(json, "description", f->what);
        put_field_type(json, f);
        hg_json_end_object(json);
    }
}

/* `required` and `properties` of an object. */
static void put_fields(hg_json_out *json, const hg_field *fields)
{
    hg_json_begin_array(json, "required");
    put_required_names(json, fields);
    hg_json_end_array(json);
    hg_json_begin_object(json, "properties");
    put_properties(json, fields);
    hg_json_end_object(json);
}

/* ---- schemas of what the service sends ---- */

static bool always_there(hg_member_kind kind)
{
    switch (kind) {
    case HG_MEMBER_WORD:
    case HG_MEMBER_JSON:
    case HG_MEMBER_CODE:
    case HG_MEMBER_LONG_IF:
    case HG_MEMBER_COUNT_IF:
    case HG_MEMBER_PERCENT: return false;
    default: return true;
    }
}

static void put_members(hg_json_out *json, const hg_member *members);

static void put_text_type(hg_json_out *json, const hg_member *m)
{
    hg_json_put_text(json, "type", "string");
    if (!m->choices) return;
    hg_json_begin_array(json, "enum");
    for (const char *at = m->choices, *end; *at; at = *end ? end + 1 : end) {
        char word[32];
        end = at + strcspn(at, "|");
        snprintf(word, sizeof word, "%.*s", (int)(end - at), at);
        hg_json_put_text(json, NULL, word);
    }
    hg_json_end_array(json);
}

static void put_count_type(hg_json_out *json, int64_t least)
{
    hg_json_put_text(json, "type", "integer");
    hg_json_put_integer(json, "minimum", least);
}

static void put_array_type(hg_json_out *json, const hg_member *m)
{
    hg_json_put_text(json, "type", "array");
    hg_json_begin_object(json, "items");
    hg_json_put_text(json, "type", m->inner ? "object" : "string");
    if (m->inner) put_members(json, m->inner);
    hg_json_end_object(json);
}

static void put_member_type(hg_json_out *json, const hg_member *m)
{
    switch (m->kind) {
    case HG_MEMBER_TEXT:
    case HG_MEMBER_WORD:
    case HG_MEMBER_PLACE: put_text_type(json, m); return;
    case HG_MEMBER_TAGS:
    case HG_MEMBER_ARRAY: put_array_type(json, m); return;
    case HG_MEMBER_JSON: return;
    case HG_MEMBER_CODE: hg_json_put_text(json, "$ref", "#/components/schemas/code"); return;
    case HG_MEMBER_LONG:
    case HG_MEMBER_LONG_IF:
    case HG_MEMBER_COUNT: put_count_type(json, 0); return;
    case HG_MEMBER_COUNT_IF: put_count_type(json, 1); return;
    case HG_MEMBER_PERCENT:
        put_count_type(json, 0);
        hg_json_put_integer(json, "maximum", 100);
        return;
    case HG_MEMBER_NUMBER: hg_json_put_text(json, "type", "number"); return;
    case HG_MEMBER_BOOL: hg_json_put_text(json, "type", "boolean"); return;
    case HG_MEMBER_OBJECT:
        hg_json_put_text(json, "type", "object");
        put_members(json, m->inner);
        return;
    case HG_MEMBER_FIXED: hg_json_put_integer(json, "const", m->value); return;
    }
}

static void put_member_names(hg_json_out *json, const hg_member *members)
{
    for (const hg_member *m = members; m && m->name; m++)
        if (always_there(m->kind)) hg_json_put_text(json, NULL, m->name);
}

static void put_member_schemas(hg_json_out *json, const hg_member *members)
{
    for (const hg_member *m = members; m && m->name; m++) {
        hg_json_begin_object(json, m->name);
        if (m->what) hg_json_put_text(json, "description", m->what);
        put_member_type(json, m);
        hg_json_end_object(json);
    }
}

static void put_members(hg_json_out *json, const hg_member *members)
{
    hg_json_begin_array(json, "required");
    put_member_names(json, members);
    hg_json_end_array(json);
    hg_json_begin_object(json, "properties");
    put_member_schemas(json, members);
    hg_json_end_object(json);
}

/* ---- messages ---- */

static void put_type_const(hg_json_out *json, const char *type)
{
    hg_json_begin_object(json, "type");
    hg_json_put_text(json, "const", type);
    hg_json_end_object(json);
}

static void put_message_payload(hg_json_out *json, const hg_message_row *row)
{
    hg_json_begin_array(json, "required");
    hg_json_put_text(json, NULL, "type");
    put_required_names(json, row->fields);
    hg_json_end_array(json);
    hg_json_begin_object(json, "properties");
    put_type_const(json, row->type);
    put_properties(json, row->fields);
    hg_json_end_object(json);
}

static void put_event_payload(hg_json_out *json, const hg_message_row *row)
{
    hg_json_begin_array(json, "required");
    hg_json_put_text(json, NULL, "type");
    if (!row->unnumbered) hg_json_put_text(json, NULL, "seq");
    put_member_names(json, row->members);
    put_member_names(json, row->more);
    hg_json_end_array(json);
    hg_json_begin_object(json, "properties");
    put_type_const(json, row->type);
    if (!row->unnumbered) hg_json_put_raw(json, "seq", "{\"type\":\"integer\",\"minimum\":1}");
    put_member_schemas(json, row->members);
    put_member_schemas(json, row->more);
    hg_json_end_object(json);
}

static void put_message(hg_json_out *json, const hg_message_row *row)
{
    hg_json_begin_object(json, row->type);
    hg_json_put_text(json, "name", row->type);
    hg_json_put_text(json, "summary", row->what);
    hg_json_begin_object(json, "payload");
    hg_json_put_text(json, "type", "object");
    if (row->fields)
        put_message_payload(json, row);
    else
        put_event_payload(json, row);
    hg_json_end_object(json);
    hg_json_end_object(json);
}

typedef const hg_message_row *(*row_at)(size_t index);

static void put_reference(hg_json_out *json, const char *name, const char *room, const char *type)
{
    char path[96];
    snprintf(path, sizeof path, "#/%s/%s", room, type);
    hg_json_begin_object(json, name);
    hg_json_put_text(json, "$ref", path);
    hg_json_end_object(json);
}

static void put_operation(hg_json_out *json, const char *action, row_at rows, const char *summary)
{
    const hg_message_row *row;
    hg_json_begin_object(json, action);
    hg_json_put_text(json, "action", action);
    hg_json_put_text(json, "summary", summary);
    put_reference(json, "channel", "channels", "live");
    hg_json_begin_array(json, "messages");
    for (size_t i = 0; (row = rows(i)); i++)
        put_reference(json, NULL, "channels/live/messages", row->type);
    hg_json_end_array(json);
    hg_json_end_object(json);
}

/* ---- the document ---- */

static void put_info(hg_json_out *json)
{
    static const char what[] =
        "Simultaneous translation over a websocket. One JSON object a text frame; lengths of texts "
        "are code points; unknown members are ignored by both sides, unknown events by clients.";
    hg_json_put_text(json, "asyncapi", "3.0.0");
    hg_json_begin_object(json, "info");
    hg_json_put_text(json, "title", HG_SUBPROTOCOL);
    hg_json_put_text(json, "version", HG_VERSION);
    hg_json_put_text(json, "description", what);
    hg_json_end_object(json);
    hg_json_put_text(json, "defaultContentType", "application/json");
    hg_json_put_raw(json, "servers",
                    "{\"local\":{\"host\":\"127.0.0.1:8080\",\"protocol\":\"ws\"}}");
}

static void put_channel(hg_json_out *json)
{
    static const char bindings[] =
        "{\"ws\":{\"method\":\"GET\",\"headers\":{\"type\":\"object\",\"required\":["
        "\"Sec-WebSocket-Protocol\"],\"properties\":{\"Sec-WebSocket-Protocol\":{\"type\":"
        "\"string\",\"description\":\"" HG_SUBPROTOCOL
        "; a browser's token in a second entry, " HG_TOKEN_SUBPROTOCOL
        "TOKEN\"},\"Authorization\":{\"type\":\"string\",\"description\":"
        "\"Bearer TOKEN\"}}}}}";
    const hg_message_row *row;
    hg_json_begin_object(json, "channels");
    hg_json_begin_object(json, "live");
    hg_json_put_text(json, "address", HG_LIVE_PATH);
    hg_json_begin_object(json, "messages");
    for (size_t i = 0; (row = hg_message_row_at(i)); i++)
        put_reference(json, row->type, "components/messages", row->type);
    for (size_t i = 0; (row = hg_event_row_at(i)); i++)
        put_reference(json, row->type, "components/messages", row->type);
    hg_json_end_object(json);
    hg_json_put_raw(json, "bindings", bindings);
    hg_json_end_object(json);
    hg_json_end_object(json);
}

static void put_codes(hg_json_out *json)
{
    hg_json_begin_object(json, "code");
    hg_json_put_text(json, "type", "string");
    hg_json_begin_array(json, "enum");
#define CODE_NAME(name, retry, meaning) hg_json_put_text(json, NULL, #name);
    HG_CODES(CODE_NAME)
#undef CODE_NAME
    hg_json_end_array(json);
    hg_json_begin_object(json, "x-meanings");
#define CODE_MEANING(name, retry, meaning) hg_json_put_text(json, #name, meaning);
    HG_CODES(CODE_MEANING)
#undef CODE_MEANING
    hg_json_end_object(json);
    hg_json_end_object(json);
}

static void put_components(hg_json_out *json)
{
    const hg_message_row *row;
    hg_json_begin_object(json, "components");
    hg_json_begin_object(json, "messages");
    for (size_t i = 0; (row = hg_message_row_at(i)); i++) put_message(json, row);
    for (size_t i = 0; (row = hg_event_row_at(i)); i++) put_message(json, row);
    hg_json_end_object(json);
    hg_json_begin_object(json, "schemas");
    put_codes(json);
    hg_json_end_object(json);
    hg_json_end_object(json);
}

static void put_close(hg_json_out *json, int code, bool resume, const char *meaning)
{
    hg_json_begin_object(json, NULL);
    hg_json_put_integer(json, "code", code);
    hg_json_put_text(json, "meaning", meaning);
    hg_json_put_bool(json, "resume", resume);
    hg_json_end_object(json);
}

static void put_document(hg_json_out *json)
{
    hg_json_begin_object(json, NULL);
    put_info(json);
    put_channel(json);
    hg_json_begin_object(json, "operations");
    put_operation(json, "receive", hg_message_row_at, "what clients send");
    put_operation(json, "send", hg_event_row_at, "what the service sends");
    hg_json_end_object(json);
    put_components(json);
    hg_json_begin_array(json, "x-close-codes");
#define CLOSE(name, code, resume, meaning) put_close(json, code, resume, meaning);
    HG_CLOSES(CLOSE)
#undef CLOSE
    hg_json_end_array(json);
    hg_json_end_object(json);
}

hg_status hg_asyncapi_print(hg_buf *out, hg_error *error)
{
    json_error_t problem;
    hg_buf text = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    hg_json_out json = hg_json_out_new(&text);
    put_document(&json);
    json_t *document = json.status ? NULL : json_loadb(text.data, text.length, 0, &problem);
    hg_status status = document ? hg_yaml_print(document, out) : HG_ERROR_MEMORY;
    json_decref(document);
    hg_buf_free(&text);
    return status ? hg_fail(error, status, "the table of messages could not be printed") : HG_OK;
}
