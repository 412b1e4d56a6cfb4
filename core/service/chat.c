/* chat.c: /v1/chat/completions and /v1/models, as OpenAI's clients use them: a model is a plugin's
 * name, the last user message is the source, and its translation is the answer. What came before is
 * not read. With `stream` the text goes out as it is committed, in server-sent events.
 */
#include <inttypes.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/service/fields.h"
#include "core/service/http.h"
#include "core/service/message.h"
#include "core/text/utf8.h"
#include "core/translate/document.h"

typedef struct chat {
    hg_work work; /* first: what the exchange keeps */
    hg_exchange *x;
    json_t *body; /* owned */
    const char *model;
    char id[32];
    hg_tag source;
    hg_document *document; /* owned */
    hg_buf text;           /* of the translation so far */
    size_t sent;           /* bytes of it that are in the stream */
    uint64_t changes;      /* of the call when that was printed */
    bool stream;
} chat;

static void free_chat(hg_work *work)
{
    chat *c = (chat *)work;
    hg_call_free(work->call);
    hg_document_close(c->document);
    json_decref(c->body);
    hg_buf_free(&c->text);
    free(c);
}

/* ---- the request ---- */

/* A message's text: a string, or parts of type text, joined. */
static hg_status read_content(const json_t *content, hg_buf *out)
{
    size_t i;
    const json_t *part;
    hg_status status = HG_OK;
    if (json_is_string(content)) return hg_buf_append_text(out, json_string_value(content));
    json_array_foreach(content, i, part)
    {
        const char *text = json_string_value(json_object_get(part, "text"));
        if (text && !status) status = hg_buf_append_text(out, text);
    }
    return status;
}

static const json_t *last_user_message(const json_t *messages)
{
    for (size_t i = json_array_size(messages); i > 0; i--) {
        const json_t *message = json_array_get(messages, i - 1);
        const char *role = json_string_value(json_object_get(message, "role"));
        if (role && strcmp(role, "user") == 0) return message;
    }
    return NULL;
}

static bool refuse(chat *c, unsigned status, const char *message)
{
    hg_answer_error(c->x, status, "%s", message);
    return false;
}

/* A number from low to high; absent or null: as it is. */
static bool read_number(chat *c, const char *name, double low, double high, double *out)
{
    const json_t *value = json_object_get(c->body, name);
    if (!value || json_is_null(value)) return true;
    *out = json_number_value(value);
    if (json_is_number(value) && *out >= low && *out <= high) return true;
    hg_answer_error(c->x, 400, "%s: expected a number from %g to %g", name, low, high);
    return false;
}

static bool read_options(chat *c, hg_call_options *options)
{
    double temperature = 0, top_p = 1, most = 0, seed = 0;
    if (!read_number(c, "temperature", 0, HG_LIMIT_TEMPERATURE, &temperature) ||
        !read_number(c, "top_p", 1e-6, 1, &top_p) ||
        !read_number(c, "max_tokens", 1, HG_LIMIT_TOKENS, &most) ||
        !read_number(c, "max_completion_tokens", 1, HG_LIMIT_TOKENS, &most) ||
        !read_number(c, "seed", 0, HG_INTEGER_MAX, &seed))
        return false;
    options->temperature = (float)temperature;
    options->top_p = (float)top_p;
    options->max_tokens = (uint32_t)most;
    options->seed = (uint64_t)seed;
    options->stream = c->stream = json_is_true(json_object_get(c->body, "stream"));
    return true;
}

/* The source text; its language is detected. */
static bool read_source(chat *c, hg_buf *text)
{
    const json_t *message = last_user_message(json_object_get(c->body, "messages"));
    if (!message) return refuse(c, 400, "messages: no message of the role user");
    if (read_content(json_object_get(message, "content"), text))
        return refuse(c, 400, "messages: the text is too long");
    size_t points = hg_utf8_length(hg_buf_text(text), text->length);
    if (!points) return refuse(c, 400, "messages: the last user message has no text");
    if (points > HG_LIMIT_HTTP_TEXT) return refuse(c, 400, "messages: the text is too long");
    hg_detector detector = {0};
    hg_detector_read(&detector, hg_buf_text(text), text->length);
    hg_runtime_detected(hg_exchange_service(c->x)->shared.runtime, &detector, &c->source);
    return true;
}

