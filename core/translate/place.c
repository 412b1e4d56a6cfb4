/* place.c: see place.h. Marks keep the order they have in the source, so what was well-formed stays
 * so wherever they go. */
#include "core/translate/place.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

hg_status hg_escape_html(const char *text, size_t bytes, hg_buf *out)
{
    hg_status status = HG_OK;
    size_t start = 0;
    for (size_t i = 0; i < bytes && !status; i++) {
        const char *entity = text[i] == '&'   ? "&amp;"
                             : text[i] == '<' ? "&lt;"
                             : text[i] == '>' ? "&gt;"
                                              : NULL;
        if (!entity) continue;
        status = hg_buf_append(out, text + start, i - start);
        if (!status) status = hg_buf_append_text(out, entity);
        start = i + 1;
    }
    return status ? status : hg_buf_append(out, text + start, bytes - start);
}

/* Whether the characters on both sides of text + at make one word: letters or digits of a script
 * with spaces. */
static bool in_word(const char *text, size_t at, size_t bytes)
{
    UChar32 before, after;
    size_t left = at, right = at;
    if (!at || at >= bytes) return false;
    U8_PREV_UNSAFE(text, left, before);
    U8_NEXT_UNSAFE(text, right, after);
    const UChar32 unspaced = 0x0E00; /* Thai; Han and Kana come later */
    return u_isalnum(before) && u_isalnum(after) && before < unspaced && after < unspaced;
}

/* Where words [count] stand in text from `from` on, whole, if they stand there once; else NULL. */
static const char *find_once(const char *text, const char *from, const char *words, size_t count)
{
    size_t bytes = strlen(text);
    const char *first = memmem(text, bytes, words, count);
    if (!first || first < from) return NULL;
    size_t start = (size_t)(first - text), behind = start + 1;
    if (memmem(text + behind, bytes - behind, words, count)) return NULL;
    return in_word(text, start, bytes) || in_word(text, start + count, bytes) ? NULL : first;
}

bool hg_place_keeps(const hg_marked *sentence, const char *translation)
{
    const char *from = translation;
    for (uint32_t i = 0; i < sentence->marks; i++) {
        const hg_mark *m = &sentence->mark[i];
        if (!m->content) continue;
        const char *at = find_once(translation, from, sentence->text + m->at, m->content);
        if (!at) return false;
        from = at + m->content;
    }
    return true;
}

/* ---- positions ---- */

typedef struct placing {
    const hg_marked *sentence;
    const char *translation;
    size_t bytes;     /* of translation */
    size_t *position; /* [marks] of each mark in translation */
    bool *fixed;      /* [marks] by its words */
} placing;

/* The end tag of the pair that mark i begins; marks when there is none. */
static uint32_t partner(const hg_marked *s, uint32_t i)
{
    int depth = 0;
    for (uint32_t k = i; k < s->marks; k++) {
        if (s->mark[k].content ||
            (!s->mark[k].closes && s->source[s->mark[k].start + s->mark[k].count - 2] == '/'))
            continue;
        depth += s->mark[k].closes ? -1 : 1;
        if (!depth) return k;
    }
    return s->marks;
}

/* What stays takes its own words' place: hg_place_keeps found them, in order. */
static void fix_kept(placing *p)
{
    const hg_marked *s = p->sentence;
    for (uint32_t i = 0; i < s->marks; i++) {
        const hg_mark *m = &s->mark[i];
        if (!m->content) continue;
        const char *at = find_once(p->translation, p->translation, s->text + m->at, m->content);
        assert(at);
        p->position[i] = (size_t)(at - p->translation);
        p->fixed[i] = true;
    }
}

/* Whether the pair of marks i and end may go to [from, to): what is fixed keeps its order. */
static bool fits(const placing *p, uint32_t i, uint32_t end, size_t from, size_t to)
{
    for (uint32_t k = 0; k < p->sentence->marks; k++) {
        if (!p->fixed[k]) continue;
        size_t start = p->position[k], behind = start + p->sentence->mark[k].content;
        if (k < i && behind > from) return false;
        if (k > i && k < end && (start < from || behind > to)) return false;
        if (k > end && start < to) return false;
    }
    return true;
}

