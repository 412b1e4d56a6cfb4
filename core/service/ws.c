/* ws.c: the websocket of /v1/live: bytes to whole text frames for the session, its queue to the
 * socket. http.c has decided on the upgrade before anything here is called. */
#include "core/service/server.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/service/deflate.h"
#include "core/service/resume.h"
#include "core/text/utf8.h"

static_assert(HG_OUT_HEADROOM >= LWS_PRE, "room for the frame's header");

/* libwebsockets keeps one of these for each connection, zeroed. */
typedef struct connection {
    hg_caller caller;
    hg_session *session; /* NULL when there are too many, or it went without its connection */
    uint16_t close_code; /* of a connection that its session has left */
    bool counted;        /* among the open ones */
    bool goodbye;        /* the client closed and means it: nothing is to be kept */
    hg_deflate deflate;  /* as agreed on, or not */
    bool packed;         /* the message coming in is */
    bool continues;      /* the next of its bytes begin a continuation frame */
    uint64_t read_bytes; /* of the queue's kept_bytes: what the client surely has */
    uint64_t ping_bytes; /* what it has when it answers the ping that is out; else the same */
    bool closed;         /* a close frame was asked for; what still comes in is ignored */
    size_t dropped;      /* bytes of an oversize message so far; 0: none is coming in */
} connection;

size_t hg_ws_user_bytes(void)
{
    return sizeof(connection);
}

void hg_ws_wake(hg_session *session)
{
    struct lws *wsi = session->connection;
    if (!wsi) return;
    lws_callback_on_writable(wsi);
    /* A reader that takes nothing would never let its close frame out. */
    if (session->close_code) lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, HG_LIMIT_CLOSE_S);
}

void hg_ws_drop(hg_session *session, uint16_t close_code)
{
    struct lws *wsi = session->connection;
    connection *c = lws_wsi_user(wsi);
    c->session = NULL;
    c->close_code = close_code;
    session->connection = NULL;
    lws_callback_on_writable(wsi);
    lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, HG_LIMIT_CLOSE_S);
}

void hg_ws_move(hg_session *from, hg_session *to)
{
    struct lws *wsi = from->connection;
    connection *c = lws_wsi_user(wsi);
    assert(c->session == from && !to->connection);
    c->session = to;
    c->read_bytes = c->ping_bytes = to->queue.kept_bytes;
    to->connection = wsi;
    from->connection = NULL;
}

/* The callback that returns this ends the connection with a close frame of that code. */
static int close_with(struct lws *wsi, connection *c, int code)
{
    c->closed = true;
    lws_close_reason(wsi, (enum lws_close_status)code, NULL, 0);
    return -1;
}

static int established(struct lws *wsi, connection *c)
{
    hg_service *service = hg_service_of(wsi);
    hg_error error;
    int bytes = HG_LIMIT_SEND_BUFFER;
    if (setsockopt(lws_get_socket_fd(wsi), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes))
        hg_log(HG_LOG_WARN, "service", "the send buffer of a socket could not be bounded");
    /* The close frame must wait for the next writeable: here it would not be sent. */
    if (service->shared.metrics.sessions >= HG_LIMIT_SESSIONS || service->shared.stopping) {
        service->shared.metrics.sessions_refused++;
        c->close_code = service->shared.stopping ? HG_CLOSE_GOING_AWAY : HG_CLOSE_TOO_MANY;
        lws_callback_on_writable(wsi);
        return 0;
    }
    if (hg_session_new(&service->shared, wsi, &c->caller, &c->session, &error)) {
        hg_log(HG_LOG_ERROR, "service", "%s", error.message);
        return -1;
    }
    service->shared.metrics.sessions++;
    c->counted = true;
    return 0;
}

static void closed(struct lws *wsi, connection *c)
{
    hg_service *service = hg_service_of(wsi);
    hg_deflate_free(&c->deflate);
    if (!c->counted) return;
    assert(service->shared.metrics.sessions > 0);
    service->shared.metrics.sessions--;
    if (!c->session) return;
    c->session->connection = NULL;
    if (c->goodbye || c->closed || service->shared.stopping || !hg_session_detach(c->session))
        hg_session_free(c->session);
    c->session = NULL;
}

