/* test_quality.c: every bundled plugin translates as well as its training.json says: its validation
 * pairs (the very lines that were scored when it was trained) go through the whole runtime,
 * greedily, and the chrF of the results is compared. Prints the table of docs/PERFORMANCE.md.
 *
 *     test_quality              the fastest kernels: some seconds
 *     test_quality reference    the reference kernels: some minutes; the full claim
 *
 * No plugin may lose half a point of its figure, on either. The figures are of whole lines; here a
 * line of several sentences is translated sentence by sentence, which gains some tenths. A gain of
 * more than one point would say that something else than the same lines is compared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/text/score.h"
#include "core/translate/translate.h"

#define PAIRS_MAX 512
#define LOSS_MOST 0.5 /* chrF points */
#define GAIN_MOST 1.0

static const char *kernel; /* NULL: the fastest */

typedef struct pair {
    char *source, *reference; /* in the file's text */
    char *translation;        /* owned */
} pair;

typedef struct sheet {
    pair pair[PAIRS_MAX];
    uint32_t pairs;
    uint64_t tokens;
} sheet;

/* Splits the lines of text into source and reference. */
static void read_pairs(char *text, sheet *out)
{
    char *rest = text, *line;
    while ((line = strsep(&rest, "\n")) != NULL) {
        char *tab = strchr(line, '\t');
        if (!*line) continue;
        assert_non_null(tab);
        assert_true(out->pairs < PAIRS_MAX);
        *tab = '\0';
        out->pair[out->pairs++] = (pair){.source = line, .reference = tab + 1};
    }
}

static void take(const hg_event *event, void *context)
{
    sheet *out = context;
    if (event->type != HG_EVENT_DONE) return;
    assert_string_equal(event->status, "ok");
    unsigned long at = strtoul(event->id, NULL, 10);
    assert_true(at < out->pairs && !out->pair[at].translation);
    out->pair[at].translation = strdup(event->text);
    assert_non_null(out->pair[at].translation);
    out->tokens += event->tokens;
}

static void translate_all(hg_runtime *runtime, const hg_language_view *language, sheet *out)
{
    hg_error error = {0};
    hg_conversation *conversation;
    assert_int_equal(hg_conversation_new(runtime, "quality", take, out, &conversation, &error),
                     HG_OK);
    for (uint32_t i = 0; i < out->pairs;) {
        char id[16];
        const char *target = language->tag.text;
        snprintf(id, sizeof id, "%u", i);
        hg_translate_request request = {.id = id,
                                        .rev = 1,
                                        .text = out->pair[i].source,
                                        .target = &target,
                                        .targets = 1,
                                        .source = language->source[0],
                                        .final = true};
        hg_refusal refusal;
        if (hg_conversation_translate(conversation, &request, &refusal)) {
            i++;
        } else {
            assert_int_equal(refusal.code, HG_CODE_busy);
            hg_translator_poll(runtime, 100);
        }
    }
    while (hg_conversation_running(conversation)) hg_translator_poll(runtime, 100);
    hg_conversation_free(conversation);
}

/* A number of plugins/NAME/training.json. */
static double trained(const char *plugin, const char *field)
{
    char path[HG_PATH_MAX];
    json_error_t why;
    snprintf(path, sizeof path, "plugins/%s/training.json", plugin);
    json_t *training = json_load_file(path, 0, &why);
    json_t *value = json_object_get(training, field);
    assert_true(json_is_number(value));
    double number = json_number_value(value);
    json_decref(training);
    return number;
}

static double score(const sheet *out)
{
    hg_chrf chrf = {0};
    for (uint32_t i = 0; i < out->pairs; i++)
        assert_int_equal(hg_chrf_add(&chrf, out->pair[i].translation, out->pair[i].reference),
                         HG_OK);
    return hg_chrf_score(&chrf);
}

/* Translates one plugin's pairs; returns whether its chrF is what it was trained to. */
static bool as_trained(hg_runtime *runtime, const hg_language_view *language)
{
    hg_error error = {0};
    char path[HG_PATH_MAX];
    hg_buf text = hg_buf_new(1 << 20);
    sheet *out = calloc(1, sizeof *out);
    assert_non_null(out);
    snprintf(path, sizeof path, "plugins/%s/validation.tsv", language->plugin);
    assert_int_equal(hg_file_read(path, &text, &error), HG_OK);
    read_pairs(text.data, out);
    assert_int_equal(out->pairs, (uint32_t)trained(language->plugin, "dev_pairs"));
    translate_all(runtime, language, out);
    double here = score(out), there = trained(language->plugin, "chrf");
    printf("| %s | %u | %u | %.2f | %.1f |\n", language->plugin, language->rank_max, out->pairs,
           here, there);
    for (uint32_t i = 0; i < out->pairs; i++) free(out->pair[i].translation);
    hg_buf_free(&text);
    free(out);
    return here >= there - LOSS_MOST && here <= there + GAIN_MOST;
}

static void test_quality(void **state)
{
    (void)state;
    hg_error error = {0};
    hg_runtime *runtime;
    hg_language_view language[16];
    hg_runtime_options options = {.model_path = "models/hydra-tiny",
                                  .plugins_path = "plugins",
                                  .device = "cpu",
                                  .kernel = kernel};
    assert_int_equal(hg_runtime_open(&options, &runtime, &error), HG_OK);
    assert_int_equal(hg_runtime_wait_ready(runtime, &error), HG_OK);
    uint32_t languages = hg_runtime_languages(runtime, language, 16);
    assert_int_equal(languages, 10);
    bool good = true;
    printf(
        "| plugin | rank | pairs | chrF here | chrF in training.json |\n|---|---|---|---|---|\n");
    for (uint32_t i = 0; i < languages; i++) good &= as_trained(runtime, &language[i]);
    hg_runtime_close(runtime);
    assert_true(good);
}

int main(int argc, char **argv)
{
    if (argc > 1) kernel = argv[1];
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_quality)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
