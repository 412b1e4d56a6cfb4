/* carry.c: the sentence that is translated, and what comes back. See carry.h. */
#include "core/translate/carry.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include "core/translate/spread.h"

_Static_assert(HG_LIMIT_PROTECTED <= 64, "a mask has a bit for each span");

/* ---- stand-ins ---- */

static const hg_stand_in *stand_ins(const hg_plugin *plugin, hg_protected_kind kind,
                                    uint32_t *count)
{
    bool number = kind == HG_PROTECTED_NUMBER;
    *count = number ? plugin->number_ins : plugin->name_ins;
    return number ? plugin->number_in : plugin->name_in;
}

/* What stands for the span; NULL: itself. */
static const hg_stand_in *stand_in(const hg_carry *carry, const hg_carry_span *span)
{
    uint32_t count;
    const hg_stand_in *table = stand_ins(carry->plugin, span->is.kind, &count);
    assert(span->is.stand_in < (int32_t)count);
    return span->is.stand_in < 0 ? NULL : &table[span->is.stand_in];
}

/* Whether another span of that kind has this stand-in. */
static bool is_used(const hg_carried *span, uint32_t spans, size_t stride, hg_protected_kind kind,
                    int32_t which)
{
    for (uint32_t i = 0; i < spans; i++) {
        const hg_carried *other = (const hg_carried *)((const char *)span + i * stride);
        bool same = (other->kind == HG_PROTECTED_NUMBER) == (kind == HG_PROTECTED_NUMBER);
        if (same && other->stand_in == which) return true;
    }
    return false;
}

/* Whether word stands in text [bytes] as a word. */
static bool has_word(const char *text, size_t bytes, const char *word)
{
    const size_t length = strlen(word);
    for (size_t at = 0; at + length <= bytes; at++) {
        const char *next = memmem(text + at, bytes - at, word, length);
        if (!next) return false;
        at = (size_t)(next - text);
        if (!hg_text_in_word(text, at, bytes) && !hg_text_in_word(text, at + length, bytes))
            return true;
    }
    return false;
}

/* Numbers that small models have read often enough to copy them mostly: "5", "100", "1988". */
static bool is_common_number(const hg_carried *is, const char *text)
{
    if (is->kind != HG_PROTECTED_NUMBER || is->count > 4) return false;
    for (size_t i = 0; i < is->count; i++)
        if (text[is->start + i] < '0' || text[is->start + i] > '9') return false;
    return true;
}

/* The first stand-in that no other span has and that the sentence does not say itself; the one that
 * the past had for the same span, whatever it is. */
static int32_t choose(const hg_carry_of *of, const hg_carry *carry, const hg_carried *is)
{
    uint32_t count;
    const hg_stand_in *table = stand_ins(of->plugin, is->kind, &count);
    const hg_carried_past *past = of->past;
    for (uint32_t i = 0; past->generation == of->generation && i < past->spans; i++)
        if (past->span[i].start == is->start && past->span[i].kind == is->kind)
            return past->span[i].stand_in;
    if (is_common_number(is, of->text)) return HG_ITSELF;
    for (int32_t i = 0; i < (int32_t)count; i++) {
        if (is_used(&carry->span[0].is, carry->spans, sizeof *carry->span, is->kind, i)) continue;
        if (!has_word(of->text + of->start, of->end - of->start, table[i].word)) return i;
    }
    return count ? HG_LEFT_OUT : HG_ITSELF;
}

/* ---- making ---- */

/* FNV-1a. */
static uint32_t sign(const char *text, size_t bytes)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ (uint8_t)text[i]) * 16777619u;
    return hash;
}

/* The part of a span that lies in the sentence, and what comes back for it. False: nothing. */
static bool find_span(const hg_carry_of *of, const hg_protected *kept, hg_carry_span *out)
{
    size_t start = kept->start > of->start ? kept->start : of->start;
    size_t end = kept->start + kept->count < of->end ? kept->start + kept->count : of->end;
    if (start >= end) return false;
    *out = (hg_carry_span){.text = of->text + start, .bytes = end - start};
    if (kept->kind == HG_PROTECTED_TERM) {
        out->text = hg_glossary_find(of->glossary, kept->term, of->language);
        if (!out->text) return false;
        out->bytes = strlen(out->text);
    }
    out->is = (hg_carried){.start = start,
                           .count = end - start,
                           .kind = kept->kind,
                           .sign = sign(out->text, out->bytes),
                           .stand_in = HG_LEFT_OUT};
    return true;
}

static bool is_left_out(const hg_carry_span *span)
{
    return span->is.stand_in == HG_LEFT_OUT;
}