/* Whether the client's close frame says that it is done, or leaves the page. A frame without a code
 * does not: a client that gives a silent connection up sends it, and wants to resume. */
static bool is_goodbye(const void *in, size_t count)
{
    const unsigned char *bytes = in;
    if (count < 2) return false;
    unsigned code = (unsigned)bytes[0] << 8 | bytes[1];
    return code == HG_CLOSE_DONE || code == HG_CLOSE_GOING_AWAY;
}

/* libwebsockets answers a close frame with what it says, but for a reason that is not UTF-8. */
static int peer_closes(struct lws *wsi, connection *c, const void *in, size_t count)
{
    const char *reason = (const char *)in + 2;
    c->goodbye = is_goodbye(in, count);
    if (lws_get_reserved_bits(wsi)) return close_with(wsi, c, HG_CLOSE_PROTOCOL);
    if (count > 2 && hg_utf8_valid(reason, count - 2) != count - 2)
        return close_with(wsi, c, HG_CLOSE_NOT_UTF8);
    return 0;
}

/* A whole message is there. */
static void finish_message(struct lws *wsi, hg_session *session)
{
    hg_metrics *metrics = &session->shared->metrics;
    const char *bytes = hg_buf_text(&session->incoming);
    size_t count = session->incoming.length;
    metrics->frames_in++;
    metrics->bytes_in += count;
    session->receiving = false;
    if (hg_utf8_valid(bytes, count) != count) {
        hg_session_end(session, HG_CLOSE_NOT_UTF8);
        return;
    }
    hg_session_receive(session, bytes, count, session->received_us);
    hg_buf_clear(&session->incoming);
    hg_service_poll(hg_service_of(wsi)); /* ends without a lane are there at once */
}

static bool is_whole(struct lws *wsi)
{
    return lws_is_final_fragment(wsi) && !lws_remaining_packet_payload(wsi);
}

/* More of an oversize message. To close a socket that has unread bytes makes TCP reset it, and the
 * client may then never see the close frame: so the rest is read first, within bounds. */
static void drop(struct lws *wsi, connection *c, size_t count)
{
    if (!c->dropped) lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, HG_LIMIT_CLOSE_S);
    c->dropped += count;
    if (is_whole(wsi) || c->dropped >= HG_LIMIT_FRAME_REST)
        hg_session_end(c->session, HG_CLOSE_TOO_LARGE);
}

/* What ends the session here still lets out what was queued before. */
static void receive(struct lws *wsi, connection *c, const void *in, size_t count)
{
    hg_session *session = c->session;
    if (c->closed || !session || session->close_code) return;
    if (c->dropped) {
        drop(wsi, c, count);
        return;
    }
    if (lws_frame_is_binary(wsi)) {
        hg_session_end(session, HG_CLOSE_BINARY);
        return;
    }
    bool misplaced = session->receiving && c->continues && lws_get_reserved_bits(wsi);
    c->continues = !lws_remaining_packet_payload(wsi);
    if (misplaced) {
        hg_session_end(session, HG_CLOSE_PROTOCOL);
        return;
    }
    if (!session->receiving) {
        session->received_us = hg_clock_us();
        session->receiving = true;
        c->packed = c->deflate.client_bits && lws_get_reserved_bits(wsi);
    }
    hg_buf *whole = &session->incoming;
    hg_status status = c->packed ? hg_deflate_unpack(&c->deflate, in, count, is_whole(wsi), whole)
                                 : hg_buf_append(whole, in, count);
    if (status == HG_ERROR_LIMIT)
        drop(wsi, c, count);
    else if (status)
        hg_session_end(session, status == HG_ERROR_FORMAT ? HG_CLOSE_NOT_UTF8 : HG_CLOSE_INTERNAL);
    else if (is_whole(wsi))
        finish_message(wsi, session);
}

/* 0, or less when the connection is gone. */
static int write_text(struct lws *wsi, unsigned char *bytes, size_t count)
{
    int sent = lws_write(wsi, bytes, count, LWS_WRITE_TEXT);
    return sent < 0 || (size_t)sent < count ? -1 : 0;
}

