/* test_runtime.c: what the runtime makes of its folders: languages, plugins that fail beside others
 * that serve, rules, variants, the database, devices. Plugins are made here from the bundled German
 * one: its files by symbolic link, plugin.json with one field changed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <sqlite3.h>
#include <ftw.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/translate/translate.h"

static char folder[64]; /* of one test */

static int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/hydraglot-test-XXXXXX");
    return mkdtemp(folder) ? 0 : 1;
}

static int drop_file(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info;
    (void)type;
    (void)place;
    return remove(path);
}

static int drop_folder(void **state)
{
    (void)state;
    return nftw(folder, drop_file, 16, FTW_DEPTH | FTW_PHYS);
}

/* Sets a field of plugin.json, "rules.after" style for the inner ones. */
static void set_field(json_t *plugin, const char *field, const char *value)
{
    char outer[32];
    const char *dot = strchr(field, '.');
    if (dot) {
        snprintf(outer, sizeof outer, "%.*s", (int)(dot - field), field);
        plugin = json_object_get(plugin, outer);
        field = dot + 1;
    }
    assert_int_equal(json_object_set_new(plugin, field, json_string(value)), 0);
}

/* folder/NAME: the German plugin under another name, pairs of field and value changed. */
static void make_plugin(const char *name, const char *const *change)
{
    static const char *const file[] = {"adapter_config.json", "adapter_model.safetensors"};
    char path[4200], cwd[2048], target[4200];
    json_error_t why;
    assert_non_null(getcwd(cwd, sizeof cwd));
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
    for (int i = 0; i < 2; i++) {
        snprintf(target, sizeof target, "%s/plugins/de/%s", cwd, file[i]);
        snprintf(path, sizeof path, "%s/%s/%s", folder, name, file[i]);
        assert_int_equal(symlink(target, path), 0);
    }
    json_t *plugin = json_load_file("plugins/de/plugin.json", 0, &why);
    assert_non_null(plugin);
    set_field(plugin, "name", name);
    for (; *change; change += 2) set_field(plugin, change[0], change[1]);
    snprintf(path, sizeof path, "%s/%s/plugin.json", folder, name);
    assert_int_equal(json_dump_file(plugin, path, 0), 0);
    json_decref(plugin);
}

#define MAKE_PLUGIN(name, ...) make_plugin(name, (const char *const[]){__VA_ARGS__, NULL})

static hg_runtime_options options_here(void)
{
    return (hg_runtime_options){
        .model_path = "models/hydra-tiny", .plugins_path = folder, .device = "cpu"};
}

static hg_runtime *open_with(const hg_runtime_options *options)
{
    hg_error error = {0};
    hg_runtime *runtime;
    if (hg_runtime_open(options, &runtime, &error)) {
        print_error("%s\n", error.message);
        fail();
    }
    return runtime;
}

static hg_runtime *open_ready(const hg_runtime_options *options)
{
    hg_error error = {0};
    hg_runtime *runtime = open_with(options);
    if (hg_runtime_wait_ready(runtime, &error)) {
        print_error("%s\n", error.message);
        fail();
    }
    return runtime;
}

/* The last DONE of what translate() asked. */
static char done_text[4096], done_plugin[80], done_status[16];
static uint32_t done_generation;

static void take(const hg_event *event, void *context)
{
    (void)context;
    if (event->type != HG_EVENT_DONE) return;
    snprintf(done_text, sizeof done_text, "%s", event->text);
    snprintf(done_plugin, sizeof done_plugin, "%s", event->plugin);
    snprintf(done_status, sizeof done_status, "%s", event->status);
    done_generation = event->generation;
}

/* A conversation in which the text is being translated. */
static hg_conversation *begin(hg_runtime *runtime, const char *text, const char *target)
{
    hg_error error = {0};
    hg_conversation *conversation;
    hg_refusal refusal;
    hg_translate_request request = {.id = "m",
                                    .rev = 1,
                                    .text = text,
                                    .target = &target,
                                    .targets = 1,
                                    .source = "en",
                                    .final = true,
                                    .stream = true};
    assert_int_equal(hg_conversation_new(runtime, "test", take, NULL, &conversation, &error),
                     HG_OK);
    if (!hg_conversation_translate(conversation, &request, &refusal)) {
        print_error("%s\n", refusal.message);
        fail();
    }
    return conversation;
}

static void translate(hg_runtime *runtime, const char *text, const char *target)
{
    hg_conversation *conversation = begin(runtime, text, target);
    while (hg_conversation_running(conversation)) hg_translator_poll(runtime, 100);
    hg_conversation_free(conversation);
}

