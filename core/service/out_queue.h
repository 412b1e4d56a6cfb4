/* out_queue.h: what waits to be sent to one client and what was sent, both bounded in bytes.
 *
 * A message is a *snapshot* when a later one makes it worthless: tentative text of one sentence and
 * language. Pushing a snapshot removes the queued older one of the same key, so a reader that falls
 * behind gets fewer snapshots rather than late ones. When the bound is reached all snapshots go
 * first; what still does not fit is refused and the caller gives the client up. Other messages are
 * never dropped and never change their order.
 *
 * What was sent, snapshots aside, is kept up to the bound of the replay, or until it is too old to
 * be asked for: a client whose connection broke says which event it saw last, and the later ones
 * wait again. Until then the queue may be *stretched*: what comes meanwhile, or did not fit when a
 * slow reader was given up, finds room.
 *
 * One owner, one thread (the service thread).
 */
#ifndef HG_SERVICE_OUT_QUEUE_H
#define HG_SERVICE_OUT_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "core/base/error.h"

/* Bytes free in front of each message, where libwebsockets writes the frame's header. */
#define HG_OUT_HEADROOM 16

typedef struct hg_out_message {
    TAILQ_ENTRY(hg_out_message) all;       /* in the order of sending */
    TAILQ_ENTRY(hg_out_message) snapshots; /* linked when key is set */
    size_t count;                          /* bytes of the message */
    uint64_t seq;                          /* of the event; 0: it has none and is never replayed */
    int64_t sent_us;                       /* when it was sent, once it was */
    char *key;                             /* points behind the message; NULL: no snapshot */
    char bytes[];                          /* [HG_OUT_HEADROOM + count], then the key */
} hg_out_message;

typedef TAILQ_HEAD(hg_out_list, hg_out_message) hg_out_list;

typedef struct hg_out_queue {
    hg_out_list all, snapshots;
    hg_out_list sent;      /* oldest first, linked by all */
    size_t bytes;          /* that wait, headers of messages counted */
    size_t sent_bytes;     /* likewise, of what was sent */
    size_t maximum;        /* more than these may not wait, now */
    size_t normal, replay; /* the bounds of what waits and of what was sent */
    uint64_t lost_seq;     /* of the newest sent message that was forgotten */
    uint64_t kept_bytes;   /* of all that was sent and kept so far, twice what was sent twice */
    uint64_t dropped;      /* snapshots replaced or dropped so far */
} hg_out_queue;

void hg_out_queue_init(hg_out_queue *queue, size_t maximum, size_t replay);
/* Drops everything; the queue may be used again. */
void hg_out_queue_clear(hg_out_queue *queue);

/* Copies the message; seq 0: none; key NULL or what it is a snapshot of. HG_ERROR_LIMIT when it
 * does not fit even without snapshots (a snapshot is then dropped and HG_OK returned),
 * HG_ERROR_MEMORY. */
hg_status hg_out_queue_push(hg_out_queue *queue, const char *bytes, size_t count, uint64_t seq,
                            const char *key) HG_CHECKED;
/* As push, of a message without seq that goes before all others, whatever waits. */
hg_status hg_out_queue_push_first(hg_out_queue *queue, const char *bytes, size_t count) HG_CHECKED;

/* The oldest message, or NULL; it stays until it is popped. */
hg_out_message *hg_out_queue_first(hg_out_queue *queue);
/* It was sent: it may be replayed from now on. */
void hg_out_queue_pop(hg_out_queue *queue, int64_t now_us);
/* Forgets what was sent before that time. */
void hg_out_queue_forget(hg_out_queue *queue, int64_t before_us);

/* Nobody reads for a while: as much as is replayed may wait on top. */
void hg_out_queue_stretch(hg_out_queue *queue);
/* What was sent after last_seq waits again, before what waits; what has no seq leaves. The reader
 * gets room for all that and for as much again. False, and nothing changed, when some of it is
 * forgotten. */
bool hg_out_queue_replay(hg_out_queue *queue, uint64_t last_seq);

#endif
