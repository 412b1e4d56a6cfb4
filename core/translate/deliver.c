/* deliver.c: what the engine has becomes events: text as it grows, ends, and the batch.
 *
 * One call of hg_request_news takes all the tokens a lane has by then, so several tokens that came
 * at once are one piece and one snapshot. What is committed and shown of a sentence that is still
 * being typed is the policy's to say (policy.h).
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/translate/segments.h"

#define TOKENS_AT_ONCE 64

static double ms_between(int64_t from_us, int64_t to_us)
{
    return to_us > from_us ? (double)(to_us - from_us) / 1e3 : 0;
}

/* ---- events ---- */

static void send(hg_request *request, const hg_event *event)
{
    hg_conversation *conversation = request->conversation;
    if (!conversation) return;
    request->runtime->delivering = true;
    conversation->sink(event, conversation->context);
    request->runtime->delivering = false;
}

static void send_text(hg_request *request, hg_request_lane *lane, hg_event_type type,
                      const char *text)
{
    if (!request->stream || !*text) return;
    hg_event event = {.type = type,
                      .id = request->id,
                      .rev = request->rev,
                      .language = lane->language,
                      .epoch = lane->epoch,
                      .text = text};
    send(request, &event);
}

/* Sends what was committed and not told yet. */
static void send_committed(hg_request *request, hg_request_lane *lane)
{
    hg_commit *commit = &lane->state->commit;
    const size_t from = commit->told;
    if (!request->stream || from == commit->text.length) return;
    commit->told = commit->text.length;
    hg_sentence_language_told(lane->state);
    send_text(request, lane, HG_EVENT_COMMITTED, hg_buf_text(&commit->text) + from);
}

/* How a lane's text sounds, into out; NULL: nobody asked, or there is no reading. */
static const char *reading_of(const hg_request *request, const hg_request_lane *lane,
                              const char *text, hg_buf *out)
{
    hg_error error;
    const hg_tag *tag = lane->entry ? &lane->entry->tag : &request->source;
    if (!request->reading || !hg_reading_has(tag)) return NULL;
    if (!hg_reading_of(&request->runtime->readings, tag, text, out, &error))
        return hg_buf_text(out);
    hg_log(HG_LOG_DEBUG, "translate", "%s", error.message);
    return NULL;
}

/* The one DONE of a lane. */
static void send_done(hg_request *request, hg_request_lane *lane, const char *status,
                      const char *stop, hg_code code, const char *text)
{
    assert(!lane->done && request->undone > 0);
    assert((code != HG_CODE_NONE) == (strcmp(status, "failed") == 0));
    lane->done = true;
    request->undone--;
    lane->status = status;
    lane->stop = stop;
    lane->end_us = hg_clock_us();
    if (*text && !lane->first_us) lane->first_us = lane->end_us;
    hg_buf reading = hg_buf_new(HG_LIMIT_FRAME);
    bool ok = strcmp(status, "ok") == 0;
    hg_event event = {
        .type = HG_EVENT_DONE,
        .id = request->id,
        .rev = request->rev,
        .language = lane->language,
        .epoch = lane->epoch,
        .text = text,
        .reading = ok ? reading_of(request, lane, text, &reading) : NULL,
        .status = status,
        .stop = stop,
        .code = code,
        .plugin = lane->entry ? lane->entry->plugin->name : "",
        .source = request->source.text,
        .confidence = request->confidence,
        .generation = lane->entry ? lane->entry->generation : 0,
        .tokens = lane->tokens,
        .first_ms = lane->first_us ? ms_between(request->received_us, lane->first_us) : 0,
        .total_ms = ms_between(request->received_us, lane->end_us),
    };
    send(request, &event);
    hg_buf_free(&reading);
    if (request->undone) return;
    /* The last end: the sentence may go on without us. A final revision that was neither
     * superseded nor cancelled and gave some language its whole text is the sentence's end. */
    hg_sentence *sentence = request->sentence;
    if (!sentence) return;
    bool any_ok = false, stopped = false;
    for (uint32_t i = 0; i < request->lanes; i++) {
        any_ok |= strcmp(request->lane[i].status, "ok") == 0;
        stopped |= strcmp(request->lane[i].status, "superseded") == 0 ||
                   strcmp(request->lane[i].status, "cancelled") == 0;
    }
    if (request->final && any_ok && !stopped) sentence->ended_final = true;
    assert(sentence->running == request);
    sentence->running = NULL;
    request->sentence = NULL;
}

