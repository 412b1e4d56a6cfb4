/* openapi.c: /openapi.json (OpenAPI 3.0), printed from the table of routes. */
#include <stdio.h>
#include <string.h>

#include "core/base/version.h"
#include "core/service/http.h"

static const struct {
    unsigned status;
    const char *what;
} statuses[] = {
    {200, "done"},
    {400, "a field is missing or wrong; the message names it"},
    {401, "an access token is needed"},
    {403, "Host or Origin is not ours, or the token has another scope"},
    {404, "there is no such thing"},
    {405, "another method is served here"},
    {411, "the body has no Content-Length"},
    {413, "the body is too large"},
    {415, "the body's Content-Type is not read here"},
    {426, "a websocket lives here"},
    {429, "the token's rate is used up; Retry-After says until when"},
    {500, "something failed; the log has more"},
    {503, "the model is being loaded, too much is waiting, or the service stops"},
    {504, "the translation took too long"},
};

/* Which of them a route answers with: all may refuse its caller, only some read a body or work. */
static bool answers(const hg_route *route, unsigned status)
{
    bool reads = route->method == HG_POST, works = route->scope == HG_SCOPE_TRANSLATE;
    switch (status) {
    case 400: return reads;
    case 404: return route->error_object;
    case 411:
    case 413:
    case 415: return reads;
    case 426: return strcmp(route->path, HG_LIVE_PATH) == 0;
    case 401: return route->scope || reads;
    case 429:
    case 504: return works;
    case 405: return false; /* of another method than the one described */
    default: return true;
    }
}

static void put_content(hg_json_out *json, const char *type, const char *schema)
{
    hg_json_begin_object(json, type);
    hg_json_put_raw(json, "schema", schema);
    hg_json_end_object(json);
}

static void put_responses(hg_json_out *json, const hg_route *route)
{
    static const char plain[] = "{\"type\":\"string\"}";
    hg_json_begin_object(json, "responses");
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        char number[8];
        if (!answers(route, statuses[i].status)) continue;
        bool good = statuses[i].status == 200;
        snprintf(number, sizeof number, "%u", statuses[i].status);
        hg_json_begin_object(json, number);
        hg_json_put_text(json, "description", good ? route->answer : statuses[i].what);
        hg_json_begin_object(json, "content");
        if (good)
            put_content(json, route->answer_schema ? HG_HTTP_JSON : "text/plain",
                        route->answer_schema ? route->answer_schema : plain);
        else
            put_content(json, HG_HTTP_JSON, "{\"$ref\":\"#/components/schemas/error\"}");
        hg_json_end_object(json);
        hg_json_end_object(json);
    }
    hg_json_end_object(json);
}

static void put_body(hg_json_out *json, const hg_route *route)
{
    if (!route->body_schema) return;
    hg_json_begin_object(json, "requestBody");
    hg_json_begin_object(json, "content");
    put_content(json, HG_HTTP_JSON, route->body_schema);
    put_content(json, "application/x-www-form-urlencoded", route->body_schema);
    put_content(json, "multipart/form-data", route->body_schema);
    hg_json_end_object(json);
    hg_json_end_object(json);
}

static void put_route(hg_json_out *json, const hg_route *route)
{
    hg_json_begin_object(json, route->path);
    hg_json_begin_object(json, route->method == HG_POST ? "post" : "get");
    hg_json_put_text(json, "summary", route->summary);
    if (route->scope) hg_json_put_raw(json, "security", "[{},{\"token\":[]}]");
    put_body(json, route);
    put_responses(json, route);
    hg_json_end_object(json);
    hg_json_end_object(json);
}

static void put_components(hg_json_out *json)
{
    hg_json_begin_object(json, "components");
    hg_json_put_raw(json, "securitySchemes",
                    "{\"token\":{\"type\":\"http\",\"scheme\":\"bearer\"}}");
    hg_json_put_raw(json, "schemas",
                    "{\"error\":{\"type\":\"object\",\"required\":[\"error\"],\"properties\":{"
                    "\"error\":{\"oneOf\":[{\"type\":\"string\"},{\"type\":\"object\",\"required\":"
                    "[\"message\"],\"properties\":{\"message\":{\"type\":\"string\"}}}]}}}}");
    hg_json_end_object(json);
}

void hg_serve_openapi(hg_exchange *x)
{
    hg_buf body = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    hg_json_out json = hg_json_out_new(&body);
    const char *base = hg_exchange_service(x)->base_path;
    hg_json_begin_object(&json, NULL);
    hg_json_put_text(&json, "openapi", "3.0.3");
    hg_json_begin_object(&json, "info");
    hg_json_put_text(&json, "title", "hydraglot");
    hg_json_put_text(&json, "version", HG_VERSION);
    hg_json_end_object(&json);
    hg_json_begin_array(&json, "servers");
    hg_json_begin_object(&json, NULL);
    hg_json_put_text(&json, "url", *base ? base : "/");
    hg_json_end_object(&json);
    hg_json_end_array(&json);
    hg_json_begin_object(&json, "paths");
    const hg_route *route;
    for (size_t i = 0; (route = hg_route_at(i)); i++) put_route(&json, route);
    hg_json_end_object(&json);
    put_components(&json);
    hg_json_end_object(&json);
    hg_answer_printed(x, &json);
}
