/* sentence.c: a small set with least-recently-used order, kept by counting uses. */
#include "core/translate/sentence.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/limits.h"
#include "core/text/border.h"

/* The oldest ones leave. */
static void forget_known(hg_sentence_language *language, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        free(language->known[i].source);
        free(language->known[i].text);
    }
    language->knowns -= count;
    memmove(language->known, language->known + count, language->knowns * sizeof *language->known);
}

void hg_sentence_language_free(hg_sentence_language *language)
{
    if (!language) return;
    hg_commit_free(&language->commit);
    hg_tokens_free(&language->rest);
    hg_past_free(&language->past);
    hg_buf_free(&language->shown);
    forget_known(language, language->knowns);
    free(language);
}

void hg_sentence_free(hg_sentence *sentence)
{
    if (!sentence) return;
    for (uint32_t i = 0; i < sentence->languages; i++)
        hg_sentence_language_free(sentence->language[i]);
    hg_buf_free(&sentence->text);
    free(sentence);
}

void hg_sentence_set_free(hg_sentence_set *set)
{
    for (uint32_t i = 0; i < set->count; i++) hg_sentence_free(set->sentence[i]);
    *set = (hg_sentence_set){0};
}

hg_sentence *hg_sentence_find(const hg_sentence_set *set, const char *id)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (strcmp(set->sentence[i]->id, id) == 0) return set->sentence[i];
    return NULL;
}

hg_sentence *hg_sentence_new(const char *id)
{
    hg_sentence *sentence = calloc(1, sizeof *sentence);
    if (!sentence) return NULL;
    int n = snprintf(sentence->id, sizeof sentence->id, "%s", id);
    assert(n >= 0 && (size_t)n < sizeof sentence->id);
    (void)n;
    sentence->text = hg_buf_new(HG_LIMIT_FRAME);
    return sentence;
}

void hg_sentence_use(hg_sentence_set *set, hg_sentence *sentence)
{
    sentence->used = ++set->uses;
}

bool hg_sentence_set_add(hg_sentence_set *set, hg_sentence *sentence)
{
    uint32_t at = set->count;
    if (at == HG_LIMIT_SENTENCES) {
        for (uint32_t i = 0; i < set->count; i++) {
            const hg_sentence *other = set->sentence[i];
            if (other->running) continue;
            if (at == HG_LIMIT_SENTENCES || other->used < set->sentence[at]->used) at = i;
        }
        if (at == HG_LIMIT_SENTENCES) return false;
        hg_sentence_free(set->sentence[at]);
    } else {
        set->count++;
    }
    set->sentence[at] = sentence;
    hg_sentence_use(set, sentence);
    return true;
}

hg_sentence_language *hg_sentence_language_find(const hg_sentence *sentence, const char *key)
{
    for (uint32_t i = 0; i < sentence->languages; i++)
        if (strcmp(sentence->language[i]->key, key) == 0) return sentence->language[i];
    return NULL;
}

hg_sentence_language *hg_sentence_language_new(const hg_sentence *sentence, const char *key)
{
    hg_sentence_language *language = calloc(1, sizeof *language);
    if (!language) return NULL;
    int n = snprintf(language->key, sizeof language->key, "%s", key);
    assert(n >= 0 && (size_t)n < sizeof language->key);
    (void)n;
    hg_commit_start(&language->commit, sentence->epoch_floor);
    language->shown = hg_buf_new(HG_LIMIT_LANE_TEXT);
    language->shown_epoch = sentence->epoch_floor;
    return language;
}

void hg_sentence_language_keep(hg_sentence_language *language, uint64_t adapter_key,
                               const int32_t *token, uint32_t tokens, bool whole)
{
    hg_tokens *rest = &language->rest;
    if (whole || language->adapter_key != adapter_key) rest->count = 0;
    if (language->adapter_key != adapter_key) forget_known(language, language->knowns);
    language->adapter_key = adapter_key;
    for (uint32_t i = 0; i < tokens; i++) {
        if (i < rest->count)
            rest->id[i] = token[i];
        else if (hg_tokens_append(rest, token[i]))
            return; /* without memory it is a shorter draft */
    }
}

void hg_sentence_language_back(hg_sentence_language *language, uint32_t steps)
{
    const uint32_t closed = hg_commit_at(&language->commit).closed;
    hg_commit_back(&language->commit, steps);
    hg_past_free(&language->past);
    if (hg_commit_at(&language->commit).closed < closed) language->rest.count = 0;
}

static void remember(hg_sentence_language *language, const char *source, size_t bytes,
                     const char *text)
{
    if (!source || hg_sentence_language_known(language, language->adapter_key, source, bytes))
        return;
    hg_known fresh = {strndup(source, bytes), strdup(text)};
    if (!fresh.source || !fresh.text) {
        free(fresh.source);
        free(fresh.text);
        return;
    }
    if (language->knowns == HG_LIMIT_KNOWN) forget_known(language, 1);
    language->known[language->knowns++] = fresh;
}

hg_status hg_sentence_language_close(hg_sentence_language *language, const char *source,
                                     size_t bytes, size_t from, size_t source_bytes)
{
    remember(language, source, bytes, hg_buf_text(&language->commit.text) + from);
    hg_past_free(&language->past);
    language->rest.count = 0;
    return hg_commit_close(&language->commit, source_bytes);
}

