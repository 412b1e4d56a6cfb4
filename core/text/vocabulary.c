/* vocabulary.c: a vocabulary, checked, to a tokenizer.
 *
 * Everything that makes a tokenizer safe to use is checked here, whichever file it came from: words
 * are unique and spelled right, every byte has one, merges lead from words to words. Everything is
 * built into one hg_tokenizer, which hg_tokenizer_close frees in any state.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/ustring.h>

#include "core/base/limits.h"
#include "core/text/tokenizer_internal.h"
#include "core/text/utf8.h"

/* The highest code point of the byte alphabet: 68 bytes are spelled from U+0100 on. */
#define ALPHABET_END 0x144

/* What building needs and the tokenizer does not. */
typedef struct builder {
    const hg_vocabulary *v;
    hg_error *error;
    hg_tokenizer *tokenizer;
    int16_t alphabet[ALPHABET_END]; /* code point -> byte, or -1 */
} builder;

/* Every message begins with the file. Usage: return FAIL(b, status, format, ...). */
#define FAIL(b, status, format, ...)                                                               \
    hg_fail((b)->error, status, "%s: " format, (b)->v->file, __VA_ARGS__)

/* The length of a text in messages, as "%.*s" takes it. */
static int shown(uint32_t length)
{
    return length < 64 ? (int)length : 64;
}

static hg_status fail_memory(const builder *b)
{
    return FAIL(b, HG_ERROR_MEMORY, "no memory for the %s", "tokenizer");
}

/* ---- the byte alphabet ---- */

