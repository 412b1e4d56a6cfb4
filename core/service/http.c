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

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/service/fields.h"
#include "core/service/gzip.h"
#include "core/service/tls.h"

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
    if (x->work->grow && !x->stream_end) x->work->grow(x->work);
    bool answered = x->stream ? x->stream_end : x->state != HG_EXCHANGE_WORKING;
    if (answered) drop_work(x);
}

void hg_exchange_work(hg_exchange *x, hg_work *work)
{
    hg_service *service = hg_exchange_service(x);
    assert(x->state == (x->stream ? HG_EXCHANGE_HEAD : HG_EXCHANGE_BODY) && !x->work);
    if (!x->stream) x->state = HG_EXCHANGE_WORKING;
    x->work = work;
    hg_exchange_drop_body(x);
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

/* For work that ends before it is done: true when its answer is under way already and ends as far
 * as it came; else an error is to be answered. */
static bool cut_stream(hg_exchange *x)
{
    x->answer.close = true;
    if (x->stream) hg_answer_end(x);
    return x->stream;
}

void hg_exchanges_stop(hg_service *service)
{
    hg_exchange *x;
    while ((x = TAILQ_FIRST(&service->exchanges))) {
        if (!cut_stream(x)) hg_answer_code(x, HG_CODE_shutting_down, "");
        drop_work(x);
    }
}

void hg_exchanges_watch_tokens(hg_service *service, bool changed)
{
    hg_session_shared *shared = &service->shared;
    for (hg_exchange *x = TAILQ_FIRST(&service->exchanges), *next; x; x = next) {
        next = TAILQ_NEXT(x, link);
        if (!hg_caller_ended(shared->tokens, &x->caller, changed, &shared->unsure)) continue;
        if (!cut_stream(x)) hg_answer_error(x, 401, "the access token has ended");
        drop_work(x);
    }
}

/* ---- a request ---- */

void hg_exchange_drop_body(hg_exchange *x)
{
    hg_exchange_service(x)->bodies_bytes -= x->in.length;
    hg_buf_free(&x->in);
}

/* Everything of the last request leaves. */
static void reset(hg_exchange *x)
{
    drop_work(x);
    if (x->state == HG_EXCHANGE_HEAD || x->state == HG_EXCHANGE_SENDING)
        hg_exchange_service(x)->unsent--;
    hg_exchange_drop_body(x);
    hg_buf_free(&x->out);
    free(x->path);
    x->path = NULL;
    x->answer = (hg_answer_head){0};
    x->refusal = (hg_http_refusal){0};
    x->stream = x->stream_end = x->head = x->preflight = x->open = x->path_known = x->gzip = false;
    x->awaited = false;
    x->route = NULL;
    x->caller = (hg_caller){0};
    x->state = HG_EXCHANGE_IDLE;
}

/* ---- who calls ---- */

/* A header that libwebsockets' own table does not have, into out [size]; "" when it is absent. */
static bool read_other(struct lws *wsi, const char *name, char *out, int size)
{
    *out = '\0';
    int count = (int)strlen(name);
    return lws_hdr_custom_length(wsi, name, count) > 0 &&
           lws_hdr_custom_copy(wsi, out, size, name, count) > 0;
}

/* NULL when host and origin are ours, else why not. origin [HG_HOST_MAX + 16] is the page's when
 * that is an allowed one of another host, else "". */
static const char *refuse_caller(struct lws *wsi, const hg_service *service, char *origin)
{
    char host[HG_HOST_MAX] = "";
    const int size = HG_HOST_MAX + 16;
    *origin = '\0';
    if (!service->trust_proxy || !read_other(wsi, "x-forwarded-host:", host, sizeof host))
        if (lws_hdr_copy(wsi, host, sizeof host, WSI_TOKEN_HOST) <= 0) *host = '\0';
    if (!*host || !hg_host_allowed(&service->address, service->allow_origin, host))
        return "Host is not an address of this service; --allow-origin names further ones";
    if (lws_hdr_total_length(wsi, WSI_TOKEN_ORIGIN) == 0) return NULL;
    bool good = lws_hdr_copy(wsi, origin, size, WSI_TOKEN_ORIGIN) > 0 &&
                hg_origin_allowed(&service->address, service->allow_origin, host, origin);
    if (!good || !hg_origin_listed(service->allow_origin, origin)) *origin = '\0';
    return good ? NULL : "Origin is not a page of this service; --allow-origin names further ones";
}

/* Also when it is empty. */
static bool is_there(struct lws *wsi, enum lws_token_indexes header)
{
    char none[1];
    return lws_hdr_total_length(wsi, header) > 0 ||
           lws_hdr_copy_fragment(wsi, none, sizeof none, header, 0) >= 0;
}

/* Did a proxy bring it? Then the loopback address says nothing about who asks. */
static bool came_by_proxy(struct lws *wsi)
{
    /* libwebsockets' own table takes some of these, depending on how it was built. */
    static const char *const names[] = {"forwarded:",          "via:",
                                        "x-real-ip:",          "x-forwarded-by:",
                                        "x-forwarded-host:",   "x-forwarded-port:",
                                        "x-forwarded-proto:",  "x-forwarded-prefix:",
                                        "x-forwarded-server:", "x-forwarded-ssl:"};
    if (is_there(wsi, WSI_TOKEN_X_FORWARDED_FOR)) return true;
#if defined(LWS_WITH_HTTP_UNCOMMON_HEADERS) || defined(LWS_HTTP_HEADERS_ALL)
    if (is_there(wsi, WSI_TOKEN_HTTP_X_REAL_IP) || is_there(wsi, WSI_TOKEN_HTTP_VIA)) return true;
#endif
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (lws_hdr_custom_length(wsi, names[i], (int)strlen(names[i])) >= 0) return true;
    return false;
}

static bool is_open(struct lws *wsi, const hg_service *service)
{
    return service->address.loopback && !came_by_proxy(wsi);
}

/* The offered subprotocol that begins with prefix, into out [size]. libwebsockets itself drops a
 * client that names none of ours without any answer and takes one that names none at all, so the
 * list is read here. */
static bool find_subprotocol(struct lws *wsi, const char *prefix, char *out, size_t size)
{
    char list[128], *rest = list, *name; /* as long as the list libwebsockets itself can read */
    if (lws_hdr_copy(wsi, list, sizeof list - 1, WSI_TOKEN_PROTOCOL) <= 0) return false;
    while ((name = strsep(&rest, ","))) {
        name += strspn(name, " \t");
        if (strncmp(name, prefix, strlen(prefix)) != 0) continue;
        snprintf(out, size, "%s", name);
        return true;
    }
    return false;
}

hg_caller hg_http_caller(struct lws *wsi)
{
    static const char bearer[] = "Bearer ";
    char text[128];
    hg_token_reader *tokens = hg_service_of(wsi)->shared.tokens;
    const char *token = NULL;
    if (lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_HTTP_AUTHORIZATION) > 0 &&
        strncasecmp(text, bearer, sizeof bearer - 1) == 0)
        token = text + sizeof bearer - 1;
    else if (find_subprotocol(wsi, HG_TOKEN_SUBPROTOCOL, text, sizeof text))
        token = text + sizeof HG_TOKEN_SUBPROTOCOL - 1;
    return token ? hg_caller_find(tokens, token, strlen(token)) : (hg_caller){0};
}

