/* test_plugin.c: plugin.json field by field, and the folder's digest against sha256sum. */
#include "tests/unit/model_edit.h"
#include "tests/unit/model_fixture.h"
#include "tests/unit/model_pieces.h"

#include "core/model/plugin.h"

static void test_german(void **state)
{
    (void)state;
    hg_plugin *plugin;
    hg_error error = {0};
    if (hg_plugin_open("plugins/de", &plugin, &error)) fail_msg("%s", error.message);
    assert_int_equal(plugin->kind, HG_PLUGIN_LANGUAGE);
    assert_string_equal(plugin->folder, "plugins/de");
    assert_string_equal(plugin->name, "de");
    assert_string_equal(plugin->title, "German");
    assert_string_equal(plugin->language, "de");
    assert_int_equal(plugin->source_count, 1);
    assert_string_equal(plugin->sources[0], "en");
    assert_string_equal(plugin->base_name, "hydra-tiny");
    assert_memory_equal(plugin->base_fingerprint, "sha256:579a585614b5", 19);
    assert_string_equal(plugin->template_text, "<|begin_of_text|>{source}<|de|>");
    assert_int_equal(plugin->stop_count, 1);
    assert_string_equal(plugin->stop[0], "<|eot_id|>");
    assert_string_equal(plugin->rules_before, "");
    assert_string_equal(plugin->rules_after, "");
    assert_string_equal(plugin->licence, "CC-BY-2.0-FR");
    assert_non_null(strstr(plugin->attribution, "manythings"));
    assert_int_equal(plugin->bytes, 1751128);
    assert_non_null(strstr(plugin->training, "chrf"));
    hg_plugin_close(plugin);
}

/* The digest is one that a person can make with coreutils. */
static void test_digests(void **state)
{
    (void)state;
    static const char *const names[] = {"de", "en", "es", "fr", "ja", "nl", "ru", "sv", "tr", "zh"};
    for (size_t i = 0; i < 10; i++) {
        char command[256], hex[HG_SHA256_HEX] = "", folder[64];
        hg_plugin *plugin;
        hg_error error = {0};
        snprintf(folder, sizeof folder, "plugins/%s", names[i]);
        snprintf(command, sizeof command, "cd %s && LC_ALL=C sha256sum * | sha256sum", folder);
        FILE *shell = popen(command, "r");
        assert_int_equal(fread(hex, 1, 64, shell), 64);
        pclose(shell);
        if (hg_plugin_open(folder, &plugin, &error)) fail_msg("%s", error.message);
        assert_string_equal(plugin->digest, hex);
        hg_plugin_close(plugin);
    }
}

static hg_status parse_with(const char *field, const char *value, hg_plugin **out, hg_error *error)
{
    char folder[64];
    size_t size;
    folder_new(folder);
    copy_json("plugins/de", folder, "plugin.json", field, value);
    char *text = (char *)read_bytes(folder, "plugin.json", &size);
    hg_status status = hg_plugin_parse(text, size, "plugin.json", out, error);
    free(text);
    folder_remove(folder);
    return status;
}

static void test_refuses_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *field, *value, *message;
    } bad[] = {
        {"schema", NULL, "found nothing"},
        {"schema", "\"hydraglot.plugin/2\"", "only \"hydraglot.plugin/1\""},
        {"kind", "\"voice\"", "expected \"language\" or \"task\""},
        {"name", "\"\"", "non-empty"},
        {"name", "\"De\"", "expected a-z"},
        {"name", "\"../x\"", "expected a-z"},
        {"name", "\".x\"", "expected a-z"},
        {"name", "\"a/b\"", "expected a-z"},
        {"name", "\"0123456789012345678901234567890123456789012345678901234567890123\"",
         "64 bytes, more than the 63"},
        {"title", "null", "found nothing, expected a string"},
        {"language", "null", "found nothing"},
        {"language", "\"d e\"", "BCP-47"},
        {"sources", "\"en\"", "list of non-empty strings"},
        {"sources", "[]", "at least one"},
        {"sources", "[\"en\",\"f_r\"]", "entry \"f_r\""},
        {"sources", "[\"en\",7]", "entry 1"},
        {"base", "\"hydra-tiny\"", "expected an object"},
        {"base.name", "7", "base.name: found 7"},
        {"base.fingerprint", "\"md5:00\"", "base.fingerprint"},
        {"base.fingerprint", "\"sha256:00\"", "64 lower-case hex digits"},
        {"template", "\"<|x|>\"", "{source}"},
        {"template", "\"\"", "a non-empty string"},
        {"template", "\"Translate this\"", "name of a template"},
        {"template", NULL, "found nothing"},
        {"stop", "null", "found nothing"},
        {"stop", "[\"\"]", "entry 0"},
        {"rules", "[]", "expected an object"},
        {"rules.before", "7", "rules.before: found 7"},
        {"licence", "{}", "found an object"},
        {"adapter", "\"adapter_model.safetensors\"", "expected null"},
        {"adapter", "false", "expected null"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        hg_plugin *plugin;
        hg_error error;
        if (!parse_with(bad[i].field, bad[i].value, &plugin, &error)) fail_msg("%s", bad[i].field);
        assert_null(plugin);
        EXPECT_MESSAGE(&error, "plugin.json: field", bad[i].field, bad[i].message);
    }
}