/* Bytes that print as themselves in Latin-1 are spelled so, the others in order from U+0100. */
static void alphabet_make(int16_t *alphabet)
{
    int next = 0x100;
    for (int i = 0; i < ALPHABET_END; i++) alphabet[i] = -1;
    for (int byte = 0; byte < 256; byte++) {
        bool prints =
            (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        alphabet[prints ? byte : next++] = (int16_t)byte;
    }
    assert(next == ALPHABET_END);
}

/* Writes the bytes that text spells to out [length]; -1 when a character spells no byte. */
static long word_read(const builder *b, const char *text, size_t length, char *out)
{
    long count = 0;
    if (b->v->raw_bytes) {
        memcpy(out, text, length);
        return (long)length;
    }
    for (size_t i = 0; i < length; i++) {
        unsigned code = (uint8_t)text[i];
        if (code >= 0xE0 || (code >= 0x80 && i + 1 == length)) return -1;
        if (code >= 0x80) code = (code & 0x1F) << 6 | ((uint8_t)text[++i] & 0x3F);
        if (code >= ALPHABET_END || b->alphabet[code] < 0) return -1;
        out[count++] = (char)b->alphabet[code];
    }
    return count;
}

/* ---- tokens ---- */

static bool is_added(const hg_vocabulary_token *token)
{
    return token->kind == HG_TOKEN_ADDED || token->kind == HG_TOKEN_ADDED_WORD;
}

/* Smallest power of two that keeps a table of count entries at most half full, minus one. */
static uint32_t table_mask(size_t count)
{
    uint32_t size = 16;
    while (size < 2 * count) size *= 2;
    return size - 1;
}

static hg_status insert_word(builder *b, uint32_t id)
{
    hg_tokenizer *t = b->tokenizer;
    const char *bytes = t->bytes + t->start[id];
    size_t count = t->start[id + 1] - t->start[id];
    int32_t other = hg_tokenizer_word(t, bytes, count);
    if (other >= 0)
        return FAIL(b, HG_ERROR_FORMAT, "%s: ids %d and %u are both \"%.*s\"", b->v->tokens_field,
                    other, id, shown(b->v->token[id].length), b->v->token[id].text);
    uint32_t at = hg_tokenizer_word_hash(bytes, count);
    while (t->words[at & t->word_mask] >= 0) at++;
    t->words[at & t->word_mask] = (int32_t)id;
    return HG_OK;
}

/* Appends the bytes of token id to the tokenizer's, and makes it a word if it is one. */
static hg_status build_token(builder *b, uint32_t id)
{
    hg_tokenizer *t = b->tokenizer;
    const hg_vocabulary_token *token = &b->v->token[id];
    char *bytes = t->bytes + t->start[id];
    t->start[id + 1] = t->start[id];
    if (token->kind == HG_TOKEN_UNUSED || token->kind == HG_TOKEN_SPECIAL) return HG_OK;
    long count = word_read(b, token->text, token->length, bytes);
    bool word = count > 0 && token->kind != HG_TOKEN_ADDED;
    if (count <= 0 && token->kind == HG_TOKEN_WORD)
        return FAIL(b, HG_ERROR_UNSUPPORTED,
                    "%s: \"%.*s\" (id %u) is not spelled in the byte-level alphabet",
                    b->v->tokens_field, shown(token->length), token->text, id);
    if (count <= 0) { /* decoding gives an added token as it stands when it spells no bytes */
        count = token->length;
        memcpy(bytes, token->text, token->length);
    }
    t->start[id + 1] += (uint32_t)count;
    return word ? insert_word(b, id) : HG_OK;
}

/* Checks the sizes, before memory is asked for. */
static hg_status check_tokens(builder *b, size_t *bytes, uint32_t *fixed)
{
    const hg_vocabulary *v = b->v;
    if (v->tokens == 0 || v->tokens > HG_LIMIT_VOCABULARY)
        return FAIL(b, HG_ERROR_LIMIT, "%u tokens, expected 1 to %d", v->tokens,
                    (int)HG_LIMIT_VOCABULARY);
    for (uint32_t i = 0; i < v->tokens; i++) {
        const hg_vocabulary_token *token = &v->token[i];
        assert((token->kind == HG_TOKEN_UNUSED) == !token->text);
        if (token->length > HG_LIMIT_TOKEN_BYTES)
            return FAIL(b, HG_ERROR_LIMIT, "%s: id %u has %u bytes, more than %d", v->tokens_field,
                        i, token->length, (int)HG_LIMIT_TOKEN_BYTES);
        if (token->kind != HG_TOKEN_UNUSED && !token->length)
            return FAIL(b, HG_ERROR_FORMAT, "%s: id %u is an empty text", v->tokens_field, i);
        *bytes += token->length;
        *fixed += token->kind == HG_TOKEN_SPECIAL || is_added(token);
    }
    return HG_OK;
}

/* Token ids to bytes, and the table of words. */
static hg_status build_words(builder *b)
{
    hg_tokenizer *t = b->tokenizer;
    size_t bytes = 1;
    uint32_t fixed = 1;
    hg_status status = check_tokens(b, &bytes, &fixed);
    if (status) return status;
    t->count = b->v->tokens;
    t->bytes = malloc(bytes);
    t->start = calloc((size_t)t->count + 1, sizeof *t->start);
    t->fixed = calloc(fixed, sizeof *t->fixed);
    t->word_mask = table_mask(t->count);
    t->words = malloc(((size_t)t->word_mask + 1) * sizeof *t->words);
    if (!t->bytes || !t->start || !t->fixed || !t->words) return fail_memory(b);
    memset(t->words, 0xFF, ((size_t)t->word_mask + 1) * sizeof *t->words); /* all -1 */
    for (uint32_t i = 0; !status && i < t->count; i++) status = build_token(b, i);
    for (int byte = 0; !status && byte < 256; byte++) {
        t->byte_token[byte] = hg_tokenizer_word(t, &(char){(char)byte}, 1);
        if (t->byte_token[byte] < 0 && !b->v->drops_bytes)
            status = FAIL(b, HG_ERROR_FORMAT, "%s has no token for byte 0x%02x", b->v->tokens_field,
                          byte);
    }
    return status;
}

/* ---- special and added tokens ---- */

static int by_text(const void *left, const void *right)
{
    const hg_fixed *a = left, *b = right;
    size_t shorter = a->length < b->length ? a->length : b->length;
    int order = memcmp(a->text, b->text, shorter);
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

/* Copies the texts of special and added tokens and sorts them, so that those that begin alike
 * stand together, a text before what continues it. */
static hg_status build_fixed(builder *b)
{
    hg_tokenizer *t = b->tokenizer;
    for (uint32_t i = 0; i < b->v->tokens; i++) {
        const hg_vocabulary_token *token = &b->v->token[i];
        if (token->kind != HG_TOKEN_SPECIAL && !is_added(token)) continue;
        if (hg_utf8_valid(token->text, token->length) != token->length)
            return FAIL(b, HG_ERROR_FORMAT, "%s: special or added id %u is not valid UTF-8",
                        b->v->tokens_field, i);
        char *text = malloc((size_t)token->length + 1);
        if (!text) return fail_memory(b);
        memcpy(text, token->text, token->length);
        text[token->length] = '\0';
        t->fixed[t->fixed_count++] = (hg_fixed){.text = text,
                                                .length = token->length,
                                                .id = (int32_t)i,
                                                .special = token->kind == HG_TOKEN_SPECIAL,
                                                .late = token->late};
        t->adds[token->late] |= is_added(token);
    }
    qsort(t->fixed, t->fixed_count, sizeof *t->fixed, by_text);
    for (uint32_t i = 0; i < t->fixed_count; i++) {
        const hg_fixed *f = &t->fixed[i];
        if (i && by_text(f, f - 1) == 0)
            return FAIL(b, HG_ERROR_FORMAT, "ids %d and %d are both the token \"%.64s\"", f[-1].id,
                        f->id, f->text);
        t->fixed_first[(uint8_t)f->text[0] + 1] = i + 1;
    }
    for (int c = 1; c <= 256; c++) {
        if (t->fixed_first[c] < t->fixed_first[c - 1]) t->fixed_first[c] = t->fixed_first[c - 1];
    }
    return HG_OK;
}

/* ---- the merges ---- */

bool hg_vocabulary_read_merge(const char *text, size_t length, hg_vocabulary_merge *out)
{
    const char *space = memchr(text, ' ', length);
    if (!space || length > UINT32_MAX) return false;
    size_t left = (size_t)(space - text), right = length - left - 1;
    *out = (hg_vocabulary_merge){text, space + 1, (uint32_t)left, (uint32_t)right};
    return !memchr(space + 1, ' ', right);
}

static hg_status make_merge_table(builder *b, size_t count)
{
    hg_tokenizer *t = b->tokenizer;
    t->merge_mask = table_mask(count);
    t->merges = malloc(((size_t)t->merge_mask + 1) * sizeof *t->merges);
    if (!t->merges) return fail_memory(b);
    memset(t->merges, 0xFF, ((size_t)t->merge_mask + 1) * sizeof *t->merges); /* all left = -1 */
    return HG_OK;
}

/* A pair may merge in one way only: its rank identifies it while a word is encoded. */
static hg_status insert_merge(builder *b, hg_merge merge)
{
    hg_tokenizer *t = b->tokenizer;
    uint32_t at = hg_tokenizer_merge_hash(merge.left, merge.right);
    for (; t->merges[at & t->merge_mask].left >= 0; at++) {
        const hg_merge *other = &t->merges[at & t->merge_mask];
        if (other->left == merge.left && other->right == merge.right)
            return FAIL(b, HG_ERROR_FORMAT, "%s[%u] repeats %s[%u]", b->v->merges_field, merge.rank,
                        b->v->merges_field, other->rank);
    }
    t->merges[at & t->merge_mask] = merge;
    return HG_OK;
}

/* Looks up both sides and what they make together. */
static hg_status build_merge(builder *b, uint32_t rank)
{
    char bytes[2 * HG_LIMIT_TOKEN_BYTES]; /* left and right side, one after the other */
    const hg_vocabulary_merge *merge = &b->v->merge[rank];
    const char *const side[] = {merge->left, merge->right};
    const uint32_t length[] = {merge->left_length, merge->right_length};
    int32_t ids[2];
    size_t total = 0;
    for (int i = 0; i < 2; i++) {
        long count =
            length[i] > HG_LIMIT_TOKEN_BYTES ? -1 : word_read(b, side[i], length[i], bytes + total);
        ids[i] = count <= 0 ? -1 : hg_tokenizer_word(b->tokenizer, bytes + total, (size_t)count);
        if (ids[i] < 0)
            return FAIL(b, HG_ERROR_FORMAT, "%s[%u]: \"%.*s\" is not in %s", b->v->merges_field,
                        rank, shown(length[i]), side[i], b->v->tokens_field);
        total += (size_t)count;
    }
    int32_t made = hg_tokenizer_word(b->tokenizer, bytes, total);
    if (made < 0)
        return FAIL(b, HG_ERROR_FORMAT, "%s[%u] makes a token that is special or not in %s",
                    b->v->merges_field, rank, b->v->tokens_field);
    return insert_merge(b, (hg_merge){ids[0], ids[1], rank, made});
}

/* Every way in which two words make word id, all with its rank: how they came about does not matter
 * to tiktoken. *count is how many there are; they are entered when a table exists. */
static hg_status derive_merges(builder *b, uint32_t id, size_t *count)
{
    const hg_tokenizer *t = b->tokenizer;
    const char *bytes = t->bytes + t->start[id];
    size_t length = t->start[id + 1] - t->start[id];
    for (size_t cut = 1; cut < length; cut++) {
        int32_t left = hg_tokenizer_word(t, bytes, cut);
        int32_t right = left < 0 ? -1 : hg_tokenizer_word(t, bytes + cut, length - cut);
        if (right < 0) continue;
        ++*count;
        if (!t->merges) continue;
        hg_status status = insert_merge(b, (hg_merge){left, right, id, (int32_t)id});
        if (status) return status;
    }
    return HG_OK;
}

/* Counts the pairs first, so that the table has the right size. */
static hg_status build_ranked_merges(builder *b)
{
    hg_status status = HG_OK;
    for (int pass = 0; !status && pass < 2; pass++) {
        size_t count = 0;
        for (uint32_t i = 0; !status && i < b->v->tokens; i++) {
            if (b->v->token[i].kind == HG_TOKEN_WORD) status = derive_merges(b, i, &count);
        }
        if (!status && count > HG_LIMIT_MERGES)
            return FAIL(b, HG_ERROR_LIMIT, "%zu pairs of tokens merge, more than %d", count,
                        (int)HG_LIMIT_MERGES);
        if (!status && !pass) status = make_merge_table(b, count);
    }
    return status;
}

static hg_status build_merges(builder *b)
{
    if (b->v->ranked) return build_ranked_merges(b);
    if (b->v->merges > HG_LIMIT_MERGES)
        return FAIL(b, HG_ERROR_LIMIT, "%s has %u entries, more than %d", b->v->merges_field,
                    b->v->merges, (int)HG_LIMIT_MERGES);
    hg_status status = make_merge_table(b, b->v->merges);
    for (uint32_t i = 0; !status && i < b->v->merges; i++) status = build_merge(b, i);
    return status;
}

/* ---- the splits ---- */

/* Compiles a split pattern. ICU's \p{L}, \p{N}, \s and case folding are those of the library's
 * Oniguruma, which tests/golden checks over all of Unicode. */
static hg_status build_split(builder *b, const hg_vocabulary_split *split)
{
    UErrorCode icu = U_ZERO_ERROR;
    UParseError place = {0};
    int32_t units = 0;
    hg_tokenizer *t = b->tokenizer;
    size_t length = strlen(split->pattern);
    if (length > HG_LIMIT_RULES)
        return FAIL(b, HG_ERROR_LIMIT, "%s has %zu bytes, more than the %d that are read",
                    split->where, length, (int)HG_LIMIT_RULES);
    UChar *wide = malloc((length + 1) * sizeof *wide);
    if (!wide) return fail_memory(b);
    u_strFromUTF8(wide, (int32_t)length + 1, &units, split->pattern, (int32_t)length, &icu);
    t->split[t->splits] = uregex_open(wide, units, 0, &place, &icu);
    free(wide);
    if (U_FAILURE(icu))
        return FAIL(b, HG_ERROR_FORMAT, "%s does not compile: %s at character %d", split->where,
                    u_errorName(icu), (int)place.offset);
    t->splits++;
    return HG_OK;
}

static hg_status build_splits(builder *b)
{
    hg_status status = HG_OK;
    if (b->v->splits > HG_LIMIT_SPLITS)
        return FAIL(b, HG_ERROR_LIMIT, "%u steps split text, more than %d", b->v->splits,
                    HG_LIMIT_SPLITS);
    for (uint32_t i = 0; !status && i < b->v->splits; i++) status = build_split(b, &b->v->split[i]);
    return status;
}

/* ---- the whole ---- */

/* The order matters: merges need the words. */
hg_status hg_tokenizer_build(const hg_vocabulary *vocabulary, hg_tokenizer **out, hg_error *error)
{
    *out = NULL;
    builder b = {.v = vocabulary, .error = error, .tokenizer = calloc(1, sizeof *b.tokenizer)};
    if (!b.tokenizer) return fail_memory(&b);
    b.tokenizer->ignore_merges = vocabulary->ignore_merges;
    alphabet_make(b.alphabet);
    hg_status status = build_splits(&b);
    if (!status) status = build_words(&b);
    if (!status) status = build_fixed(&b);
    if (!status) status = build_merges(&b);
    if (status)
        hg_tokenizer_close(b.tokenizer);
    else
        *out = b.tokenizer;
    return status;
}