static bool is_white(const char *text, size_t at, size_t end)
{
    return at < end && (text[at] == ' ' || text[at] == '\t');
}

/* The space before the span goes with it, also from under those that stand there already. */
static void leave_space(hg_carry *carry, hg_carry_span *span)
{
    hg_buf *source = &carry->source;
    source->data[--source->length] = '\0';
    span->at = source->length;
    for (uint32_t i = carry->spans; i-- && carry->span[i].at > source->length;)
        carry->span[i].at = source->length;
}

/* White space on one side goes with the span, where there is some on both or a mark behind it. */
static void leave_out(const hg_carry_of *of, hg_carry *carry, hg_carry_span *span, size_t *from)
{
    const hg_buf *source = &carry->source;
    const bool before = source->length && source->data[source->length - 1] == ' ';
    const bool mark = *from < of->end && of->text[*from] && strchr(".,;:!?", of->text[*from]);
    if (before && mark && span->is.kind != HG_PROTECTED_OPENS) {
        leave_space(carry, span);
        span->spaced = true;
    } else if ((before || !source->length) && is_white(of->text, *from, of->end)) {
        ++*from;
        span->spaced = true;
    }
}

/* Appends what stands for the span to the source. *from: behind it in the text, with the white
 * space that leaves with it. */
static hg_status add_source(const hg_carry_of *of, hg_carry *carry, hg_carry_span *span,
                            size_t *from)
{
    hg_buf *source = &carry->source;
    *from = span->is.start + span->is.count;
    span->at = source->length;
    if (span->is.kind < HG_PROTECTED_ALONE) span->is.stand_in = choose(of, carry, &span->is);
    if (is_left_out(span)) {
        leave_out(of, carry, span, from);
        return HG_OK;
    }
    const hg_stand_in *in = stand_in(carry, span);
    span->literal = !in || has_word(of->text + of->start, of->end - of->start, in->word);
    if (span->is.kind == HG_PROTECTED_NUMBER && !in) span->literal = false; /* one is enough */
    hg_status status =
        in ? hg_buf_append_text(source, in->word) : hg_buf_append(source, span->text, span->bytes);
    span->content = source->length - span->at;
    return status;
}

/* When there are too many spans the last one reaches to the end of all of them. */
static void join_rest(const hg_carry_of *of, uint32_t next, hg_carry_span *last)
{
    for (; next < of->kept->count; next++) {
        hg_carry_span more;
        if (!find_span(of, &of->kept->span[next], &more)) continue;
        last->is.count = more.is.start + more.is.count - last->is.start;
        last->is.kind = HG_PROTECTED_NAME;
        last->text = of->text + last->is.start;
        last->bytes = last->is.count;
        last->is.sign = sign(last->text, last->bytes);
    }
}

static hg_status fill(const hg_carry_of *of, hg_carry *carry)
{
    size_t from = of->start, behind;
    hg_status status = HG_OK;
    for (uint32_t i = 0; i < of->kept->count && !status; i++) {
        hg_carry_span *span = &carry->span[carry->spans];
        if (carry->spans == HG_LIMIT_PROTECTED) break;
        if (!find_span(of, &of->kept->span[i], span)) continue;
        if (carry->spans == HG_LIMIT_PROTECTED - 1) join_rest(of, i + 1, span);
        status = hg_buf_append(&carry->source, of->text + from, span->is.start - from);
        if (!status) status = add_source(of, carry, span, &behind);
        if (status) break;
        from = behind;
        carry->spans++;
    }
    return status ? status : hg_buf_append(&carry->source, of->text + from, of->end - from);
}

hg_status hg_carry_new(const hg_carry_of *of, hg_carry **out)
{
    bool any = false;
    hg_carry_span span;
    *out = NULL;
    for (uint32_t i = 0; i < of->kept->count && !any; i++)
        any = find_span(of, &of->kept->span[i], &span);
    if (!any) return HG_OK;
    hg_carry *carry = calloc(1, sizeof *carry);
    if (!carry) return HG_ERROR_MEMORY;
    carry->plugin = of->plugin;
    carry->generation = of->generation;
    carry->source = hg_buf_new(2 * HG_LIMIT_FRAME);
    hg_status status = fill(of, carry);
    if (status)
        hg_carry_free(carry);
    else
        *out = carry;
    return status;
}

void hg_carry_free(hg_carry *carry)
{
    if (!carry) return;
    hg_buf_free(&carry->source);
    free(carry);
}

/* ---- the past ---- */