/* Without memory a lane cannot go on, and its commit may be half done: the next revision begins a
 * new epoch. */
static void fail_lane(hg_request *request, hg_request_lane *lane)
{
    hg_log(HG_LOG_ERROR, "translate", "language %s: no memory for its text", lane->language);
    if (request->job && lane->running)
        hg_engine_cancel(request->runtime->engine, request->job, lane->job_lane);
    send_done(request, lane, "failed", "", HG_CODE_internal,
              hg_buf_text(&lane->state->commit.text));
    hg_sentence_language_back(lane->state, 0);
}

/* ---- ends without the engine ---- */

/* Ends a lane without a job: what the reader sees of it is text, [bytes], of which all is committed
 * if the revision is final. */
static void end_at(hg_request *request, hg_request_lane *lane, const char *stop, const char *text,
                   size_t bytes)
{
    hg_status status = HG_OK;
    if (request->final && request->stream)
        status = hg_commit_whole(&lane->state->commit, text, bytes,
                                 request->text.length - request->lead);
    if (!status) send_committed(request, lane);
    if (!status) status = hg_sentence_language_show(lane->state, text, bytes);
    if (status)
        fail_lane(request, lane);
    else
        send_done(request, lane, "ok", stop, HG_CODE_NONE, text);
}

/* Its sentences, if it has any, were closed by earlier revisions: their translations, and what
 * follows them. */
static void end_closed(hg_request *request, hg_request_lane *lane)
{
    const hg_buf *closed = &lane->state->commit.text;
    size_t bytes;
    const char *tail = hg_request_gap(request, request->spans.count, &bytes);
    hg_buf text = hg_buf_new(HG_LIMIT_LANE_TEXT);
    if (hg_buf_append(&text, hg_buf_text(closed), closed->length) ||
        hg_buf_append(&text, tail, bytes))
        fail_lane(request, lane);
    else
        end_at(request, lane, "eos", hg_buf_text(&text), text.length);
    hg_buf_free(&text);
}

static void outcome(hg_request *request, hg_request_lane *lane)
{
    const hg_buf *committed = &lane->state->commit.text, *text = &request->text;
    switch (lane->outcome) {
    case HG_OUTCOME_NONE: return;
    case HG_OUTCOME_UNCHANGED:
        end_at(request, lane, "unchanged", hg_buf_text(text), text->length);
        return;
    case HG_OUTCOME_CLOSED: end_closed(request, lane); return;
    case HG_OUTCOME_FULL:
        end_at(request, lane, "length", hg_buf_text(committed), committed->length);
        return;
    case HG_OUTCOME_UNKNOWN:
        send_done(request, lane, "failed", "", HG_CODE_unknown_language, hg_buf_text(committed));
        return;
    case HG_OUTCOME_UNSUPPORTED:
        send_done(request, lane, "failed", "", HG_CODE_unsupported_source, hg_buf_text(committed));
        return;
    }
}

void hg_request_outcomes(hg_request *request)
{
    for (uint32_t i = 0; i < request->lanes; i++)
        if (!request->lane[i].done) outcome(request, &request->lane[i]);
}

/* ---- lanes of the job ---- */

