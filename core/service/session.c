/* session.c: see session.h. */
#include "core/service/session.h"

#include <assert.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/service/resume.h"

#define STARTING_RETRY_MS 1000
#define EXPIRY_WARNING_US INT64_C(60000000) /* before a token's end its client is told */

/* bytes random bytes as hex into out [2 * bytes + 1]. */
static bool random_hex(char *out, size_t bytes)
{
    unsigned char random[32];
    assert(bytes <= sizeof random);
    if (RAND_bytes(random, (int)bytes) != 1) return false;
    for (size_t i = 0; i < bytes; i++) snprintf(out + 2 * i, 3, "%02x", random[i]);
    return true;
}

bool hg_session_new_key(char key[65])
{
    return random_hex(key, 32);
}

void hg_session_end(hg_session *session, uint16_t close_code)
{
    assert(close_code >= 1000);
    if (session->close_code) return;
    session->close_code = close_code;
    session->shared->ended = true;
    session->shared->wake(session);
}

/* A reader that is too slow even for what is never dropped loses its connection, not its session.
 */
static hg_status give_up_reader(hg_session *session, const char *key, uint64_t seq)
{
    hg_session_shared *shared = session->shared;
    hg_log(HG_LOG_INFO, "service", "session %s: reads too slowly, closed", session->name);
    shared->metrics.slow_readers++;
    shared->drop(session, HG_CLOSE_TOO_SLOW);
    if (!hg_session_detach(session)) return HG_ERROR_LIMIT;
    return hg_out_queue_push(&session->queue, shared->event.data, shared->event.length, seq, key);
}

void hg_session_send(hg_session *session, hg_status status, uint64_t seq, const char *key)
{
    hg_session_shared *shared = session->shared;
    hg_out_queue *queue = &session->queue;
    uint64_t dropped = queue->dropped;
    if (!status)
        status = hg_out_queue_push(queue, shared->event.data, shared->event.length, seq, key);
    if (status == HG_ERROR_LIMIT && queue->bytes && session->connection)
        status = give_up_reader(session, key, seq);
    shared->metrics.snapshots_dropped += queue->dropped - dropped;
    if (!status) {
        shared->wake(session);
        return;
    }
    hg_log(HG_LOG_INFO, "service", "session %s: an event could not be queued, ended",
           session->name);
    hg_session_end(session, HG_CLOSE_INTERNAL);
}

/* The next seq, and an empty buffer for the event that bears it. */
static uint64_t begin_event(hg_session *session)
{
    hg_buf_clear(&session->shared->event);
    return ++session->seq;
}

void hg_session_count(const hg_event *event, void *shared)
{
    hg_metrics_count(&((hg_session_shared *)shared)->metrics, event);
}

static void take_event(const hg_event *event, void *context)
{
    hg_session *session = context;
    hg_metrics_count(&session->shared->metrics, event);
    if (session->close_code) return;
    char key[HG_LIMIT_ID * 4 + HG_LIMIT_PLUGIN_NAME * 4 + 32];
    bool snapshot = event->type == HG_EVENT_TENTATIVE;
    if (snapshot) {
        int count = snprintf(key, sizeof key, "%s\n%s", event->id, event->language);
        assert(count > 0 && (size_t)count < sizeof key);
        (void)count;
    }
    uint64_t seq = begin_event(session);
    hg_status status = hg_event_print(event, seq, &session->shared->event);
    hg_session_send(session, status, seq, snapshot ? key : NULL);
}

static void send_refusal(hg_session *session, const hg_refusal *refusal, const char *id,
                         int64_t rev)
{
    if (session->close_code) return;
    session->shared->metrics.errors[refusal->code]++;
    uint64_t seq = begin_event(session);
    hg_status status = hg_error_print(refusal, id, rev, seq, &session->shared->event);
    hg_session_send(session, status, seq, NULL);
}