void hg_carry_remember(const hg_carry *carry, hg_carried_past *past)
{
    past->spans = 0;
    if (!carry) return;
    past->generation = carry->generation;
    for (; past->spans < carry->spans; past->spans++)
        past->span[past->spans] = carry->span[past->spans].is;
}

bool hg_carry_retry(const hg_carry *carry, uint64_t missing, hg_carried_past *past)
{
    bool any = false;
    assert(past->spans == carry->spans && past->generation == carry->generation);
    for (uint32_t i = 0; i < past->spans; i++) {
        hg_carried *span = &past->span[i];
        uint32_t count;
        const hg_stand_in *table = stand_ins(carry->plugin, span->kind, &count);
        if (!(missing >> i & 1) || span->stand_in == HG_LEFT_OUT) continue;
        for (int32_t k = 1; k <= (int32_t)count; k++) {
            int32_t next = (span->stand_in + k) % (int32_t)count;
            if (is_used(past->span, past->spans, sizeof *past->span, span->kind, next)) continue;
            if (has_word(hg_buf_text(&carry->source), carry->source.length, table[next].word))
                continue;
            span->stand_in = next;
            any = true;
            break;
        }
    }
    return any;
}

bool hg_carry_holds(const hg_carry_of *of, size_t bytes)
{
    const hg_carried_past *past = of->past;
    uint32_t at = 0;
    while (at < past->spans && past->span[at].start < of->start) at++;
    for (uint32_t i = 0; i < of->kept->count; i++) {
        hg_carry_span now;
        if (!find_span(of, &of->kept->span[i], &now) || now.is.start >= bytes) continue;
        const hg_carried *then = at < past->spans ? &past->span[at++] : NULL;
        if (!then || then->start != now.is.start || then->count != now.is.count ||
            then->sign != now.is.sign || then->kind != now.is.kind)
            return false;
    }
    return at == past->spans || past->span[at].start >= bytes;
}

/* ---- coming back ---- */

static bool is_digit(const char *text, size_t at, size_t bytes)
{
    return at < bytes && text[at] >= '0' && text[at] <= '9';
}

/* What stands for a number may come back with zeros behind a point ("20.00 Uhr"), which then stand
 * for it too; with other digits it is another number. Bytes of the form of n at `at`; 0: it is
 * none.
 */
static size_t whole_number(const char *text, size_t bytes, size_t at, size_t n)
{
    size_t end = at + n;
    if (!is_digit(text, end - 1, bytes) || end >= bytes || !strchr(".,:", text[end])) return n;
    if (!is_digit(text, end + 1, bytes)) return n;
    for (end++; end < bytes && text[end] == '0'; end++) continue;
    return is_digit(text, end, bytes) ? 0 : end - at;
}

/* Bytes of text [bytes] at which the span itself is, its digits perhaps as wide as Han; 0: none. */
static size_t itself_at(const hg_carry_span *span, const char *text, size_t bytes, size_t at)
{
    const size_t from = at;
    for (size_t i = 0; i < span->bytes; i++) {
        const char c = span->text[i];
        const char wide[4] = {'\xEF', '\xBC', (char)(0x90 + (c - '0')), '\0'};
        if (at < bytes && text[at] == c)
            at++;
        else if (span->is.kind == HG_PROTECTED_NUMBER && is_digit(span->text, i, span->bytes) &&
                 bytes - at >= 3 && memcmp(text + at, wide, 3) == 0)
            at += 3;
        else
            return 0;
    }
    return at - from;
}

/* Bytes of text [bytes] at which a form of the span is, whole; 0: none. No word goes on at `at`. */
static size_t form_at(const hg_carry *carry, const hg_carry_span *span, const char *text,
                      size_t bytes, size_t at)
{
    const hg_stand_in *in = stand_in(carry, span);
    size_t longest = 0;
    if (is_left_out(span)) return 0;
    if (!in) {
        size_t n = itself_at(span, text, bytes, at);
        if (n && span->is.kind == HG_PROTECTED_NUMBER) n = whole_number(text, bytes, at, n);
        return n && !hg_text_in_word(text, at + n, bytes) ? n : 0;
    }
    for (uint32_t i = 0; i < in->forms; i++) {
        size_t n = hg_text_begins(text + at, bytes - at, in->form[i]);
        if (n) n = whole_number(text, bytes, at, n);
        if (n > longest && !hg_text_in_word(text, at + n, bytes)) longest = n;
    }
    return longest;
}

static bool has(uint64_t mask, uint32_t i)
{
    return mask >> i & 1;
}

/* A span that comes back. */
typedef struct return_of {
    uint32_t span; /* carry->spans: none does */
    size_t count;  /* bytes of its form */
    bool again;    /* it has come before: this form is to be dropped */
} return_of;

