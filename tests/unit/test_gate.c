/* test_gate.c: a plugin's pairs on a runtime: a good one is ready, one that is another language's
 * is not, and each fault is seen where it is and only there. */
#include "tests/unit/model_fixture.h"

#include "core/plugins/gate.h"

#define BIT(fault) (1u << HG_FAULT_##fault)

static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *source, *reference, *translation, *language;
        unsigned faults;
    } rows[] = {
        {"Where is the train station?", "Wo ist der Bahnhof?", "Wo ist der Bahnhof?", "de", 0},
        {"Where is the train station?", "Wo ist der Bahnhof?", "", "de", BIT(EMPTY)},
        {"Where is the train station?", "Wo ist der Bahnhof?", "...", "de", BIT(EMPTY)},
        {"Where is the train station?", "Wo ist der Bahnhof?", "where is the train station ?", "de",
         BIT(COPIED) | BIT(LANGUAGE)},
        {"Volkswagen", "Volkswagen", "Volkswagen", "de", 0},
        {"Where is the train station?", "Wo ist der Bahnhof?",
         "\xD0\x93\xD0\xB4\xD0\xB5 \xD0\xB2\xD0\xBE\xD0\xBA\xD0\xB7\xD0\xB0\xD0\xBB?", "de",
         BIT(LANGUAGE)},
        {"Where is the train station?", "Wo ist der Bahnhof?",
         "Wo ist der Bahnhof? Das ist eine gute Frage, auf die es viele Antworten gibt, denn in "
         "jeder Stadt steht er woanders.",
         "de", BIT(ANSWERED)},
        {"Pay {amount} by 5.30, see http://a.example/x.",
         "Zahlen Sie {amount} bis 5.30, siehe "
         "http://a.example/x.",
         "Zahlen Sie {amount} bis 5.30, siehe http://a.example/x.", "de", 0},
        {"Pay {amount} now.", "Zahlen Sie jetzt {amount}.", "Zahlen Sie jetzt den Betrag.", "de",
         BIT(PLACEHOLDERS)},
        {"See http://a.example/x now.", "Siehe jetzt http://a.example/x nach.",
         "Siehe jetzt die Seite nach.", "de", BIT(PLACEHOLDERS)},
        {"Run `a b` now.", "Starten Sie jetzt `a b`.", "Starten Sie jetzt `a c`.", "de",
         BIT(PLACEHOLDERS)},
        {"The <b>old</b> cat.", "Die <b>alte</b> Katze.", "Die alte Katze.", "de", 0},
        {"At 5:30 pm we leave.", "Wir gehen um 17:30 los.", "Wir gehen um 17:30 los.", "de", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        unsigned got = hg_gate_faults(rows[i].source, rows[i].reference, rows[i].translation,
                                      rows[i].language);
        if (got != rows[i].faults)
            fail_msg("row %zu: faults %x, expected %x", i, got, rows[i].faults);
    }
}

/* The first pairs of a plugin through a target's adapter; the report. */
static json_t *run(hg_runtime *runtime, const char *folder, uint32_t count, const char *target,
                   const char *language)
{
    hg_pairs pairs;
    static hg_notes notes;
    hg_error error = {0};
    hg_gate *gate;
    if (hg_pairs_read(folder, &pairs, &notes, &error)) fail_msg("%s", error.message);
    assert_int_equal(notes.count, 0);
    if (pairs.count > count) pairs.count = count;
    const hg_gate_options options = {target, "en", language, &pairs, {20, 10}};
    if (hg_gate_start(runtime, &options, &gate, &error)) fail_msg("%s", error.message);
    while (!hg_gate_done(gate)) {
        hg_gate_step(gate);
        hg_translator_poll(runtime, 50);
    }
    assert_int_equal(hg_gate_progress(gate), pairs.count);
    json_t *report = hg_gate_report(gate);
    assert_non_null(report);
    assert_string_equal(json_string_value(json_object_get(report, "verdict")),
                        hg_gate_verdict(gate));
    hg_gate_free(gate);
    hg_pairs_free(&pairs);
    return report;
}

static double number(const json_t *report, const char *field)
{
    return json_number_value(json_object_get(report, field));
}

static void test_verdicts(void **state)
{
    (void)state;
    const hg_runtime_options options = {.model_path = "models/hydra-tiny",
                                        .plugins_path = "plugins",
                                        .device = "cpu",
                                        .only = "de,nl",
                                        .threads = 2};
    hg_runtime *runtime;
    hg_error error = {0};
    if (hg_runtime_open(&options, &runtime, &error) || hg_runtime_wait_ready(runtime, &error))
        fail_msg("%s", error.message);
    json_t *good = run(runtime, "plugins/de", 16, "plugin:de", "de");
    assert_string_equal(json_string_value(json_object_get(good, "verdict")), "ready");
    assert_true(number(good, "chrf") > 45 && number(good, "bleu") > 20);
    assert_int_equal(number(good, "pairs"), 16);
    assert_true(number(good, "tokens") > 16 && number(good, "tokens_per_s") > 0);
    assert_int_equal(json_array_size(json_object_get(good, "reasons")), 0);
    assert_int_equal(json_array_size(json_object_get(good, "examples")), HG_LIMIT_GATE_EXAMPLES);
    assert_int_equal(number(good, "adapter_bytes"), 1751128);
    assert_int_equal(hg_gate_set_replaced(good, 3, "{\"chrf\": 61.1, \"rank\": 16}"), HG_OK);
    const json_t *before = json_object_get(good, "replaces");
    assert_true(number(before, "generation") == 3 && number(before, "chrf") == 61.1);
    assert_null(json_object_get(before, "bleu"));
    assert_int_equal(hg_gate_set_replaced(good, 4, NULL), HG_OK);
    assert_null(json_object_get(json_object_get(good, "replaces"), "chrf"));
    json_decref(good);

    json_t *other = run(runtime, "plugins/de", 16, "plugin:nl", "de");
    assert_string_equal(json_string_value(json_object_get(other, "verdict")), "failed");
    assert_true(number(json_object_get(other, "faults"), "wrong_language") > 8);
    assert_true(json_array_size(json_object_get(other, "reasons")) > 0);
    json_decref(other);

    json_t *nobody = run(runtime, "plugins/de", 4, "plugin:none", "de");
    assert_string_equal(json_string_value(json_object_get(nobody, "verdict")), "failed");
    assert_int_equal(number(json_object_get(nobody, "faults"), "failed"), 4);
    json_decref(nobody);

    json_t *unproven = run(runtime, "plugins/de", 0, "plugin:de", "de");
    assert_string_equal(json_string_value(json_object_get(unproven, "verdict")), "unproven");
    json_decref(unproven);
    hg_runtime_close(runtime);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_faults),
                                       cmocka_unit_test(test_verdicts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
