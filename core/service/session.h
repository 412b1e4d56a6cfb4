/* session.h: one client: its defaults, its conversation, its numbered events, what waits for it.
 *
 * Knows messages and translations but no sockets: ws.c feeds it whole text frames and sends what
 * its queue holds; it asks for that by shared->wake. Service thread only.
 *
 * A session outlives its connection: when that breaks, or reads too slowly, the session is
 * *detached*: lanes run on and events wait for HG_LIMIT_RESUME_MS, until a new connection's
 * `resume` takes it over (resume.c). All sessions are in shared->sessions.
 *
 * Ending: hg_session_end says with which close code; from then on no event is queued any more, what
 * was queued for a reason other than slowness is still sent, and ws.c closes. The conversation,
 * which may be the very caller of the sink, is freed later, by hg_sessions_reap.
 */
#ifndef HG_SERVICE_SESSION_H
#define HG_SERVICE_SESSION_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/base/buf.h"
#include "core/base/limits.h"
#include "core/service/access.h"
#include "core/service/close.h"
#include "core/service/metrics.h"
#include "core/service/out_queue.h"
#include "core/translate/translate.h"

typedef struct hg_session hg_session;

/* What all sessions of a service share. */
typedef struct hg_session_shared {
    hg_runtime *runtime; /* NULL while the model is being loaded */
    TAILQ_HEAD(, hg_session) sessions;
    hg_metrics metrics;
    hg_token_reader *tokens; /* owned by the service; NULL while there is no store */
    bool unsure;             /* whether some token is revoked could not be asked */
    hg_rates rates;
    hg_buf languages; /* the array `languages`, printed */
    hg_buf event;     /* the event being printed */
    hg_buf packed;    /* the message being compressed */
    bool ended;       /* some session has an end but still its conversation */
    bool stopping;    /* no new sessions, no new work */
    /* Of ws.c; none of them calls back. */
    void (*wake)(hg_session *session); /* something waits in the queue, or the end came */
    void (*drop)(hg_session *session, uint16_t close_code); /* its connection goes, it stays */
    void (*move)(hg_session *from, hg_session *to); /* from's connection is to's, which had none */
} hg_session_shared;

struct hg_session {
    TAILQ_ENTRY(hg_session) link; /* in shared->sessions */
    hg_session_shared *shared;
    void *connection;              /* of ws.c; NULL: none */
    int64_t detached_us;           /* since when it has none; 0: it has one */
    hg_caller caller;              /* of the connection, or the last one */
    bool told_of_expiry;           /* token.expiring is out */
    hg_conversation *conversation; /* owned; NULL once quiet */
    hg_out_queue queue;
    hg_buf incoming;     /* the message being received */
    bool receiving;      /* a first fragment came, the last one not yet */
    int64_t received_us; /* when that first fragment came */
    uint64_t seq;        /* of the newest event */
    uint16_t close_code; /* 0: open */
    bool spoken;         /* a message came: it is too late to resume another session */
    char name[33], key[65];
    char key_before[65]; /* was good when the session was last resumed, and is until it is again */
    char source[HG_LIMIT_TAG];    /* default; "auto" at first */
    char *target[HG_LIMIT_LANES]; /* [targets] defaults, owned */
    uint32_t targets;
};

/* A new session with `session.ready` in its queue; while the model is being loaded, one with the
 * error `starting` in it that ends then. */
hg_status hg_session_new(hg_session_shared *shared, void *connection, const hg_caller *caller,
                         hg_session **out, hg_error *error) HG_CHECKED;
void hg_session_free(hg_session *session);

/* One whole text frame, valid UTF-8. */
void hg_session_receive(hg_session *session, const char *bytes, size_t count, int64_t received_us);

/* Counts an event in the metrics of a hg_session_shared: the sink of what has no session. */
void hg_session_count(const hg_event *event, void *shared);

/* Tells of its token's end soon, and ends with its token: expired or, when the store has changed,
 * revoked. */
void hg_session_watch_token(hg_session *session, bool changed);

void hg_session_languages_changed(hg_session *session);

/* The first call decides the code. */
void hg_session_end(hg_session *session, uint16_t close_code);

/* Queues what stands in shared->event; status is how printing went; seq 0: it has none; key: of a
 * snapshot. */
void hg_session_send(hg_session *session, hg_status status, uint64_t seq, const char *key);

/* 64 random hexadecimal digits. */
bool hg_session_new_key(char key[65]);

#endif
