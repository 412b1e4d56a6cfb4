/* translate.h: sentences in, growing text in many languages out.
 *
 * A *translator* knows the languages served (the catalog) and turns requests into engine jobs and
 * the engine's tokens into text. A *conversation* is one client's sentences: their revisions, what
 * was committed of each language, what is running. Both belong to one thread (the service thread,
 * or the command line's), which also calls hg_translator_poll when the engine's doorbell rang; all
 * events are delivered by that call or by the request itself, to the conversation's sink. The sink
 * only takes the event: it calls nothing of this header. Conversations are freed before their
 * runtime is closed.
 *
 * Text rules, counts, statuses, epochs and commits are those of docs/PROTOCOL.md: each accepted
 * request gives exactly one HG_EVENT_DONE per language, then one HG_EVENT_BATCH; a refused one
 * gives none.
 */
#ifndef HG_TRANSLATE_TRANSLATE_H
#define HG_TRANSLATE_TRANSLATE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/translate/codes.h"
#include "core/translate/glossary.h"
#include "core/translate/runtime.h"
#include "db/store.h"

typedef struct hg_conversation hg_conversation;

typedef struct hg_translate_request {
    const char *id;            /* up to HG_LIMIT_ID code points */
    int64_t rev;               /* above the last one of this id */
    const char *text;          /* valid UTF-8, NUL-terminated: the whole sentence so far */
    const char *const *target; /* [targets] BCP-47 tags or "plugin:NAME", as asked */
    uint32_t targets;
    const char *source; /* tag, or "auto" (NULL, ""): see hg_runtime_detected */
    bool final;
    bool stream;          /* false: ends only */
    bool reading;         /* ends come with a reading in Latin letters, where there is one */
    uint32_t deadline_ms; /* 0: none */
    uint32_t max_tokens;  /* 0: four times the prompt and 32, at most HG_LIMIT_TOKENS_DEFAULT */
    float temperature;    /* 0: greedy */
    float top_p;          /* 0: 1 */
    uint64_t seed;
    hg_glossary *glossary; /* held as long as the request needs it; NULL: none */
    int64_t received_us;   /* hg_clock_us when the frame came in; 0: now */
} hg_translate_request;

typedef struct hg_refusal {
    hg_code code;
    char message[HG_ERROR_MESSAGE_MAX];
    uint32_t retry_after_ms; /* 0: not said */
} hg_refusal;

typedef enum hg_event_type {
    HG_EVENT_COMMITTED,
    HG_EVENT_TENTATIVE,
    HG_EVENT_DONE,
    HG_EVENT_BATCH
} hg_event_type;

/* Strings live for the call of the sink only. Times are milliseconds since the frame came in. */
typedef struct hg_event {
    hg_event_type type;
    const char *id;
    int64_t rev;
    /* COMMITTED, TENTATIVE, DONE */
    const char *language; /* the tag as asked */
    uint32_t epoch;
    const char *text;
    /* DONE */
    const char *reading;         /* of text, as asked; NULL: none */
    const char *status;          /* "ok", "superseded", "cancelled", "failed" */
    const char *stop;            /* "eos", "length", "repetition", "unchanged"; "" when not ok */
    hg_code code;                /* when failed */
    const char *plugin, *source; /* plugin: "" when none serves it */
    int32_t confidence;          /* in source, 0 to 100; -1: the request named it */
    uint32_t generation;
    uint32_t
        tokens; /* output of this revision: what was forced by earlier commits is not counted */
    double first_ms, total_ms;
    /* BATCH */
    const hg_batch_record *batch;
} hg_event;

typedef void (*hg_event_sink)(const hg_event *event, void *context);

/* session names the conversation in the log. */
hg_status hg_conversation_new(hg_runtime *runtime, const char *session, hg_event_sink sink,
                              void *context, hg_conversation **out, hg_error *error) HG_CHECKED;
/* Cancels what runs; nothing is delivered any more, but the batches are still logged. */
void hg_conversation_free(hg_conversation *conversation);

/* false: refused, *refusal says why. The events of a request never come before its call returns,
 * but those that end an older revision of the same id (superseded) may. */
bool hg_conversation_translate(hg_conversation *conversation, const hg_translate_request *request,
                               hg_refusal *refusal) HG_CHECKED;

/* How many lanes targets, HG_LIMIT_LANES at most, stand for: duplicates merge. */
uint32_t hg_targets_merged(const char *const *target, uint32_t targets);

/* Ends what runs of this id as "cancelled". false when nothing did. */
bool hg_conversation_cancel(hg_conversation *conversation, const char *id);

/* Ends all that runs as failed with this code. */
void hg_conversation_fail(hg_conversation *conversation, hg_code code);

/* Requests accepted whose BATCH event has not come yet. */
uint32_t hg_conversation_running(const hg_conversation *conversation);

/* Takes what the engine has and delivers events; checks deadlines, so call it every few tens of
 * milliseconds while requests with one run. Waits up to wait_ms for the first news, less when
 * there are other events or a deadline comes. Returns how many jobs had news. */
uint32_t hg_translator_poll(hg_runtime *runtime, uint32_t wait_ms);

#endif
