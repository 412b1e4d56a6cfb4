/* plugin_add.c: `hydraglot plugin add | verify PATH`: a folder or an archive is checked against the
 * base; add keeps it in the data folder and records it, also beside a running service. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/cli.h"
#include "core/plugins/add.h"

/* What one run holds. */
typedef struct adding {
    const hg_settings *settings;
    hg_model *model;
    hg_tokenizer *tokenizer;
    hg_intake *intake;
    hg_plugin_record record;
} adding;

static void print_notes(const hg_notes *notes, FILE *out)
{
    static const char *const words[HG_NOTE_KINDS] = {"problem", "warning", "proposed"};
    for (uint32_t i = 0; i < notes->count; i++)
        fprintf(out, "%s: %s\n", words[notes->note[i].kind], notes->note[i].text);
}

/* {"verdict", "plugin": {...}, "problems", ...}; plugin is null when it was refused. */
static hg_status print_json(const adding *a)
{
    const hg_plugin *plugin = a->intake->plugin;
    json_t *report = hg_notes_json(&a->intake->notes);
    json_t *about =
        plugin ? json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:i}", "name", plugin->name, "language",
                           plugin->language, "digest", plugin->digest, "folder", plugin->folder,
                           "rank", (json_int_t)a->intake->rank_max, "bytes",
                           (json_int_t)plugin->bytes, "generation", (int)a->record.generation)
               : json_null();
    char *text = NULL;
    if (report && !json_object_set_new(report, "plugin", about)) text = json_dumps(report, 0);
    json_decref(report);
    if (text) printf("%s\n", text);
    free(text);
    return text ? HG_OK : HG_ERROR_MEMORY;
}

/* Problems go to standard error as a failed command's words do. */
static int print_report(const adding *a, const hg_error *error)
{
    const hg_intake *intake = a->intake;
    bool refused = intake && intake->notes.kinds[HG_NOTE_PROBLEM] > 0;
    if (!intake || (error->status && !refused)) return hg_cli_fail(error);
    if (a->settings->json) {
        bool printed = print_json(a) == HG_OK;
        return refused || !printed ? HG_EXIT_FAILURE : HG_EXIT_OK;
    }
    print_notes(&intake->notes, refused ? stderr : stdout);
    if (refused) {
        fprintf(stderr, "hydraglot: %s: refused: %u problem%s\n", a->settings->word[0],
                intake->notes.kinds[HG_NOTE_PROBLEM],
                intake->notes.kinds[HG_NOTE_PROBLEM] > 1 ? "s" : "");
        return HG_EXIT_FAILURE;
    }
    const hg_plugin *plugin = intake->plugin;
    printf("%s: good: %s%s%s, rank %u, %.1f MiB, sha256 %s\n", plugin->name,
           *plugin->language ? "language " : "a task", plugin->language,
           plugin->adapter ? "" : ", no adapter", intake->rank_max,
           (double)plugin->bytes / (1 << 20), plugin->digest);
    if (a->record.generation)
        printf("%s: recorded as generation %u, %senabled\n", plugin->name, a->record.generation,
               a->record.enabled ? "" : "not ");
    return HG_EXIT_OK;
}

/* The base, and what the person said. */
static hg_status take_in(adding *a, bool keep, hg_error *error)
{
    const hg_settings *s = a->settings;
    if (!s->words)
        return hg_fail(error, HG_ERROR_ARGUMENT, "which plugin? give its folder or archive");
    hg_status status = hg_model_open(s->model, &a->model, error);
    if (!status) status = hg_model_tokenizer(a->model, &a->tokenizer, error);
    if (status) return status;
    const hg_intake_options options = {
        .path = s->word[0],
        .data_path = s->data,
        .keep = keep,
        .words = {s->name, s->language, s->template, s->sources},
        .model = a->model,
        .tokenizer = a->tokenizer,
    };
    return hg_plugin_intake(&options, &a->intake, error);
}

static hg_status record(adding *a, hg_error *error)
{
    hg_store *store = NULL;
    hg_tag tag = {.text = ""};
    assert(a->intake && a->intake->plugin);
    const hg_plugin *plugin = a->intake->plugin;
    hg_status status = *plugin->language ? hg_tag_parse(plugin->language, &tag, error) : HG_OK;
    json_t *list = json_array();
    for (uint32_t i = 0; i < plugin->source_count; i++)
        json_array_append_new(list, json_string(plugin->sources[i]));
    char *sources = json_dumps(list, JSON_COMPACT);
    json_decref(list);
    if (!sources && !status) status = hg_fail(error, HG_ERROR_MEMORY, "no memory for its sources");
    a->record = (hg_plugin_record){
        .name = plugin->name,
        .title = plugin->title,
        .kind = plugin->kind == HG_PLUGIN_LANGUAGE ? "language" : "task",
        .language = tag.text,
        .digest = plugin->digest,
        .sources = sources,
        .licence = plugin->licence,
        .state = "unproven",
        .folder = plugin->folder,
        .rank_max = a->intake->rank_max,
        .bytes = plugin->bytes,
    };
    if (!status) status = hg_cli_open_store(a->settings->data, &store, error);
    if (!status) status = hg_store_put_plugin(store, &a->record, error);
    if (!status)
        status = hg_store_audit(store, "command line", "plugin.add", plugin->name, plugin->digest,
                                error);
    hg_store_close(store);
    free(sources);
    return status;
}

static int run(const hg_settings *settings, bool keep)
{
    hg_error error = {0};
    adding a = {.settings = settings};
    hg_status status = take_in(&a, keep, &error);
    if (!status && keep) status = record(&a, &error);
    error.status = status;
    int code = print_report(&a, &error);
    hg_intake_free(a.intake);
    hg_tokenizer_close(a.tokenizer);
    hg_model_close(a.model);
    return code;
}

int hg_command_plugin_add(const hg_settings *settings)
{
    return run(settings, true);
}

int hg_command_plugin_verify(const hg_settings *settings)
{
    return run(settings, false);
}
