/* server.c: the event loop: context, listening socket, protocols, regular work, the end.
 *
 * libwebsockets' loop is the service thread. Other threads (engine, loader) ring the doorbell,
 * which is lws_cancel_service: the loop wakes, polls the translator and has the events queued
 * within the same turn. A tick does what nobody rings for.
 */
#include "core/service/server.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/version.h"
#include "core/plugins/add.h"
#include "core/service/deflate.h"
#include "core/service/http.h"
#include "core/service/message.h"
#include "core/service/resume.h"
#include "core/service/tls.h"
#include "db/plugins.h"

#define BUSY_TICK_US  20000   /* while something runs or loads: deadlines, new languages */
#define IDLE_TICK_US  1000000 /* otherwise */
#define LANGUAGES_MAX HG_LIMIT_ADAPTER_SLOTS
#define DRAIN_US      (HG_LIMIT_STOP_MS * INT64_C(750)) /* then frames have the rest to go out */

hg_service *hg_service_of(struct lws *wsi)
{
    return lws_context_user(lws_get_context(wsi));
}

const char *hg_service_url(const hg_service *service)
{
    return service->url;
}

/* ---- the loop's work ---- */

/* Prints the catalog anew; tells everybody when it is not what they were told before. */
static void refresh_languages(hg_service *service)
{
    hg_language_view view[LANGUAGES_MAX];
    hg_buf fresh = hg_buf_new(HG_LIMIT_EVENT);
    hg_runtime *runtime = service->shared.runtime;
    uint32_t count = runtime ? hg_runtime_languages(runtime, view, LANGUAGES_MAX) : 0;
    if (count > LANGUAGES_MAX) count = LANGUAGES_MAX;
    hg_buf *told = &service->shared.languages;
    if (hg_languages_print(view, count, &fresh)) {
        hg_log(HG_LOG_ERROR, "service", "the list of languages could not be printed");
        hg_buf_free(&fresh);
        return;
    }
    service->shared.metrics.languages = count;
    if (strcmp(hg_buf_text(told), hg_buf_text(&fresh)) == 0) {
        hg_buf_free(&fresh);
        return;
    }
    hg_buf_free(told);
    *told = fresh;
    if (hg_language_set_read(&service->languages, runtime))
        hg_log(HG_LOG_ERROR, "service", "no memory for the list of languages");
    hg_session *session;
    TAILQ_FOREACH(session, &service->shared.sessions, link) hg_session_languages_changed(session);
}

/* Without a reader nobody's token is known, and who needs one is refused. */
static void open_tokens(hg_service *service)
{
    hg_error error;
    hg_store *store = hg_runtime_store(service->shared.runtime);
    if (store && hg_token_reader_open(store, &service->shared.tokens, &error))
        hg_log(HG_LOG_ERROR, "service", "%s", error.message);
}

hg_status hg_service_first_token(hg_service *service, char *text, hg_error *error)
{
    hg_store *store = hg_runtime_store(service->shared.runtime);
    hg_token_record record = {.label = "the first start's"};
    bool made = false;
    *text = '\0';
    if (!store) return HG_OK;
    hg_scopes_print(HG_SCOPE_TRANSLATE | HG_SCOPE_ADMIN | HG_SCOPE_METRICS, record.scopes);
    hg_status status = hg_token_new(text, &record, error);
    if (!status) status = hg_store_first_token(store, &record, &made, error);
    if (status || !made) *text = '\0';
    return status;
}

/* What the command line changed beside us: tokens that expired or were revoked end their sessions
 * and requests; the loader looks at the plugins. */
static void watch_store(hg_service *service)
{
    if (!service->shared.tokens) return;
    bool changed = hg_token_reader_changed(service->shared.tokens) || service->shared.unsure;
    service->shared.unsure = false;
    if (changed) hg_runtime_plugins_changed(service->shared.runtime);
    hg_session *session;
    TAILQ_FOREACH(session, &service->shared.sessions, link)
    hg_session_watch_token(session, changed);
    hg_exchanges_watch_tokens(service, changed);
}

/* Once a second: what time ends. */
static void watch(hg_service *service)
{
    int64_t now_us = hg_clock_us();
    if (now_us - service->watched_us < IDLE_TICK_US) return;
    service->watched_us = now_us;
    watch_store(service);
    hg_sessions_age(&service->shared, now_us);
}

