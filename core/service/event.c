/* event.c: events to frames. The tables say which members an event has and where their values
 * stand, in the order of docs/PROTOCOL.md; printing is a walk over them. */
#include "core/service/message_table.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/service/json_out.h"

#define STATUSES "ok|superseded|cancelled|failed"
#define STOPS    "eos|length|repetition|unchanged"

#define AT(name) offsetof(hg_event, name)
static const hg_member piece_members[] = {
    {"id", HG_MEMBER_TEXT, AT(id)},
    {"rev", HG_MEMBER_LONG, AT(rev)},
    {"language", HG_MEMBER_TEXT, AT(language), .what = "the tag that was asked"},
    {"epoch", HG_MEMBER_COUNT, AT(epoch), .what = "rises when the edit took committed text back"},
    {"text", HG_MEMBER_TEXT, AT(text)},
    {0},
};

static const hg_member done_members[] = {
    {"id", HG_MEMBER_TEXT, AT(id)},
    {"rev", HG_MEMBER_LONG, AT(rev)},
    {"language", HG_MEMBER_TEXT, AT(language), .what = "the tag that was asked"},
    {"epoch", HG_MEMBER_COUNT, AT(epoch)},
    {"status", HG_MEMBER_TEXT, AT(status), .choices = STATUSES},
    {"text", HG_MEMBER_TEXT, AT(text), .what = "committed and tentative together"},
    {"reading", HG_MEMBER_WORD, AT(reading), .what = "of the text, in Latin letters"},
    {"plugin", HG_MEMBER_WORD, AT(plugin)},
    {"generation", HG_MEMBER_COUNT, AT(generation)},
    {"source", HG_MEMBER_WORD, AT(source)},
    {"confidence", HG_MEMBER_PERCENT, AT(confidence), .what = "of a source that was detected"},
    {"tokens", HG_MEMBER_COUNT, AT(tokens)},
    {"stop", HG_MEMBER_WORD, AT(stop), .choices = STOPS},
    {"first_ms", HG_MEMBER_NUMBER, AT(first_ms)},
    {"total_ms", HG_MEMBER_NUMBER, AT(total_ms)},
    {"code", HG_MEMBER_CODE, AT(code), .what = "of what failed"},
    {0},
};

static const hg_member batch_identity[] = {
    {"id", HG_MEMBER_TEXT, AT(id)},
    {"rev", HG_MEMBER_LONG, AT(rev)},
    {0},
};
#undef AT

#define AT(name) offsetof(hg_batch_record, name)
static const hg_member batch_members[] = {
    {"batch", HG_MEMBER_LONG, AT(id)},
    {"lanes", HG_MEMBER_COUNT, AT(lanes)},
    {"prefill_tokens", HG_MEMBER_COUNT, AT(prefill_tokens)},
    {"shared_tokens", HG_MEMBER_COUNT, AT(shared_tokens)},
    {"decode_tokens", HG_MEMBER_COUNT, AT(decode_tokens)},
    {"drafted", HG_MEMBER_COUNT, AT(drafted)},
    {"accepted", HG_MEMBER_COUNT, AT(accepted)},
    {"queue_ms", HG_MEMBER_NUMBER, AT(queue_ms)},
    {"prefill_ms", HG_MEMBER_NUMBER, AT(prefill_ms)},
    {"first_ms", HG_MEMBER_NUMBER, AT(first_ms)},
    {"total_ms", HG_MEMBER_NUMBER, AT(total_ms)},
    {"tokens_per_s", HG_MEMBER_NUMBER, AT(tokens_per_s)},
    {0},
};
#undef AT

