/* http.c: libwebsockets' callbacks for what is not a websocket: a request's head and body come in,
 * its handler is called, its answer goes out; and the decision whether a connection may become a
 * websocket.
 *
 * Bodies have a Content-Length (libwebsockets reads no chunks) and are taken whole before anything
 * is answered: to end a connection with unread bytes makes TCP reset it, and the client may then
 * never see its answer. What is refused by its head alone has its body read and dropped first, as
 * long as that is not too long.
 */
#include "core/service/http.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"

size_t hg_http_user_bytes(void)
{
    return sizeof(hg_exchange);
}

hg_service *hg_exchange_service(const hg_exchange *x)
{
    return hg_service_of(x->wsi);
}

/* ---- work ---- */

static void drop_work(hg_exchange *x)
{
    if (!x->work) return;
    hg_service *service = hg_exchange_service(x);
    TAILQ_REMOVE(&service->exchanges, x, link);
    assert(service->calls > 0);
    service->calls--;
    x->work->free(x->work);
    x->work = NULL;
}

static void pump(hg_exchange *x)
{
    hg_call_pump(x->work->call);
    if (x->state != HG_EXCHANGE_WORKING) drop_work(x);
}

void hg_exchange_work(hg_exchange *x, hg_work *work)
{
    hg_service *service = hg_exchange_service(x);
    assert(x->state == HG_EXCHANGE_BODY && !x->work);
    x->state = HG_EXCHANGE_WORKING;
    x->work = work;
    TAILQ_INSERT_TAIL(&service->exchanges, x, link);
    service->calls++;
    pump(x);
}

void hg_exchanges_pump(hg_service *service)
{
    for (hg_exchange *x = TAILQ_FIRST(&service->exchanges), *next; x; x = next) {
        next = TAILQ_NEXT(x, link);
        pump(x);
    }
}

void hg_exchanges_stop(hg_service *service)
{
    hg_exchange *x;
    while ((x = TAILQ_FIRST(&service->exchanges))) {
        x->answer.close = true;
        hg_answer_code(x, HG_CODE_shutting_down, "");
        drop_work(x);
    }
}

/* ---- a request ---- */

/* Everything of the last request leaves. */
static void reset(hg_exchange *x)
{
    drop_work(x);
    if (x->state == HG_EXCHANGE_HEAD || x->state == HG_EXCHANGE_SENDING)
        hg_exchange_service(x)->unsent--;
    hg_exchange_service(x)->bodies_bytes -= x->reserved;
    x->reserved = 0;
    hg_buf_free(&x->in);
    hg_buf_free(&x->out);
    free(x->path);
    x->path = NULL;
    x->answer = (hg_answer_head){0};
    x->refusal = (hg_http_refusal){0};
    x->state = HG_EXCHANGE_IDLE;
}

/* ---- who calls ---- */

/* NULL when host and origin are ours, else why not. */
static const char *refuse_caller(struct lws *wsi, const hg_service *service)
{
    char host[HG_HOST_MAX + 8], origin[HG_HOST_MAX + 16];
    if (lws_hdr_copy(wsi, host, sizeof host, WSI_TOKEN_HOST) <= 0 ||
        !hg_host_allowed(host, service->address.port))
        return "Host is not an address of this service";
    if (lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) == 0) return NULL;
    if (lws_hdr_copy(wsi, origin, sizeof origin, WSI_TOKEN_ORIGIN) <= 0 ||
        !hg_origin_allowed(origin, service->address.port))
        return "Origin is not a page of this service";
    return NULL;
}

/* Is our subprotocol among those offered? libwebsockets itself drops a client that names none of
 * ours without any answer and takes one that names none at all, so it is decided here. */
static bool offers_subprotocol(struct lws *wsi)
{
    char list[128], *rest = list, *name; /* as long as the list libwebsockets itself can read */
    if (lws_hdr_copy(wsi, list, sizeof list - 1, WSI_TOKEN_PROTOCOL) <= 0) return false;
    while ((name = strsep(&rest, ",")))
        if (strcmp(name + strspn(name, " \t"), HG_SUBPROTOCOL) == 0) return true;
    return false;
}

/* Did a proxy bring it? Then the loopback address says nothing about who asks. */
static bool came_by_proxy(struct lws *wsi)
{
    /* libwebsockets' own table takes some of these, depending on how it was built. */
    static const char *const names[] = {
        "forwarded:", "x-forwarded-host:", "x-forwarded-proto:", "x-real-ip:"};
    if (lws_hdr_total_length(wsi, WSI_TOKEN_X_FORWARDED_FOR) > 0) return true;
#if defined(LWS_WITH_HTTP_UNCOMMON_HEADERS) || defined(LWS_HTTP_HEADERS_ALL)
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_X_REAL_IP) > 0) return true;
#endif
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (lws_hdr_custom_length(wsi, names[i], (int)strlen(names[i])) > 0) return true;
    return false;
}

/* Fills *status and returns why an upgrade is refused; NULL: it may go on. */
static const char *refuse_upgrade(struct lws *wsi, const char *protocol, unsigned *status)
{
    hg_service *service = hg_service_of(wsi);
    char path[sizeof HG_LIVE_PATH + 1];
    *status = 403;
    const char *refusal = refuse_caller(wsi, service);
    if (refusal) return refusal;
    *status = 401;
    if (came_by_proxy(wsi)) return "a proxy brought this request, and it carries no access token";
    *status = 400;
    if (strcasecmp(protocol, "websocket") != 0) return "only an upgrade to websocket is served";
    if (lws_hdr_total_length(wsi, WSI_TOKEN_KEY) == 0) return "Sec-WebSocket-Key is missing";
    *status = 404;
    if (lws_hdr_copy(wsi, path, sizeof path, WSI_TOKEN_GET_URI) <= 0 ||
        strcmp(path, HG_LIVE_PATH) != 0)
        return "the websocket is at " HG_LIVE_PATH;
    *status = 400;
    if (!offers_subprotocol(wsi)) return "the subprotocol " HG_SUBPROTOCOL " must be offered";
    *status = 503;
    return service->stopping ? "shutting down" : NULL;
}

