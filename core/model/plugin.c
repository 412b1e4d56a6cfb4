/* plugin.c: plugin.json field by field, and the digest of its folder. Strings stay in the JSON
 * document, which the plugin keeps.
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

struct hg_plugin_owned {
    json_t *root;    /* holds the plugin's strings */
    hg_buf training; /* text of training.json */
    const char *sources[HG_LIMIT_PLUGIN_SOURCES];
    const char *stop[HG_LIMIT_STOP_TOKENS];
};

/* Asked first: of another schema no other field means anything. */
static hg_status check_schema(const hg_json *at)
{
    const char *schema;
    hg_status status = hg_json_string(at, "schema", HG_JSON_REQUIRED, 64, &schema);
    if (!status && strcmp(schema, "hydraglot.plugin/1") != 0)
        status =
            hg_json_fail(at, "schema", HG_ERROR_UNSUPPORTED, "only \"hydraglot.plugin/1\" is read");
    return status;
}

/* Names become folder names, URL parts and metric labels. */
static hg_status read_name(const hg_json *at, hg_plugin *plugin)
{
    hg_status status =
        hg_json_string(at, "name", HG_JSON_REQUIRED, HG_LIMIT_PLUGIN_NAME - 1, &plugin->name);
    if (status) return status;
    size_t good = strspn(plugin->name, "abcdefghijklmnopqrstuvwxyz0123456789-_.");
    if (plugin->name[good] || plugin->name[0] == '.' || plugin->name[0] == '-')
        return hg_json_fail(at, "name", HG_ERROR_FORMAT,
                            "expected a-z, 0-9, \"-\", \"_\" and \".\", not beginning with \".\" "
                            "or \"-\"");
    return HG_OK;
}

