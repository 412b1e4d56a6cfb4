/* commit.c: raw tokens -> whole characters -> rules -> committed and tentative text. */
#include "core/translate/stream.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/limits.h"
#include "core/text/border.h"

void hg_commit_start(hg_commit *commit, uint32_t epoch)
{
    *commit = (hg_commit){.epoch = epoch,
                          .text = hg_buf_new(HG_LIMIT_LANE_TEXT),
                          .gap = hg_buf_new(HG_LIMIT_FRAME),
                          .raw = hg_buf_new(HG_LIMIT_LANE_TEXT)};
}

void hg_commit_free(hg_commit *commit)
{
    hg_tokens_free(&commit->token);
    hg_buf_free(&commit->text);
    hg_buf_free(&commit->gap);
    hg_buf_free(&commit->raw);
    free(commit->step);
}

/* ---- steps ---- */

hg_commit_step hg_commit_after(const hg_commit *commit, uint32_t steps)
{
    assert(steps <= commit->steps);
    return steps ? commit->step[steps - 1] : (hg_commit_step){0};
}

hg_commit_step hg_commit_at(const hg_commit *commit)
{
    return hg_commit_after(commit, commit->steps);
}

static hg_status add_step(hg_commit *commit, hg_commit_step step)
{
    if (commit->steps == commit->steps_room) {
        uint32_t room = commit->steps_room ? commit->steps_room * 2 : 8;
        hg_commit_step *grown = realloc(commit->step, room * sizeof *grown);
        if (!grown) return HG_ERROR_MEMORY;
        commit->step = grown;
        commit->steps_room = room;
    }
    step.tokens = commit->token.count;
    step.text = commit->text.length;
    step.raw = commit->raw.length;
    step.frozen = commit->frozen;
    step.placed = commit->placed;
    commit->step[commit->steps++] = step;
    return HG_OK;
}

static void cut(hg_buf *buf, size_t length)
{
    assert(length <= buf->length);
    buf->length = length;
    if (buf->data) buf->data[length] = '\0';
}

void hg_commit_back(hg_commit *commit, uint32_t steps)
{
    assert(steps <= commit->steps);
    commit->steps = steps;
    commit->epoch++;
    commit->told = 0;
    const hg_commit_step to = hg_commit_at(commit);
    commit->token.count = to.tokens;
    cut(&commit->text, to.text);
    cut(&commit->raw, to.raw);
    commit->frozen = to.frozen;
    commit->placed = to.placed;
    if (to.frozen == to.text) hg_buf_clear(&commit->gap);
}

hg_status hg_commit_close(hg_commit *commit, size_t source_bytes)
{
    const uint32_t closed = hg_commit_at(commit).closed;
    commit->steps = closed;
    commit->token.count = 0;
    commit->placed = 0;
    hg_buf_clear(&commit->raw);
    hg_buf_clear(&commit->gap);
    commit->frozen = commit->text.length;
    return add_step(commit, (hg_commit_step){.source_bytes = source_bytes, .closed = closed + 1});
}

hg_status hg_commit_known(hg_commit *commit, const char *gap, size_t gap_bytes, const char *text,
                          size_t bytes, size_t source_bytes)
{
    hg_status status = hg_buf_append(&commit->text, gap, gap_bytes);
    if (!status) status = hg_buf_append(&commit->text, text, bytes);
    return status ? status : hg_commit_close(commit, source_bytes);
}

/* ---- streams ---- */

static bool begins_with(const hg_buf *text, const hg_buf *prefix)
{
    return text->length >= prefix->length &&
           (!prefix->length || memcmp(text->data, prefix->data, prefix->length) == 0);
}

/* What is restored: raw text under the rules as finished text. */
static const hg_buf *ruled(const hg_stream *stream)
{
    return stream->rules ? &stream->ruled : &stream->raw;
}

/* Renews text: the frozen bytes, then what the tokens say, with what the sentence carries. */
static hg_status render(hg_stream *stream)
{
    hg_buf *text = &stream->text;
    hg_buf_clear(text);
    hg_status status =
        hg_buf_append(text, hg_buf_text(&stream->commit->text), stream->commit->frozen);
    const hg_buf *gap = &stream->commit->gap;
    if (!status) status = hg_buf_append(text, hg_buf_text(gap), gap->length);
    if (!status && stream->rules)
        status = hg_rules_apply(stream->rules, hg_buf_text(&stream->raw), stream->raw.length,
                                &stream->ruled);
    if (status) return status;
    const hg_buf *end = ruled(stream);
    if (!stream->carry) return hg_buf_append(text, hg_buf_text(end), end->length);
    stream->restored.out = text;
    return hg_carry_restore(stream->carry, stream->commit->placed, hg_buf_text(end), end->length,
                            &stream->restored);
}

