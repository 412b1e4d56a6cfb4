/* http_answer.c: status line, headers and body of an answer.
 *
 * Headers go out in one turn of the socket, the body in pieces, each in a turn of its own, so that
 * nothing piles up inside libwebsockets for a reader that is slow. One that takes nothing for a
 * while is hung up on.
 */
#include "core/service/http.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/base/log.h"
#include "core/service/gzip.h"
#include "core/text/utf8.h"

#define HEADERS_MAX   2048 /* bytes of an answer's headers */
#define PIECE_BYTES   (16 << 10)
#define UNAVAILABLE_S 1 /* after so many a 503 may be asked again */

/* Sent with every answer. 'self' lets the page open its websocket and load nothing from others. */
static const struct {
    const char *name, *value;
} fixed_headers[] = {
    {"content-security-policy:",
     "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'"},
    {"x-content-type-options:", "nosniff"},
    {"referrer-policy:", "no-referrer"},
    {"cache-control:", "no-cache"},
    {"vary:", "Accept-Encoding"},
};

static const char *reason(unsigned status)
{
    switch (status) {
    case 200: return "OK";
    case 204: return "No Content";
    case 304: return "Not Modified";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 411: return "Length Required";
    case 413: return "Content Too Large";
    case 415: return "Unsupported Media Type";
    case 426: return "Upgrade Required";
    case 429: return "Too Many Requests";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    default: return "Internal Server Error";
    }
}

/* ---- headers ---- */

typedef struct headers {
    struct lws *wsi;
    unsigned char room[LWS_PRE + HEADERS_MAX];
    unsigned char *at, *end;
    int failed; /* they do not fit */
} headers;

static void put(headers *h, const char *name, const char *value)
{
    h->failed |= lws_add_http_header_by_name(h->wsi, (const unsigned char *)name,
                                             (const unsigned char *)value, (int)strlen(value),
                                             &h->at, h->end);
}

/* libwebsockets' own status line would say HTTP/1.0 when an upgrade is refused (it has not read the
 * version by then), which clients of websockets do not take for an answer. */
static void start(headers *h, struct lws *wsi, unsigned status)
{
    h->wsi = wsi;
    h->at = h->room + LWS_PRE;
    h->end = h->room + sizeof h->room;
    h->failed = 0;
    h->at += snprintf((char *)h->at, HEADERS_MAX, "HTTP/1.1 %u %s\r\n", status, reason(status));
    for (size_t i = 0; i < sizeof fixed_headers / sizeof *fixed_headers; i++)
        put(h, fixed_headers[i].name, fixed_headers[i].value);
}

/* Weak where the same file has two forms: the tag is that of its content. */
static void put_etag(headers *h, const hg_answer_head *a)
{
    char tag[sizeof a->etag + 2];
    snprintf(tag, sizeof tag, "%s%s", a->gzip ? "W/" : "", a->etag);
    put(h, "etag:", tag);
}

static void put_answer(headers *h, const hg_answer_head *a, size_t body_bytes)
{
    char number[16];
    if (*a->etag) put_etag(h, a);
    if (a->allow) put(h, "allow:", a->allow);
    if (a->status == 401) put(h, "www-authenticate:", "Bearer");
    if (a->close) put(h, "connection:", "close");
    unsigned retry_after_s = a->status == 503 ? UNAVAILABLE_S : a->retry_after_s;
    if (retry_after_s) {
        snprintf(number, sizeof number, "%u", retry_after_s);
        put(h, "retry-after:", number);
    }
    if (a->status == 304 || a->status == 204) return;
    put(h, "content-type:", a->content_type);
    if (a->gzip) put(h, "content-encoding:", "gzip");
    if (body_bytes == SIZE_MAX) return; /* until the connection ends */
    h->failed |= lws_add_http_header_content_length(h->wsi, body_bytes, &h->at, h->end);
}