const char *hg_sentence_language_known(const hg_sentence_language *language, uint64_t adapter_key,
                                       const char *source, size_t bytes)
{
    if (language->adapter_key != adapter_key) return NULL;
    for (uint32_t i = 0; i < language->knowns; i++) {
        const hg_known *known = &language->known[i];
        if (strncmp(known->source, source, bytes) == 0 && !known->source[bytes]) return known->text;
    }
    return NULL;
}

hg_status hg_sentence_language_show(hg_sentence_language *language, const char *text, size_t bytes)
{
    hg_buf_clear(&language->shown);
    language->shown_epoch = language->commit.epoch;
    return hg_buf_append(&language->shown, text, bytes);
}

static bool sees_committed(const hg_sentence_language *language)
{
    const hg_buf *text = &language->commit.text, *shown = &language->shown;
    return language->shown_epoch == language->commit.epoch && shown->length >= text->length &&
           (!text->length || memcmp(shown->data, text->data, text->length) == 0);
}

void hg_sentence_language_told(hg_sentence_language *language)
{
    const hg_buf *text = &language->commit.text;
    if (!sees_committed(language) &&
        hg_sentence_language_show(language, hg_buf_text(text), text->length))
        hg_buf_clear(&language->shown); /* without memory: hg_sentence_language_seen knows */
}

void hg_sentence_language_stay(hg_sentence_language *language)
{
    language->shown_epoch = language->commit.epoch;
    hg_sentence_language_told(language);
}

const char *hg_sentence_language_seen(const hg_sentence_language *language)
{
    return hg_buf_text(sees_committed(language) ? &language->shown : &language->commit.text);
}

void hg_sentence_language_add(hg_sentence *sentence, hg_sentence_language *language)
{
    language->rev = sentence->rev;
    if (sentence->languages < HG_LIMIT_LANES) {
        sentence->language[sentence->languages++] = language;
        return;
    }
    uint32_t at = 0; /* the longest unasked one leaves */
    for (uint32_t i = 1; i < sentence->languages; i++)
        if (sentence->language[i]->rev < sentence->language[at]->rev) at = i;
    hg_sentence_language *old = sentence->language[at];
    assert(old->rev < sentence->rev); /* a revision has at most HG_LIMIT_LANES languages */
    /* Should it be asked for again, its old epoch's commits are forgotten: it begins above. */
    if (old->commit.epoch >= sentence->epoch_floor) sentence->epoch_floor = old->commit.epoch + 1;
    hg_sentence_language_free(old);
    sentence->language[at] = language;
}

/* Bytes that the sentence's text and the new one begin with alike. */
static size_t unchanged(const hg_sentence *sentence, const hg_tag *source, const hg_buf *text)
{
    size_t n = 0;
    if (strcmp(sentence->source.text, source->text) != 0) return 0;
    while (n < sentence->text.length && n < text->length && sentence->text.data[n] == text->data[n])
        n++;
    return n;
}

/* Whether step holds, and those before it do: its sentences end where they did, and so does the
 * open one begin. The first same bytes of the text are those of the last revision. */
static bool step_holds(const hg_commit *commit, const hg_commit_step *step, size_t same,
                       const hg_buf *text, const hg_spans *spans)
{
    if (step->source_bytes > same || step->closed > spans->count) return false;
    for (uint32_t i = 0; i < step->closed; i++)
        if (spans->span[i].start + spans->span[i].count != commit->step[i].source_bytes)
            return false;
    if (step->closed && step == &commit->step[step->closed - 1]) return true;
    if (step->closed == spans->count) return false;
    /* A whole text may only be added to: its last word must not become another. */
    return !step->source_whole || text->length == step->source_bytes ||
           hg_border_settled_source(hg_buf_text(text), text->length) >= step->source_bytes;
}

/* How many steps of commit hold. */
static uint32_t steps_kept(const hg_commit *commit, size_t same, const hg_buf *text,
                           const hg_spans *spans)
{
    uint32_t steps = commit->steps;
    while (steps && !step_holds(commit, &commit->step[steps - 1], same, text, spans)) steps--;
    return steps;
}

uint32_t hg_sentence_kept(const hg_sentence *sentence, const hg_sentence_language *language,
                          const hg_tag *source, const hg_buf *text, const hg_spans *spans)
{
    return steps_kept(&language->commit, unchanged(sentence, source, text), text, spans);
}

void hg_sentence_revise(hg_sentence *sentence, int64_t rev, const hg_tag *source, hg_buf *text,
                        const hg_spans *spans)
{
    size_t same = unchanged(sentence, source, text);
    bool edit =
        same < hg_border_settled_source(hg_buf_text(&sentence->text), sentence->text.length);
    sentence->edits = edit ? sentence->edits + 1 : 0;
    for (uint32_t i = 0; i < sentence->languages; i++) {
        hg_sentence_language *language = sentence->language[i];
        uint32_t kept = steps_kept(&language->commit, same, text, spans);
        if (kept < language->commit.steps) hg_sentence_language_back(language, kept);
        hg_past_forget(&language->past, same);
    }
    hg_buf_free(&sentence->text);
    sentence->text = *text;
    *text = hg_buf_new(text->maximum);
    sentence->rev = rev;
    sentence->source = *source;
}
