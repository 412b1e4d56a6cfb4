/* rules.c: ICU transliterators over a text of our own (UReplaceable), so that the text can refuse
 * to grow: rules come from an upload, and a few doubling passes would fill any memory. A text that
 * has refused shows itself as empty from then on, so no further rule matches and ICU comes to an
 * end; the call then fails with HG_ERROR_LIMIT. */
#include "core/text/rules.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/ustring.h>
#include <unicode/utrans.h>

#include "core/base/limits.h"

struct hg_rules {
    UTransliterator *transliterator;
};

/* ---- the text that ICU edits ---- */

typedef struct units {
    UChar *unit; /* [capacity], owned */
    int32_t count, capacity;
    uint32_t reads;   /* of characters: what rules cost, on any machine alike */
    hg_status status; /* why the text refused to change */
} units;

/* From here on the text looks empty and stays so. */
static void units_refuse(units *u, hg_status status)
{
    u->status = status;
    u->count = 0;
}

/* Makes room for count units in all. */
static bool units_reserve(units *u, int64_t count)
{
    if (count <= u->capacity) return true;
    int64_t capacity = count + count / 2 + 64;
    if (count > HG_LIMIT_RULES_TEXT) {
        units_refuse(u, HG_ERROR_LIMIT);
        return false;
    }
    UChar *grown = realloc(u->unit, (size_t)capacity * sizeof *grown);
    if (!grown) {
        units_refuse(u, HG_ERROR_MEMORY);
        return false;
    }
    u->unit = grown;
    u->capacity = (int32_t)capacity;
    return true;
}

/* What ICU calls. Once a text has refused, ICU's own count of it is wrong, so every offset is
 * checked against ours. */
static int32_t on_length(const UReplaceable *rep)
{
    return ((const units *)rep)->count;
}

/* Rules that look at the text too often are refused as those that let it grow. */
static void count_read(const UReplaceable *rep)
{
    units *u = (units *)(uintptr_t)rep; /* ICU calls its readers const */
    if (++u->reads == HG_LIMIT_RULES_READS) units_refuse(u, HG_ERROR_LIMIT);
}

static UChar on_char_at(const UReplaceable *rep, int32_t offset)
{
    const units *u = (const units *)rep;
    count_read(rep);
    return offset >= 0 && offset < u->count ? u->unit[offset] : 0xFFFF; /* ICU's "no character" */
}

static UChar32 on_char32_at(const UReplaceable *rep, int32_t offset)
{
    const units *u = (const units *)rep;
    UChar32 c;
    count_read(rep);
    if (offset < 0 || offset >= u->count) return 0xFFFF;
    U16_GET(u->unit, 0, offset, u->count, c);
    return c;
}

static void on_replace(UReplaceable *rep, int32_t start, int32_t limit, const UChar *text,
                       int32_t length)
{
    units *u = (units *)rep;
    if (u->status || start < 0 || start > limit || limit > u->count) return;
    if (!units_reserve(u, (int64_t)u->count - (limit - start) + length)) return;
    memmove(u->unit + start + length, u->unit + limit,
            (size_t)(u->count - limit) * sizeof *u->unit);
    if (length) memcpy(u->unit + start, text, (size_t)length * sizeof *u->unit);
    u->count += length - (limit - start);
}

static void on_extract(UReplaceable *rep, int32_t start, int32_t limit, UChar *out)
{
    for (int32_t i = start; i < limit; i++) out[i - start] = on_char_at(rep, i);
}

static void on_copy(UReplaceable *rep, int32_t start, int32_t limit, int32_t destination)
{
    units *u = (units *)rep;
    if (u->status || start < 0 || start > limit || limit > u->count) return;
    size_t bytes = (size_t)(limit - start) * sizeof(UChar);
    UChar *piece = malloc(bytes + 1); /* on_replace may move the text */
    if (!piece) {
        units_refuse(u, HG_ERROR_MEMORY);
        return;
    }
    memcpy(piece, u->unit + start, bytes);
    on_replace(rep, destination, destination, piece, limit - start);
    free(piece);
}

static const UReplaceableCallbacks callbacks = {.length = on_length,
                                                .charAt = on_char_at,
                                                .char32At = on_char32_at,
                                                .replace = on_replace,
                                                .extract = on_extract,
                                                .copy = on_copy};

