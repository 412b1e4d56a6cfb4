/* tokenizer.c: byte-level BPE encoding.
 *
 * The pre-tokenizer's regular expression (ICU, over UTF-16) cuts text into words; each word starts
 * as its bytes, and the neighbours with the lowest merge rank, leftmost first, become one token
 * until no neighbours merge (Sennrich et al. 2016). A heap of (rank, place) finds them, so a word
 * of n bytes costs O(n log n), whatever it holds.
 *
 * All scratch memory belongs to the call; the tokenizer itself is never written after load.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/ustring.h>

#include "core/base/limits.h"
#include "core/text/tokenizer_internal.h"
#include "core/text/utf8.h"

/* ---- lists of ids ---- */

hg_status hg_tokens_append(hg_tokens *tokens, int32_t id)
{
    assert(tokens->count <= tokens->capacity);
    if (tokens->count == tokens->capacity) {
        uint32_t capacity = tokens->capacity ? tokens->capacity * 2 : 32;
        if (capacity > INT32_MAX / sizeof *tokens->id) return HG_ERROR_LIMIT;
        int32_t *grown = realloc(tokens->id, capacity * sizeof *grown);
        if (!grown) return HG_ERROR_MEMORY;
        tokens->id = grown;
        tokens->capacity = capacity;
    }
    tokens->id[tokens->count++] = id;
    return HG_OK;
}

void hg_tokens_free(hg_tokens *tokens)
{
    free(tokens->id);
    *tokens = (hg_tokens){0};
}

/* ---- the two tables ---- */

uint32_t hg_tokenizer_word_hash(const char *bytes, size_t count)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < count; i++) hash = (hash ^ (uint8_t)bytes[i]) * 16777619u;
    return hash ^ hash >> 15;
}

uint32_t hg_tokenizer_merge_hash(int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    key *= 0x9E3779B97F4A7C15u; /* Fibonacci hashing; the high bits are the mixed ones */
    return (uint32_t)(key >> 32);
}

int32_t hg_tokenizer_word(const hg_tokenizer *tokenizer, const char *bytes, size_t count)
{
    for (uint32_t at = hg_tokenizer_word_hash(bytes, count);; at++) {
        int32_t id = tokenizer->words[at & tokenizer->word_mask];
        if (id < 0) return -1;
        const uint32_t *start = tokenizer->start + id;
        if (start[1] - start[0] == count && memcmp(tokenizer->bytes + start[0], bytes, count) == 0)
            return id;
    }
}

const hg_merge *hg_tokenizer_merge(const hg_tokenizer *tokenizer, int32_t left, int32_t right)
{
    for (uint32_t at = hg_tokenizer_merge_hash(left, right);; at++) {
        const hg_merge *merge = &tokenizer->merges[at & tokenizer->merge_mask];
        if (merge->left < 0) return NULL;
        if (merge->left == left && merge->right == right) return merge;
    }
}

/* ---- one word ---- */

#define WORD_INLINE 128 /* bytes of a word that needs no allocation */

/* A symbol is named by the place of its first byte; next and previous link the living ones. */
typedef struct symbol {
    int32_t id; /* -1 once the symbol is part of the one before it */
    int32_t previous, next;
} symbol;

/* Scratch of one call of encode. */
typedef struct encoder {
    const hg_tokenizer *tokenizer;
    hg_tokens *out;
    symbol *symbols;     /* [capacity] */
    uint64_t *heap;      /* [3 * capacity]: rank << 32 | place, smallest first */
    size_t capacity;     /* bytes of the longest word that fits */
    uint32_t heap_count; /* at most one entry per first pair, two more per merge: below 3n */
    symbol symbols_inline[WORD_INLINE];
    uint64_t heap_inline[3 * WORD_INLINE];
} encoder;

/* The struct is some kilobytes: its inline arrays are not cleared. */
static void encoder_start(encoder *e, const hg_tokenizer *tokenizer, hg_tokens *out)
{
    e->tokenizer = tokenizer;
    e->out = out;
    e->symbols = e->symbols_inline;
    e->heap = e->heap_inline;
    e->capacity = WORD_INLINE;
    e->heap_count = 0;
}

static void encoder_end(encoder *e)
{
    if (e->symbols != e->symbols_inline) free(e->symbols);
    if (e->heap != e->heap_inline) free(e->heap);
}

