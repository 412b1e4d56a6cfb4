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

/* Takes a stretch without white space round it; one without a letter is nothing to translate. */
static hg_status take(const char *text, size_t from, size_t to, hg_spans *out)
{
    size_t start = to, end = from;
    bool words = false;
    for (size_t at = from; at < to;) {
        UChar32 c;
        size_t before = at;
        U8_NEXT_UNSAFE(text, at, c);
        if (u_isUWhiteSpace(c)) continue;
        if (start == to) start = before;
        end = at;
        words |= u_isalpha(c);
    }
    return words ? hg_spans_append(out, start, end - start) : HG_OK;
}

/* Cuts what is too long for one request at the last white space that fits, else anywhere. */
static hg_status take_bounded(const char *text, size_t from, size_t to, hg_spans *out)
{
    hg_status status = HG_OK;
    size_t at = from, space = from, points = 0;
    while (at < to && !status) {
        UChar32 c;
        U8_NEXT_UNSAFE(text, at, c);
        if (u_isUWhiteSpace(c)) space = at;
        if (++points < HG_LIMIT_SENTENCE) continue;
        size_t cut = space > from ? space : at;
        status = take(text, from, cut, out);
        from = at = space = cut;
        points = 0;
    }
    return status ? status : take(text, from, to, out);
}

/* A line's end is white space that ICU may keep inside a sentence. */
static hg_status take_lines(const char *text, size_t from, size_t to, hg_spans *out)
{
    hg_status status = HG_OK;
    for (size_t at = from; at < to && !status; at++) {
        if (text[at] != '\n' && text[at] != '\r') continue;
        status = take_bounded(text, from, at, out);
        from = at + 1;
    }
    return status ? status : take_bounded(text, from, to, out);
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

hg_status hg_sentences_find(const char *text, size_t bytes, const char *language, hg_spans *out)
{
    if (bytes > INT32_MAX) return HG_ERROR_LIMIT;
    UText view = UTEXT_INITIALIZER;
    UBreakIterator *breaks = open_breaks(text, bytes, language, &view);
    hg_status status = breaks ? HG_OK : HG_ERROR_MEMORY;
    size_t from = 0;
    while (!status) {
        int32_t next = ubrk_next(breaks);
        if (next == UBRK_DONE) break;
        assert((size_t)next > from && (size_t)next <= bytes);
        status = take_lines(text, from, (size_t)next, out);
        from = (size_t)next;
    }
    ubrk_close(breaks);
    utext_close(&view);
    return status;
}
