/* message.h: the messages of hydraglot.v1, both ways.
 *
 * One table (message.c) says of each message a client may send which fields it has, of which type,
 * which must be there and within which bounds; parsing is a walk over that table, so a new field is
 * a new row. Another (event.c) says the same of the events that carry a translation. What is parsed
 * points into the JSON tree that the message owns.
 *
 * Pure functions: any thread.
 */
#ifndef HG_SERVICE_MESSAGE_H
#define HG_SERVICE_MESSAGE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/limits.h"
#include "core/translate/translate.h"

/* The largest integer that a JavaScript client can hold: 2^53 - 1. */
#define HG_INTEGER_MAX 9007199254740991

typedef enum hg_message_type {
    HG_MESSAGE_TRANSLATE,
    HG_MESSAGE_CANCEL,
    HG_MESSAGE_SESSION_UPDATE,
    HG_MESSAGE_RESUME,
    HG_MESSAGE_PING,
} hg_message_type;

/* Fields that the frame did not have are NULL, 0 or their default. */
typedef struct hg_message {
    hg_message_type type;
    json_t *root;       /* owned; everything below points into it */
    const char *id;     /* also set on a refused message when the frame had a good one */
    int64_t rev;        /* likewise; -1: none */
    const char *text;   /* valid UTF-8 without NUL */
    const char *source; /* tag or "auto" */
    const char *target[HG_LIMIT_LANES]; /* [targets] */
    uint32_t targets;
    bool final, stream; /* stream: true when not said */
    bool reading;
    int64_t deadline_ms, max_tokens, seed;
    double temperature, top_p; /* top_p: 1 when not said */
    const char *session, *key;
    int64_t last_seq;
    json_t *t; /* of a ping: any JSON value */
} hg_message;

/* Reads one frame (valid UTF-8). false: *refusal has a code and a message that names the field.
 * Call hg_message_free either way. */
bool hg_message_parse(const char *bytes, size_t count, hg_message *out,
                      hg_refusal *refusal) HG_CHECKED;
void hg_message_free(hg_message *message);

/* Fills a refusal and returns false, so that a refusing function ends in one line. */
bool hg_message_refuse(hg_refusal *refusal, hg_code code, const char *format, ...) HG_PRINTF(3, 4);

/* ---- events: each is appended to out as one JSON object ---- */

/* committed, tentative, done or batch */
hg_status hg_event_print(const hg_event *event, uint64_t seq, hg_buf *out) HG_CHECKED;

/* id NULL: none; rev -1: none */
hg_status hg_error_print(const hg_refusal *refusal, const char *id, int64_t rev, uint64_t seq,
                         hg_buf *out) HG_CHECKED;

/* t NULL: the ping had none. pong has no seq. */
hg_status hg_pong_print(const json_t *t, hg_buf *out) HG_CHECKED;

/* The array `languages` of session.ready and languages.changed. */
hg_status hg_languages_print(const hg_language_view *view, uint32_t count, hg_buf *out) HG_CHECKED;

/* languages is that array, printed. */
hg_status hg_languages_changed_print(const char *languages, uint64_t seq, hg_buf *out) HG_CHECKED;

hg_status hg_token_expiring_print(int64_t expires_us, uint64_t seq, hg_buf *out) HG_CHECKED;

typedef struct hg_ready {
    const char *session, *key;
    const char *model, *device;
    const char *notice;        /* of the model's licence, or "" */
    const char *languages;     /* printed array */
    uint32_t lanes_per_minute; /* 0: no bound */
} hg_ready;

/* from_seq: of the first event that may be replayed */
hg_status hg_resumed_print(const char *session, const char *key, uint64_t from_seq,
                           hg_buf *out) HG_CHECKED;
hg_status hg_ready_print(const hg_ready *ready, uint64_t seq, hg_buf *out) HG_CHECKED;

#endif
