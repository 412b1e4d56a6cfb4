/* border.c: borders of words and of character clusters, from ICU's character properties.
 *
 * A border must hold whatever follows, so it is decided by the two code points it lies between.
 * For those that this file looks at (one of them in a script without spaces) that is all of UAX
 * #29: its rules with longer memory are about flags, emoji and Hangul. Where a reader sees one
 * cluster and UAX #29 two (a stacked Khmer consonant, a Thai vowel written first), there is no
 * border either. No state, any thread.
 */
#include "core/text/border.h"

#include <assert.h>
#include <stdbool.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>
#include <unicode/utf8.h>

/* Scripts that put no space between words. Script extensions count: the marks of CJK text too. */
static bool is_unspaced(UChar32 c)
{
    static const UScriptCode scripts[] = {USCRIPT_HAN,    USCRIPT_HIRAGANA, USCRIPT_KATAKANA,
                                          USCRIPT_THAI,   USCRIPT_LAO,      USCRIPT_KHMER,
                                          USCRIPT_MYANMAR};
    if (c < 0x0E00) return false; /* Thai is the first of them: most text ends here */
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        if (uscript_hasScript(c, scripts[i])) return true;
    }
    return false;
}

/* Whether a and b belong to one cluster. */
static bool is_joined(UChar32 a, UChar32 b)
{
    int32_t left = u_getIntPropertyValue(a, UCHAR_GRAPHEME_CLUSTER_BREAK);
    int32_t right = u_getIntPropertyValue(b, UCHAR_GRAPHEME_CLUSTER_BREAK);
    if (right == U_GCB_EXTEND || right == U_GCB_ZWJ || right == U_GCB_SPACING_MARK) return true;
    if (left == U_GCB_PREPEND || left == U_GCB_ZWJ) return true;
    return u_hasBinaryProperty(a, UCHAR_LOGICAL_ORDER_EXCEPTION) ||
           u_getIntPropertyValue(a, UCHAR_INDIC_SYLLABIC_CATEGORY) == U_INSC_INVISIBLE_STACKER;
}

static bool is_border(UChar32 a, UChar32 b)
{
    if (u_isUWhiteSpace(a)) return false; /* white space goes with the word that follows it */
    if (u_isUWhiteSpace(b)) return true;
    return (is_unspaced(a) || is_unspaced(b)) && !is_joined(a, b);
}

size_t hg_border_before(const char *text, size_t count, size_t below)
{
    assert(count <= INT32_MAX);
    if (!count) return 0;
    if (below >= count) below = count - 1;
    size_t at = below;
    U8_SET_CP_START_UNSAFE(text, at);
    for (size_t before = at; at > 0; at = before) {
        UChar32 a, b;
        size_t behind = at;
        U8_NEXT_UNSAFE(text, behind, b);
        U8_PREV_UNSAFE(text, before, a);
        if (is_border(a, b)) return at;
    }
    return 0;
}

size_t hg_border_after(const char *text, size_t count, size_t from)
{
    size_t at = from;
    if (at < count) U8_FWD_1_UNSAFE(text, at);
    while (at < count) {
        UChar32 a, b;
        size_t before = at, behind = at;
        U8_PREV_UNSAFE(text, before, a);
        U8_NEXT_UNSAFE(text, behind, b);
        if (is_border(a, b)) return at;
        at = behind;
    }
    return count;
}

uint32_t hg_border_words(const char *text, size_t count)
{
    uint32_t words = 0;
    for (size_t at = 0; at < count; at = hg_border_after(text, count, at)) {
        UChar32 c;
        size_t next = at;
        do {
            U8_NEXT_UNSAFE(text, next, c);
        } while (u_isUWhiteSpace(c) && next < count);
        words += !u_isUWhiteSpace(c);
    }
    return words;
}

uint32_t hg_border_spaced_words(const char *text, size_t count)
{
    uint32_t words = 0;
    bool first = false; /* the word before is the first one, and begins with none */
    for (size_t at = 0; at < count; at = hg_border_after(text, count, at)) {
        UChar32 c;
        size_t next = at;
        U8_NEXT_UNSAFE(text, next, c);
        bool spaced = u_isUWhiteSpace(c);
        if (spaced) words += first ? 2 : 1;
        first = !spaced && !at;
    }
    return words;
}

size_t hg_border_before_end_mark(const char *text, size_t count)
{
    size_t before = count; /* the marks seen so far */
    bool marked = false, closed = false;
    for (size_t at = count; at > 0;) {
        UChar32 c;
        U8_PREV_UNSAFE(text, at, c);
        if (u_hasBinaryProperty(c, UCHAR_S_TERM))
            marked = true;
        else if (!marked && u_getIntPropertyValue(c, UCHAR_SENTENCE_BREAK) == U_SB_CLOSE)
            closed = true;
        else if (marked || closed || !u_isUWhiteSpace(c))
            break;
        before = at;
    }
    return marked ? before : count;
}

size_t hg_border_settled_source(const char *text, size_t count)
{
    bool spaced = false;
    if (count) {
        UChar32 last;
        size_t at = count;
        U8_PREV_UNSAFE(text, at, last);
        spaced = u_isUWhiteSpace(last);
    }
    if (spaced || hg_border_before_end_mark(text, count) < count) return count;
    size_t at = hg_border_before(text, count, count);
    /* The space that completed the word before belongs to what was settled. */
    for (size_t next = at; next < count; at = next) {
        UChar32 c;
        U8_NEXT_UNSAFE(text, next, c);
        if (!u_isUWhiteSpace(c)) break;
    }
    return at;
}