#define AT(name) offsetof(hg_language_view, name)
static const hg_member language_members[] = {
    {"tag", HG_MEMBER_PLACE, AT(tag.text)},
    {"name", HG_MEMBER_PLACE, AT(name), .what = "in English"},
    {"native", HG_MEMBER_PLACE, AT(native), .what = "in itself"},
    {"direction", HG_MEMBER_TEXT, AT(direction), .choices = "ltr|rtl"},
    {"reading", HG_MEMBER_BOOL, AT(reading), .what = "whether options.reading gives one"},
    {"sources", HG_MEMBER_TAGS, AT(source), AT(sources), .what = "what it is translated from"},
    {"plugin", HG_MEMBER_TEXT, AT(plugin)},
    {"generation", HG_MEMBER_COUNT, AT(generation)},
    {"licence", HG_MEMBER_WORD, AT(licence)},
    {"attribution", HG_MEMBER_WORD, AT(attribution)},
    {0},
};
#undef AT

#define AT(name) offsetof(hg_ready, name)
static const hg_member model_members[] = {
    {"name", HG_MEMBER_TEXT, AT(model)},
    {"device", HG_MEMBER_TEXT, AT(device)},
    {"notice", HG_MEMBER_WORD, AT(notice), .what = "that the model's licence wants shown"},
    {0},
};

static const hg_member limit_members[] = {
    {"max_text", HG_MEMBER_FIXED, .value = HG_LIMIT_TEXT, .what = "code points of one text"},
    {"max_targets", HG_MEMBER_FIXED, .value = HG_LIMIT_LANES},
    {"max_frame", HG_MEMBER_FIXED, .value = HG_LIMIT_FRAME, .what = "bytes of one frame"},
    {"lanes_per_minute", HG_MEMBER_COUNT, AT(lanes_per_minute), .what = "0: no bound"},
    {"replay_bytes", HG_MEMBER_FIXED, .value = HG_LIMIT_REPLAY},
    {"resume_grace_ms", HG_MEMBER_FIXED, .value = HG_LIMIT_RESUME_MS, .what = "0: no resume"},
    {0},
};

static const hg_member ready_members[] = {
    {"session", HG_MEMBER_TEXT, AT(session)},
    {"key", HG_MEMBER_TEXT, AT(key), .what = "by which the session is resumed"},
    {"model", HG_MEMBER_OBJECT, .inner = model_members},
    {"languages", HG_MEMBER_ARRAY, AT(languages), .inner = language_members},
    {"limits", HG_MEMBER_OBJECT, .inner = limit_members},
    {0},
};

static const hg_member changed_members[] = {
    {"languages", HG_MEMBER_ARRAY, AT(languages), .inner = language_members},
    {0},
};
#undef AT

typedef struct resumed {
    const char *session, *key;
    int64_t from_seq;
} resumed;

#define AT(name) offsetof(resumed, name)
static const hg_member resumed_members[] = {
    {"session", HG_MEMBER_TEXT, AT(session)},
    {"key", HG_MEMBER_TEXT, AT(key), .what = "a new one, for the next time"},
    {"from_seq", HG_MEMBER_LONG, AT(from_seq), .what = "where the replay begins"},
    {0},
};
#undef AT

/* What has no struct of its own elsewhere. */
typedef struct notice {
    hg_code code;
    const char *id, *message, *date, *echo;
    int64_t rev;
    bool retry;
    uint32_t retry_after_ms;
} notice;

#define AT(name) offsetof(notice, name)
static const hg_member expiring_members[] = {
    {"expires_at", HG_MEMBER_TEXT, AT(date), .what = "RFC 3339, UTC"},
    {0},
};

static const hg_member error_members[] = {
    {"code", HG_MEMBER_CODE, AT(code)},
    {"message", HG_MEMBER_TEXT, AT(message), .what = "for people; names the field"},
    {"id", HG_MEMBER_WORD, AT(id), .what = "of the message that was refused"},
    {"rev", HG_MEMBER_LONG_IF, AT(rev)},
    {"retry", HG_MEMBER_BOOL, AT(retry), .what = "whether sending it again makes sense"},
    {"retry_after_ms", HG_MEMBER_COUNT_IF, AT(retry_after_ms)},
    {0},
};

static const hg_member pong_members[] = {
    {"t", HG_MEMBER_JSON, AT(echo), .what = "what the ping had"},
    {0},
};
#undef AT