/* What a page of another origin may do with the answer. */
static void put_cors(headers *h, const hg_exchange *x)
{
    if (!*x->origin) return;
    put(h, "access-control-allow-origin:", x->origin);
    put(h, "vary:", "Origin");
    if (!x->preflight) return;
    put(h, "access-control-allow-methods:", "GET, POST");
    put(h, "access-control-allow-headers:", "Authorization, Content-Type");
    put(h, "access-control-max-age:", "600");
}

/* 0: written. */
static int write_headers(headers *h)
{
    if (h->failed || lws_finalize_http_header(h->wsi, &h->at, h->end)) return -1;
    size_t count = (size_t)(h->at - h->room) - LWS_PRE;
    int written = lws_write(h->wsi, h->room + LWS_PRE, count, LWS_WRITE_HTTP_HEADERS);
    return written == (int)count ? 0 : -1;
}

/* ---- sending ---- */

/* The reader has to take what comes next within its time. */
static void await_reader(hg_exchange *x)
{
    x->awaited = true;
    lws_set_timeout(x->wsi, PENDING_TIMEOUT_HTTP_CONTENT, HG_LIMIT_HTTP_ANSWER_S);
    lws_callback_on_writable(x->wsi);
}

/* Nothing is to be sent. */
static void await_nothing(hg_exchange *x)
{
    x->awaited = false;
    lws_set_timeout(x->wsi, NO_PENDING_TIMEOUT, 0);
}

/* The answer is out: the connection is ready for the next request, or ends. */
static int complete(hg_exchange *x)
{
    bool close = x->answer.close;
    await_nothing(x);
    hg_buf_free(&x->out);
    x->state = HG_EXCHANGE_IDLE;
    hg_exchange_service(x)->unsent--;
    return close || lws_http_transaction_completed(x->wsi) ? -1 : 0;
}

static int send_headers(hg_exchange *x)
{
    headers h;
    start(&h, x->wsi, x->answer.status);
    put_cors(&h, x);
    put_answer(&h, &x->answer, x->stream ? SIZE_MAX : x->out.length);
    if (write_headers(&h)) return -1;
    bool bare = x->head || x->answer.status == 304 || x->answer.status == 204 || !x->out.length;
    if (bare && !x->stream) return complete(x);
    x->state = HG_EXCHANGE_SENDING;
    x->sent = 0;
    await_reader(x);
    return 0;
}

static int send_piece(hg_exchange *x)
{
    unsigned char room[LWS_PRE + PIECE_BYTES];
    size_t count = x->out.length - x->sent;
    if (x->stream && !count) {
        if (x->stream_end) return complete(x);
        hg_buf_clear(&x->out); /* all of it went: a long stream needs no more room than its news */
        x->sent = 0;
        await_nothing(x);
        return 0;
    }
    bool last = count <= PIECE_BYTES && !x->stream;
    if (count > PIECE_BYTES) count = PIECE_BYTES;
    memcpy(room + LWS_PRE, x->out.data + x->sent, count);
    enum lws_write_protocol how = last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP;
    if (lws_write(x->wsi, room + LWS_PRE, count, how) != (int)count) return -1;
    x->sent += count;
    if (last) return complete(x);
    await_reader(x);
    return 0;
}

int hg_answer_send(hg_exchange *x)
{
    if (x->state == HG_EXCHANGE_HEAD) return send_headers(x);
    if (x->state == HG_EXCHANGE_SENDING) return send_piece(x);
    return 0;
}

/* ---- deciding ---- */

void hg_answer(hg_exchange *x, unsigned status, const char *content_type, hg_buf *body)
{
    assert(x->state == HG_EXCHANGE_BODY || x->state == HG_EXCHANGE_WORKING);
    x->state = HG_EXCHANGE_HEAD;
    hg_exchange_service(x)->unsent++;
    hg_exchange_drop_body(x);
    x->answer.status = status;
    x->answer.content_type = content_type;
    hg_buf_free(&x->out);
    x->out = *body;
    *body = hg_buf_new(0);
    /* Without memory for it the answer goes as it is. */
    bool worth = status == 200 && x->gzip && hg_gzip_worth(content_type, x->out.length);
    x->answer.gzip = worth && !hg_gzip(&x->out);
    await_reader(x);
}

