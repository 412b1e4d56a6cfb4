/* bench_wire.c: the way of a sentence end to end: a service of this process, websockets to it.
 *
 * The service runs on a thread of its own with a runtime of its own; all clients are one poll loop
 * here. They speak as much of RFC 6455 as the service answers with: one text frame a message. The
 * engine's time in steps comes from /metrics before and after.
 */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/cli/bench.h"
#include "core/service/service.h"

#define CLIENTS_MAX 16
#define WAIT_MS     60000 /* for an answer that must come */
#define ANSWER      (256u << 10)
#define STEPS       "\nhydraglot_engine_step_seconds_total "

typedef struct client {
    int socket; /* -1: none */
    bool waiting;
    int64_t sent_us, first_us; /* of the sentence it waits for; first 0: nothing came yet */
    hg_buf in;                 /* bytes that make no whole frame yet */
} client;

typedef struct wire {
    hg_service *service;
    pthread_t thread;
    bool running;
    uint16_t port;
    client client[CLIENTS_MAX];
    hg_buf targets; /* "\"de\",\"fr\"" */
    const char *source;
    uint64_t number;
    double *total_ms, *first_ms; /* [room] */
    size_t ended, room;
} wire;

static hg_status fail(hg_error *error, const char *what)
{
    return hg_fail(error, HG_ERROR_IO, "bench: the service %s", what);
}

/* ---- sockets ---- */

static int dial(uint16_t port)
{
    const int one = 1;
    const struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s < 0) return -1;
    (void)setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(s, (const struct sockaddr *)(const void *)&to, sizeof to) == 0) return s;
    close(s);
    return -1;
}

static bool send_all(int s, const void *bytes, size_t count)
{
    const char *at = bytes;
    while (count) {
        ssize_t n = send(s, at, count, MSG_NOSIGNAL);
        if (n < 0 && errno != EINTR) return false;
        if (n > 0) at += n, count -= (size_t)n;
    }
    return true;
}

/* Waits for bytes and appends them to in; false when none came. */
static bool receive(int s, hg_buf *in)
{
    char bytes[16384];
    struct pollfd wait = {.fd = s, .events = POLLIN};
    if (poll(&wait, 1, WAIT_MS) <= 0) return false;
    ssize_t n = recv(s, bytes, sizeof bytes, 0);
    return n > 0 && !hg_buf_append(in, bytes, (size_t)n);
}

/* The whole answer to a GET, "" when there was none. */
static void get(uint16_t port, const char *path, hg_buf *answer)
{
    char ask[128];
    int s = dial(port);
    hg_buf_clear(answer);
    if (s < 0) return;
    int n =
        snprintf(ask, sizeof ask,
                 "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\n\r\n", path, port);
    if (send_all(s, ask, (size_t)n))
        while (receive(s, answer)) {
        }
    close(s);
}

/* Seconds that the engine has spent in steps. */
static hg_status read_steps(const wire *w, double *seconds, hg_error *error)
{
    hg_buf answer = hg_buf_new(ANSWER);
    get(w->port, "/metrics", &answer);
    const char *at = strstr(hg_buf_text(&answer), STEPS);
    if (at) *seconds = strtod(at + strlen(STEPS), NULL);
    hg_buf_free(&answer);
    return at ? HG_OK : fail(error, "did not tell its metrics");
}

static hg_status wait_until_ready(const wire *w, hg_error *error)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    hg_buf answer = hg_buf_new(ANSWER);
    int64_t end_us = hg_clock_us() + (int64_t)WAIT_MS * 1000;
    bool ready = false;
    while (!ready && hg_clock_us() < end_us) {
        get(w->port, "/readyz", &answer);
        ready = strncmp(hg_buf_text(&answer), "HTTP/1.1 200", 12) == 0;
        if (!ready) nanosleep(&pause, NULL);
    }
    hg_buf_free(&answer);
    return ready ? HG_OK : fail(error, "was not ready in time");
}

/* ---- websocket ---- */

/* The handshake; what came behind its answer stays in the client's buffer. */
static hg_status open_client(const wire *w, client *c, hg_error *error)
{
    char ask[256];
    c->in = hg_buf_new(HG_LIMIT_EVENT + ANSWER);
    c->socket = dial(w->port);
    int n = snprintf(ask, sizeof ask,
                     "GET /v1/live HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Key: aHlkcmFnbG90IGJlbmNoIQ==\r\n"
                     "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: hydraglot.v1\r\n\r\n",
                     w->port);
    if (c->socket < 0 || !send_all(c->socket, ask, (size_t)n)) return fail(error, "did not answer");
    const char *end = NULL;
    while (!end) {
        if (!receive(c->socket, &c->in)) return fail(error, "ended the handshake");
        end = strstr(hg_buf_text(&c->in), "\r\n\r\n");
    }
    if (strncmp(hg_buf_text(&c->in), "HTTP/1.1 101", 12) != 0)
        return fail(error, "refused the websocket");
    hg_buf_consume(&c->in, (size_t)(end - hg_buf_text(&c->in)) + 4);
    return HG_OK;
}