static void test_languages(void **state)
{
    (void)state;
    static const char *const tag[] = {"nl", "en",      "fr", "de", "ja",
                                      "ru", "zh-Hans", "es", "sv", "tr"};
    hg_runtime_options options = options_here();
    options.plugins_path = "plugins";
    hg_runtime *runtime = open_ready(&options);
    hg_language_view view[10];
    assert_int_equal(hg_runtime_languages(runtime, NULL, 0), 10);
    assert_int_equal(hg_runtime_languages(runtime, view, 10), 10);
    for (int i = 0; i < 10; i++) assert_string_equal(view[i].tag.text, tag[i]); /* Dutch, ... */
    assert_string_equal(view[3].name, "German");
    assert_string_equal(view[3].native, "Deutsch");
    assert_string_equal(view[3].direction, "ltr");
    assert_string_equal(view[3].plugin, "de");
    assert_int_equal(view[3].sources, 1);
    assert_string_equal(view[3].source[0], "en");
    assert_int_equal(view[1].sources, 9);
    assert_int_equal(view[3].rank_max, 16);
    assert_int_equal(view[8].rank_max, 8);
    assert_true(view[3].bytes > 1000000);
    hg_runtime_close(runtime);
}

static void test_only(void **state)
{
    (void)state;
    hg_error error = {0};
    hg_runtime_options options = options_here();
    options.plugins_path = "plugins";
    options.only = "fr, de";
    hg_runtime *runtime = open_ready(&options);
    assert_int_equal(hg_runtime_languages(runtime, NULL, 0), 2);
    hg_runtime_close(runtime);
    options.only = "fr,tlh";
    runtime = open_with(&options);
    assert_int_equal(hg_runtime_wait_ready(runtime, &error), HG_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "plugin tlh"));
    assert_int_equal(hg_runtime_languages(runtime, NULL, 0), 1);
    hg_runtime_close(runtime);
}

#define ANOTHER_BASE "sha256:0000000000000000000000000000000000000000000000000000000000000000"

/* Three that cannot serve, each for its own reason, and one that can. */
static void test_plugins_that_fail(void **state)
{
    (void)state;
    hg_error error = {0};
    hg_runtime_options options = options_here();
    MAKE_PLUGIN("good", "base.fingerprint", ANOTHER_BASE); /* a warning only */
    MAKE_PLUGIN("token", "template", "<|begin_of_text|>{source}<|nope|>");
    MAKE_PLUGIN("call", "template", "<|begin_of_text|>{source}<|fr|>");
    MAKE_PLUGIN("rule", "rules.after", "a > > b");
    hg_runtime *runtime = open_with(&options);
    assert_int_equal(hg_runtime_wait_ready(runtime, &error), HG_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "plugin token: template: \"<|nope|>\""));
    assert_non_null(strstr(error.message, "plugin call: "));
    assert_non_null(strstr(error.message, "alora_invocation_tokens"));
    assert_non_null(strstr(error.message, "plugin rule: plugin.json: rules.after"));
    assert_true(hg_runtime_ready(runtime));
    assert_int_equal(hg_runtime_languages(runtime, NULL, 0), 1);
    translate(runtime, "Good morning!", "plugin:good");
    assert_string_equal(done_status, "ok");
    hg_runtime_close(runtime);
}

/* folder/NAME with plugin.json alone, which says that the base speaks the language itself. */
static void make_base_plugin(const char *name, const char *template)
{
    char path[4200];
    json_error_t why;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(mkdir(path, 0700), 0);
    json_t *plugin = json_load_file("plugins/de/plugin.json", 0, &why);
    assert_non_null(plugin);
    set_field(plugin, "name", name);
    set_field(plugin, "template", template);
    assert_int_equal(json_object_set_new(plugin, "adapter", json_null()), 0);
    snprintf(path, sizeof path, "%s/%s/plugin.json", folder, name);
    assert_int_equal(json_dump_file(plugin, path, 0), 0);
    json_decref(plugin);
}

/* It serves beside one with an adapter, with no adapter's memory or rank; its template is checked
 * as any other's is. */
static void test_base_alone(void **state)
{
    (void)state;
    hg_error error = {0};
    hg_runtime_options options = options_here();
    hg_language_view view[4];
    MAKE_PLUGIN("tuned", "title", "tuned");
    make_base_plugin("alone", "<|begin_of_text|>{source}<|fr|>");
    make_base_plugin("wrong", "<|begin_of_text|>{source}<|nope|>");
    hg_runtime *runtime = open_with(&options);
    assert_int_equal(hg_runtime_wait_ready(runtime, &error), HG_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "plugin wrong: template: \"<|nope|>\""));
    assert_null(strstr(error.message, "plugin alone"));
    uint32_t count = hg_runtime_languages(runtime, view, 4);
    for (uint32_t i = 0; i < count; i++)
        if (strcmp(view[i].plugin, "alone") == 0)
            assert_int_equal(view[i].rank_max, 0);
        else
            assert_int_equal(view[i].rank_max, 16);
    translate(runtime, "Good morning!", "plugin:alone");
    assert_string_equal(done_status, "ok");
    char alone[sizeof done_text];
    snprintf(alone, sizeof alone, "%s", done_text);
    translate(runtime, "Good morning!", "plugin:tuned");
    assert_string_equal(done_status, "ok");
    assert_string_equal(done_plugin, "tuned");
    assert_string_not_equal(done_text, alone); /* French, by its template */
    hg_runtime_close(runtime);
}