/* The engine's figures, and with them which device computes, and whether; one that will not come
 * back ends the service. */
static void watch_device(hg_service *service, hg_engine_figures *out)
{
    hg_error why;
    hg_engine *engine = hg_runtime_engine(service->shared.runtime);
    hg_engine_read_figures(engine, out);
    service->device = out->device;
    service->shared.metrics.device_up = !out->lost;
    if (hg_engine_stopped(engine, &why)) atomic_store(&service->stop, true);
}

/* Takes over what the opening thread made; run ends when there is nothing. */
static void take_runtime(hg_service *service)
{
    hg_opening *opening = &service->opening;
    hg_engine_figures figures;
    if (!opening->joinable || !atomic_load(&opening->done)) return;
    pthread_join(opening->thread, NULL);
    opening->joinable = false;
    if (opening->status) return;
    service->shared.runtime = opening->runtime;
    hg_metrics *m = &service->shared.metrics;
    watch_device(service, &figures);
    m->model = hg_runtime_model(opening->runtime)->name;
    m->device = service->device.name;
    m->kernel = service->device.kernel;
    hg_log(HG_LOG_INFO, "service", "%s on %s (%s)", m->model, m->device, m->kernel);
    open_tokens(service);
    refresh_languages(service);
    if (service->loaded) service->loaded(service);
}

void hg_service_poll(hg_service *service)
{
    take_runtime(service);
    if (!service->shared.runtime) return;
    hg_translator_poll(service->shared.runtime, 0);
    hg_exchanges_pump(service);
    uint64_t changes = hg_runtime_changes(service->shared.runtime);
    if (changes != service->changes) refresh_languages(service);
    service->changes = changes;
    if (!service->ready) {
        service->ready = hg_runtime_ready(service->shared.runtime);
        refresh_languages(service);
        if (service->ready)
            hg_log(HG_LOG_INFO, "service", "ready, %d languages",
                   (int)service->shared.metrics.languages);
    }
    if (service->shared.ended) hg_sessions_reap(&service->shared);
}

static bool something_runs(const hg_service *service)
{
    const hg_session *session;
    if (service->calls) return true;
    TAILQ_FOREACH(session, &service->shared.sessions, link)
    {
        if (session->conversation && hg_conversation_running(session->conversation)) return true;
    }
    return false;
}

static void tick(lws_sorted_usec_list_t *sul)
{
    hg_service *service = lws_container_of(sul, hg_service, tick);
    hg_engine_figures figures;
    watch(service);
    if (service->shared.runtime) watch_device(service, &figures);
    hg_service_poll(service);
    if (service->shared.stopping)
        hg_sessions_drain(&service->shared, hg_clock_us() >= service->drain_until_us);
    bool busy = !service->ready || service->shared.stopping || something_runs(service);
    lws_sul_schedule(service->context, 0, sul, tick, busy ? BUSY_TICK_US : IDLE_TICK_US);
}

void hg_service_read_gauges(hg_service *service)
{
    hg_metrics *m = &service->shared.metrics;
    hg_engine_figures figures;
    const hg_session *session;
    m->sessions_detached = 0;
    TAILQ_FOREACH(session, &service->shared.sessions, link)
    m->sessions_detached += session->detached_us != 0;
    if (!service->shared.runtime) return;
    watch_device(service, &figures);
    hg_store *store = hg_runtime_store(service->shared.runtime);
    m->device_losses = figures.losses;
    m->device_recoveries = figures.recoveries;
    m->ready = service->ready;
    m->steps = figures.steps;
    m->step_rows = figures.rows;
    m->step_seconds = (double)figures.step_us / 1e6;
    m->prefill_tokens = figures.prefill_tokens;
    m->shared_tokens = figures.shared_tokens;
    m->decode_tokens = figures.decode_tokens;
    m->pages = figures.pages;
    m->pages_free = figures.pages_free;
    m->pages_cached = figures.pages_cached;
    m->jobs_running = figures.jobs;
    m->lanes_running = figures.lanes;
    m->adapters = figures.adapters_ready;
    m->adapters_bytes = figures.memory.adapters_bytes;
    m->adapters_filled_bytes = figures.memory.filled_bytes;
    m->weights_bytes = figures.memory.weights_bytes;
    m->kv_bytes = figures.memory.pages_bytes;
    m->workspace_bytes = figures.memory.workspace_bytes + figures.memory.graphs_bytes;
    m->batch_rows_dropped = store ? hg_store_dropped_batches(store) : 0;
}