/* A text frame with a mask of zeros. */
static hg_status send_text(client *c, const hg_buf *text, hg_error *error)
{
    uint8_t head[8] = {0x81, 0x80 | 126, (uint8_t)(text->length >> 8), (uint8_t)text->length};
    assert(text->length > 125 && text->length < 1u << 16);
    hg_buf frame = hg_buf_new(HG_LIMIT_FRAME);
    hg_status status = hg_buf_append(&frame, head, sizeof head);
    if (!status) status = hg_buf_append(&frame, hg_buf_text(text), text->length);
    bool sent = !status && send_all(c->socket, frame.data, frame.length);
    hg_buf_free(&frame);
    return sent ? HG_OK : fail(error, "took no frame");
}

/* The first whole frame: its payload; *bytes of the frame in all. NULL: not yet. */
static const char *first_frame(const hg_buf *in, size_t *payload, size_t *bytes)
{
    const uint8_t *p = (const uint8_t *)hg_buf_text(in);
    size_t head = 2;
    if (in->length < head) return NULL;
    uint64_t length = p[1] & 127;
    if (length >= 126) head += length == 126 ? 2 : 8;
    if (in->length < head) return NULL;
    if (head > 2) length = 0;
    for (size_t i = 2; i < head; i++) length = length << 8 | p[i];
    if (in->length - head < length) return NULL;
    *payload = (size_t)length;
    *bytes = head + (size_t)length;
    return (const char *)p + head;
}

/* The service asks now and then whether a client that says nothing is there. */
static hg_status answer_ping(client *c, const char *payload, size_t bytes, hg_error *error)
{
    uint8_t frame[6 + 125] = {0x80 | 10, (uint8_t)(0x80 | bytes)}; /* a mask of zeros */
    assert(bytes <= 125);
    memcpy(frame + 6, payload, bytes);
    return send_all(c->socket, frame, 6 + bytes) ? HG_OK : fail(error, "took no frame");
}

static bool is_event(const char *payload, size_t bytes, const char *type)
{
    char start[64];
    int n = snprintf(start, sizeof start, "{\"type\":\"%s\"", type);
    return bytes >= (size_t)n && memcmp(payload, start, (size_t)n) == 0;
}

/* ---- sentences ---- */

static hg_status send_sentence(wire *w, client *c, hg_error *error)
{
    char text[256];
    hg_buf message = hg_buf_new(HG_LIMIT_FRAME);
    hg_bench_sentence(++w->number, text, sizeof text);
    hg_status status = hg_buf_printf(
        &message,
        "{\"type\":\"translate\",\"id\":\"w%" PRIu64 "\",\"rev\":1,\"final\":true,"
        "\"source\":\"%s\",\"targets\":[%s],\"text\":\"%s\",\"options\":{\"stream\":true}}",
        w->number, w->source, hg_buf_text(&w->targets), text);
    if (status) hg_fail(error, status, "out of memory");
    c->waiting = true;
    c->first_us = 0;
    c->sent_us = hg_clock_us();
    if (!status) status = send_text(c, &message, error);
    hg_buf_free(&message);
    return status;
}

/* Takes the whole frames that came. */
static hg_status take_frames(wire *w, client *c, hg_error *error)
{
    size_t payload, bytes;
    const char *p;
    while ((p = first_frame(&c->in, &payload, &bytes))) {
        int64_t now_us = hg_clock_us();
        bool ping = (hg_buf_text(&c->in)[0] & 15) == 9 && payload <= 125;
        if (ping && answer_ping(c, p, payload, error)) return HG_ERROR_IO;
        if (is_event(p, payload, "error")) return fail(error, "refused a sentence");
        bool text = is_event(p, payload, "translation.committed") ||
                    is_event(p, payload, "translation.tentative");
        if (text && !c->first_us) c->first_us = now_us;
        if (is_event(p, payload, "batch.done")) {
            c->waiting = false;
            if (!c->first_us) c->first_us = now_us;
            w->first_ms[w->ended] = (double)(c->first_us - c->sent_us) / 1e3;
            w->total_ms[w->ended++] = (double)(now_us - c->sent_us) / 1e3;
        }
        hg_buf_consume(&c->in, bytes);
    }
    return HG_OK;
}

