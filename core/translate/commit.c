/* commit.c: raw tokens -> whole characters -> rules -> committed and tentative text. */
#include "core/translate/commit.h"

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
    if (to.frozen == to.text) hg_buf_clear(&commit->gap);
}

hg_status hg_commit_close(hg_commit *commit, size_t source_bytes)
{
    const uint32_t closed = hg_commit_at(commit).closed;
    commit->steps = closed;
    commit->token.count = 0;
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

/* Renews text: the frozen bytes, then the raw text under the rules as finished text. */
static hg_status render(hg_stream *stream)
{
    hg_buf *text = &stream->text;
    hg_buf_clear(text);
    hg_status status =
        hg_buf_append(text, hg_buf_text(&stream->commit->text), stream->commit->frozen);
    const hg_buf *gap = &stream->commit->gap;
    if (!status) status = hg_buf_append(text, hg_buf_text(gap), gap->length);
    if (status) return status;
    if (!stream->rules) return hg_buf_append(text, hg_buf_text(&stream->raw), stream->raw.length);
    status = hg_rules_apply(stream->rules, hg_buf_text(&stream->raw), stream->raw.length,
                            &stream->scratch);
    if (status) return status;
    return hg_buf_append(text, hg_buf_text(&stream->scratch), stream->scratch.length);
}

/* Freezes all committed text: raw holds from now on only what follows it. Nobody goes back to a
 * place inside of that. */
static void freeze(hg_stream *stream)
{
    hg_commit *commit = stream->commit;
    size_t gone = commit->raw.length;
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

hg_status hg_stream_open(hg_stream *stream, const hg_tokenizer *tokenizer, hg_rules *rules,
                         hg_commit *commit, const char *gap, size_t gap_bytes)
{
    *stream = (hg_stream){.tokenizer = tokenizer,
                          .rules = rules,
                          .commit = commit,
                          .raw = hg_buf_new(HG_LIMIT_LANE_TEXT),
                          .text = hg_buf_new(HG_LIMIT_LANE_TEXT),
                          .scratch = hg_buf_new(HG_LIMIT_LANE_TEXT)};
    hg_status status = hg_buf_append(&stream->raw, hg_buf_text(&commit->raw), commit->raw.length);
    if (!status && commit->steps == hg_commit_at(commit).closed) {
        hg_buf_clear(&commit->gap);
        status = hg_buf_append(&commit->gap, gap, gap_bytes);
    }
    return status ? status : render_after_commit(stream);
}

void hg_stream_close(hg_stream *stream)
{
    hg_tokens_free(&stream->token);
    free(stream->mark);
    hg_buf_free(&stream->raw);
    hg_buf_free(&stream->text);
    hg_buf_free(&stream->scratch);
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

/* Whether the raw text up to at may be committed as far as the rules go: nothing of their result
 * can change and it ends at a border of the text that is seen. *length: bytes of text then. */
static hg_status settled_under_rules(hg_stream *stream, size_t at, bool *settled, size_t *length)
{
    size_t frozen = stream->commit->frozen + stream->commit->gap.length;
    *settled = true;
    *length = frozen + at;
    if (!stream->rules) return HG_OK;
    hg_buf *result = &stream->scratch;
    hg_status status =
        hg_rules_apply_open(stream->rules, hg_buf_text(&stream->raw), at, result, settled);
    if (status) return status;
    const hg_buf *text = &stream->text;
    *length = frozen + result->length;
    *settled = *settled && *length <= text->length && *length > stream->commit->text.length &&
               memcmp(text->data + frozen, hg_buf_text(result), result->length) == 0 &&
               hg_border_before(text->data, text->length, *length) == *length;
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

hg_status hg_stream_settle(hg_stream *stream, size_t raw_bytes, size_t source_bytes)
{
    const hg_buf *raw = &stream->raw;
    size_t at = hg_border_before(hg_buf_text(raw), raw->length, raw_bytes);
    for (; at > stream->commit->raw.length;
         at = hg_border_before(hg_buf_text(raw), raw->length, at - 1)) {
        uint32_t n = tokens_to(stream, at);
        if (!n) continue;
        bool settled;
        size_t length;
        hg_status status = settled_under_rules(stream, at, &settled, &length);
        if (status) return status;
        if (!settled) continue;
        return commit_to(stream, n, at, length, resting_on(stream->commit, source_bytes));
    }
    return HG_OK;
}

hg_status hg_stream_finish(hg_stream *stream, const char *tail, size_t bytes)
{
    hg_status status = hg_decoder_finish(&stream->decoder, &stream->raw);
    if (!status) status = render_after_commit(stream);
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