/* 0: go on to the websocket; 1: answered; -1: hang up. */
static int confirm_upgrade(struct lws *wsi, const char *protocol)
{
    unsigned status;
    const char *refusal = refuse_upgrade(wsi, protocol, &status);
    if (!refusal) return 0;
    return hg_answer_refusal(wsi, status, refusal) ? -1 : 1;
}

/* ---- heads and bodies ---- */

/* The body's bytes; false when its length is not said as it must be. */
static bool read_length(struct lws *wsi, size_t *out)
{
    char digits[16];
    *out = 0;
    if (lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_TRANSFER_ENCODING)) return false;
    if (!lws_hdr_total_length(wsi, WSI_TOKEN_HTTP_CONTENT_LENGTH))
        return !lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI);
    int count = lws_hdr_copy(wsi, digits, sizeof digits, WSI_TOKEN_HTTP_CONTENT_LENGTH);
    if (count <= 0 || strspn(digits, "0123456789") != (size_t)count) return false;
    *out = strtoull(digits, NULL, 10);
    return true;
}

/* The method, or false when nothing here has it. */
static bool read_method(struct lws *wsi, hg_method *method, bool *head)
{
    *head = lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
    *method = lws_hdr_total_length(wsi, WSI_TOKEN_POST_URI) > 0 ? HG_POST : HG_GET;
    return *head || *method == HG_POST || lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;
}

/* What the head alone decides: the route, or a refusal. */
static hg_http_refusal judge(hg_exchange *x)
{
    hg_service *service = hg_exchange_service(x);
    hg_method method;
    const char *allow = "GET, HEAD", *caller = refuse_caller(x->wsi, service);
    if (!read_length(x->wsi, &x->expected))
        return (hg_http_refusal){411, "a body needs its Content-Length and no Transfer-Encoding"};
    if (caller) return (hg_http_refusal){403, caller};
    if (!read_method(x->wsi, &method, &x->head))
        return (hg_http_refusal){405, "only GET, HEAD and POST are served", allow};
    x->route = hg_route_find(x->path, method, &allow);
    if (!x->route && (allow || method == HG_POST))
        return (hg_http_refusal){405, "another method is served here", allow ? allow : "GET, HEAD"};
    if (x->expected > HG_LIMIT_HTTP_BODY) return (hg_http_refusal){413, "the body is too large"};
    if (service->bodies_bytes + x->expected > HG_LIMIT_HTTP_BODIES)
        return (hg_http_refusal){503, "too many bodies at once"};
    if (method == HG_POST && service->stopping) return (hg_http_refusal){503, "shutting down"};
    return (hg_http_refusal){0};
}

/* Head and body are there. */
static int dispatch(hg_exchange *x)
{
    const hg_http_refusal *refusal = &x->refusal;
    if (refusal->status) {
        x->answer.close = true;
        x->answer.allow = refusal->allow;
        hg_answer_error(x, refusal->status, "%s", refusal->message);
    } else if (x->route) {
        x->route->serve(x);
    } else {
        hg_serve_file(x);
    }
    assert(x->state == HG_EXCHANGE_WORKING || x->state == HG_EXCHANGE_HEAD);
    return 0;
}

static int begin(struct lws *wsi, hg_exchange *x, const char *path)
{
    x->wsi = wsi;
    reset(x);
    x->state = HG_EXCHANGE_BODY;
    hg_exchange_service(x)->shared.metrics.http_requests++;
    x->path = strdup(path);
    x->in = hg_buf_new(HG_LIMIT_HTTP_BODY);
    *x->content_type = '\0';
    if (lws_hdr_copy(wsi, x->content_type, sizeof x->content_type, WSI_TOKEN_HTTP_CONTENT_TYPE) < 0)
        snprintf(x->content_type, sizeof x->content_type, "too long");
    x->refusal = x->path ? judge(x) : (hg_http_refusal){500, "no memory"};
    if (!x->expected || x->expected > HG_LIMIT_FRAME_REST) return dispatch(x);
    if (!x->refusal.status) {
        x->reserved = x->expected;
        hg_exchange_service(x)->bodies_bytes += x->reserved;
    }
    lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, HG_LIMIT_HTTP_BODY_S);
    return 0;
}

static int take_body(hg_exchange *x, const void *bytes, size_t count)
{
    if (x->state != HG_EXCHANGE_BODY || x->refusal.status) return 0;
    if (hg_buf_append(&x->in, bytes, count))
        x->refusal = (hg_http_refusal){500, "no memory for the body"};
    return 0;
}

static int finish_body(hg_exchange *x)
{
    if (x->state != HG_EXCHANGE_BODY) return 0;
    lws_set_timeout(x->wsi, NO_PENDING_TIMEOUT, 0);
    return dispatch(x);
}

int hg_http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                     size_t count)
{
    hg_exchange *x = user;
    switch (reason) {
    case LWS_CALLBACK_HTTP: return begin(wsi, x, in);
    case LWS_CALLBACK_HTTP_BODY: return take_body(x, in, count);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION: return finish_body(x);
    case LWS_CALLBACK_HTTP_WRITEABLE: return hg_answer_send(x);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: return confirm_upgrade(wsi, in);
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        if (x && x->wsi) reset(x);
        return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED: hg_service_poll(hg_service_of(wsi)); return 0;
    default: return lws_callback_http_dummy(wsi, reason, user, in, count);
    }
}