static void test_rules(void **state)
{
    (void)state;
    hg_runtime_options options = options_here();
    MAKE_PLUGIN("plain", "title", "German");
    MAKE_PLUGIN("upper", "rules.after", "::Any-Upper;");
    MAKE_PLUGIN("before", "rules.before", "::Any-Lower; dog > cat;");
    hg_runtime *runtime = open_ready(&options);
    translate(runtime, "I see the cat.", "plugin:plain");
    char plain[4096];
    memcpy(plain, done_text, sizeof plain);
    translate(runtime, "I see the cat.", "plugin:upper");
    assert_string_not_equal(done_text, plain);
    assert_int_equal(strcasecmp(done_text, plain), 0);
    translate(runtime, "i see the cat.", "plugin:plain");
    memcpy(plain, done_text, sizeof plain);
    translate(runtime, "I see the dog.", "plugin:before");
    assert_string_equal(done_text, plain);
    hg_runtime_close(runtime);
}

/* A private variant is offered only to who asks for it; of two alike the first by name serves. */
static void test_variants(void **state)
{
    (void)state;
    hg_runtime_options options = options_here();
    MAKE_PLUGIN("a-formal", "language", "de-x-formal");
    MAKE_PLUGIN("b-german", "language", "de");
    MAKE_PLUGIN("c-german", "language", "de");
    hg_runtime *runtime = open_ready(&options);
    translate(runtime, "Hello!", "de");
    assert_string_equal(done_plugin, "b-german");
    translate(runtime, "Hello!", "de-CH");
    assert_string_equal(done_plugin, "b-german");
    translate(runtime, "Hello!", "de-x-formal");
    assert_string_equal(done_plugin, "a-formal");
    translate(runtime, "Hello!", "plugin:c-german");
    assert_string_equal(done_plugin, "c-german");
    hg_runtime_close(runtime);
}

static int count_batch(const hg_batch_record *batch, void *context)
{
    int *batches = context;
    assert_int_equal(batch->lanes, 1);
    assert_string_equal(batch->lane[0].language, "de");
    assert_string_equal(batch->lane[0].status, "ok");
    assert_string_equal(batch->lane[0].stop, "eos");
    assert_true(batch->lane[0].plugin_id > 0 && batch->lane[0].tokens > 0);
    assert_string_equal(batch->model, "hydra-tiny");
    assert_int_equal(batch->source_chars, 6);
    (*batches)++;
    return 0;
}

/* Starts on one database: the plugin is the same generation, another content the next; the first
 * content, when it comes back, is the first generation and serves. */
static void test_store(void **state)
{
    (void)state;
    hg_error error = {0};
    char data[80], extra[128];
    snprintf(data, sizeof data, "%s/data", folder);
    snprintf(extra, sizeof extra, "%s/de/extra.txt", folder);
    hg_runtime_options options = options_here();
    options.data_path = data;
    MAKE_PLUGIN("de", "title", "German");
    for (int start = 0; start < 4; start++) {
        if (start == 2) assert_int_equal(hg_file_write(extra, "new", 3, &error), HG_OK);
        if (start == 3) assert_int_equal(remove(extra), 0);
        hg_runtime *runtime = open_ready(&options);
        translate(runtime, "Hello!", "de");
        assert_string_equal(done_status, "ok");
        assert_int_equal(done_generation, start == 2 ? 2 : 1);
        hg_runtime_close(runtime);
    }
    hg_store *store;
    int batches = 0;
    assert_int_equal(hg_store_open_read(data, &store, &error), HG_OK);
    assert_int_equal(hg_store_each_batch(store, 10, count_batch, &batches, &error), HG_OK);
    assert_int_equal(batches, 4);
    hg_store_close(store);
}

static int check_abandoned(const hg_batch_record *batch, void *context)
{
    int *batches = context;
    assert_string_equal(batch->lane[0].status, "cancelled");
    assert_memory_equal(batch->device, "cpu: ", 5);
    (*batches)++;
    return 0;
}

