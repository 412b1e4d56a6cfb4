/* segments.c: see segments.h. Positions count from the end of leading white space. */
#include "core/translate/segments.h"

#include <string.h>

#include "core/text/border.h"

static const char *body_of(const hg_request *request)
{
    return hg_buf_text(&request->text) + request->lead;
}

static size_t span_end(const hg_request *request, uint32_t segment)
{
    const hg_span *span = &request->spans.span[segment];
    return span->start + span->count;
}

hg_status hg_request_split(hg_request *request)
{
    const char *text = body_of(request);
    size_t bytes = request->text.length - request->lead;
    hg_status status = hg_protected_find(text, request->body, hg_glossary_terms(request->glossary),
                                         &request->kept);
    if (!status)
        status = hg_sentences_find(text, request->body, request->source.text, &request->kept,
                                   &request->spans);
    if (status) return status;
    request->settled = hg_border_settled_source(text, bytes);
    request->ended = hg_border_before_end_mark(text, request->body) < request->body;
    if (!request->spans.count) return HG_OK;
    uint32_t last = request->spans.count - 1;
    size_t start = request->spans.span[last].start, end = span_end(request, last);
    if (end < request->body) { /* what stands there belongs to no sentence */
        request->ended = true;
        request->settled = end;
    }
    if (request->settled > start)
        request->words = hg_border_words(text + start, request->settled - start);
    return HG_OK;
}

bool hg_request_is_open(const hg_request *request, const hg_request_lane *lane)
{
    return lane->segment + 1 >= request->spans.count;
}

const char *hg_request_segment(const hg_request *request, const hg_request_lane *lane,
                               size_t *bytes)
{
    const hg_span *span = &request->spans.span[lane->segment];
    *bytes = span->count;
    return body_of(request) + span->start;
}

const char *hg_request_gap(const hg_request *request, uint32_t segment, size_t *bytes)
{
    size_t from = segment ? span_end(request, segment - 1) : 0;
    size_t to = segment < request->spans.count ? request->spans.span[segment].start : request->body;
    *bytes = to - from;
    return body_of(request) + from;
}

/* ---- what is carried ---- */

static hg_carry_of carry_of(const hg_request *request, const hg_request_lane *lane,
                            uint32_t segment)
{
    return (hg_carry_of){.text = body_of(request),
                         .start = request->spans.span[segment].start,
                         .end = span_end(request, segment),
                         .kept = &request->kept,
                         .glossary = request->glossary,
                         .language = &lane->entry->tag,
                         .plugin = lane->entry->plugin,
                         .generation = lane->entry->id,
                         .past = &lane->state->carried};
}

hg_carry_of hg_request_carry(const hg_request *request, const hg_request_lane *lane)
{
    return carry_of(request, lane, lane->segment);
}

/* How many of the first steps hold, what they carry considered. */
static uint32_t carried_alike(const hg_request *request, const hg_request_lane *lane,
                              uint32_t steps)
{
    const hg_commit *commit = &lane->state->commit;
    const hg_carried_past *past = &lane->state->carried;
    for (; steps; steps--) {
        const hg_commit_step step = hg_commit_after(commit, steps);
        if (steps <= step.closed || !lane->entry) break;
        const hg_carry_of of = carry_of(request, lane, step.closed);
        size_t bytes = step.source_bytes;
        if (step.spans && past->span[step.spans - 1].start >= bytes)
            bytes = past->span[step.spans - 1].start + 1;
        if (hg_carry_holds(&of, bytes)) break;
    }
    return steps;
}

void hg_request_remember(hg_request *request)
{
    for (uint32_t i = 0; i < request->lanes; i++)
        if (request->lane[i].running)
            hg_carry_remember(request->lane[i].carry, &request->lane[i].state->carried);
}

/* The lane's present stream leaves; what it cost stays counted. */
static void count_before(hg_request_lane *lane)
{
    lane->tokens_before = lane->tokens;
    lane->drafted_before = lane->drafted;
    lane->accepted_before = lane->accepted;
}

bool hg_request_retry(hg_request_lane *lane)
{
    hg_sentence_language *state = lane->state;
    if (!lane->carry || lane->tries + 1 >= HG_LIMIT_PROTECTED_TRIES) return false;
    uint64_t lost = hg_carry_lost(lane->carry, lane->stream.restored.found, state->commit.placed);
    if (!lost || !hg_carry_retry(lane->carry, lost, &state->carried)) return false;
    lane->tries++;
    count_before(lane);
    hg_stream_close(&lane->stream);
    lane->running = false;
    return true;
}