/* The carried spans that stand in the committed text that is not frozen yet. */
static uint64_t placed_now(const hg_stream *stream)
{
    const hg_commit *commit = stream->commit;
    if (!stream->carry) return 0;
    return hg_carry_contained(stream->carry, commit->placed,
                              hg_buf_text(&commit->text) + commit->frozen,
                              commit->text.length - commit->frozen);
}

/* Freezes all committed text: raw holds from now on only what follows it. Nobody goes back to a
 * place inside of that. */
static void freeze(hg_stream *stream)
{
    hg_commit *commit = stream->commit;
    size_t gone = commit->raw.length;
    commit->placed |= placed_now(stream);
    hg_buf_consume(&stream->raw, gone);
    for (uint32_t i = 0; i < stream->token.count; i++) {
        hg_stream_mark *mark = &stream->mark[i];
        mark->raw_bytes = mark->raw_bytes > gone ? mark->raw_bytes - gone : 0;
    }
    hg_buf_clear(&commit->raw);
    hg_buf_clear(&commit->gap);
    commit->frozen = commit->text.length;
    hg_commit_step now = hg_commit_at(commit);
    if (commit->steps == now.closed) return;
    commit->steps = now.closed;
    hg_status status = add_step(commit, now); /* where there was room for at least one */
    assert(!status);
    (void)status;
}

/* Renders, and freezes the committed text first where the rules would take it back. */
static hg_status render_after_commit(hg_stream *stream)
{
    hg_status status = render(stream);
    if (status || begins_with(&stream->text, &stream->commit->text)) return status;
    freeze(stream);
    status = render(stream);
    assert(status || begins_with(&stream->text, &stream->commit->text));
    return status;
}

hg_status hg_stream_open(hg_stream *stream, hg_commit *commit, const hg_stream_setting *setting)
{
    *stream = (hg_stream){.tokenizer = setting->tokenizer,
                          .rules = setting->rules,
                          .carry = setting->carry,
                          .commit = commit,
                          .raw = hg_buf_new(HG_LIMIT_LANE_TEXT),
                          .ruled = hg_buf_new(HG_LIMIT_LANE_TEXT),
                          .text = hg_buf_new(HG_LIMIT_LANE_TEXT),
                          .scratch = hg_buf_new(HG_LIMIT_LANE_TEXT),
                          .opened = hg_buf_new(HG_LIMIT_LANE_TEXT)};
    hg_status status = hg_buf_append(&stream->raw, hg_buf_text(&commit->raw), commit->raw.length);
    if (!status && commit->steps == hg_commit_at(commit).closed) {
        hg_buf_clear(&commit->gap);
        status = hg_buf_append(&commit->gap, setting->gap, setting->gap_bytes);
    }
    return status ? status : render_after_commit(stream);
}

void hg_stream_close(hg_stream *stream)
{
    hg_tokens_free(&stream->token);
    free(stream->mark);
    hg_buf_free(&stream->raw);
    hg_buf_free(&stream->ruled);
    hg_buf_free(&stream->text);
    hg_buf_free(&stream->scratch);
    hg_buf_free(&stream->opened);
    *stream = (hg_stream){0};
}

static hg_status add_mark(hg_stream *stream)
{
    if (stream->token.count > stream->mark_capacity) {
        uint32_t capacity = stream->mark_capacity ? stream->mark_capacity * 2 : 32;
        hg_stream_mark *mark = realloc(stream->mark, capacity * sizeof *mark);
        if (!mark) return HG_ERROR_MEMORY;
        stream->mark = mark;
        stream->mark_capacity = capacity;
    }
    stream->mark[stream->token.count - 1] =
        (hg_stream_mark){.raw_bytes = stream->raw.length, .whole = stream->decoder.pendings == 0};
    return HG_OK;
}

hg_status hg_stream_push(hg_stream *stream, const int32_t *token, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        hg_status status =
            hg_decoder_push(&stream->decoder, stream->tokenizer, token[i], &stream->raw);
        if (!status) status = hg_tokens_append(&stream->token, token[i]);
        if (!status) status = add_mark(stream);
        if (status) return status;
    }
    return render_after_commit(stream);
}

