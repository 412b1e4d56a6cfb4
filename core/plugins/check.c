/* check.c: see check.h. The rules are those of who will read the files in service: core/model for
 * the files, core/translate for what plugin.json says. */
#include "core/plugins/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/model/adapter.h"
#include "core/model/json.h"
#include "core/model/lora_config.h"
#include "core/plugins/pairs.h"
#include "core/text/utf8.h"
#include "core/translate/entry.h"

/* What the parts share. */
typedef struct checking {
    const hg_intake_options *options;
    const char *folder;
    hg_notes *notes;
    hg_catalog_entry *entry; /* its plugin is NULL when plugin.json cannot be read */
} checking;

/* Notes a failed call as the plugin's fault, unless it is ours. */
static hg_status note(const checking *in, hg_status status, hg_error *error)
{
    if (status == HG_OK || status == HG_ERROR_MEMORY || status == HG_ERROR_IO) return status;
    hg_notes_problem(in->notes, error);
    return HG_OK;
}

/* One text that would be hard for the rules. */
static bool takes(hg_rules *rules, const char *text, size_t bytes)
{
    hg_buf out = hg_buf_new(HG_LIMIT_LANE_TEXT);
    hg_status status = hg_rules_apply(rules, text, bytes, &out);
    hg_buf_free(&out);
    return status != HG_ERROR_LIMIT;
}

/* Whether the character at at [width] stands before it in text. */
static bool was_tried(const char *text, const char *at, size_t width)
{
    for (const char *p = text; p < at; p += hg_utf8_width((uint8_t)*p))
        if (strncmp(p, at, width) == 0) return true;
    return false;
}

/* Rules run on every piece of every translation, so those are refused that take too long or let the
 * text grow without end on a whole sentence of any one character that they name. */
static void try_rules(const checking *in, hg_rules *rules, const char *source, const char *field)
{
    enum { TRIALS = 256 }; /* tables of a whole script name thousands */
    bool fine = true;
    int trials = 0;
    hg_buf text = hg_buf_new(4ul * HG_LIMIT_SENTENCE + 4);
    for (const char *at = source; rules && fine && *at; at += hg_utf8_width((uint8_t)*at)) {
        size_t width = hg_utf8_width((uint8_t)*at);
        if (was_tried(source, at, width)) continue;
        if (++trials > TRIALS) break;
        hg_buf_clear(&text);
        for (int i = 0; fine && i < HG_LIMIT_SENTENCE; i++) fine = !hg_buf_append(&text, at, width);
        fine = fine && takes(rules, hg_buf_text(&text), text.length);
    }
    if (rules && fine) fine = takes(rules, source, strlen(source));
    hg_buf_free(&text);
    if (!fine)
        hg_notes_add(
            in->notes, HG_NOTE_PROBLEM, HG_ERROR_LIMIT,
            "plugin.json: field rules.%s: they take too long, or let a text grow too much; "
            "make them simpler",
            field);
}

/* Language, template, stop tokens, rules: each by itself. */
static hg_status check_entry(const checking *in, bool *prompt, hg_error *error)
{
    const hg_intake_options *o = in->options;
    hg_status status = note(in, hg_entry_set_tags(in->entry, error), error);
    if (!status) {
        status = hg_entry_set_prompt(in->entry, o->model, o->tokenizer, error);
        *prompt = !status;
        if (status) hg_fail_within(error, "plugin.json");
        status = note(in, status, error);
    }
    if (status) return status;
    status = note(in, hg_entry_set_rules(in->entry, error), error);
    try_rules(in, in->entry->rules_before, in->entry->plugin->rules_before, "before");
    try_rules(in, in->entry->rules_after, in->entry->plugin->rules_after, "after");
    return status;
}

static void compare_base(const checking *in)
{
    const hg_plugin *plugin = in->entry->plugin;
    const hg_model *model = in->options->model;
    if (!*plugin->base_fingerprint ||
        strcmp(plugin->base_fingerprint, hg_model_fingerprint(model)) == 0)
        return;
    hg_notes_add(in->notes, HG_NOTE_WARNING, HG_OK,
                 "plugin.json: field base: it was made for %.100s (%s), here serves %s (%s): its "
                 "quality may differ",
                 plugin->base_name, plugin->base_fingerprint, model->name,
                 hg_model_fingerprint(model));
}

/* adapter_config.json, every field of it. Weights mean nothing without it. */
static hg_status check_config(const checking *in, bool *good, hg_error *error)
{
    char path[HG_PATH_MAX];
    hg_lora_config *config = NULL;
    const hg_lora_sink sink = {hg_notes_problem, in->notes};
    hg_buf text = hg_buf_new(HG_LIMIT_CARD);
    hg_status status = hg_path_join(path, sizeof path, in->folder, "adapter_config.json", error);
    *good = true;
    if (status || !hg_file_exists(path)) return status;
    status = hg_file_read(path, &text, error);
    *good = !status;
    if (!status)
        *good =
            !hg_lora_config_parse_all(hg_buf_text(&text), text.length, path, &sink, &config, error);
    hg_lora_config_free(config);
    hg_buf_free(&text);
    return note(in, status, error);
}