/* What comes back at `at`. */
static return_of span_at(const hg_carry *carry, uint64_t had, const char *text, size_t bytes,
                         size_t at)
{
    return_of best = {.span = carry->spans};
    if (hg_text_in_word(text, at, bytes)) return best;
    for (uint32_t i = 0; i < carry->spans; i++) {
        const hg_carry_span *span = &carry->span[i];
        if (has(had, i) && span->literal) continue;
        size_t n = form_at(carry, span, text, bytes, at);
        if (n < best.count || !n || (n == best.count && has(had, i))) continue;
        if (n == best.count && !best.again) continue; /* the first of two alike */
        best = (return_of){i, n, has(had, i)};
    }
    return best;
}

uint64_t hg_carry_contained(const hg_carry *carry, uint64_t placed, const char *text, size_t bytes)
{
    uint64_t found = 0;
    for (size_t at = 0; at < bytes;) {
        size_t count = 1;
        for (uint32_t i = 0; i < carry->spans; i++) {
            const hg_carry_span *span = &carry->span[i];
            if (has(placed | found, i) || span->bytes > bytes - at ||
                memcmp(text + at, span->text, span->bytes) != 0 ||
                hg_text_in_word(text, at, bytes) || hg_text_in_word(text, at + span->bytes, bytes))
                continue;
            found |= (uint64_t)1 << i;
            count = span->bytes;
            break;
        }
        at += count;
    }
    return found;
}

uint64_t hg_carry_missing(const hg_carry *carry, uint64_t found, uint64_t placed)
{
    uint64_t all = carry->spans == 64 ? UINT64_MAX : ((uint64_t)1 << carry->spans) - 1;
    return all & ~(found | placed);
}

uint64_t hg_carry_lost(const hg_carry *carry, uint64_t found, uint64_t placed)
{
    uint64_t lost = hg_carry_missing(carry, found, placed);
    for (uint32_t i = 0; i < carry->spans; i++)
        if (is_left_out(&carry->span[i])) lost &= ~((uint64_t)1 << i);
    return lost;
}

/* A word that is dropped takes the white space before it along. */
static void drop_space(hg_buf *out, size_t begin)
{
    if (out->length > begin && out->data[out->length - 1] == ' ') out->data[--out->length] = '\0';
}

static UChar32 char_at(const char *text, size_t at, size_t bytes)
{
    UChar32 c = 0;
    if (at < bytes) U8_NEXT_UNSAFE(text, at, c);
    return c;
}

static UChar32 char_before(const char *text, size_t at)
{
    UChar32 c = 0;
    if (at) U8_PREV_UNSAFE(text, at, c);
    return c;
}

/* Whether a reader could take c for a part of the span that it touches: digits of a number, and
 * letters of any script of an address or a tag, which others make links of. */
static bool would_join(const hg_carry_span *span, UChar32 c)
{
    if (span->is.kind == HG_PROTECTED_NUMBER) return u_isdigit(c);
    bool linked = strchr("#@", *span->text) || memmem(span->text, span->bytes, "//", 2) ||
                  memchr(span->text, '@', span->bytes);
    return span->is.kind == HG_PROTECTED_NAME && linked && u_isalnum(c);
}

static bool needs_space(const hg_carry_span *span, const char *text, size_t at, size_t bytes)
{
    return would_join(span, char_at(text, at, bytes));
}

/* Appends the span; *to: where it stands behind begin. */
static hg_status put_back(const hg_carry_span *span, size_t begin, hg_restoring *r, size_t *to)
{
    hg_status status = HG_OK;
    if (r->out->length > begin && would_join(span, char_before(r->out->data, r->out->length)))
        status = hg_buf_append_text(r->out, " ");
    *to = r->out->length - begin;
    return status ? status : hg_buf_append(r->out, span->text, span->bytes);
}

hg_status hg_carry_restore(const hg_carry *carry, uint64_t placed, const char *text, size_t bytes,
                           hg_restoring *r)
{
    const size_t begin = r->out->length;
    hg_status status = HG_OK;
    r->found = 0;
    r->safe = 0;
    for (size_t at = 0, next; at < bytes && !status; at = next) {
        const return_of it = span_at(carry, placed | r->found, text, bytes, at);
        next = at + it.count;
        if (it.span < carry->spans && !it.again) {
            const hg_carry_span *span = &carry->span[it.span];
            r->found |= (uint64_t)1 << it.span;
            r->safe = next;
            status = put_back(span, begin, r, &r->to[it.span]);
            if (!status && needs_space(span, text, next, bytes))
                status = hg_buf_append_text(r->out, " ");
        } else if (it.span < carry->spans) {
            drop_space(r->out, begin);
        } else {
            U8_FWD_1(text, next, bytes);
            status = hg_buf_append(r->out, text + at, next - at);
        }
    }
    uint64_t missing = hg_carry_missing(carry, r->found, placed);
    if (!missing)
        r->safe = SIZE_MAX;
    else if (missing != hg_carry_lost(carry, r->found, placed))
        r->safe = 0; /* the place of what was left out is known at the end */
    return status;
}

