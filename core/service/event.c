/* event.c: events to frames. The tables say which members an event has and where their values
 * stand, in the order of docs/PROTOCOL.md. */
#include "core/service/message.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/service/json_out.h"

typedef enum kind {
    KIND_TEXT,
    KIND_WORD, /* a text that is left out when it is NULL or empty */
    KIND_REV,  /* int64_t */
    KIND_COUNT,
    KIND_NUMBER,
    KIND_PERCENT, /* int32_t, left out when it is negative */
    KIND_CODE,    /* left out when there is none */
} kind;

typedef struct member {
    const char *name;
    kind kind;
    size_t offset;
} member;

#define AT(name) offsetof(hg_event, name)
static const member piece_members[] = {
    {"id", KIND_TEXT, AT(id)},
    {"rev", KIND_REV, AT(rev)},
    {"language", KIND_TEXT, AT(language)},
    {"epoch", KIND_COUNT, AT(epoch)},
    {"text", KIND_TEXT, AT(text)},
    {0},
};

static const member done_members[] = {
    {"id", KIND_TEXT, AT(id)},
    {"rev", KIND_REV, AT(rev)},
    {"language", KIND_TEXT, AT(language)},
    {"epoch", KIND_COUNT, AT(epoch)},
    {"status", KIND_TEXT, AT(status)},
    {"text", KIND_TEXT, AT(text)},
    {"plugin", KIND_WORD, AT(plugin)},
    {"generation", KIND_COUNT, AT(generation)},
    {"source", KIND_WORD, AT(source)},
    {"confidence", KIND_PERCENT, AT(confidence)},
    {"tokens", KIND_COUNT, AT(tokens)},
    {"stop", KIND_WORD, AT(stop)},
    {"first_ms", KIND_NUMBER, AT(first_ms)},
    {"total_ms", KIND_NUMBER, AT(total_ms)},
    {"code", KIND_CODE, AT(code)},
    {0},
};

static const member batch_identity[] = {
    {"id", KIND_TEXT, AT(id)},
    {"rev", KIND_REV, AT(rev)},
    {0},
};
#undef AT

#define AT(name) offsetof(hg_batch_record, name)
static const member batch_members[] = {
    {"batch", KIND_REV, AT(id)},
    {"lanes", KIND_COUNT, AT(lanes)},
    {"prefill_tokens", KIND_COUNT, AT(prefill_tokens)},
    {"shared_tokens", KIND_COUNT, AT(shared_tokens)},
    {"decode_tokens", KIND_COUNT, AT(decode_tokens)},
    {"drafted", KIND_COUNT, AT(drafted)},
    {"accepted", KIND_COUNT, AT(accepted)},
    {"queue_ms", KIND_NUMBER, AT(queue_ms)},
    {"prefill_ms", KIND_NUMBER, AT(prefill_ms)},
    {"first_ms", KIND_NUMBER, AT(first_ms)},
    {"total_ms", KIND_NUMBER, AT(total_ms)},
    {"tokens_per_s", KIND_NUMBER, AT(tokens_per_s)},
    {0},
};
#undef AT

static const struct {
    const char *type;
    const member *members;
} events[] = {
    [HG_EVENT_COMMITTED] = {"translation.committed", piece_members},
    [HG_EVENT_TENTATIVE] = {"translation.tentative", piece_members},
    [HG_EVENT_DONE] = {"translation.done", done_members},
    [HG_EVENT_BATCH] = {"batch.done", batch_identity},
};

static void print_member(hg_json_out *json, const member *m, const void *base)
{
    const void *at = (const char *)base + m->offset;
    const char *text = m->kind <= KIND_WORD ? *(const char *const *)at : NULL;
    switch (m->kind) {
    case KIND_TEXT: hg_json_put_text(json, m->name, text ? text : ""); return;
    case KIND_WORD:
        if (text && *text) hg_json_put_text(json, m->name, text);
        return;
    case KIND_REV: hg_json_put_integer(json, m->name, *(const int64_t *)at); return;
    case KIND_COUNT: hg_json_put_integer(json, m->name, *(const uint32_t *)at); return;
    case KIND_NUMBER: hg_json_put_number(json, m->name, *(const double *)at); return;
    case KIND_PERCENT:
        if (*(const int32_t *)at >= 0) hg_json_put_integer(json, m->name, *(const int32_t *)at);
        return;
    case KIND_CODE:
        if (*(const hg_code *)at)
            hg_json_put_text(json, m->name, hg_code_name(*(const hg_code *)at));
        return;
    }
}

static void print_members(hg_json_out *json, const member *members, const void *base)
{
    for (const member *m = members; m->name; m++) print_member(json, m, base);
}

/* Opens the object that every event is; seq 0: it has none. */
static hg_json_out begin_event(const char *type, uint64_t seq, hg_buf *out)
{
    hg_json_out json = hg_json_out_new(out);
    hg_json_begin_object(&json, NULL);
    hg_json_put_text(&json, "type", type);
    if (seq) hg_json_put_integer(&json, "seq", (int64_t)seq);
    return json;
}

