/* service.h: the websocket and HTTP server (libwebsockets), one thread.
 *
 * Serves hydraglot.v1 on /v1/live, the page from web_path, /healthz, /readyz and /metrics. The
 * service thread owns sockets, sessions, conversations and output queues; it is woken by the
 * runtime's doorbell through lws_cancel_service.
 */
#ifndef HG_SERVICE_SERVICE_H
#define HG_SERVICE_SERVICE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/translate/runtime.h"

typedef struct hg_service hg_service;

typedef struct hg_service_options {
    const char *listen;       /* "HOST:PORT"; port 0: any free one */
    const char *allow_origin; /* as in hg_origins_check; must outlive the service */
    const char *base_path;    /* "/x": everything lies below it; NULL or "/": at the top */
    bool trust_proxy;         /* X-Forwarded-Host is what Host and Origin are checked against */
    const char *web_path;     /* folder of the page */
    const char *tls_cert, *tls_key;      /* PEM files, or both NULL; must outlive the service */
    void (*reload)(hg_service *service); /* called by run after hg_service_reload */
    hg_runtime_options runtime; /* the service sets the doorbell; its strings must outlive it */
    void (*loaded)(hg_service *service); /* called by run once the model is on the device */
} hg_service_options;

/* Binds the socket and begins to open the runtime on a thread of its own. HG_ERROR_ARGUMENT, naming
 * the flag, for an address, an origin or a path that is none. */
hg_status hg_service_open(const hg_service_options *options, hg_service **out,
                          hg_error *error) HG_CHECKED;

/* "http://127.0.0.1:8080/" with the real port and the base path. Lives as long as the service. */
const char *hg_service_url(const hg_service *service);

/* At the first start of a data folder: makes its first token, with every scope, into text [44];
 * later *text is "". For `loaded`. */
hg_status hg_service_first_token(hg_service *service, char *text, hg_error *error) HG_CHECKED;

/* Runs until hg_service_stop; then lets lanes end for a moment, tells every client (1001), returns.
 * From its start /healthz answers; while the model is being loaded websockets get `starting`. The
 * error is that of the runtime when it could not be opened. */
hg_status hg_service_run(hg_service *service, hg_error *error) HG_CHECKED;

/* Asks run to call options.reload. Async-signal-safe; any thread. */
void hg_service_reload(hg_service *service);

/* For `reload`: takes over origins, proxy, page, certificate and key, whose files are read anew for
 * new connections; the strings must outlive the service, or the next change. After an error nothing
 * has changed. */
hg_status hg_service_change(hg_service *service, const hg_service_options *options,
                            hg_error *error) HG_CHECKED;

/* Asks run to return. Async-signal-safe; any thread. */
void hg_service_stop(hg_service *service);
void hg_service_close(hg_service *service);

#endif