/* Whether word [count] stands at `from`, as far as text [bytes] goes, and goes on behind `at`. */
static bool goes_on(const char *text, size_t bytes, size_t from, size_t at, const char *word,
                    size_t count)
{
    size_t n = 0;
    while (n < count && from + n < bytes && text[from + n] == word[n]) n++;
    if (n < count && from + n < bytes) return false;
    return n < count || from + count > at;
}

size_t hg_carry_outside(const hg_carry *carry, const char *text, size_t bytes, size_t at)
{
    size_t outside = at;
    for (uint32_t i = 0; i < carry->spans; i++) {
        const hg_carry_span *span = &carry->span[i];
        const hg_stand_in *in = stand_in(carry, span);
        if (is_left_out(span)) continue;
        for (uint32_t k = 0; k < (in ? in->forms : 1); k++) {
            const char *word = in ? in->form[k] : span->text;
            const size_t count = in ? strlen(word) : span->bytes;
            for (size_t from = at > count ? at - count : 0; from < outside; from++)
                if (goes_on(text, bytes, from, at, word, count)) outside = from;
        }
    }
    return outside;
}

/* ---- what did not come ---- */

/* Appends the span at byte `at` of the translation [bytes], with the white space it needs. */
static hg_status insert(const hg_carry_span *span, const char *translation, size_t bytes, size_t at,
                        hg_buf *out)
{
    bool apart = span->spaced || span->content;
    bool space = out->length && !strchr(" \n", out->data[out->length - 1]);
    hg_status status = HG_OK;
    if (apart && space) status = hg_buf_append_text(out, " ");
    if (!status) status = hg_buf_append(out, span->text, span->bytes);
    if (!status && apart && u_isalnum(char_at(translation, at, bytes)))
        status = hg_buf_append_text(out, " ");
    return status;
}

/* The spans that do not stand before the translation, as what is to be spread. which: of each. */
static uint32_t set_spots(const hg_carry *carry, uint64_t placed, const hg_restoring *r,
                          hg_spot *spot, uint32_t *which)
{
    uint32_t spots = 0;
    for (uint32_t i = 0; i < carry->spans; i++) {
        const hg_carry_span *span = &carry->span[i];
        if (has(placed, i)) continue;
        which[spots] = i;
        spot[spots++] = (hg_spot){.at = span->at,
                                  .content = span->content,
                                  .opens = span->is.kind == HG_PROTECTED_OPENS,
                                  .closes = span->is.kind == HG_PROTECTED_CLOSES,
                                  .to = r->to[i],
                                  .own = has(r->found, i) ? span->bytes : 0,
                                  .fixed = has(r->found, i)};
    }
    return spots;
}

hg_status hg_carry_place(const hg_carry *carry, uint64_t placed, const hg_restoring *r,
                         size_t begin, size_t from)
{
    hg_spot spot[HG_LIMIT_PROTECTED];
    uint32_t which[HG_LIMIT_PROTECTED];
    hg_buf *out = r->out, was = hg_buf_new(out->maximum);
    hg_status status = hg_buf_append(&was, hg_buf_text(out) + begin, out->length - begin);
    if (status) {
        hg_buf_free(&was);
        return status;
    }
    const char *translation = hg_buf_text(&was);
    hg_spread spread = {.text = hg_buf_text(&carry->source),
                        .bytes = carry->source.length,
                        .translation = translation,
                        .translated = was.length,
                        .from = from,
                        .spot = spot};
    const uint32_t spots = spread.spots = set_spots(carry, placed, r, spot, which);
    hg_spread_out(&spread);
    size_t at = 0;
    out->length = begin;
    for (uint32_t i = 0; i < spots && !status; i++) {
        if (has(r->found, which[i])) continue;
        status = hg_buf_append(out, translation + at, spot[i].to - at);
        at = spot[i].to;
        if (!status) status = insert(&carry->span[which[i]], translation, was.length, at, out);
    }
    if (!status) status = hg_buf_append(out, translation + at, was.length - at);
    hg_buf_free(&was);
    return status;
}
