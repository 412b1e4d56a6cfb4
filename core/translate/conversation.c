/* conversation.c: one client's sentences: requests in, older revisions out of the way, and the
 * poll that moves all of them. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/text/utf8.h"
#include "core/translate/segments.h"

#define BUSY_RETRY_MS 100 /* a sentence of the embedded model takes about a tenth of this */

hg_status hg_conversation_new(hg_runtime *runtime, const char *session, hg_event_sink sink,
                              void *context, hg_conversation **out, hg_error *error)
{
    *out = NULL;
    assert(sink);
    hg_conversation *conversation = calloc(1, sizeof *conversation);
    if (!conversation) return hg_fail(error, HG_ERROR_MEMORY, "no memory for a conversation");
    conversation->runtime = runtime;
    conversation->sink = sink;
    conversation->context = context;
    snprintf(conversation->session, sizeof conversation->session, "%s", session);
    size_t length = strlen(conversation->session);
    conversation->session[hg_utf8_valid(conversation->session, length)] = '\0';
    *out = conversation;
    return HG_OK;
}

static void end_all(hg_conversation *conversation, bool deliver, const char *status, hg_code code)
{
    hg_runtime *runtime = conversation->runtime;
    assert(!runtime->delivering);
    for (hg_request *request = runtime->requests, *next; request; request = next) {
        next = request->next;
        if (request->conversation != conversation) continue;
        if (!deliver) request->conversation = NULL; /* from here on it is logged */
        hg_request_end(request, status, code);
        hg_request_finish(request);
    }
}

void hg_conversation_fail(hg_conversation *conversation, hg_code code)
{
    end_all(conversation, true, "failed", code);
}

void hg_conversation_free(hg_conversation *conversation)
{
    if (!conversation) return;
    end_all(conversation, false, "cancelled", HG_CODE_NONE);
    hg_sentence_set_free(&conversation->sentences);
    free(conversation);
}

/* Whether the session has all the jobs in the engine that it may; the revision that a new one
 * supersedes makes room for it. */
static bool is_busy(const hg_conversation *conversation, const hg_sentence *sentence)
{
    uint32_t count = 0;
    for (const hg_request *r = conversation->runtime->requests; r; r = r->next)
        count += r->conversation == conversation && r->undone && r != sentence->running;
    return count >= HG_LIMIT_SESSION_JOBS;
}

/* The sentence is of the set, or new and owned here. */
static bool translate(hg_conversation *conversation, hg_sentence *sentence,
                      const hg_translate_request *asked, hg_refusal *refusal)
{
    if (is_busy(conversation, sentence))
        return hg_refuse(refusal, HG_CODE_busy, BUSY_RETRY_MS,
                         "%d sentences of this session are running; wait for one to end",
                         HG_LIMIT_SESSION_JOBS);
    hg_request *request = hg_request_make(conversation, asked, sentence, refusal);
    if (!request) return false;
    if (sentence->running) {
        hg_request *older = sentence->running;
        hg_request_end(older, "superseded", HG_CODE_NONE);
        hg_request_finish(older);
    }
    if (!sentence->used) {
        bool added = hg_sentence_set_add(&conversation->sentences, sentence);
        assert(added); /* fewer jobs run than sentences are kept */
        (void)added;
    }
    hg_sentence_use(&conversation->sentences, sentence);
    hg_request_begin(request, sentence);
    hg_runtime *runtime = conversation->runtime;
    if (runtime->outcomes_wait && runtime->doorbell) runtime->doorbell(runtime->doorbell_context);
    return true;
}

