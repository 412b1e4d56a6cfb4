/* plugin.c: plugin.json as a struct, and the digest of its folder. Its fields are checked by the
 * table of plugin_fields.c; strings stay in the JSON document, which the plugin keeps.
 *
 * Unknown fields are ignored, so that plugin.json may grow; the schema's name changes when an old
 * reader would misunderstand a new file. Whether tags, template, stop tokens and rules make sense
 * together is for core/text and core/translate, who know the tokenizer and ICU.
 */
#include "core/model/plugin.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/buf.h"
#include "core/model/adapter.h"
#include "core/model/json.h"
#include "core/model/plugin_fields.h"

struct hg_plugin_owned {
    json_t *root;    /* holds the plugin's strings */
    hg_buf training; /* text of training.json */
    const char *sources[HG_LIMIT_PLUGIN_SOURCES];
    const char *stop[HG_LIMIT_STOP_TOKENS];
};

/* The first problem becomes the parser's error. */
static void keep_first(void *context, const hg_error *problem)
{
    hg_error *first = context;
    if (!first->status) *first = *problem;
}

/* A text of a checked document: "" where it has null or nothing. */
static const char *text_of(const json_t *object, const char *field)
{
    const char *text = json_string_value(json_object_get(object, field));
    return text ? text : "";
}

/* Views of a checked document's list. */
static uint32_t take_list(const json_t *root, const char *field, const char **out)
{
    const json_t *list = json_object_get(root, field);
    uint32_t count = (uint32_t)json_array_size(list);
    for (uint32_t i = 0; i < count; i++) out[i] = json_string_value(json_array_get(list, i));
    return count;
}

/* From a document whose fields are checked. */
static void take_fields(const json_t *root, hg_plugin *plugin)
{
    const json_t *base = json_object_get(root, "base"), *rules = json_object_get(root, "rules");
    struct hg_plugin_owned *owned = plugin->owned;
    *plugin = (hg_plugin){
        .kind = strcmp(text_of(root, "kind"), "task") == 0 ? HG_PLUGIN_TASK : HG_PLUGIN_LANGUAGE,
        .name = text_of(root, "name"),
        .title = text_of(root, "title"),
        .language = text_of(root, "language"),
        .sources = owned->sources,
        .source_count = take_list(root, "sources", owned->sources),
        .base_name = text_of(base, "name"),
        .base_fingerprint = text_of(base, "fingerprint"),
        .template_text = text_of(root, "template"),
        .stop = owned->stop,
        .stop_count = take_list(root, "stop", owned->stop),
        .rules_before = text_of(rules, "before"),
        .rules_after = text_of(rules, "after"),
        .licence = text_of(root, "licence"),
        .attribution = text_of(root, "attribution"),
        .adapter = !json_object_get(root, "adapter"), /* null says that there is none */
        .training = "",
        .owned = owned,
    };
}

static hg_status read_stand_in(const hg_json *at, const char *word, hg_stand_in *out)
{
    json_t *forms;
    hg_status status = hg_json_array(at, word, HG_JSON_REQUIRED, HG_JSON_STRINGS,
                                     HG_LIMIT_STAND_IN_FORMS - 1, &forms);
    if (status) return status;
    *out = (hg_stand_in){.word = word, .form = {word}, .forms = 1};
    if (!*word || strlen(word) > HG_LIMIT_STAND_IN)
        return hg_json_fail(at, word, HG_ERROR_FORMAT, "expected a word of 1 to %d bytes",
                            HG_LIMIT_STAND_IN);
    for (size_t i = 0; i < json_array_size(forms); i++) {
        const char *form = json_string_value(json_array_get(forms, i));
        if (strlen(form) > HG_LIMIT_STAND_IN)
            return hg_json_fail(at, word, HG_ERROR_LIMIT, "whose form %zu has more than %d bytes",
                                i, HG_LIMIT_STAND_IN);
        out->form[out->forms++] = form;
    }
    return HG_OK;
}

/* {"Tom": ["トム"], "Mary": ["メアリー"]}, in this order. */
static hg_status read_kind_of_stand_ins(const hg_json *stand_ins, const char *kind,
                                        hg_stand_in out[HG_LIMIT_STAND_INS], uint32_t *count)
{
    hg_json at;
    hg_status status = hg_json_object(stand_ins, kind, HG_JSON_OPTIONAL, &at);
    if (status || !at.object) return status;
    const char *word;
    json_t *forms;
    if (json_object_size(at.object) > HG_LIMIT_STAND_INS)
        return hg_json_fail(stand_ins, kind, HG_ERROR_LIMIT, "more than %d words",
                            HG_LIMIT_STAND_INS);
    json_object_foreach(at.object, word, forms)
    {
        status = read_stand_in(&at, word, &out[*count]);
        if (status) return status;
        ++*count;
    }
    return HG_OK;
}

static hg_status read_stand_ins(const hg_json *at, hg_plugin *plugin)
{
    hg_json stand_ins;
    hg_status status = hg_json_object(at, "stand_ins", HG_JSON_OPTIONAL, &stand_ins);
    if (status || !stand_ins.object) return status;
    status = read_kind_of_stand_ins(&stand_ins, "names", plugin->name_in, &plugin->name_ins);
    if (status) return status;
    return read_kind_of_stand_ins(&stand_ins, "numbers", plugin->number_in, &plugin->number_ins);
}

