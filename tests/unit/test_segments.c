/* test_segments.c: texts of several sentences through the real runtime on hydra-tiny: each sentence
 * is translated as it would be alone, closed ones stay and cost nothing, edits before them take
 * back no more than they must.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/talk.h"

#define TEXT 8192

static hg_runtime *runtime, *typing; /* nothing is held back; as serve does it */
static int open_runtimes(void **state)
{
    (void)state;
    runtime = talk_runtime(HG_DRAFTS_AUTO, TALK_AT_ONCE);
    typing = talk_runtime(HG_DRAFTS_AUTO, TALK_POLICY);
    return !runtime || !typing;
}

static int close_runtimes(void **state)
{
    (void)state;
    hg_runtime_close(runtime);
    hg_runtime_close(typing);
    return 0;
}

static const char *translation(talk *t, const char *id, int64_t rev, int language)
{
    const ledger_entry *entry = ledger_find(t->book, id, rev, talk_nine[language]);
    assert_string_equal(entry->status, "ok");
    return entry->text;
}

static const char *const part[] = {
    "Where is the train station?",    " ",  "I would like a cup of coffee.", "\n\n",
    "Mr. Smith lives in Berlin now.", "  ", "It is raining today!",          " 😀 12"};

/* Sentences at once: each says what it says alone, and what stands between them stays. */
static void test_pasted(void **state)
{
    (void)state;
    talk t = talk_new(runtime);
    char whole[TEXT] = "", id[16], want[TEXT];
    for (int i = 0; i < 8; i++) strcat(whole, part[i]);
    talk_say(&t, "whole", 1, whole, true);
    for (int i = 0; i < 8; i += 2) {
        snprintf(id, sizeof id, "p%d", i);
        talk_say(&t, id, 1, part[i], true);
    }
    talk_drain(&t);
    for (int l = 0; l < 9; l++) {
        *want = '\0';
        for (int i = 0; i < 8; i++) {
            snprintf(id, sizeof id, "p%d", i);
            strcat(want, i % 2 ? part[i] : translation(&t, id, 1, l));
        }
        assert_string_equal(translation(&t, "whole", 1, l), want);
    }
    talk_end(&t);
}

/* What has no letter comes back, and so does what is said again when all is closed. */
static void test_without_letters(void **state)
{
    (void)state;
    static const char *const text[] = {"12:30", "😀 !", "Good morning. 12", "Good morning. ",
                                       "Good morning. It"};
    talk t = talk_new(runtime);
    for (int i = 0; i < 2; i++) {
        talk_say(&t, text[i], 1, text[i], true);
        talk_drain(&t);
        for (int l = 0; l < 9; l++) assert_string_equal(translation(&t, text[i], 1, l), text[i]);
    }
    talk_say(&t, "a", 1, text[4], false); /* closes the first sentence */
    talk_drain(&t);
    talk_say(&t, "a", 2, text[3], false); /* takes the second away, and nothing that is committed */
    talk_drain(&t);
    talk_say(&t, "a", 3, text[2], true);
    talk_drain(&t);
    for (int l = 0; l < 9; l++) {
        const ledger_entry *entry = ledger_find(t.book, "a", 3, talk_nine[l]);
        assert_int_equal(entry->epoch, 0);
        assert_int_equal(entry->tokens, 0);
        assert_string_equal(strrchr(entry->text, ' '), " 12");
    }
    talk_end(&t);
}

/* HYDRAGLOT_LONG=1: as many as docs say; else a part that still shows what it must. */
static int size_of(int whole, int some)
{
    return getenv("HYDRAGLOT_LONG") ? whole : some;
}

/* Fifty sentences (ten in a hurry), typed in pieces: no revision costs more than its last sentence
 * does. */
static void test_long_typing(void **state)
{
    (void)state;
    static const char *const sentence[] = {"We met Anna at the station. ", "She had a red bag. ",
                                           "Then the bus was late! ", "Did you see the cat? "};
    talk t = talk_new(typing);
    char text[TEXT] = "";
    int64_t rev = 0;
    const int sentences = size_of(50, 10);
    for (int i = 0; i < sentences; i++) {
        const char *next = sentence[i % 4];
        size_t length = strlen(text);
        snprintf(text + length, sizeof text - length, "%.8s", next);
        talk_say(&t, "long", ++rev, text, false);
        talk_drain(&t);
        assert_in_range(t.book->batch.prefill_tokens + t.book->batch.shared_tokens, 9, 9 * 2 * 30);
        assert_true(t.book->batch.prefill_tokens <= 9 * 24);
        assert_true(t.book->batch.decode_tokens <= 9 * 2 * 24);
        strcat(text, next + 8);
    }
    talk_say(&t, "long", ++rev, text, true);
    talk_drain(&t);
    for (int l = 0; l < 9; l++) {
        const char *whole = translation(&t, "long", rev, l);
        int same = 0;
        assert_int_equal(ledger_find(t.book, "long", rev, talk_nine[l])->epoch, 0);
        /* In order: what was said of a sentence first comes again where it does. */
        for (const char *at = whole; (at = strchr(at, ' ')) != NULL; at++) same++;
        assert_true(same >= sentences - 1);
        assert_true(strlen(whole) > strlen(text) / 4);
    }
    talk_end(&t);
}

