/* test_swaps.c: plugins are added, replaced, disabled, rolled back and removed while nine languages
 * are translated without a pause. No lane fails, each lane's text is that of its generation alone,
 * and in the end the device holds what it held at the start. With HYDRAGLOT_LONG=1 whole counts,
 * and the time of a step is compared with that of a quiet service.
 *
 * Other contents of a language are made from the bundled plugin by scaling its adapter: lora_alpha
 * of adapter_config.json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "core/model/plugin.h"
#include "core/translate/translate.h"
#include "db/plugins.h"
#include "tests/support/plugin_files.h"

#define TEXT      "The small boat sailed slowly across the quiet lake at dawn."
#define LANGUAGES 9
#define CONTENTS  3 /* of each language: the bundled one, two scaled ones */
#define NAMES     2 /* plugins of each language: the bundled one, and one that comes and goes */
#define JOBS      2 /* sentences under way */

static const char *const language[LANGUAGES] = {"de", "es", "fr", "ja", "nl",
                                                "ru", "sv", "tr", "zh"};
static const double scale[CONTENTS] = {1, 4, 9};

/* ---- what is known ---- */

static char folder[64];
static hg_runtime *runtime;
static hg_store *store;
static hg_error error;
static unsigned seed;
static char *expected[LANGUAGES][CONTENTS]; /* the text of each content alone; owned */

/* One plugin: which content each of its generations has, and which of them serves. */
typedef struct known {
    int content[1024]; /* [newest + 1] */
    bool stored[1024];
    uint32_t newest, serves;
} known;
static known plugin[LANGUAGES][NAMES];

static void name_of(int l, int n, char name[16])
{
    snprintf(name, 16, "%s%s", language[l], n ? "-second" : "");
}

static int dice(int sides)
{
    seed = seed * 1103515245u + 12345u;
    return (int)((seed >> 16) % (unsigned)sides);
}

/* ---- contents ---- */

/* plugins/<digest>/ of the data folder, as an intake would leave it. */
static void make_content(int l, int content, int n, char out[HG_SHA256_HEX])
{
    char source[96], staged[96], path[HG_PATH_MAX], name[16];
    packed_files files = {0};
    json_error_t why;
    snprintf(source, sizeof source, "plugins/%s", language[l]);
    packed_load(&files, source);
    packed_drop(&files, "training.json");
    name_of(l, n, name);
    packed_file *file = packed_find(&files, "plugin.json");
    json_t *json = json_loadb((const char *)file->bytes, file->size, 0, &why);
    assert_int_equal(json_object_set_new(json, "name", json_string(name)), 0);
    char *text = json_dumps(json, 0);
    packed_drop(&files, "plugin.json");
    packed_add_text(&files, "plugin.json", text);
    free(text);
    json_decref(json);
    file = packed_find(&files, "adapter_config.json");
    json = json_loadb((const char *)file->bytes, file->size, 0, &why);
    double alpha = json_number_value(json_object_get(json, "lora_alpha"));
    assert_true(alpha > 0);
    assert_int_equal(json_object_set_new(json, "lora_alpha", json_real(alpha * scale[content])), 0);
    text = json_dumps(json, 0);
    packed_drop(&files, "adapter_config.json");
    packed_add_text(&files, "adapter_config.json", text);
    free(text);
    json_decref(json);
    snprintf(staged, sizeof staged, "%s/staged", folder);
    packed_write_folder(&files, staged);
    packed_free(&files);
    hg_plugin *opened;
    if (hg_plugin_open(staged, &opened, &error)) fail_msg("%s", error.message);
    memcpy(out, opened->digest, HG_SHA256_HEX);
    hg_plugin_close(opened);
    assert_int_equal(hg_store_content_path(store, out, path, &error), HG_OK);
    if (hg_file_exists(path))
        hg_folder_remove(staged);
    else if (rename(staged, path))
        fail_msg("%s cannot be renamed to %s", staged, path);
}

/* ---- operations ---- */

static void change(hg_plugin_action action, int l, int n, uint32_t generation)
{
    char name[16];
    known *k = &plugin[l][n];
    name_of(l, n, name);
    hg_plugin_change wish = {.action = action,
                             .name = name,
                             .seen = k->serves,
                             .generation = generation,
                             .insist = true,
                             .actor = "test"};
    if (hg_store_change_plugin(store, &wish, &k->serves, &error)) fail_msg("%s", error.message);
    hg_runtime_plugins_changed(runtime);
}

