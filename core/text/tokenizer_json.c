/* tokenizer_json.c: tokenizer.json to a vocabulary, of which hg_tokenizer_build makes a tokenizer.
 *
 * What changes which ids a text gets and is not byte-level BPE is refused by name; the
 * post-processor and the decoder's details are not read, because encoding adds no special tokens
 * and decoding is the inverse of the byte alphabet. Texts stay in the JSON tree.
 */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "core/base/limits.h"
#include "core/text/tokenizer_internal.h"

/* A file's vocabulary while it is read. */
typedef struct loader {
    const char *file;
    hg_error *error;
    hg_vocabulary v;
    hg_vocabulary_token *token; /* [v.tokens], by id; owned, as merge */
    hg_vocabulary_merge *merge; /* [v.merges] */
    hg_vocabulary_split split[HG_LIMIT_SPLITS];
    char where[HG_LIMIT_SPLITS][64]; /* the fields that split came from */
} loader;

/* Every message begins with the file. Usage: return FAIL(l, status, format, ...). */
#define FAIL(l, status, format, ...)                                                               \
    hg_fail((l)->error, status, "%s: " format, (l)->file, __VA_ARGS__)

static hg_status fail_memory(loader *l)
{
    return FAIL(l, HG_ERROR_MEMORY, "no memory for the %s", "tokenizer");
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

/* What the BPE model asks for besides vocabulary and merges. Without unk_token a byte that has no
 * token vanishes; with one every byte must have its token, so that nothing is ever unknown. */
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
    l->v.drops_bytes = is_null(json_object_get(model, "unk_token"));
    return read_bool(l, model, "model", "ignore_merges", false, &l->v.ignore_merges);
}

/* ---- the pre-tokenizer ---- */

/* Enters a split pattern, which comes from field `where`. */
static hg_status add_split(loader *l, const char *where, const char *field, const char *pattern)
{
    uint32_t n = l->v.splits;
    if (n == HG_LIMIT_SPLITS)
        return FAIL(l, HG_ERROR_LIMIT, "pre_tokenizer splits text by more than %d steps",
                    HG_LIMIT_SPLITS);
    snprintf(l->where[n], sizeof l->where[n], "%s%s", where, field);
    l->split[n] = (hg_vocabulary_split){.pattern = pattern, .where = l->where[n]};
    l->v.splits++;
    return HG_OK;
}

/* ByteLevel spells bytes in the byte alphabet, and with use_regex splits by GPT-2's pattern
 * before. */
static hg_status read_byte_level(loader *l, const json_t *step, const char *where)
{
    bool prefix, splits;
    hg_status status = read_bool(l, step, where, "add_prefix_space", true, &prefix);
    if (!status) status = read_bool(l, step, where, "use_regex", true, &splits);
    if (status) return status;
    if (prefix)
        return FAIL(l, HG_ERROR_UNSUPPORTED, "%s.add_prefix_space is true, expected false", where);
    return splits ? add_split(l, where, "", hg_pretokenizer_find("gpt2")->split[0].pattern) : HG_OK;
}

static hg_status read_split(loader *l, const json_t *step, const char *where)
{
    bool invert;
    const char *behavior = json_string_value(json_object_get(step, "behavior"));
    if (!behavior || strcmp(behavior, "Isolated") != 0)
        return FAIL(l, HG_ERROR_UNSUPPORTED, "%s.behavior is %s, expected Isolated", where,
                    behavior ? behavior : "missing");
    hg_status status = read_bool(l, step, where, "invert", false, &invert);
    if (status) return status;
    if (invert) return FAIL(l, HG_ERROR_UNSUPPORTED, "%s.invert is true, expected false", where);
    const json_t *regex = json_object_get(json_object_get(step, "pattern"), "Regex");
    if (!json_is_string(regex))
        return FAIL(l, HG_ERROR_UNSUPPORTED, "%s.pattern is not {\"Regex\": \"...\"}", where);
    return add_split(l, where, ".pattern.Regex", json_string_value(regex));
}

static hg_status read_digits(loader *l, const json_t *step, const char *where)
{
    bool single;
    hg_status status = read_bool(l, step, where, "individual_digits", false, &single);
    return status ? status : add_split(l, where, "", single ? "\\p{N}" : "\\p{N}+");
}

/* One step: what it does to text, or its refusal by name. */
static hg_status read_step(loader *l, const json_t *step, const char *where)
{
    if (is_type(step, "ByteLevel")) return read_byte_level(l, step, where);
    if (is_type(step, "Split")) return read_split(l, step, where);
    if (is_type(step, "Digits")) return read_digits(l, step, where);
    return FAIL(l, HG_ERROR_UNSUPPORTED, "%s.type is %s, expected ByteLevel, Split or Digits",
                where, type_of(step));
}

