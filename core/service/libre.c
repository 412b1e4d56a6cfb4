/* libre.c: LibreTranslate's API as its clients use it (docs/PROTOCOL.md, "HTTP").
 *
 * A request's texts are cut into sentences (hg_document), all of them go through one call
 * (hg_call), and the answer has the shape of the question: a string for a string, an array for an
 * array, an object by language for a list of targets.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/service/http.h"
#include "core/service/json_out.h"
#include "core/service/languages.h"
#include "core/text/utf8.h"
#include "core/translate/document.h"

typedef struct text {
    hg_document *document; /* owned; NULL for an empty text */
    uint32_t first;        /* its first piece in the call */
} text;

typedef struct translation {
    hg_work work; /* first: what the exchange keeps */
    hg_exchange *x;
    json_t *fields; /* owned; the strings below are its own */
    hg_tag source;
    int confidence;                     /* in it, 0 to 100, when it was detected; -1: it was said */
    const char *target[HG_LIMIT_LANES]; /* [targets] as asked */
    uint32_t lane[HG_LIMIT_LANES];      /* of the call: equal languages share one */
    uint32_t targets, alternatives, texts;
    hg_format format;
    bool batch, list; /* q was an array; target was one */
    text *text;       /* [texts] owned */
    hg_buf scratch;
} translation;

static void free_translation(hg_work *work)
{
    translation *t = (translation *)work;
    hg_call_free(work->call);
    for (uint32_t i = 0; t->text && i < t->texts; i++) hg_document_close(t->text[i].document);
    free(t->text);
    json_decref(t->fields);
    hg_buf_free(&t->scratch);
    free(t);
}

/* ---- fields ---- */

/* Answers 400. */
static bool refuse(translation *t, const char *format, const char *name)
{
    hg_answer_error(t->x, 400, format, name);
    return false;
}

static bool is_missing(const json_t *value)
{
    return !value || json_is_null(value) || (json_is_string(value) && !json_string_length(value)) ||
           (json_is_array(value) && !json_array_size(value));
}

static bool need(translation *t, const char *name, json_t **out)
{
    *out = json_object_get(t->fields, name);
    return is_missing(*out) ? refuse(t, "Invalid request: missing %s parameter", name) : true;
}

/* value is a string or an array of strings; *count is how many, *list whether it is an array. */
static bool need_strings(translation *t, const char *name, json_t **out, uint32_t *count,
                         bool *list)
{
    if (!need(t, name, out)) return false;
    *list = json_is_array(*out);
    *count = *list ? (uint32_t)json_array_size(*out) : 1;
    bool good = *list || json_is_string(*out);
    for (uint32_t i = 0; *list && good && i < *count; i++)
        good = json_is_string(json_array_get(*out, i));
    return good ? true
                : refuse(t, "Invalid request: %s must be a string or an array of strings", name);
}

static const char *string_at(const json_t *value, uint32_t index)
{
    return json_string_value(json_is_array(value) ? json_array_get(value, index) : value);
}

static bool read_alternatives(translation *t)
{
    const json_t *value = json_object_get(t->fields, "alternatives");
    long long count = json_is_integer(value) ? json_integer_value(value) : -1;
    if (is_missing(value)) count = 0;
    if (json_is_string(value) && json_string_length(value)) {
        char *end;
        count = strtoll(json_string_value(value), &end, 10);
        if (*end) count = -1;
    }
    if (count >= 0 && count <= HG_LIMIT_ALTERNATIVES) {
        t->alternatives = (uint32_t)count;
        return true;
    }
    hg_answer_error(t->x, 400, "Invalid request: alternatives must be a number from 0 to %d",
                    HG_LIMIT_ALTERNATIVES);
    return false;
}

static bool read_format(translation *t)
{
    const json_t *value = json_object_get(t->fields, "format");
    if (is_missing(value)) return true;
    const char *name = json_is_string(value) ? json_string_value(value) : "this";
    if (strcmp(name, "html") == 0)
        t->format = HG_FORMAT_HTML;
    else if (strcmp(name, "text") != 0)
        return refuse(t, "%s format is not supported", name);
    return true;
}

/* ---- languages ---- */

