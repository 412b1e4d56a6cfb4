/* request.c: a request's fields are checked, its targets resolved; an accepted one begins.
 *
 * What is refused here names the field as it is called on the wire.
 */
#include "core/translate/segments.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/text/utf8.h"

#define PLUGIN_TARGET "plugin:"

bool hg_refuse(hg_refusal *refusal, hg_code code, uint32_t retry_after_ms, const char *format, ...)
{
    assert(code != HG_CODE_NONE);
    va_list args;
    va_start(args, format);
    vsnprintf(refusal->message, sizeof refusal->message, format, args);
    va_end(args);
    /* A cut message must not end inside a character. */
    size_t length = strlen(refusal->message);
    refusal->message[hg_utf8_valid(refusal->message, length)] = '\0';
    refusal->code = code;
    refusal->retry_after_ms = retry_after_ms;
    return false;
}

/* ---- fields ---- */

static bool check_text(const char *name, const char *text, hg_refusal *refusal)
{
    if (!text) return hg_refuse(refusal, HG_CODE_bad_field, 0, "%s: missing", name);
    size_t bytes = strlen(text), valid = hg_utf8_valid(text, bytes);
    if (valid == bytes) return true;
    return hg_refuse(refusal, HG_CODE_bad_field, 0, "%s: byte %zu is not UTF-8", name, valid);
}

static bool check_fields(const hg_translate_request *asked, hg_refusal *refusal)
{
    if (!check_text("id", asked->id, refusal) || !check_text("text", asked->text, refusal))
        return false;
    size_t id_chars = hg_utf8_length(asked->id, strlen(asked->id));
    if (id_chars < 1 || id_chars > HG_LIMIT_ID)
        return hg_refuse(refusal, HG_CODE_bad_field, 0, "id: %zu characters, expected 1 to %d",
                         id_chars, HG_LIMIT_ID);
    size_t chars = hg_utf8_length(asked->text, strlen(asked->text));
    if (chars > HG_LIMIT_TEXT)
        return hg_refuse(refusal, HG_CODE_text_too_long, 0,
                         "text: %zu code points, at most %d: send it in parts", chars,
                         HG_LIMIT_TEXT);
    if (!asked->targets)
        return hg_refuse(refusal, HG_CODE_bad_field, 0, "targets: none; expected at least one");
    if (!isfinite(asked->temperature) || asked->temperature < 0)
        return hg_refuse(refusal, HG_CODE_bad_field, 0,
                         "options.temperature: %g, expected 0 or more", (double)asked->temperature);
    if (!(asked->top_p >= 0 && asked->top_p <= 1))
        return hg_refuse(refusal, HG_CODE_bad_field, 0,
                         "options.top_p: %g, expected above 0 and up to 1", (double)asked->top_p);
    return true;
}

static bool check_rev(const hg_translate_request *asked, const hg_sentence *sentence,
                      hg_refusal *refusal)
{
    if (sentence->used && asked->rev <= sentence->rev)
        return hg_refuse(refusal, HG_CODE_stale_rev, 0, "rev: %lld is not above %lld",
                         (long long)asked->rev, (long long)sentence->rev);
    if (sentence->ended_final)
        return hg_refuse(refusal, HG_CODE_id_final, 0,
                         "id: \"%s\" ended with final revision %lld; use a new id", asked->id,
                         (long long)sentence->rev);
    return true;
}

static bool set_source(hg_request *request, const char *source, hg_refusal *refusal)
{
    hg_error error = {0};
    request->confidence = -1;
    if (!source || !*source || strcmp(source, "auto") == 0) {
        hg_detector detector = {0};
        hg_detector_read(&detector, hg_buf_text(&request->text), request->text.length);
        request->confidence =
            (int32_t)hg_runtime_detected(request->runtime, &detector, &request->source);
        return true;
    }
    if (!hg_tag_parse(source, &request->source, &error)) return true;
    return hg_refuse(refusal, HG_CODE_bad_field, 0, "source: %s", error.message);
}

/* Bytes of the character at text and whether it is white space. */
static size_t white_at(const char *text, size_t at, size_t bytes, bool *white)
{
    size_t i = at;
    UChar32 c;
    U8_NEXT((const uint8_t *)text, i, bytes, c);
    *white = c >= 0 && u_isUWhiteSpace(c);
    return i - at;
}

