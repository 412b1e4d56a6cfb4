/* bench_drafts.c: a sentence grown by a word is translated again, with the last translation as
 * draft and without, in turns.
 *
 * Each pair is two sentences that differ only in the number they begin with, so that neither finds
 * the other's KV. Of both the shorter text is translated first and not measured; then the longer
 * one, as the next revision (its draft is the last translation) or as a sentence of its own (it has
 * none). Both find the KV of the shorter text. What counts is the time that the engine spent in
 * steps; it is the only one at work.
 *
 * Then the sentences are typed: word by word, each text as the next revision of its sentence, with
 * all that the service does (the committed beginning is forced, the last translation is the draft),
 * and in turns with that as a sentence of its own, of another number, decoded plainly.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli/bench.h"

#define FIRST     2000000 /* sentences below it were sent by others to this runtime */
#define TYPED     9000000 /* the same of those that are typed, which are their ids too */
#define LEAST     3       /* words of the shorter text, its number counted */
#define WORDS_MAX 32

typedef struct drafts {
    hg_runtime *runtime;
    const hg_targets *targets;
    hg_conversation *conversation;
    uint64_t number, ids;
    double plain_us, drafted_us; /* of all pairs */
    hg_batch_record batch;       /* the last one */
    uint32_t failed;
    bool commits;
} drafts;

static void on_event(const hg_event *event, void *context)
{
    drafts *d = context;
    if (event->type == HG_EVENT_DONE) d->failed += strcmp(event->status, "ok") != 0;
    if (event->type == HG_EVENT_BATCH) d->batch = *event->batch;
}

/* Translates the text; *us is the time of the steps that took. Of what is not streamed nothing is
 * committed. */
static hg_status translate(drafts *d, uint64_t own, int64_t rev, const char *text, double *us,
                           hg_error *error)
{
    char id[24];
    hg_refusal refusal = {0};
    hg_engine_figures before, after;
    hg_engine *engine = hg_runtime_engine(d->runtime);
    snprintf(id, sizeof id, "d%" PRIu64, own);
    const hg_translate_request request = {
        .id = id,
        .rev = rev,
        .text = text,
        .target = d->targets->tag,
        .targets = d->targets->count,
        .source = d->targets->source,
        .stream = d->commits,
        .top_p = 1,
    };
    hg_engine_read_figures(engine, &before);
    if (!hg_conversation_translate(d->conversation, &request, &refusal))
        return hg_fail(error, HG_ERROR_STATE, "a sentence was refused: %s", refusal.message);
    while (hg_conversation_running(d->conversation)) hg_translator_poll(d->runtime, 1000);
    hg_engine_read_figures(engine, &after);
    *us = (double)(after.step_us - before.step_us);
    return d->failed
               ? hg_fail(error, HG_ERROR_DEVICE, "%u lanes failed; the log has more", d->failed)
               : HG_OK;
}

/* The first words of sentence number; false when it has fewer. */
static bool first_words(uint64_t number, uint32_t words, char *text, size_t size)
{
    hg_bench_sentence(number, text, size);
    char *end = text;
    for (uint32_t i = 0; i < words; i++) {
        if (!end) return false;
        end = strchr(end + 1, ' ');
    }
    if (end) *end = '\0';
    return true;
}

/* One grown sentence, as a revision or as a sentence of its own. */
static hg_status grow(drafts *d, uint64_t number, uint32_t words, bool revise, double *us,
                      hg_error *error)
{
    char text[256];
    double ignored;
    bool enough = first_words(number, words, text, sizeof text);
    d->ids++;
    hg_status status = enough ? translate(d, d->ids, 1, text, &ignored, error) : HG_OK;
    if (!status && first_words(number, words + 1, text, sizeof text)) {
        d->ids += !revise;
        status = translate(d, d->ids, revise ? 2 : 1, text, us, error);
    }
    return status;
}