/* Reads what the lane has new into its stream. *state is the lane's after that. */
static hg_status take_tokens(hg_request *request, hg_request_lane *lane, hg_lane_state *state)
{
    int32_t token[TOKENS_AT_ONCE];
    hg_stream *stream = &lane->stream;
    hg_status status = HG_OK;
    if (!stream->tokenizer) {
        size_t bytes;
        const char *gap = hg_request_gap(request, lane->segment, &bytes);
        const hg_stream_setting setting = {.tokenizer = request->runtime->tokenizer,
                                           .rules = lane->entry->rules_after,
                                           .carry = lane->carry,
                                           .gap = gap,
                                           .gap_bytes = bytes};
        status = hg_stream_open(stream, &lane->state->commit, &setting);
    }
    uint32_t count = TOKENS_AT_ONCE;
    while (!status && count == TOKENS_AT_ONCE) {
        count = hg_job_read_lane(request->job, lane->job_lane, stream->token.count, token,
                                 TOKENS_AT_ONCE, state);
        status = hg_stream_push(stream, token, count);
    }
    lane->tokens = lane->tokens_before + stream->token.count;
    lane->drafted = lane->drafted_before + state->drafted;
    lane->accepted = lane->accepted_before + state->accepted;
    if (!status && !lane->first_us && stream->text.length) lane->first_us = hg_clock_us();
    return status;
}

/* The next revision's draft. */
static void keep_rest(hg_request_lane *lane, bool whole)
{
    const hg_stream *stream = &lane->stream;
    if (!stream->token.count) return;
    hg_sentence_language_keep(lane->state, lane->entry->adapter_key,
                              stream->token.id + stream->settled,
                              stream->token.count - stream->settled, whole);
}

/* Whether the reader is shown the sentence as it is being typed. */
static bool is_typed(const hg_request *request)
{
    return request->stream && !request->final;
}

/* Whether the reader keeps what was shown while the person is at an edit. */
static bool waits_out_edit(const hg_request *request)
{
    return is_typed(request) && !request->ended && request->edits &&
           request->edits <= request->runtime->policy.patience;
}

/* What the lane says behind what is committed: a view into its stream. */
static hg_hypothesis hypothesis(const hg_request *request, const hg_request_lane *lane, bool whole)
{
    const hg_buf *raw = &lane->stream.raw;
    size_t committed = lane->state->commit.raw.length;
    hg_buf tail = {.length = raw->length - committed, .maximum = raw->maximum};
    if (raw->data) tail.data = raw->data + committed;
    return (hg_hypothesis){.tail = tail,
                           .settled = request->settled,
                           .words = request->words,
                           .ended = request->ended,
                           .whole = whole};
}

/* Commits what may be and sends it. A commit that would rest on nothing of its sentence waits, and
 * so does a sentence that a revision closes: what follows it may be committed with it. */
static hg_status settle(hg_request *request, hg_request_lane *lane, bool whole)
{
    hg_sentence_language *state = lane->state;
    hg_commit *commit = &state->commit;
    const hg_span *span = &request->spans.span[lane->segment];
    size_t had = commit->raw.length, most = SIZE_MAX, rests_on = request->settled;
    if (!hg_request_is_open(request, lane))
        rests_on = request->final ? span->start + span->count : 0;
    if (rests_on <= span->start) return HG_OK;
    if (!request->final) {
        const hg_hypothesis now = hypothesis(request, lane, whole);
        size_t agreed = hg_policy_agreed(&request->runtime->policy, &state->past, &now);
        if (!agreed) return HG_OK;
        most = had + agreed;
    }
    hg_status status = hg_stream_settle(&lane->stream, most, rests_on);
    if (status) return status;
    hg_past_commit(&state->past, hg_buf_text(&lane->stream.raw) + had, commit->raw.length - had);
    send_committed(request, lane);
    return HG_OK;
}

/* Bytes of the lane's text that the reader may see; *change as hg_policy_shown says. */
static size_t shown(const hg_request *request, const hg_request_lane *lane, bool *change)
{
    const hg_policy *policy = &request->runtime->policy;
    const hg_hypothesis now = hypothesis(request, lane, false);
    const hg_preview preview = {
        .likely = hg_policy_likely(policy, &lane->state->past, &now),
        .text = &lane->stream.text,
        .committed = lane->state->commit.text.length,
        .before = &lane->state->shown,
        .first = !policy->agreement || (!lane->state->past.count && !lane->state->shown.length),
        .ended = request->ended || request->final || !hg_request_is_open(request, lane),
    };
    return hg_policy_shown(policy, &preview, change);
}

