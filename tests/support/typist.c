/* typist.c: see typist.h. All readers type their n-th sentence at the same time, revision by
 * revision, each in a conversation of its own. */
#include "tests/support/typist.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX  4096
#define WORDS_MAX 64
#define EDIT_IN   4 /* one revision in so many is mistyped */

/* What a client has of the sentence. */
typedef struct reader {
    hg_conversation *conversation;
    typist_score *score;
    uint32_t epoch;
    char text[TEXT_MAX]; /* committed, then tentative */
    size_t committed;
    float shown_at[TEXT_MAX], committed_at[TEXT_MAX]; /* by byte: source words typed by then */
    char id[32];
    uint32_t number; /* of the sentence */
    int64_t rev;
    float words; /* of the revision being translated */
    char *word[WORDS_MAX], copy[TEXT_MAX];
    uint32_t count;
    char fresh[TEXT_MAX]; /* translated at once */
} reader;

static double points(const char *text, size_t bytes)
{
    double n = 0;
    for (size_t i = 0; i < bytes; i++) n += (text[i] & 0xC0) != 0x80;
    return n;
}

/* ---- reading ---- */

static void show(reader *r, const char *text, size_t committed)
{
    size_t same = 0, length = strlen(text), before = strlen(r->text);
    assert_true(length < TEXT_MAX);
    while (same < length && text[same] == r->text[same]) same++;
    r->score->erased += points(r->text + same, before - same);
    if (same < r->committed) r->score->committed_taken_back += points(r->text, r->committed - same);
    for (size_t i = same; i < length; i++) r->shown_at[i] = r->words;
    for (size_t i = r->committed; i < committed; i++) r->committed_at[i] = r->words;
    memcpy(r->text, text, length + 1);
    r->committed = committed;
}

static void take_text(reader *r, const hg_event *event)
{
    char text[TEXT_MAX];
    bool commit = event->type == HG_EVENT_COMMITTED;
    bool known = !commit || strncmp(r->text + r->committed, event->text, strlen(event->text)) == 0;
    size_t kept = r->committed + (commit ? strlen(event->text) : 0);
    snprintf(text, sizeof text, "%.*s%s%s", (int)r->committed, r->text, event->text,
             commit && known ? r->text + kept : "");
    show(r, text, commit ? kept : r->committed);
}

static void take(const hg_event *event, void *context)
{
    reader *r = context;
    if (event->type == HG_EVENT_BATCH) {
        r->score->decoded += event->batch->decode_tokens;
        return;
    }
    if (strcmp(event->id, r->id) != 0) {
        if (event->type == HG_EVENT_DONE) snprintf(r->fresh, sizeof r->fresh, "%s", event->text);
        return;
    }
    if (event->epoch > r->epoch) r->committed = 0;
    r->score->epochs += event->epoch > r->epoch;
    r->epoch = event->epoch;
    if (event->type != HG_EVENT_DONE)
        take_text(r, event);
    else
        show(r, event->text, r->committed);
}

/* ---- typing ---- */

static void say(reader *r, const char *id, int64_t rev, const char *text, bool final)
{
    hg_refusal refusal;
    hg_translate_request request = {.id = id,
                                    .rev = rev,
                                    .text = text,
                                    .target = &r->score->language,
                                    .targets = 1,
                                    .source = "en",
                                    .final = final,
                                    .stream = true};
    if (!hg_conversation_translate(r->conversation, &request, &refusal))
        fail_msg("refused: %s", refusal.message);
}