hg_status hg_plugin_parse(const char *bytes, size_t count, const char *file, hg_plugin **out,
                          hg_error *error)
{
    hg_json at;
    *out = NULL;
    hg_plugin *plugin = calloc(1, sizeof *plugin);
    struct hg_plugin_owned *owned = calloc(1, sizeof *owned);
    if (!plugin || !owned) {
        free(plugin);
        free(owned);
        return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", file);
    }
    plugin->owned = owned;
    owned->training = hg_buf_new(HG_LIMIT_FILE_JSON);
    hg_status status = hg_json_parse(bytes, count, file, &at, error);
    owned->root = at.object;
    if (!status) {
        hg_error first = {0};
        hg_plugin_fields_check(&at, keep_first, &first);
        status = first.status;
        if (status) hg_fail(error, status, "%s", first.message);
    }
    if (!status) take_fields(at.object, plugin);
    if (!status) status = read_stand_ins(&at, plugin);
    if (status)
        hg_plugin_close(plugin);
    else
        *out = plugin;
    return status;
}

void hg_plugin_check_fields(const char *bytes, size_t count, const char *file, hg_problem_sink sink,
                            void *context)
{
    hg_json at;
    hg_error error;
    if (hg_json_parse(bytes, count, file, &at, &error))
        sink(context, &error);
    else
        hg_plugin_fields_check(&at, sink, context);
    json_decref(at.object);
}

void hg_plugin_close(hg_plugin *plugin)
{
    if (!plugin) return;
    json_decref(plugin->owned->root);
    hg_buf_free(&plugin->owned->training);
    free(plugin->owned);
    free(plugin);
}

/* Filter of scandir: everything but the folder and its parent. */
static int skip_dots(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* strcmp, not strcoll: the digest must not depend on the locale. */
static int by_bytes(const struct dirent **left, const struct dirent **right)
{
    return strcmp((*left)->d_name, (*right)->d_name);
}

/* One line a file, as sha256sum prints it, in the byte order of the names; then the digest of the
 * lines: `LC_ALL=C sha256sum * | sha256sum` gives the same. */
static hg_status digest_folder(hg_plugin *plugin, hg_error *error)
{
    struct dirent **entry = NULL;
    hg_buf lines = hg_buf_new(HG_LIMIT_PLUGIN_FILES * 512);
    hg_status status = HG_OK;
    int count = scandir(plugin->folder, &entry, skip_dots, by_bytes);
    if (count < 0) return hg_fail(error, HG_ERROR_NOT_FOUND, "%s: no such folder", plugin->folder);
    if (count > HG_LIMIT_PLUGIN_FILES)
        status = hg_fail(error, HG_ERROR_LIMIT, "%s: %d files, more than the %d of a plugin",
                         plugin->folder, count, HG_LIMIT_PLUGIN_FILES);
    for (int i = 0; !status && i < count; i++) {
        char path[HG_PATH_MAX], hex[HG_SHA256_HEX];
        status = hg_path_join(path, sizeof path, plugin->folder, entry[i]->d_name, error);
        if (!status) status = hg_file_sha256(path, hex, error);
        if (!status && (status = hg_buf_printf(&lines, "%s  %s\n", hex, entry[i]->d_name)))
            hg_fail(error, status, "%s: no room for its digest", plugin->folder);
    }
    if (!status) status = hg_sha256(hg_buf_text(&lines), lines.length, plugin->digest, error);
    for (int i = 0; i < count; i++) free(entry[i]);
    free(entry);
    hg_buf_free(&lines);
    return status;
}

/* What stands beside plugin.json: the adapter's size, how it was trained. */
static hg_status read_companions(hg_plugin *plugin, hg_error *error)
{
    char path[HG_PATH_MAX];
    struct stat st;
    bool gguf;
    hg_status status = hg_adapter_file(plugin->folder, path, sizeof path, &gguf, error);
    if (status) return status;
    if (plugin->adapter && stat(path, &st) != 0)
        return hg_fail(error, HG_ERROR_NOT_FOUND,
                       "%s: no such file, and no " HG_ADAPTER_GGUF "; a plugin is one adapter",
                       path);
    if (plugin->adapter) plugin->bytes = (uint64_t)st.st_size;
    status = hg_path_join(path, sizeof path, plugin->folder, "training.json", error);
    if (status || !hg_file_exists(path)) return status;
    status = hg_file_read(path, &plugin->owned->training, error);
    plugin->training = hg_buf_text(&plugin->owned->training);
    return status;
}

hg_status hg_plugin_open(const char *folder, hg_plugin **out, hg_error *error)
{
    char path[HG_PATH_MAX];
    hg_buf text = hg_buf_new(HG_LIMIT_FILE_JSON);
    hg_plugin *plugin = NULL;
    *out = NULL;
    hg_status status = hg_path_join(path, sizeof path, folder, "plugin.json", error);
    if (!status) status = hg_file_read(path, &text, error);
    if (!status) status = hg_plugin_parse(hg_buf_text(&text), text.length, path, &plugin, error);
    hg_buf_free(&text);
    if (status) return status;
    assert(plugin);
    snprintf(plugin->folder, sizeof plugin->folder, "%s", folder);
    status = read_companions(plugin, error);
    if (!status) status = digest_folder(plugin, error);
    if (status)
        hg_plugin_close(plugin);
    else
        *out = plugin;
    return status;
}