/* UTF-8 in: valid, or HG_ERROR_FORMAT. */
static hg_status units_read(units *u, const char *text, size_t count)
{
    UErrorCode icu = U_ZERO_ERROR;
    if (count > HG_LIMIT_RULES_TEXT) return HG_ERROR_LIMIT;
    if (!units_reserve(u, (int64_t)count + 1)) return u->status;
    u_strFromUTF8(u->unit, u->capacity, &u->count, text, (int32_t)count, &icu);
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): u->unit is the caller's, who frees it */
    return U_SUCCESS(icu) ? HG_OK : HG_ERROR_FORMAT;
}

/* UTF-8 out, replacing out's content. Rules can leave half a surrogate pair: it becomes U+FFFD. */
static hg_status units_write(const units *u, hg_buf *out)
{
    UErrorCode icu = U_ZERO_ERROR;
    int32_t bytes = 0;
    char *text = malloc(3 * (size_t)u->count + 1); /* a unit is at most three bytes */
    if (!text) return HG_ERROR_MEMORY;
    u_strToUTF8WithSub(text, 3 * u->count, &bytes, u->unit, u->count, 0xFFFD, NULL, &icu);
    assert(U_SUCCESS(icu));
    hg_buf_clear(out);
    hg_status status = hg_buf_append(out, text, (size_t)bytes);
    free(text);
    return status;
}

/* ---- rules ---- */

/* Each leaves a text alone that is right already, and marks inside of numbers, times and addresses.
 */
#define QUOTES(open, close)                                                                        \
    "$before = [[:White_Space:][:Ps:][:Pi:][:Pd:]];"                                               \
    "$before { \\\" > " open ";"                                                                   \
    "^ \\\" > " open ";"                                                                           \
    "\\\" > " close ";"

static const hg_shipped_rules shipped[] = {
    {"french-spacing",
     "narrow no-break spaces before ; ! ? and inside guillemets, a no-break space before a colon",
     "$space = [\\u0020\\u00A0\\u202F];"
     "$word = [[:L:][:M:][:N:][:Pe:][:Pf:]\\%\\\"];"
     "$word { $space* ([\\;\\!\\?]) > \\u202F $1;"
     "$word { $space* (\\:) } [[:White_Space:]] > \\u00A0 $1;"
     "$word { $space* » > \\u202F »;"
     "« $space* } $word > « \\u202F;"},
    {"cjk-punctuation", "full-width marks behind Chinese and Japanese letters",
     "$cjk = [[:Han:][:Hiragana:][:Katakana:]ー々」』）];"
     "$cjk { \\, > \\uFF0C;"
     "$cjk { \\? > \\uFF1F;"
     "$cjk { \\! > \\uFF01;"
     "$cjk { \\; > \\uFF1B;"
     "$cjk { \\: > \\uFF1A;"
     "$cjk { \\. } [^\\.[:L:][:N:]] > 。;"
     "$cjk { \\. } $ > 。;"},
    {"german-quotes", "„ and “ for straight quotation marks", QUOTES("„", "“")},
    {"spanish-quotes", "« and » for straight quotation marks", QUOTES("«", "»")},
};

const hg_shipped_rules *hg_shipped_rules_at(unsigned index)
{
    return index < sizeof shipped / sizeof *shipped ? &shipped[index] : NULL;
}

/* A shipped set's text for its name; else the text itself. */
static const char *resolve(const char *rules)
{
    for (size_t i = 0; i < sizeof shipped / sizeof *shipped; i++)
        if (strcmp(shipped[i].name, rules) == 0) return shipped[i].text;
    return rules;
}

