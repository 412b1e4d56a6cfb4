/* fuzz_spans.c: any text, first as one that has spans, then as the translation of one: what is
 * found lies in order inside the text, on borders of characters; whatever a model makes of a
 * sentence, all its spans come back. The first line is the sentence, the second its translation;
 * words of it are terms of a glossary and stand-ins at the same time.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/utf8.h"
#include "core/translate/carry.h"

#define MOST (16 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const hg_plugin standing = {
    .name_in = {{"Tom", {"Tom", "トム"}, 2}, {"a", {"a", "b"}, 2}},
    .name_ins = 2,
    .number_in = {{"20", {"20", "zwanzig"}, 2}},
    .number_ins = 1,
};
static const hg_plugin bare; /* whose spans stand for themselves */

static void check_spans(const char *text, size_t bytes, const hg_protected_list *list)
{
    size_t at = 0;
    for (uint32_t i = 0; i < list->count; i++) {
        const hg_protected *span = &list->span[i];
        assert(span->start >= at && span->count && span->count <= bytes - span->start);
        at = span->start + span->count;
        assert(hg_utf8_valid(text + span->start, span->count) == span->count);
        assert(hg_protected_at(list, span->start) == span);
    }
}

static void translate(const hg_carry *carry, const char *text, size_t bytes)
{
    hg_buf out = hg_buf_new(64 * MOST);
    hg_restoring r = {.out = &out};
    assert(!hg_carry_restore(carry, 0, text, bytes, &r));
    uint64_t missing = hg_carry_missing(carry, r.found, 0);
    assert((r.safe == SIZE_MAX) == !missing);
    if (missing) assert(!hg_carry_place(carry, 0, &r, 0, 0));
    assert(hg_utf8_valid(hg_buf_text(&out), out.length) == out.length);
    for (uint32_t i = 0; i < carry->spans; i++)
        assert(memmem(hg_buf_text(&out), out.length, carry->span[i].text, carry->span[i].bytes));
    for (size_t at = 0; at <= bytes && at < 64; at++)
        assert(hg_carry_outside(carry, text, bytes, at) <= at);
    hg_buf_free(&out);
}

static void carry_through(const char *text, size_t bytes, const hg_protected_list *list,
                          const hg_plugin *plugin, const char *translation)
{
    hg_carried_past past = {0};
    const hg_carry_of of = {
        .text = text, .end = bytes, .kept = list, .plugin = plugin, .past = &past};
    hg_carry *carry, *again;
    assert(!hg_carry_new(&of, &carry));
    if (!carry) return;
    translate(carry, translation, strlen(translation));
    hg_carry_remember(carry, &past);
    assert(hg_carry_holds(&of, bytes));
    if (hg_carry_retry(carry, UINT64_MAX, &past)) {
        assert(!hg_carry_new(&of, &again));
        translate(again, translation, strlen(translation));
        hg_carry_free(again);
    }
    hg_carry_free(carry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > MOST || memchr(data, 0, size) || hg_utf8_valid((const char *)data, size) != size)
        return 0;
    char *text = strndup((const char *)data, size);
    assert(text);
    static const char *const word[] = {"Tom", "die Karte", "20"};
    const hg_terms terms = {.word = word, .count = 3};
    hg_protected_list list = {0}, plain = {0};
    assert(!hg_protected_find(text, size, &terms, &list));
    check_spans(text, size, &list);
    hg_protected_free(&list);
    char *translation = strchr(text, '\n');
    if (translation) *translation++ = '\0';
    const size_t bytes = strlen(text);
    assert(!hg_protected_find(text, bytes, NULL, &plain));
    carry_through(text, bytes, &plain, &standing, translation ? translation : "");
    carry_through(text, bytes, &plain, &bare, translation ? translation : "");
    hg_protected_free(&plain);
    free(text);
    return 0;
}