static hg_status run_crowd(wire *w, uint32_t clients, size_t count, hg_error *error)
{
    size_t sent = 0;
    hg_status status = HG_OK;
    w->ended = 0;
    assert(count <= w->room && clients <= CLIENTS_MAX);
    /* Opened when they are needed: nobody idles until the service asks whether he is there. */
    for (uint32_t i = 0; i < clients && !status; i++)
        if (w->client[i].socket < 0) status = open_client(w, &w->client[i], error);
    while (w->ended < count && !status) {
        struct pollfd wait[CLIENTS_MAX];
        for (uint32_t i = 0; i < clients && !status; i++) {
            client *c = &w->client[i];
            wait[i] = (struct pollfd){.fd = c->socket, .events = POLLIN};
            if (c->waiting || sent == count) continue;
            status = send_sentence(w, c, error);
            sent++;
        }
        if (!status && poll(wait, clients, WAIT_MS) <= 0) status = fail(error, "does not answer");
        for (uint32_t i = 0; i < clients && !status; i++) {
            if (!wait[i].revents) continue;
            if (!receive(w->client[i].socket, &w->client[i].in))
                status = fail(error, "closed a websocket");
            if (!status) status = take_frames(w, &w->client[i], error);
        }
    }
    return status;
}

/* ---- the service ---- */

static void *serve(void *context)
{
    wire *w = context;
    hg_error error = {0};
    if (hg_service_run(w->service, &error)) fprintf(stderr, "bench: %s\n", error.message);
    return NULL;
}

static hg_status start(wire *w, const hg_settings *settings, const hg_targets *targets,
                       hg_error *error)
{
    const hg_service_options options = {.listen = "127.0.0.1:0",
                                        .web_path = settings->web,
                                        .runtime = hg_cli_runtime_options(settings, false)};
    hg_status status = HG_OK;
    w->source = targets->source;
    w->targets = hg_buf_new(HG_LIMIT_FRAME / 2);
    w->room = hg_bench_crowd_sentences(settings);
    w->total_ms = calloc(w->room, sizeof *w->total_ms);
    w->first_ms = calloc(w->room, sizeof *w->first_ms);
    for (uint32_t i = 0; i < targets->count && !status; i++)
        status = hg_buf_printf(&w->targets, "%s\"%s\"", i ? "," : "", targets->tag[i]);
    if (status || !w->total_ms || !w->first_ms)
        return hg_fail(error, HG_ERROR_MEMORY, "out of memory");
    status = hg_service_open(&options, &w->service, error);
    if (status) return status;
    const char *port = strrchr(hg_service_url(w->service), ':');
    assert(port);
    w->port = (uint16_t)strtoul(port + 1, NULL, 10);
    w->running = pthread_create(&w->thread, NULL, serve, w) == 0;
    if (!w->running) return hg_fail(error, HG_ERROR_MEMORY, "no thread for the service");
    return wait_until_ready(w, error);
}

static void stop(wire *w)
{
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) {
        if (w->client[i].socket >= 0) close(w->client[i].socket);
        hg_buf_free(&w->client[i].in);
    }
    if (w->running) {
        hg_service_stop(w->service);
        pthread_join(w->thread, NULL);
    }
    hg_service_close(w->service);
    hg_buf_free(&w->targets);
    free(w->total_ms);
    free(w->first_ms);
}

hg_status hg_bench_wire_run(const hg_settings *settings, const hg_targets *targets,
                            hg_bench_wire *out, hg_error *error)
{
    wire w = {0};
    for (uint32_t i = 0; i < CLIENTS_MAX; i++) w.client[i].socket = -1;
    hg_status status = start(&w, settings, targets, error);
    if (!status) status = run_crowd(&w, 1, 1, error); /* warms up */
    for (uint32_t i = 0; i < HG_BENCH_CROWDS && !status; i++) {
        double before = 0, after = 0, all_ms = 0;
        hg_bench_crowd *crowd = &out->crowd[i];
        crowd->clients = hg_bench_crowds[i];
        if (i == 0) status = read_steps(&w, &before, error);
        if (!status) status = run_crowd(&w, crowd->clients, w.room, error);
        for (size_t s = 0; s < w.ended; s++) all_ms += w.total_ms[s];
        if (!status && i == 0) status = read_steps(&w, &after, error);
        if (after > before) out->over_steps = all_ms / (after - before) / 1e3;
        if (!status) hg_bench_crowd_settle(crowd, w.total_ms, w.first_ms, w.ended);
    }
    stop(&w);
    return status;
}
