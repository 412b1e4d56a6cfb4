/* call.c: see call.h.
 *
 * Piece p in variant v is sentence "p.v" of the conversation, revision 1, final. Results stand in
 * one array, piece after piece, variant after variant, target after target.
 */
#include "core/translate/call.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/translate/sentence.h"

/* How further variants are sampled: near enough to the best one to make sense. */
#define VARIANT_TEMPERATURE 1.0f
#define VARIANT_TOP_P       0.95f

typedef struct result {
    hg_call_result seen;
    hg_buf text; /* owned; seen.text points to it */
} result;

struct hg_call {
    hg_conversation *conversation; /* owned */
    hg_call_options options;       /* its strings are those below, or static */
    char source[HG_LIMIT_TAG];
    char target[HG_LIMIT_LANES][HG_TARGET_MAX];
    char **piece;   /* [pieces] owned */
    result *result; /* [pieces * variants * targets] owned */
    uint32_t pieces, capacity;
    uint32_t next; /* of pieces * variants: the first that was not submitted */
    uint32_t running, prompt_tokens;
    uint64_t changes; /* of the results */
    int64_t deadline_us;
    char refusal[HG_ERROR_MESSAGE_MAX]; /* of the first request that was refused */
    bool ended;
};

static result *result_at(const hg_call *call, uint32_t piece, uint32_t target, uint32_t variant)
{
    const hg_call_options *o = &call->options;
    assert(piece < call->pieces && target < o->targets && variant < o->variants);
    return &call->result[((size_t)piece * o->variants + variant) * o->targets + target];
}

/* ---- what comes ---- */

static void take_end(result *r, const hg_event *event)
{
    hg_call_result *seen = &r->seen;
    hg_buf_clear(&r->text);
    seen->code = event->code;
    if (hg_buf_append_text(&r->text, event->text)) seen->code = HG_CODE_internal;
    if (!seen->code && strcmp(event->status, "ok") != 0) seen->code = HG_CODE_shutting_down;
    seen->done = true;
    seen->stop = event->stop;
    seen->tokens = event->tokens;
    snprintf(seen->source, sizeof seen->source, "%s", event->source);
    snprintf(seen->plugin, sizeof seen->plugin, "%s", event->plugin);
}

static result *result_of(const hg_call *call, const hg_event *event)
{
    unsigned piece, variant;
    int found = sscanf(event->id, "%u.%u", &piece, &variant);
    assert(found == 2);
    (void)found;
    for (uint32_t t = 0; t < call->options.targets; t++)
        if (strcmp(call->target[t], event->language) == 0)
            return result_at(call, piece, t, variant);
    assert(!"an event in a language that was not asked");
    return NULL;
}

static void take_event(const hg_event *event, void *context)
{
    hg_call *call = context;
    if (call->options.sink) call->options.sink(event, call->options.sink_context);
    if (event->type == HG_EVENT_BATCH) {
        assert(call->running > 0);
        call->running--;
        call->prompt_tokens += event->batch->prefill_tokens + event->batch->shared_tokens;
        return;
    }
    if (event->type == HG_EVENT_TENTATIVE) return;
    call->changes++;
    result *r = result_of(call, event);
    if (event->type == HG_EVENT_DONE)
        take_end(r, event);
    else if (hg_buf_append_text(&r->text, event->text))
        r->seen.code = HG_CODE_internal;
    r->seen.text = hg_buf_text(&r->text);
}

/* ---- making ---- */

hg_status hg_call_new(hg_runtime *runtime, const hg_call_options *options, hg_call **out,
                      hg_error *error)
{
    *out = NULL;
    assert(options->targets > 0 && options->targets <= HG_LIMIT_LANES && options->variants > 0);
    hg_call *call = calloc(1, sizeof *call);
    if (!call) return hg_fail(error, HG_ERROR_MEMORY, "no memory for a call");
    call->options = *options;
    snprintf(call->source, sizeof call->source, "%s", options->source);
    call->options.source = call->source;
    for (uint32_t i = 0; i < options->targets; i++) {
        snprintf(call->target[i], sizeof call->target[i], "%s", options->target[i]);
        call->options.target[i] = call->target[i];
    }
    call->deadline_us = hg_clock_us() + (int64_t)options->deadline_ms * 1000;
    hg_status status = hg_conversation_new(runtime, options->session, take_event, call,
                                           &call->conversation, error);
    if (status)
        hg_call_free(call);
    else
        *out = call;
    return status;
}

