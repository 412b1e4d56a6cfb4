/* test_intake.c: folders and archives become content under their digest, once, whole or not at all.
 */
#include "tests/unit/intake_help.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

static const hg_plugin_words nothing;

static void path_in_room(char *out, const char *name)
{
    snprintf(out, 160, "%s/%s", room, name);
}

/* The bundled plugin as it is: nothing is proposed, and the digest is the folder's own. */
static void test_folder(void **state)
{
    (void)state;
    hg_intake *intake;
    hg_error error;
    hg_plugin *plugin;
    struct stat st;
    char path[HG_PATH_MAX + 16];
    if (take_in("plugins/de/", true, nothing, &intake, &error)) fail_msg("%s", error.message);
    assert_int_equal(hg_plugin_open("plugins/de", &plugin, &error), HG_OK);
    assert_string_equal(intake->plugin->digest, plugin->digest);
    assert_int_equal(intake->notes.count, 0);
    assert_int_equal(intake->rank_max, 16);
    snprintf(path, sizeof path, "%s/plugins/%s", data_path, plugin->digest);
    assert_string_equal(intake->plugin->folder, path);
    hg_plugin_close(plugin);
    assert_int_equal(hg_plugin_open(path, &plugin, &error), HG_OK);
    assert_string_equal(intake->plugin->digest, plugin->digest);
    hg_plugin_close(plugin);
    snprintf(path, sizeof path, "%s/plugin.json", intake->plugin->folder);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0400);
    hg_intake_free(intake);
    assert_int_equal(count_contents(), 1);
}

/* The same files come to the same folder, however they are packed. */
static void test_archives(void **state)
{
    (void)state;
    static const char *const ends[] = {".tar", ".tar.gz", ".tar.zst", ".tar.xz", ".zip"};
    packed_files files = {0};
    hg_error error;
    hg_plugin *plugin;
    char path[160];
    packed_load(&files, "plugins/de");
    assert_int_equal(hg_plugin_open("plugins/de", &plugin, &error), HG_OK);
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        hg_intake *intake;
        snprintf(path, sizeof path, "%s/german%s", room, ends[i]);
        packed_write(&files, i % 2 ? "german/" : "./", path);
        if (take_in(path, true, nothing, &intake, &error)) fail_msg("%s: %s", path, error.message);
        assert_string_equal(intake->plugin->digest, plugin->digest);
        assert_int_equal(intake->notes.count, 0);
        hg_intake_free(intake);
    }
    hg_plugin_close(plugin);
    packed_free(&files);
    assert_int_equal(count_contents(), 1);
}

static void test_check_only(void **state)
{
    (void)state;
    hg_intake *intake;
    hg_error error;
    if (take_in("plugins/fr", false, nothing, &intake, &error)) fail_msg("%s", error.message);
    assert_string_equal(intake->plugin->folder, "");
    assert_int_equal(strlen(intake->plugin->digest), 64);
    assert_int_equal(count_contents(), 1);
    hg_intake_free(intake);
}

/* What save_pretrained writes, and one word of a person's. */
static void test_untouched_peft(void **state)
{
    (void)state;
    packed_files files = {0};
    hg_intake *intake;
    hg_error error;
    char path[160];
    packed_load(&files, "plugins/nl");
    packed_drop(&files, "plugin.json");
    packed_drop(&files, "training.json");
    packed_drop(&files, "validation.tsv");
    packed_add_text(&files, "README.md",
                    "---\nbase_model: hydra-tiny\nlibrary_name: peft\nlicense: apache-2.0\n---\n");
    packed_add_text(&files, "training_args.bin", "pickled");
    packed_add_text(&files, "checkpoint-9/adapter_config.json", "{}");
    path_in_room(path, "Dutch v2.tar.gz");
    packed_write(&files, "out/", path);
    if (!take_in(path, false, nothing, &intake, &error)) fail_msg("no language was said");
    EXPECT_MESSAGE(&error, "plugin.json: field language: found nothing, expected a BCP-47 tag");
    assert_true(has_note(intake, HG_NOTE_PROPOSAL, "give it (--language TAG)"));
    hg_intake_free(intake);
    if (take_in(path, true, (hg_plugin_words){.language = "nl"}, &intake, &error))
        fail_msg("%s", error.message);
    const hg_plugin *plugin = intake->plugin;
    assert_string_equal(plugin->name, "dutch-v2");
    assert_string_equal(plugin->title, "Dutch");
    assert_string_equal(plugin->language, "nl");
    assert_string_equal(plugin->sources[0], "en");
    assert_string_equal(plugin->template_text, "hydra-tiny"); /* "alma" has no <|nl|> */
    assert_string_equal(plugin->licence, "apache-2.0");
    assert_string_equal(plugin->base_name, "hydra-tiny");
    assert_true(has_note(intake, HG_NOTE_PROPOSAL, "field template: \"hydra-tiny\""));
    assert_true(has_note(intake, HG_NOTE_WARNING, "out/training_args.bin and others: left out"));
    assert_true(has_note(intake, HG_NOTE_WARNING, "nobody can tell how good it is"));
    hg_intake_free(intake);
    packed_free(&files);
}

