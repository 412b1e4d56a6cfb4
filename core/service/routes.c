/* routes.c: which path is whose, and what can be answered at once: health, metrics, the page. */
#include <assert.h>
#include <string.h>

#include "core/base/log.h"
#include "core/service/http.h"
#include "core/service/json_out.h"
#include "core/service/static.h"

static void serve_health(hg_exchange *x)
{
    const hg_service *service = hg_exchange_service(x);
    hg_buf body = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    hg_json_out json = hg_json_out_new(&body);
    hg_json_begin_object(&json, NULL);
    hg_json_put_bool(&json, "ok", true);
    hg_json_put_text(&json, "device", service->device.name);
    hg_json_put_bool(&json, "computes", service->shared.metrics.device_up);
    hg_json_end_object(&json);
    hg_answer_printed(x, &json);
}

/* LibreTranslate's. */
static void serve_status(hg_exchange *x)
{
    hg_answer_json(x, 200, "{\"status\":\"ok\"}");
}

static void serve_ready(hg_exchange *x)
{
    const hg_service *service = hg_exchange_service(x);
    bool up = service->shared.metrics.device_up;
    bool ready = service->ready && !service->shared.stopping && up;
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

/* ---- the table; schemas are JSON, for /openapi.json ---- */

#define OBJECT(properties) "{\"type\":\"object\",\"properties\":{" properties "}}"
#define NEEDS(names, properties)                                                                   \
    "{\"type\":\"object\",\"required\":[" names "],\"properties\":{" properties "}}"
#define ARRAY(of)            "{\"type\":\"array\",\"items\":" of "}"
#define MEMBER(name, schema) "\"" name "\":" schema
#define STRING               "{\"type\":\"string\"}"
#define INTEGER              "{\"type\":\"integer\"}"
#define NUMBER               "{\"type\":\"number\"}"
#define BOOLEAN              "{\"type\":\"boolean\"}"
#define ANY                  "{}"
#define STRINGS              "{\"oneOf\":[" STRING "," ARRAY(STRING) "]}"
#define GUESS                OBJECT(MEMBER("language", STRING) "," MEMBER("confidence", INTEGER))
#define API_KEY              MEMBER("api_key", "{\"type\":\"string\",\"nullable\":true}")

/* clang-format off */
static const char translate_body[] =
    NEEDS("\"q\",\"source\",\"target\"",
          MEMBER("q", STRINGS) "," MEMBER("source", STRING) "," MEMBER("target", STRINGS) ","
          MEMBER("format", "{\"type\":\"string\",\"enum\":[\"text\",\"html\"]}") ","
          MEMBER("alternatives", INTEGER) "," API_KEY);
static const char translate_answer[] =
    NEEDS("\"translatedText\"", MEMBER("translatedText", ANY) "," MEMBER("alternatives", ANY) ","
          MEMBER("detectedLanguage", "{\"oneOf\":[" GUESS "," ARRAY(GUESS) "]}"));
static const char chat_body[] =
    NEEDS("\"model\",\"messages\"",
          MEMBER("model", STRING) ","
          MEMBER("messages", ARRAY(OBJECT(MEMBER("role", STRING) "," MEMBER("content", ANY)))) ","
          MEMBER("stream", BOOLEAN) "," MEMBER("temperature", NUMBER) ","
          MEMBER("top_p", NUMBER) "," MEMBER("max_tokens", INTEGER) "," MEMBER("seed", INTEGER));
static const char chat_answer[] =
    NEEDS("\"choices\"", MEMBER("id", STRING) "," MEMBER("model", STRING) ","
          MEMBER("choices", ARRAY(ANY)) "," MEMBER("usage", ANY));
static const char mint_body[] =
    OBJECT(MEMBER("scopes", STRING) "," MEMBER("expires_s", INTEGER) "," MEMBER("rate", INTEGER) ","
           MEMBER("label", STRING));
static const char mint_answer[] =
    OBJECT(MEMBER("token", STRING) "," MEMBER("scopes", STRING) "," MEMBER("expires_at", STRING) ","
           MEMBER("rate", INTEGER));
static const char languages_answer[] =
    ARRAY(NEEDS("\"code\",\"name\",\"targets\"", MEMBER("code", STRING) ","
                MEMBER("name", STRING) "," MEMBER("targets", ARRAY(STRING))));

static const hg_route routes[] = {
    {.path = "/translate", .method = HG_POST, .serve = hg_libre_translate,
     .scope = HG_SCOPE_TRANSLATE, .key_in_body = true,
     .summary = "translate a text, or several, into a language, or several",
     .body_schema = translate_body, .answer = "translatedText has the shape of q and target",
     .answer_schema = translate_answer},
    {.path = "/detect", .method = HG_POST, .serve = hg_libre_detect, .scope = HG_SCOPE_TRANSLATE,
     .key_in_body = true, .summary = "which language a text is in",
     .body_schema = NEEDS("\"q\"", MEMBER("q", STRINGS) "," API_KEY),
     .answer = "the likeliest one", .answer_schema = ARRAY(GUESS)},
    {.path = "/languages", .serve = hg_libre_languages, .summary = "what is translated into what",
     .answer = "sources with their targets", .answer_schema = languages_answer},
    {.path = "/frontend/settings", .serve = hg_libre_settings,
     .summary = "what LibreTranslate's pages ask at first", .answer = "bounds and defaults",
     .answer_schema = OBJECT(MEMBER("charLimit", INTEGER) "," MEMBER("keyRequired", BOOLEAN))},
    {.path = "/v1/chat/completions", .method = HG_POST, .serve = hg_chat_complete,
     .scope = HG_SCOPE_TRANSLATE, .key_in_body = true, .error_object = true,
     .summary = "translate the last user message; model is a plugin's name",
     .body_schema = chat_body, .answer = "one choice; server-sent events with stream",
     .answer_schema = chat_answer},
    {.path = "/v1/models", .serve = hg_chat_models, .summary = "the plugins, as models",
     .answer = "a list", .answer_schema = OBJECT(MEMBER("data", ARRAY(ANY)))},
    /* Needs a token even where translation needs none. */
    {.path = "/v1/tokens", .method = HG_POST, .serve = hg_mint_token,
     .summary = "mint a short-lived, narrower token", .body_schema = mint_body,
     .answer = "the token, shown this once", .answer_schema = mint_answer},
    {.path = HG_LIVE_PATH, .serve = serve_live,
     .summary = "the websocket of hydraglot.v1: see docs/PROTOCOL.md", .answer = "never"},
    {.path = "/healthz", .serve = serve_health, .summary = "whether the service answers",
     .answer = "it does, on this device; whether that computes or is lost",
     .answer_schema = OBJECT(MEMBER("ok", BOOLEAN) "," MEMBER("device", STRING) ","
                             MEMBER("computes", BOOLEAN))},
    {.path = "/health", .serve = serve_status, .summary = "the same, as LibreTranslate says it",
     .answer = "it does", .answer_schema = OBJECT(MEMBER("status", STRING))},
    {.path = "/readyz", .serve = serve_ready, .summary = "whether every plugin can be used",
     .answer = "they can", .answer_schema = OBJECT(MEMBER("ready", BOOLEAN))},
    {.path = "/metrics", .serve = serve_metrics, .scope = HG_SCOPE_METRICS,
     .summary = "counters and times for Prometheus", .answer = "its text format, 0.0.4"},
    {.path = "/openapi.json", .serve = hg_serve_openapi, .summary = "this",
     .answer = "OpenAPI 3.0", .answer_schema = OBJECT(MEMBER("paths", ANY))},
};
/* clang-format on */

#define ROUTES (sizeof routes / sizeof *routes)

const hg_route *hg_route_at(size_t index)
{
    return index < ROUTES ? &routes[index] : NULL;
}

const hg_route *hg_route_find(const char *path, hg_method method, const char **allow)
{
    *allow = NULL;
    for (size_t i = 0; i < ROUTES; i++) {
        if (strcmp(path, routes[i].path) != 0) continue;
        if (routes[i].method == method) return &routes[i];
        *allow = routes[i].method == HG_GET ? "GET, HEAD" : "POST";
    }
    return NULL;
}