/* Sends what the lane's new tokens brought: a committed piece, and what may follow it. */
static hg_status send_growth(hg_request *request, hg_request_lane *lane)
{
    hg_sentence_language *state = lane->state;
    hg_status status = settle(request, lane, false);
    if (status) return status;
    if (waits_out_edit(request)) return HG_OK;
    bool change;
    size_t bytes = shown(request, lane, &change);
    if (!change) return HG_OK;
    status = hg_sentence_language_show(state, hg_buf_text(&lane->stream.text), bytes);
    if (status) return status;
    send_text(request, lane, HG_EVENT_TENTATIVE,
              hg_buf_text(&state->shown) + state->commit.text.length);
    return HG_OK;
}

static const char *stop_name(hg_stop stop)
{
    switch (stop) {
    case HG_STOP_EOS: return "eos";
    case HG_STOP_LENGTH: return "length";
    case HG_STOP_REPETITION: return "repetition";
    case HG_STOP_NONE: break;
    }
    return "";
}

/* The end of a final revision: all of it is committed. */
static hg_status settle_all(hg_request *request, hg_request_lane *lane)
{
    hg_status status = hg_stream_settle_all(&lane->stream, request->body);
    if (status) return status;
    hg_past_free(&lane->state->past);
    send_committed(request, lane);
    return HG_OK;
}

/* The end of a sentence that another one follows. */
static hg_status end_segment(hg_request *request, hg_request_lane *lane)
{
    hg_status status = hg_stream_finish(&lane->stream, "", 0);
    if (!status) status = hg_request_close_segment(request, lane);
    if (!status) send_committed(request, lane);
    return status;
}

static hg_status end_well(hg_request *request, hg_request_lane *lane, hg_stop stop)
{
    const hg_buf *text = &lane->stream.text;
    bool change;
    size_t bytes, tail_bytes;
    const char *tail = hg_request_gap(request, request->spans.count, &tail_bytes);
    hg_status status = hg_stream_finish(&lane->stream, tail, tail_bytes);
    bytes = text->length;
    if (!status) send_committed(request, lane);
    if (!status && is_typed(request)) {
        status = settle(request, lane, stop == HG_STOP_EOS);
        bytes = shown(request, lane, &change);
        const hg_hypothesis now = hypothesis(request, lane, stop == HG_STOP_EOS);
        hg_past_note(&lane->state->past, &now);
    } else if (!status && request->stream) {
        status = settle_all(request, lane);
    }
    if (waits_out_edit(request))
        hg_sentence_language_stay(lane->state);
    else if (!status)
        status = hg_sentence_language_show(lane->state, hg_buf_text(text), bytes);
    if (status) return status;
    send_done(request, lane, "ok", stop_name(stop), HG_CODE_NONE, hg_buf_text(&lane->state->shown));
    return HG_OK;
}

/* What an end that is not good tells of the lane's text. */
static const char *text_so_far(const hg_request *request, const hg_request_lane *lane)
{
    if (is_typed(request)) return hg_sentence_language_seen(lane->state);
    return hg_buf_text(lane->running ? &lane->stream.text : &lane->state->commit.text);
}

static void end_badly(hg_request *request, hg_request_lane *lane, const hg_lane_state *state)
{
    hg_code code = HG_CODE_internal;
    bool failed = state->status == HG_LANE_FAILED;
    if (state->status == HG_LANE_CANCELLED) code = HG_CODE_shutting_down; /* nobody here asked */
    if (failed && state->failure == HG_ERROR_DEVICE) code = HG_CODE_device;
    if (failed && state->failure == HG_ERROR_LIMIT) code = HG_CODE_text_too_long;
    hg_log(HG_LOG_WARN, "translate", "language %s: its lane ended as %s (%s)", lane->language,
           hg_code_name(code), hg_status_name(state->failure));
    send_done(request, lane, "failed", "", code, text_so_far(request, lane));
}