void hg_call_free(hg_call *call)
{
    if (!call) return;
    hg_conversation_free(call->conversation);
    size_t results = (size_t)call->pieces * call->options.variants * call->options.targets;
    for (size_t i = 0; i < results; i++) hg_buf_free(&call->result[i].text);
    for (uint32_t i = 0; i < call->pieces; i++) free(call->piece[i]);
    free(call->result);
    free(call->piece);
    free(call);
}

static hg_status grow(hg_call *call)
{
    uint32_t capacity = call->capacity ? call->capacity * 2 : 8;
    size_t each = (size_t)call->options.variants * call->options.targets;
    char **piece = realloc(call->piece, capacity * sizeof *piece);
    if (piece) call->piece = piece;
    result *results = realloc(call->result, capacity * each * sizeof *results);
    if (results) call->result = results;
    if (!piece || !results) return HG_ERROR_MEMORY;
    call->capacity = capacity;
    return HG_OK;
}

hg_status hg_call_add(hg_call *call, const char *text, size_t bytes)
{
    assert(!call->next); /* all pieces come before the first is submitted */
    size_t each = (size_t)call->options.variants * call->options.targets;
    if (hg_call_lanes(call) + each > HG_LIMIT_CALL_LANES) return HG_ERROR_LIMIT;
    if (call->pieces == call->capacity && grow(call)) return HG_ERROR_MEMORY;
    char *copy = strndup(text, bytes);
    if (!copy) return HG_ERROR_MEMORY;
    for (size_t i = 0; i < each; i++)
        call->result[call->pieces * each + i] =
            (result){.seen = {.text = "", .stop = ""}, .text = hg_buf_new(HG_LIMIT_LANE_TEXT)};
    call->piece[call->pieces++] = copy;
    return HG_OK;
}

/* ---- running ---- */

/* What was refused ends like a lane that failed. */
static void refuse(hg_call *call, uint32_t piece, uint32_t variant, const hg_refusal *refusal)
{
    if (!*call->refusal) snprintf(call->refusal, sizeof call->refusal, "%s", refusal->message);
    for (uint32_t t = 0; t < call->options.targets; t++) {
        hg_call_result *seen = &result_at(call, piece, t, variant)->seen;
        seen->done = true;
        seen->code = refusal->code;
        call->changes++;
    }
}

/* False: there is no room now. */
static bool submit(hg_call *call, int64_t now_us)
{
    const hg_call_options *o = &call->options;
    uint32_t piece = call->next / o->variants, variant = call->next % o->variants;
    hg_refusal refusal;
    char id[32];
    snprintf(id, sizeof id, "%u.%u", piece, variant);
    int64_t left_ms = (call->deadline_us - now_us) / 1000;
    hg_translate_request request = {
        .id = id,
        .rev = 1,
        .text = call->piece[piece],
        .target = o->target,
        .targets = o->targets,
        .source = call->source,
        .final = true,
        .stream = o->stream,
        .deadline_ms = left_ms > 0 ? (uint32_t)left_ms : 1,
        .max_tokens = o->max_tokens,
        .temperature = variant ? VARIANT_TEMPERATURE : o->temperature,
        .top_p = variant ? VARIANT_TOP_P : o->top_p,
        .seed = o->seed + variant,
    };
    if (hg_conversation_translate(call->conversation, &request, &refusal)) {
        call->running++;
    } else if (refusal.code == HG_CODE_busy && left_ms > 0) {
        return false;
    } else {
        refuse(call, piece, variant, &refusal);
    }
    call->next++;
    return true;
}

void hg_call_pump(hg_call *call)
{
    if (call->ended) return;
    uint32_t requests = call->pieces * call->options.variants;
    int64_t now_us = hg_clock_us();
    while (call->next < requests && call->running < HG_LIMIT_SESSION_JOBS)
        if (!submit(call, now_us)) break;
    if (call->next < requests || call->running) return;
    call->ended = true;
    call->options.ended(call, call->options.ended_context);
}

/* ---- reading ---- */

uint64_t hg_call_changes(const hg_call *call)
{
    return call->changes;
}

uint64_t hg_call_lanes(const hg_call *call)
{
    return (uint64_t)call->pieces * call->options.variants * call->options.targets;
}

uint32_t hg_call_prompt_tokens(const hg_call *call)
{
    return call->prompt_tokens;
}

const hg_call_result *hg_call_read(const hg_call *call, uint32_t piece, uint32_t target,
                                   uint32_t variant)
{
    return &result_at(call, piece, target, variant)->seen;
}

const hg_call_result *hg_call_failure(const hg_call *call, const char **message)
{
    *message = call->refusal;
    uint64_t results = hg_call_lanes(call);
    for (uint64_t i = 0; i < results; i++)
        if (call->result[i].seen.code) return &call->result[i].seen;
    return NULL;
}