/* What is said stands above what plugin.json says; what nobody says stays as it is. */
static void test_words(void **state)
{
    (void)state;
    hg_intake *intake;
    hg_error error;
    const hg_plugin_words words = {"mine", "de-x-formal", NULL, "en, nl"};
    if (take_in("plugins/de", false, words, &intake, &error)) fail_msg("%s", error.message);
    assert_string_equal(intake->plugin->name, "mine");
    assert_string_equal(intake->plugin->language, "de-x-formal");
    assert_int_equal(intake->plugin->source_count, 2);
    assert_string_equal(intake->plugin->sources[1], "nl");
    assert_string_equal(intake->plugin->template_text, "<|begin_of_text|>{source}<|de|>");
    hg_intake_free(intake);
}

/* Content that was damaged gives way to the same content. */
static void test_damaged_content(void **state)
{
    (void)state;
    hg_intake *intake;
    hg_error error;
    hg_plugin *plugin;
    char folder[HG_PATH_MAX];
    if (take_in("plugins/sv", true, nothing, &intake, &error)) fail_msg("%s", error.message);
    snprintf(folder, sizeof folder, "%s", intake->plugin->folder);
    hg_intake_free(intake);
    char file[HG_PATH_MAX + 16];
    snprintf(file, sizeof file, "%s/plugin.json", folder);
    assert_int_equal(unlink(file), 0);
    unsigned before = count_contents();
    if (take_in("plugins/sv", true, nothing, &intake, &error)) fail_msg("%s", error.message);
    if (hg_plugin_open(folder, &plugin, &error)) fail_msg("%s", error.message);
    assert_string_equal(plugin->digest, intake->plugin->digest);
    hg_plugin_close(plugin);
    hg_intake_free(intake);
    assert_int_equal(count_contents(), before);
}

static bool is_wanted(const char *digest, void *context)
{
    return strcmp(digest, context) == 0;
}

/* A sweep waits for nobody and takes what nobody holds. */
static void test_sweep(void **state)
{
    (void)state;
    hg_intake *intake;
    hg_error error;
    char left[192], digest[HG_SHA256_HEX];
    snprintf(left, sizeof left, "%s/plugins/.coming-killed", data_path);
    if (take_in("plugins/tr", true, nothing, &intake, &error)) fail_msg("%s", error.message);
    memcpy(digest, intake->plugin->digest, sizeof digest);
    assert_int_equal(mkdir(left, 0700), 0);
    write_text(left, "adapter_config.json", "{");
    unsigned count = count_contents();
    assert_int_equal(hg_intake_sweep(data_path, is_wanted, digest, &error), HG_OK);
    assert_int_equal(count_contents(), count); /* an intake is under way */
    hg_intake_free(intake);
    assert_int_equal(hg_intake_sweep(data_path, NULL, NULL, &error), HG_OK);
    assert_int_equal(count_contents(), count - 1);
    assert_false(hg_file_exists(left));
    assert_int_equal(hg_intake_sweep(data_path, is_wanted, digest, &error), HG_OK);
    assert_int_equal(count_contents(), 1);
}

static void test_report(void **state)
{
    (void)state;
    hg_notes notes = {.within = "/data/.coming-x"};
    hg_error error;
    assert_int_equal(hg_notes_verdict(&notes, &error), HG_OK);
    hg_notes_add(&notes, HG_NOTE_WARNING, HG_OK, "/data/.coming-x/a: doubtful");
    for (int i = 0; i < HG_LIMIT_PLUGIN_NOTES + 5; i++)
        hg_notes_add(&notes, HG_NOTE_PROBLEM, HG_ERROR_LIMIT, "/data/.coming-x/f: %d", i);
    assert_int_equal(hg_notes_verdict(&notes, &error), HG_ERROR_LIMIT);
    EXPECT_MESSAGE(&error, "f: 0; f: 1; f: 2");
    json_t *json = hg_notes_json(&notes);
    assert_int_equal(json_array_size(json_object_get(json, "problems")), HG_LIMIT_PLUGIN_NOTES - 1);
    assert_int_equal(json_integer_value(json_object_get(json, "unsaid")), 6);
    assert_string_equal(json_string_value(json_array_get(json_object_get(json, "warnings"), 0)),
                        "a: doubtful");
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder),     cmocka_unit_test(test_archives),
        cmocka_unit_test(test_check_only), cmocka_unit_test(test_untouched_peft),
        cmocka_unit_test(test_words),      cmocka_unit_test(test_damaged_content),
        cmocka_unit_test(test_sweep),      cmocka_unit_test(test_report),
    };
    return cmocka_run_group_tests(tests, open_base, close_base);
}
