/* message.c: frames to messages. The table below is all there is to know about what a client may
 * send; see message.h. */
#include "core/service/message_table.h"

#include <assert.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "core/text/utf8.h"

#define AT(member) offsetof(hg_message, member)

static const hg_field option_fields[] = {
    {"stream", HG_FIELD_BOOL, false, AT(stream), .what = "false: ends only"},
    {"reading", HG_FIELD_BOOL, false, AT(reading), .what = "in Latin letters, of what ends"},
    {"deadline_ms", HG_FIELD_INTEGER, false, AT(deadline_ms), 0, HG_LIMIT_DEADLINE_MS},
    {"temperature", HG_FIELD_NUMBER, false, AT(temperature), 0, HG_LIMIT_TEMPERATURE},
    {"top_p", HG_FIELD_NUMBER, false, AT(top_p), 1e-6, 1},
    {"seed", HG_FIELD_INTEGER, false, AT(seed), 0, HG_INTEGER_MAX},
    {"max_tokens", HG_FIELD_INTEGER, false, AT(max_tokens), 1, HG_LIMIT_TOKENS},
    {"glossary", HG_FIELD_UNSERVED},
    {0},
};

static const hg_field translate_fields[] = {
    {"id", HG_FIELD_STRING, true, AT(id), 1, HG_LIMIT_ID},
    {"rev", HG_FIELD_INTEGER, true, AT(rev), 0, HG_INTEGER_MAX,
     .what = "strictly rising within one id"},
    {"text", HG_FIELD_STRING, true, AT(text), 0, HG_LIMIT_TEXT, HG_CODE_text_too_long,
     .what = "the whole sentence so far"},
    {"targets", HG_FIELD_TARGETS, false, AT(targets), 1, HG_LIMIT_LANES, HG_CODE_too_many_targets,
     .what = "BCP-47 tags, or plugin:NAME; default: the session's"},
    {"source", HG_FIELD_STRING, false, AT(source), 1, HG_LIMIT_TAG - 1,
     .what = "a tag or auto; default: the session's"},
    {"final", HG_FIELD_BOOL, false, AT(final), .what = "nothing more will be typed"},
    {"context", HG_FIELD_UNSERVED},
    {"options", HG_FIELD_OBJECT, false, 0, .inner = option_fields},
    {0},
};

static const hg_field cancel_fields[] = {
    {"id", HG_FIELD_STRING, true, AT(id), 1, HG_LIMIT_ID},
    {0},
};

static const hg_field update_fields[] = {
    {"source", HG_FIELD_STRING, false, AT(source), 1, HG_LIMIT_TAG - 1},
    {"targets", HG_FIELD_TARGETS, false, AT(targets), 1, HG_LIMIT_LANES, HG_CODE_too_many_targets},
    {"glossary", HG_FIELD_UNSERVED},
    {0},
};

static const hg_field resume_fields[] = {
    {"session", HG_FIELD_STRING, true, AT(session), 1, HG_LIMIT_ID},
    {"key", HG_FIELD_STRING, true, AT(key), 1, HG_LIMIT_ID},
    {"last_seq", HG_FIELD_INTEGER, true, AT(last_seq), 0, HG_INTEGER_MAX},
    {0},
};

static const hg_field ping_fields[] = {
    {"t", HG_FIELD_ANY, false, AT(t), .what = "comes back in pong"},
    {0},
};

static const hg_message_row messages[] = {
    [HG_MESSAGE_TRANSLATE] = {"translate", "translate a sentence, or its next revision",
                              translate_fields},
    [HG_MESSAGE_CANCEL] = {"cancel", "end what runs of a sentence; silent when nothing does",
                           cancel_fields},
    [HG_MESSAGE_SESSION_UPDATE] = {"session.update", "set the defaults of what follows",
                                   update_fields},
    [HG_MESSAGE_RESUME] = {"resume",
                           "take over a lost session: the first message after session.ready",
                           resume_fields},
    [HG_MESSAGE_PING] = {"ping", "ask for a pong: browsers see no pings of the protocol",
                         ping_fields},
};

#define MESSAGES (sizeof messages / sizeof *messages)

const hg_message_row *hg_message_row_at(size_t index)
{
    return index < MESSAGES ? &messages[index] : NULL;
}

bool hg_message_refuse(hg_refusal *refusal, hg_code code, const char *format, ...)
{
    assert(code != HG_CODE_NONE);
    *refusal = (hg_refusal){.code = code};
    va_list args;
    va_start(args, format);
    vsnprintf(refusal->message, sizeof refusal->message, format, args);
    va_end(args);
    return false;
}

