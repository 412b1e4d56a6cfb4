/* tokenizer_load.c: tokenizer.json to a checked tokenizer.
 *
 * Everything the file says is checked here, once. What changes which ids a text gets and is not
 * byte-level BPE is refused by name; the post-processor and the decoder's details are not read,
 * because encoding adds no special tokens and decoding is the inverse of the byte alphabet.
 * Everything is built into one hg_tokenizer, which hg_tokenizer_close frees in any state.
 */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/ustring.h>

#include "core/base/file.h"
#include "core/base/limits.h"
#include "core/text/tokenizer_internal.h"

/* GPT-2's pattern, which a ByteLevel pre-tokenizer with use_regex stands for. */
#define BYTE_LEVEL_PATTERN                                                                         \
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+"

/* The highest code point of the byte alphabet: 68 bytes are spelled from U+0100 on. */
#define ALPHABET_END 0x144

typedef struct name {
    const char *text; /* owned by the JSON tree; NULL while the id is free */
    size_t length;
    bool special;
} name;

/* What loading needs and the tokenizer does not. */
typedef struct loader {
    const char *file;
    hg_error *error;
    hg_tokenizer *tokenizer;
    name *names;                    /* [tokenizer->count], by id */
    int16_t alphabet[ALPHABET_END]; /* code point -> byte, or -1 */
} loader;

/* Every message begins with the file. Usage: return FAIL(l, status, format, ...). */
#define FAIL(l, status, format, ...)                                                               \
    hg_fail((l)->error, status, "%s: " format, (l)->file, __VA_ARGS__)