/* The plugin and whether it takes the source. */
static bool check_model(chat *c)
{
    const hg_served *served;
    c->model = json_string_value(json_object_get(c->body, "model"));
    if (!c->model) return refuse(c, 400, "model: expected a plugin's name");
    served = hg_language_plugin(&hg_exchange_service(c->x)->languages, c->model);
    if (!served) {
        hg_answer_error(c->x, 404,
                        "model: no enabled plugin is called \"%s\"; GET /v1/models lists "
                        "them",
                        c->model);
        return false;
    }
    if (hg_served_takes(served, &c->source)) return true;
    hg_answer_error(c->x, 400, "model: %s does not translate from %s", c->model, c->source.text);
    return false;
}

/* ---- the answer ---- */

/* What has come of the text: all pieces that are done, and what the next one has committed. */
static const char *translated(uint32_t piece, void *context)
{
    return hg_call_read(((const chat *)context)->work.call, piece, 0, 0)->text;
}

static uint32_t count_tokens(const chat *c, const char **finish)
{
    uint32_t tokens = 0;
    *finish = "stop";
    for (uint32_t i = 0; i < hg_document_pieces(c->document); i++) {
        const hg_call_result *r = hg_call_read(c->work.call, i, 0, 0);
        tokens += r->tokens;
        if (strcmp(r->stop, "length") == 0) *finish = "length";
    }
    return tokens;
}

static void begin_object(const chat *c, hg_json_out *json, const char *object)
{
    hg_json_begin_object(json, NULL);
    hg_json_put_text(json, "id", c->id);
    hg_json_put_text(json, "object", object);
    hg_json_put_integer(json, "created", hg_clock_wall_us() / 1000000);
    hg_json_put_text(json, "model", c->model);
    hg_json_begin_array(json, "choices");
    hg_json_begin_object(json, NULL);
    hg_json_put_integer(json, "index", 0);
}

static void answer_whole(chat *c)
{
    hg_buf body = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    hg_json_out json = hg_json_out_new(&body);
    const char *finish;
    uint32_t tokens = count_tokens(c, &finish), prompt = hg_call_prompt_tokens(c->work.call);
    begin_object(c, &json, "chat.completion");
    hg_json_begin_object(&json, "message");
    hg_json_put_text(&json, "role", "assistant");
    hg_json_put_text(&json, "content", hg_buf_text(&c->text));
    hg_json_end_object(&json);
    hg_json_put_text(&json, "finish_reason", finish);
    hg_json_end_object(&json);
    hg_json_end_array(&json);
    hg_json_begin_object(&json, "usage");
    hg_json_put_integer(&json, "prompt_tokens", prompt);
    hg_json_put_integer(&json, "completion_tokens", tokens);
    hg_json_put_integer(&json, "total_tokens", prompt + tokens);
    hg_json_end_object(&json);
    hg_json_end_object(&json);
    hg_answer_printed(c->x, &json);
}

/* One event: the text that is new, or (NULL) why it ends. */
static hg_status put_chunk(chat *c, const char *text, const char *finish)
{
    hg_buf *out = &c->x->out;
    hg_status status = hg_buf_append_text(out, "data: ");
    hg_json_out json = hg_json_out_new(out);
    begin_object(c, &json, "chat.completion.chunk");
    hg_json_begin_object(&json, "delta");
    if (text && !c->sent) hg_json_put_text(&json, "role", "assistant");
    if (text) hg_json_put_text(&json, "content", text);
    hg_json_end_object(&json);
    if (finish)
        hg_json_put_text(&json, "finish_reason", finish);
    else
        hg_json_put_raw(&json, "finish_reason", "null");
    hg_json_end_object(&json);
    hg_json_end_array(&json);
    hg_json_end_object(&json);
    if (!status) status = json.status;
    return status ? status : hg_buf_append_text(out, "\n\n");
}

/* The stretch that can no longer change: pieces end one after the other. */
static hg_status print_so_far(chat *c)
{
    hg_buf_clear(&c->text);
    uint32_t done = 0, pieces = hg_document_pieces(c->document);
    while (done < pieces && hg_call_read(c->work.call, done, 0, 0)->done) done++;
    return hg_document_print_first(c->document, done < pieces ? done + 1 : pieces, done == pieces,
                                   translated, c, &c->text);
}

static void send_new(chat *c)
{
    hg_status status = print_so_far(c);
    if (!status && c->text.length > c->sent) {
        status = put_chunk(c, hg_buf_text(&c->text) + c->sent, NULL);
        c->sent = c->text.length;
        hg_answer_more(c->x);
    }
    if (status) hg_answer_end(c->x); /* without memory the stream ends without its last event */
}

static void grow(hg_work *work)
{
    chat *c = (chat *)work;
    uint64_t changes = hg_call_changes(work->call);
    if (changes == c->changes) return;
    c->changes = changes;
    send_new(c);
}