/* Equal languages share a lane: a conversation merges them. */
static uint32_t lane_of(hg_call_options *options, const hg_tag *tag, const char *asked)
{
    hg_tag other;
    hg_error error;
    for (uint32_t i = 0; i < options->targets; i++)
        if (!hg_tag_parse(options->target[i], &other, &error) && !strcmp(other.text, tag->text))
            return i;
    options->target[options->targets] = asked;
    return options->targets++;
}

static bool read_target(translation *t, const hg_language_set *set, const char *asked,
                        hg_call_options *options)
{
    const hg_tag *source = &t->source;
    hg_tag tag;
    hg_error error;
    if (hg_tag_parse(asked, &tag, &error) || !hg_language_target(set, &tag))
        return refuse(t, "%s is not supported", asked);
    if (!hg_language_pair(set, source, &tag)) {
        char from[64], to[64];
        hg_tag_english_name(source, from, sizeof from);
        hg_tag_english_name(&tag, to, sizeof to);
        hg_answer_error(t->x, 400, "%s (%s) is not available as a target language from %s (%s)", to,
                        tag.text, from, source->text);
        return false;
    }
    t->lane[t->targets] = lane_of(options, &tag, asked);
    t->target[t->targets++] = asked;
    return true;
}

/* All texts together: one of them alone may be a word. */
static unsigned detect(const hg_runtime *runtime, const json_t *q, uint32_t texts, hg_tag *out)
{
    hg_detector detector = {0};
    for (uint32_t i = 0; i < texts; i++) {
        const char *one = string_at(q, i);
        hg_detector_read(&detector, one, strlen(one));
    }
    return hg_runtime_detected(runtime, &detector, out);
}

static bool read_source(translation *t, const hg_language_set *set, const json_t *q)
{
    json_t *source;
    hg_error error;
    if (!need(t, "source", &source)) return false;
    if (!json_is_string(source)) return refuse(t, "Invalid request: %s must be a string", "source");
    const char *asked = json_string_value(source);
    t->confidence = -1;
    if (strcmp(asked, "auto") == 0) {
        const hg_runtime *runtime = hg_exchange_service(t->x)->shared.runtime;
        t->confidence = (int)detect(runtime, q, t->texts, &t->source);
        return true;
    }
    if (hg_tag_parse(asked, &t->source, &error) || !hg_language_source(set, &t->source))
        return refuse(t, "%s is not supported", asked);
    return true;
}

static bool read_targets(translation *t, const hg_language_set *set, hg_call_options *options)
{
    json_t *target;
    uint32_t count;
    if (!need_strings(t, "target", &target, &count, &t->list)) return false;
    if (count > HG_LIMIT_LANES) {
        hg_answer_error(t->x, 400, "Invalid request: more than %d targets", HG_LIMIT_LANES);
        return false;
    }
    options->source = t->source.text;
    for (uint32_t i = 0; i < count; i++)
        if (!read_target(t, set, string_at(target, i), options)) return false;
    return true;
}

/* ---- texts ---- */

static bool check_size(translation *t, const json_t *q)
{
    size_t points = 0;
    for (uint32_t i = 0; i < t->texts; i++) {
        const char *one = string_at(q, i);
        points += hg_utf8_length(one, strlen(one));
    }
    if (t->texts <= HG_LIMIT_HTTP_TEXTS && points <= HG_LIMIT_HTTP_TEXT) return true;
    bool many = t->texts > HG_LIMIT_HTTP_TEXTS;
    hg_answer_error(t->x, 400, "Invalid request: request (%zu) exceeds text limit (%d)",
                    many ? t->texts : points, many ? HG_LIMIT_HTTP_TEXTS : HG_LIMIT_HTTP_TEXT);
    return false;
}

static hg_status add_pieces(hg_call *call, text *one, uint32_t *pieces)
{
    uint32_t count = hg_document_pieces(one->document);
    hg_status status = HG_OK;
    one->first = *pieces;
    for (uint32_t i = 0; i < count && !status; i++) {
        size_t bytes;
        const char *piece = hg_document_piece(one->document, i, &bytes);
        status = hg_call_add(call, piece, bytes);
    }
    *pieces += count;
    return status;
}

