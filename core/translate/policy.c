/* policy.c: see policy.h. All texts are valid UTF-8; borders are those of core/text/border.h. */
#include "core/translate/policy.h"

#include <assert.h>
#include <string.h>

#include "core/text/border.h"

/* ---- the past ---- */

static void drop(hg_past *past, uint32_t at)
{
    assert(at < past->count);
    hg_buf_free(&past->hypothesis[at].tail);
    past->count--;
    memmove(&past->hypothesis[at], &past->hypothesis[at + 1],
            (past->count - at) * sizeof *past->hypothesis);
}

void hg_past_free(hg_past *past)
{
    while (past->count) drop(past, past->count - 1);
}

void hg_past_forget(hg_past *past, size_t bytes)
{
    while (past->count && past->hypothesis[0].settled > bytes) drop(past, 0);
}

void hg_past_note(hg_past *past, const hg_hypothesis *now)
{
    const char *text = hg_buf_text(&now->tail);
    size_t bytes = now->tail.length;
    if (now->whole && !now->ended) bytes = hg_border_before_end_mark(text, bytes);
    if (!now->whole && past->count && bytes <= past->hypothesis[0].tail.length) return;
    hg_buf tail = hg_buf_new(now->tail.maximum);
    if (hg_buf_append(&tail, text, bytes)) return;
    while (past->count && past->hypothesis[0].settled >= now->settled) drop(past, 0);
    if (past->count == HG_LIMIT_AGREEMENT - 1) drop(past, past->count - 1);
    memmove(&past->hypothesis[1], &past->hypothesis[0], past->count * sizeof *past->hypothesis);
    past->hypothesis[0] = *now;
    past->hypothesis[0].tail = tail;
    past->count++;
}

void hg_past_commit(hg_past *past, const char *piece, size_t bytes)
{
    for (uint32_t i = past->count; bytes && i-- > 0;) {
        hg_buf *tail = &past->hypothesis[i].tail;
        if (tail->length < bytes || memcmp(tail->data, piece, bytes) != 0)
            drop(past, i);
        else
            hg_buf_consume(tail, bytes);
    }
}

/* ---- agreement ---- */

static size_t common(const hg_buf *a, const hg_buf *b, size_t most)
{
    if (most > a->length) most = a->length;
    if (most > b->length) most = b->length;
    size_t n = 0;
    while (n < most && a->data[n] == b->data[n]) n++;
    return n;
}

static bool is_border(const hg_hypothesis *h, size_t at)
{
    if (at == h->tail.length) return h->whole;
    return hg_border_before(h->tail.data, h->tail.length, at) == at;
}

size_t hg_policy_agreed(const hg_policy *policy, const hg_past *past, const hg_hypothesis *now)
{
    const hg_buf *tail = &now->tail;
    const hg_hypothesis *with[HG_LIMIT_AGREEMENT];
    uint32_t count = 0, others = policy->agreement - 1;
    size_t most = tail->length;
    assert(policy->agreement <= HG_LIMIT_AGREEMENT);
    if (!policy->agreement || !most) return 0;
    if (now->ended) others = 0;
    for (uint32_t i = 0; i < past->count && count < others; i++) {
        const hg_hypothesis *h = &past->hypothesis[i];
        if (h->settled >= now->settled) continue; /* of the same words */
        if (h->words < policy->least_words) break;
        most = common(tail, &h->tail, most);
        with[count++] = h;
    }
    if (count < others) return 0;
    /* The end of now's text is no border: the next word may change its last one. */
    size_t at = hg_border_before(tail->data, tail->length, most);
    while (at) {
        bool border = true;
        for (uint32_t i = 0; i < count; i++) border &= is_border(with[i], at);
        if (border) break;
        at = hg_border_before(tail->data, tail->length, at - 1);
    }
    return at;
}

uint32_t hg_policy_likely(const hg_policy *policy, const hg_past *past, const hg_hypothesis *now)
{
    hg_policy showing = *policy;
    showing.agreement = policy->likely;
    return hg_border_spaced_words(hg_buf_text(&now->tail), hg_policy_agreed(&showing, past, now));
}

/* ---- what is shown ---- */

/* The end of text without its last words; a word that is still being made is one of them. */
static size_t held_back(const hg_policy *policy, const hg_buf *text)
{
    size_t at = text->length;
    for (uint32_t i = 0; i < policy->hold_back && at; i++)
        at = hg_border_before(text->data, text->length, at - 1);
    return at;
}

static size_t ahead_of(uint32_t words, const hg_buf *text, size_t from)
{
    for (uint32_t i = 0; i < words && from < text->length; i++)
        from = hg_border_after(text->data, text->length, from);
    return from;
}

size_t hg_policy_shown(const hg_policy *policy, const hg_preview *preview, bool *change)
{
    const hg_buf *text = preview->text, *before = preview->before;
    size_t end = preview->ended ? text->length : held_back(policy, text);
    if (!preview->first && !preview->ended) {
        uint32_t words = policy->ahead > preview->likely ? policy->ahead : preview->likely;
        size_t most = ahead_of(words, text, preview->committed);
        if (end > most) end = most;
    }
    size_t same = common(text, before, text->length);
    bool diverges = same < before->length && same < text->length;
    if (diverges) same = same ? hg_border_before(text->data, text->length, same) : 0;
    if (end < same) end = same; /* said already, and said again */
    if (end < preview->committed) end = preview->committed;
    *change = end >= before->length && common(text, before, end) < end;
    return end;
}