/* Makes room for a word of count bytes; what the arrays held is lost. */
static hg_status encoder_reserve(encoder *e, size_t count)
{
    if (count <= e->capacity) return HG_OK;
    symbol *symbols = malloc(count * sizeof *symbols);
    uint64_t *heap = malloc(3 * count * sizeof *heap);
    if (!symbols || !heap) {
        free(symbols);
        free(heap);
        return HG_ERROR_MEMORY;
    }
    encoder_end(e);
    e->symbols = symbols;
    e->heap = heap;
    e->capacity = count;
    return HG_OK;
}

/* A binary heap of keys; rank in the high half makes the lowest rank come first, and among equal
 * ranks the leftmost place. */
static void heap_push(encoder *e, uint64_t key)
{
    assert(e->heap_count < 3 * e->capacity);
    uint32_t at = e->heap_count++;
    for (; at && e->heap[(at - 1) / 2] > key; at = (at - 1) / 2)
        e->heap[at] = e->heap[(at - 1) / 2];
    e->heap[at] = key;
}

static uint64_t heap_pop(encoder *e)
{
    assert(e->heap_count);
    uint64_t top = e->heap[0], moved = e->heap[--e->heap_count];
    uint32_t at = 0;
    for (uint32_t child; (child = 2 * at + 1) < e->heap_count; at = child) {
        if (child + 1 < e->heap_count && e->heap[child + 1] < e->heap[child]) child++;
        if (e->heap[child] >= moved) break;
        e->heap[at] = e->heap[child];
    }
    e->heap[at] = moved;
    return top;
}

/* What the symbol at place and its right neighbour merge into, or NULL. */
static const hg_merge *merge_at(const encoder *e, int32_t place)
{
    const symbol *left = &e->symbols[place];
    if (left->id < 0 || left->next < 0) return NULL;
    return hg_tokenizer_merge(e->tokenizer, left->id, e->symbols[left->next].id);
}

/* Enters the pair that begins at place, if it merges; place may be -1. */
static void offer(encoder *e, int32_t place)
{
    const hg_merge *merge = place < 0 ? NULL : merge_at(e, place);
    if (merge) heap_push(e, (uint64_t)merge->rank << 32 | (uint32_t)place);
}

/* Joins the symbol at place with the one to its right, and offers the two new pairs. */
static void join(encoder *e, int32_t place, int32_t made)
{
    symbol *left = &e->symbols[place], *right = &e->symbols[left->next];
    left->id = made;
    left->next = right->next;
    right->id = -1;
    if (left->next >= 0) e->symbols[left->next].previous = place;
    offer(e, left->previous);
    offer(e, place);
}

/* Appends the ids of one word of count >= 1 bytes. */
static hg_status encode_word(encoder *e, const char *bytes, size_t count)
{
    const hg_tokenizer *tokenizer = e->tokenizer;
    if (tokenizer->ignore_merges) {
        int32_t id = hg_tokenizer_word(tokenizer, bytes, count);
        if (id >= 0) return hg_tokens_append(e->out, id);
    }
    hg_status status = encoder_reserve(e, count);
    if (status) return status;
    int32_t n = 0;
    for (size_t i = 0; i < count; i++) {
        int32_t id = tokenizer->byte_token[(uint8_t)bytes[i]];
        if (id < 0) continue; /* a byte that the vocabulary lacks: see hg_vocabulary */
        e->symbols[n] = (symbol){.id = id, .previous = n - 1, .next = n + 1};
        n++;
    }
    if (!n) return HG_OK;
    e->symbols[n - 1].next = -1;
    e->heap_count = 0;
    for (int32_t i = 0; i + 1 < n; i++) offer(e, i);
    while (e->heap_count) {
        uint64_t key = heap_pop(e);
        const hg_merge *merge = merge_at(e, (int32_t)(uint32_t)key);
        /* An entry whose symbols have merged otherwise meanwhile is out of date: its rank tells. */
        if (merge && merge->rank == key >> 32) join(e, (int32_t)(uint32_t)key, merge->made);
    }
    for (int32_t i = 0; i >= 0 && !status; i = e->symbols[i].next)
        status = hg_tokens_append(e->out, e->symbols[i].id);
    return status;
}

/* ---- text to words ---- */

/* A place in the same text as UTF-8 and as UTF-16. */
typedef struct place {
    size_t byte;
    int32_t unit;
} place;