/* The weights against the base's shapes, value by value. */
static hg_status check_adapter(const checking *in, bool prompt, hg_error *error)
{
    bool good;
    hg_adapter *adapter = NULL;
    const hg_plugin *plugin = in->entry->plugin;
    if (plugin && !plugin->adapter) return HG_OK;
    hg_status checked = check_config(in, &good, error);
    if (checked || !good) return checked;
    hg_status status = hg_adapter_open_on(in->folder, in->options->model, &adapter, error);
    if (!status) {
        hg_entry_set_adapter(in->entry, adapter);
        if (prompt) {
            status = hg_entry_try_prompt(in->entry, in->options->tokenizer, error);
            if (status) hg_fail_within(error, "plugin.json: field template");
        }
    }
    hg_adapter_close(adapter);
    return note(in, status, error);
}

/* It goes into the database as it is. */
static hg_status check_training(const checking *in, hg_error *error)
{
    char path[HG_PATH_MAX];
    hg_json root;
    hg_status status = hg_path_join(path, sizeof path, in->folder, "training.json", error);
    if (status || !hg_file_exists(path)) return status;
    status = hg_json_read(path, &root, error);
    json_decref(root.object);
    return note(in, status, error);
}

static hg_status check_pairs(const checking *in, hg_error *error)
{
    hg_pairs pairs;
    hg_status status = hg_pairs_read(in->folder, &pairs, in->notes, error);
    if (!status && !pairs.count && !in->notes->kinds[HG_NOTE_PROBLEM])
        hg_notes_add(in->notes, HG_NOTE_WARNING, HG_OK,
                     "validation.tsv: there is none: nobody can tell how good it is");
    hg_pairs_free(&pairs);
    return status;
}

/* A tokenizer that came along is the one that it was trained with. */
static hg_status check_tokenizer(const checking *in, hg_error *error)
{
    char path[HG_PATH_MAX];
    hg_tokenizer *theirs = NULL;
    const hg_tokenizer *ours = in->options->tokenizer;
    hg_status status = hg_path_join(path, sizeof path, in->folder, "tokenizer.json", error);
    if (status || !hg_file_exists(path)) return status;
    status = hg_tokenizer_open(path, &theirs, error);
    if (status) return note(in, status, error);
    uint32_t count = hg_tokenizer_vocabulary(theirs), most = hg_tokenizer_vocabulary(ours);
    for (uint32_t i = 0; i < count && i < most; i++) {
        size_t a, b;
        const char *left = hg_tokenizer_bytes(theirs, (int32_t)i, &a);
        const char *right = hg_tokenizer_bytes(ours, (int32_t)i, &b);
        if (a == b && (!a || memcmp(left, right, a) == 0)) continue;
        hg_notes_add(in->notes, HG_NOTE_PROBLEM, HG_ERROR_FORMAT,
                     "tokenizer.json: token %u is another than the base's: the adapter was trained "
                     "for another base model",
                     i);
        break;
    }
    if (count > most)
        hg_notes_add(in->notes, HG_NOTE_WARNING, HG_OK,
                     "tokenizer.json: has %u tokens, the base %u: those beyond are never used",
                     count, most);
    hg_tokenizer_close(theirs);
    return HG_OK;
}

/* plugin.json, every field of it; the plugin only where they are all good. */
static hg_status open_plugin(const checking *in, hg_error *error)
{
    char path[HG_PATH_MAX];
    hg_buf text = hg_buf_new(HG_LIMIT_CARD);
    uint32_t before = in->notes->kinds[HG_NOTE_PROBLEM];
    hg_status status = hg_path_join(path, sizeof path, in->folder, "plugin.json", error);
    if (!status) status = note(in, hg_file_read(path, &text, error), error);
    if (!status && text.length)
        hg_plugin_check_fields(hg_buf_text(&text), text.length, path, hg_notes_problem, in->notes);
    hg_buf_free(&text);
    if (status || in->notes->kinds[HG_NOTE_PROBLEM] > before) return status;
    return note(in, hg_plugin_open(in->folder, &in->entry->plugin, error), error);
}

hg_status hg_plugin_check(const hg_intake_options *options, const char *folder, hg_notes *notes,
                          hg_plugin **out, uint32_t *rank_max, hg_error *error)
{
    bool prompt = false;
    *out = NULL;
    *rank_max = 0;
    hg_catalog_entry *entry = calloc(1, sizeof *entry);
    if (!entry) return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", folder);
    entry->references = 1;
    const checking in = {.options = options, .folder = folder, .notes = notes, .entry = entry};
    hg_status status = open_plugin(&in, error);
    if (!status && entry->plugin) {
        status = check_entry(&in, &prompt, error);
        compare_base(&in);
    }
    if (!status) status = check_adapter(&in, prompt, error);
    if (!status) status = check_training(&in, error);
    if (!status) status = check_pairs(&in, error);
    if (!status) status = check_tokenizer(&in, error);
    *rank_max = entry->rank_max;
    *out = entry->plugin;
    entry->plugin = NULL;
    hg_catalog_entry_release(entry);
    return status;
}