hg_status hg_rules_open(const char *rules, hg_rules **out, hg_error *error)
{
    static const UChar id[] = u"hydraglot";
    UErrorCode icu = U_ZERO_ERROR;
    UParseError place = {0};
    int32_t count = 0;
    rules = resolve(rules);
    size_t bytes = strlen(rules);
    *out = NULL;
    if (bytes > HG_LIMIT_RULES)
        return hg_fail(error, HG_ERROR_LIMIT, "rules: %zu bytes, more than the %d that are read",
                       bytes, (int)HG_LIMIT_RULES);
    UChar *wide = malloc((bytes + 1) * sizeof *wide);
    hg_rules *made = calloc(1, sizeof *made);
    if (!wide || !made) {
        free(wide);
        free(made);
        return hg_fail(error, HG_ERROR_MEMORY, "rules: no memory to compile them");
    }
    u_strFromUTF8(wide, (int32_t)bytes + 1, &count, rules, (int32_t)bytes, &icu);
    /* ICU 72 leaks the passes it has compiled when a later "::ID" is unknown: some kilobytes for
     * each such upload, which only an administrator can make. */
    made->transliterator = utrans_openU(id, -1, UTRANS_FORWARD, wide, count, &place, &icu);
    free(wide);
    if (U_SUCCESS(icu)) {
        *out = made;
        return HG_OK;
    }
    char near[4 * U_PARSE_CONTEXT_LEN] = "";
    UErrorCode ignored = U_ZERO_ERROR; /* the context is shown as far as it can be */
    u_strToUTF8WithSub(near, sizeof near - 1, NULL, place.preContext, -1, 0xFFFD, NULL, &ignored);
    hg_rules_close(made);
    return hg_fail(error, HG_ERROR_FORMAT, "rules: %s at line %d, character %d, after \"%s\"",
                   u_errorName(icu), (int)place.line, (int)place.offset, near);
}

void hg_rules_close(hg_rules *rules)
{
    if (!rules) return;
    if (rules->transliterator) utrans_close(rules->transliterator);
    free(rules);
}

hg_status hg_rules_apply(hg_rules *rules, const char *text, size_t count, hg_buf *out)
{
    UErrorCode icu = U_ZERO_ERROR;
    units u = {0};
    hg_status status = units_read(&u, text, count);
    int32_t limit = u.count;
    if (!status) {
        utrans_trans(rules->transliterator, (UReplaceable *)&u, &callbacks, 0, &limit, &icu);
        status = u.status ? u.status : U_FAILURE(icu) ? HG_ERROR_FORMAT : units_write(&u, out);
    }
    free(u.unit);
    return status;
}

/* Whether the incremental transliterator consumes all of text and comes to the same result. */
static hg_status is_settled(hg_rules *rules, const char *text, size_t count, const hg_buf *result,
                            bool *settled)
{
    UErrorCode icu = U_ZERO_ERROR;
    units u = {0};
    hg_buf partial = hg_buf_new(result->maximum);
    hg_status status = units_read(&u, text, count);
    UTransPosition at = {.contextLimit = u.count, .limit = u.count};
    *settled = false;
    if (!status) {
        utrans_transIncremental(rules->transliterator, (UReplaceable *)&u, &callbacks, &at, &icu);
        status = u.status ? u.status : U_FAILURE(icu) ? HG_OK : units_write(&u, &partial);
        *settled = !status && U_SUCCESS(icu) && at.start == at.limit && at.limit == u.count &&
                   partial.length == result->length &&
                   memcmp(hg_buf_text(&partial), hg_buf_text(result), partial.length) == 0;
    }
    free(u.unit);
    hg_buf_free(&partial);
    return status;
}

/* ICU's case mappings look ahead and yet consume all of an open text: a sigma is final until a
 * letter follows, a Turkish I dotless until a dot follows. So the two are tried. */
static hg_status is_unmoved(hg_rules *rules, const char *text, size_t count, const hg_buf *result,
                            bool *settled)
{
    static const char *const probes[] = {"A", "\xCC\x87" /* U+0307 */};
    hg_buf longer = hg_buf_new(count + 2), out = hg_buf_new(result->maximum + 64);
    hg_status status = HG_OK;
    for (size_t i = 0; i < sizeof probes / sizeof *probes && *settled && !status; i++) {
        hg_buf_clear(&longer);
        status = hg_buf_append(&longer, text, count);
        if (!status) status = hg_buf_append_text(&longer, probes[i]);
        if (!status) status = hg_rules_apply(rules, longer.data, longer.length, &out);
        *settled = !status && out.length >= result->length &&
                   memcmp(hg_buf_text(&out), hg_buf_text(result), result->length) == 0;
    }
    hg_buf_free(&longer);
    hg_buf_free(&out);
    return status;
}

hg_status hg_rules_apply_open(hg_rules *rules, const char *text, size_t count, hg_buf *out,
                              bool *settled)
{
    *settled = false;
    hg_status status = hg_rules_apply(rules, text, count, out);
    if (!status) status = is_settled(rules, text, count, out, settled);
    if (!status && *settled) status = is_unmoved(rules, text, count, out, settled);
    return status;
}