/* The place `unit` UTF-16 units into text, at or after p: matches come in order, so one walk over
 * the text finds them all. */
static place place_forward(place p, const char *text, int32_t unit)
{
    while (p.unit < unit) {
        size_t width = hg_utf8_width((uint8_t)text[p.byte]);
        assert(width); /* the text was checked */
        p.byte += width;
        p.unit += width == 4 ? 2 : 1;
    }
    return p;
}

static hg_status fail_regex(UErrorCode icu, hg_error *error)
{
    hg_status status = icu == U_MEMORY_ALLOCATION_ERROR ? HG_ERROR_MEMORY : HG_ERROR_LIMIT;
    return hg_fail(error, status,
                   "text: the tokenizer's split pattern gave up (%s): send a shorter text",
                   u_errorName(icu));
}

/* One text on its way to words. */
typedef struct splitter {
    encoder *e;
    const char *text;
    hg_error *error;
    URegularExpression *matcher[HG_LIMIT_SPLITS]; /* one for each split of the tokenizer */
    int32_t units;                                /* of the text as UTF-16 */
} splitter;

/* Encodes from `from` to UTF-16 unit `to`, if there is anything, by the splits from step on, and
 * moves *from there. Matches and what lies between them are pieces, each for the next split: the
 * library's behaviour "Isolated". */
static hg_status encode_piece(splitter *s, uint32_t step, place *from, int32_t to)
{
    if (from->unit == to) return HG_OK;
    if (step == s->e->tokenizer->splits) {
        size_t start = from->byte;
        *from = place_forward(*from, s->text, to);
        return encode_word(s->e, s->text + start, from->byte - start);
    }
    assert(step < HG_LIMIT_SPLITS);
    UErrorCode icu = U_ZERO_ERROR;
    hg_status status = HG_OK;
    URegularExpression *matcher = s->matcher[step];
    uregex_setRegion(matcher, from->unit, to, &icu);
    while (!status && uregex_findNext(matcher, &icu)) {
        int32_t start = uregex_start(matcher, 0, &icu), end = uregex_end(matcher, 0, &icu);
        status = encode_piece(s, step + 1, from, start);
        if (!status) status = encode_piece(s, step + 1, from, end);
    }
    if (U_FAILURE(icu)) return fail_regex(icu, s->error);
    return status ? status : encode_piece(s, step + 1, from, to);
}

/* ---- added tokens ---- */

/* The longest special or added token of the early or late ones that stands at text, or NULL. */
static const hg_fixed *fixed_at(const hg_tokenizer *t, bool late, const char *text, size_t count)
{
    const hg_fixed *longest = NULL;
    if (count == 0) return NULL;
    uint32_t end = t->fixed_first[(uint8_t)text[0] + 1];
    for (uint32_t i = t->fixed_first[(uint8_t)text[0]]; i < end; i++) {
        const hg_fixed *f = &t->fixed[i];
        if (f->late != late || f->length > count || memcmp(f->text, text, f->length) != 0) continue;
        longest = f; /* texts that begin alike are in order of length */
    }
    return longest;
}

/* Encodes the bytes from *from to `to`: added tokens of this round are found, leftmost and longest
 * first, and what lies between them goes on. A special token hides what begins inside it, but stays
 * text, as the library has it with encode_special_tokens. */
static hg_status encode_added(splitter *s, int round, place *from, place to)
{
    const hg_tokenizer *t = s->e->tokenizer;
    if (round == 2) return encode_piece(s, 0, from, to.unit);
    place at = *from;
    hg_status status = HG_OK;
    while (t->adds[round] && !status && at.byte < to.byte) {
        const hg_fixed *f = fixed_at(t, round == 1, s->text + at.byte, to.byte - at.byte);
        place start = at;
        size_t end = at.byte + (f ? f->length : 1);
        while (at.byte < end) at = place_forward(at, s->text, at.unit + 1);
        if (!f || f->special) continue;
        status = encode_added(s, round + 1, from, start);
        if (!status) status = hg_tokens_append(s->e->out, f->id);
        *from = at;
    }
    return status ? status : encode_added(s, round + 1, from, to);
}

/* ---- the whole text ---- */