static hg_status open_texts(translation *t, const json_t *q)
{
    hg_error error;
    uint32_t pieces = 0;
    hg_status status = HG_OK;
    for (uint32_t i = 0; i < t->texts && !status; i++) {
        const char *one = string_at(q, i);
        status = hg_document_open(one, strlen(one), t->format, t->source.text, &t->text[i].document,
                                  &error);
        if (!status) status = add_pieces(t->work.call, &t->text[i], &pieces);
    }
    return status;
}

/* ---- the answer ---- */

typedef struct place {
    const translation *t;
    uint32_t first, lane, variant;
} place;

static const char *translated(uint32_t piece, void *context)
{
    const place *at = context;
    return hg_call_read(at->t->work.call, at->first + piece, at->lane, at->variant)->text;
}

static void print_text(translation *t, hg_json_out *json, uint32_t i, uint32_t target,
                       uint32_t variant)
{
    place at = {t, t->text[i].first, t->lane[target], variant};
    hg_buf_clear(&t->scratch);
    hg_status status = hg_document_print(t->text[i].document, translated, &at, &t->scratch);
    if (status && !json->status) json->status = status;
    hg_json_put_text(json, NULL, hg_buf_text(&t->scratch));
}

/* Those that differ from all before them. */
static void print_alternatives(translation *t, hg_json_out *json, uint32_t i, uint32_t target)
{
    place at = {t, t->text[i].first, t->lane[target], 0};
    json_t *seen = json_object();
    hg_json_begin_array(json, NULL);
    for (; at.variant <= t->alternatives && seen && !json->status; at.variant++) {
        hg_buf_clear(&t->scratch);
        json->status = hg_document_print(t->text[i].document, translated, &at, &t->scratch);
        const char *found = hg_buf_text(&t->scratch);
        if (json->status || json_object_get(seen, found)) continue;
        if (at.variant) hg_json_put_text(json, NULL, found);
        if (json_object_set_new(seen, found, json_true())) json->status = HG_ERROR_MEMORY;
    }
    hg_json_end_array(json);
    json_decref(seen);
}

typedef void (*print_one)(translation *t, hg_json_out *json, uint32_t i, uint32_t target);

static void print_first(translation *t, hg_json_out *json, uint32_t i, uint32_t target)
{
    print_text(t, json, i, target, 0);
}

/* What one prints of each text, in the shape of the question. */
static void print_shaped(translation *t, hg_json_out *json, const char *name, print_one one)
{
    hg_json_put_name(json, name);
    if (t->list) hg_json_begin_object(json, NULL);
    for (uint32_t target = 0; target < t->targets; target++) {
        if (t->list) hg_json_put_name(json, t->target[target]);
        if (t->batch) hg_json_begin_array(json, NULL);
        for (uint32_t i = 0; i < t->texts; i++) one(t, json, i, target);
        if (t->batch) hg_json_end_array(json);
    }
    if (t->list) hg_json_end_object(json);
}

static void print_guess(hg_json_out *json, const hg_tag *tag, unsigned confidence)
{
    hg_json_begin_object(json, NULL);
    hg_json_put_integer(json, "confidence", confidence);
    hg_json_put_text(json, "language", tag->text);
    hg_json_end_object(json);
}

/* What "auto" was taken for. */
static void print_detected(translation *t, hg_json_out *json)
{
    hg_json_put_name(json, "detectedLanguage");
    if (t->batch) hg_json_begin_array(json, NULL);
    for (uint32_t i = 0; i < t->texts; i++) print_guess(json, &t->source, (unsigned)t->confidence);
    if (t->batch) hg_json_end_array(json);
}

static void answer(hg_call *call, void *context)
{
    translation *t = context;
    const char *message;
    const hg_call_result *failure = hg_call_failure(call, &message);
    if (failure) {
        hg_answer_code(t->x, failure->code, message);
        return;
    }
    hg_buf body = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    hg_json_out json = hg_json_out_new(&body);
    hg_json_begin_object(&json, NULL);
    if (t->confidence >= 0) print_detected(t, &json);
    print_shaped(t, &json, "translatedText", print_first);
    if (t->alternatives) print_shaped(t, &json, "alternatives", print_alternatives);
    hg_json_end_object(&json);
    hg_answer_printed(t->x, &json);
}

/* ---- the request ---- */