static void send_ready(hg_session *session)
{
    hg_ready ready = {
        .session = session->name,
        .key = session->key,
        .model = session->shared->metrics.model,
        .device = session->shared->metrics.device,
        .notice = hg_runtime_model(session->shared->runtime)->notice,
        .languages = hg_buf_text(&session->shared->languages),
        .lanes_per_minute = session->caller.rate,
    };
    uint64_t seq = begin_event(session);
    hg_session_send(session, hg_ready_print(&ready, seq, &session->shared->event), seq, NULL);
}

/* There is no model to speak of yet: the client may come again. */
static void send_away(hg_session *session)
{
    const hg_refusal refusal = {.code = HG_CODE_starting,
                                .retry_after_ms = STARTING_RETRY_MS,
                                .message = "the model is being loaded"};
    send_refusal(session, &refusal, NULL, -1);
    hg_session_end(session, HG_CLOSE_STARTING);
}

void hg_session_languages_changed(hg_session *session)
{
    if (session->close_code) return;
    uint64_t seq = begin_event(session);
    const char *languages = hg_buf_text(&session->shared->languages);
    hg_status status = hg_languages_changed_print(languages, seq, &session->shared->event);
    hg_session_send(session, status, seq, NULL);
}

void hg_session_watch_token(hg_session *session, bool changed)
{
    const hg_caller *caller = &session->caller;
    if (session->close_code || !*caller->hash) return;
    int64_t left_us = caller->expires_us - hg_clock_wall_us();
    if (hg_caller_ended(session->shared->tokens, caller, changed, &session->shared->unsure)) {
        hg_session_end(session, HG_CLOSE_TOKEN);
        return;
    }
    if (!caller->expires_us || session->told_of_expiry || left_us > EXPIRY_WARNING_US) return;
    session->told_of_expiry = true;
    uint64_t seq = begin_event(session);
    hg_status status = hg_token_expiring_print(caller->expires_us, seq, &session->shared->event);
    hg_session_send(session, status, seq, NULL);
}

hg_status hg_session_new(hg_session_shared *shared, void *connection, const hg_caller *caller,
                         hg_session **out, hg_error *error)
{
    hg_session *session = calloc(1, sizeof *session);
    if (!session) return hg_fail(error, HG_ERROR_MEMORY, "no memory for a session");
    session->shared = shared;
    session->connection = connection;
    session->caller = *caller;
    session->incoming = hg_buf_new(HG_LIMIT_FRAME);
    memcpy(session->source, "auto", sizeof "auto");
    hg_out_queue_init(&session->queue, HG_LIMIT_OUT_QUEUE, HG_LIMIT_REPLAY);
    TAILQ_INSERT_TAIL(&shared->sessions, session, link);
    hg_status status = HG_OK;
    if (!random_hex(session->name, 16) || !hg_session_new_key(session->key))
        status = hg_fail(error, HG_ERROR_STATE, "no random bytes for a session's name");
    if (!status && shared->runtime)
        status = hg_conversation_new(shared->runtime, session->name, take_event, session,
                                     &session->conversation, error);
    if (status) {
        hg_session_free(session);
        return status;
    }
    shared->metrics.sessions_total++;
    if (shared->runtime)
        send_ready(session);
    else
        send_away(session);
    *out = session;
    return HG_OK;
}

static void forget_targets(hg_session *session)
{
    for (uint32_t i = 0; i < session->targets; i++) free(session->target[i]);
    session->targets = 0;
}

void hg_session_free(hg_session *session)
{
    if (!session) return;
    hg_conversation_free(session->conversation);
    TAILQ_REMOVE(&session->shared->sessions, session, link);
    hg_out_queue_clear(&session->queue);
    hg_buf_free(&session->incoming);
    forget_targets(session);
    free(session);
}