void hg_request_place(const hg_request *request, hg_request_lane *lane, const hg_sentence *sentence)
{
    const hg_commit *commit = &lane->state->commit;
    const hg_buf rest = {.data = (char *)body_of(request),
                         .length = request->text.length - request->lead};
    if (!lane->state_is_new && lane->outcome != HG_OUTCOME_UNCHANGED) {
        lane->kept =
            hg_sentence_kept(sentence, lane->state, &request->source, &rest, &request->spans);
        lane->kept = carried_alike(request, lane, lane->kept);
    } else if (commit->text.length <= request->text.length &&
               memcmp(hg_buf_text(&request->text), hg_buf_text(&commit->text),
                      commit->text.length) == 0) {
        lane->kept = commit->steps;
    }
    lane->segment = hg_commit_after(commit, lane->kept).closed;
    if (lane->outcome == HG_OUTCOME_NONE && lane->segment == request->spans.count)
        lane->outcome = HG_OUTCOME_CLOSED;
}

/* ---- closing ---- */

/* Whether nobody else's translations are like those of this request, nor its own like them. */
static bool is_own(const hg_request *request)
{
    return request->temperature > 0 || request->glossary;
}

/* Closes what follows as long as its translation is known. */
static hg_status close_known(hg_request *request, hg_request_lane *lane)
{
    hg_sentence_language *state = lane->state;
    hg_status status = HG_OK;
    while (!status && !is_own(request) && !hg_request_is_open(request, lane)) {
        size_t bytes, gap_bytes, end = span_end(request, lane->segment);
        const char *source = hg_request_segment(request, lane, &bytes);
        const char *gap = hg_request_gap(request, lane->segment, &gap_bytes);
        const char *text =
            hg_sentence_language_known(state, lane->entry->adapter_key, source, bytes);
        if (!text) break;
        status = hg_commit_known(&state->commit, gap, gap_bytes, text, strlen(text), end);
        lane->segment++;
    }
    return status;
}

hg_status hg_request_close_segment(hg_request *request, hg_request_lane *lane)
{
    hg_sentence_language *state = lane->state;
    const uint32_t closed = hg_commit_at(&state->commit).closed;
    size_t bytes, gap_bytes, end = span_end(request, lane->segment);
    size_t from = hg_commit_after(&state->commit, closed).text;
    const char *source = hg_request_segment(request, lane, &bytes);
    (void)hg_request_gap(request, lane->segment, &gap_bytes);
    hg_status status = hg_stream_settle_all(&lane->stream, end);
    if (status) return status;
    count_before(lane);
    lane->tries = 0;
    hg_sentence_language_keep(state, lane->entry->adapter_key, NULL, 0, true);
    status = hg_sentence_language_close(state, is_own(request) ? NULL : source, bytes,
                                        from + gap_bytes, end);
    hg_stream_close(&lane->stream);
    lane->segment++;
    return status ? status : close_known(request, lane);
}

/* ---- rounds ---- */

/* Adds what the engine did in the round that has ended. */
static void add_figures(hg_job_state *sum, const hg_job_state *round)
{
    if (!sum->submit_us) {
        *sum = *round;
        return;
    }
    sum->prefill_tokens += round->prefill_tokens;
    sum->shared_tokens += round->shared_tokens;
    sum->decode_tokens += round->decode_tokens;
    sum->end_us = round->end_us;
}

void hg_request_read_job(hg_request *request)
{
    hg_job_state round;
    if (!request->job) return;
    hg_job_read(request->job, &round);
    request->job_ended = round.ended;
    request->figures = request->figures_before;
    add_figures(&request->figures, &round);
}

void hg_request_next_round(hg_request *request)
{
    hg_refusal refusal = {0};
    if (!request->undone || (request->job && !request->job_ended)) return;
    bool any = false;
    for (uint32_t i = 0; i < request->lanes; i++)
        any |= !request->lane[i].done && request->lane[i].outcome == HG_OUTCOME_NONE;
    if (!any) return;
    if (request->job) hg_job_release(request->job);
    request->job = NULL;
    request->job_ended = false;
    request->figures_before = request->figures;
    if (hg_request_submit(request, &refusal)) {
        hg_request_remember(request);
        hg_request_outcomes(request);
        return;
    }
    request->waits = refusal.code == HG_CODE_busy;
    request->runtime->rounds_wait |= request->waits;
    if (!request->waits) hg_request_end(request, "failed", refusal.code);
}