/* A word of the second of five sentences is changed: the first one stays, those behind the second
 * come again without the engine. */
static void test_edit_in_a_closed_sentence(void **state)
{
    (void)state;
    static const char before[] = "It is late. The dog sleeps. I drink tea. We go home. You wait";
    static const char after[] = "It is late. The cat sleeps. I drink tea. We go home. You wait";
    talk t = talk_new(typing);
    talk_say(&t, "e", 1, before, false);
    talk_drain(&t);
    uint32_t decoded = t.book->batch.decode_tokens;
    talk_say(&t, "e", 2, after, false);
    talk_drain(&t);
    assert_true(t.book->batch.decode_tokens < decoded * 2 / 3);
    talk_say(&t, "f", 1, "It is late.", true);
    talk_say(&t, "e", 3, after, true);
    talk_say(&t, "g", 1, after, true);
    talk_drain(&t);
    for (int l = 0; l < 9; l++) {
        const char *text = translation(&t, "e", 3, l);
        assert_int_equal(ledger_find(t.book, "e", 2, talk_nine[l])->epoch, 1);
        assert_int_equal(ledger_find(t.book, "e", 3, talk_nine[l])->epoch, 1);
        assert_string_equal(text, translation(&t, "g", 1, l));
        assert_memory_equal(text, translation(&t, "f", 1, l), strlen(translation(&t, "f", 1, l)));
    }
    talk_end(&t);
}

/* ---- at random ---- */

static uint64_t dice_state = 7;

static uint32_t dice(uint32_t sides)
{
    dice_state = dice_state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
    return (uint32_t)(dice_state >> 33) % sides;
}

static const char *const word[] = {" the", " cat", " is",   " late.", " Where", " tea",   "?",
                                   " I",   " buy", " 12",   "\n",     " Anna.", " bread", " and",
                                   " Mr.", " ok!", " \"No", ".\"",    " 😀",     " home"};
#define WORDS (sizeof word / sizeof *word)

/* Puts a word in at the end, mostly, or anywhere, or takes a stretch away. */
static void edit(char *text)
{
    size_t length = strlen(text), at = length;
    const char *put = word[dice(WORDS)];
    const size_t put_bytes = strlen(put);
    if (dice(4) == 0) at = dice((uint32_t)length + 1);
    while (at < length && (text[at] & 0xC0) == 0x80) at++;
    if (dice(6) == 0) {
        size_t end = at + dice(20);
        while (end < length && (text[end] & 0xC0) == 0x80) end++;
        if (end < length) memmove(text + at, text + end, length - end + 1);
    } else if (length < 300) {
        memmove(text + at + put_bytes, text + at, length - at + 1);
        for (size_t i = 0; i < put_bytes; i++) text[at + i] = put[i];
    }
}

/* Whatever was typed and taken back before, the end is what the text gives at once: nothing is
 * committed of an open sentence here, so nothing is forced. The ledger sees to the epochs. */
static void test_at_random(void **state)
{
    (void)state;
    uint32_t epochs = 0;
    for (int round = 0; round < size_of(20, 1); round++) {
        talk t = talk_new(runtime);
        char text[TEXT] = "Good morning", id[32];
        int64_t rev = 0;
        for (int i = 0; i < size_of(24, 12); i++) {
            for (uint32_t n = 1 + dice(4); n > 0; n--) edit(text);
            talk_say(&t, "r", ++rev, text, false);
            for (uint32_t polls = dice(12); polls > 0; polls--) hg_translator_poll(runtime, 2);
            if (dice(2)) talk_drain(&t);
        }
        talk_drain(&t);
        talk_say(&t, "r", ++rev, text, true);
        snprintf(id, sizeof id, "fresh%d", round);
        talk_say(&t, id, 1, text, true);
        talk_drain(&t);
        for (int l = 0; l < 9; l++) {
            epochs += ledger_find(t.book, "r", rev, talk_nine[l])->epoch;
            assert_string_equal(translation(&t, "r", rev, l), translation(&t, id, 1, l));
        }
        talk_end(&t);
    }
    assert_true(epochs > 0); /* the dice did their work */
}

/* The same with commits: the ledger checks that nothing is taken back within an epoch. */
static void test_at_random_committed(void **state)
{
    (void)state;
    for (int round = 0; round < size_of(30, 1); round++) {
        talk t = talk_new(typing);
        char text[TEXT] = "Good morning";
        for (int64_t rev = 1; rev <= 20; rev++) {
            edit(text);
            talk_say(&t, "c", rev, text, rev == 20);
            for (uint32_t polls = dice(12); polls > 0; polls--) hg_translator_poll(typing, 2);
        }
        talk_drain(&t);
        talk_end(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pasted),      cmocka_unit_test(test_without_letters),
        cmocka_unit_test(test_long_typing), cmocka_unit_test(test_edit_in_a_closed_sentence),
        cmocka_unit_test(test_at_random),   cmocka_unit_test(test_at_random_committed),
    };
    return cmocka_run_group_tests_name("segments", tests, open_runtimes, close_runtimes);
}
