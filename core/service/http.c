/* http.c: what is not a websocket: the page, /healthz, /readyz, /metrics, refusals; and the
 * decision whether a connection may become a websocket.
 *
 * Small answers (JSON) go out with their headers in one write. Larger ones (files, metrics) are
 * kept with the connection and sent piece by piece as the socket takes them.
 */
#include "core/service/server.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/base/log.h"
#include "core/service/json_out.h"
#include "core/service/static.h"

#define HEADERS_MAX 1024 /* bytes of an answer's headers */
#define SMALL_MAX   512  /* bytes of a small answer's body */
#define PIECE_BYTES (16 << 10)

/* libwebsockets keeps one of these for each connection, zeroed. */
typedef struct request {
    hg_buf body; /* being sent */
    size_t sent;
} request;

typedef struct answer {
    unsigned status;
    const char *content_type, *etag; /* etag NULL: none */
    size_t count;                    /* bytes of the body */
    bool close;                      /* no further request on this connection */
} answer;

size_t hg_http_user_bytes(void)
{
    return sizeof(request);
}

/* Sent with every answer. 'self' lets the page open its websocket and load nothing from others. */
static const struct {
    const char *name, *value;
} fixed_headers[] = {
    {"content-security-policy:",
     "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"},
    {"x-content-type-options:", "nosniff"},
    {"referrer-policy:", "no-referrer"},
    {"cache-control:", "no-cache"},
};

static int add_header(struct lws *wsi, const char *name, const char *value, unsigned char **at,
                      unsigned char *end)
{
    return lws_add_http_header_by_name(wsi, (const unsigned char *)name,
                                       (const unsigned char *)value, (int)strlen(value), at, end);
}

static const char *reason(unsigned status)
{
    switch (status) {
    case 200: return "OK";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 426: return "Upgrade Required";
    case 503: return "Service Unavailable";
    default: return "Internal Server Error";
    }
}

/* libwebsockets' own would say HTTP/1.0 when an upgrade is refused (it has not read the version by
 * then), which clients of websockets do not take for an answer. */
static int add_status(unsigned status, unsigned char **at, unsigned char *end)
{
    int room = (int)(end - *at);
    int count = snprintf((char *)*at, (size_t)room, "HTTP/1.1 %u %s\r\n", status, reason(status));
    if (count < 0 || count >= room) return 1;
    *at += count;
    return 0;
}

/* Writes the headers of an answer at *at; 0, or not when they do not fit. */
static int add_headers(struct lws *wsi, const answer *a, unsigned char **at, unsigned char *end)
{
    if (add_status(a->status, at, end)) return 1;
    for (size_t i = 0; i < sizeof fixed_headers / sizeof *fixed_headers; i++)
        if (add_header(wsi, fixed_headers[i].name, fixed_headers[i].value, at, end)) return 1;
    if (a->etag && add_header(wsi, "etag:", a->etag, at, end)) return 1;
    if (a->status == 405 && add_header(wsi, "allow:", "GET, HEAD", at, end)) return 1;
    if (a->close && add_header(wsi, "connection:", "close", at, end)) return 1;
    if (a->status != 304) {
        if (add_header(wsi, "content-type:", a->content_type, at, end)) return 1;
        if (lws_add_http_header_content_length(wsi, a->count, at, end)) return 1;
    }
    return lws_finalize_http_header(wsi, at, end);
}

static bool is_head(struct lws *wsi)
{
    return lws_hdr_total_length(wsi, WSI_TOKEN_HEAD_URI) > 0;
}

/* Headers and a small body in one write. 0: written. */
static int write_small(struct lws *wsi, const answer *a, const char *body)
{
    unsigned char room[LWS_PRE + HEADERS_MAX + SMALL_MAX];
    unsigned char *start = room + LWS_PRE, *at = start;
    assert(a->count <= SMALL_MAX);
    if (add_headers(wsi, a, &at, room + LWS_PRE + HEADERS_MAX)) return 1;
    if (!is_head(wsi)) {
        memcpy(at, body, a->count);
        at += a->count;
    }
    size_t count = (size_t)(at - start);
    return lws_write(wsi, start, count, LWS_WRITE_HTTP_HEADERS) != (int)count;
}

/* Ends the request after its answer was written; what a callback returns. */
static int complete(struct lws *wsi, bool close)
{
    return close || lws_http_transaction_completed(wsi) ? -1 : 0;
}

static int answer_json(struct lws *wsi, unsigned status, const char *body, bool close)
{
    answer a = {status, "application/json", NULL, strlen(body), close};
    if (write_small(wsi, &a, body)) return -1;
    return complete(wsi, close);
}

/* {"error": "..."}, the shape LibreTranslate's clients know. */
static void error_body(const char *message, char *out, size_t size)
{
    int count = snprintf(out, size, "{\"error\":\"%s\"}", message);
    assert(count > 0 && (size_t)count < size);
    (void)count;
}

static int answer_error(struct lws *wsi, unsigned status, const char *message, bool close)
{
    char body[SMALL_MAX];
    error_body(message, body, sizeof body);
    return answer_json(wsi, status, body, close);
}