void hg_answer_stream(hg_exchange *x, const char *content_type)
{
    hg_buf nothing = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    x->stream = x->answer.close = true;
    hg_answer(x, 200, content_type, &nothing);
    x->out = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
}

void hg_answer_more(hg_exchange *x)
{
    if (x->state == HG_EXCHANGE_SENDING && !x->awaited) await_reader(x);
}

void hg_answer_end(hg_exchange *x)
{
    x->stream_end = true;
    hg_answer_more(x);
}

void hg_answer_json(hg_exchange *x, unsigned status, const char *json)
{
    hg_buf body = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    if (hg_buf_append_text(&body, json)) {
        hg_log(HG_LOG_ERROR, "service", "no memory for an answer");
        x->answer.close = true;
    }
    hg_answer(x, status, HG_HTTP_JSON, &body);
}

void hg_answer_printed(hg_exchange *x, hg_json_out *json)
{
    if (!json->status) {
        hg_answer(x, 200, HG_HTTP_JSON, json->out);
        return;
    }
    hg_buf_free(json->out);
    hg_answer_status(x, json->status);
}

void hg_answer_status(hg_exchange *x, hg_status status)
{
    if (status == HG_ERROR_LIMIT)
        hg_answer_code(x, HG_CODE_text_too_long,
                       "this is too much for one request: send it in parts");
    else
        hg_answer_code(x, HG_CODE_internal, "");
}

/* As LibreTranslate does, or, with object, as OpenAI does. */
static void print_error(const char *message, bool object, hg_buf *out)
{
    hg_json_out json = hg_json_out_new(out);
    hg_json_begin_object(&json, NULL);
    if (object) {
        hg_json_begin_object(&json, "error");
        hg_json_put_text(&json, "message", message);
        hg_json_put_text(&json, "type", "invalid_request_error");
        hg_json_end_object(&json);
    } else {
        hg_json_put_text(&json, "error", message);
    }
    hg_json_end_object(&json);
    if (json.status) hg_buf_clear(out); /* the status says it all */
}

void hg_answer_error(hg_exchange *x, unsigned status, const char *format, ...)
{
    char message[HG_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    message[hg_utf8_valid(message, strlen(message))] = '\0';
    hg_buf body = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    print_error(message, x->route && x->route->error_object, &body);
    hg_answer(x, status, HG_HTTP_JSON, &body);
}

void hg_answer_code(hg_exchange *x, hg_code code, const char *message)
{
    unsigned status = 400;
    if (code == HG_CODE_busy || code == HG_CODE_starting || code == HG_CODE_shutting_down)
        status = 503;
    if (code == HG_CODE_deadline) status = 504;
    if (code == HG_CODE_device || code == HG_CODE_internal) status = 500;
    hg_answer_error(x, status, "%s", *message ? message : hg_code_meaning(code));
}

int hg_answer_refusal(struct lws *wsi, unsigned status, const char *message)
{
    headers h;
    const hg_answer_head a = {.status = status, .content_type = HG_HTTP_JSON, .close = true};
    hg_buf body = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    unsigned char room[LWS_PRE + HG_ERROR_MESSAGE_MAX];
    print_error(message, false, &body);
    assert(body.length <= sizeof room - LWS_PRE);
    start(&h, wsi, status);
    put_answer(&h, &a, body.length);
    int failed = write_headers(&h);
    size_t count = body.length;
    memcpy(room + LWS_PRE, hg_buf_text(&body), count);
    hg_buf_free(&body);
    if (failed) return -1;
    return lws_write(wsi, room + LWS_PRE, count, LWS_WRITE_HTTP_FINAL) == (int)count ? 0 : -1;
}
