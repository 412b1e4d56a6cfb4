/* test_conversation.c: sentences through the real runtime on hydra-tiny: counts, statuses, commits
 * and epochs of docs/PROTOCOL.md. tests/support/ledger.h checks the promises at every event. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/talk.h"

static hg_runtime *runtime;

static int open_runtime(void **state)
{
    (void)state;
    runtime = talk_runtime(HG_DRAFTS_AUTO, TALK_POLICY);
    return !runtime;
}

static int close_runtime(void **state)
{
    (void)state;
    hg_runtime_close(runtime);
    return 0;
}

/* Most tests ask like this. */
static hg_translate_request ask(const char *id, int64_t rev, const char *text,
                                const char *const *target, uint32_t targets)
{
    return (hg_translate_request){.id = id,
                                  .rev = rev,
                                  .text = text,
                                  .target = target,
                                  .targets = targets,
                                  .source = "en",
                                  .final = true,
                                  .stream = true};
}

static void accept(talk *t, const hg_translate_request *request)
{
    hg_refusal refusal;
    if (!hg_conversation_translate(t->conversation, request, &refusal)) {
        print_error("refused: %s: %s\n", hg_code_name(refusal.code), refusal.message);
        fail();
    }
}

/* The events of an accepted request never come before its call returns, so it is booked after. */
static void say(talk *t, const hg_translate_request *request)
{
    accept(t, request);
    ledger_accept(t->book, request, request->target, request->targets);
}

static void refused(talk *t, const hg_translate_request *request, hg_code code, const char *word)
{
    hg_refusal refusal;
    assert_false(hg_conversation_translate(t->conversation, request, &refusal));
    assert_string_equal(hg_code_name(refusal.code), hg_code_name(code));
    if (!strstr(refusal.message, word)) print_error("message: %s\n", refusal.message);
    assert_non_null(strstr(refusal.message, word));
}

static void test_nine_languages(void **state)
{
    (void)state;
    talk t = talk_new(runtime);
    hg_translate_request request = ask("m1", 1, "Where is the train station?", talk_nine, 9);
    say(&t, &request);
    talk_drain(&t);
    for (uint32_t i = 0; i < 9; i++) {
        const ledger_entry *entry = ledger_find(t.book, "m1", 1, talk_nine[i]);
        assert_string_equal(entry->status, "ok");
        assert_string_equal(entry->stop, "eos");
        assert_string_equal(entry->plugin, talk_nine[i]);
        assert_string_equal(entry->source, "en");
        assert_true(entry->tokens > 1 && *entry->text);
        assert_true(entry->committed >= 1);
        assert_true(entry->first_ms > 0);
    }
    assert_non_null(strstr(ledger_find(t.book, "m1", 1, "de")->text, "Wo ist"));
    const hg_batch_record *batch = &t.book->batch;
    assert_string_equal(batch->mode, "one-prompt-many-adapters");
    assert_string_equal(batch->session, "test");
    assert_string_equal(batch->source_language, "en");
    assert_int_equal(batch->source_chars, 27);
    /* begin_of_text, six tokens, the language's own: the source is prefilled once. */
    assert_int_equal(batch->prefill_tokens + batch->shared_tokens, 9 * 8);
    assert_true(batch->shared_tokens >= 8 * 7);
    assert_true(batch->tokens_per_s > 0 && batch->first_ms > 0);
    talk_end(&t);
}

/* Alone, a sentence that goes on commits nothing and is shown but for its last word; ended by a
 * mark it is all shown, its whole words committed. Ends only are whole, whatever comes. */