/* The events of hg_event_type, then the others. */
enum {
    EVENT_READY = HG_EVENT_BATCH + 1,
    EVENT_RESUMED,
    EVENT_CHANGED,
    EVENT_EXPIRING,
    EVENT_ERROR,
    EVENT_PONG,
};

static const hg_message_row events[] = {
    [HG_EVENT_COMMITTED] = {"translation.committed", "a new piece of text, never taken back",
                            .members = piece_members},
    [HG_EVENT_TENTATIVE] = {"translation.tentative",
                            "what may follow the committed text: a snapshot, some are skipped",
                            .members = piece_members},
    [HG_EVENT_DONE] = {"translation.done", "the end of one language of one revision",
                       .members = done_members},
    [HG_EVENT_BATCH] = {"batch.done", "after the last end of a revision", .members = batch_identity,
                        .more = batch_members},
    [EVENT_READY] = {"session.ready", "the first event of a connection", .members = ready_members},
    [EVENT_RESUMED] = {"session.resumed", "the session goes on; what was missed follows",
                       .members = resumed_members, .unnumbered = true},
    [EVENT_CHANGED] = {"languages.changed", "the languages served are others now",
                       .members = changed_members},
    [EVENT_EXPIRING] = {"token.expiring", "the session's token ends soon, and the session with it",
                        .members = expiring_members},
    [EVENT_ERROR] = {"error", "a message was refused, or the session", .members = error_members},
    [EVENT_PONG] = {"pong", "the answer to ping", .members = pong_members, .unnumbered = true},
};

#define EVENTS (sizeof events / sizeof *events)

const hg_message_row *hg_event_row_at(size_t index)
{
    return index < EVENTS ? &events[index] : NULL;
}

static void print_members(hg_json_out *json, const hg_member *members, const void *base);

static void print_text(hg_json_out *json, const hg_member *m, const char *text)
{
    bool needed = m->kind == HG_MEMBER_TEXT || m->kind == HG_MEMBER_PLACE;
    if (needed || (text && *text)) hg_json_put_text(json, m->name, text ? text : "");
}

static void print_raw(hg_json_out *json, const hg_member *m, const char *value)
{
    if (value) hg_json_put_raw(json, m->name, value);
}

static void print_integer(hg_json_out *json, const hg_member *m, int64_t value, bool wanted)
{
    if (wanted) hg_json_put_integer(json, m->name, value);
}

static void print_tags(hg_json_out *json, const hg_member *m, const void *base)
{
    const char *const *tag = *(const char *const *const *)((const char *)base + m->offset);
    uint32_t count = *(const uint32_t *)((const char *)base + m->count);
    hg_json_begin_array(json, m->name);
    for (uint32_t i = 0; i < count; i++) hg_json_put_text(json, NULL, tag[i]);
    hg_json_end_array(json);
}

static void print_object(hg_json_out *json, const char *name, const hg_member *members,
                         const void *base)
{
    hg_json_begin_object(json, name);
    print_members(json, members, base);
    hg_json_end_object(json);
}

static void print_member(hg_json_out *json, const hg_member *m, const void *base)
{
    const void *at = (const char *)base + m->offset;
    switch (m->kind) {
    case HG_MEMBER_TEXT:
    case HG_MEMBER_WORD: print_text(json, m, *(const char *const *)at); return;
    case HG_MEMBER_PLACE: print_text(json, m, at); return;
    case HG_MEMBER_CODE: print_text(json, m, hg_code_name(*(const hg_code *)at)); return;
    case HG_MEMBER_ARRAY:
    case HG_MEMBER_JSON: print_raw(json, m, *(const char *const *)at); return;
    case HG_MEMBER_LONG: print_integer(json, m, *(const int64_t *)at, true); return;
    case HG_MEMBER_LONG_IF:
        print_integer(json, m, *(const int64_t *)at, *(const int64_t *)at >= 0);
        return;
    case HG_MEMBER_COUNT: print_integer(json, m, *(const uint32_t *)at, true); return;
    case HG_MEMBER_COUNT_IF:
        print_integer(json, m, *(const uint32_t *)at, *(const uint32_t *)at > 0);
        return;
    case HG_MEMBER_PERCENT:
        print_integer(json, m, *(const int32_t *)at, *(const int32_t *)at >= 0);
        return;
    case HG_MEMBER_FIXED: print_integer(json, m, m->value, true); return;
    case HG_MEMBER_NUMBER: hg_json_put_number(json, m->name, *(const double *)at); return;
    case HG_MEMBER_BOOL: hg_json_put_bool(json, m->name, *(const bool *)at); return;
    case HG_MEMBER_TAGS: print_tags(json, m, base); return;
    case HG_MEMBER_OBJECT: print_object(json, m->name, m->inner, base); return;
    }
}

