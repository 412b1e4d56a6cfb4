/* http.h: HTTP requests: what the files that receive, decide and answer share. Private to
 * core/service; service thread only.
 *
 *   http.c         libwebsockets' callbacks: heads, bodies, the decision on upgrades
 *   http_answer.c  status, headers and body, sent as the socket takes them
 *   routes.c       the table of paths; what is answered at once
 *   libre.c        LibreTranslate's API
 *
 * An exchange is one request and its answer. Its handler (hg_route.serve) answers at once or leaves
 * `work` behind and answers later; either way nothing is sent but by the socket's next turn.
 */
#ifndef HG_SERVICE_HTTP_H
#define HG_SERVICE_HTTP_H

#include "core/service/server.h"
#include "core/translate/call.h"

#define HG_HTTP_JSON "application/json"

typedef struct hg_exchange hg_exchange;

typedef enum hg_method { HG_GET, HG_POST } hg_method; /* HEAD counts as GET */

typedef struct hg_route {
    hg_method method;
    const char *path;
    void (*serve)(hg_exchange *x);
} hg_route;

/* What a handler left behind: a call that runs. */
typedef struct hg_work {
    hg_call *call;
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
    char *path;            /* owned, decoded, without the query */
    hg_buf in;             /* body of the request */
    size_t expected;       /* bytes of it, by Content-Length */
    size_t reserved;       /* of service->bodies_bytes */
    hg_http_refusal refusal;
    char content_type[160];
    hg_answer_head answer;
    hg_buf out; /* body of the answer */
    size_t sent;
    hg_work *work; /* owned, or NULL */
};

/* The service of an exchange. */
hg_service *hg_exchange_service(const hg_exchange *x);

/* ---- http_answer.c: each decides the answer and asks for the socket's turn ---- */

/* Takes over body. */
void hg_answer(hg_exchange *x, unsigned status, const char *content_type, hg_buf *body);
void hg_answer_json(hg_exchange *x, unsigned status, const char *json);
/* {"error":"..."}, the shape that LibreTranslate's clients know. */
void hg_answer_error(hg_exchange *x, unsigned status, const char *format, ...) HG_PRINTF(3, 4);
/* The same for what a call or a conversation refused or failed with; message may be "". */
void hg_answer_code(hg_exchange *x, hg_code code, const char *message);
/* The socket takes more. What libwebsockets' callback returns: 0, or -1 to hang up. */
int hg_answer_send(hg_exchange *x);
/* An answer before any exchange: a refused upgrade. 0: it was written. */
int hg_answer_refusal(struct lws *wsi, unsigned status, const char *message);

/* ---- routes.c ---- */

/* NULL: no route has this path. *allow names the methods of the path where only the method is
 * another, else it is NULL. */
const hg_route *hg_route_find(const char *path, hg_method method, const char **allow);
/* GET of anything else. */
void hg_serve_file(hg_exchange *x);

/* ---- libre.c ---- */
void hg_libre_translate(hg_exchange *x);
void hg_libre_languages(hg_exchange *x);
void hg_libre_settings(hg_exchange *x);

/* ---- work ---- */

/* Takes over work; its call runs from now on. */
void hg_exchange_work(hg_exchange *x, hg_work *work);
/* Moves the calls of all exchanges on. After hg_translator_poll, and at every tick. */
void hg_exchanges_pump(hg_service *service);
/* Ends all work of a service that stops: each answers 503. */
void hg_exchanges_stop(hg_service *service);

#endif
