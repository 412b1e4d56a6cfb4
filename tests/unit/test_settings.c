/* test_settings.c: flags, environment, defaults, and messages that name what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/settings.h"

static hg_settings settings;
static hg_error error;

/* Parses the words of one string for command. */
static hg_status parse(hg_command_bit command, const char *line)
{
    static char copy[256];
    static char *argument[16];
    int count = 0;
    char *rest = NULL;
    snprintf(copy, sizeof copy, "%s", line);
    for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest))
        argument[count++] = word;
    hg_settings_free(&settings);
    return hg_settings_parse(&settings, command, count, argument, &error);
}

static void refused(hg_command_bit command, const char *line, const char *first, const char *second)
{
    assert_int_equal(parse(command, line), HG_ERROR_ARGUMENT);
    if (!strstr(error.message, first)) fail_msg("%s: no \"%s\"", error.message, first);
    if (!strstr(error.message, second)) fail_msg("%s: no \"%s\"", error.message, second);
}

static void defaults_are_the_table_s(void **state)
{
    (void)state;
    assert_int_equal(parse(HG_COMMAND_SERVE, ""), HG_OK);
    assert_string_equal(settings.listen, "127.0.0.1:8080");
    assert_string_equal(settings.device, "auto");
    assert_int_equal(settings.threads, 0);
    assert_null(settings.kernel);
    assert_false(settings.data_given);
    assert_non_null(strstr(settings.model, "/models/hydra-tiny"));
    assert_non_null(strstr(settings.plugins, "/plugins"));
    assert_int_equal(parse(HG_COMMAND_BATCHES, ""), HG_OK);
    assert_int_equal(settings.count, 20);
}

static void flags_take_values_in_both_forms(void **state)
{
    (void)state;
    assert_int_equal(parse(HG_COMMAND_TRANSLATE, "--to de,ja --threads=3 --json word --device cpu"),
                     HG_OK);
    assert_string_equal(settings.to, "de,ja");
    assert_int_equal(settings.threads, 3);
    assert_true(settings.json);
    assert_string_equal(settings.device, "cpu");
    assert_int_equal(settings.words, 1);
    assert_string_equal(settings.word[0], "word");
}

static void quantize_is_a_choice(void **state)
{
    (void)state;
    assert_int_equal(parse(HG_COMMAND_SERVE, ""), HG_OK);
    assert_null(settings.quantize);
    assert_int_equal(parse(HG_COMMAND_SERVE, "--quantize int4"), HG_OK);
    assert_string_equal(settings.quantize, "int4");
    refused(HG_COMMAND_BENCH, "--quantize int5", "--quantize: \"int5\"", "int8");
}

static void two_dashes_end_the_flags(void **state)
{
    (void)state;
    assert_int_equal(parse(HG_COMMAND_TRANSLATE, "-- --to"), HG_OK);
    assert_null(settings.to);
    assert_string_equal(settings.word[0], "--to");
}

static void sizes_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t bytes;
    } cases[] = {{"1000", 1000}, {"4K", 4096}, {"512M", 512 << 20}, {"8g", INT64_C(8) << 30}};
    for (int i = 0; i < 4; i++) {
        char line[64];
        snprintf(line, sizeof line, "--device-memory %s", cases[i].text);
        assert_int_equal(parse(HG_COMMAND_SERVE, line), HG_OK);
        assert_int_equal(settings.device_memory_bytes, cases[i].bytes);
    }
    refused(HG_COMMAND_SERVE, "--device-memory 8X", "--device-memory", "512M");
    refused(HG_COMMAND_SERVE, "--device-memory -1", "--device-memory", "\"-1\"");
    refused(HG_COMMAND_SERVE, "--device-memory 9999999999T", "--device-memory", "size");
}

static void wrong_values_name_flag_and_range(void **state)
{
    (void)state;
    refused(HG_COMMAND_SERVE, "--threads 65", "--threads", "from 0 to 64");
    refused(HG_COMMAND_SERVE, "--threads 2x", "--threads", "\"2x\"");
    refused(HG_COMMAND_SERVE, "--threads", "--threads", "missing");
    refused(HG_COMMAND_SERVE, "--device gpu", "--device", "auto|cpu|cuda");
    refused(HG_COMMAND_SERVE, "--device cp", "--device", "auto|cpu|cuda");
    refused(HG_COMMAND_SERVE, "--log-text=yes", "--log-text", "no value");
    refused(HG_COMMAND_BATCHES, "--count 0", "--count", "from 1");
    refused(HG_COMMAND_SERVE, "--model=", "--model", "empty");
}

static void unknown_flags_name_the_nearest(void **state)
{
    (void)state;
    refused(HG_COMMAND_SERVE, "--lisen 1", "--lisen", "did you mean --listen?");
    refused(HG_COMMAND_SERVE, "--thread=1", "--thread:", "did you mean --threads?");
    refused(HG_COMMAND_SERVE, "--to de", "--to", "this command does not take it");
    refused(HG_COMMAND_SERVE, "--zzzzzzzzzz", "--zzzzzzzzzz", "see --help");
    assert_null(strstr(error.message, "did you mean"));
}

static void a_flag_wins_over_the_environment(void **state)
{
    (void)state;
    setenv("HYDRAGLOT_THREADS", "2", 1);
    setenv("HYDRAGLOT_LOG_TEXT", "1", 1);
    setenv("HYDRAGLOT_DATA", "/somewhere", 1);
    assert_int_equal(parse(HG_COMMAND_SERVE, ""), HG_OK);
    assert_int_equal(settings.threads, 2);
    assert_true(settings.log_text);
    assert_true(settings.data_given);
    assert_string_equal(settings.data, "/somewhere");
    assert_int_equal(parse(HG_COMMAND_SERVE, "--threads 1 --data /here"), HG_OK);
    assert_int_equal(settings.threads, 1);
    assert_string_equal(settings.data, "/here");
    setenv("HYDRAGLOT_LOG_TEXT", "maybe", 1);
    refused(HG_COMMAND_SERVE, "", "HYDRAGLOT_LOG_TEXT", "1 or 0");
    /* What a command does not take cannot break it. */
    assert_int_equal(parse(HG_COMMAND_BATCHES, ""), HG_OK);
    unsetenv("HYDRAGLOT_THREADS");
    unsetenv("HYDRAGLOT_LOG_TEXT");
    unsetenv("HYDRAGLOT_DATA");
}

static void nearest_words(void **state)
{
    (void)state;
    static const char *const known[] = {"serve", "translate", "plugin list"};
    assert_string_equal(hg_nearest("sevre", known, 3), "serve");
    assert_string_equal(hg_nearest("translat", known, 3), "translate");
    assert_string_equal(hg_nearest("plugins list", known, 3), "plugin list");
    assert_null(hg_nearest("qqq", known, 3));
    assert_null(hg_nearest("", known, 3));
}

static int end(void **state)
{
    (void)state;
    hg_settings_free(&settings);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_the_table_s),
        cmocka_unit_test(flags_take_values_in_both_forms),
        cmocka_unit_test(quantize_is_a_choice),
        cmocka_unit_test(two_dashes_end_the_flags),
        cmocka_unit_test(sizes_have_units),
        cmocka_unit_test(wrong_values_name_flag_and_range),
        cmocka_unit_test(unknown_flags_name_the_nearest),
        cmocka_unit_test(a_flag_wins_over_the_environment),
        cmocka_unit_test(nearest_words),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