static void test_not_final(void **state)
{
    (void)state;
    talk t = talk_new(runtime);
    hg_translate_request request = ask("m1", 1, "Where is the train station", talk_nine, 9);
    request.final = false;
    say(&t, &request);
    talk_drain(&t);
    request.rev = 2;
    request.stream = false;
    say(&t, &request);
    talk_drain(&t);
    for (uint32_t i = 0; i < 9; i++) {
        const ledger_entry *typed = ledger_find(t.book, "m1", 1, talk_nine[i]);
        const ledger_entry *whole = ledger_find(t.book, "m1", 2, talk_nine[i]);
        assert_int_equal(typed->committed, 0);
        assert_true(strlen(typed->text) < strlen(whole->text));
        assert_memory_equal(typed->text, whole->text, strlen(typed->text));
        assert_int_equal(whole->tentative + whole->committed, 0);
    }
    request = ask("m1", 3, "Where is the train station?", talk_nine, 9);
    request.final = false;
    say(&t, &request);
    talk_drain(&t);
    for (uint32_t i = 0; i < 9; i++) {
        assert_true(ledger_find(t.book, "m1", 3, talk_nine[i])->committed > 0);
        assert_true(strlen(ledger_find(t.book, "m1", 3, talk_nine[i])->text) >
                    strlen(ledger_text_of(t.book, "m1", talk_nine[i])->joined));
    }
    talk_end(&t);
}

static void test_targets(void **state)
{
    (void)state;
    talk t = talk_new(runtime);
    const char *const target[] = {"DE",          "tlh",   "de",        "en-GB", "plugin:fr",
                                  "plugin:none", "zh-CN", "not a tag", "de-AT"};
    const char *const merged[] = {"DE",          "tlh",   "en-GB",     "plugin:fr",
                                  "plugin:none", "zh-CN", "not a tag", "de-AT"};
    hg_translate_request request = ask("m1", 1, " Good morning. ", target, 9);
    accept(&t, &request);
    ledger_accept(t.book, &request, merged, 8);
    talk_drain(&t);
    assert_string_equal(ledger_find(t.book, "m1", 1, "DE")->plugin, "de");
    assert_string_equal(ledger_find(t.book, "m1", 1, "de-AT")->plugin, "de");
    assert_string_equal(ledger_find(t.book, "m1", 1, "de-AT")->text,
                        ledger_find(t.book, "m1", 1, "DE")->text);
    assert_string_equal(ledger_find(t.book, "m1", 1, "zh-CN")->plugin, "zh");
    assert_string_equal(ledger_find(t.book, "m1", 1, "plugin:fr")->plugin, "fr");
    assert_int_equal(ledger_find(t.book, "m1", 1, "tlh")->code, HG_CODE_unknown_language);
    assert_int_equal(ledger_find(t.book, "m1", 1, "plugin:none")->code, HG_CODE_unknown_language);
    assert_int_equal(ledger_find(t.book, "m1", 1, "not a tag")->code, HG_CODE_unknown_language);
    assert_string_equal(ledger_find(t.book, "m1", 1, "en-GB")->stop, "unchanged");
    assert_string_equal(ledger_find(t.book, "m1", 1, "en-GB")->text, " Good morning. ");
    assert_int_equal(t.book->batch.lanes, 8);
    talk_end(&t);
}

static void test_sources(void **state)
{
    (void)state;
    talk t = talk_new(runtime);
    const char *const target[] = {"de", "ja", "en"};
    hg_translate_request request = ask("m1", 1, "Guten Morgen!", target, 3);
    request.source = "de";
    say(&t, &request);
    talk_drain(&t);
    assert_string_equal(ledger_find(t.book, "m1", 1, "de")->stop, "unchanged");
    assert_int_equal(ledger_find(t.book, "m1", 1, "ja")->code, HG_CODE_unsupported_source);
    assert_string_equal(ledger_find(t.book, "m1", 1, "en")->status, "ok");
    assert_string_equal(t.book->batch.mode, "one-adapter");
    request.id = "m2";
    request.source = "auto";
    say(&t, &request);
    talk_drain(&t);
    assert_string_equal(ledger_find(t.book, "m2", 1, "de")->source, "de");
    assert_string_equal(ledger_find(t.book, "m2", 1, "de")->stop, "unchanged");
    assert_string_equal(ledger_find(t.book, "m2", 1, "en")->stop, "eos");
    request.id = "m2b";
    request.text = "Tom"; /* could be any language's: then it is the one that most plugins take */
    say(&t, &request);
    talk_drain(&t);
    assert_string_equal(ledger_find(t.book, "m2b", 1, "de")->source, "en");
    request.id = "m3";
    request.source = "tlh";
    say(&t, &request);
    talk_drain(&t);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(ledger_find(t.book, "m3", 1, target[i])->code, HG_CODE_unsupported_source);
    assert_string_equal(t.book->batch.mode, "none");
    talk_end(&t);
}