/* Finds what is to be translated: the text without white space round it. */
static void measure_text(hg_request *request)
{
    const char *text = hg_buf_text(&request->text);
    size_t bytes = request->text.length, end = 0;
    bool started = false;
    request->lead = bytes;
    for (size_t at = 0; at < bytes;) {
        bool white;
        size_t n = white_at(text, at, bytes, &white);
        if (!white && !started) {
            request->lead = at;
            started = true;
        }
        at += n;
        if (!white) end = at;
    }
    request->body = started ? end - request->lead : 0;
}

/* ---- targets ---- */

/* The canonical form of a target: what merges duplicates and names the language's state. A tag
 * that is not well-formed stands for itself; nothing serves it. */
static void target_key(const char *target, hg_tag *tag, char key[HG_TARGET_MAX])
{
    hg_error error;
    bool named = strncmp(target, PLUGIN_TARGET, strlen(PLUGIN_TARGET)) == 0;
    *tag = (hg_tag){0};
    if (!named && hg_tag_parse(target, tag, &error)) *tag = (hg_tag){0};
    snprintf(key, HG_TARGET_MAX, "%s", *tag->text ? tag->text : target);
}

uint32_t hg_targets_merged(const char *const *target, uint32_t targets)
{
    char key[HG_LIMIT_LANES][HG_TARGET_MAX];
    uint32_t merged = 0, same;
    assert(targets <= HG_LIMIT_LANES);
    for (uint32_t i = 0; i < targets; i++) {
        hg_tag tag;
        target_key(target[i], &tag, key[merged]);
        for (same = 0; same < merged && strcmp(key[same], key[merged]) != 0;) same++;
        merged += same == merged;
    }
    return merged;
}

static void resolve(hg_request *request, hg_request_lane *lane, const hg_tag *tag)
{
    const hg_catalog *catalog = &request->runtime->catalog;
    const hg_tag *target = tag;
    if (strncmp(lane->language, PLUGIN_TARGET, strlen(PLUGIN_TARGET)) == 0) {
        lane->entry = hg_catalog_by_plugin(catalog, lane->language + strlen(PLUGIN_TARGET));
        if (lane->entry) target = &lane->entry->tag;
    } else if (*tag->text) {
        lane->entry = hg_catalog_by_language(catalog, tag);
    }
    if (lane->entry) lane->entry->references++;
    if (*target->text && hg_tag_compare(target, &request->source) != HG_TAG_DIFFERENT)
        lane->outcome = HG_OUTCOME_UNCHANGED;
    else if (!lane->entry)
        lane->outcome = HG_OUTCOME_UNKNOWN;
    else if (!hg_catalog_takes_source(lane->entry, &request->source))
        lane->outcome = HG_OUTCOME_UNSUPPORTED;
}

static bool add_target(hg_request *request, const char *target, const hg_sentence *sentence,
                       hg_refusal *refusal)
{
    if (!check_text("targets", target, refusal)) return false;
    size_t bytes = strlen(target);
    if (!bytes || bytes >= HG_TARGET_MAX)
        return hg_refuse(refusal, HG_CODE_bad_field, 0,
                         "targets: an entry of %zu bytes, expected a language tag or " PLUGIN_TARGET
                         "NAME",
                         bytes);
    hg_tag tag;
    char key[HG_TARGET_MAX];
    target_key(target, &tag, key);
    for (uint32_t i = 0; i < request->lanes; i++)
        if (strcmp(request->lane[i].state->key, key) == 0) return true; /* asked twice */
    if (request->lanes == HG_LIMIT_LANES)
        return hg_refuse(refusal, HG_CODE_too_many_targets, 0, "targets: at most %d",
                         HG_LIMIT_LANES);
    assert(request->lanes < HG_LIMIT_LANES);
    hg_request_lane *lane = &request->lane[request->lanes];
    lane->state = hg_sentence_language_find(sentence, key);
    if (!lane->state) {
        lane->state = hg_sentence_language_new(sentence, key);
        lane->state_is_new = true;
    }
    if (!lane->state) return hg_refuse(refusal, HG_CODE_internal, 0, "no memory for a language");
    request->lanes++;
    memcpy(lane->language, target, bytes + 1);
    resolve(request, lane, &tag);
    hg_request_place(request, lane, sentence);
    return true;
}

/* ---- making and beginning ---- */