static void print_members(hg_json_out *json, const hg_member *members, const void *base)
{
    for (const hg_member *m = members; m->name; m++) print_member(json, m, base);
}

/* more: the base of the row's second table, or NULL. */
static hg_status print_event(const hg_message_row *row, uint64_t seq, const void *base,
                             const void *more, hg_buf *out)
{
    hg_json_out json = hg_json_out_new(out);
    assert(!seq == row->unnumbered);
    hg_json_begin_object(&json, NULL);
    hg_json_put_text(&json, "type", row->type);
    if (seq) hg_json_put_integer(&json, "seq", (int64_t)seq);
    print_members(&json, row->members, base);
    if (more) print_members(&json, row->more, more);
    hg_json_end_object(&json);
    return json.status;
}

hg_status hg_event_print(const hg_event *event, uint64_t seq, hg_buf *out)
{
    assert(event->type <= HG_EVENT_BATCH);
    const void *more = event->type == HG_EVENT_BATCH ? event->batch : NULL;
    return print_event(&events[event->type], seq, event, more, out);
}

hg_status hg_error_print(const hg_refusal *refusal, const char *id, int64_t rev, uint64_t seq,
                         hg_buf *out)
{
    assert(refusal->code != HG_CODE_NONE);
    const notice n = {.code = refusal->code,
                      .message = refusal->message,
                      .id = id,
                      .rev = rev,
                      .retry = hg_code_retry(refusal->code),
                      .retry_after_ms = refusal->retry_after_ms};
    return print_event(&events[EVENT_ERROR], seq, &n, NULL, out);
}

hg_status hg_pong_print(const json_t *t, hg_buf *out)
{
    char *echo = t ? json_dumps(t, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    if (t && !echo) return HG_ERROR_MEMORY;
    const notice n = {.echo = echo};
    hg_status status = print_event(&events[EVENT_PONG], 0, &n, NULL, out);
    free(echo);
    return status;
}

hg_status hg_languages_print(const hg_language_view *view, uint32_t count, hg_buf *out)
{
    hg_json_out json = hg_json_out_new(out);
    hg_json_begin_array(&json, NULL);
    for (uint32_t i = 0; i < count; i++) print_object(&json, NULL, language_members, &view[i]);
    hg_json_end_array(&json);
    return json.status;
}

hg_status hg_languages_changed_print(const char *languages, uint64_t seq, hg_buf *out)
{
    const hg_ready changed = {.languages = languages};
    return print_event(&events[EVENT_CHANGED], seq, &changed, NULL, out);
}

hg_status hg_token_expiring_print(int64_t expires_us, uint64_t seq, hg_buf *out)
{
    char date[HG_CLOCK_TEXT_MAX];
    hg_clock_format(expires_us, date);
    const notice n = {.date = date};
    return print_event(&events[EVENT_EXPIRING], seq, &n, NULL, out);
}

hg_status hg_resumed_print(const char *session, const char *key, uint64_t from_seq, hg_buf *out)
{
    const resumed r = {.session = session, .key = key, .from_seq = (int64_t)from_seq};
    return print_event(&events[EVENT_RESUMED], 0, &r, NULL, out);
}

hg_status hg_ready_print(const hg_ready *ready, uint64_t seq, hg_buf *out)
{
    return print_event(&events[EVENT_READY], seq, ready, NULL, out);
}