/* Letters, digits and hyphens: whether the subtags mean something is core/text's question. */
static bool is_tag(const char *tag)
{
    size_t length = strspn(tag, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");
    return length > 0 && length < HG_LIMIT_TAG && !tag[length] && tag[0] != '-';
}

/* A language plugin has a language; a task has none. */
static hg_status read_kind(const hg_json *at, hg_plugin *plugin)
{
    const char *kind;
    hg_status status = hg_json_string(at, "kind", HG_JSON_REQUIRED, 64, &kind);
    if (status) return status;
    bool language = strcmp(kind, "language") == 0;
    if (!language && strcmp(kind, "task") != 0)
        return hg_json_fail(at, "kind", HG_ERROR_FORMAT, "expected \"language\" or \"task\"");
    plugin->kind = language ? HG_PLUGIN_LANGUAGE : HG_PLUGIN_TASK;
    if (!language && hg_json_get(at, "language"))
        return hg_json_fail(at, "language", HG_ERROR_FORMAT, "expected null for kind \"task\"");
    status = hg_json_string(at, "language", language ? HG_JSON_REQUIRED : HG_JSON_OPTIONAL,
                            HG_LIMIT_TAG - 1, &plugin->language);
    if (!status && language && !is_tag(plugin->language))
        status = hg_json_fail(at, "language", HG_ERROR_FORMAT, "expected a BCP-47 tag");
    return status;
}

/* sources and stop; a task may serve any source. */
static hg_status read_lists(const hg_json *at, hg_plugin *plugin)
{
    json_t *sources, *stop;
    struct hg_plugin_owned *owned = plugin->owned;
    assert(owned && plugin->sources == owned->sources);
    hg_status status = hg_json_array(at, "sources", HG_JSON_REQUIRED, HG_JSON_STRINGS,
                                     HG_LIMIT_PLUGIN_SOURCES, &sources);
    if (!status)
        status = hg_json_array(at, "stop", HG_JSON_REQUIRED, HG_JSON_STRINGS, HG_LIMIT_STOP_TOKENS,
                               &stop);
    if (status) return status;
    plugin->source_count = (uint32_t)json_array_size(sources);
    plugin->stop_count = (uint32_t)json_array_size(stop);
    for (uint32_t i = 0; i < plugin->source_count; i++) {
        owned->sources[i] = json_string_value(json_array_get(sources, i));
        if (!is_tag(owned->sources[i]))
            return hg_json_fail(at, "sources", HG_ERROR_FORMAT,
                                "whose entry \"%.64s\" is not a BCP-47 tag", owned->sources[i]);
    }
    for (uint32_t i = 0; i < plugin->stop_count; i++) {
        owned->stop[i] = json_string_value(json_array_get(stop, i));
        if (strlen(owned->stop[i]) > HG_LIMIT_TOKEN_BYTES)
            return hg_json_fail(at, "stop", HG_ERROR_LIMIT, "whose entry %u has more than %d bytes",
                                i, HG_LIMIT_TOKEN_BYTES);
    }
    if (plugin->kind == HG_PLUGIN_LANGUAGE && !plugin->source_count)
        return hg_json_fail(at, "sources", HG_ERROR_FORMAT, "expected at least one language");
    return HG_OK;
}

/* The base it was trained on. Whether it fits is decided by shapes; these are for the gate. */
static hg_status read_base(const hg_json *at, hg_plugin *plugin)
{
    hg_json base;
    hg_status status = hg_json_object(at, "base", HG_JSON_REQUIRED, &base);
    if (!status)
        status = hg_json_string(&base, "name", HG_JSON_REQUIRED, HG_LIMIT_PLUGIN_TEXT,
                                &plugin->base_name);
    if (!status)
        status = hg_json_string(&base, "fingerprint", HG_JSON_OPTIONAL, HG_LIMIT_PLUGIN_TEXT,
                                &plugin->base_fingerprint);
    const char *hex = plugin->base_fingerprint + strlen("sha256:");
    if (!status && *plugin->base_fingerprint &&
        (strncmp(plugin->base_fingerprint, "sha256:", strlen("sha256:")) != 0 ||
         strspn(hex, "0123456789abcdef") != HG_SHA256_HEX - 1 || hex[HG_SHA256_HEX - 1]))
        status = hg_json_fail(&base, "fingerprint", HG_ERROR_FORMAT,
                              "expected \"sha256:\" and 64 lower-case hex digits");
    return status;
}

/* "adapter": null says that the base speaks the language itself; absent, the plugin is an adapter.
 */
static hg_status read_adapter(const hg_json *at, hg_plugin *plugin)
{
    const json_t *adapter = json_object_get(at->object, "adapter");
    plugin->adapter = !adapter;
    if (!adapter || json_is_null(adapter)) return HG_OK;
    return hg_json_fail(at, "adapter", HG_ERROR_FORMAT,
                        "expected null, for a plugin that has no adapter, or no such field");
}

/* Texts with their bounds. An absent rules object leaves both rules empty. */
static hg_status read_texts(const hg_json *at, hg_plugin *plugin)
{
    hg_json rules;
    hg_status status = hg_json_object(at, "rules", HG_JSON_OPTIONAL, &rules);
    if (status) return status;
    const struct {
        const hg_json *in;
        const char *field;
        hg_json_need need;
        size_t max;
        const char **out;
    } texts[] = {
        {at, "title", HG_JSON_REQUIRED, HG_LIMIT_PLUGIN_TEXT, &plugin->title},
        {at, "template", HG_JSON_REQUIRED, HG_LIMIT_TEMPLATE, &plugin->template_text},
        {at, "licence", HG_JSON_OPTIONAL, HG_LIMIT_PLUGIN_TEXT, &plugin->licence},
        {at, "attribution", HG_JSON_OPTIONAL, HG_LIMIT_PLUGIN_TEXT, &plugin->attribution},
        {&rules, "before", HG_JSON_OPTIONAL, HG_LIMIT_RULES, &plugin->rules_before},
        {&rules, "after", HG_JSON_OPTIONAL, HG_LIMIT_RULES, &plugin->rules_after},
    };
    for (size_t i = 0; !status && i < sizeof texts / sizeof *texts; i++)
        status =
            hg_json_string(texts[i].in, texts[i].field, texts[i].need, texts[i].max, texts[i].out);
    if (!status && !strstr(plugin->template_text, "{source}") &&
        strpbrk(plugin->template_text, "{}<>| \n"))
        status = hg_json_fail(at, "template", HG_ERROR_FORMAT,
                              "expected {source} in it, or the name of a template");
    return status;
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
    *plugin = (hg_plugin){.name = "",
                          .title = "",
                          .language = "",
                          .base_name = "",
                          .base_fingerprint = "",
                          .template_text = "",
                          .rules_before = "",
                          .rules_after = "",
                          .licence = "",
                          .attribution = "",
                          .training = "",
                          .sources = owned->sources,
                          .stop = owned->stop,
                          .owned = owned};
    owned->training = hg_buf_new(HG_LIMIT_FILE_JSON);
    hg_status status = hg_json_parse(bytes, count, file, &at, error);
    owned->root = at.object;
    if (!status) status = check_schema(&at);
    if (!status) status = read_name(&at, plugin);
    if (!status) status = read_kind(&at, plugin);
    if (!status) status = read_lists(&at, plugin);
    if (!status) status = read_base(&at, plugin);
    if (!status) status = read_adapter(&at, plugin);
    if (!status) status = read_texts(&at, plugin);
    if (status)
        hg_plugin_close(plugin);
    else
        *out = plugin;
    return status;
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