static bool may(const hg_caller *caller, bool open, unsigned scope)
{
    bool free_here = open && !(scope & HG_SCOPE_ADMIN);
    return !scope || free_here || caller->scopes & (scope | HG_SCOPE_ADMIN);
}

bool hg_exchange_may(const hg_exchange *x, unsigned scope)
{
    return may(&x->caller, x->open, scope);
}

/* What a caller is told who may not. */
static hg_http_refusal refuse_scope(const hg_service *service, const hg_caller *caller)
{
    if (!service->shared.tokens) return (hg_http_refusal){503, "the model is still being loaded"};
    if (caller->failed) return (hg_http_refusal){503, "the store of tokens cannot be read"};
    if (*caller->hash) return (hg_http_refusal){403, "this access token has another scope"};
    return (hg_http_refusal){401, "an access token is needed: Authorization: Bearer TOKEN"};
}

bool hg_exchange_admit(hg_exchange *x, unsigned scope, const char *key)
{
    const hg_service *service = hg_exchange_service(x);
    if (key && *key && !*x->caller.hash)
        x->caller = hg_caller_find(service->shared.tokens, key, strlen(key));
    if (hg_exchange_may(x, scope)) return true;
    hg_http_refusal refusal = refuse_scope(service, &x->caller);
    if (key && *key && refusal.status == 401) refusal = (hg_http_refusal){403, "Invalid API key"};
    hg_answer_error(x, refusal.status, "%s", refusal.message);
    return false;
}