/* Makes the text UTF-16 in wide [count] and a matcher for each split. */
static hg_status splitter_start(splitter *s, UChar *wide, size_t count)
{
    UErrorCode icu = U_ZERO_ERROR;
    const hg_tokenizer *t = s->e->tokenizer;
    u_strFromUTF8(wide, (int32_t)count, &s->units, s->text, (int32_t)count, &icu);
    for (uint32_t i = 0; i < t->splits; i++) {
        s->matcher[i] = uregex_clone(t->split[i], &icu);
        if (!s->matcher[i]) return HG_ERROR_MEMORY;
        uregex_setTimeLimit(s->matcher[i], HG_LIMIT_REGEX_TIME + s->units / 64, &icu);
        uregex_setText(s->matcher[i], wide, s->units, &icu);
    }
    return U_FAILURE(icu) ? HG_ERROR_MEMORY : HG_OK;
}

static hg_status encode_text(encoder *e, const char *text, size_t count, hg_error *error)
{
    splitter s = {.e = e, .text = text, .error = error};
    place from = {0};
    UChar *wide = malloc(count * sizeof *wide); /* UTF-16 never has more units than UTF-8 bytes */
    hg_status status = wide ? splitter_start(&s, wide, count) : HG_ERROR_MEMORY;
    if (!status) status = encode_added(&s, 0, &from, (place){count, s.units});
    for (uint32_t i = 0; i < e->tokenizer->splits; i++) {
        if (s.matcher[i]) uregex_close(s.matcher[i]);
    }
    free(wide);
    return status;
}

hg_status hg_tokenizer_encode(const hg_tokenizer *tokenizer, const char *text, size_t count,
                              hg_tokens *out, hg_error *error)
{
    if (count == 0) return HG_OK;
    if (count > HG_LIMIT_TOKENIZER_TEXT)
        return hg_fail(error, HG_ERROR_LIMIT, "text: %zu bytes, more than the %d that are encoded",
                       count, (int)HG_LIMIT_TOKENIZER_TEXT);
    size_t valid = hg_utf8_valid(text, count);
    if (valid != count)
        return hg_fail(error, HG_ERROR_FORMAT, "text: not valid UTF-8 at byte %zu (0x%02x)", valid,
                       (uint8_t)text[valid]);
    uint32_t before = out->count;
    encoder e;
    encoder_start(&e, tokenizer, out);
    hg_status status = encode_text(&e, text, count, error);
    encoder_end(&e);
    if (status) out->count = before;
    if (status == HG_ERROR_MEMORY)
        return hg_fail(error, status, "text: no memory to encode %zu bytes", count);
    return status;
}

/* ---- what is known of a token ---- */

uint32_t hg_tokenizer_vocabulary(const hg_tokenizer *tokenizer)
{
    return tokenizer->count;
}

int32_t hg_tokenizer_special(const hg_tokenizer *tokenizer, const char *text, size_t count)
{
    size_t length;
    int32_t id = hg_tokenizer_special_at(tokenizer, text, count, &length);
    return length == count ? id : -1;
}

int32_t hg_tokenizer_special_at(const hg_tokenizer *tokenizer, const char *text, size_t count,
                                size_t *length)
{
    int32_t id = -1;
    *length = 0;
    if (count == 0) return -1;
    uint32_t end = tokenizer->fixed_first[(uint8_t)text[0] + 1];
    for (uint32_t i = tokenizer->fixed_first[(uint8_t)text[0]]; i < end; i++) {
        const hg_fixed *f = &tokenizer->fixed[i];
        if (!f->special || f->length > count || memcmp(f->text, text, f->length) != 0) continue;
        id = f->id; /* texts that begin alike are in order of length */
        *length = f->length;
    }
    return id;
}

const char *hg_tokenizer_bytes(const hg_tokenizer *tokenizer, int32_t id, size_t *count)
{
    *count = 0;
    if (id < 0 || (uint32_t)id >= tokenizer->count) return "";
    *count = tokenizer->start[id + 1] - tokenizer->start[id];
    return tokenizer->bytes + tokenizer->start[id];
}

void hg_tokenizer_close(hg_tokenizer *tokenizer)
{
    if (!tokenizer) return;
    for (uint32_t i = 0; i < tokenizer->fixed_count; i++) free(tokenizer->fixed[i].text);
    free(tokenizer->fixed);
    free(tokenizer->bytes);
    free(tokenizer->start);
    free(tokenizer->words);
    free(tokenizer->merges);
    for (uint32_t i = 0; i < tokenizer->splits; i++) uregex_close(tokenizer->split[i]);
    free(tokenizer);
}
