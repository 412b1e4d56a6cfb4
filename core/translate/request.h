/* request.h: one accepted revision of a text: its lanes, their text, their ends. segments.h has
 * what happens when the text has more than one sentence.
 *
 *     hg_request_make     checks the fields, resolves the targets, builds prompts, submits the job;
 *                         changes nothing but the engine's queue, so that a refusal leaves no trace
 *     hg_request_begin    the revision is accepted: its sentence moves on, its streams start
 *     hg_request_outcomes delivers ends that need no engine (unknown language, unchanged, ...)
 *     hg_request_news     takes the engine's tokens and delivers text and ends
 *     hg_request_end      ends what still runs: superseded, cancelled, deadline
 *
 * When every language's DONE is out and the engine's job has ended, the BATCH goes out, the batch
 * is logged and the request frees itself. All of this belongs to the owner's thread.
 */
#ifndef HG_TRANSLATE_REQUEST_H
#define HG_TRANSLATE_REQUEST_H

#include "core/translate/runtime_internal.h"
#include "core/translate/sentence.h"
#include "core/translate/stream.h"
#include "core/translate/translate.h"

/* How a language ends without the engine. */
typedef enum hg_outcome {
    HG_OUTCOME_NONE,        /* it does not: it is a lane of the job */
    HG_OUTCOME_UNCHANGED,   /* the target is the source: its text comes back */
    HG_OUTCOME_CLOSED,      /* all its sentences are closed already, or there is none: no letter */
    HG_OUTCOME_FULL,        /* what is committed leaves no position of the model free */
    HG_OUTCOME_UNKNOWN,     /* no plugin serves it */
    HG_OUTCOME_UNSUPPORTED, /* its plugin does not take the source */
} hg_outcome;

typedef struct hg_request_lane {
    char language[HG_TARGET_MAX]; /* as asked */
    hg_sentence_language *state;  /* of the sentence; owned while state_is_new */
    bool state_is_new;            /* not in the sentence yet */
    hg_catalog_entry *entry;      /* a reference, or NULL */
    hg_outcome outcome;
    uint32_t kept;    /* steps of the language's commit that hold in this revision */
    uint32_t segment; /* the sentence that it translates, or will */
    hg_carry *carry;  /* what that carries; owned, or NULL */
    uint32_t tries;   /* of that sentence, before the present one */
    uint32_t job_lane;
    bool running;     /* a lane of the job that has not ended */
    hg_stream stream; /* of that lane */
    bool done;        /* its DONE is out */
    uint32_t epoch;
    const char *status, *stop;
    uint32_t tokens; /* output tokens of this revision */
    uint32_t drafted, accepted, tokens_before, drafted_before, accepted_before; /* closed before */
    int64_t first_us, end_us;
} hg_request_lane;

typedef struct hg_request {
    struct hg_request *previous, *next; /* in the runtime's list */
    hg_runtime *runtime;
    hg_conversation *conversation; /* NULL once freed: nothing is delivered any more */
    hg_sentence *sentence;         /* NULL once this is no longer its running revision */
    char id[HG_LIMIT_ID * 4 + 1];
    char session[HG_LIMIT_ID + 1];
    int64_t rev;
    bool final, stream, reading;
    uint32_t edits; /* as its sentence says */
    bool ended;     /* the text ends with a mark that ends a sentence */
    hg_tag source;
    int32_t confidence;     /* in it, 0 to 100, when it was detected; -1: it was said */
    hg_buf text;            /* as it came */
    size_t lead, body;      /* bytes of leading white space, of what is to be translated */
    hg_protected_list kept; /* of the body; owned */
    hg_glossary *glossary;  /* a reference, or NULL */
    hg_spans spans;         /* sentences in the body; owned */
    size_t settled;         /* bytes after lead that commits of the last sentence rest on now */
    uint32_t words;         /* of it in them */
    int64_t received_us, started_wall_us;
    int64_t deadline_us; /* 0: none */
    uint32_t max_tokens; /* 0: the default bound */
    float temperature, top_p;
    uint64_t seed;
    char device[64]; /* what served when the last round was submitted */
    hg_job *job;     /* the present round's: a reference, or NULL: no lane needs the engine */
    bool job_ended;
    bool waits;                  /* for room in the engine for its next round */
    hg_job_state figures;        /* of all jobs, as last read */
    hg_job_state figures_before; /* of those before the present one */
    hg_request_lane lane[HG_LIMIT_LANES];
    uint32_t lanes, undone;
} hg_request;

struct hg_conversation {
    hg_runtime *runtime;
    char session[HG_LIMIT_ID + 1];
    hg_event_sink sink;
    void *context;
    hg_sentence_set sentences;
    uint32_t running; /* requests whose BATCH is not out */
};

/* request.c: fills *refusal and returns false. */
bool hg_refuse(hg_refusal *refusal, hg_code code, uint32_t retry_after_ms, const char *format, ...)
    HG_PRINTF(4, 5);

/* sentence: the one of this id, in the conversation's set or not. NULL: refused. */
hg_request *hg_request_make(hg_conversation *conversation, const hg_translate_request *asked,
                            const hg_sentence *sentence, hg_refusal *refusal);
/* Cannot fail: what goes wrong ends lanes. The sentence's older revision has ended. */
void hg_request_begin(hg_request *request, hg_sentence *sentence);
void hg_request_free(hg_request *request);

/* deliver.c */
void hg_request_outcomes(hg_request *request);
void hg_request_news(hg_request *request);
/* status: "superseded", "cancelled" or "failed" with a code. Each one's text so far comes along. */
void hg_request_end(hg_request *request, const char *status, hg_code code);
/* Sends BATCH, logs and frees when nothing is left to come. True: the request is gone. */
bool hg_request_finish(hg_request *request);
/* The engine is closed: logs and frees all that is left. */
void hg_request_abandon_all(hg_runtime *runtime);
/* batch.c */
void hg_request_record(const hg_request *request, hg_batch_record *record);

#endif