/* A batch that still runs when all is closed is recorded too, with the device that served. */
static void test_abandoned(void **state)
{
    (void)state;
    hg_error error = {0};
    hg_store *store;
    char data[80];
    int batches = 0;
    snprintf(data, sizeof data, "%s/data", folder);
    hg_runtime_options options = options_here();
    options.data_path = data;
    MAKE_PLUGIN("de", "title", "German");
    hg_runtime *runtime = open_ready(&options);
    hg_conversation_free(begin(runtime, "Hello!", "de"));
    hg_runtime_close(runtime);
    assert_int_equal(hg_store_open_read(data, &store, &error), HG_OK);
    assert_int_equal(hg_store_each_batch(store, 10, check_abandoned, &batches, &error), HG_OK);
    assert_int_equal(batches, 1);
    hg_store_close(store);
}

/* What the store holds as disabled stays so when the folder is found again. */
static void test_disabled(void **state)
{
    (void)state;
    char data[128], path[160];
    hg_runtime_options options = options_here();
    snprintf(data, sizeof data, "%s/data", folder);
    snprintf(path, sizeof path, "%s/hydraglot.db", data);
    options.data_path = data;
    MAKE_PLUGIN("one", "title", "German");
    MAKE_PLUGIN("two", "language", "fr");
    hg_runtime *runtime = open_ready(&options);
    assert_int_equal(hg_runtime_languages(runtime, NULL, 0), 2);
    hg_runtime_close(runtime);
    sqlite3 *db;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    const char *sql = "UPDATE plugin_generation SET state = 'disabled' WHERE plugin_id ="
                      " (SELECT id FROM plugin WHERE name = 'two');"
                      "UPDATE plugin SET enabled_generation = NULL WHERE name = 'two'";
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    hg_language_view view[2];
    runtime = open_ready(&options);
    assert_int_equal(hg_runtime_languages(runtime, view, 2), 1);
    assert_string_equal(view[0].plugin, "one");
    hg_runtime_close(runtime);
}

static void count_ring(void *context)
{
    atomic_fetch_add((atomic_int *)context, 1);
}

static void test_starting(void **state)
{
    (void)state;
    atomic_int rings = 0;
    hg_error error = {0};
    hg_refusal refusal;
    hg_conversation *conversation;
    const char *target = "de";
    hg_translate_request request = {
        .id = "m", .rev = 1, .text = "Hi", .target = &target, .targets = 1};
    hg_runtime_options options = options_here();
    options.plugins_path = "plugins";
    options.doorbell = count_ring;
    options.doorbell_context = &rings;
    hg_runtime *runtime = open_with(&options);
    assert_int_equal(hg_conversation_new(runtime, "test", take, NULL, &conversation, &error),
                     HG_OK);
    bool ready = hg_runtime_ready(runtime);
    bool accepted = hg_conversation_translate(conversation, &request, &refusal);
    if (!ready && !accepted) assert_int_equal(refusal.code, HG_CODE_starting);
    assert_true(accepted || refusal.retry_after_ms > 0);
    hg_conversation_free(conversation);
    assert_int_equal(hg_runtime_wait_ready(runtime, &error), HG_OK);
    translate(runtime, "Hello!", "de"); /* the last ring is the loader's or the engine's */
    assert_true(atomic_load(&rings) > 0);
    hg_runtime_close(runtime);
    runtime = open_with(&options); /* closed while it still loads */
    hg_runtime_close(runtime);
}

static void refuse_open(const hg_runtime_options *options, const char *word)
{
    hg_error error = {0};
    hg_runtime *runtime;
    assert_int_not_equal(hg_runtime_open(options, &runtime, &error), HG_OK);
    assert_null(runtime);
    if (!strstr(error.message, word)) print_error("message: %s\n", error.message);
    assert_non_null(strstr(error.message, word));
}

static void test_wrong_options(void **state)
{
    (void)state;
    hg_runtime_options options = options_here();
    options.plugins_path = "/nonexistent/plugins";
    refuse_open(&options, "--plugins: /nonexistent/plugins");
    options = options_here();
    options.model_path = "/nonexistent/model";
    refuse_open(&options, "/nonexistent/model");
    options = options_here();
    options.device = "abacus";
    refuse_open(&options, "--device: \"abacus\"");
    options.device = "cuda"; /* the tests' folder holds no such library */
    refuse_open(&options, "make cuda");
    options.device = "auto";
    options.kernel = "reference";
    hg_runtime *runtime = open_ready(&options);
    hg_engine_figures figures;
    hg_engine_read_figures(hg_runtime_engine(runtime), &figures);
    assert_string_equal(figures.device.kernel, "reference");
    hg_runtime_close(runtime);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_languages, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(test_only, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(test_plugins_that_fail, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(test_base_alone, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(test_rules, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(test_variants, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(test_store, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(test_abandoned, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(test_disabled, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(test_starting, make_folder, drop_folder),
        cmocka_unit_test_setup_teardown(test_wrong_options, make_folder, drop_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
