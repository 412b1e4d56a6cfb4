/* plugin_add.c: `hydraglot plugin add | verify PATH`: a folder or an archive is checked against the
 * base; add keeps it in the data folder and records it, also beside a running service. With --gate
 * its validation pairs are translated, on a runtime of its own. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cli/cli.h"
#include "core/plugins/add.h"
#include "core/plugins/gate.h"
#include "db/plugins.h"

/* What one run holds. */
typedef struct adding {
    const hg_settings *settings;
    hg_model *model;
    hg_tokenizer *tokenizer;
    hg_intake *intake;
    hg_plugin_record record;
    char verdict[16];
    json_t *gate; /* its report, or NULL */
    bool waits;   /* the recorded generation has no verdict yet */
    bool failed;  /* no memory */
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
    json_t *gate = a->gate ? json_incref(a->gate) : json_null();
    if (report && !json_object_set_new(report, "plugin", about) &&
        !json_object_set_new(report, "gate", gate))
        text = json_dumps(report, 0);
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

/* ---- the gate ---- */

static void show_progress(uint32_t done, uint32_t total)
{
    if (!isatty(STDERR_FILENO)) return;
    fprintf(stderr, "\r%u of %u pairs%s", done, total, done == total ? "\n" : "");
}

static hg_status run_gate(adding *a, hg_runtime *runtime, const hg_pairs *pairs, hg_error *error)
{
    char target[HG_LIMIT_PLUGIN_NAME + 16];
    hg_gate *gate;
    const hg_plugin *plugin = a->intake->plugin;
    snprintf(target, sizeof target, "plugin:%s", plugin->name);
    const hg_gate_options options = {
        .target = target,
        .source = plugin->source_count ? plugin->sources[0] : "auto",
        .language = plugin->language,
        .pairs = pairs,
        .bar = {(uint32_t)a->settings->gate_chrf, (uint32_t)a->settings->gate_faults},
    };
    hg_status status = hg_gate_start(runtime, &options, &gate, error);
    if (status) return status;
    while (!hg_gate_done(gate)) {
        hg_gate_step(gate);
        hg_translator_poll(runtime, 50);
        show_progress(hg_gate_progress(gate), pairs->count);
    }
    snprintf(a->verdict, sizeof a->verdict, "%s", hg_gate_verdict(gate));
    a->gate = hg_gate_report(gate);
    hg_gate_free(gate);
    return a->gate ? HG_OK : hg_fail(error, HG_ERROR_MEMORY, "no memory for a report");
}

/* The content alone on a runtime of its own: where it is kept, else the folder that was given. */
static hg_status judge(adding *a, hg_error *error)
{
    hg_pairs pairs = {0};
    hg_runtime *runtime = NULL;
    hg_notes notes = {0};
    hg_runtime_options options = hg_cli_runtime_options(a->settings, false);
    assert(a->intake && a->intake->plugin);
    struct stat st;
    const char *kept = a->intake->plugin->folder, *given = a->settings->word[0];
    options.plugins_path = *kept ? kept : given;
    const hg_settings *s = a->settings;
    bool said = s->name || s->language || s->template || s->sources;
    options.data_path = NULL;
    if (!*kept && said)
        return hg_fail(error, HG_ERROR_ARGUMENT,
                       "--gate: verify judges the folder as it is, without --name, --language, "
                       "--template or --sources; `plugin add --gate` heeds them");
    if (!*kept && (stat(given, &st) || !S_ISDIR(st.st_mode)))
        return hg_fail(
            error, HG_ERROR_ARGUMENT,
            "--gate: %s is an archive, and verify unpacks none; `plugin add --gate` does", given);
    hg_status status = hg_pairs_read(options.plugins_path, &pairs, &notes, error);
    if (!status && pairs.count) {
        status = hg_runtime_open(&options, &runtime, error);
        if (!status) status = hg_runtime_wait_ready(runtime, error);
        if (!status) status = run_gate(a, runtime, &pairs, error);
    }
    hg_runtime_close(runtime);
    hg_pairs_free(&pairs);
    return status;
}

static void print_gate(const adding *a)
{
    const json_t *reasons = json_object_get(a->gate, "reasons");
    const json_t *before = json_object_get(a->gate, "replaces");
    if (!a->gate) return;
    printf("%s: %s: chrF %.1f, BLEU %.1f on %d pairs, %.0f tokens/s\n", a->intake->plugin->name,
           a->verdict, json_real_value(json_object_get(a->gate, "chrf")),
           json_real_value(json_object_get(a->gate, "bleu")),
           (int)json_integer_value(json_object_get(a->gate, "pairs")),
           json_real_value(json_object_get(a->gate, "tokens_per_s")));
    if (json_object_get(before, "chrf"))
        printf("%s: generation %d, which serves: chrF %.1f, BLEU %.1f\n", a->intake->plugin->name,
               (int)json_integer_value(json_object_get(before, "generation")),
               json_number_value(json_object_get(before, "chrf")),
               json_number_value(json_object_get(before, "bleu")));
    for (size_t i = 0; i < json_array_size(reasons); i++)
        printf("%s: %s\n", a->intake->plugin->name, json_string_value(json_array_get(reasons, i)));
}

/* Of each generation of the plugin: whether the new content waits for its verdict, and what serves
 * now. */
static int look_at(const hg_plugin_record *r, void *context)
{
    adding *a = context;
    if (r->generation_key == a->record.generation_key) {
        a->waits = strcmp(r->state, "checking") == 0;
        a->record.enabled = r->enabled;
    } else if (r->enabled && a->gate) {
        a->failed |= hg_gate_set_replaced(a->gate, r->generation, r->report) != HG_OK;
    }
    return 0;
}

/* Content that was there already keeps its verdict, unless it was looked at anew. */
static hg_status record_verdict(adding *a, hg_store *store, hg_error *error)
{
    hg_status status = hg_store_each_generation(store, a->record.name, look_at, a, error);
    if (status || (!a->waits && !a->gate)) return status;
    char *report = a->gate && !a->failed ? json_dumps(a->gate, JSON_COMPACT) : NULL;
    if (a->gate && !report)
        status = hg_fail(error, HG_ERROR_MEMORY, "no memory for a report");
    else
        status = hg_store_judge(store, a->record.generation_key, a->verdict, report ? report : "{}",
                                "command line", error);
    free(report);
    return status;
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
        .state = "checking",
        .folder = plugin->folder,
        .rank_max = a->intake->rank_max,
        .bytes = plugin->bytes,
    };
    if (!status) status = hg_cli_open_store(a->settings->data, &store, error);
    if (!status) status = hg_store_add_generation(store, &a->record, -1, "command line", error);
    if (!status) status = record_verdict(a, store, error);
    hg_store_close(store);
    free(sources);
    return status;
}

static int run(const hg_settings *settings, bool keep)
{
    hg_error error = {0};
    adding a = {.settings = settings, .verdict = "unproven"};
    hg_status status = take_in(&a, keep, &error);
    if (!status && settings->gate) status = judge(&a, &error);
    if (!status && keep) status = record(&a, &error);
    error.status = status;
    int code = print_report(&a, &error);
    if (!code && !settings->json) print_gate(&a);
    json_decref(a.gate);
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