bool hg_conversation_translate(hg_conversation *conversation, const hg_translate_request *request,
                               hg_refusal *refusal)
{
    _Static_assert(HG_LIMIT_SESSION_JOBS < HG_LIMIT_SENTENCES, "a sentence can always be added");
    assert(!conversation->runtime->delivering);
    *refusal = (hg_refusal){0};
    if (!hg_runtime_ready(conversation->runtime))
        return hg_refuse(refusal, HG_CODE_starting, BUSY_RETRY_MS, "the plugins are being loaded");
    if (!request->id || !*request->id ||
        hg_utf8_length(request->id, strlen(request->id)) > HG_LIMIT_ID)
        return hg_refuse(refusal, HG_CODE_bad_field, 0, "id: expected 1 to %d characters",
                         HG_LIMIT_ID);
    hg_sentence *sentence = hg_sentence_find(&conversation->sentences, request->id);
    if (sentence) return translate(conversation, sentence, request, refusal);
    sentence = hg_sentence_new(request->id);
    if (!sentence) return hg_refuse(refusal, HG_CODE_internal, 0, "no memory for a sentence");
    if (translate(conversation, sentence, request, refusal)) return true;
    hg_sentence_free(sentence);
    return false;
}

bool hg_conversation_cancel(hg_conversation *conversation, const char *id)
{
    assert(!conversation->runtime->delivering);
    hg_sentence *sentence = hg_sentence_find(&conversation->sentences, id);
    if (!sentence || !sentence->running) return false;
    hg_request *request = sentence->running;
    hg_request_end(request, "cancelled", HG_CODE_NONE);
    hg_request_finish(request);
    return true;
}

uint32_t hg_conversation_running(const hg_conversation *conversation)
{
    return conversation->running;
}

/* ---- poll ---- */

static void deliver_outcomes(hg_runtime *runtime)
{
    for (hg_request *request = runtime->requests, *next; request; request = next) {
        next = request->next;
        hg_request_outcomes(request);
        hg_request_finish(request);
    }
    runtime->outcomes_wait = false;
}

/* Requests whose next round found no room in the engine try again. */
static void resume_rounds(hg_runtime *runtime)
{
    runtime->rounds_wait = false;
    for (hg_request *request = runtime->requests, *next; request; request = next) {
        next = request->next;
        if (!request->waits) continue;
        request->waits = false;
        hg_request_next_round(request);
        hg_request_finish(request);
    }
}

/* Ends what is past its deadline; returns how long the next one may be waited for, at most
 * wait_ms. */
static uint32_t check_deadlines(hg_runtime *runtime, uint32_t wait_ms)
{
    int64_t now_us = hg_clock_us();
    for (hg_request *request = runtime->requests, *next; request; request = next) {
        next = request->next;
        if (!request->deadline_us || !request->undone) continue;
        if (now_us >= request->deadline_us) {
            hg_request_end(request, "failed", HG_CODE_deadline);
            hg_request_finish(request);
            continue;
        }
        int64_t left_ms = (request->deadline_us - now_us) / 1000 + 1;
        if (left_ms < wait_ms) wait_ms = (uint32_t)left_ms;
    }
    return wait_ms;
}

/* The request that news of job are for, or NULL: news may still be in the engine's list when the
 * request has ended. The pointer alone does not tell, another request may have its place. */
static hg_request *request_of(const hg_runtime *runtime, hg_job *job)
{
    for (hg_request *request = runtime->requests; request; request = request->next)
        if (request == hg_job_user(job) && request->job == job) return request;
    return NULL;
}

uint32_t hg_translator_poll(hg_runtime *runtime, uint32_t wait_ms)
{
    assert(!runtime->delivering);
    hg_runtime_ready(runtime);
    hg_catalog_take(&runtime->catalog);
    if (runtime->outcomes_wait) {
        deliver_outcomes(runtime);
        wait_ms = 0;
    }
    wait_ms = check_deadlines(runtime, wait_ms);
    uint32_t jobs = 0;
    hg_job *job;
    while ((job = hg_engine_next_news(runtime->engine, wait_ms)) != NULL) {
        hg_request *request = request_of(runtime, job);
        if (request) {
            hg_request_news(request);
            hg_request_finish(request);
        }
        hg_job_release(job);
        jobs++;
        wait_ms = 0;
    }
    if (runtime->rounds_wait) resume_rounds(runtime);
    check_deadlines(runtime, 0);
    return jobs;
}
