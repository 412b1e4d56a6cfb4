/* plugin_fields.c: see plugin_fields.h.
 *
 * Unknown fields are ignored, so that plugin.json may grow. Patterns are what both JSON Schema and
 * ICU read, and mean a whole text.
 */
#include "core/model/plugin_fields.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/limits.h"
#include "core/model/pattern.h"

typedef enum form { TEXT, LIST, OBJECT, NOTHING } form;

typedef struct field {
    const char *path; /* "base.name" */
    form form;
    bool required;
    size_t most;          /* bytes of a text, entries of a list */
    size_t entry_most;    /* bytes of a list's entry */
    const char *pattern;  /* of the text, or of each entry; NULL: any */
    const char *expected; /* what the pattern means */
    const char *what;
} field;

#define TAG_PATTERN "[A-Za-z0-9][A-Za-z0-9-]*"
#define TAG_MEANS   "expected a BCP-47 tag"

static const field table[] = {
    {"schema", TEXT, true, 64, 0, "hydraglot\\.plugin/1", "only \"hydraglot.plugin/1\" is read",
     "version of this form"},
    {"kind", TEXT, true, 64, 0, "language|task", "expected \"language\" or \"task\"",
     "language: translates into one; task: a step of a pipeline"},
    {"name", TEXT, true, HG_LIMIT_PLUGIN_NAME - 1, 0, "[a-z0-9_][a-z0-9_.-]*",
     "expected a-z, 0-9, \"-\", \"_\" and \".\", not beginning with \".\" or \"-\"",
     "becomes folder names, URL parts and metric labels"},
    {"title", TEXT, true, HG_LIMIT_PLUGIN_TEXT, 0, NULL, NULL, "for people"},
    {"language", TEXT, false, HG_LIMIT_TAG - 1, 0, TAG_PATTERN, TAG_MEANS,
     "BCP-47 tag of what it writes; null for a task"},
    {"sources", LIST, true, HG_LIMIT_PLUGIN_SOURCES, HG_LIMIT_TAG - 1, TAG_PATTERN, TAG_MEANS,
     "BCP-47 tags of what it reads"},
    {"base", OBJECT, true, 0, 0, NULL, NULL, "the model that it was trained on"},
    {"base.name", TEXT, true, HG_LIMIT_PLUGIN_TEXT, 0, NULL, NULL, "its name"},
    {"base.fingerprint", TEXT, false, HG_LIMIT_PLUGIN_TEXT, 0, "sha256:[0-9a-f]{64}",
     "expected \"sha256:\" and 64 lower-case hex digits", "of its weights, as `model info` says"},
    {"template", TEXT, true, HG_LIMIT_TEMPLATE, 0, NULL, NULL,
     "the prompt that it was trained with: a text with {source}, or the name of a template"},
    {"stop", LIST, true, HG_LIMIT_STOP_TOKENS, HG_LIMIT_TOKEN_BYTES, NULL, NULL,
     "special tokens that end an answer; empty: those of the base and of the template"},
    {"stand_ins", OBJECT, false, 0, 0, NULL, NULL,
     "words that the base copies, for what must come through untouched; each with its forms"},
    {"stand_ins.names", OBJECT, false, 0, 0, NULL, NULL, "for names, the best first"},
    {"stand_ins.numbers", OBJECT, false, 0, 0, NULL, NULL, "for numbers"},
    {"rules", OBJECT, false, 0, 0, NULL, NULL,
     "ICU transliteration rules, or names of shipped ones"},
    {"rules.before", TEXT, false, HG_LIMIT_RULES, 0, NULL, NULL, "for the source"},
    {"rules.after", TEXT, false, HG_LIMIT_RULES, 0, NULL, NULL, "for the translation"},
    {"licence", TEXT, false, HG_LIMIT_PLUGIN_TEXT, 0, NULL, NULL, "under which it may be used"},
    {"attribution", TEXT, false, HG_LIMIT_PLUGIN_TEXT, 0, NULL, NULL, "whom its users must name"},
    {"adapter", NOTHING, false, 0, 0, NULL,
     "expected null, for a plugin that has no adapter, or no such field",
     "null: the base speaks the language itself"},
};
#define FIELDS (sizeof table / sizeof *table)

