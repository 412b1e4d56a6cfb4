/* ledger.c: the checks of ledger.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/ledger.h"

#define LEDGER_CHECK(ok, ...)                                                                      \
    do {                                                                                           \
        if (!(ok)) {                                                                               \
            print_error(__VA_ARGS__);                                                              \
            print_error("\n");                                                                     \
            fail();                                                                                \
        }                                                                                          \
    } while (0)

ledger *ledger_new(void)
{
    ledger *book = calloc(1, sizeof *book);
    assert_non_null(book);
    return book;
}

void ledger_free(ledger *book)
{
    for (uint32_t i = 0; i < book->entries; i++) free(book->entry[i].text);
    for (uint32_t i = 0; i < book->texts; i++) free(book->text[i]);
    free(book);
}

ledger_entry *ledger_find(ledger *book, const char *id, int64_t rev, const char *language)
{
    for (uint32_t i = book->entries; i > 0; i--) {
        ledger_entry *entry = &book->entry[i - 1];
        if (entry->rev == rev && !strcmp(entry->id, id) && !strcmp(entry->language, language))
            return entry;
    }
    return NULL;
}

ledger_text *ledger_text_of(ledger *book, const char *id, const char *language)
{
    for (uint32_t i = 0; i < book->texts; i++)
        if (!strcmp(book->text[i]->id, id) && !strcmp(book->text[i]->language, language))
            return book->text[i];
    assert_true(book->texts < 1024);
    ledger_text *text = calloc(1, sizeof *text);
    assert_non_null(text);
    snprintf(text->id, sizeof text->id, "%s", id);
    snprintf(text->language, sizeof text->language, "%s", language);
    return book->text[book->texts++] = text;
}

void ledger_accept(ledger *book, const hg_translate_request *request, const char *const *language,
                   uint32_t count)
{
    book->requests++;
    for (uint32_t i = 0; i < count; i++) {
        assert_true(book->entries < LEDGER_ENTRIES);
        ledger_entry *entry = &book->entry[book->entries++];
        snprintf(entry->id, sizeof entry->id, "%s", request->id);
        snprintf(entry->language, sizeof entry->language, "%s", language[i]);
        entry->rev = request->rev;
        entry->final = request->final;
        entry->stream = request->stream;
    }
}

static void ledger_done(ledger_entry *entry, const hg_event *event, const char *joined)
{
    entry->done++;
    entry->epoch = event->epoch;
    entry->tokens = event->tokens;
    entry->generation = event->generation;
    entry->code = event->code;
    entry->first_ms = event->first_ms;
    entry->total_ms = event->total_ms;
    entry->text = strdup(event->text);
    snprintf(entry->status, sizeof entry->status, "%s", event->status);
    snprintf(entry->stop, sizeof entry->stop, "%s", event->stop);
    snprintf(entry->plugin, sizeof entry->plugin, "%s", event->plugin);
    snprintf(entry->source, sizeof entry->source, "%s", event->source);
    LEDGER_CHECK(!strncmp(event->text, joined, strlen(joined)),
                 "%s %lld %s epoch %u (%s): \"%s\" does not begin with \"%s\"", event->id,
                 (long long)event->rev, event->language, event->epoch, event->status, event->text,
                 joined);
    if (entry->final && entry->stream && !strcmp(event->status, "ok"))
        LEDGER_CHECK(!strcmp(event->text, joined), "%s %s: final \"%s\", committed \"%s\"",
                     event->id, event->language, event->text, joined);
    bool ok = !strcmp(event->status, "ok");
    LEDGER_CHECK(ok == (*event->stop != '\0'), "stop \"%s\" with %s", event->stop, event->status);
    LEDGER_CHECK((event->code != HG_CODE_NONE) == !strcmp(event->status, "failed"),
                 "code \"%s\" with %s", hg_code_name(event->code), event->status);
    LEDGER_CHECK(event->first_ms <= event->total_ms, "first %f, total %f", event->first_ms,
                 event->total_ms);
}

static void ledger_batch(ledger *book, const hg_event *event)
{
    uint32_t lanes = 0;
    for (uint32_t i = 0; i < book->entries; i++) {
        const ledger_entry *entry = &book->entry[i];
        if (entry->rev != event->rev || strcmp(entry->id, event->id) != 0) continue;
        lanes++;
        LEDGER_CHECK(entry->done == 1, "batch of %s %lld before the end of %s", event->id,
                     (long long)event->rev, entry->language);
    }
    LEDGER_CHECK(lanes == event->batch->lanes, "%u lanes, asked for %u", event->batch->lanes,
                 lanes);
    book->batches++;
    book->batch = *event->batch;
}

void ledger_take(const hg_event *event, void *context)
{
    ledger *book = context;
    if (event->type == HG_EVENT_BATCH) {
        ledger_batch(book, event);
        return;
    }
    ledger_entry *entry = ledger_find(book, event->id, event->rev, event->language);
    LEDGER_CHECK(entry, "event for %s %lld %s, which nobody asked for", event->id,
                 (long long)event->rev, event->language);
    LEDGER_CHECK(!entry->done, "event for %s %lld %s after its end", event->id,
                 (long long)event->rev, event->language);
    ledger_text *text = ledger_text_of(book, event->id, event->language);
    LEDGER_CHECK(event->epoch >= text->epoch, "epoch falls from %u to %u", text->epoch,
                 event->epoch);
    if (event->epoch > text->epoch) *text->joined = '\0';
    text->epoch = event->epoch;
    if (event->type == HG_EVENT_DONE) {
        ledger_done(entry, event, text->joined);
        return;
    }
    LEDGER_CHECK(entry->stream && *event->text, "an empty piece, or one that was not asked for");
    if (event->type == HG_EVENT_TENTATIVE) {
        entry->tentative++;
        return;
    }
    entry->committed++;
    LEDGER_CHECK(strlen(text->joined) + strlen(event->text) < LEDGER_TEXT, "too much text");
    memcpy(text->joined + strlen(text->joined), event->text, strlen(event->text) + 1);
}