/* How many tokens of this lane end exactly at raw byte at with nothing unfinished; 0 when none
 * does. The most of them: a token without text of its own belongs to what is before it. */
static uint32_t tokens_to(const hg_stream *stream, size_t at)
{
    for (uint32_t n = stream->token.count; n > stream->settled; n--) {
        const hg_stream_mark *mark = &stream->mark[n - 1];
        if (mark->raw_bytes < at) return 0;
        if (mark->raw_bytes == at && mark->whole) return n;
    }
    return 0;
}

/* Places of which the text is restored at one push, at most. Restoring refuses few of those that
 * are left then, and the next push looks at them again. */
#define RESTORED_PLACES 4

/* A place up to which text may be committed. */
typedef struct place {
    bool settled;   /* it may */
    bool restored;  /* what is carried had to be put back to know that */
    size_t length;  /* bytes of text up to there */
    uint32_t spans; /* that are carried in it: those before this index may be */
    size_t beyond;  /* bytes under the rules behind what is sure of the spans, where it may not */
} place;

/* The raw text up to at under the rules, in result; *settled: whether nothing of that can change.
 */
static hg_status open_under_rules(hg_stream *stream, size_t at, hg_buf *result, bool *settled)
{
    const hg_buf *whole = ruled(stream);
    *settled = true;
    hg_buf_clear(result);
    if (!stream->rules) return hg_buf_append(result, hg_buf_text(whole), at);
    hg_status status =
        hg_rules_apply_open(stream->rules, hg_buf_text(&stream->raw), at, result, settled);
    if (status) return status;
    *settled = *settled && result->length <= whole->length &&
               memcmp(hg_buf_text(whole), hg_buf_text(result), result->length) == 0;
    return HG_OK;
}

/* What is carried is put back into *result, by way of scratch; out->settled: nothing that is still
 * to be placed can come before its end. */
static hg_status open_restored(hg_stream *stream, hg_buf **result, place *out)
{
    const hg_buf *whole = ruled(stream), *part = *result;
    hg_restoring r = {.out = &stream->scratch};
    uint64_t placed = stream->commit->placed;
    size_t allowed = stream->restored.safe;
    if (part->length <= allowed)
        allowed = hg_carry_outside(stream->carry, hg_buf_text(whole), whole->length, part->length);
    out->settled = out->restored = part->length <= allowed;
    if (!out->settled) out->beyond = part->length - allowed;
    if (!out->settled) return HG_OK;
    hg_buf_clear(r.out);
    hg_status status = hg_carry_restore(stream->carry, placed, hg_buf_text(part), part->length, &r);
    for (placed |= r.found; placed; placed >>= 1) out->spans++;
    *result = r.out;
    return status;
}

/* Whether the raw text up to at may be committed as far as rules and spans go: nothing of their
 * result can change and it ends at a border of the text that is seen. */
static hg_status find_place(hg_stream *stream, size_t at, place *out)
{
    const size_t frozen = stream->commit->frozen + stream->commit->gap.length;
    const hg_buf *text = &stream->text;
    *out = (place){.settled = true, .length = frozen + at};
    if (!stream->rules && !stream->carry) return HG_OK;
    hg_buf *result = &stream->opened;
    hg_status status = open_under_rules(stream, at, result, &out->settled);
    if (!status && out->settled && stream->carry) status = open_restored(stream, &result, out);
    if (status || !out->settled) return status;
    out->length = frozen + result->length;
    out->settled = out->length <= text->length && out->length > stream->commit->text.length &&
                   memcmp(text->data + frozen, hg_buf_text(result), result->length) == 0 &&
                   hg_border_before(text->data, text->length, out->length) == out->length;
    return HG_OK;
}

/* Takes tokens up to n, raw text up to at and text up to length into the commit, on what rest says
 * of the source. */