static bool start(translation *t, hg_call_options *options)
{
    const hg_service *service = hg_exchange_service(t->x);
    json_t *q;
    hg_error error;
    if (!need_strings(t, "q", &q, &t->texts, &t->batch) || !check_size(t, q) ||
        !read_source(t, &service->languages, q) || !read_targets(t, &service->languages, options) ||
        !read_alternatives(t) || !read_format(t))
        return false;
    options->variants = 1 + t->alternatives;
    t->text = calloc(t->texts, sizeof *t->text);
    hg_status status = t->text ? HG_OK : HG_ERROR_MEMORY;
    if (!status) status = hg_call_new(service->shared.runtime, options, &t->work.call, &error);
    if (!status) status = open_texts(t, q);
    if (status) hg_answer_status(t->x, status);
    return !status && hg_exchange_pay(t->x, hg_call_lanes(t->work.call));
}

void hg_libre_translate(hg_exchange *x)
{
    json_t *fields;
    if (!hg_exchange_read(x, &fields)) return;
    translation *t = calloc(1, sizeof *t);
    if (!t) {
        json_decref(fields);
        hg_answer_code(x, HG_CODE_internal, "");
        return;
    }
    t->work.free = free_translation;
    t->x = x;
    t->fields = fields;
    t->scratch = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    hg_session_shared *shared = &hg_exchange_service(x)->shared;
    hg_call_options options = {.session = "http",
                               .deadline_ms = HG_LIMIT_HTTP_MS,
                               .sink = hg_session_count,
                               .sink_context = shared,
                               .ended = answer,
                               .ended_context = t};
    if (start(t, &options))
        hg_exchange_work(x, &t->work);
    else
        free_translation(&t->work);
}

void hg_libre_detect(hg_exchange *x)
{
    json_t *fields, *q;
    if (!hg_exchange_read(x, &fields)) return;
    translation t = {.x = x, .fields = fields};
    if (need_strings(&t, "q", &q, &t.texts, &t.batch) && check_size(&t, q)) {
        hg_buf body = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
        hg_json_out json = hg_json_out_new(&body);
        hg_tag tag;
        unsigned confidence = detect(hg_exchange_service(x)->shared.runtime, q, t.texts, &tag);
        hg_json_begin_array(&json, NULL);
        print_guess(&json, &tag, confidence);
        hg_json_end_array(&json);
        hg_answer_printed(x, &json);
    }
    json_decref(fields);
}

void hg_libre_languages(hg_exchange *x)
{
    hg_answer_json(x, 200, hg_buf_text(&hg_exchange_service(x)->languages.listed));
}

void hg_libre_settings(hg_exchange *x)
{
    const hg_language_set *set = &hg_exchange_service(x)->languages;
    hg_buf body = hg_buf_new(HG_LIMIT_HTTP_ANSWER);
    hg_json_out json = hg_json_out_new(&body);
    char name[64];
    const hg_tag none = {.text = "und"}, *target = set->count ? &set->served[0].tag : &none;
    hg_tag_english_name(target, name, sizeof name);
    hg_json_begin_object(&json, NULL);
    hg_json_put_integer(&json, "charLimit", HG_LIMIT_HTTP_TEXT);
    hg_json_put_integer(&json, "frontendTimeout", 500); /* ms between two requests of a page */
    hg_json_put_bool(&json, "apiKeys", true);
    hg_json_put_bool(&json, "keyRequired", !hg_exchange_may(x, HG_SCOPE_TRANSLATE));
    hg_json_put_bool(&json, "suggestions", false);
    hg_json_put_bool(&json, "filesTranslation", false);
    hg_json_begin_array(&json, "supportedFilesFormat");
    hg_json_end_array(&json);
    hg_json_begin_object(&json, "language");
    hg_json_begin_object(&json, "source");
    hg_json_put_text(&json, "code", "auto");
    hg_json_put_text(&json, "name", "Auto Detect");
    hg_json_end_object(&json);
    hg_json_begin_object(&json, "target");
    hg_json_put_text(&json, "code", target->text);
    hg_json_put_text(&json, "name", name);
    hg_json_end_object(&json);
    hg_json_end_object(&json);
    hg_json_end_object(&json);
    hg_answer_printed(x, &json);
}
