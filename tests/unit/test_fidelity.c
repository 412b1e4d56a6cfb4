/* test_fidelity.c: what is protected comes through the real runtime on hydra-tiny in all nine
 * languages, of each kind, said at once and typed word by word: byte for byte, exactly once, never
 * torn by the end of a committed piece. A glossary's words come the same way.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/talk.h"

#define BORDERS 64

static hg_runtime *typing;

/* Where the committed pieces of one language's present epoch end. */
typedef struct borders {
    uint32_t epoch, count;
    size_t at[BORDERS];
} borders;

typedef struct listener {
    ledger *book;
    hg_conversation *conversation;
    borders of[9]; /* of the sentence that runs */
} listener;

static int language_of(const char *tag)
{
    int l = 0;
    while (strcmp(talk_nine[l], tag) != 0) l++;
    return l;
}

static void take(const hg_event *event, void *context)
{
    listener *ear = context;
    ledger_take(event, ear->book);
    if (event->type != HG_EVENT_COMMITTED) return;
    borders *b = &ear->of[language_of(event->language)];
    if (b->epoch != event->epoch) *b = (borders){.epoch = event->epoch};
    size_t last = b->count ? b->at[b->count - 1] : 0;
    assert_true(b->count < BORDERS);
    b->at[b->count++] = last + strlen(event->text);
}

static int open_runtime(void **state)
{
    (void)state;
    typing = talk_runtime(HG_DRAFTS_AUTO, TALK_POLICY);
    return !typing;
}

static int close_runtime(void **state)
{
    (void)state;
    hg_runtime_close(typing);
    return 0;
}

static listener *listen(void)
{
    hg_error error;
    listener *ear = calloc(1, sizeof *ear);
    assert_non_null(ear);
    ear->book = ledger_new();
    assert_int_equal(hg_conversation_new(typing, "fidelity", take, ear, &ear->conversation, &error),
                     HG_OK);
    return ear;
}

static void stop(listener *ear)
{
    hg_conversation_free(ear->conversation);
    ledger_free(ear->book);
    free(ear);
}

static void say(listener *ear, hg_translate_request request)
{
    hg_refusal refusal;
    request.target = talk_nine;
    request.targets = 9;
    request.source = "en";
    request.stream = true;
    if (!hg_conversation_translate(ear->conversation, &request, &refusal))
        fail_msg("refused: %s", refusal.message);
    ledger_accept(ear->book, &request, talk_nine, 9);
}

static void drain(listener *ear)
{
    while (hg_conversation_running(ear->conversation)) hg_translator_poll(typing, 100);
}

/* How often span is in text. Digits beside those of a number would make it another one. */
static int times(const char *text, const char *span, const char **first)
{
    int count = 0;
    const size_t length = strlen(span);
    for (const char *at = text; (at = strstr(at, span)); at += length) {
        bool digit = span[length - 1] >= '0' && span[length - 1] <= '9';
        if (digit && at[length] >= '0' && at[length] <= '9') continue;
        if (!count++) *first = at;
    }
    return count;
}

/* A sentence and its spans. */
typedef struct sample {
    const char *text, *span[4];
} sample;

static const sample samples[] = {
    {"Please visit https://example.com/a?b=c&d=E.F#top for more details.",
     {"https://example.com/a?b=c&d=E.F#top"}},
    {"You can write to anna.smith+x@mail.example.org before Friday.",
     {"anna.smith+x@mail.example.org"}},
    {"@maria_9 is coming home with @jo@social.example tonight.",
     {"@maria_9", "@jo@social.example"}},
    {"I love #python3 and #coffee in the morning.", {"#python3", "#coffee"}},
    {"The room is 25 m² and it costs $1,200.50 a month.", {"25 m²", "$1,200.50"}},
    {"The train leaves at 10:45 from platform 3.", {"10:45", "3"}},
    {"He bought 250 oranges and lost 15% of them.", {"250", "15%"}},
    {"Hello {first_name}, you have {count} new books.", {"{first_name}", "{count}"}},
    {"You must run `make check -j2` before you go home.", {"`make check -j2`"}},
    {"This is <b class=\"x\">very</b> important to me.", {"<b class=\"x\">", "</b>"}},
    {"This book is **really** good and [this page](https://x.org/y) too.",
     {"**really", "[", "](https://x.org/y)"}},
    {"I am so happy 👩‍👩‍👧👍🏽 today because it is raining.",
     {"👩‍👩‍👧👍🏽"}},
    {"Tom saw @maria with his A380 in Boston.", {"@maria", "A380"}},
};

#define SAMPLES (sizeof samples / sizeof *samples)

/* A pair's first sign alone may stand before another word. */
static const char *what(const char *span)
{
    return strcmp(span, "**really") == 0 ? "**" : span;
}

static void has_once(const char *language, const char *text, const char *span)
{
    const char *at;
    int wanted = strcmp(span, "**") == 0 ? 2 : 1, count = times(text, span, &at);
    if (count != wanted) fail_msg("%s: \"%s\" is %d times in: %s", language, span, count, text);
}

static void not_torn(const borders *b, const char *text, const char *span)
{
    const char *at = strstr(text, span);
    assert_non_null(at);
    const size_t start = (size_t)(at - text), end = start + strlen(span);
    for (uint32_t i = 0; i < b->count; i++)
        if (b->at[i] > start && b->at[i] < end)
            fail_msg("a piece ends %zu bytes into \"%s\": %s", b->at[i] - start, span, text);
}

