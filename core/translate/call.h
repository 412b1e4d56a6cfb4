/* call.h: many pieces of text for the same targets, each translated once or several times: what an
 * HTTP request asks for, by way of a conversation of its own.
 *
 * Pieces are added, then hg_call_pump submits as many as a session may have running, whenever it is
 * called: after hg_translator_poll and at every tick. When all pieces have ended it says so once.
 * Like its conversation a call belongs to the translator's thread; freeing it cancels what runs.
 */
#ifndef HG_TRANSLATE_CALL_H
#define HG_TRANSLATE_CALL_H

#include "core/translate/translate.h"

typedef struct hg_call hg_call;

typedef struct hg_call_options {
    const char *session;                /* names it in the log */
    const char *source;                 /* as in hg_translate_request */
    const char *target[HG_LIMIT_LANES]; /* [targets] no two of them the same language */
    uint32_t targets;
    uint32_t variants; /* translations of each piece; those after the first are sampled */
    bool stream;       /* results grow while pieces run */
    uint32_t max_tokens;
    float temperature, top_p; /* of the first */
    uint64_t seed;
    uint32_t deadline_ms; /* from now on, for all of it */
    /* For metrics: every event of the conversation passes here first. NULL: nobody wants them. */
    hg_event_sink sink;
    void *sink_context;
    /* Called once by hg_call_pump, as the last thing it does: the call may be freed in it. */
    void (*ended)(hg_call *call, void *context);
    void *ended_context;
} hg_call_options;

/* One piece in one target and variant. */
typedef struct hg_call_result {
    const char *text; /* so far; the whole translation once done */
    bool done;
    hg_code code; /* HG_CODE_NONE: it went well */
    char source[HG_LIMIT_TAG], plugin[HG_LIMIT_PLUGIN_NAME + 1];
    const char *stop; /* as in hg_event, static */
    uint32_t tokens;
} hg_call_result;

/* Options are copied. */
hg_status hg_call_new(hg_runtime *runtime, const hg_call_options *options, hg_call **out,
                      hg_error *error) HG_CHECKED;
void hg_call_free(hg_call *call); /* NULL is allowed; not from inside a sink */

/* Copies text [bytes]. Pieces are numbered as they are added. HG_ERROR_LIMIT over
 * HG_LIMIT_CALL_LANES, HG_ERROR_MEMORY. */
hg_status hg_call_add(hg_call *call, const char *text, size_t bytes) HG_CHECKED;

void hg_call_pump(hg_call *call);

/* Grows whenever some result has changed. */
uint64_t hg_call_changes(const hg_call *call);

/* Lanes that all pieces take. */
uint64_t hg_call_lanes(const hg_call *call);

/* Prompt tokens of all ended pieces, shared ones counted. */
uint32_t hg_call_prompt_tokens(const hg_call *call);

const hg_call_result *hg_call_read(const hg_call *call, uint32_t piece, uint32_t target,
                                   uint32_t variant);

/* The first failure, in the order of pieces; NULL when all went well. *message says more when the
 * request was refused, else it is "". */
const hg_call_result *hg_call_failure(const hg_call *call, const char **message);

#endif