static hg_status end_event(hg_json_out *json)
{
    hg_json_end_object(json);
    return json->status;
}

hg_status hg_event_print(const hg_event *event, uint64_t seq, hg_buf *out)
{
    assert((size_t)event->type < sizeof events / sizeof *events);
    hg_json_out json = begin_event(events[event->type].type, seq, out);
    print_members(&json, events[event->type].members, event);
    if (event->type == HG_EVENT_BATCH) print_members(&json, batch_members, event->batch);
    return end_event(&json);
}

hg_status hg_error_print(const hg_refusal *refusal, const char *id, int64_t rev, uint64_t seq,
                         hg_buf *out)
{
    assert(refusal->code != HG_CODE_NONE);
    hg_json_out json = begin_event("error", seq, out);
    hg_json_put_text(&json, "code", hg_code_name(refusal->code));
    hg_json_put_text(&json, "message", refusal->message);
    if (id) hg_json_put_text(&json, "id", id);
    if (rev >= 0) hg_json_put_integer(&json, "rev", rev);
    hg_json_put_bool(&json, "retry", hg_code_retry(refusal->code));
    if (refusal->retry_after_ms)
        hg_json_put_integer(&json, "retry_after_ms", refusal->retry_after_ms);
    return end_event(&json);
}

hg_status hg_pong_print(const json_t *t, hg_buf *out)
{
    hg_json_out json = begin_event("pong", 0, out);
    if (t) {
        char *echo = json_dumps(t, JSON_COMPACT | JSON_ENCODE_ANY);
        if (!echo) return HG_ERROR_MEMORY;
        hg_json_put_raw(&json, "t", echo);
        free(echo);
    }
    return end_event(&json);
}

hg_status hg_languages_print(const hg_language_view *view, uint32_t count, hg_buf *out)
{
    hg_json_out json = hg_json_out_new(out);
    hg_json_begin_array(&json, NULL);
    for (uint32_t i = 0; i < count; i++) {
        hg_json_begin_object(&json, NULL);
        hg_json_put_text(&json, "tag", view[i].tag.text);
        hg_json_put_text(&json, "name", view[i].name);
        hg_json_put_text(&json, "native", view[i].native);
        hg_json_put_text(&json, "direction", view[i].direction);
        hg_json_begin_array(&json, "sources");
        for (uint32_t s = 0; s < view[i].sources; s++)
            hg_json_put_text(&json, NULL, view[i].source[s]);
        hg_json_end_array(&json);
        hg_json_put_text(&json, "plugin", view[i].plugin);
        hg_json_put_integer(&json, "generation", view[i].generation);
        if (view[i].licence) hg_json_put_text(&json, "licence", view[i].licence);
        if (view[i].attribution) hg_json_put_text(&json, "attribution", view[i].attribution);
        hg_json_end_object(&json);
    }
    hg_json_end_array(&json);
    return json.status;
}

hg_status hg_languages_changed_print(const char *languages, uint64_t seq, hg_buf *out)
{
    hg_json_out json = begin_event("languages.changed", seq, out);
    hg_json_put_raw(&json, "languages", languages);
    return end_event(&json);
}

hg_status hg_token_expiring_print(int64_t expires_us, uint64_t seq, hg_buf *out)
{
    char date[HG_CLOCK_TEXT_MAX];
    hg_clock_format(expires_us, date);
    hg_json_out json = begin_event("token.expiring", seq, out);
    hg_json_put_text(&json, "expires_at", date);
    return end_event(&json);
}

hg_status hg_ready_print(const hg_ready *ready, uint64_t seq, hg_buf *out)
{
    hg_json_out json = begin_event("session.ready", seq, out);
    hg_json_put_text(&json, "session", ready->session);
    hg_json_put_text(&json, "key", ready->key);
    hg_json_begin_object(&json, "model");
    hg_json_put_text(&json, "name", ready->model);
    hg_json_put_text(&json, "device", ready->device);
    if (*ready->notice) hg_json_put_text(&json, "notice", ready->notice);
    hg_json_end_object(&json);
    hg_json_put_raw(&json, "languages", ready->languages);
    hg_json_begin_object(&json, "limits");
    hg_json_put_integer(&json, "max_text", HG_LIMIT_TEXT);
    hg_json_put_integer(&json, "max_targets", HG_LIMIT_LANES);
    hg_json_put_integer(&json, "max_frame", HG_LIMIT_FRAME);
    hg_json_put_integer(&json, "lanes_per_minute", ready->lanes_per_minute);
    /* No replay: no session can resume. */
    hg_json_put_integer(&json, "replay_bytes", 0);
    hg_json_put_integer(&json, "resume_grace_ms", 0);
    hg_json_end_object(&json);
    return end_event(&json);
}