static void check(listener *ear, const char *id, int64_t rev, const sample *s, uint32_t spans)
{
    for (int l = 0; l < 9; l++) {
        const ledger_entry *entry = ledger_find(ear->book, id, rev, talk_nine[l]);
        assert_string_equal(entry->status, "ok");
        for (uint32_t i = 0; i < spans; i++) {
            has_once(talk_nine[l], entry->text, what(s->span[i]));
            not_torn(&ear->of[l], entry->text, what(s->span[i]));
        }
    }
}

static uint32_t spans_of(const sample *s)
{
    uint32_t count = 0;
    while (count < 4 && s->span[count]) count++;
    return count;
}

static void test_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        listener *ear = listen();
        say(ear,
            (hg_translate_request){.id = "s", .rev = 1, .text = samples[i].text, .final = true});
        drain(ear);
        check(ear, "s", 1, &samples[i], spans_of(&samples[i]));
        stop(ear);
    }
}

/* Each word is a revision. What a revision shows of a sentence that goes on may lack its end; the
 * final one has all of it, and no epoch was begun but by what turned words into a span. */
static void test_typed(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLES; i++) {
        listener *ear = listen();
        char so_far[256];
        int64_t rev = 0;
        for (const char *at = samples[i].text; *at;) {
            at += strcspn(at + 1, " ") + 1;
            snprintf(so_far, sizeof so_far, "%.*s", (int)(at - samples[i].text), samples[i].text);
            say(ear, (hg_translate_request){.id = "s", .rev = ++rev, .text = so_far});
            drain(ear);
        }
        say(ear, (hg_translate_request){
                     .id = "s", .rev = ++rev, .text = samples[i].text, .final = true});
        drain(ear);
        check(ear, "s", rev, &samples[i], spans_of(&samples[i]));
        stop(ear);
    }
}

/* Letters that come one by one: a URL, a number and code grow from nothing. */
static void test_growing(void **state)
{
    (void)state;
    static const sample grown = {"We met @jo at 10:45 near www.x.org/a.b and `a b. C` there.",
                                 {"@jo", "10:45", "www.x.org/a.b", "`a b. C`"}};
    listener *ear = listen();
    char so_far[128];
    for (size_t n = 1; n <= strlen(grown.text); n++) {
        snprintf(so_far, sizeof so_far, "%.*s", (int)n, grown.text);
        say(ear, (hg_translate_request){.id = "g", .rev = (int64_t)n, .text = so_far});
        drain(ear);
    }
    say(ear, (hg_translate_request){.id = "g", .rev = 1000, .text = grown.text, .final = true});
    drain(ear);
    check(ear, "g", 1000, &grown, 4);
    stop(ear);
}

/* What has no word beside what is protected comes back as it is, and so does what stands between
 * sentences. */
static void test_nothing_else(void **state)
{
    (void)state;
    static const char *const texts[] = {"https://example.com/x", "@maria #tag 😀", "{name}",
                                        "`code here`", "<br>"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        listener *ear = listen();
        say(ear, (hg_translate_request){.id = "n", .rev = 1, .text = texts[i], .final = true});
        drain(ear);
        for (int l = 0; l < 9; l++)
            assert_string_equal(ledger_find(ear->book, "n", 1, talk_nine[l])->text, texts[i]);
        stop(ear);
    }
}

/* More spans than one sentence carries: the last of them reaches to the end of all. */
static void test_too_many(void **state)
{
    (void)state;
    char text[2048] = "I have";
    for (int i = 0; i < 100; i++) sprintf(text + strlen(text), " #t%d", i);
    strcat(text, " here.");
    listener *ear = listen();
    say(ear, (hg_translate_request){.id = "m", .rev = 1, .text = text, .final = true});
    drain(ear);
    for (int i = 0; i < 100; i++) {
        char span[16];
        snprintf(span, sizeof span, "#t%d", i);
        for (int l = 0; l < 9; l++)
            has_once(talk_nine[l], ledger_find(ear->book, "m", 1, talk_nine[l])->text, span);
    }
    stop(ear);
}

/* A glossary's words are those of each language that has one, whatever the case of the source's. */
static void test_glossary(void **state)
{
    (void)state;
    static const char *const word[9] = {"Hydrawagen", "Hidracarro", "Hydrachar",
                                        "ヒドラ車",   "Hydrakar",   "Гидротележка",
                                        "Hydravagn",  NULL,         "九头车"};
    hg_glossary *glossary = hg_glossary_new();
    hg_error error;
    for (int l = 0; l < 9; l++) {
        hg_tag tag;
        if (!word[l]) continue;
        assert_int_equal(hg_tag_parse(talk_nine[l], &tag, &error), HG_OK);
        assert_int_equal(hg_glossary_add(glossary, "HydraCart", &tag, "old"), HG_OK);
        assert_int_equal(hg_glossary_add(glossary, "HydraCart", &tag, word[l]), HG_OK);
    }
    listener *ear = listen();
    say(ear, (hg_translate_request){.id = "g",
                                    .rev = 1,
                                    .text = "I bought the hydracart for 15 € in Boston.",
                                    .glossary = glossary,
                                    .final = true});
    hg_glossary_release(glossary); /* the request holds it */
    drain(ear);
    for (int l = 0; l < 9; l++) {
        const char *text = ledger_find(ear->book, "g", 1, talk_nine[l])->text;
        has_once(talk_nine[l], text, "15 €");
        if (word[l]) has_once(talk_nine[l], text, word[l]);
    }
    stop(ear);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_at_once),  cmocka_unit_test(test_typed),
        cmocka_unit_test(test_growing),  cmocka_unit_test(test_nothing_else),
        cmocka_unit_test(test_too_many), cmocka_unit_test(test_glossary),
    };
    return cmocka_run_group_tests(tests, open_runtime, close_runtime);
}