/* value is outside low .. high of its field; unit says of what. */
static bool refuse_bounds(const hg_field *f, double value, const char *unit, hg_refusal *refusal)
{
    hg_code code = value > f->high && f->over ? f->over : HG_CODE_bad_field;
    return hg_message_refuse(refusal, code, "%s has %.15g%s, expected %.15g to %.15g", f->name,
                             value, unit, f->low, f->high);
}

static bool read_string(const hg_field *f, const json_t *value, hg_message *out,
                        hg_refusal *refusal)
{
    if (!json_is_string(value))
        return hg_message_refuse(refusal, HG_CODE_bad_field, "%s must be a string", f->name);
    const char *text = json_string_value(value);
    size_t length = hg_utf8_length(text, json_string_length(value));
    if ((double)length < f->low || (double)length > f->high)
        return refuse_bounds(f, (double)length, " characters", refusal);
    *(const char **)((char *)out + f->offset) = text;
    return true;
}

static bool read_integer(const hg_field *f, const json_t *value, hg_message *out,
                         hg_refusal *refusal)
{
    if (!json_is_integer(value))
        return hg_message_refuse(refusal, HG_CODE_bad_field, "%s must be an integer", f->name);
    int64_t number = json_integer_value(value);
    if ((double)number < f->low || (double)number > f->high)
        return refuse_bounds(f, (double)number, "", refusal);
    *(int64_t *)((char *)out + f->offset) = number;
    return true;
}

static bool read_number(const hg_field *f, const json_t *value, hg_message *out,
                        hg_refusal *refusal)
{
    if (!json_is_number(value))
        return hg_message_refuse(refusal, HG_CODE_bad_field, "%s must be a number", f->name);
    double number = json_number_value(value);
    if (number < f->low || number > f->high) return refuse_bounds(f, number, "", refusal);
    *(double *)((char *)out + f->offset) = number;
    return true;
}

static bool read_bool(const hg_field *f, const json_t *value, hg_message *out, hg_refusal *refusal)
{
    if (!json_is_boolean(value))
        return hg_message_refuse(refusal, HG_CODE_bad_field, "%s must be true or false", f->name);
    *(bool *)((char *)out + f->offset) = json_is_true(value);
    return true;
}

static bool read_targets(const hg_field *f, const json_t *value, hg_message *out,
                         hg_refusal *refusal)
{
    if (!json_is_array(value))
        return hg_message_refuse(refusal, HG_CODE_bad_field, "%s must be an array of strings",
                                 f->name);
    size_t count = json_array_size(value);
    if ((double)count < f->low || (double)count > f->high)
        return refuse_bounds(f, (double)count, " entries", refusal);
    for (size_t i = 0; i < count; i++) {
        const json_t *entry = json_array_get(value, i);
        if (!json_is_string(entry))
            return hg_message_refuse(refusal, HG_CODE_bad_field, "%s[%zu] must be a string",
                                     f->name, i);
        size_t length = hg_utf8_length(json_string_value(entry), json_string_length(entry));
        if (length == 0 || length > HG_TARGET_MAX)
            return hg_message_refuse(refusal, HG_CODE_bad_field,
                                     "%s[%zu] has %zu characters, expected 1 to %d", f->name, i,
                                     length, HG_TARGET_MAX);
        out->target[i] = json_string_value(entry);
    }
    out->targets = (uint32_t)count;
    return true;
}

/* Only what asks for nothing may be there: an empty glossary is honoured by having none. */
static bool read_unserved(const hg_field *f, const json_t *value, hg_refusal *refusal)
{
    if (json_is_array(value) && json_array_size(value) == 0) return true;
    if (json_is_object(value) && json_object_size(value) == 0) return true;
    return hg_message_refuse(refusal, HG_CODE_bad_field, "%s is not served by this version",
                             f->name);
}

static bool read_fields(const hg_field *fields, const json_t *object, hg_message *out,
                        hg_refusal *refusal);

static bool read_field(const hg_field *f, json_t *value, hg_message *out, hg_refusal *refusal)
{
    switch (f->kind) {
    case HG_FIELD_STRING: return read_string(f, value, out, refusal);
    case HG_FIELD_INTEGER: return read_integer(f, value, out, refusal);
    case HG_FIELD_NUMBER: return read_number(f, value, out, refusal);
    case HG_FIELD_BOOL: return read_bool(f, value, out, refusal);
    case HG_FIELD_TARGETS: return read_targets(f, value, out, refusal);
    case HG_FIELD_ANY: *(json_t **)((char *)out + f->offset) = value; return true;
    case HG_FIELD_OBJECT:
        if (!json_is_object(value))
            return hg_message_refuse(refusal, HG_CODE_bad_field, "%s must be an object", f->name);
        return read_fields(f->inner, value, out, refusal);
    case HG_FIELD_UNSERVED: return read_unserved(f, value, refusal);
    }
    assert(!"a kind without reader");
    return false;
}

