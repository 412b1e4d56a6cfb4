/* session.h: one client: its defaults, its conversation, its numbered events, what waits for it.
 *
 * Knows messages and translations but no sockets: ws.c feeds it whole text frames and sends what
 * its queue holds; it asks for that by shared->wake. Service thread only.
 *
 * Ending: hg_session_end says with which close code; from then on no event is queued any more, what
 * was queued for a reason other than slowness is still sent, and ws.c closes. The conversation,
 * which may be the very caller of the sink, is freed later, by hg_session_quiet.
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
    hg_metrics metrics;
    hg_token_reader *tokens; /* owned by the service; NULL while there is no store */
    bool unsure;             /* whether some token is revoked could not be asked */
    hg_rates rates;
    hg_buf languages;                  /* the array `languages`, printed */
    hg_buf event;                      /* the event being printed */
    bool ended;                        /* some session has an end but still its conversation */
    void (*wake)(hg_session *session); /* something waits in the queue, or the end came */
} hg_session_shared;

struct hg_session {
    TAILQ_ENTRY(hg_session) link; /* in the service's list */
    hg_session_shared *shared;
    void *connection; /* of ws.c */
    hg_caller caller;
    bool told_of_expiry;           /* token.expiring is out */
    hg_conversation *conversation; /* owned; NULL once quiet */
    hg_out_queue queue;
    hg_buf incoming;     /* the message being received */
    bool receiving;      /* a first fragment came, the last one not yet */
    int64_t received_us; /* when that first fragment came */
    uint64_t seq;        /* of the newest event */
    uint16_t close_code; /* 0: open */
    char name[33], key[65];
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

/* Frees the conversation: what runs is cancelled and logged. Not from inside a sink. */
void hg_session_quiet(hg_session *session);

#endif
