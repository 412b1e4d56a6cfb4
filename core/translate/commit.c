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
                          .raw = hg_buf_new(HG_LIMIT_LANE_TEXT)};
}

void hg_commit_free(hg_commit *commit)
{
    hg_tokens_free(&commit->token);
    hg_buf_free(&commit->text);
    hg_buf_free(&commit->raw);
}

void hg_commit_restart(hg_commit *commit)
{
    commit->epoch++;
    commit->token.count = 0;
    hg_buf_clear(&commit->text);
    hg_buf_clear(&commit->raw);
    commit->frozen = 0;
    commit->source_bytes = 0;
    commit->source_whole = false;
}

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
    if (status) return status;
    if (!stream->rules) return hg_buf_append(text, hg_buf_text(&stream->raw), stream->raw.length);
    status = hg_rules_apply(stream->rules, hg_buf_text(&stream->raw), stream->raw.length,
                            &stream->scratch);
    if (status) return status;
    return hg_buf_append(text, hg_buf_text(&stream->scratch), stream->scratch.length);
}

/* Freezes all committed text: raw holds from now on only what follows it. */
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
    commit->frozen = commit->text.length;
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
                         hg_commit *commit)
{
    *stream = (hg_stream){.tokenizer = tokenizer,
                          .rules = rules,
                          .commit = commit,
                          .raw = hg_buf_new(HG_LIMIT_LANE_TEXT),
                          .text = hg_buf_new(HG_LIMIT_LANE_TEXT),
                          .scratch = hg_buf_new(HG_LIMIT_LANE_TEXT)};
    hg_status status = hg_buf_append(&stream->raw, hg_buf_text(&commit->raw), commit->raw.length);
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
    size_t frozen = stream->commit->frozen;
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

/* Takes tokens up to n, raw text up to at and text up to length into the commit. */
static hg_status commit_to(hg_stream *stream, uint32_t n, size_t at, size_t length)
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
    return status;
}

/* A commit never rests on less than it did: earlier pieces rest on what they did then. */
static void rest_on(hg_commit *commit, size_t source_bytes)
{
    if (source_bytes <= commit->source_bytes) return;
    commit->source_bytes = source_bytes;
    commit->source_whole = false;
}

hg_status hg_stream_settle(hg_stream *stream, size_t raw_bytes, size_t source_bytes, size_t *from)
{
    const hg_buf *raw = &stream->raw;
    *from = stream->commit->text.length;
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
        rest_on(stream->commit, source_bytes);
        return commit_to(stream, n, at, length);
    }
    return HG_OK;
}

hg_status hg_stream_finish(hg_stream *stream)
{
    hg_status status = hg_decoder_finish(&stream->decoder, &stream->raw);
    return status ? status : render_after_commit(stream);
}

hg_status hg_stream_settle_all(hg_stream *stream, size_t source_bytes, size_t *from)
{
    *from = stream->commit->text.length;
    hg_status status =
        commit_to(stream, stream->token.count, stream->raw.length, stream->text.length);
    if (status) return status;
    stream->commit->source_bytes = source_bytes;
    stream->commit->source_whole = true;
    /* The rules have seen this as finished text, the decoder has closed its last character: what
     * a later revision adds starts afresh behind it. */
    freeze(stream);
    return HG_OK;
}

hg_status hg_commit_whole(hg_commit *commit, const char *text, size_t bytes, size_t source_bytes,
                          size_t *from)
{
    *from = commit->text.length;
    assert(bytes >= *from && (!*from || memcmp(text, commit->text.data, *from) == 0));
    hg_status status = hg_buf_append(&commit->text, text + *from, bytes - *from);
    if (status) return status;
    hg_buf_clear(&commit->raw);
    commit->frozen = commit->text.length;
    commit->source_bytes = source_bytes;
    commit->source_whole = true;
    return HG_OK;
}

const char *hg_stream_tentative(const hg_stream *stream)
{
    assert(begins_with(&stream->text, &stream->commit->text));
    return hg_buf_text(&stream->text) + stream->commit->text.length;
}