/* A member that is null counts as absent. Members that no row names are ignored. */
static bool read_fields(const hg_field *fields, const json_t *object, hg_message *out,
                        hg_refusal *refusal)
{
    for (const hg_field *f = fields; f->name; f++) {
        json_t *value = json_object_get(object, f->name);
        bool absent = !value || (json_is_null(value) && f->kind != HG_FIELD_ANY);
        if (absent && f->required)
            return hg_message_refuse(refusal, HG_CODE_bad_field, "%s is missing", f->name);
        if (!absent && !read_field(f, value, out, refusal)) return false;
    }
    return true;
}

/* A refusal must carry the id and rev it is about, so these are read before anything is judged. */
static void read_identity(const json_t *root, hg_message *out)
{
    hg_refusal ignored;
    const json_t *id = json_object_get(root, "id"), *rev = json_object_get(root, "rev");
    out->rev = -1;
    if (id && !read_string(&translate_fields[0], id, out, &ignored)) out->id = NULL;
    if (rev && !read_integer(&translate_fields[1], rev, out, &ignored)) out->rev = -1;
}

/* The parser of JSON recurses; brackets outside of strings say how deep it will get. */
static bool nested_too_deep(const char *bytes, size_t count)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < count; i++) {
        if (in_string) {
            if (bytes[i] == '\\')
                i++;
            else if (bytes[i] == '"')
                in_string = false;
        } else if (bytes[i] == '"') {
            in_string = true;
        } else if (bytes[i] == '[' || bytes[i] == '{') {
            if (++depth > HG_LIMIT_JSON_DEPTH) return true;
        } else if (bytes[i] == ']' || bytes[i] == '}') {
            depth--;
        }
    }
    return false;
}

static bool load_json(const char *bytes, size_t count, hg_message *out, hg_refusal *refusal)
{
    if (nested_too_deep(bytes, count))
        return hg_message_refuse(refusal, HG_CODE_bad_json, "nested deeper than %d",
                                 HG_LIMIT_JSON_DEPTH);
    json_error_t problem;
    out->root = json_loadb(bytes, count, JSON_REJECT_DUPLICATES, &problem);
    if (!out->root) {
        /* The parser quotes what it found, cut at any byte: that part is left out. */
        char *quote = strstr(problem.text, " near ");
        if (quote) *quote = '\0';
        if (strstr(problem.text, "uplicate"))
            snprintf(problem.text, sizeof problem.text, "a member stands twice");
        return hg_message_refuse(refusal, HG_CODE_bad_json, "not JSON at byte %d: %s",
                                 problem.position, problem.text);
    }
    if (!json_is_object(out->root))
        return hg_message_refuse(refusal, HG_CODE_bad_json, "the frame is not one JSON object");
    return true;
}

static bool find_type(hg_message *out, hg_refusal *refusal)
{
    const json_t *type = json_object_get(out->root, "type");
    if (!type) return hg_message_refuse(refusal, HG_CODE_bad_field, "type is missing");
    if (!json_is_string(type))
        return hg_message_refuse(refusal, HG_CODE_bad_field, "type must be a string");
    for (size_t i = 0; i < MESSAGES; i++) {
        if (strcmp(json_string_value(type), messages[i].type) != 0) continue;
        out->type = (hg_message_type)i;
        return true;
    }
    size_t used = 0;
    char known[128] = "";
    for (size_t i = 0; i < MESSAGES; i++)
        used += (size_t)snprintf(known + used, sizeof known - used, "%s%s", i ? ", " : "",
                                 messages[i].type);
    assert(used < sizeof known);
    return hg_message_refuse(refusal, HG_CODE_unknown_type, "type is none of %s", known);
}

bool hg_message_parse(const char *bytes, size_t count, hg_message *out, hg_refusal *refusal)
{
    *out = (hg_message){.rev = -1, .stream = true, .top_p = 1};
    if (!load_json(bytes, count, out, refusal)) return false;
    read_identity(out->root, out);
    if (!find_type(out, refusal)) return false;
    return read_fields(messages[out->type].fields, out->root, out, refusal);
}

void hg_message_free(hg_message *message)
{
    json_decref(message->root);
    message->root = NULL;
}
