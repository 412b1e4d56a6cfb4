/* test_revisions.c: sentences typed word by word through the real runtime on hydra-tiny: each
 * revision has the last one's translation as draft and its source's KV, and must say what a new
 * sentence with the same text says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "core/translate/sentence.h"
#include "tests/support/talk.h"

static hg_runtime *runtime;

static int open_runtime(void **state)
{
    (void)state;
    runtime = talk_runtime(HG_DRAFTS_ALWAYS, TALK_AT_ONCE);
    return !runtime;
}

static int close_runtime(void **state)
{
    (void)state;
    hg_runtime_close(runtime);
    return 0;
}

/* A revision's languages say what a new sentence with its text says. */
static void compare(talk *t, const char *id, int64_t rev, const char *text, bool final)
{
    char fresh[64];
    snprintf(fresh, sizeof fresh, "%s-%lld", id, (long long)rev);
    talk_say(t, fresh, 1, text, final);
    talk_drain(t);
    assert_int_equal(t->book->batch.drafted, 0);
    for (int i = 0; i < 9; i++) {
        const ledger_entry *have = ledger_find(t->book, id, rev, talk_nine[i]);
        const ledger_entry *want = ledger_find(t->book, fresh, 1, talk_nine[i]);
        assert_string_equal(have->status, "ok");
        assert_string_equal(have->text, want->text);
        assert_string_equal(have->stop, want->stop);
        assert_int_equal(have->tokens, want->tokens);
    }
}

static const char *const typed[] = {
    "She has been learning to play the piano since she was six years old.",
    "I would like a cup of coffee and a piece of cake, please.",
    "The meeting was moved to next Thursday because two colleagues are still on holiday.",
};

/* Calls each with every beginning of the sentence that ends where a word does. */
static void each_word(talk *t, const char *sentence, const char *id,
                      void (*each)(talk *t, const char *id, int64_t rev, const char *text,
                                   bool final))
{
    char text[128];
    int64_t rev = 0;
    for (size_t n = 1; n <= strlen(sentence); n++) {
        if (sentence[n] != ' ' && sentence[n] != '\0') continue;
        snprintf(text, sizeof text, "%.*s", (int)n, sentence);
        each(t, id, ++rev, text, sentence[n] == '\0');
    }
}

static uint64_t drafted, accepted, decoded;

static void type_word(talk *t, const char *id, int64_t rev, const char *text, bool final)
{
    talk_say(t, id, rev, text, final);
    talk_drain(t);
    const hg_batch_record *batch = &t->book->batch;
    if (rev == 1) assert_int_equal(batch->drafted, 0);
    /* Of a grown sentence only what differs is computed: a word and the languages' own tokens. */
    if (rev > 1) assert_in_range(batch->prefill_tokens, 10, 9 + 6);
    assert_true(batch->accepted <= batch->drafted);
    drafted += batch->drafted;
    accepted += batch->accepted;
    decoded += batch->decode_tokens;
    compare(t, id, rev, text, final);
}

static void test_words_typed_one_by_one(void **state)
{
    (void)state;
    talk t = talk_new(runtime);
    each_word(&t, typed[0], "a", type_word);
    each_word(&t, typed[1], "b", type_word);
    assert_true(drafted && accepted > decoded / 3);
    talk_end(&t);
}

/* Each revision supersedes the one before, at any point of it; the last one is compared. */
static void type_on(talk *t, const char *id, int64_t rev, const char *text, bool final)
{
    talk_say(t, id, rev, text, final);
    for (int64_t i = 0; i < rev % 4; i++) hg_translator_poll(runtime, 1);
    if (!final) return;
    talk_drain(t);
    compare(t, id, rev, text, final);
}

static void test_words_typed_on(void **state)
{
    (void)state;
    talk t = talk_new(runtime);
    for (int round = 0; round < 4; round++) {
        char id[16];
        snprintf(id, sizeof id, "r%d", round);
        each_word(&t, typed[round % 3], id, type_on);
    }
    talk_end(&t);
}

/* A correction in the middle: the last translation is a worse draft, and no more than that. */
static void test_a_correction(void **state)
{
    (void)state;
    static const char *const text[] = {"The dog sleeps on the sofa.", "The cat sleeps on the sofa.",
                                       "It is raining today.", "",
                                       "The cat sleeps on the sofa today."};
    talk t = talk_new(runtime);
    for (int64_t rev = 1; rev <= 5; rev++) {
        talk_say(&t, "c", rev, text[rev - 1], false);
        talk_drain(&t);
        compare(&t, "c", rev, text[rev - 1], false);
    }
    talk_end(&t);
}

static void expect_rest(const hg_sentence_language *language, const int32_t *want, uint32_t count)
{
    assert_int_equal(language->rest.count, count);
    assert_memory_equal(language->rest.id, want, count * sizeof *want);
}

/* What is kept of a translation that was cut short, or made by another generation. */
static void test_what_is_kept(void **state)
{
    (void)state;
    static const int32_t one[] = {1, 2, 3, 4, 5}, two[] = {6, 7}, both[] = {6, 7, 3, 4, 5};
    hg_sentence *sentence = hg_sentence_new("s");
    hg_sentence_language *language = hg_sentence_language_new(sentence, "de");
    hg_sentence_language_keep(language, 8, one, 5, true);
    expect_rest(language, one, 5);
    hg_sentence_language_keep(language, 8, two, 2, false);
    expect_rest(language, both, 5);
    hg_sentence_language_keep(language, 8, two, 2, true);
    expect_rest(language, two, 2);
    hg_sentence_language_keep(language, 8, one, 5, false);
    expect_rest(language, one, 5);
    hg_sentence_language_keep(language, 9, two, 2, false);
    expect_rest(language, two, 2);
    assert_int_equal(language->adapter_key, 9);
    hg_sentence_language_free(language);
    hg_sentence_free(sentence);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_kept),
        cmocka_unit_test(test_words_typed_one_by_one),
        cmocka_unit_test(test_words_typed_on),
        cmocka_unit_test(test_a_correction),
    };
    return cmocka_run_group_tests_name("revisions", tests, open_runtime, close_runtime);
}