static hg_status run_pair(drafts *d, uint64_t number, uint32_t words, hg_bench_drafts *out,
                          double *ratio, hg_error *error)
{
    double us[2] = {0};
    bool first = d->number & 1;
    for (int i = 0; i < 2; i++) {
        bool revise = (i == 1) != first;
        hg_status status =
            grow(d, number + (revise ? 0 : HG_BENCH_SENTENCES), words, revise, &us[revise], error);
        if (status) return status;
        if (!revise) continue;
        out->tokens += d->batch.decode_tokens;
        out->drafted += d->batch.drafted;
        out->accepted += d->batch.accepted;
    }
    d->plain_us += us[0];
    d->drafted_us += us[1];
    *ratio = us[1] > 0 ? us[0] / us[1] : 0;
    d->number++;
    return HG_OK;
}

static hg_status run_all(drafts *d, const hg_settings *settings, hg_bench_drafts *out,
                         double *ratio, hg_error *error)
{
    char text[256];
    hg_status status = HG_OK;
    for (int64_t s = 0; s < settings->sentences && !status; s++) {
        uint64_t number = FIRST + (uint64_t)s * 2 * HG_BENCH_SENTENCES * WORDS_MAX +
                          (uint64_t)s % HG_BENCH_SENTENCES;
        for (uint32_t words = LEAST; words < WORDS_MAX && !status; words++) {
            if (!first_words(number, words + 1, text, sizeof text)) break;
            status = run_pair(d, number, words, out, &ratio[out->pairs], error);
            number += 2 * HG_BENCH_SENTENCES;
            out->pairs += !status;
        }
    }
    return status;
}

/* ---- typed ---- */

/* The first words of a sentence, as its next revision and as a sentence of its own, in turns. */
static hg_status type_word(drafts *d, uint64_t number, uint32_t words, hg_bench_typed *out,
                           double us[2], hg_error *error)
{
    for (uint32_t i = 0; i < 2; i++) {
        char text[256];
        bool typed = (i + words) % 2;
        (void)first_words(number + (typed ? 0 : HG_BENCH_SENTENCES), words, text, sizeof text);
        uint64_t own = typed ? number : ++d->ids;
        d->commits = typed;
        hg_status status =
            translate(d, own, typed ? 1 + words - LEAST : 1, text, &us[typed], error);
        if (status) return status;
        if (words > LEAST) *(typed ? &out->tokens : &out->plain_tokens) += d->batch.decode_tokens;
    }
    return HG_OK;
}

static hg_status run_typed(drafts *d, const hg_settings *settings, hg_bench_typed *out,
                           double *ratio, hg_error *error)
{
    char text[256];
    double typed_us = 0, plain_us = 0;
    for (int64_t s = 0; s < settings->sentences; s++) {
        uint64_t number =
            TYPED + (uint64_t)s * 2 * HG_BENCH_SENTENCES + (uint64_t)s % HG_BENCH_SENTENCES;
        for (uint32_t words = LEAST; first_words(number, words, text, sizeof text); words++) {
            double us[2] = {0};
            hg_status status = type_word(d, number, words, out, us, error);
            if (status) return status;
            if (words == LEAST) continue; /* nothing to begin with */
            plain_us += us[0];
            typed_us += us[1];
            ratio[out->revisions++] = us[1] > 0 ? us[0] / us[1] : 0;
        }
    }
    out->faster = hg_spread_of(ratio, out->revisions).median;
    out->faster_in_all = typed_us > 0 ? plain_us / typed_us : 0;
    return HG_OK;
}

hg_status hg_bench_drafts_run(const hg_settings *settings, hg_runtime *runtime,
                              const hg_targets *targets, hg_bench_drafts *out, hg_error *error)
{
    drafts d = {.runtime = runtime, .targets = targets};
    double *ratio = calloc((size_t)settings->sentences * WORDS_MAX, sizeof *ratio);
    *out = (hg_bench_drafts){0};
    if (!ratio) return hg_fail(error, HG_ERROR_MEMORY, "out of memory");
    hg_status status = hg_conversation_new(runtime, "bench", on_event, &d, &d.conversation, error);
    if (!status) status = run_all(&d, settings, out, ratio, error);
    if (!status) out->faster = hg_spread_of(ratio, out->pairs).median;
    if (!status && d.drafted_us > 0) out->faster_in_all = d.plain_us / d.drafted_us;
    if (!status) status = run_typed(&d, settings, &out->typed, ratio, error);
    if (d.conversation) hg_conversation_free(d.conversation);
    free(ratio);
    return status;
}