static void end_stream(chat *c, const hg_call_result *failure)
{
    const char *finish;
    (void)count_tokens(c, &finish);
    hg_status status = HG_OK;
    if (!failure) {
        send_new(c);
        status = put_chunk(c, NULL, finish);
    } else {
        status = hg_buf_printf(&c->x->out, "data: {\"error\":{\"message\":\"%s\"}}\n\n",
                               hg_code_meaning(failure->code));
    }
    if (status || hg_buf_append_text(&c->x->out, "data: [DONE]\n\n"))
        hg_log(HG_LOG_ERROR, "service", "no memory for the end of a stream");
    hg_answer_end(c->x);
}

static void ended(hg_call *call, void *context)
{
    chat *c = context;
    const char *message;
    const hg_call_result *failure = hg_call_failure(call, &message);
    if (c->stream)
        end_stream(c, failure);
    else if (failure)
        hg_answer_code(c->x, failure->code, message);
    else if (print_so_far(c))
        hg_answer_code(c->x, HG_CODE_internal, "");
    else
        answer_whole(c);
}

/* ---- starting ---- */

static hg_status open_call(chat *c, const hg_call_options *options, const hg_buf *text)
{
    hg_error error;
    hg_runtime *runtime = hg_exchange_service(c->x)->shared.runtime;
    unsigned char random[8];
    if (RAND_bytes(random, sizeof random) != 1) return HG_ERROR_STATE;
    strcpy(c->id, "chatcmpl-");
    for (size_t i = 0; i < sizeof random; i++) sprintf(c->id + 9 + 2 * i, "%02x", random[i]);
    hg_status status = hg_document_open(hg_buf_text(text), text->length, HG_FORMAT_TEXT,
                                        c->source.text, &c->document, &error);
    if (!status) status = hg_call_new(runtime, options, &c->work.call, &error);
    uint32_t pieces = status ? 0 : hg_document_pieces(c->document);
    for (uint32_t i = 0; i < pieces && !status; i++) {
        size_t bytes;
        const char *piece = hg_document_piece(c->document, i, &bytes);
        status = hg_call_add(c->work.call, piece, bytes);
    }
    return status;
}

static bool start(chat *c)
{
    char target[HG_LIMIT_PLUGIN_NAME + 8];
    hg_buf text = hg_buf_new(HG_LIMIT_HTTP_BODY);
    hg_call_options options = {.session = "chat",
                               .source = c->source.text,
                               .target = {target},
                               .targets = 1,
                               .variants = 1,
                               .deadline_ms = HG_LIMIT_HTTP_MS,
                               .sink = hg_session_count,
                               .sink_context = &hg_exchange_service(c->x)->shared,
                               .ended = ended,
                               .ended_context = c};
    bool good = read_source(c, &text) && check_model(c) && read_options(c, &options);
    if (good) {
        snprintf(target, sizeof target, "plugin:%s", c->model);
        hg_status status = open_call(c, &options, &text);
        good = !status;
        if (status) hg_answer_status(c->x, status);
    }
    hg_buf_free(&text);
    return good && hg_exchange_pay(c->x, hg_call_lanes(c->work.call));
}

void hg_chat_complete(hg_exchange *x)
{
    json_t *body;
    if (!hg_exchange_read(x, &body)) return;
    chat *c = calloc(1, sizeof *c);
    if (!c) {
        json_decref(body);
        hg_answer_code(x, HG_CODE_internal, "");
        return;
    }
    c->work.free = free_chat;
    c->x = x;
    c->body = body;
    c->text = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    if (!start(c)) {
        free_chat(&c->work);
        return;
    }
    if (c->stream) {
        c->work.grow = grow;
        hg_answer_stream(x, "text/event-stream");
    }
    hg_exchange_work(x, &c->work);
}

void hg_chat_models(hg_exchange *x)
{
    const hg_language_set *set = &hg_exchange_service(x)->languages;
    hg_buf body = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    hg_json_out json = hg_json_out_new(&body);
    hg_json_begin_object(&json, NULL);
    hg_json_put_text(&json, "object", "list");
    hg_json_begin_array(&json, "data");
    for (uint32_t i = 0; i < set->count; i++) {
        hg_json_begin_object(&json, NULL);
        hg_json_put_text(&json, "id", set->served[i].plugin);
        hg_json_put_text(&json, "object", "model");
        hg_json_put_integer(&json, "created", 0);
        hg_json_put_text(&json, "owned_by", "hydraglot");
        hg_json_end_object(&json);
    }
    hg_json_end_array(&json);
    hg_json_end_object(&json);
    hg_answer_printed(x, &json);
}
