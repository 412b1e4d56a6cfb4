/* out_queue.h: what waits to be sent to one client, bounded in bytes.
 *
 * A message is a *snapshot* when a later one makes it worthless: tentative text of one sentence and
 * language. Pushing a snapshot removes the queued older one of the same key, so a reader that falls
 * behind gets fewer snapshots rather than late ones. When the bound is reached all snapshots go
 * first; what still does not fit is refused and the caller gives the client up. Other messages are
 * never dropped and never change their order.
 *
 * One owner, one thread (the service thread).
 */
#ifndef HG_SERVICE_OUT_QUEUE_H
#define HG_SERVICE_OUT_QUEUE_H

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
    char *key;                             /* points behind the message; NULL: no snapshot */
    char bytes[];                          /* [HG_OUT_HEADROOM + count], then the key */
} hg_out_message;

typedef TAILQ_HEAD(hg_out_list, hg_out_message) hg_out_list;

typedef struct hg_out_queue {
    hg_out_list all, snapshots;
    size_t bytes;     /* held, headers of messages counted */
    size_t maximum;   /* bytes may never be above */
    uint64_t dropped; /* snapshots replaced or dropped so far */
} hg_out_queue;

void hg_out_queue_init(hg_out_queue *queue, size_t maximum);
/* Drops everything; the queue may be used again. */
void hg_out_queue_clear(hg_out_queue *queue);

/* Copies the message; key NULL or what it is a snapshot of. HG_ERROR_LIMIT when it does not fit
 * even without snapshots (a snapshot is then dropped and HG_OK returned), HG_ERROR_MEMORY. */
hg_status hg_out_queue_push(hg_out_queue *queue, const char *bytes, size_t count,
                            const char *key) HG_CHECKED;

/* The oldest message, or NULL; it stays until it is popped. */
hg_out_message *hg_out_queue_first(hg_out_queue *queue);
void hg_out_queue_pop(hg_out_queue *queue);

#endif