static void test_empty_text(void **state)
{
    (void)state;
    talk t = talk_new(runtime);
    const char *const text[] = {"", " \t\n\u3000"};
    for (int i = 0; i < 2; i++) {
        hg_translate_request request = ask(i ? "m2" : "m1", 1, text[i], talk_nine, 9);
        say(&t, &request);
        hg_translator_poll(runtime, 0);
        assert_int_equal(hg_conversation_running(t.conversation), 0);
        talk_drain(&t);
        for (uint32_t j = 0; j < 9; j++) {
            const ledger_entry *entry = ledger_find(t.book, request.id, 1, talk_nine[j]);
            assert_string_equal(entry->status, "ok");
            assert_string_equal(entry->text, "");
        }
    }
    talk_end(&t);
}

static void test_refusals(void **state)
{
    (void)state;
    talk t = talk_new(runtime);
    char text[HG_LIMIT_TEXT * 2 + 16], id[HG_LIMIT_ID + 2];
    memset(id, 'x', sizeof id);
    id[HG_LIMIT_ID + 1] = '\0';
    hg_translate_request good = ask("m1", 5, "Good morning.", talk_nine, 9), bad = good;
    bad.id = id;
    refused(&t, &bad, HG_CODE_bad_field, "id:");
    bad = good;
    bad.id = "";
    refused(&t, &bad, HG_CODE_bad_field, "id:");
    bad = good;
    bad.text = "Good \xff morning";
    refused(&t, &bad, HG_CODE_bad_field, "text: byte 5");
    bad = good;
    bad.targets = 0;
    refused(&t, &bad, HG_CODE_bad_field, "targets:");
    bad = good;
    bad.source = "e_n!";
    refused(&t, &bad, HG_CODE_bad_field, "source:");
    bad = good;
    bad.temperature = -1;
    refused(&t, &bad, HG_CODE_bad_field, "temperature");
    bad = good;
    bad.top_p = 1.5f;
    refused(&t, &bad, HG_CODE_bad_field, "top_p");
    memset(text, 'a', sizeof text);
    text[HG_LIMIT_TEXT + 1] = '\0';
    bad = good;
    bad.text = text;
    refused(&t, &bad, HG_CODE_text_too_long, "8001 code points, at most 8000");
    for (int i = 0; i < 300; i++) memcpy(text + 2 * i, i % 2 ? " x" : " q", 3);
    refused(&t, &bad, HG_CODE_text_too_long, "this model reads at most 256");
    /* A refused request leaves no trace: its rev is still free. */
    say(&t, &good);
    refused(&t, &good, HG_CODE_stale_rev, "5 is not above 5");
    talk_drain(&t);
    refused(&t, &good, HG_CODE_stale_rev, "5 is not above 5");
    good.rev = 6;
    refused(&t, &good, HG_CODE_id_final, "m1");
    talk_end(&t);
}

static void test_many_targets(void **state)
{
    (void)state;
    talk t = talk_new(runtime);
    char name[40][8];
    const char *target[40];
    for (int i = 0; i < 40; i++) {
        snprintf(name[i], sizeof name[i], "de-%03u",
                 (100U + (unsigned)i) % 1000); /* UN M.49 regions: all German */
        target[i] = name[i];
    }
    hg_translate_request request = ask("m1", 1, "Good morning.", target, 32);
    say(&t, &request);
    talk_drain(&t);
    assert_int_equal(t.book->batch.lanes, 32);
    for (int i = 0; i < 32; i++) {
        const ledger_entry *entry = ledger_find(t.book, "m1", 1, name[i]);
        assert_string_equal(entry->status, "ok");
        assert_string_equal(entry->text, ledger_find(t.book, "m1", 1, name[0])->text);
    }
    request.id = "m2";
    request.targets = 33;
    refused(&t, &request, HG_CODE_too_many_targets, "32");
    for (int i = 0; i < 40; i++) target[i] = i % 2 ? "de" : "DE"; /* these merge */
    request.targets = 40;
    accept(&t, &request);
    ledger_accept(t.book, &request, target, 1);
    talk_drain(&t);
    talk_end(&t);
}

