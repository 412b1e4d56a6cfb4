/* routes.c: which path is whose, and what can be answered at once: health, metrics, the page. */
#include <assert.h>
#include <string.h>

#include "core/base/log.h"
#include "core/service/http.h"
#include "core/service/static.h"

static void serve_health(hg_exchange *x)
{
    hg_answer_json(x, 200, "{\"ok\":true}");
}

/* LibreTranslate's. */
static void serve_status(hg_exchange *x)
{
    hg_answer_json(x, 200, "{\"status\":\"ok\"}");
}

static void serve_ready(hg_exchange *x)
{
    const hg_service *service = hg_exchange_service(x);
    bool ready = service->ready && !service->stopping;
    hg_answer_json(x, ready ? 200 : 503, ready ? "{\"ready\":true}" : "{\"ready\":false}");
}

static void serve_metrics(hg_exchange *x)
{
    hg_service *service = hg_exchange_service(x);
    hg_buf body = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    hg_service_read_gauges(service);
    if (!hg_metrics_print(&service->shared.metrics, &body)) {
        hg_answer(x, 200, "text/plain; version=0.0.4; charset=utf-8", &body);
        return;
    }
    hg_buf_free(&body);
    hg_answer_error(x, 500, "no memory");
}

static void serve_live(hg_exchange *x)
{
    hg_answer_error(x, 426, "a websocket lives here");
}

void hg_serve_file(hg_exchange *x)
{
    hg_static_file file;
    hg_error error;
    hg_status status = hg_static_read(hg_exchange_service(x)->web_path, x->path, &file, &error);
    if (status) hg_buf_free(&file.content);
    if (status == HG_ERROR_NOT_FOUND) {
        hg_answer_error(x, 404, "not found");
        return;
    }
    if (status) {
        hg_log(HG_LOG_ERROR, "service", "%s", error.message);
        hg_answer_error(x, 500, "the page could not be read; the log says why");
        return;
    }
    char known[sizeof file.etag + 8] = "";
    bool same = lws_hdr_copy(x->wsi, known, sizeof known, WSI_TOKEN_HTTP_IF_NONE_MATCH) > 0 &&
                strstr(known, file.etag);
    static_assert(sizeof x->answer.etag == sizeof file.etag, "room for an ETag");
    memcpy(x->answer.etag, file.etag, sizeof file.etag);
    hg_answer(x, same ? 304 : 200, file.content_type, &file.content);
}

static const hg_route routes[] = {
    {HG_GET, "/healthz", serve_health},
    {HG_GET, "/readyz", serve_ready},
    {HG_GET, "/metrics", serve_metrics, HG_SCOPE_METRICS},
    {HG_GET, HG_LIVE_PATH, serve_live},
    {HG_POST, "/translate", hg_libre_translate, HG_SCOPE_TRANSLATE, true},
    {HG_POST, "/detect", hg_libre_detect, HG_SCOPE_TRANSLATE, true},
    {HG_POST, "/v1/chat/completions", hg_chat_complete, HG_SCOPE_TRANSLATE, true, true},
    {HG_GET, "/v1/models", hg_chat_models},
    {HG_GET, "/languages", hg_libre_languages},
    {HG_GET, "/frontend/settings", hg_libre_settings},
    {HG_GET, "/health", serve_status},
    {HG_POST, "/v1/tokens", hg_mint_token}, /* needs a token even where translation needs none */
};

const hg_route *hg_route_find(const char *path, hg_method method, const char **allow)
{
    *allow = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (strcmp(path, routes[i].path) != 0) continue;
        if (routes[i].method == method) return &routes[i];
        *allow = routes[i].method == HG_GET ? "GET, HEAD" : "POST";
    }
    return NULL;
}