static bool handle_translate(hg_session *session, const hg_message *message, int64_t received_us,
                             hg_refusal *refusal)
{
    if (session->shared->stopping)
        return hg_message_refuse(refusal, HG_CODE_shutting_down, "the service is stopping");
    bool own = message->targets > 0;
    uint32_t targets = own ? message->targets : session->targets;
    if (!targets)
        return hg_message_refuse(refusal, HG_CODE_bad_field,
                                 "targets is missing, and no session.update has set a default");
    hg_translate_request request = {
        .id = message->id,
        .rev = message->rev,
        .text = message->text,
        .target = own ? message->target : (const char *const *)session->target,
        .targets = targets,
        .source = message->source ? message->source : session->source,
        .final = message->final,
        .stream = message->stream,
        .reading = message->reading,
        .deadline_ms = (uint32_t)message->deadline_ms,
        .max_tokens = (uint32_t)message->max_tokens,
        .temperature = (float)message->temperature,
        .top_p = (float)message->top_p,
        .seed = (uint64_t)message->seed,
        .received_us = received_us,
    };
    hg_rates *rates = &session->shared->rates;
    uint32_t lanes = hg_targets_merged(request.target, targets);
    uint32_t wait_ms = hg_rate_wait(rates, &session->caller, lanes, received_us);
    if (wait_ms) {
        hg_message_refuse(refusal, HG_CODE_rate, "the token's lanes of this minute are used");
        refusal->retry_after_ms = wait_ms;
        return false;
    }
    if (!hg_conversation_translate(session->conversation, &request, refusal)) return false;
    hg_rate_pay(rates, &session->caller, lanes, received_us);
    session->shared->metrics.requests++;
    return true;
}

static bool handle_update(hg_session *session, const hg_message *message, hg_refusal *refusal)
{
    /* The table bounds it in characters; a tag is ASCII, so more bytes than that are none. */
    if (message->source && strlen(message->source) >= sizeof session->source)
        return hg_message_refuse(refusal, HG_CODE_bad_field, "source is not a language tag");
    char *copy[HG_LIMIT_LANES];
    for (uint32_t i = 0; i < message->targets; i++) {
        copy[i] = strdup(message->target[i]);
        if (copy[i]) continue;
        while (i > 0) free(copy[--i]);
        return hg_message_refuse(refusal, HG_CODE_internal, "no memory for the session's targets");
    }
    if (message->targets) {
        forget_targets(session);
        memcpy(session->target, copy, message->targets * sizeof *copy);
        session->targets = message->targets;
    }
    if (message->source) memcpy(session->source, message->source, strlen(message->source) + 1);
    return true;
}

static void handle_ping(hg_session *session, const hg_message *message)
{
    hg_buf_clear(&session->shared->event);
    hg_session_send(session, hg_pong_print(message->t, &session->shared->event), 0, NULL);
}

static bool handle(hg_session *session, const hg_message *message, int64_t received_us,
                   hg_refusal *refusal)
{
    switch (message->type) {
    case HG_MESSAGE_TRANSLATE: return handle_translate(session, message, received_us, refusal);
    case HG_MESSAGE_CANCEL:
        /* What has just ended cannot be cancelled; that is no fault of the client. */
        (void)hg_conversation_cancel(session->conversation, message->id);
        return true;
    case HG_MESSAGE_SESSION_UPDATE: return handle_update(session, message, refusal);
    case HG_MESSAGE_RESUME: return hg_session_resume(session, message, refusal);
    case HG_MESSAGE_PING: handle_ping(session, message); return true;
    }
    assert(!"a message without handler");
    return true;
}

void hg_session_receive(hg_session *session, const char *bytes, size_t count, int64_t received_us)
{
    if (session->close_code) return;
    assert(session->conversation);
    hg_message message;
    hg_refusal refusal = {0};
    bool good = hg_message_parse(bytes, count, &message, &refusal) &&
                handle(session, &message, received_us, &refusal);
    session->spoken = true;
    if (!good) send_refusal(session, &refusal, message.id, message.rev);
    hg_message_free(&message);
}
