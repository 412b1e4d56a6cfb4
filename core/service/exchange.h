/* exchange.h: one HTTP request and its answer, and the routes that requests take. Private to
 * core/service; service thread only.
 *
 * A handler (hg_route.serve) answers at once or leaves `work` behind and answers later; either way
 * nothing is sent but by the socket's next turn.
 */
#ifndef HG_SERVICE_EXCHANGE_H
#define HG_SERVICE_EXCHANGE_H

#include "core/service/server.h"
#include "core/translate/call.h"

#define HG_HTTP_JSON "application/json"

typedef struct hg_exchange hg_exchange;

typedef enum hg_method { HG_GET, HG_POST } hg_method; /* HEAD counts as GET */

typedef struct hg_route {
    const char *path;
    hg_method method;
    void (*serve)(hg_exchange *x);
    unsigned scope;    /* what a token must have; 0: none is needed */
    bool key_in_body;  /* the token may be the body's api_key: the handler looks */
    bool error_object; /* errors are {"error":{"message":...}}, as OpenAI's clients know them */
    /* for /openapi.json; schemas are JSON, NULL: no body, plain text */
    const char *summary, *body_schema, *answer, *answer_schema;
} hg_route;

/* What a handler left behind: a call that runs. */
typedef struct hg_work {
    hg_call *call;
    void (*grow)(struct hg_work *work); /* NULL, or: the call moved on, a stream may have more */
    void (*free)(struct hg_work *work); /* frees the work and its call */
} hg_work;

typedef enum hg_exchange_state {
    HG_EXCHANGE_IDLE,    /* no request */
    HG_EXCHANGE_BODY,    /* its body is coming in */
    HG_EXCHANGE_WORKING, /* work runs, nothing to send */
    HG_EXCHANGE_HEAD,    /* the answer's headers are to be sent */
    HG_EXCHANGE_SENDING, /* its body is */
} hg_exchange_state;

typedef struct hg_answer_head {
    unsigned status;
    const char *content_type;
    char etag[24];          /* "": none */
    bool gzip;              /* the body is */
    bool close;             /* no further request on this connection */
    unsigned retry_after_s; /* 0: not said */
    const char *allow;      /* of a 405, static */
} hg_answer_head;

/* Decided by a request's head, answered when its body has been read. */
typedef struct hg_http_refusal {
    unsigned status;             /* 0: none */
    const char *message, *allow; /* static */
} hg_http_refusal;

struct hg_exchange {
    TAILQ_ENTRY(hg_exchange) link; /* in service->exchanges while WORKING */
    struct lws *wsi;
    hg_exchange_state state;
    const hg_route *route; /* NULL: a file of the page */
    bool head;             /* the method is HEAD */
    bool path_known;       /* it lies below the base path */
    bool preflight;        /* a page of an allowed origin asks what it may send */
    bool gzip;             /* the caller takes a compressed answer */
    bool open;             /* translation and metrics need no token here */
    hg_caller caller;
    char origin[HG_HOST_MAX + 16]; /* of an allowed page, which may read the answer; "": none */
    char *path;                    /* owned, decoded, without the base path and the query */
    hg_buf in;                     /* body of the request */
    size_t expected;               /* bytes of it, by Content-Length */
    hg_http_refusal refusal;
    char content_type[160];
    hg_answer_head answer;
    bool stream;     /* the body grows while it is sent; the connection's end is its own */
    bool stream_end; /* nothing more is added */
    hg_buf out;      /* body of the answer */
    bool awaited;    /* the reader's time to take what waits runs */
    size_t sent;
    hg_work *work; /* owned, or NULL */
};

#endif
