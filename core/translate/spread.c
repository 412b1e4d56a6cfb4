/* spread.c: see spread.h. */
#include "core/translate/spread.h"

#include <ctype.h>
#include <string.h>
#include <unicode/ubrk.h>
#include <unicode/utext.h>
#include <unicode/utf8.h>

#include "core/text/spans.h"

const char *hg_find_once(const char *text, size_t bytes, const char *words, size_t count)
{
    const char *first = memmem(text, bytes, words, count);
    if (!first) return NULL;
    size_t start = (size_t)(first - text), behind = start + 1;
    if (memmem(text + behind, bytes - behind, words, count)) return NULL;
    bool torn = hg_text_in_word(text, start, bytes) || hg_text_in_word(text, start + count, bytes);
    return torn ? NULL : first;
}

/* The spot that closes what spot i opens; spots when there is none. */
static uint32_t partner(const hg_spread *s, uint32_t i)
{
    int depth = 0;
    for (uint32_t k = i; k < s->spots; k++) {
        depth += s->spot[k].opens - s->spot[k].closes;
        if (!depth) return k;
    }
    return s->spots;
}

/* Whether the pair of spots i and end may go to [from, to): what is fixed keeps its order. */
static bool fits(const hg_spread *s, uint32_t i, uint32_t end, size_t from, size_t to)
{
    if (from < s->from) return false;
    for (uint32_t k = 0; k < s->spots; k++) {
        const hg_spot *spot = &s->spot[k];
        if (!spot->fixed) continue;
        size_t start = spot->to, behind = start + spot->own;
        if (k < i && behind > from) return false;
        if (k > i && k < end && (start < from || behind > to)) return false;
        if (k > end && start < to) return false;
    }
    return true;
}

/* Pairs go round the words they had, where those come again. */
static void fix_pairs(hg_spread *s)
{
    for (uint32_t i = 0; i < s->spots; i++) {
        hg_spot *spot = &s->spot[i];
        uint32_t end = spot->opens && !spot->fixed ? partner(s, i) : s->spots;
        if (end == s->spots || s->spot[end].fixed) continue;
        size_t words = s->spot[end].at - spot->at;
        const char *at =
            words ? hg_find_once(s->translation, s->translated, s->text + spot->at, words) : NULL;
        size_t from = at ? (size_t)(at - s->translation) : 0;
        if (!at || !fits(s, i, end, from, from + words)) continue;
        spot->to = from;
        s->spot[end].to = from + words;
        spot->fixed = s->spot[end].fixed = true;
    }
}

/* Whether the character at `at` is of a script without spaces: Kana, Han and what comes behind. */
static bool is_unspaced(const hg_spread *s, size_t at)
{
    return at < s->translated && (uint8_t)s->translation[at] >= 0xE3;
}

/* The next border of words, as a dictionary has them. */
static size_t snap_unspaced(const hg_spread *s, size_t at)
{
    UErrorCode icu = U_ZERO_ERROR;
    UText view = UTEXT_INITIALIZER;
    UBreakIterator *words = ubrk_open(UBRK_WORD, "", NULL, 0, &icu);
    utext_openUTF8(&view, s->translation, (int64_t)s->translated, &icu);
    ubrk_setUText(words, &view, &icu);
    if (U_SUCCESS(icu) && !ubrk_isBoundary(words, (int32_t)at))
        at = (size_t)ubrk_current(words); /* which the question has moved to the next one */
    ubrk_close(words);
    utext_close(&view);
    return at;
}

/* The border of words next to at: before the word for what opens, else behind it and, unless the
 * sentence has its end mark before the spot, before that of the translation. */
static size_t snap(const hg_spread *s, size_t at, const hg_spot *spot)
{
    const char *t = s->translation;
    if (at >= s->translated) return s->translated;
    U8_SET_CP_START_UNSAFE(t, at);
    if (is_unspaced(s, at)) return snap_unspaced(s, at);
    if (spot->opens) {
        if (t[at] == ' ') return at + 1;
        while (at > 0 && t[at - 1] != ' ' && !is_unspaced(s, at)) at--;
        return at;
    }
    const size_t from = at;
    while (at < s->translated && t[at] != ' ' && !is_unspaced(s, at)) at++;
    bool marked = spot->at && ispunct((unsigned char)s->text[spot->at - 1]);
    while (!marked && at > from && ispunct((unsigned char)t[at - 1])) at--;
    return at;
}

/* Behind whatever fixed holds the byte at inside of it. */
static size_t outside(const hg_spread *s, size_t at)
{
    for (uint32_t k = 0; k < s->spots; k++) {
        const hg_spot *spot = &s->spot[k];
        if (spot->fixed && spot->to < at && at < spot->to + spot->own) return spot->to + spot->own;
    }
    return at;
}

/* Where spot i, which lies between source and the next fixed one, goes between target and that. */
static size_t between(const hg_spread *s, uint32_t i, size_t source, size_t target)
{
    const hg_spot *spot = &s->spot[i];
    uint32_t next = i;
    while (next < s->spots && (!s->spot[next].fixed || s->spot[next].to < target)) next++;
    size_t source_end = next < s->spots ? s->spot[next].at : s->bytes;
    size_t target_end = next < s->spots ? s->spot[next].to : s->translated;
    size_t width = source_end > source ? source_end - source : 1;
    size_t room = target_end > target ? target_end - target : 0;
    size_t at = spot->at >= s->bytes ? s->translated : 0;
    if (spot->at && spot->at < s->bytes)
        at = snap(s, target + (spot->at - source) * room / width, spot);
    if (at < target) return target;
    return at < target_end || next == s->spots ? at : target_end;
}

void hg_spread_out(hg_spread *s)
{
    size_t source = 0, target = 0, low = s->from;
    fix_pairs(s);
    for (uint32_t i = 0; i < s->spots; i++) {
        hg_spot *spot = &s->spot[i];
        const bool itself = spot->fixed && spot->own; /* these may stand in another order */
        if (!spot->fixed) spot->to = between(s, i, source, target);
        if (!spot->fixed) spot->own = 0;
        if (!itself && spot->to < low) spot->to = low;
        if (!itself) low = spot->to = outside(s, spot->to);
        if (!spot->fixed) continue;
        source = spot->at + spot->content;
        target = spot->to + spot->own;
    }
}