/* The first words of the sentence; one in EDIT_IN times, with edits, mistyped. */
static void type(reader *r, uint32_t words, bool edits)
{
    char text[TEXT_MAX] = "";
    const char *word[WORDS_MAX + 1];
    uint32_t count = words;
    for (uint32_t i = 0; i < words; i++) word[i] = r->word[i];
    if (edits && rand() % EDIT_IN == 0) {
        uint32_t at = (uint32_t)rand() % words;
        const char *other = r->word[(uint32_t)rand() % r->count];
        switch (rand() % 3) {
        case 0: word[at] = other; break;
        case 1: memmove(&word[at], &word[at + 1], (--count - at) * sizeof *word); break;
        default: memmove(&word[at + 1], &word[at], (count++ - at) * sizeof *word); word[at] = other;
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (i) strcat(text, " ");
        strcat(text, word[i]);
    }
    r->words = (float)words;
    say(r, r->id, ++r->rev, text, false);
}

static void begin(reader *r, const typist_line *line, bool edits)
{
    snprintf(r->id, sizeof r->id, "%u%s", ++r->number, edits ? "e" : "");
    snprintf(r->copy, sizeof r->copy, "%s", line->source);
    r->count = 0;
    char *rest = r->copy, *word;
    while ((word = strsep(&rest, " ")) != NULL) {
        assert_true(r->count < WORDS_MAX);
        if (*word) r->word[r->count++] = word;
    }
    *r->text = '\0';
    r->committed = 0;
    r->epoch = 0;
    r->rev = 0;
}

/* ---- figures ---- */

/* Mean over the text of how many source words had come when a place of it came, beyond those that
 * stand at the same share of the source; and AL, which stops at the first place that came with the
 * whole source. */
static void add_lag(const reader *r, const float *came, double *lag, double *average_lagging)
{
    size_t bytes = strlen(r->text);
    double all = points(r->text, bytes), sum = 0, until = 0, at = 0, stopped = 0;
    if (!bytes) return;
    for (size_t i = 0; i < bytes; i++) {
        if ((r->text[i] & 0xC0) == 0x80) continue;
        double share = r->count / all;
        sum += came[i] - (at + 1) * share;
        if (!stopped) until += came[i] - at * share;
        at++;
        if (!stopped && came[i] >= (float)r->count) stopped = at;
    }
    *lag += sum / all;
    *average_lagging += until / (stopped ? stopped : all);
}

static void finish(reader *r, const typist_line *line)
{
    typist_score *score = r->score;
    add_lag(r, r->shown_at, &score->lag_shown, &score->average_lagging_shown);
    add_lag(r, r->committed_at, &score->lag_committed, &score->average_lagging_committed);
    score->written += points(r->text, strlen(r->text));
    score->sentences++;
    assert_int_equal(hg_chrf_add(&score->typed, r->text, line->reference), HG_OK);
    assert_int_equal(hg_chrf_add(&score->at_once, r->fresh, line->reference), HG_OK);
}

/* ---- all of them ---- */

static void drain(hg_runtime *runtime, const reader *all, uint32_t readers)
{
    for (uint32_t i = 0; i < readers; i++)
        while (hg_conversation_running(all[i].conversation)) hg_translator_poll(runtime, 100);
}

static void type_one(hg_runtime *runtime, reader *all, const typist_line *const *line,
                     uint32_t number, uint32_t readers, bool edits)
{
    uint32_t most = 0, committed[TYPIST_READERS][2] = {{0}};
    char fresh[64];
    for (uint32_t i = 0; i < readers; i++) {
        begin(&all[i], &line[i][number], edits);
        if (all[i].count > most) most = all[i].count;
    }
    for (uint32_t words = 1; words <= most; words++) {
        for (uint32_t i = 0; i < readers; i++) {
            if (words == all[i].count) committed[i][0] = (uint32_t)all[i].committed;
            if (words <= all[i].count) type(&all[i], words, edits && words < all[i].count);
        }
        drain(runtime, all, readers);
    }
    for (uint32_t i = 0; i < readers; i++) {
        committed[i][1] = (uint32_t)all[i].committed;
        say(&all[i], all[i].id, ++all[i].rev, line[i][number].source, true);
        snprintf(fresh, sizeof fresh, "%s at once", all[i].id);
        say(&all[i], fresh, 1, line[i][number].source, true);
    }
    drain(runtime, all, readers);
    for (uint32_t i = 0; i < readers; i++) {
        double written = points(all[i].text, strlen(all[i].text));
        if (written > 0) {
            all[i].score->before_last += points(all[i].text, committed[i][0]) / written;
            all[i].score->before_final += points(all[i].text, committed[i][1]) / written;
        }
        finish(&all[i], &line[i][number]);
    }
}

void typist_type(hg_runtime *runtime, const typist_line *const *line, uint32_t lines,
                 uint32_t readers, bool edits, typist_score *out)
{
    hg_error error = {0};
    reader *all = calloc(readers, sizeof *all);
    assert_true(all && readers <= TYPIST_READERS);
    srand(20261124);
    for (uint32_t i = 0; i < readers; i++) {
        all[i].score = &out[i];
        assert_int_equal(
            hg_conversation_new(runtime, "typist", take, &all[i], &all[i].conversation, &error),
            HG_OK);
    }
    for (uint32_t n = 0; n < lines; n++) type_one(runtime, all, line, n, readers, edits);
    for (uint32_t i = 0; i < readers; i++) hg_conversation_free(all[i].conversation);
    free(all);
}

void typist_print(const char *name, const typist_score *score, uint32_t readers)
{
    for (uint32_t i = 0; i < readers; i++) {
        const typist_score *s = &score[i];
        double n = s->sentences;
        printf(
            "| %s | %s | %.2f | %.0f %% | %.0f %% | %.1f (%.1f) | %.1f (%.1f) | %.1f | %+.1f |\n",
            name, s->language, s->erased / s->written, 100 * s->before_last / n,
            100 * s->before_final / n, s->lag_committed / n, s->average_lagging_committed / n,
            s->lag_shown / n, s->average_lagging_shown / n, hg_chrf_score(&s->typed),
            hg_chrf_score(&s->typed) - hg_chrf_score(&s->at_once));
    }
}