static bool fill(hg_request *request, const hg_translate_request *asked,
                 const hg_sentence *sentence, hg_refusal *refusal)
{
    snprintf(request->id, sizeof request->id, "%s", asked->id);
    request->rev = asked->rev;
    request->final = asked->final;
    request->stream = asked->stream;
    request->reading = asked->reading;
    request->received_us = asked->received_us ? asked->received_us : hg_clock_us();
    request->started_wall_us = hg_clock_wall_us() - (hg_clock_us() - request->received_us);
    if (asked->deadline_ms)
        request->deadline_us = request->received_us + (int64_t)asked->deadline_ms * 1000;
    request->max_tokens = asked->max_tokens;
    request->temperature = asked->temperature;
    request->top_p = asked->top_p > 0 ? asked->top_p : 1;
    request->seed = asked->seed;
    request->glossary = hg_glossary_hold(asked->glossary);
    request->text = hg_buf_new(HG_LIMIT_FRAME);
    if (hg_buf_append_text(&request->text, asked->text))
        return hg_refuse(refusal, HG_CODE_internal, 0, "no memory for a sentence");
    measure_text(request);
    if (!set_source(request, asked->source, refusal)) return false;
    if (hg_request_split(request))
        return hg_refuse(refusal, HG_CODE_internal, 0, "no memory for a text's sentences");
    for (uint32_t i = 0; i < asked->targets; i++)
        if (!add_target(request, asked->target[i], sentence, refusal)) return false;
    return true;
}

hg_request *hg_request_make(hg_conversation *conversation, const hg_translate_request *asked,
                            const hg_sentence *sentence, hg_refusal *refusal)
{
    if (!check_fields(asked, refusal) || !check_rev(asked, sentence, refusal)) return NULL;
    hg_request *request = calloc(1, sizeof *request);
    if (!request) {
        hg_refuse(refusal, HG_CODE_internal, 0, "no memory for a request");
        return NULL;
    }
    request->runtime = conversation->runtime;
    request->conversation = conversation;
    memcpy(request->session, conversation->session, sizeof request->session);
    if (!fill(request, asked, sentence, refusal) || !hg_request_submit(request, refusal)) {
        hg_request_free(request);
        return NULL;
    }
    return request;
}

/* Commits that do not hold in this revision leave before it begins; see hg_sentence_revise for
 * languages it does not ask for. */
static void restart_lanes(hg_request *request)
{
    for (uint32_t i = 0; i < request->lanes; i++) {
        hg_request_lane *lane = &request->lane[i];
        if (lane->kept < lane->state->commit.steps)
            hg_sentence_language_back(lane->state, lane->kept);
    }
}

void hg_request_begin(hg_request *request, hg_sentence *sentence)
{
    assert(!sentence->running && request->conversation);
    restart_lanes(request);
    hg_buf rest = hg_buf_new(HG_LIMIT_FRAME); /* without leading white space */
    if (hg_buf_append(&rest, hg_buf_text(&request->text) + request->lead,
                      request->text.length - request->lead))
        hg_buf_clear(&rest); /* without memory: commits will not hold next time, no worse */
    hg_sentence_revise(sentence, request->rev, &request->source, &rest, &request->spans);
    for (uint32_t i = 0; i < request->lanes; i++)
        if (!request->lane[i].state_is_new) request->lane[i].state->rev = request->rev;
    for (uint32_t i = 0; i < request->lanes; i++) {
        hg_request_lane *lane = &request->lane[i];
        if (lane->state_is_new) hg_sentence_language_add(sentence, lane->state);
        lane->state_is_new = false;
        lane->epoch = lane->state->commit.epoch;
    }
    hg_request_remember(request);
    sentence->running = request;
    request->edits = sentence->edits;
    request->sentence = sentence;
    request->undone = request->lanes;
    hg_runtime *runtime = request->runtime;
    request->next = runtime->requests;
    if (runtime->requests) runtime->requests->previous = request;
    runtime->requests = request;
    request->conversation->running++;
    for (uint32_t i = 0; i < request->lanes; i++)
        runtime->outcomes_wait |= request->lane[i].outcome != HG_OUTCOME_NONE;
}

void hg_request_free(hg_request *request)
{
    for (uint32_t i = 0; i < request->lanes; i++) {
        hg_request_lane *lane = &request->lane[i];
        if (lane->state_is_new) hg_sentence_language_free(lane->state);
        hg_catalog_entry_release(lane->entry);
        hg_stream_close(&lane->stream);
        hg_carry_free(lane->carry);
    }
    if (request->job) hg_job_release(request->job);
    hg_spans_free(&request->spans);
    hg_protected_free(&request->kept);
    hg_glossary_release(request->glossary);
    hg_buf_free(&request->text);
    free(request);
}