/* ---- checking ---- */

static bool matches(const char *pattern, const char *text, const hg_json *at)
{
    hg_pattern *compiled;
    bool fine = false;
    const hg_pattern_source source = {"", pattern, "", at->file, "pattern"};
    if (hg_pattern_open(&source, &compiled, at->error)) return false;
    if (hg_pattern_matches(compiled, text, &fine, at->error)) fine = false;
    hg_pattern_close(compiled);
    return fine;
}

static hg_status check_text(const hg_json *at, const field *f, const char *name)
{
    const char *text = "";
    hg_status status =
        hg_json_string(at, name, f->required ? HG_JSON_REQUIRED : HG_JSON_OPTIONAL, f->most, &text);
    if (status || !*text || !f->pattern || matches(f->pattern, text, at)) return status;
    return hg_json_fail(at, name, HG_ERROR_FORMAT, "%s", f->expected);
}

static hg_status check_list(const hg_json *at, const field *f, const char *name)
{
    json_t *list;
    hg_status status = hg_json_array(at, name, f->required ? HG_JSON_REQUIRED : HG_JSON_OPTIONAL,
                                     HG_JSON_STRINGS, f->most, &list);
    for (size_t i = 0; !status && i < json_array_size(list); i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (strlen(text) > f->entry_most)
            status = hg_json_fail(at, name, HG_ERROR_LIMIT,
                                  "whose entry %zu has more than %zu bytes", i, f->entry_most);
        else if (f->pattern && !matches(f->pattern, text, at))
            status = hg_json_fail(at, name, HG_ERROR_FORMAT, "whose entry \"%.64s\": %s", text,
                                  f->expected);
    }
    return status;
}

/* One row. A field of an object that is not there is the object's matter. */
static hg_status check_field(const hg_json *root, const field *f)
{
    const char *dot = strchr(f->path, '.'), *name = dot ? dot + 1 : f->path;
    char parent[32] = "";
    hg_json inner, none;
    const hg_json *at = root;
    if (dot) {
        memcpy(parent, f->path, (size_t)(dot - f->path));
        if (!json_is_object(hg_json_get(root, parent))) return HG_OK;
        hg_status status = hg_json_object(root, parent, HG_JSON_REQUIRED, &inner);
        if (status) return status;
        at = &inner;
    }
    switch (f->form) {
    case TEXT: return check_text(at, f, name);
    case LIST: return check_list(at, f, name);
    case OBJECT:
        return hg_json_object(at, name, f->required ? HG_JSON_REQUIRED : HG_JSON_OPTIONAL, &none);
    case NOTHING: break;
    }
    return hg_json_get(at, name) ? hg_json_fail(at, name, HG_ERROR_FORMAT, "%s", f->expected)
                                 : HG_OK;
}

/* What no row says: which fields go with the kind, and what a template is. */
static hg_status check_language(const hg_json *at, bool task)
{
    if (!task && !hg_json_get(at, "language"))
        return hg_json_fail(at, "language", HG_ERROR_FORMAT, TAG_MEANS);
    if (task && hg_json_get(at, "language"))
        return hg_json_fail(at, "language", HG_ERROR_FORMAT, "expected null for kind \"task\"");
    return HG_OK;
}

static hg_status check_sources(const hg_json *at, bool task)
{
    const json_t *sources = hg_json_get(at, "sources");
    if (task || !json_is_array(sources) || json_array_size(sources)) return HG_OK;
    return hg_json_fail(at, "sources", HG_ERROR_FORMAT, "expected at least one language");
}

static hg_status check_template(const hg_json *at, bool task)
{
    (void)task;
    const char *text = json_string_value(hg_json_get(at, "template"));
    if (!text || strstr(text, "{source}") || !strpbrk(text, "{}<>| \n")) return HG_OK;
    return hg_json_fail(at, "template", HG_ERROR_FORMAT,
                        "expected {source} in it, or the name of a template");
}

