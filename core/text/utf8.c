/* utf8.c: checking and counting UTF-8. One table, Unicode's table 3-7 of well-formed sequences,
 * serves the checker here and the tokenizer's streaming decoder. No state, any thread. */
#include "core/text/utf8.h"

#include <assert.h>

size_t hg_utf8_width(uint8_t first)
{
    if (first < 0x80) return 1;
    if (first < 0xC2 || first > 0xF4) return 0; /* continuation, overlong, beyond U+10FFFF */
    return first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
}

bool hg_utf8_may_follow(const char *begun, size_t count, uint8_t byte)
{
    uint8_t first = (uint8_t)begun[0], low = 0x80, high = 0xBF;
    assert(count >= 1 && count < hg_utf8_width(first));
    if (count == 1) {
        if (first == 0xE0) low = 0xA0;  /* else overlong */
        if (first == 0xED) high = 0x9F; /* else a surrogate */
        if (first == 0xF0) low = 0x90;  /* else overlong */
        if (first == 0xF4) high = 0x8F; /* else beyond U+10FFFF */
    }
    return byte >= low && byte <= high;
}

/* Bytes of the well-formed part of the character at the start of text, at most its width. */
static size_t character_prefix(const char *text, size_t count)
{
    size_t width = hg_utf8_width((uint8_t)text[0]), have = 1;
    if (width == 0) return 0;
    while (have < width && have < count && hg_utf8_may_follow(text, have, (uint8_t)text[have]))
        have++;
    return have;
}

size_t hg_utf8_valid(const char *text, size_t count)
{
    size_t at = 0;
    while (at < count) {
        size_t have = character_prefix(text + at, count - at);
        if (have == 0 || have < hg_utf8_width((uint8_t)text[at])) break;
        at += have;
    }
    assert(at <= count);
    return at;
}

size_t hg_utf8_length(const char *text, size_t count)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++) length += ((uint8_t)text[i] & 0xC0) != 0x80;
    return length;
}

size_t hg_utf8_unfinished(const char *text, size_t count)
{
    for (size_t back = 1; back <= 3 && back <= count; back++) {
        const char *start = text + count - back;
        if (((uint8_t)*start & 0xC0) == 0x80) continue;
        bool open = hg_utf8_width((uint8_t)*start) > back && character_prefix(start, back) == back;
        return open ? back : 0;
    }
    return 0;
}