/* ByteLevel alone (GPT-2), or a Sequence that ends in it: Split before it (Llama-3), Digits
 * (SmolLM2). After ByteLevel text is no text any more, so nothing may follow. */
static hg_status read_pre_tokenizer(loader *l, const json_t *root)
{
    const json_t *pre = json_object_get(root, "pre_tokenizer"), *last = pre, *step;
    const json_t *steps = json_object_get(pre, "pretokenizers");
    hg_status status = HG_OK;
    size_t index, count = json_array_size(steps);
    if (is_type(pre, "Sequence")) last = count ? json_array_get(steps, count - 1) : NULL;
    if (!is_type(last, "ByteLevel"))
        return FAIL(l, HG_ERROR_UNSUPPORTED,
                    "pre_tokenizer is %s%s%s, expected ByteLevel or a "
                    "Sequence that ends in it",
                    type_of(pre), last == pre ? "" : " and ends in ",
                    last == pre ? "" : type_of(last));
    if (last == pre) return read_step(l, pre, "pre_tokenizer");
    json_array_foreach(steps, index, step)
    {
        char where[64];
        snprintf(where, sizeof where, "pre_tokenizer.pretokenizers[%zu]", index);
        if (!status && index + 1 < count && is_type(step, "ByteLevel"))
            status = FAIL(l, HG_ERROR_UNSUPPORTED, "%s is ByteLevel, expected it last", where);
        if (!status) status = read_step(l, step, where);
    }
    return status;
}

/* ---- the vocabulary ---- */

/* Gives id to a text. As many ids as texts, each below their number and none twice: no holes. */
static hg_status place_token(loader *l, const char *where, const json_t *id, const char *text,
                             size_t length)
{
    uint32_t count = l->v.tokens;
    json_int_t value = json_integer_value(id);
    if (!json_is_integer(id) || value < 0 || value >= (json_int_t)count)
        return FAIL(l, HG_ERROR_FORMAT,
                    "%s: id of \"%.64s\" is %s, expected 0 to %u: ids run without holes", where,
                    text, json_is_integer(id) ? "out of range" : "not an integer", count - 1);
    if (length > HG_LIMIT_TOKEN_BYTES)
        return FAIL(l, HG_ERROR_LIMIT, "%s: id %lld has %zu bytes, more than %d", where,
                    (long long)value, length, (int)HG_LIMIT_TOKEN_BYTES);
    hg_vocabulary_token *token = &l->token[value];
    if (token->text)
        return FAIL(l, HG_ERROR_FORMAT, "%s: id %lld is both \"%.64s\" and \"%.64s\"", where,
                    (long long)value, token->text, text);
    *token = (hg_vocabulary_token){.text = text, .length = (uint32_t)length, .kind = HG_TOKEN_WORD};
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
        status = place_token(l, "model.vocab", id, key, length);
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
    const char *const flags[] = {"single_word", "lstrip", "rstrip"};
    for (int i = 0; i < 3; i++) {
        bool flag;
        hg_status status = read_bool(l, added, where, flags[i], false, &flag);
        if (status) return status;
        if (flag)
            return FAIL(l, HG_ERROR_UNSUPPORTED, "%s.%s is true, expected false", where, flags[i]);
    }
    return HG_OK;
}

/* Added token `index`, checked before: a new text, or one of the vocabulary. A special one thereby
 * leaves the words, so that no text can ever become it. */
static hg_status read_added(loader *l, const json_t *vocab, const json_t *added, size_t index)
{
    const json_t *content = json_object_get(added, "content"), *id = json_object_get(added, "id");
    const char *text = json_string_value(content);
    size_t length = json_string_length(content);
    const json_t *known = json_object_getn(vocab, text, length);
    bool special, late;
    char where[64];
    snprintf(where, sizeof where, "added_tokens[%zu]", index);
    hg_status status = read_bool(l, added, where, "special", false, &special);
    if (!status) status = read_bool(l, added, where, "normalized", !special, &late);
    if (status) return status;
    if (known && (!json_is_integer(id) || json_integer_value(known) != json_integer_value(id)))
        return FAIL(l, HG_ERROR_FORMAT, "%s.id differs from the id of \"%.64s\" in model.vocab",
                    where, text);
    if (!known) status = place_token(l, where, id, text, length);
    if (status) return status;
    hg_vocabulary_token *token = &l->token[json_integer_value(id)];
    if (token->kind != HG_TOKEN_WORD)
        return FAIL(l, HG_ERROR_FORMAT, "%s repeats \"%.64s\"", where, text);
    /* One that the library makes of text: it must not vanish instead, so build refuses it. */
    if (special && known && length <= 2) l->v.drops_bytes = false;
    token->kind = special ? HG_TOKEN_SPECIAL : known ? HG_TOKEN_ADDED_WORD : HG_TOKEN_ADDED;
    token->late = late;
    return HG_OK;
}

