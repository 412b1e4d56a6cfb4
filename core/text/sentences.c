/* sentences.c: ICU's sentence borders (UAX #29), one line of the text after the other.
 *
 * ICU breaks behind every full stop that a capital follows; its lists of abbreviations (CLDR's
 * "standard" suppressions) undo that where a language has one.
 */
#include "core/text/sentences.h"

#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/ubrk.h>
#include <unicode/uchar.h>
#include <unicode/utext.h>
#include <unicode/utf8.h>

#include "core/base/limits.h"

void hg_spans_free(hg_spans *spans)
{
    free(spans->span);
    *spans = (hg_spans){0};
}

hg_status hg_spans_append(hg_spans *spans, size_t start, size_t count)
{
    if (spans->count == spans->capacity) {
        uint32_t capacity = spans->capacity ? spans->capacity * 2 : 16;
        hg_span *grown = realloc(spans->span, capacity * sizeof *grown);
        if (!grown) return HG_ERROR_MEMORY;
        spans->span = grown;
        spans->capacity = capacity;
    }
    spans->span[spans->count++] = (hg_span){start, count};
    return HG_OK;
}

typedef struct cutting {
    const char *text;
    const hg_protected_list *kept;
    hg_spans *out;
} cutting;

/* Whether a name that stands behind c, white space left aside, is said beside the sentence: "Look:
 * https://example.com". */
static bool ends_clause(UChar32 c)
{
    return c == ':' || c == ',' || u_hasBinaryProperty(c, UCHAR_S_TERM) || c == 0x3001 ||
           c == 0xFF0C || c == 0xFF1A;
}

/* Takes a stretch without white space and marks round it; one without a letter is nothing to
 * translate. */
static hg_status take(const cutting *c, size_t from, size_t to)
{
    size_t start = to, end = from;
    bool words = false;
    UChar32 last = 0; /* of the sentence */
    for (size_t at = from; at < to;) {
        UChar32 next;
        const hg_protected *span = hg_protected_at(c->kept, at);
        const size_t before = at;
        bool aside;
        U8_NEXT_UNSAFE(c->text, at, next);
        if (span) at = span->start + span->count < to ? span->start + span->count : to;
        aside = span ? hg_protected_is_mark(span) ||
                           (span->kind == HG_PROTECTED_NAME && ends_clause(last))
                     : u_isUWhiteSpace(next);
        if (aside) continue;
        if (start == to) start = before;
        end = at;
        last = span ? 'x' : next;
        words |= span ? span->kind == HG_PROTECTED_TERM : u_isalpha(next);
    }
    return words ? hg_spans_append(c->out, start, end - start) : HG_OK;
}

/* Cuts what is too long for one request at the last white space that fits, else anywhere. */
static hg_status take_bounded(const cutting *c, size_t from, size_t to)
{
    hg_status status = HG_OK;
    size_t at = from, space = from, points = 0;
    while (at < to && !status) {
        UChar32 next;
        const hg_protected *span = hg_protected_at(c->kept, at);
        U8_NEXT_UNSAFE(c->text, at, next);
        if (u_isUWhiteSpace(next) && !span) space = at;
        if (++points < HG_LIMIT_SENTENCE) continue;
        size_t cut = space > from ? space : at;
        status = take(c, from, cut);
        from = at = space = cut;
        points = 0;
    }
    return status ? status : take(c, from, to);
}

/* A line's end is white space that ICU may keep inside a sentence. */
static hg_status take_lines(const cutting *c, size_t from, size_t to)
{
    hg_status status = HG_OK;
    for (size_t at = from; at < to && !status; at++) {
        if ((c->text[at] != '\n' && c->text[at] != '\r') || hg_protected_at(c->kept, at)) continue;
        status = take_bounded(c, from, at);
        from = at + 1;
    }
    return status ? status : take_bounded(c, from, to);
}

static UBreakIterator *open_breaks(const char *text, size_t bytes, const char *language,
                                   UText *view)
{
    UErrorCode icu = U_ZERO_ERROR;
    char locale[HG_LIMIT_TAG + 16];
    snprintf(locale, sizeof locale, "%s@ss=standard", language);
    UBreakIterator *breaks = ubrk_open(UBRK_SENTENCE, locale, NULL, 0, &icu);
    utext_openUTF8(view, text, (int64_t)bytes, &icu);
    ubrk_setUText(breaks, view, &icu);
    if (U_SUCCESS(icu)) return breaks;
    ubrk_close(breaks);
    return NULL;
}

/* The text with spaces where marks are: they neither end nor begin a sentence. NULL without memory.
 */
static char *without_marks(const char *text, size_t bytes, const hg_protected_list *kept)
{
    char *copy = malloc(bytes + 1);
    if (!copy) return NULL;
    memcpy(copy, text, bytes);
    for (uint32_t i = 0; i < kept->count; i++) {
        const hg_protected *span = &kept->span[i];
        if (hg_protected_is_mark(span)) memset(copy + span->start, ' ', span->count);
    }
    return copy;
}

/* Whether a border may lie there. */
static bool is_whole(const hg_protected_list *kept, size_t at)
{
    const hg_protected *span = hg_protected_at(kept, at);
    return !span || span->start == at;
}

hg_status hg_sentences_find(const char *text, size_t bytes, const char *language,
                            const hg_protected_list *kept, hg_spans *out)
{
    const cutting c = {.text = text, .kept = kept, .out = out};
    if (bytes > INT32_MAX) return HG_ERROR_LIMIT;
    UText view = UTEXT_INITIALIZER;
    char *plain = without_marks(text, bytes, kept);
    UBreakIterator *breaks = plain ? open_breaks(plain, bytes, language, &view) : NULL;
    hg_status status = breaks ? HG_OK : HG_ERROR_MEMORY;
    size_t from = 0;
    while (!status) {
        int32_t next = ubrk_next(breaks);
        if (next == UBRK_DONE) break;
        assert((size_t)next > from && (size_t)next <= bytes);
        if (!is_whole(kept, (size_t)next)) continue;
        status = take_lines(&c, from, (size_t)next);
        from = (size_t)next;
    }
    ubrk_close(breaks);
    utext_close(&view);
    free(plain);
    return status;
}