/* ---- opening ---- */

/* libwebsockets' own lines, without their newline. Its errors are mostly a client's. */
static void log_lws(int level, const char *line)
{
    hg_log_level mapped = level == LLL_ERR ? HG_LOG_WARN : HG_LOG_DEBUG;
    hg_log(mapped, "lws", "%.*s", (int)strcspn(line, "\n"), line);
}

/* libwebsockets makes tables for as many files as the process may open: on some machines more than
 * a billion, on others too few for our sessions. */
static void bound_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit)) return;
    limit.rlim_cur = HG_LIMIT_DESCRIPTORS;
    if (limit.rlim_cur > limit.rlim_max) limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        hg_log(HG_LOG_WARN, "service", "the number of open files could not be set: %s",
               strerror(errno));
}

static void fill_protocols(hg_service *service)
{
    service->protocols[0] = (struct lws_protocols){.name = "http",
                                                   .callback = hg_http_callback,
                                                   .per_session_data_size = hg_http_user_bytes()};
    service->protocols[1] = (struct lws_protocols){.name = HG_SUBPROTOCOL,
                                                   .callback = hg_ws_callback,
                                                   .per_session_data_size = hg_ws_user_bytes()};
}

/* All addresses of the machine: libwebsockets wants no name for that. */
static bool is_any(const hg_address *address)
{
    return strcmp(address->host, "0.0.0.0") == 0 || strcmp(address->host, "::") == 0;
}

static hg_status open_socket(hg_service *service, hg_error *error)
{
    static const lws_retry_bo_t keepalive = {.secs_since_valid_ping = HG_LIMIT_PING_S,
                                             .secs_since_valid_hangup = HG_LIMIT_HANGUP_S};
    struct lws_context_creation_info info = {
        .port = service->address.port,
        .iface = is_any(&service->address) ? NULL : service->address.host,
        .protocols = service->protocols,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_FAIL_UPON_UNABLE_TO_BIND,
        .retry_and_idle_policy = &keepalive,
        .ssl_cert_filepath = service->tls_cert,
        .ssl_private_key_filepath = service->tls_key,
        .extensions = hg_deflate_extensions,
        .alpn = "http/1.1", /* answers are written for it alone */
        .server_string = "hydraglot",
        .vhost_name = "hydraglot",
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .user = service,
    };
    if (!service->address.v6) info.options |= LWS_SERVER_OPTION_DISABLE_IPV6;
    if (service->tls_cert) info.options |= LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT;
    lws_set_log_level(LLL_ERR | LLL_WARN, log_lws);
    bound_descriptors();
    service->context = lws_create_context(&info);
    if (!service->context)
        return hg_fail(error, HG_ERROR_IO, "libwebsockets could not make its context");
    service->vhost = lws_create_vhost(service->context, &info);
    if (!service->vhost)
        return hg_fail(error, HG_ERROR_IO,
                       "--listen %s:%u: cannot listen there; does another program?",
                       service->address.host, service->address.port);
    service->address.port = (uint16_t)lws_get_vhost_listen_port(service->vhost);
    hg_address_url(&service->address, service->url, sizeof service->url);
    size_t used = strlen(service->url);
    if (*service->base_path)
        snprintf(service->url + used, sizeof service->url - used, "%s/", service->base_path + 1);
    if (!service->address.loopback && !service->tls)
        hg_log(HG_LOG_WARN, "service",
               "%s is reached from other machines: tokens and text cross the network in clear "
               "unless a proxy with TLS stands before it; --tls-cert serves TLS",
               service->url);
    return HG_OK;
}

static void ring(void *context)
{
    hg_service *service = context;
    lws_cancel_service(service->context);
}

