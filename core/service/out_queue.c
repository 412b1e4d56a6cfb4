/* out_queue.c: see out_queue.h. Two linked lists over the same messages: all of them in order, and
 * the snapshots alone, so that looking for an older one never walks over committed text. */
#include "core/service/out_queue.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void hg_out_queue_init(hg_out_queue *queue, size_t maximum)
{
    *queue = (hg_out_queue){.maximum = maximum};
    TAILQ_INIT(&queue->all);
    TAILQ_INIT(&queue->snapshots);
}

static size_t held_bytes(size_t count, const char *key)
{
    return sizeof(hg_out_message) + HG_OUT_HEADROOM + count + (key ? strlen(key) + 1 : 0);
}

static void remove_message(hg_out_queue *queue, hg_out_message *message)
{
    size_t held = held_bytes(message->count, message->key);
    assert(queue->bytes >= held);
    queue->bytes -= held;
    TAILQ_REMOVE(&queue->all, message, all);
    if (message->key) TAILQ_REMOVE(&queue->snapshots, message, snapshots);
    free(message);
}

void hg_out_queue_clear(hg_out_queue *queue)
{
    hg_out_message *message;
    while ((message = TAILQ_FIRST(&queue->all))) remove_message(queue, message);
    assert(queue->bytes == 0);
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

hg_status hg_out_queue_push(hg_out_queue *queue, const char *bytes, size_t count, const char *key)
{
    size_t held = held_bytes(count, key);
    if (key) replace_snapshot(queue, key);
    hg_out_message *next, *oldest = TAILQ_FIRST(&queue->snapshots);
    for (; oldest && held > queue->maximum - queue->bytes; oldest = next) {
        next = TAILQ_NEXT(oldest, snapshots);
        drop_snapshot(queue, oldest);
    }
    if (held > queue->maximum - queue->bytes) {
        if (!key) return HG_ERROR_LIMIT;
        queue->dropped++;
        return HG_OK;
    }
    hg_out_message *message = malloc(held);
    if (!message) return HG_ERROR_MEMORY;
    message->count = count;
    message->key = NULL;
    memcpy(message->bytes + HG_OUT_HEADROOM, bytes, count);
    if (key) {
        message->key = message->bytes + HG_OUT_HEADROOM + count;
        memcpy(message->key, key, strlen(key) + 1);
        TAILQ_INSERT_TAIL(&queue->snapshots, message, snapshots);
    }
    TAILQ_INSERT_TAIL(&queue->all, message, all);
    queue->bytes += held;
    assert(queue->bytes <= queue->maximum);
    return HG_OK;
}

hg_out_message *hg_out_queue_first(hg_out_queue *queue)
{
    return TAILQ_FIRST(&queue->all);
}

void hg_out_queue_pop(hg_out_queue *queue)
{
    assert(!TAILQ_EMPTY(&queue->all));
    remove_message(queue, TAILQ_FIRST(&queue->all));
}