/* Takes over body and begins to send it. */
static int answer_body(struct lws *wsi, request *r, const answer *a, hg_buf *body)
{
    unsigned char room[LWS_PRE + HEADERS_MAX], *at = room + LWS_PRE;
    hg_buf_free(&r->body);
    r->body = *body;
    r->sent = 0;
    if (add_headers(wsi, a, &at, room + sizeof room)) return -1;
    size_t count = (size_t)(at - room) - LWS_PRE;
    if (lws_write(wsi, room + LWS_PRE, count, LWS_WRITE_HTTP_HEADERS) != (int)count) return -1;
    if (is_head(wsi) || a->status == 304 || r->body.length == 0) {
        hg_buf_free(&r->body);
        return complete(wsi, false);
    }
    lws_callback_on_writable(wsi);
    return 0;
}

static int send_piece(struct lws *wsi, request *r)
{
    unsigned char room[LWS_PRE + PIECE_BYTES];
    size_t count = r->body.length - r->sent;
    if (!count) return 0;
    bool last = count <= PIECE_BYTES;
    if (!last) count = PIECE_BYTES;
    memcpy(room + LWS_PRE, r->body.data + r->sent, count);
    enum lws_write_protocol how = last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP;
    if (lws_write(wsi, room + LWS_PRE, count, how) != (int)count) return -1;
    r->sent += count;
    if (!last) {
        lws_callback_on_writable(wsi);
        return 0;
    }
    hg_buf_free(&r->body);
    r->sent = 0;
    return complete(wsi, false);
}

static int serve_metrics(struct lws *wsi, request *r, hg_service *service)
{
    hg_buf body = hg_buf_new(HG_LIMIT_HTTP_BODY);
    hg_service_read_gauges(service);
    if (hg_metrics_print(&service->shared.metrics, &body)) {
        hg_buf_free(&body);
        return answer_error(wsi, 500, "no memory", true);
    }
    answer a = {200, "text/plain; version=0.0.4; charset=utf-8", NULL, body.length, false};
    return answer_body(wsi, r, &a, &body);
}

static int serve_file(struct lws *wsi, request *r, hg_service *service, const char *path)
{
    hg_static_file file;
    hg_error error;
    hg_status status = hg_static_read(service->web_path, path, &file, &error);
    if (status) hg_buf_free(&file.content);
    if (status == HG_ERROR_NOT_FOUND) return answer_error(wsi, 404, "not found", false);
    if (status) {
        hg_log(HG_LOG_ERROR, "service", "%s", error.message);
        return answer_error(wsi, 500, "the page could not be read; the log says why", true);
    }
    char known[sizeof file.etag + 8] = "";
    bool same = lws_hdr_copy(wsi, known, sizeof known, WSI_TOKEN_HTTP_IF_NONE_MATCH) > 0 &&
                strstr(known, file.etag);
    answer a = {same ? 304 : 200, file.content_type, file.etag, file.content.length, false};
    return answer_body(wsi, r, &a, &file.content);
}

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

static int serve_ready(struct lws *wsi, const hg_service *service)
{
    bool ready = service->ready && !service->stopping;
    return answer_json(wsi, ready ? 200 : 503, ready ? "{\"ready\":true}" : "{\"ready\":false}",
                       false);
}

static int serve(struct lws *wsi, request *r, const char *path)
{
    hg_service *service = hg_service_of(wsi);
    service->shared.metrics.http_requests++;
    const char *refusal = refuse_caller(wsi, service);
    if (refusal) return answer_error(wsi, 403, refusal, true);
    bool get = lws_hdr_total_length(wsi, WSI_TOKEN_GET_URI) > 0;
    if (!get && !is_head(wsi)) return answer_error(wsi, 405, "only GET and HEAD", true);
    if (strcmp(path, "/healthz") == 0) return answer_json(wsi, 200, "{\"ok\":true}", false);
    if (strcmp(path, "/readyz") == 0) return serve_ready(wsi, service);
    if (strcmp(path, "/metrics") == 0) return serve_metrics(wsi, r, service);
    if (strcmp(path, HG_LIVE_PATH) == 0)
        return answer_error(wsi, 426, "a websocket lives here", false);
    return serve_file(wsi, r, service, path);
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
    char body[SMALL_MAX];
    const char *refusal = refuse_upgrade(wsi, protocol, &status);
    if (!refusal) return 0;
    error_body(refusal, body, sizeof body);
    answer a = {status, "application/json", NULL, strlen(body), true};
    return write_small(wsi, &a, body) ? -1 : 1;
}

int hg_http_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                     size_t count)
{
    request *r = user;
    switch (reason) {
    case LWS_CALLBACK_HTTP: return serve(wsi, r, in);
    case LWS_CALLBACK_HTTP_WRITEABLE: return send_piece(wsi, r);
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: return confirm_upgrade(wsi, in);
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_HTTP_DROP_PROTOCOL:
        if (r) hg_buf_free(&r->body);
        return 0;
    case LWS_CALLBACK_EVENT_WAIT_CANCELLED: hg_service_poll(hg_service_of(wsi)); return 0;
    default: return lws_callback_http_dummy(wsi, reason, user, in, count);
    }
}