/* What a killed process left: checks that nobody ends, contents that no row needs. */
static void clear_up(const hg_opening *opening)
{
    hg_error error;
    hg_store *store = hg_runtime_store(opening->runtime);
    if (!store) return;
    if (hg_store_end_checks(store, &error)) hg_log(HG_LOG_WARN, "service", "%s", error.message);
    if (hg_intake_sweep(opening->options.data_path, hg_store_needs_content, store, &error))
        hg_log(HG_LOG_WARN, "service", "%s", error.message);
}

/* The opening thread: loading takes long, and who watches the service wants to be answered. */
static void *open_runtime(void *context)
{
    hg_service *service = context;
    hg_opening *opening = &service->opening;
    opening->status = hg_runtime_open(&opening->options, &opening->runtime, &opening->error);
    if (!opening->status) clear_up(opening);
    atomic_store(&opening->done, true);
    ring(service);
    return NULL;
}

static hg_status begin_opening(hg_service *service, const hg_runtime_options *options,
                               hg_error *error)
{
    hg_opening *opening = &service->opening;
    hg_metrics *m = &service->shared.metrics;
    m->version = HG_VERSION;
    m->model = m->device = m->kernel = "";
    opening->options = *options;
    opening->options.doorbell = ring;
    opening->options.doorbell_context = service;
    if (pthread_create(&opening->thread, NULL, open_runtime, service))
        return hg_fail(error, HG_ERROR_MEMORY, "no thread to load the model on");
    opening->joinable = true;
    return HG_OK;
}

/* "/x", "/x/y" or nothing; a final "/" does not count. */
static hg_status take_base_path(hg_service *service, const char *path, hg_error *error)
{
    size_t count = path ? strlen(path) : 0;
    while (count && path[count - 1] == '/') count--;
    bool good = !count || (path[0] == '/' && count <= HG_LIMIT_BASE_PATH);
    for (size_t i = 0; good && i < count; i++)
        good = strchr("/-._~", path[i]) || isalnum((unsigned char)path[i]);
    if (!good)
        return hg_fail(error, HG_ERROR_ARGUMENT,
                       "--base-path: expected a path such as /translate of letters, digits and "
                       "-._~, at most %d characters",
                       HG_LIMIT_BASE_PATH);
    memcpy(service->base_path, count ? path : "", count);
    service->base_path[count] = '\0';
    return HG_OK;
}

static hg_status take_tls(hg_service *service, const hg_service_options *options, hg_error *error)
{
    service->tls_cert = options->tls_cert;
    service->tls_key = options->tls_key;
    service->address.tls = options->tls_cert != NULL;
    return hg_tls_check(options->tls_cert, options->tls_key, error);
}

static hg_status take_access(hg_service *service, const hg_service_options *options,
                             hg_error *error)
{
    service->allow_origin = options->allow_origin;
    service->trust_proxy = options->trust_proxy;
    hg_status status = hg_origins_check(options->allow_origin, error);
    return status ? status : take_base_path(service, options->base_path, error);
}

hg_status hg_service_open(const hg_service_options *options, hg_service **out, hg_error *error)
{
    hg_service *service = calloc(1, sizeof *service);
    if (!service) return hg_fail(error, HG_ERROR_MEMORY, "no memory for the service");
    TAILQ_INIT(&service->shared.sessions);
    TAILQ_INIT(&service->exchanges);
    service->languages = hg_language_set_new();
    service->shared.languages = hg_buf_new(HG_LIMIT_EVENT);
    service->shared.event = hg_buf_new(HG_LIMIT_EVENT);
    service->shared.packed = hg_buf_new(2 * HG_LIMIT_EVENT);
    service->shared.wake = hg_ws_wake;
    service->shared.drop = hg_ws_drop;
    service->shared.move = hg_ws_move;
    fill_protocols(service);
    hg_status status = hg_address_parse(options->listen, &service->address, error);
    if (status) goto out;
    status = take_access(service, options, error);
    if (status) goto out;
    status = take_tls(service, options, error);
    if (status) goto out;
    status =
        hg_path_join(service->web_path, sizeof service->web_path, options->web_path, "", error);
    if (status) goto out;
    status = open_socket(service, error);
    if (status) goto out;
    refresh_languages(service);
    service->loaded = options->loaded;
    service->reloaded = options->reload;
    status = begin_opening(service, &options->runtime, error);
    if (status) goto out;
    *out = service;
    service = NULL;
out:
    hg_service_close(service);
    return status;
}