static hg_status commit_to(hg_stream *stream, uint32_t n, size_t at, size_t length,
                           hg_commit_step rest)
{
    hg_commit *commit = stream->commit;
    assert(length >= commit->text.length && length <= stream->text.length);
    assert(at >= commit->raw.length && at <= stream->raw.length && n >= stream->settled);
    hg_status status = HG_OK;
    size_t had_text = commit->text.length, had_raw = commit->raw.length;
    for (uint32_t i = stream->settled; !status && i < n; i++)
        status = hg_tokens_append(&commit->token, stream->token.id[i]);
    if (!status)
        status = hg_buf_append(&commit->raw, hg_buf_text(&stream->raw) + had_raw, at - had_raw);
    if (!status)
        status =
            hg_buf_append(&commit->text, hg_buf_text(&stream->text) + had_text, length - had_text);
    stream->settled = n;
    return status ? status : add_step(commit, rest);
}

/* A commit never rests on less than it did: earlier pieces rest on what they did then. */
static hg_commit_step resting_on(const hg_commit *commit, size_t source_bytes)
{
    hg_commit_step step = hg_commit_at(commit);
    if (source_bytes <= step.source_bytes) return step;
    step.source_bytes = source_bytes;
    step.source_whole = false;
    return step;
}

/* The next border below at that may be a place. Half of what lies beyond is skipped, since rules
 * may have made it longer than raw text is: that comes close in few steps, past none. */
static size_t next_place(const hg_stream *stream, size_t at, const place *refused)
{
    const size_t skip = refused->beyond / 2 < at ? refused->beyond / 2 : at - 1;
    return hg_border_before(hg_buf_text(&stream->raw), stream->raw.length, at - 1 - skip);
}

hg_status hg_stream_settle(hg_stream *stream, size_t raw_bytes, size_t source_bytes)
{
    const hg_buf *raw = &stream->raw;
    if (stream->carry && !stream->restored.safe) return HG_OK; /* what is left out comes first */
    size_t at = hg_border_before(hg_buf_text(raw), raw->length, raw_bytes);
    for (uint32_t restored = 0; at > stream->commit->raw.length && restored < RESTORED_PLACES;) {
        place to = {0};
        const uint32_t n = tokens_to(stream, at);
        hg_status status = n ? find_place(stream, at, &to) : HG_OK;
        if (status) return status;
        if (to.settled) {
            hg_commit_step step = resting_on(stream->commit, source_bytes);
            step.spans = to.spans;
            return commit_to(stream, n, at, to.length, step);
        }
        restored += to.restored;
        at = next_place(stream, at, &to);
    }
    return HG_OK;
}

/* What the tokens did not bring is put where nothing is committed. */
static hg_status place_missing(hg_stream *stream)
{
    const hg_commit *commit = stream->commit;
    const size_t begin = commit->frozen + commit->gap.length, had = commit->text.length;
    if (!hg_carry_missing(stream->carry, stream->restored.found, commit->placed)) return HG_OK;
    return hg_carry_place(stream->carry, commit->placed, &stream->restored, begin,
                          had > begin ? had - begin : 0);
}

hg_status hg_stream_finish(hg_stream *stream, const char *tail, size_t bytes)
{
    hg_status status = hg_decoder_finish(&stream->decoder, &stream->raw);
    if (!status) status = render_after_commit(stream);
    if (!status && stream->carry) status = place_missing(stream);
    return status ? status : hg_buf_append(&stream->text, tail, bytes);
}

hg_status hg_stream_settle_all(hg_stream *stream, size_t source_bytes)
{
    hg_commit_step step = resting_on(stream->commit, source_bytes);
    step.source_whole = true;
    hg_status status =
        commit_to(stream, stream->token.count, stream->raw.length, stream->text.length, step);
    if (status) return status;
    /* The rules have seen this as finished text, the decoder has closed its last character: what
     * a later revision adds starts afresh behind it. */
    freeze(stream);
    return HG_OK;
}

hg_status hg_commit_whole(hg_commit *commit, const char *text, size_t bytes, size_t source_bytes)
{
    size_t had = commit->text.length;
    assert(bytes >= had && (!had || memcmp(text, commit->text.data, had) == 0));
    hg_status status = hg_buf_append(&commit->text, text + had, bytes - had);
    if (status) return status;
    hg_buf_clear(&commit->raw);
    hg_buf_clear(&commit->gap);
    commit->frozen = commit->text.length;
    hg_commit_step step = hg_commit_at(commit);
    step.source_bytes = source_bytes;
    step.source_whole = true;
    return add_step(commit, step);
}

const char *hg_stream_tentative(const hg_stream *stream)
{
    assert(begins_with(&stream->text, &stream->commit->text));
    return hg_buf_text(&stream->text) + stream->commit->text.length;
}