static hg_status fail_memory(loader *l)
{
    return FAIL(l, HG_ERROR_MEMORY, "no memory for the %s", "tokenizer");
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
static long alphabet_read(const loader *l, const char *text, size_t length, char *out)
{
    long count = 0;
    for (size_t i = 0; i < length; i++) {
        unsigned code = (uint8_t)text[i];
        if (code >= 0xE0) return -1;
        if (code >= 0x80) code = (code & 0x1F) << 6 | ((uint8_t)text[++i] & 0x3F);
        if (code >= ALPHABET_END || l->alphabet[code] < 0) return -1;
        out[count++] = (char)l->alphabet[code];
    }
    return count;
}

/* ---- fields ---- */

static bool is_null(const json_t *value)
{
    return !value || json_is_null(value);
}

/* Whether value is null, absent or an empty string: a prefix or suffix that does nothing. */
static bool is_nothing(const json_t *value)
{
    return is_null(value) || (json_is_string(value) && json_string_length(value) == 0);
}

/* The "type" by which the library tells steps apart, for comparing and for messages. */
static const char *type_of(const json_t *value)
{
    const char *type = json_string_value(json_object_get(value, "type"));
    return type ? type : "(no type)";
}

static bool is_type(const json_t *value, const char *type)
{
    return strcmp(type_of(value), type) == 0;
}

/* Reads a boolean field; absent means what the library takes then. */
static hg_status read_bool(loader *l, const json_t *object, const char *where, const char *field,
                           bool absent, bool *out)
{
    const json_t *value = json_object_get(object, field);
    *out = is_null(value) ? absent : json_is_true(value);
    if (is_null(value) || json_is_boolean(value)) return HG_OK;
    return FAIL(l, HG_ERROR_FORMAT, "%s.%s is not true or false", where, field);
}

/* The fields around the model. Truncation and padding are refused although a caller of the library
 * may switch them off: the file says that ids depend on them, and we would not do it. */
static hg_status check_top(loader *l, const json_t *root)
{
    if (!json_is_object(root)) return FAIL(l, HG_ERROR_FORMAT, "not a JSON %s", "object");
    const char *version = json_string_value(json_object_get(root, "version"));
    if (!version || strcmp(version, "1.0") != 0)
        return FAIL(l, HG_ERROR_UNSUPPORTED, "version is %s, expected \"1.0\"",
                    version ? version : "missing");
    const char *const unset[] = {"truncation", "padding"};
    for (int i = 0; i < 2; i++) {
        if (!is_null(json_object_get(root, unset[i])))
            return FAIL(l, HG_ERROR_UNSUPPORTED, "%s is set, expected null", unset[i]);
    }
    const json_t *normalizer = json_object_get(root, "normalizer");
    const json_t *steps = json_object_get(normalizer, "normalizers");
    bool empty = is_type(normalizer, "Sequence") && json_is_array(steps) && !json_array_size(steps);
    if (!is_null(normalizer) && !empty)
        return FAIL(l, HG_ERROR_UNSUPPORTED,
                    "normalizer %s is not supported, expected null: byte-level BPE takes text as "
                    "it is",
                    type_of(normalizer));
    const json_t *decoder = json_object_get(root, "decoder");
    if (!is_null(decoder) && !is_type(decoder, "ByteLevel"))
        return FAIL(l, HG_ERROR_UNSUPPORTED, "decoder %s is not supported, expected ByteLevel",
                    type_of(decoder));
    return HG_OK;
}

/* What the BPE model asks for besides vocabulary and merges. unk_token and fuse_unk are not read:
 * every byte has a token, so nothing is ever unknown. */
static hg_status check_model(loader *l, const json_t *model)
{
    if (!is_type(model, "BPE"))
        return FAIL(l, HG_ERROR_UNSUPPORTED, "model.type is %s, expected BPE", type_of(model));
    const json_t *dropout = json_object_get(model, "dropout");
    if (!is_null(dropout) && json_number_value(dropout) != 0)
        return FAIL(l, HG_ERROR_UNSUPPORTED, "model.%s is set, expected null", "dropout");
    const char *const empty[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    for (int i = 0; i < 2; i++) {
        if (!is_nothing(json_object_get(model, empty[i])))
            return FAIL(l, HG_ERROR_UNSUPPORTED, "model.%s is set, expected null", empty[i]);
    }
    bool fallback;
    hg_status status = read_bool(l, model, "model", "byte_fallback", false, &fallback);
    if (status) return status;
    if (fallback)
        return FAIL(l, HG_ERROR_UNSUPPORTED, "model.%s is true, expected false", "byte_fallback");
    return read_bool(l, model, "model", "ignore_merges", false, &l->tokenizer->ignore_merges);
}

/* ---- the pre-tokenizer ---- */

/* Compiles the split pattern. ICU's \p{L}, \p{N}, \s and case folding are those of the library's
 * Oniguruma, which tests/golden checks over all of Unicode. */
static hg_status compile(loader *l, const char *where, const char *pattern, size_t length)
{
    UErrorCode icu = U_ZERO_ERROR;
    UParseError place = {0};
    int32_t units = 0;
    if (length > HG_LIMIT_RULES)
        return FAIL(l, HG_ERROR_LIMIT, "%s has %zu bytes, more than the %d that are read", where,
                    length, (int)HG_LIMIT_RULES);
    UChar *wide = malloc((length + 1) * sizeof *wide);
    if (!wide) return fail_memory(l);
    u_strFromUTF8(wide, (int32_t)length + 1, &units, pattern, (int32_t)length, &icu);
    l->tokenizer->pattern = uregex_open(wide, units, 0, &place, &icu);
    free(wide);
    if (U_SUCCESS(icu)) return HG_OK;
    return FAIL(l, HG_ERROR_FORMAT, "%s does not compile: %s at character %d", where,
                u_errorName(icu), (int)place.offset);
}

/* Reads a ByteLevel step; *splits is whether it cuts text by GPT-2's pattern. */
static hg_status read_byte_level(loader *l, const json_t *step, const char *where, bool *splits)
{
    if (!is_type(step, "ByteLevel"))
        return FAIL(l, HG_ERROR_UNSUPPORTED, "%s.type is %s, expected ByteLevel", where,
                    type_of(step));
    bool prefix;
    hg_status status = read_bool(l, step, where, "add_prefix_space", true, &prefix);
    if (!status) status = read_bool(l, step, where, "use_regex", true, splits);
    if (!status && prefix)
        return FAIL(l, HG_ERROR_UNSUPPORTED, "%s.add_prefix_space is true, expected false", where);
    return status;
}

/* A Sequence of one Split and one ByteLevel that does not split again. */
static hg_status read_sequence(loader *l, const json_t *pre)
{
    const json_t *steps = json_object_get(pre, "pretokenizers");
    const json_t *split = json_array_get(steps, 0);
    bool again, invert;
    if (json_array_size(steps) != 2)
        return FAIL(l, HG_ERROR_UNSUPPORTED,
                    "pre_tokenizer.pretokenizers has %zu steps, expected Split and ByteLevel",
                    json_array_size(steps));
    const char *where = "pre_tokenizer.pretokenizers[0]";
    if (!is_type(split, "Split"))
        return FAIL(l, HG_ERROR_UNSUPPORTED, "%s.type is %s, expected Split", where,
                    type_of(split));
    const char *behavior = json_string_value(json_object_get(split, "behavior"));
    if (!behavior || strcmp(behavior, "Isolated") != 0)
        return FAIL(l, HG_ERROR_UNSUPPORTED, "%s.behavior is %s, expected Isolated", where,
                    behavior ? behavior : "missing");
    hg_status status = read_bool(l, split, where, "invert", false, &invert);
    if (status) return status;
    if (invert) return FAIL(l, HG_ERROR_UNSUPPORTED, "%s.invert is true, expected false", where);
    const json_t *regex = json_object_get(json_object_get(split, "pattern"), "Regex");
    if (!json_is_string(regex))
        return FAIL(l, HG_ERROR_UNSUPPORTED, "%s.pattern is not {\"Regex\": \"...\"}", where);
    const char *last = "pre_tokenizer.pretokenizers[1]";
    status = read_byte_level(l, json_array_get(steps, 1), last, &again);
    if (status) return status;
    if (again) return FAIL(l, HG_ERROR_UNSUPPORTED, "%s.use_regex is true, expected false", last);
    return compile(l, "pre_tokenizer.pretokenizers[0].pattern.Regex", json_string_value(regex),
                   json_string_length(regex));
}

/* Either the two-step sequence of Llama-3 or the single step of GPT-2. */
static hg_status read_pre_tokenizer(loader *l, const json_t *root)
{
    const json_t *pre = json_object_get(root, "pre_tokenizer");
    if (is_type(pre, "Sequence")) return read_sequence(l, pre);
    bool splits = false;
    hg_status status = read_byte_level(l, pre, "pre_tokenizer", &splits);
    if (status || !splits) return status;
    return compile(l, "pre_tokenizer", BYTE_LEVEL_PATTERN, strlen(BYTE_LEVEL_PATTERN));
}

/* ---- the vocabulary ---- */

/* Gives id to a name. As many ids as names, each below their number and none twice: no holes. */
static hg_status place_name(loader *l, const char *where, const json_t *id, name n)
{
    uint32_t count = l->tokenizer->count;
    json_int_t value = json_integer_value(id);
    if (!json_is_integer(id) || value < 0 || value >= (json_int_t)count)
        return FAIL(l, HG_ERROR_FORMAT,
                    "%s: id of \"%.64s\" is %s, expected 0 to %u: ids run without holes", where,
                    n.text, json_is_integer(id) ? "out of range" : "not an integer", count - 1);
    if (n.length > HG_LIMIT_TOKEN_BYTES)
        return FAIL(l, HG_ERROR_LIMIT, "%s: id %lld has %zu bytes, more than %d", where,
                    (long long)value, n.length, (int)HG_LIMIT_TOKEN_BYTES);
    if (l->names[value].text)
        return FAIL(l, HG_ERROR_FORMAT, "%s: id %lld is both \"%.64s\" and \"%.64s\"", where,
                    (long long)value, l->names[value].text, n.text);
    l->names[value] = n;
    return HG_OK;
}

/* Keys are unique already: the JSON reader refuses duplicates. */
static hg_status read_vocab(loader *l, json_t *vocab)
{
    const char *key;
    size_t length;
    json_t *id;
    hg_status status = HG_OK;
    json_object_keylen_foreach(vocab, key, length, id)
    {
        status = place_name(l, "model.vocab", id, (name){.text = key, .length = length});
        if (status) break;
    }
    return status;
}

/* Checks added token `index`, which may stand in the vocabulary too. */
static hg_status check_added(loader *l, size_t index, const json_t *added)
{
    const json_t *content = json_object_get(added, "content");
    char where[64];
    snprintf(where, sizeof where, "added_tokens[%zu]", index);
    if (!json_is_string(content) || !json_string_length(content))
        return FAIL(l, HG_ERROR_FORMAT, "%s.content is missing or empty", where);
    bool special;
    hg_status status = read_bool(l, added, where, "special", false, &special);
    if (status) return status;
    if (!special)
        return FAIL(l, HG_ERROR_UNSUPPORTED,
                    "%s (\"%.64s\") is not special, expected special: true", where,
                    json_string_value(content));
    const char *const flags[] = {"single_word", "lstrip", "rstrip"};
    for (int i = 0; i < 3; i++) {
        bool flag;
        status = read_bool(l, added, where, flags[i], false, &flag);
        if (status) return status;
        if (flag)
            return FAIL(l, HG_ERROR_UNSUPPORTED, "%s.%s is true, expected false", where, flags[i]);
    }
    return HG_OK;
}

/* Copies a special token's text, which prompt templates name. */
static hg_status add_special(loader *l, const name *n, int32_t id)
{
    hg_tokenizer *t = l->tokenizer;
    assert(t->specials);
    char *text = malloc(n->length + 1);
    if (!text) return fail_memory(l);
    memcpy(text, n->text, n->length);
    text[n->length] = '\0';
    t->specials[t->special_count++] = (hg_special){text, n->length, id};
    return HG_OK;
}

/* Added token `index`, checked before: a new name, or one of the vocabulary that turns special and
 * thereby leaves the words, so that no text can ever become it. */
static hg_status read_added(loader *l, const json_t *vocab, const json_t *added, size_t index)
{
    const json_t *content = json_object_get(added, "content"), *id = json_object_get(added, "id");
    const char *text = json_string_value(content);
    size_t length = json_string_length(content);
    const json_t *known = json_object_getn(vocab, text, length);
    char where[64];
    snprintf(where, sizeof where, "added_tokens[%zu]", index);
    if (hg_tokenizer_special(l->tokenizer, text, length) >= 0)
        return FAIL(l, HG_ERROR_FORMAT, "%s repeats \"%.64s\"", where, text);
    if (known && (!json_is_integer(id) || json_integer_value(known) != json_integer_value(id)))
        return FAIL(l, HG_ERROR_FORMAT, "%s.id differs from the id of \"%.64s\" in model.vocab",
                    where, text);
    if (!known) {
        hg_status status = place_name(l, where, id, (name){.text = text, .length = length});
        if (status) return status;
    }
    name *n = &l->names[json_integer_value(id)];
    n->special = true;
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the tokenizer owns the copy, close frees it */
    return add_special(l, n, (int32_t)json_integer_value(id));
}

/* Reads all names into l->names and the special ones into the tokenizer. */
static hg_status read_names(loader *l, const json_t *root, json_t *vocab)
{
    hg_tokenizer *t = l->tokenizer;
    json_t *added_tokens = json_object_get(root, "added_tokens"), *added;
    size_t index, total = json_object_size(vocab);
    if (!json_is_object(vocab))
        return FAIL(l, HG_ERROR_FORMAT, "%s is not an object", "model.vocab");
    if (!is_null(added_tokens) && !json_is_array(added_tokens))
        return FAIL(l, HG_ERROR_FORMAT, "%s is not an array", "added_tokens");
    json_array_foreach(added_tokens, index, added)
    {
        hg_status status = check_added(l, index, added);
        if (status) return status;
        const json_t *content = json_object_get(added, "content");
        total += !json_object_getn(vocab, json_string_value(content), json_string_length(content));
    }
    if (total == 0 || total > HG_LIMIT_VOCABULARY)
        return FAIL(l, HG_ERROR_LIMIT, "%zu tokens, expected 1 to %d", total,
                    (int)HG_LIMIT_VOCABULARY);
    t->count = (uint32_t)total;
    l->names = calloc(total, sizeof *l->names);
    t->specials = calloc(json_array_size(added_tokens) + 1, sizeof *t->specials);
    if (!l->names || !t->specials) return fail_memory(l);
    hg_status status = read_vocab(l, vocab);
    json_array_foreach(added_tokens, index, added)
    {
        if (!status) status = read_added(l, vocab, added, index);
    }
    return status;
}

/* Smallest power of two that keeps a table of count entries at most half full, minus one. */
static uint32_t table_mask(size_t count)
{
    uint32_t size = 16;
    while (size < 2 * count) size *= 2;
    return size - 1;
}

/* Tokens are unique: so are their names, and the byte alphabet is one to one. */
static void insert_word(hg_tokenizer *t, uint32_t id)
{
    uint32_t at = hg_tokenizer_word_hash(t->bytes + t->start[id], t->start[id + 1] - t->start[id]);
    while (t->words[at & t->word_mask] >= 0) at++;
    t->words[at & t->word_mask] = (int32_t)id;
}

/* Turns names into bytes and the table of words. */
static hg_status build_words(loader *l)
{
    hg_tokenizer *t = l->tokenizer;
    size_t total = 1;
    for (uint32_t i = 0; i < t->count; i++) total += l->names[i].length;
    t->bytes = malloc(total);
    t->start = calloc(t->count + 1, sizeof *t->start);
    t->word_mask = table_mask(t->count);
    t->words = malloc((t->word_mask + 1) * sizeof *t->words);
    if (!t->bytes || !t->start || !t->words) return fail_memory(l);
    memset(t->words, 0xFF, (t->word_mask + 1) * sizeof *t->words); /* all -1 */
    for (uint32_t i = 0; i < t->count; i++) {
        const name *n = &l->names[i];
        assert(n->text); /* no holes: see place_name */
        t->start[i + 1] = t->start[i];
        if (n->special) continue;
        long count = alphabet_read(l, n->text, n->length, t->bytes + t->start[i]);
        if (count <= 0)
            return FAIL(l, HG_ERROR_UNSUPPORTED,
                        "model.vocab: \"%.64s\" (id %u) is not spelled in the byte-level alphabet",
                        n->text, i);
        t->start[i + 1] += (uint32_t)count;
        insert_word(t, i);
    }
    for (int byte = 0; byte < 256; byte++) {
        t->byte_token[byte] = hg_tokenizer_word(t, &(char){(char)byte}, 1);
        if (t->byte_token[byte] < 0)
            return FAIL(l, HG_ERROR_FORMAT, "model.vocab has no token for byte 0x%02x", byte);
    }
    return HG_OK;
}

/* ---- the merges ---- */

/* The two sides of a merge: "a b", or ["a", "b"]. */
static bool merge_sides(const json_t *merge, name sides[2])
{
    if (json_is_string(merge)) {
        const char *text = json_string_value(merge), *space = strchr(text, ' ');
        if (!space || strchr(space + 1, ' ')) return false;
        size_t left = (size_t)(space - text);
        sides[0] = (name){.text = text, .length = left};
        sides[1] = (name){.text = space + 1, .length = json_string_length(merge) - left - 1};
        return true;
    }
    if (!json_is_array(merge) || json_array_size(merge) != 2) return false;
    for (int i = 0; i < 2; i++) {
        const json_t *side = json_array_get(merge, (size_t)i);
        if (!json_is_string(side)) return false;
        sides[i] = (name){.text = json_string_value(side), .length = json_string_length(side)};
    }
    return true;
}

/* A pair may merge in one way only: its rank identifies it while a word is encoded. */
static hg_status insert_merge(loader *l, hg_merge merge)
{
    hg_tokenizer *t = l->tokenizer;
    uint32_t at = hg_tokenizer_merge_hash(merge.left, merge.right);
    for (; t->merges[at & t->merge_mask].left >= 0; at++) {
        const hg_merge *other = &t->merges[at & t->merge_mask];
        if (other->left == merge.left && other->right == merge.right)
            return FAIL(l, HG_ERROR_FORMAT, "model.merges[%u] repeats model.merges[%u]", merge.rank,
                        other->rank);
    }
    t->merges[at & t->merge_mask] = merge;
    return HG_OK;
}

/* Looks up both sides and what they make together. */
static hg_status read_merge(loader *l, const json_t *value, uint32_t rank)
{
    char bytes[2 * HG_LIMIT_TOKEN_BYTES]; /* left and right side, one after the other */
    name sides[2];
    int32_t ids[2];
    size_t total = 0;
    if (!merge_sides(value, sides))
        return FAIL(l, HG_ERROR_FORMAT, "model.merges[%u] is not \"a b\" or [\"a\", \"b\"]", rank);
    for (int i = 0; i < 2; i++) {
        long count = sides[i].length > HG_LIMIT_TOKEN_BYTES
                         ? -1
                         : alphabet_read(l, sides[i].text, sides[i].length, bytes + total);
        ids[i] = count <= 0 ? -1 : hg_tokenizer_word(l->tokenizer, bytes + total, (size_t)count);
        if (ids[i] < 0)
            return FAIL(l, HG_ERROR_FORMAT, "model.merges[%u]: \"%.*s\" is not in model.vocab",
                        rank, (int)(sides[i].length < 64 ? sides[i].length : 64), sides[i].text);
        total += (size_t)count;
    }
    int32_t made = hg_tokenizer_word(l->tokenizer, bytes, total);
    if (made < 0)
        return FAIL(l, HG_ERROR_FORMAT,
                    "model.merges[%u] makes a token that is special or not in model.vocab", rank);
    return insert_merge(l, (hg_merge){ids[0], ids[1], rank, made});
}

static hg_status read_merges(loader *l, const json_t *merges)
{
    hg_tokenizer *t = l->tokenizer;
    size_t count = json_array_size(merges), index;
    if (!json_is_array(merges))
        return FAIL(l, HG_ERROR_FORMAT, "%s is not an array", "model.merges");
    if (count > HG_LIMIT_MERGES)
        return FAIL(l, HG_ERROR_LIMIT, "model.merges has %zu entries, more than %d", count,
                    (int)HG_LIMIT_MERGES);
    t->merge_mask = table_mask(count);
    t->merges = malloc((t->merge_mask + 1) * sizeof *t->merges);
    if (!t->merges) return fail_memory(l);
    memset(t->merges, 0xFF, (t->merge_mask + 1) * sizeof *t->merges); /* all left = -1 */
    const json_t *merge;
    json_array_foreach(merges, index, merge)
    {
        hg_status status = read_merge(l, merge, (uint32_t)index);
        if (status) return status;
    }
    return HG_OK;
}

/* ---- the whole ---- */

/* The order matters: merges need the words, the words need the names. */
static hg_status read_root(loader *l, const json_t *root)
{
    json_t *model = json_object_get(root, "model");
    hg_status status = check_top(l, root);
    if (!status) status = check_model(l, model);
    if (!status) status = read_pre_tokenizer(l, root);
    if (!status) status = read_names(l, root, json_object_get(model, "vocab"));
    if (!status) status = build_words(l);
    if (!status) status = read_merges(l, json_object_get(model, "merges"));
    return status;
}

hg_status hg_tokenizer_parse(const char *json, size_t count, const char *file, hg_tokenizer **out,
                             hg_error *error)
{
    json_error_t place;
    *out = NULL;
    loader l = {.file = file, .error = error, .tokenizer = calloc(1, sizeof *l.tokenizer)};
    if (!l.tokenizer) return fail_memory(&l);
    json_t *root = json_loadb(json, count, JSON_REJECT_DUPLICATES, &place);
    alphabet_make(l.alphabet);
    hg_status status = root ? read_root(&l, root)
                            : FAIL(&l, HG_ERROR_FORMAT, "line %d, column %d: %s", place.line,
                                   place.column, place.text);
    json_decref(root);
    free(l.names);
    if (status)
        hg_tokenizer_close(l.tokenizer);
    else
        *out = l.tokenizer;
    return status;
}

hg_status hg_tokenizer_open(const char *path, hg_tokenizer **out, hg_error *error)
{
    hg_mapping file;
    *out = NULL;
    hg_status status = hg_file_map(path, &file, error);
    if (status) return status;
    if (file.size > HG_LIMIT_FILE_JSON)
        status = hg_fail(error, HG_ERROR_LIMIT, "%s: %zu bytes, more than the %d that are read",
                         path, file.size, (int)HG_LIMIT_FILE_JSON);
    else
        status = hg_tokenizer_parse((const char *)file.data, file.size, path, out, error);
    hg_file_unmap(&file);
    return status;
}