bool hg_exchange_read(hg_exchange *x, json_t **fields)
{
    hg_error error;
    const hg_service *service = hg_exchange_service(x);
    if (!service->ready || service->calls >= HG_LIMIT_HTTP_CALLS) {
        hg_answer_code(x, service->ready ? HG_CODE_busy : HG_CODE_starting, "");
        return false;
    }
    hg_status status =
        hg_fields_read(x->content_type, hg_buf_text(&x->in), x->in.length, fields, &error);
    if (status) {
        hg_answer_error(x, status == HG_ERROR_UNSUPPORTED ? 415 : 400, "%s", error.message);
        return false;
    }
    const char *key = json_string_value(json_object_get(*fields, "api_key"));
    if (hg_exchange_admit(x, HG_SCOPE_TRANSLATE, key)) return true;
    json_decref(*fields);
    return false;
}

bool hg_exchange_pay(hg_exchange *x, uint64_t lanes)
{
    hg_rates *rates = &hg_exchange_service(x)->shared.rates;
    uint32_t wait_ms = hg_rate_take(rates, &x->caller, lanes, hg_clock_us());
    if (!wait_ms) return true;
    x->answer.retry_after_s = (wait_ms + 999) / 1000;
    hg_answer_error(x, 429, "Slowdown: the token's lanes of this minute are used");
    return false;
}

/* Fills *status and returns why an upgrade is refused; NULL: it may go on. */
static const char *refuse_upgrade(struct lws *wsi, const char *protocol, unsigned *status)
{
    hg_service *service = hg_service_of(wsi);
    char path[HG_LIMIT_BASE_PATH + sizeof HG_LIVE_PATH + 1], origin[HG_HOST_MAX + 16];
    *status = 403;
    const char *refusal = refuse_caller(wsi, service, origin);
    if (refusal) return refusal;
    const hg_caller caller = hg_http_caller(wsi);
    const hg_http_refusal scope = refuse_scope(service, &caller);
    *status = scope.status;
    if (!may(&caller, is_open(wsi, service), HG_SCOPE_TRANSLATE)) return scope.message;
    *status = 400;
    if (strcasecmp(protocol, "websocket") != 0) return "only an upgrade to websocket is served";
    if (lws_hdr_total_length(wsi, WSI_TOKEN_KEY) == 0) return "Sec-WebSocket-Key is missing";
    *status = 404;
    if (lws_hdr_copy(wsi, path, sizeof path, WSI_TOKEN_GET_URI) <= 0 ||
        strncmp(path, service->base_path, strlen(service->base_path)) != 0 ||
        strcmp(path + strlen(service->base_path), HG_LIVE_PATH) != 0)
        return "the websocket is at " HG_LIVE_PATH;
    *status = 400;
    if (!find_subprotocol(wsi, HG_SUBPROTOCOL, path, sizeof path) ||
        strcmp(path, HG_SUBPROTOCOL) != 0)
        return "the subprotocol " HG_SUBPROTOCOL " must be offered";
    *status = 503;
    return service->shared.stopping ? "shutting down" : NULL;
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
    const char *allow = "GET, HEAD", *caller = refuse_caller(x->wsi, service, x->origin);
    x->open = is_open(x->wsi, service);
    x->caller = hg_http_caller(x->wsi);
    x->preflight = lws_hdr_total_length(x->wsi, WSI_TOKEN_OPTIONS_URI) > 0 && *x->origin;
    if (!read_length(x->wsi, &x->expected))
        return (hg_http_refusal){411, "a body needs its Content-Length and no Transfer-Encoding"};
    if (caller) return (hg_http_refusal){403, caller};
    if (x->preflight) return (hg_http_refusal){0};
    if (!read_method(x->wsi, &method, &x->head))
        return (hg_http_refusal){405, "only GET, HEAD and POST are served", allow};
    x->route = hg_route_find(x->path, method, &allow);
    if (x->path_known && !x->route && (allow || method == HG_POST))
        return (hg_http_refusal){405, "another method is served here", allow ? allow : "GET, HEAD"};
    if (!x->path_known) return (hg_http_refusal){404, "everything here lies below --base-path"};
    if (x->route && !x->route->key_in_body && !hg_exchange_may(x, x->route->scope))
        return refuse_scope(service, &x->caller);
    if (lws_hdr_total_length(x->wsi, WSI_TOKEN_HTTP_CONTENT_ENCODING) > 0)
        return (hg_http_refusal){415, "a body is taken as it is, without Content-Encoding"};
    if (x->expected > HG_LIMIT_HTTP_BODY) return (hg_http_refusal){413, "the body is too large"};
    if (method == HG_POST && service->shared.stopping)
        return (hg_http_refusal){503, "shutting down"};
    return (hg_http_refusal){0};
}

