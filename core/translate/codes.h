/* codes.h: every code that an `error` or a failed `translation.done` may carry, one table:
 * X(name on the wire, retry makes sense, meaning). docs/PROTOCOL.md's list is printed from it. */
#ifndef HG_TRANSLATE_CODES_H
#define HG_TRANSLATE_CODES_H

#define HG_CODES(X)                                                                                \
    X(bad_json, 0, "the frame is not one JSON object")                                             \
    X(unknown_type, 0, "no message has this type")                                                 \
    X(bad_field, 0, "a field is missing, of the wrong type or out of range; message names it")     \
    X(text_too_long, 0, "the text is longer than max_text, or than the model can read")            \
    X(too_many_targets, 0, "more targets than max_targets")                                        \
    X(stale_rev, 0, "rev is not above the last one of this id")                                    \
    X(id_final, 0, "this id ended with a final revision; an edit needs a new id")                  \
    X(resume_gone, 0, "nothing is kept of that session; begin anew")                               \
    X(rate, 1, "the token's lanes of this minute are used; wait retry_after_ms")                   \
    X(busy, 1, "too much of this session, or of all sessions, is waiting; send again")             \
    X(starting, 1, "the model is still being loaded")                                              \
    X(unknown_language, 0, "no enabled plugin serves this language")                               \
    X(unsupported_source, 0, "the language's plugin does not take this source language")           \
    X(deadline, 1, "the request's deadline_ms passed")                                             \
    X(shutting_down, 1, "the service is stopping")                                                 \
    X(device, 1, "the compute device failed")                                                      \
    X(internal, 1, "something that should not be; the log has more")

typedef enum hg_code {
    HG_CODE_NONE,
#define HG_CODE_ENUM(name, retry, meaning) HG_CODE_##name,
    HG_CODES(HG_CODE_ENUM)
#undef HG_CODE_ENUM
} hg_code;

/* The name on the wire; "" for HG_CODE_NONE. */
const char *hg_code_name(hg_code code);
int hg_code_retry(hg_code code);
const char *hg_code_meaning(hg_code code);

#endif
