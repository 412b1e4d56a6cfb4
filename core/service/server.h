/* server.h: what the files of the server share. Private to core/service; service thread only, but
 * for `stop`. */
#ifndef HG_SERVICE_SERVER_H
#define HG_SERVICE_SERVER_H

#include <libwebsockets.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/base/file.h"
#include "core/service/address.h"
#include "core/service/languages.h"
#include "core/service/service.h"
#include "core/service/session.h"

#define HG_SUBPROTOCOL       "hydraglot.v1"
#define HG_LIVE_PATH         "/v1/live"
#define HG_TOKEN_SUBPROTOCOL "hydraglot.token." /* a token follows */

/* The runtime while its thread opens it; that thread's until `done`. */
typedef struct hg_opening {
    hg_runtime_options options;
    pthread_t thread;
    bool joinable; /* service thread */
    atomic_bool done;
    hg_runtime *runtime;
    hg_status status;
    hg_error error;
} hg_opening;

struct hg_service {
    hg_address address; /* with the real port */
    char url[HG_HOST_MAX + HG_LIMIT_BASE_PATH + 32];
    const char *allow_origin;               /* or NULL */
    char base_path[HG_LIMIT_BASE_PATH + 1]; /* "", or "/x" */
    bool trust_proxy;
    const char *tls_cert, *tls_key; /* or NULL */
    SSL_CTX *tls;                   /* of the vhost, which owns it; NULL: no TLS */
    SSL_CTX *tls_fresh;             /* owned: the files of the last reload; NULL: there was none */
    char web_path[HG_PATH_MAX];
    struct lws_context *context;
    struct lws_vhost *vhost;
    struct lws_protocols protocols[3];
    lws_sorted_usec_list_t tick; /* regular work: deadlines, the catalog */
    hg_opening opening;
    void (*loaded)(hg_service *service);
    void (*reloaded)(hg_service *service);
    hg_session_shared shared;
    hg_language_set languages;
    TAILQ_HEAD(, hg_exchange) exchanges; /* HTTP requests whose work runs */
    uint32_t calls;                      /* how many those are */
    uint32_t unsent;                     /* HTTP answers that are not out yet */
    size_t bodies_bytes;                 /* of HTTP requests' bodies */
    atomic_bool reload, stop;            /* set by any thread or a signal handler */
    int64_t watched_us;                  /* when tokens and sessions were last looked at */
    int64_t drain_until_us;              /* once it stops: what runs may end until then */
    bool ready;                          /* hg_runtime_ready was true */
    uint64_t changes;                    /* hg_runtime_changes when languages were printed */
    hg_device_info device;
};

/* Of lws_protocols: HTTP and the decision on upgrades; the websocket. */
int hg_http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                     size_t count);
int hg_ws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t count);
size_t hg_http_user_bytes(void);
size_t hg_ws_user_bytes(void);

/* Asks libwebsockets for a call when the session's socket takes more. */
void hg_ws_wake(hg_session *session);
/* The session's connection closes with this code; the session stays. */
void hg_ws_drop(hg_session *session, uint16_t close_code);
/* The connection of one session becomes that of another, which has none. */
void hg_ws_move(hg_session *from, hg_session *to);

/* Delivers what the engine has and what changed in the catalog. */
void hg_service_poll(hg_service *service);

/* Who asks for an upgrade, by its headers. */
hg_caller hg_http_caller(struct lws *wsi);

/* The service that a connection belongs to. */
hg_service *hg_service_of(struct lws *wsi);

/* Reads the gauges of shared.metrics. */
void hg_service_read_gauges(hg_service *service);

#endif
