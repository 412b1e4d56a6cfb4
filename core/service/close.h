/* close.h: the close codes of hydraglot.v1, one table: X(name, code, may resume, meaning). 1007 and
 * 1011 are those of RFC 6455. docs/asyncapi.yaml is printed from it. */
#ifndef HG_SERVICE_CLOSE_H
#define HG_SERVICE_CLOSE_H

#define HG_CLOSES(X)                                                                               \
    X(DONE, 1000, 0, "done")                                                                       \
    X(GOING_AWAY, 1001, 1, "the service is shutting down")                                         \
    X(PROTOCOL, 1002, 0, "a reserved bit where none may be")                                       \
    X(BINARY, 1003, 0, "a binary frame")                                                           \
    X(NOT_UTF8, 1007, 0, "a text frame that is not UTF-8")                                         \
    X(TOKEN, 1008, 0, "the token is revoked or expired")                                           \
    X(TOO_LARGE, 1009, 0, "the frame is too large")                                                \
    X(INTERNAL, 1011, 0, "the service lacks memory")                                               \
    X(STARTING, 1013, 0, "the model is still being loaded; come again")                            \
    X(TOO_SLOW, 4008, 1, "the reader is too slow")                                                 \
    X(TOO_MANY, 4009, 0, "too many sessions")

enum {
#define HG_CLOSE_ENUM(name, code, resume, meaning) HG_CLOSE_##name = (code),
    HG_CLOSES(HG_CLOSE_ENUM)
#undef HG_CLOSE_ENUM
};

#endif
