/* echo_server.c: the service's socket layer (core/service/ws.c) with an echo in the place of
 * sessions, for suites that test any websocket server: each text message comes back as it is.
 *
 *     echo_server PORT
 *
 * It defines what ws.c calls of sessions and of the server, so that the library's own stay out. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/service/deflate.h"
#include "core/service/resume.h"
#include "core/service/server.h"

#define MESSAGE_MOST (17 << 20) /* the largest message of the suites has 16 MiB */
#define QUEUE_MOST   ((size_t)64 << 20)

static hg_service service;

hg_service *hg_service_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

void hg_service_poll(hg_service *polled)
{
    (void)polled; /* nothing runs elsewhere */
}

hg_caller hg_http_caller(struct lws *wsi)
{
    (void)wsi;
    return (hg_caller){0};
}

hg_status hg_session_new(hg_session_shared *shared, void *connection, const hg_caller *caller,
                         hg_session **out, hg_error *error)
{
    hg_session *session = calloc(1, sizeof *session);
    if (!session) return hg_fail(error, HG_ERROR_MEMORY, "no memory for a session");
    session->shared = shared;
    session->connection = connection;
    session->caller = *caller;
    session->incoming = hg_buf_new(MESSAGE_MOST);
    hg_out_queue_init(&session->queue, QUEUE_MOST, 0);
    *out = session;
    return HG_OK;
}

void hg_session_receive(hg_session *session, const char *bytes, size_t count, int64_t received_us)
{
    (void)received_us;
    if (hg_out_queue_push(&session->queue, bytes, count, 0, NULL))
        session->close_code = HG_CLOSE_INTERNAL;
    session->shared->wake(session);
}

void hg_session_end(hg_session *session, uint16_t close_code)
{
    session->close_code = close_code;
    session->shared->wake(session);
}

bool hg_session_detach(hg_session *session)
{
    (void)session;
    return false;
}

void hg_session_free(hg_session *session)
{
    hg_out_queue_clear(&session->queue);
    hg_buf_free(&session->incoming);
    free(session);
}

int main(int count, char **argument)
{
    assert(count == 2);
    struct lws_protocols protocols[] = {{.name = HG_SUBPROTOCOL,
                                         .callback = hg_ws_callback,
                                         .per_session_data_size = hg_ws_user_bytes()},
                                        {0}};
    struct lws_context_creation_info info = {
        .port = atoi(argument[1]), .iface = "127.0.0.1", .protocols = protocols, .user = &service};
    info.extensions = hg_deflate_extensions;
    service.shared.wake = hg_ws_wake;
    service.shared.packed = hg_buf_new(2 * MESSAGE_MOST);
    lws_set_log_level(LLL_ERR, NULL);
    struct lws_context *context = lws_create_context(&info);
    if (!context) return 1;
    while (lws_service(context, 0) >= 0) {
    }
    lws_context_destroy(context);
    return 0;
}
