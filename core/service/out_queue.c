/* out_queue.c: see out_queue.h. Two linked lists over the same messages: all of them in order, and
 * the snapshots alone, so that looking for an older one never walks over committed text. */
#include "core/service/out_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void hg_out_queue_init(hg_out_queue *queue, size_t maximum, size_t replay)
{
    *queue = (hg_out_queue){.maximum = maximum, .normal = maximum, .replay = replay};
    TAILQ_INIT(&queue->all);
    TAILQ_INIT(&queue->sent);
    TAILQ_INIT(&queue->snapshots);
}

static size_t held_bytes(size_t count, const char *key)
{
    return sizeof(hg_out_message) + HG_OUT_HEADROOM + count + (key ? strlen(key) + 1 : 0);
}

static void take_out(hg_out_queue *queue, hg_out_message *message)
{
    size_t held = held_bytes(message->count, message->key);
    assert(queue->bytes >= held);
    queue->bytes -= held;
    TAILQ_REMOVE(&queue->all, message, all);
    if (message->key) TAILQ_REMOVE(&queue->snapshots, message, snapshots);
}

static void remove_message(hg_out_queue *queue, hg_out_message *message)
{
    take_out(queue, message);
    free(message);
}

/* Forgets the oldest of what was sent. */
static void forget_first(hg_out_queue *queue)
{
    hg_out_message *message = TAILQ_FIRST(&queue->sent);
    TAILQ_REMOVE(&queue->sent, message, all);
    queue->sent_bytes -= held_bytes(message->count, NULL);
    queue->lost_seq = message->seq;
    free(message);
}

void hg_out_queue_clear(hg_out_queue *queue)
{
    hg_out_message *message;
    while ((message = TAILQ_FIRST(&queue->all))) remove_message(queue, message);
    while (!TAILQ_EMPTY(&queue->sent)) forget_first(queue);
    assert(queue->bytes == 0 && queue->sent_bytes == 0);
}

static void drop_snapshot(hg_out_queue *queue, hg_out_message *message)
{
    assert(message->key);
    remove_message(queue, message);
    queue->dropped++;
}

/* Removes the queued snapshot of key: there is at most one. */
static void replace_snapshot(hg_out_queue *queue, const char *key)
{
    hg_out_message *message;
    TAILQ_FOREACH(message, &queue->snapshots, snapshots)
    {
        if (strcmp(message->key, key) != 0) continue;
        drop_snapshot(queue, message);
        return;
    }
}

/* Whether so many more bytes may wait. */
static bool fits(const hg_out_queue *queue, size_t held)
{
    return queue->bytes <= queue->maximum && held <= queue->maximum - queue->bytes;
}

/* A copy in no list; NULL without memory. */
static hg_out_message *new_message(const char *bytes, size_t count, uint64_t seq, const char *key)
{
    hg_out_message *message = malloc(held_bytes(count, key));
    if (!message) return NULL;
    message->count = count;
    message->seq = seq;
    message->key = NULL;
    memcpy(message->bytes + HG_OUT_HEADROOM, bytes, count);
    if (!key) return message;
    message->key = message->bytes + HG_OUT_HEADROOM + count;
    memcpy(message->key, key, strlen(key) + 1);
    return message;
}

hg_status hg_out_queue_push(hg_out_queue *queue, const char *bytes, size_t count, uint64_t seq,
                            const char *key)
{
    size_t held = held_bytes(count, key);
    if (key) replace_snapshot(queue, key);
    hg_out_message *next, *oldest = TAILQ_FIRST(&queue->snapshots);
    for (; oldest && !fits(queue, held); oldest = next) {
        next = TAILQ_NEXT(oldest, snapshots);
        drop_snapshot(queue, oldest);
    }
    if (!fits(queue, held)) {
        if (!key) return HG_ERROR_LIMIT;
        queue->dropped++;
        return HG_OK;
    }
    hg_out_message *message = new_message(bytes, count, seq, key);
    if (!message) return HG_ERROR_MEMORY;
    if (key) TAILQ_INSERT_TAIL(&queue->snapshots, message, snapshots);
    TAILQ_INSERT_TAIL(&queue->all, message, all);
    queue->bytes += held;
    return HG_OK;
}

hg_status hg_out_queue_push_first(hg_out_queue *queue, const char *bytes, size_t count)
{
    hg_out_message *message = new_message(bytes, count, 0, NULL);
    if (!message) return HG_ERROR_MEMORY;
    TAILQ_INSERT_HEAD(&queue->all, message, all);
    queue->bytes += held_bytes(count, NULL);
    return HG_OK;
}

hg_out_message *hg_out_queue_first(hg_out_queue *queue)
{
    return TAILQ_FIRST(&queue->all);
}

void hg_out_queue_pop(hg_out_queue *queue, int64_t now_us)
{
    hg_out_message *message = TAILQ_FIRST(&queue->all);
    assert(message);
    take_out(queue, message);
    if (queue->bytes <= queue->normal) queue->maximum = queue->normal;
    if (message->key || !message->seq || !queue->replay) {
        free(message);
        return;
    }
    message->sent_us = now_us;
    TAILQ_INSERT_TAIL(&queue->sent, message, all);
    queue->sent_bytes += held_bytes(message->count, NULL);
    queue->kept_bytes += held_bytes(message->count, NULL);
    while (queue->sent_bytes > queue->replay) forget_first(queue);
}

void hg_out_queue_forget(hg_out_queue *queue, int64_t before_us)
{
    hg_out_message *next, *message = TAILQ_FIRST(&queue->sent);
    for (; message && message->sent_us < before_us; message = next) {
        next = TAILQ_NEXT(message, all);
        forget_first(queue);
    }
}

/* ---- replay ---- */

void hg_out_queue_stretch(hg_out_queue *queue)
{
    if (queue->maximum == queue->normal) queue->maximum = queue->normal + queue->replay;
}

/* What was said to a connection and to nobody else. */
static void drop_without_seq(hg_out_queue *queue)
{
    hg_out_message *next, *message = TAILQ_FIRST(&queue->all);
    for (; message; message = next) {
        next = TAILQ_NEXT(message, all);
        if (!message->seq) remove_message(queue, message);
    }
}

bool hg_out_queue_replay(hg_out_queue *queue, uint64_t last_seq)
{
    hg_out_message *message;
    if (last_seq < queue->lost_seq) return false;
    drop_without_seq(queue);
    while ((message = TAILQ_LAST(&queue->sent, hg_out_list)) && message->seq > last_seq) {
        TAILQ_REMOVE(&queue->sent, message, all);
        TAILQ_INSERT_HEAD(&queue->all, message, all);
        queue->sent_bytes -= held_bytes(message->count, NULL);
        queue->bytes += held_bytes(message->count, NULL);
    }
    queue->maximum = 2 * (queue->normal + queue->replay);
    return true;
}