/* Records the content as the plugin's next generation and lets it serve. */
static void replace(int l, int n, int content)
{
    char name[16], made[HG_SHA256_HEX];
    known *k = &plugin[l][n];
    name_of(l, n, name);
    make_content(l, content, n, made);
    hg_plugin_record r = {.name = name,
                          .kind = "language",
                          .language = l == LANGUAGES - 1 ? "zh-Hans" : language[l],
                          .digest = made,
                          .sources = "[\"en\"]"};
    if (hg_store_add_generation(store, &r, -1, "test", &error)) fail_msg("%s", error.message);
    if (hg_store_judge(store, r.generation_key, "ready", "{}", "test", &error))
        fail_msg("%s", error.message);
    if (r.generation > k->newest) k->newest = r.generation;
    assert_true(k->newest < 1024);
    k->content[r.generation] = content;
    k->stored[r.generation] = true;
    change(HG_PLUGIN_ENABLE, l, n, r.generation);
}

static void forget(known *k)
{
    k->serves = 0;
    for (uint32_t g = 1; g <= k->newest; g++) k->stored[g] = false;
}

/* One random change that leaves each language served. */
static void operate(void)
{
    int l = dice(LANGUAGES), n = dice(NAMES), which = dice(5);
    known *k = &plugin[l][n];
    const bool other = plugin[l][1 - n].serves > 0;
    if (which == 1 && k->serves && other) {
        change(HG_PLUGIN_DISABLE, l, n, 0);
    } else if (which == 2 && k->serves && other && n) {
        change(HG_PLUGIN_REMOVE, l, n, 0);
        forget(k);
    } else if (which == 3 && k->serves > 1) {
        uint32_t to = 1 + (uint32_t)dice((int)k->serves - 1);
        if (k->stored[to]) change(HG_PLUGIN_ROLL_BACK, l, n, to);
    } else {
        replace(l, n, n ? dice(CONTENTS) : 1 + dice(CONTENTS - 1));
    }
}

/* ---- load ---- */

typedef struct load {
    hg_conversation *conversation;
    int ids;
    uint32_t lanes;
    int content; /* what the lanes must have run on; -1: what their generation has */
} load;

static void take(const hg_event *event, void *context)
{
    load *job = context;
    if (event->type != HG_EVENT_DONE) return;
    char name[16];
    int l = 0, n = 0;
    while (strncmp(event->language, language[l], 2) != 0) l++;
    name_of(l, 1, name);
    n = strcmp(event->plugin, name) == 0;
    if (strcmp(event->status, "ok") != 0)
        fail_msg("%s: %s (%s)", event->language, event->status, hg_code_name(event->code));
    assert_in_range(event->generation, 1, plugin[l][n].newest);
    int content = plugin[l][n].content[event->generation];
    if (job->content >= 0) assert_int_equal(content, job->content);
    if (job->content >= 0 && !expected[l][content]) expected[l][content] = strdup(event->text);
    assert_string_equal(event->text, expected[l][content]);
    job->lanes++;
}

static void begin(load *job)
{
    static const char *const target[LANGUAGES] = {"de", "es", "fr", "ja",     "nl",
                                                  "ru", "sv", "tr", "zh-Hans"};
    char id[32];
    hg_refusal refusal;
    snprintf(id, sizeof id, "m%d", job->ids++);
    hg_translate_request request = {.id = id,
                                    .rev = 1,
                                    .text = TEXT,
                                    .target = target,
                                    .targets = LANGUAGES,
                                    .source = "en",
                                    .final = true,
                                    .max_tokens = 24};
    if (!hg_conversation_translate(job->conversation, &request, &refusal))
        fail_msg("%s", refusal.message);
}

static void open_load(load *job)
{
    assert_int_equal(hg_conversation_new(runtime, "load", take, job, &job->conversation, &error),
                     HG_OK);
    job->content = -1;
}

static void finish(load *job)
{
    while (hg_conversation_running(job->conversation)) hg_translator_poll(runtime, 100);
}

/* Waits until the catalog serves what the store says. */
static void settle(void)
{
    for (bool same = false; !same;) {
        hg_language_view view[HG_LIMIT_ADAPTER_SLOTS];
        hg_translator_poll(runtime, 5);
        uint32_t count = hg_runtime_languages(runtime, view, HG_LIMIT_ADAPTER_SLOTS), matches = 0;
        uint32_t served = 0;
        for (int l = 0; l < LANGUAGES; l++) {
            for (int n = 0; n < NAMES; n++) {
                char name[16];
                name_of(l, n, name);
                served += plugin[l][n].serves > 0;
                for (uint32_t i = 0; i < count; i++)
                    matches += strcmp(view[i].plugin, name) == 0 &&
                               view[i].generation == plugin[l][n].serves;
            }
        }
        same = matches == served && count == served;
    }
}

static size_t adapter_bytes(void)
{
    hg_engine_figures figures;
    hg_engine_read_figures(hg_runtime_engine(runtime), &figures);
    return figures.memory.adapters_bytes;
}

/* ---- steps ---- */

typedef struct steps {
    uint64_t count, us;
    uint32_t samples;
    double ms[1 << 16];
} steps;