static void test_busy(void **state)
{
    (void)state;
    talk t = talk_new(runtime);
    char id[HG_LIMIT_SESSION_JOBS + 1][8];
    for (int i = 0; i <= HG_LIMIT_SESSION_JOBS; i++) {
        snprintf(id[i], sizeof id[i], "b%u", (unsigned)i % 100);
        hg_translate_request request = ask(id[i], 1, "Where is the train station?", talk_nine, 9);
        if (i < HG_LIMIT_SESSION_JOBS) {
            say(&t, &request);
        } else {
            refused(&t, &request, HG_CODE_busy, "8 sentences");
        }
    }
    hg_translate_request newer = ask(id[0], 2, "Where is the train?", talk_nine, 9);
    say(&t, &newer); /* it takes the place of its older revision */
    talk_drain(&t);
    assert_string_equal(ledger_find(t.book, id[0], 1, "de")->status, "superseded");
    talk_end(&t);
}

static void test_cancel_and_deadline(void **state)
{
    (void)state;
    talk t = talk_new(runtime);
    hg_translate_request request = ask("m1", 1, "Where is the train station?", talk_nine, 9);
    assert_false(hg_conversation_cancel(t.conversation, "m1"));
    say(&t, &request);
    assert_true(hg_conversation_cancel(t.conversation, "m1"));
    assert_false(hg_conversation_cancel(t.conversation, "m1"));
    talk_drain(&t);
    for (uint32_t i = 0; i < 9; i++)
        assert_string_equal(ledger_find(t.book, "m1", 1, talk_nine[i])->status, "cancelled");
    request.rev = 2; /* a cancelled final revision is no end of the sentence */
    request.deadline_ms = 1;
    request.received_us = 1; /* long ago */
    say(&t, &request);
    talk_drain(&t);
    for (uint32_t i = 0; i < 9; i++) {
        const ledger_entry *entry = ledger_find(t.book, "m1", 2, talk_nine[i]);
        assert_string_equal(entry->status, "failed");
        assert_int_equal(entry->code, HG_CODE_deadline);
    }
    request.rev = 3;
    request.deadline_ms = 0;
    request.received_us = 0;
    say(&t, &request);
    talk_drain(&t);
    assert_string_equal(ledger_find(t.book, "m1", 3, "de")->status, "ok");
    talk_end(&t);
}

static void test_length(void **state)
{
    (void)state;
    talk t = talk_new(runtime);
    hg_translate_request request = ask("m1", 1, "Where is the train station?", talk_nine, 9);
    request.max_tokens = 2;
    say(&t, &request);
    talk_drain(&t);
    for (uint32_t i = 0; i < 9; i++) {
        const ledger_entry *entry = ledger_find(t.book, "m1", 1, talk_nine[i]);
        assert_string_equal(entry->status, "ok");
        assert_string_equal(entry->stop, "length");
        assert_int_equal(entry->tokens, 2);
    }
    talk_end(&t);
}

/* An edit of what commits rest on starts the next epoch; going on does not. */
static void test_epochs(void **state)
{
    (void)state;
    static const char *const text[] = {
        "The train station is behind the old church.",
        "The train station is behind the old church. It is cold.",
        "A train station is behind the old church. It is cold.",
    };
    talk t = talk_new(runtime);
    const char *const target[] = {"de", "en"}; /* en keeps pace at once, de is on its way */
    uint32_t epoch = 0;
    for (int i = 0; i < 3; i++) {
        hg_translate_request request = ask("m1", i + 1, text[i], target, 2);
        say(&t, &request);
        while (!ledger_find(t.book, "m1", i + 1, "de")->committed) hg_translator_poll(runtime, 10);
        assert_int_equal(ledger_text_of(t.book, "m1", "de")->epoch, i == 2 ? epoch + 1 : epoch);
        assert_int_equal(ledger_text_of(t.book, "m1", "en")->epoch, i == 2 ? 1 : 0);
        epoch = ledger_text_of(t.book, "m1", "de")->epoch;
        if (ledger_find(t.book, "m1", i + 1, "de")->done) break; /* the machine was too quick */
    }
    talk_drain(&t);
    talk_end(&t);
}