static void lane_news(hg_request *request, hg_request_lane *lane)
{
    hg_lane_state state = {0};
    size_t had = lane->stream.raw.length;
    bool opened = lane->stream.tokenizer != NULL;
    hg_status status = take_tokens(request, lane, &state);
    if (!opened) had = lane->state->commit.raw.length;
    const bool ok = !status && state.status == HG_LANE_OK;
    if (ok && hg_request_retry(lane)) return;
    if (ok && !hg_request_is_open(request, lane)) {
        status = end_segment(request, lane);
        lane->running = false;
    } else if (ok) {
        status = end_well(request, lane, state.stop);
    } else if (!status && (state.status == HG_LANE_CANCELLED || state.status == HG_LANE_FAILED)) {
        end_badly(request, lane, &state);
    } else if (!status && request->stream && lane->stream.raw.length > had) {
        status = send_growth(request, lane);
    }
    if (lane->running) keep_rest(lane, state.status == HG_LANE_OK);
    if (status) fail_lane(request, lane);
}

void hg_request_news(hg_request *request)
{
    assert(request->job);
    /* The job is read first: when it has ended, so have its lanes, and all tokens are there. */
    hg_request_read_job(request);
    for (uint32_t i = 0; i < request->lanes; i++) {
        hg_request_lane *lane = &request->lane[i];
        if (!lane->done && lane->running) lane_news(request, lane);
    }
    hg_request_next_round(request);
}

void hg_request_end(hg_request *request, const char *status, hg_code code)
{
    if (request->job) hg_engine_cancel(request->runtime->engine, request->job, HG_ALL_LANES);
    for (uint32_t i = 0; i < request->lanes; i++) {
        hg_request_lane *lane = &request->lane[i];
        if (lane->done) continue;
        hg_lane_state state = {0};
        if (lane->running) {
            if (take_tokens(request, lane, &state)) {
                fail_lane(request, lane);
                continue;
            }
            keep_rest(lane, false);
            const hg_hypothesis now = hypothesis(request, lane, false);
            if (is_typed(request) && hg_request_is_open(request, lane))
                hg_past_note(&lane->state->past, &now);
        }
        send_done(request, lane, status, "", code, text_so_far(request, lane));
    }
}

/* ---- the end of it all ---- */

static void unlink_request(hg_request *request)
{
    hg_runtime *runtime = request->runtime;
    if (request->previous)
        request->previous->next = request->next;
    else
        runtime->requests = request->next;
    if (request->next) request->next->previous = request->previous;
}

static void log_batch(hg_request *request, hg_batch_record *record)
{
    hg_runtime *runtime = request->runtime;
    hg_request_record(request, record);
    record->id = runtime->store ? hg_store_next_batch(runtime->store) : ++runtime->batches;
    if (runtime->store) hg_store_log_batch(runtime->store, record);
    hg_log(HG_LOG_DEBUG, "translate", "batch %lld: %u lanes, %u tokens in %.1f ms%s%s",
           (long long)record->id, record->lanes, record->decode_tokens, record->total_ms,
           runtime->log_text ? ": " : "", runtime->log_text ? hg_buf_text(&request->text) : "");
}

bool hg_request_finish(hg_request *request)
{
    if (request->undone || (request->job && !request->job_ended)) return false;
    assert(!request->sentence);
    hg_batch_record record;
    log_batch(request, &record);
    hg_event event = {
        .type = HG_EVENT_BATCH, .id = request->id, .rev = request->rev, .batch = &record};
    if (request->conversation) {
        assert(request->conversation->running > 0);
        request->conversation->running--;
    }
    send(request, &event);
    unlink_request(request);
    hg_request_free(request);
    return true;
}

void hg_request_abandon_all(hg_runtime *runtime)
{
    while (runtime->requests) {
        hg_request *request = runtime->requests;
        assert(!request->conversation); /* conversations are freed before their runtime */
        hg_request_read_job(request);
        hg_batch_record record;
        log_batch(request, &record);
        unlink_request(request);
        hg_request_free(request);
    }
}