/* ---- running and ending ---- */

hg_status hg_service_change(hg_service *service, const hg_service_options *options, hg_error *error)
{
    char web_path[HG_PATH_MAX];
    bool tls = options->tls_cert || options->tls_key;
    if (tls != (service->tls != NULL))
        return hg_fail(error, HG_ERROR_ARGUMENT, "TLS is begun and ended by a restart only");
    hg_status status = hg_origins_check(options->allow_origin, error);
    if (!status) status = hg_path_join(web_path, sizeof web_path, options->web_path, "", error);
    if (!status && tls)
        status = hg_tls_use(service->tls, &service->tls_fresh, options->tls_cert, options->tls_key,
                            error);
    if (status) return status;
    service->allow_origin = options->allow_origin;
    service->trust_proxy = options->trust_proxy;
    service->tls_cert = options->tls_cert;
    service->tls_key = options->tls_key;
    memcpy(service->web_path, web_path, sizeof web_path);
    return HG_OK;
}

/* What runs in a session may end, and is told, for a while; then 1001 to everybody. */
static void begin_stop(hg_service *service)
{
    hg_log(HG_LOG_INFO, "service", "stopping, %d sessions open",
           (int)service->shared.metrics.sessions);
    service->shared.stopping = true;
    hg_exchanges_stop(service);
    service->drain_until_us = hg_clock_us() + DRAIN_US;
    lws_sul_schedule(service->context, 0, &service->tick, tick, 1);
}

static bool still_busy(hg_service *service)
{
    hg_engine_figures figures = {0};
    if (service->shared.runtime)
        hg_engine_read_figures(hg_runtime_engine(service->shared.runtime), &figures);
    return !TAILQ_EMPTY(&service->shared.sessions) || service->unsent || figures.jobs > 0;
}

hg_status hg_service_run(hg_service *service, hg_error *error)
{
    lws_sul_schedule(service->context, 0, &service->tick, tick, 1);
    while (!atomic_load(&service->stop)) {
        if (atomic_exchange(&service->reload, false) && service->reloaded)
            service->reloaded(service);
        if (lws_service(service->context, 0) < 0)
            return hg_fail(error, HG_ERROR_IO, "the event loop of libwebsockets failed");
        if (service->shared.runtime || service->opening.joinable) continue;
        *error = service->opening.error;
        return service->opening.status;
    }
    begin_stop(service);
    int64_t deadline_us = hg_clock_us() + HG_LIMIT_STOP_MS * 1000;
    while (still_busy(service) && hg_clock_us() < deadline_us)
        if (lws_service(service->context, 0) < 0) break;
    if (service->shared.runtime)
        hg_translator_poll(service->shared.runtime, 0); /* so that the last batches are logged */
    if (service->shared.runtime &&
        hg_engine_stopped(hg_runtime_engine(service->shared.runtime), error))
        return error->status;
    return HG_OK;
}

void hg_service_reload(hg_service *service)
{
    atomic_store(&service->reload, true);
    lws_cancel_service(service->context);
}

void hg_service_stop(hg_service *service)
{
    atomic_store(&service->stop, true);
    lws_cancel_service(service->context);
}

/* The runtime goes before the context: its threads ring the context's doorbell. */
void hg_service_close(hg_service *service)
{
    if (!service) return;
    hg_sessions_end(&service->shared, HG_CLOSE_GOING_AWAY);
    hg_exchanges_stop(service);
    if (service->opening.joinable) pthread_join(service->opening.thread, NULL);
    hg_token_reader_close(service->shared.tokens);
    service->shared.tokens = NULL;
    hg_runtime_close(service->opening.runtime);
    if (service->context) {
        lws_sul_cancel(&service->tick);
        lws_context_destroy(service->context); /* closes and frees the sessions */
    }
    SSL_CTX_free(service->tls_fresh);
    assert(TAILQ_EMPTY(&service->shared.sessions));
    hg_buf_free(&service->shared.languages);
    hg_buf_free(&service->shared.event);
    hg_buf_free(&service->shared.packed);
    hg_language_set_free(&service->languages);
    free(service);
}