/* ---- at random ---- */

static uint64_t dice_state;

static uint32_t dice(uint32_t sides)
{
    dice_state = dice_state * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
    return (uint32_t)(dice_state >> 33) % sides;
}

/* Adds a word, takes the last one away, or changes the first. */
static void edit(char *text, size_t size)
{
    static const char *const word[] = {"the", "train", "is",  "late",  "today.", "Where",
                                       "can", "I",     "buy", "bread", "and",    "你好"};
    uint32_t what = dice(8);
    size_t length = strlen(text);
    if (what == 0 && strrchr(text, ' ')) {
        *strrchr(text, ' ') = '\0';
    } else if (what == 1 && length && (unsigned char)*text < 0x80) {
        text[0] = text[0] == 'T' ? 'A' : 'T';
    } else if (length + 16 < size) {
        snprintf(text + length, size - length, "%s%s", length ? " " : "", word[dice(12)]);
    }
}

typedef struct typist {
    char id[16], text[160];
    int64_t rev;
} typist;

static void type(talk *t, typist *who, uint32_t *ids)
{
    static const char *const any[] = {"de", "es", "fr", "ja", "nl", "ru",
                                      "sv", "tr", "zh", "en", "tlh"};
    const char *target[11];
    uint32_t targets = 0;
    for (uint32_t i = 0; i < 11; i++)
        if (dice(3)) target[targets++] = any[i];
    if (!targets) target[targets++] = "de";
    edit(who->text, sizeof who->text);
    hg_translate_request request = ask(who->id, ++who->rev, who->text, target, targets);
    request.final = dice(3) > 0;
    request.stream = dice(5) > 0;
    hg_refusal refusal;
    if (hg_conversation_translate(t->conversation, &request, &refusal)) {
        ledger_accept(t->book, &request, target, targets);
        return;
    }
    if (refusal.code == HG_CODE_busy) return; /* typed faster than the engine forgets */
    assert_int_equal(refusal.code, HG_CODE_id_final);
    snprintf(who->id, sizeof who->id, "s%u", ++*ids);
    *who->text = '\0';
    who->rev = 0;
}

#define SEEDS 2

static void test_at_random(void **state)
{
    (void)state;
    uint32_t superseded = 0, cancelled = 0, epochs = 0;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        dice_state = seed;
        talk t = talk_new(runtime);
        typist who[4] = {{.id = "a"}, {.id = "b"}, {.id = "c"}, {.id = "d"}};
        uint32_t ids = 0;
        for (int step = 0; step < 100; step++) {
            typist *one = &who[dice(4)];
            if (dice(12)) {
                type(&t, one, &ids);
            } else {
                (void)hg_conversation_cancel(t.conversation, one->id);
            }
            for (uint32_t polls = dice(6); polls > 0; polls--) hg_translator_poll(runtime, 2);
        }
        talk_drain(&t);
        for (uint32_t i = 0; i < t.book->entries; i++) {
            superseded += !strcmp(t.book->entry[i].status, "superseded");
            cancelled += !strcmp(t.book->entry[i].status, "cancelled");
            epochs += t.book->entry[i].epoch > 0;
        }
        talk_end(&t);
    }
    /* The dice did their work. */
    assert_true(superseded > 5 * SEEDS && cancelled > SEEDS && epochs > SEEDS);
}

/* Freed while it runs: nothing comes any more, and the engine's news find nobody. */
static void test_freed_while_running(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        talk t = talk_new(runtime);
        hg_translate_request request = ask("m1", 1, "Where is the train station?", talk_nine, 9);
        say(&t, &request);
        hg_translator_poll(runtime, i % 4);
        talk_end(&t);
    }
    for (int i = 0; i < 100 && hg_translator_poll(runtime, 20); i++) continue;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nine_languages),
        cmocka_unit_test(test_not_final),
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_sources),
        cmocka_unit_test(test_empty_text),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_many_targets),
        cmocka_unit_test(test_busy),
        cmocka_unit_test(test_cancel_and_deadline),
        cmocka_unit_test(test_length),
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_at_random),
        cmocka_unit_test(test_freed_while_running),
    };
    return cmocka_run_group_tests(tests, open_runtime, close_runtime);
}