/* The same for a message that is packed first, behind the room for its frame's header. */
static int write_packed(struct lws *wsi, connection *c, const char *bytes, size_t count)
{
    static const char headroom[HG_OUT_HEADROOM];
    hg_buf *packed = &c->session->shared->packed;
    hg_buf_clear(packed);
    if (hg_buf_append(packed, headroom, sizeof headroom) ||
        hg_deflate_pack(&c->deflate, bytes, count, packed))
        return -1;
    return write_text(wsi, (unsigned char *)packed->data + sizeof headroom,
                      packed->length - sizeof headroom);
}

/* Sends the oldest message; false when the connection is gone. */
static bool send_first(struct lws *wsi, connection *c)
{
    hg_session *session = c->session;
    hg_out_message *message = hg_out_queue_first(&session->queue);
    char *bytes = message->bytes + HG_OUT_HEADROOM;
    int failed = c->deflate.server_bits ? write_packed(wsi, c, bytes, message->count)
                                        : write_text(wsi, (unsigned char *)bytes, message->count);
    if (failed) return false;
    session->shared->metrics.frames_out++;
    session->shared->metrics.bytes_out += message->count;
    hg_out_queue_pop(&session->queue, hg_clock_us());
    return true;
}

/* ---- what is under way ----
 * A connection that breaks loses what stands in both kernels, which packed may be much. So that all
 * of it can be replayed, no more is under way than half of what is kept. What a client has read it
 * says by the pong to a ping, which every client answers by itself, in order. */

static bool too_much_under_way(const connection *c)
{
    const hg_out_queue *queue = &c->session->queue;
    return queue->replay && queue->kept_bytes - c->read_bytes >= queue->replay / 2;
}

static bool ask_what_is_read(struct lws *wsi, connection *c)
{
    const hg_out_queue *queue = &c->session->queue;
    unsigned char ping[LWS_PRE + sizeof c->ping_bytes];
    bool waits = c->ping_bytes != c->read_bytes;
    if (waits || !queue->replay || queue->kept_bytes - c->read_bytes < queue->replay / 4)
        return true;
    c->ping_bytes = queue->kept_bytes;
    memcpy(ping + LWS_PRE, &c->ping_bytes, sizeof c->ping_bytes);
    return lws_write(wsi, ping + LWS_PRE, sizeof c->ping_bytes, LWS_WRITE_PING) >= 0;
}

static void pong(struct lws *wsi, connection *c, const void *in, size_t count)
{
    if (count != sizeof c->ping_bytes || memcmp(in, &c->ping_bytes, count) != 0) return;
    c->read_bytes = c->ping_bytes;
    lws_callback_on_writable(wsi);
}

/* Sends as much as the socket takes. One frame is always allowed; before each further one
 * libwebsockets is asked, because what the socket refuses would pile up inside of it. */
static int writeable(struct lws *wsi, connection *c)
{
    hg_session *session = c->session;
    if (c->closed) return 0;
    if (!session) return close_with(wsi, c, c->close_code);
    for (int i = 0; i < HG_LIMIT_WRITE_BURST && hg_out_queue_first(&session->queue); i++) {
        if (too_much_under_way(c) || (i > 0 && lws_send_pipe_choked(wsi))) break;
        if (!send_first(wsi, c)) return -1;
    }
    if (!ask_what_is_read(wsi, c)) return -1;
    if (!hg_out_queue_first(&session->queue))
        return session->close_code ? close_with(wsi, c, session->close_code) : 0;
    if (!too_much_under_way(c)) lws_callback_on_writable(wsi); /* else a pong does it */
    return 0;
}

int hg_ws_callback(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                   size_t count)
{
    connection *c = user;
    switch (reason) {
    case LWS_CALLBACK_FILTER_PROTOCOL_CONNECTION: /* the last time that headers are there */
        c->caller = hg_http_caller(wsi);
        return 0;
    case LWS_CALLBACK_CONFIRM_EXTENSION_OKAY: return !hg_deflate_offered(wsi, &c->deflate);
    case LWS_CALLBACK_ESTABLISHED: return established(wsi, c);
    case LWS_CALLBACK_RECEIVE: receive(wsi, c, in, count); return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE: return writeable(wsi, c);
    case LWS_CALLBACK_RECEIVE_PONG: pong(wsi, c, in, count); return 0;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: return peer_closes(wsi, c, in, count);
    case LWS_CALLBACK_CLOSED: closed(wsi, c); return 0;
    default: return 0;
    }
}
