/* resume.c: see resume.h.
 *
 * A session is named by its name and a key of 256 random bits. Resuming renews the key; the one
 * that was used stays good until the next time, because the answer with the new one may be lost
 * like any other.
 */
#include "core/service/resume.h"

#include <openssl/crypto.h>
#include <string.h>

#include "core/base/clock.h"

/* The session that has been detached the longest, when there are as many as may be. */
static hg_session *one_too_many(const hg_session_shared *shared)
{
    hg_session *session, *oldest = NULL;
    uint32_t detached = 0;
    TAILQ_FOREACH(session, &shared->sessions, link)
    {
        if (!session->detached_us || session->close_code) continue;
        detached++;
        if (!oldest || session->detached_us < oldest->detached_us) oldest = session;
    }
    return detached >= HG_LIMIT_DETACHED ? oldest : NULL;
}

bool hg_session_detach(hg_session *session)
{
    session->connection = NULL;
    if (session->close_code || !session->conversation) return false;
    hg_session *oldest = one_too_many(session->shared);
    if (oldest) hg_session_end(oldest, HG_CLOSE_GOING_AWAY);
    session->detached_us = hg_clock_us();
    hg_out_queue_stretch(&session->queue);
    return true;
}

static bool is_key(const char *key, const char *given)
{
    return strlen(key) == strlen(given) && *key && !CRYPTO_memcmp(key, given, strlen(key));
}

static hg_session *find(const hg_session *fresh, const hg_message *message)
{
    hg_session *session;
    TAILQ_FOREACH(session, &fresh->shared->sessions, link)
    {
        if (session == fresh || session->close_code || strcmp(session->name, message->session) != 0)
            continue;
        bool known =
            is_key(session->key, message->key) || is_key(session->key_before, message->key);
        return known ? session : NULL;
    }
    return NULL;
}

/* The first message of the connection: the session, under its new key, goes on from there. */
static void send_resumed(hg_session *session, uint64_t last_seq)
{
    hg_buf *event = &session->shared->event;
    hg_buf_clear(event);
    hg_status status = hg_resumed_print(session->name, session->key, last_seq + 1, event);
    if (!status) status = hg_out_queue_push_first(&session->queue, event->data, event->length);
    if (status)
        hg_session_end(session, HG_CLOSE_INTERNAL);
    else
        session->shared->wake(session);
}

bool hg_session_resume(hg_session *fresh, const hg_message *message, hg_refusal *refusal)
{
    hg_session_shared *shared = fresh->shared;
    if (fresh->spoken)
        return hg_message_refuse(refusal, HG_CODE_resume_gone,
                                 "resume is only the first message of a connection");
    hg_session *session = find(fresh, message);
    uint64_t last_seq = (uint64_t)message->last_seq;
    char key[65];
    bool kept = session && last_seq <= session->seq && hg_session_new_key(key);
    if (kept && !hg_out_queue_replay(&session->queue, last_seq)) {
        kept = false; /* its client has to begin anew: what still runs is for nobody */
        if (!session->connection) hg_session_end(session, HG_CLOSE_GOING_AWAY);
    }
    if (!kept)
        return hg_message_refuse(refusal, HG_CODE_resume_gone,
                                 "nothing is kept of that session; go on with this one");
    if (session->connection) shared->drop(session, HG_CLOSE_DONE);
    shared->move(fresh, session);
    session->caller = fresh->caller;
    session->told_of_expiry = false;
    session->detached_us = 0;
    session->receiving = false; /* the lost connection's last message is not whole */
    hg_buf_clear(&session->incoming);
    memcpy(session->key_before, message->key, strlen(message->key) + 1);
    memcpy(session->key, key, sizeof key);
    shared->metrics.sessions_resumed++;
    send_resumed(session, last_seq);
    hg_session_end(fresh, HG_CLOSE_DONE);
    return true;
}

static size_t held_bytes(const hg_session *session)
{
    return session->queue.bytes + session->queue.sent_bytes;
}

/* Of those without a connection the one that holds the most, while all together hold too much. */
static hg_session *one_too_large(const hg_session_shared *shared)
{
    hg_session *session, *largest = NULL;
    size_t bytes = 0;
    TAILQ_FOREACH(session, &shared->sessions, link)
    {
        if (!session->detached_us || session->close_code) continue;
        bytes += held_bytes(session);
        if (!largest || held_bytes(session) > held_bytes(largest)) largest = session;
    }
    return bytes > HG_LIMIT_DETACHED_BYTES ? largest : NULL;
}

void hg_sessions_age(hg_session_shared *shared, int64_t now_us)
{
    const int64_t grace_us = HG_LIMIT_RESUME_MS * INT64_C(1000);
    hg_session *session;
    TAILQ_FOREACH(session, &shared->sessions, link)
    {
        hg_out_queue_forget(&session->queue, now_us - HG_LIMIT_REPLAY_S * INT64_C(1000000));
        if (session->detached_us && now_us - session->detached_us > grace_us)
            hg_session_end(session, HG_CLOSE_GOING_AWAY);
    }
    while ((session = one_too_large(shared))) hg_session_end(session, HG_CLOSE_GOING_AWAY);
}

void hg_sessions_reap(hg_session_shared *shared)
{
    for (hg_session *session = TAILQ_FIRST(&shared->sessions), *next; session; session = next) {
        next = TAILQ_NEXT(session, link);
        if (!session->close_code) continue;
        hg_conversation_free(session->conversation);
        session->conversation = NULL;
        if (!session->connection) hg_session_free(session);
    }
    shared->ended = false;
}

void hg_sessions_drain(hg_session_shared *shared, bool over)
{
    hg_session *session;
    TAILQ_FOREACH(session, &shared->sessions, link)
    {
        bool runs = !session->close_code && session->connection && session->conversation &&
                    hg_conversation_running(session->conversation);
        if (!runs)
            hg_session_end(session, HG_CLOSE_GOING_AWAY);
        else if (over)
            hg_conversation_fail(session->conversation, HG_CODE_shutting_down);
    }
    if (shared->ended) hg_sessions_reap(shared);
}

void hg_sessions_end(hg_session_shared *shared, uint16_t close_code)
{
    hg_session *session;
    TAILQ_FOREACH(session, &shared->sessions, link) hg_session_end(session, close_code);
    hg_sessions_reap(shared);
}