/* Head and body are there. */
static int dispatch(hg_exchange *x)
{
    const hg_http_refusal *refusal = &x->refusal;
    if (x->preflight && !refusal->status) {
        hg_buf nothing = hg_buf_new(0);
        hg_answer(x, 204, "", &nothing);
    } else if (refusal->status) {
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

/* The path below the base path; NULL when it is not there. */
static const char *below_base(const hg_service *service, const char *path)
{
    size_t length = strlen(service->base_path);
    if (strncmp(path, service->base_path, length) != 0) return NULL;
    return path[length] == '/' ? path + length : NULL;
}

static int begin(struct lws *wsi, hg_exchange *x, const char *path)
{
    x->wsi = wsi;
    reset(x);
    x->state = HG_EXCHANGE_BODY;
    hg_exchange_service(x)->shared.metrics.http_requests++;
    const char *below = below_base(hg_exchange_service(x), path);
    x->path_known = below != NULL;
    x->path = strdup(below ? below : "/");
    x->in = hg_buf_new(HG_LIMIT_HTTP_BODY);
    *x->content_type = '\0';
    if (lws_hdr_copy(wsi, x->content_type, sizeof x->content_type, WSI_TOKEN_HTTP_CONTENT_TYPE) < 0)
        snprintf(x->content_type, sizeof x->content_type, "too long");
    char accepted[256];
    x->gzip = lws_hdr_copy(wsi, accepted, sizeof accepted, WSI_TOKEN_HTTP_ACCEPT_ENCODING) > 0 &&
              hg_gzip_accepted(accepted);
    x->refusal = x->path ? judge(x) : (hg_http_refusal){500, "no memory"};
    if (!x->expected || x->expected > HG_LIMIT_FRAME_REST) return dispatch(x);
    lws_set_timeout(wsi, PENDING_TIMEOUT_HTTP_CONTENT, HG_LIMIT_HTTP_BODY_S);
    return 0;
}

static int take_body(hg_exchange *x, const void *bytes, size_t count)
{
    hg_service *service = hg_exchange_service(x);
    if (x->state != HG_EXCHANGE_BODY || x->refusal.status) return 0;
    if (service->bodies_bytes + count > HG_LIMIT_HTTP_BODIES)
        x->refusal = (hg_http_refusal){503, "too many bodies at once"};
    else if (hg_buf_append(&x->in, bytes, count))
        x->refusal = (hg_http_refusal){500, "no memory for the body"};
    else
        service->bodies_bytes += count;
    if (x->refusal.status) hg_exchange_drop_body(x);
    return 0;
}

static int finish_body(hg_exchange *x)
{
    if (x->state != HG_EXCHANGE_BODY) return 0;
    lws_set_timeout(x->wsi, NO_PENDING_TIMEOUT, 0);
    if (hg_exchange_service(x)->shared.stopping && !x->refusal.status)
        x->refusal = (hg_http_refusal){503, "shutting down"};
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
    case LWS_CALLBACK_OPENSSL_LOAD_EXTRA_SERVER_VERIFY_CERTS: /* a vhost with TLS has its context */
        hg_service_of(wsi)->tls = user;
        hg_tls_settle(user);
        return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED: hg_service_poll(hg_service_of(wsi)); return 0;
    default: return lws_callback_http_dummy(wsi, reason, user, in, count);
    }
}