/* The mean of the steps since the last call, mostly of one: each step of the load has news. */
static void sample(steps *s, bool keep)
{
    hg_engine_figures figures;
    hg_engine_read_figures(hg_runtime_engine(runtime), &figures);
    uint64_t count = figures.steps - s->count;
    if (keep && count && s->samples < 1 << 16)
        s->ms[s->samples++] = (double)(figures.step_us - s->us) / (double)count / 1e3;
    s->count = figures.steps;
    s->us = figures.step_us;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double p99(steps *s)
{
    assert_true(s->samples > 0);
    qsort(s->ms, s->samples, sizeof *s->ms, by_size);
    return s->ms[(size_t)(s->samples * 0.99)];
}

/* Keeps the load up for so many sentences; with operations, so many between two sentences. */
static void run_load(load *job, int sentences, int operations, steps *s)
{
    sample(s, false);
    for (int done = 0; done < sentences || operations > 0;) {
        while (hg_conversation_running(job->conversation) < JOBS) {
            if (operations > 0 && operations--) operate();
            begin(job);
            done++;
        }
        hg_translator_poll(runtime, 100);
        sample(s, true);
    }
    while (hg_conversation_running(job->conversation)) {
        hg_translator_poll(runtime, 100);
        sample(s, true);
    }
}

/* ---- the test ---- */

static void open_all(void)
{
    hg_runtime_options options = {.model_path = "models/hydra-tiny",
                                  .plugins_path = "plugins",
                                  .data_path = folder,
                                  .only =
                                      "de,es,fr,ja,nl,ru,sv,tr,zh,de-second,es-second,fr-second,"
                                      "ja-second,nl-second,ru-second,sv-second,tr-second,"
                                      "zh-second",
                                  .device = "cpu"};
    if (hg_runtime_open(&options, &runtime, &error)) fail_msg("%s", error.message);
    assert_int_equal(hg_runtime_wait_ready(runtime, &error), HG_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "plugin de-second: there is no such plugin")); /* yet */
    store = hg_runtime_store(runtime);
    char path[96];
    snprintf(path, sizeof path, "%s/plugins", folder);
    assert_int_equal(hg_folder_make(path, &error), HG_OK);
    for (int l = 0; l < LANGUAGES; l++) plugin[l][0] = (known){.newest = 1, .serves = 1};
}

/* What each content says when it serves alone. */
static void learn(load *job)
{
    for (int content = 0; content < CONTENTS; content++) {
        for (int l = 0; content && l < LANGUAGES; l++) replace(l, 0, content);
        settle();
        job->content = content;
        begin(job);
        finish(job);
    }
    job->content = -1;
    int differ = 0;
    for (int l = 0; l < LANGUAGES; l++) {
        for (int content = 0; content < CONTENTS; content++)
            differ += strcmp(expected[l][content], expected[l][(content + 1) % CONTENTS]) != 0;
        change(HG_PLUGIN_ROLL_BACK, l, 0, 1);
    }
    assert_true(differ > LANGUAGES * CONTENTS / 2); /* a wrong adapter would show */
    settle();
}

static void back_to_start(void)
{
    for (int l = 0; l < LANGUAGES; l++) {
        if (plugin[l][0].serves != 1) change(HG_PLUGIN_ENABLE, l, 0, 1);
        if (plugin[l][1].newest) change(HG_PLUGIN_REMOVE, l, 1, 0);
        forget(&plugin[l][1]);
    }
    settle();
}

static void nothing_is_lost_while_plugins_change(void **state)
{
    (void)state;
    static load job;
    static steps quiet, busy;
    bool whole = getenv("HYDRAGLOT_LONG") != NULL;
    open_all();
    open_load(&job);
    size_t start_bytes = adapter_bytes();
    assert_true(start_bytes > 0);
    learn(&job);
    run_load(&job, whole ? 60 : 1, 0, &quiet);
    run_load(&job, 0, whole ? 200 : 6, &busy);
    back_to_start();
    while (adapter_bytes() != start_bytes) hg_translator_poll(runtime, 5);
    begin(&job); /* and the first generations serve again */
    finish(&job);
    print_message("%u lanes; p99 of a step %.2f ms quiet (%u), %.2f ms while plugins change (%u)\n",
                  job.lanes, p99(&quiet), quiet.samples, p99(&busy), busy.samples);
    if (whole) assert_true(p99(&busy) <= 1.5 * p99(&quiet));
    hg_conversation_free(job.conversation);
    hg_runtime_close(runtime);
    for (int l = 0; l < LANGUAGES; l++)
        for (int content = 0; content < CONTENTS; content++) free(expected[l][content]);
}

static int make_folder(void **state)
{
    (void)state;
    seed = 20261125;
    hg_log_set_level(HG_LOG_WARN);
    snprintf(folder, sizeof folder, "/tmp/hydraglot-swaps-XXXXXX");
    return mkdtemp(folder) ? 0 : 1;
}

static int drop_folder(void **state)
{
    (void)state;
    hg_folder_remove(folder);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(nothing_is_lost_while_plugins_change, make_folder,
                                        drop_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