/* Tag pairs go round the words they had, where those come again. */
static void fix_pairs(placing *p)
{
    const hg_marked *s = p->sentence;
    for (uint32_t i = 0; i < s->marks; i++) {
        const hg_mark *m = &s->mark[i];
        uint32_t end = m->closes || m->content ? s->marks : partner(s, i);
        if (end == s->marks || p->fixed[i] || p->fixed[end]) continue;
        size_t words = s->mark[end].at - m->at;
        const char *at =
            words ? find_once(p->translation, p->translation, s->text + m->at, words) : NULL;
        size_t from = at ? (size_t)(at - p->translation) : 0;
        if (!at || !fits(p, i, end, from, from + words)) continue;
        p->position[i] = from;
        p->position[end] = from + words;
        p->fixed[i] = p->fixed[end] = true;
    }
}

/* The border of words next to at: before the word for a start tag, behind it for an end tag. In
 * text without spaces a border of characters. */
static size_t snap(const placing *p, size_t at, bool closes, bool bare)
{
    const char *t = p->translation;
    if (at >= p->bytes) return p->bytes;
    U8_SET_CP_START_UNSAFE(t, at);
    size_t to = at;
    if (closes)
        while (to < p->bytes && t[to] != ' ' && !(bare && ispunct((unsigned char)t[to]))) to++;
    else
        while (to > 0 && t[to - 1] != ' ') to--;
    return memchr(t, ' ', p->bytes) ? to : at;
}

/* Between the fixed marks round it a mark is as far as it was in the source. */
static void spread(placing *p)
{
    const hg_marked *s = p->sentence;
    size_t source = 0, target = 0, low = 0;
    for (uint32_t i = 0; i < s->marks; i++) {
        const hg_mark *m = &s->mark[i];
        if (p->fixed[i]) {
            source = m->at + m->content;
            target = p->position[i] + m->content;
        } else {
            uint32_t next = i;
            while (next < s->marks && !p->fixed[next]) next++;
            size_t source_end = next < s->marks ? s->mark[next].at : s->bytes;
            size_t target_end = next < s->marks ? p->position[next] : p->bytes;
            size_t width = source_end > source ? source_end - source : 1;
            size_t room = target_end > target ? target_end - target : 0;
            size_t at = m->at >= s->bytes ? p->bytes : target + (m->at - source) * room / width;
            bool bare = m->at < s->bytes && ispunct((unsigned char)s->text[m->at]);
            at = m->at ? snap(p, at, m->closes, bare) : 0;
            p->position[i] = at < target_end || next == s->marks ? at : target_end;
        }
        if (p->position[i] < low) p->position[i] = low;
        low = p->position[i] + m->content;
    }
}

static hg_status print(const placing *p, hg_buf *out)
{
    const hg_marked *s = p->sentence;
    hg_status status = HG_OK;
    size_t at = 0;
    for (uint32_t i = 0; i < s->marks && !status; i++) {
        const hg_mark *m = &s->mark[i];
        status = hg_escape_html(p->translation + at, p->position[i] - at, out);
        if (!status) status = hg_buf_append(out, s->source + m->start, m->count);
        at = p->position[i] + m->content;
    }
    return status ? status : hg_escape_html(p->translation + at, p->bytes - at, out);
}

hg_status hg_place(const hg_marked *sentence, const char *translation, hg_buf *out)
{
    placing p = {.sentence = sentence, .translation = translation, .bytes = strlen(translation)};
    p.position = calloc(sentence->marks + 1, sizeof *p.position);
    p.fixed = calloc(sentence->marks + 1, sizeof *p.fixed);
    hg_status status = p.position && p.fixed ? HG_OK : HG_ERROR_MEMORY;
    if (!status) {
        fix_kept(&p);
        fix_pairs(&p);
        spread(&p);
        status = print(&p, out);
    }
    free(p.position);
    free(p.fixed);
    return status;
}