static void test_optional_fields(void **state)
{
    (void)state;
    static const char *const fine[][2] = {{"rules", "null"},       {"licence", NULL},
                                          {"attribution", "\"\""}, {"x_mine", "{\"a\":1}"},
                                          {"stop", "[]"},          {"base.fingerprint", "null"}};
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        hg_plugin *plugin;
        hg_error error = {0};
        if (parse_with(fine[i][0], fine[i][1], &plugin, &error)) fail_msg("%s", error.message);
        hg_plugin_close(plugin);
    }
}

static void test_task(void **state)
{
    (void)state;
    static const char text[] =
        "{\"schema\":\"hydraglot.plugin/1\",\"kind\":\"task\",\"name\":\"formal\",\"title\":\"F\","
        "\"sources\":[],\"base\":{\"name\":\"b\"},\"template\":\"{source}\",\"stop\":[\"x\"]}";
    hg_plugin *plugin;
    hg_error error = {0};
    if (hg_plugin_parse(text, sizeof text - 1, "p", &plugin, &error)) fail_msg("%s", error.message);
    assert_int_equal(plugin->kind, HG_PLUGIN_TASK);
    assert_string_equal(plugin->language, "");
    assert_string_equal(plugin->base_fingerprint, "");
    assert_string_equal(plugin->training, "");
    hg_plugin_close(plugin);
    assert_int_equal(parse_with("kind", "\"task\"", &plugin, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, "language", "expected null for kind");
}

static void test_folders(void **state)
{
    (void)state;
    char folder[64], name[64];
    hg_plugin *plugin;
    hg_error error;
    folder_new(folder);
    assert_int_equal(hg_plugin_open(folder, &plugin, &error), HG_ERROR_NOT_FOUND);
    EXPECT_MESSAGE(&error, folder, "plugin.json");
    write_text(folder, "plugin.json", "{\"schema\":");
    assert_int_equal(hg_plugin_open(folder, &plugin, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, folder, "plugin.json", "not JSON");
    copy_file("plugins/de", folder, "plugin.json");
    assert_int_equal(hg_plugin_open(folder, &plugin, &error), HG_ERROR_NOT_FOUND);
    EXPECT_MESSAGE(&error, folder, "adapter_model.safetensors");
    write_text(folder, "adapter_model.safetensors", "x");
    assert_int_equal(hg_plugin_open(folder, &plugin, &error), HG_OK);
    hg_plugin_close(plugin);
    for (int i = 0; i < 64; i++) {
        snprintf(name, sizeof name, "more%d", i);
        write_text(folder, name, "");
    }
    assert_int_equal(hg_plugin_open(folder, &plugin, &error), HG_ERROR_LIMIT);
    EXPECT_MESSAGE(&error, folder, "66 files, more than the 64");
    folder_remove(folder);
}

/* "adapter": null: the base speaks the language itself, and the folder needs no adapter. */
static void test_no_adapter(void **state)
{
    (void)state;
    char folder[64];
    hg_plugin *plugin;
    hg_error error = {0};
    folder_new(folder);
    copy_json("plugins/de", folder, "plugin.json", "adapter", "null");
    if (hg_plugin_open(folder, &plugin, &error)) fail_msg("%s", error.message);
    assert_false(plugin->adapter);
    assert_int_equal(plugin->bytes, 0);
    hg_plugin_close(plugin);
    if (hg_plugin_open("plugins/de", &plugin, &error)) fail_msg("%s", error.message);
    assert_true(plugin->adapter);
    hg_plugin_close(plugin);
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_german),
        cmocka_unit_test(test_digests),
        cmocka_unit_test(test_refuses_by_name),
        cmocka_unit_test(test_optional_fields),
        cmocka_unit_test(test_task),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_no_adapter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