/* Reads the vocabulary and the added tokens. */
static hg_status read_tokens(loader *l, const json_t *root, json_t *vocab)
{
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
    l->v.tokens = (uint32_t)total;
    l->v.token = l->token = calloc(total, sizeof *l->token);
    if (!l->token) return fail_memory(l);
    hg_status status = read_vocab(l, vocab);
    json_array_foreach(added_tokens, index, added)
    {
        if (!status) status = read_added(l, vocab, added, index);
    }
    return status;
}

/* ---- the merges ---- */

/* The two sides of a merge: "a b", or ["a", "b"]. */
static bool read_merge(const json_t *value, hg_vocabulary_merge *merge)
{
    if (json_is_string(value))
        return hg_vocabulary_read_merge(json_string_value(value), json_string_length(value), merge);
    const json_t *left = json_array_get(value, 0), *right = json_array_get(value, 1);
    if (json_array_size(value) != 2 || !json_is_string(left) || !json_is_string(right))
        return false;
    *merge = (hg_vocabulary_merge){json_string_value(left), json_string_value(right),
                                   (uint32_t)json_string_length(left),
                                   (uint32_t)json_string_length(right)};
    return true;
}

static hg_status read_merges(loader *l, const json_t *merges)
{
    size_t count = json_array_size(merges), index;
    if (!json_is_array(merges))
        return FAIL(l, HG_ERROR_FORMAT, "%s is not an array", "model.merges");
    if (count > HG_LIMIT_MERGES)
        return FAIL(l, HG_ERROR_LIMIT, "model.merges has %zu entries, more than %d", count,
                    (int)HG_LIMIT_MERGES);
    l->v.merges = (uint32_t)count;
    l->v.merge = l->merge = calloc(count + 1, sizeof *l->merge);
    if (!l->merge) return fail_memory(l);
    const json_t *merge;
    json_array_foreach(merges, index, merge)
    {
        if (!read_merge(merge, &l->merge[index]))
            return FAIL(l, HG_ERROR_FORMAT, "model.merges[%zu] is not \"a b\" or [\"a\", \"b\"]",
                        index);
    }
    return HG_OK;
}

/* ---- the whole ---- */

static hg_status read_root(loader *l, const json_t *root, hg_tokenizer **out)
{
    json_t *model = json_object_get(root, "model");
    hg_status status = check_top(l, root);
    if (!status) status = check_model(l, model);
    if (!status) status = read_pre_tokenizer(l, root);
    if (!status) status = read_tokens(l, root, json_object_get(model, "vocab"));
    if (!status) status = read_merges(l, json_object_get(model, "merges"));
    return status ? status : hg_tokenizer_build(&l->v, out, l->error);
}

hg_status hg_tokenizer_parse(const char *json, size_t count, const char *file, hg_tokenizer **out,
                             hg_error *error)
{
    json_error_t place;
    *out = NULL;
    loader l = {.file = file, .error = error};
    l.v = (hg_vocabulary){.file = file,
                          .tokens_field = "model.vocab",
                          .merges_field = "model.merges",
                          .split = l.split};
    json_t *root = json_loadb(json, count, JSON_REJECT_DUPLICATES, &place);
    hg_status status = root ? read_root(&l, root, out)
                            : FAIL(&l, HG_ERROR_FORMAT, "line %d, column %d: %s", place.line,
                                   place.column, place.text);
    json_decref(root);
    free(l.token);
    free(l.merge);
    return status;
}

hg_status hg_tokenizer_open_by(const char *path, hg_tokenizer_parser *parse, hg_tokenizer **out,
                               hg_error *error)
{
    hg_mapping file;
    *out = NULL;
    hg_status status = hg_file_map(path, &file, error);
    if (status) return status;
    if (file.size > HG_LIMIT_FILE_JSON)
        status = hg_fail(error, HG_ERROR_LIMIT, "%s: %zu bytes, more than the %d that are read",
                         path, file.size, (int)HG_LIMIT_FILE_JSON);
    else
        status = parse((const char *)file.data, file.size, path, out, error);
    hg_file_unmap(&file);
    return status;
}

hg_status hg_tokenizer_open(const char *path, hg_tokenizer **out, hg_error *error)
{
    return hg_tokenizer_open_by(path, hg_tokenizer_parse, out, error);
}