void hg_plugin_fields_check(const hg_json *at, hg_problem_sink sink, void *context)
{
    static hg_status (*const more[])(const hg_json *, bool) = {check_language, check_sources,
                                                               check_template};
    hg_error error;
    hg_json own = *at;
    own.error = &error;
    const char *kind = json_string_value(hg_json_get(at, "kind"));
    for (size_t i = 0; i < FIELDS; i++) {
        if (!check_field(&own, &table[i])) continue;
        sink(context, &error);
        if (i == 0) return; /* of another schema no other field means anything */
    }
    for (size_t i = 0; i < sizeof more / sizeof *more; i++)
        if (more[i](&own, kind && strcmp(kind, "task") == 0)) sink(context, &error);
}

/* ---- printing ---- */

static json_t *text_schema(const field *f, size_t most)
{
    json_t *one = json_pack("{s:s, s:I}", "type", "string", "maxLength", (json_int_t)most);
    if (f->pattern) json_object_set_new(one, "pattern", json_sprintf("^(?:%s)$", f->pattern));
    return one;
}

/* The table counts bytes and JSON Schema characters: what it allows may still be too long. */
static json_t *field_schema(const field *f)
{
    json_t *one = NULL;
    switch (f->form) {
    case TEXT:
        one = text_schema(f, f->most);
        if (f->required) json_object_set_new(one, "minLength", json_integer(1));
        break;
    case LIST:
        one = json_pack("{s:s, s:I, s:o}", "type", "array", "maxItems", (json_int_t)f->most,
                        "items", text_schema(f, f->entry_most));
        json_object_set_new(json_object_get(one, "items"), "minLength", json_integer(1));
        break;
    case OBJECT:
        one = json_pack("{s:s, s:{}, s:[]}", "type", "object", "properties", "required");
        break;
    case NOTHING: one = json_pack("{s:s}", "type", "null"); break;
    }
    if (!f->required && f->form != NOTHING)
        json_object_set_new(one, "type", json_pack("[O, s]", json_object_get(one, "type"), "null"));
    json_object_set_new(one, "description", json_string(f->what));
    return one;
}

static void add_field(json_t *root, const field *f)
{
    const char *dot = strchr(f->path, '.'), *name = dot ? dot + 1 : f->path;
    json_t *at = root;
    if (dot) {
        char parent[32] = "";
        memcpy(parent, f->path, (size_t)(dot - f->path));
        at = json_object_get(json_object_get(root, "properties"), parent);
    }
    json_object_set_new(json_object_get(at, "properties"), name, field_schema(f));
    if (f->required) json_array_append_new(json_object_get(at, "required"), json_string(name));
}

/* What the functions above say beside the table. */
static json_t *conditions(void)
{
    static const char text[] =
        "[{\"if\": {\"properties\": {\"kind\": {\"const\": \"language\"}}},"
        "  \"then\": {\"required\": [\"language\"], \"properties\": {"
        "    \"language\": {\"type\": \"string\"}, \"sources\": {\"minItems\": 1}}},"
        "  \"else\": {\"properties\": {\"language\": {\"type\": \"null\"}}}},"
        " {\"properties\": {\"template\": {\"anyOf\": ["
        "    {\"pattern\": \"\\\\{source\\\\}\"}, {\"pattern\": \"^[^{}<>| \\\\n]+$\"}]}}}]";
    return json_loads(text, 0, NULL);
}

hg_status hg_plugin_schema_print(hg_buf *out)
{
    json_t *root = json_pack("{s:s, s:s, s:s, s:{}, s:[], s:o}", "$schema",
                             "https://json-schema.org/draft/2020-12/schema", "title",
                             "hydraglot.plugin/1: plugin.json", "type", "object", "properties",
                             "required", "allOf", conditions());
    for (size_t i = 0; root && i < FIELDS; i++) add_field(root, &table[i]);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    hg_status status = text ? hg_buf_printf(out, "%s\n", text) : HG_ERROR_MEMORY;
    free(text);
    json_decref(root);
    return status;
}
