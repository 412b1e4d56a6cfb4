/* test_detector.c: the detector on sentences that training never saw, and on what is no language.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "core/text/detector.h"

static const char *guess(const char *text, unsigned *confidence)
{
    hg_detector detector = {0};
    hg_detector_read(&detector, text, strlen(text));
    return hg_detector_guess(&detector, confidence);
}

static void test_sentences(void **state)
{
    (void)state;
    static const struct {
        const char *language, *text;
    } of[] = {
        {"de", "Entschuldigung, wo finde ich hier die nächste Apotheke?"},
        {"en", "Excuse me, where do I find the nearest pharmacy?"},
        {"es", "Perdone, ¿dónde está la farmacia más cercana?"},
        {"fr", "Excusez-moi, où se trouve la pharmacie la plus proche ?"},
        {"ja", "すみません、薬局はどこですか。"},
        {"nl", "Pardon, waar vind ik de dichtstbijzijnde apotheek?"},
        {"ru", "Извините, где здесь ближайшая аптека?"},
        {"sv", "Ursäkta, var hittar jag närmaste apotek?"},
        {"tr", "Affedersiniz, en yakın eczane nerede?"},
        {"zh", "请问，最近的药店在哪里？"},
    };
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        unsigned confidence;
        assert_string_equal(guess(of[i].text, &confidence), of[i].language);
        assert_in_range(confidence, HG_DETECTOR_SURE, 100);
    }
}

static void test_unsure(void **state)
{
    (void)state;
    static const char *const texts[] = {"Tom", "a", "in", "Internet", "was"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        unsigned confidence;
        assert_string_not_equal(guess(texts[i], &confidence), "");
        if (confidence >= HG_DETECTOR_SURE) fail_msg("%s: %u", texts[i], confidence);
    }
    static const char *const nothing[] = {"", " ", "123 456", "🙂🙂", "--- !"};
    for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++) {
        unsigned confidence = 1;
        assert_string_equal(guess(nothing[i], &confidence), "");
        assert_int_equal(confidence, 0);
    }
}

static void test_pieces_add_up(void **state)
{
    (void)state;
    unsigned one, both;
    hg_detector detector = {0};
    (void)guess("Tom", &one);
    hg_detector_read(&detector, "Tom", 3);
    hg_detector_read(&detector, "Vad heter du?", 13);
    assert_string_equal(hg_detector_guess(&detector, &both), "sv");
    assert_true(both > one);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sentences),
        cmocka_unit_test(test_unsure),
        cmocka_unit_test(test_pieces_add_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
