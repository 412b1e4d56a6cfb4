/* language.c: ICU's locale functions behind two notions, the canonical tag and how well one tag
 * serves another. ICU's own data is read-only and shared; no state here. */
#include "core/text/language.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/uldnames.h>
#include <unicode/uloc.h>
#include <unicode/ustring.h>

#include "core/text/utf8.h"

#define NAME_UNITS 256 /* UTF-16 units of a language's name; the longest of CLDR has below 100 */

/* The ICU locale of a canonical tag: "de@x=formal". */
static void to_locale(const hg_tag *tag, char locale[ULOC_FULLNAME_CAPACITY])
{
    UErrorCode icu = U_ZERO_ERROR;
    uloc_forLanguageTag(tag->text, locale, ULOC_FULLNAME_CAPACITY, NULL, &icu);
    assert(U_SUCCESS(icu)); /* hg_tag_parse made the tag */
}

hg_status hg_tag_parse(const char *text, hg_tag *out, hg_error *error)
{
    UErrorCode icu = U_ZERO_ERROR;
    char locale[ULOC_FULLNAME_CAPACITY];
    int32_t parsed = 0;
    size_t length = strlen(text);
    *out = (hg_tag){0};
    if (length < sizeof out->text) uloc_forLanguageTag(text, locale, sizeof locale, &parsed, &icu);
    if (!length || (size_t)parsed != length || U_FAILURE(icu) ||
        icu == U_STRING_NOT_TERMINATED_WARNING)
        return hg_fail(error, HG_ERROR_ARGUMENT,
                       "language tag \"%.64s\" is not well-formed: expected BCP-47 as \"de\" or "
                       "\"zh-Hans\"",
                       text);
    uloc_toLanguageTag(locale, out->text, sizeof out->text, true, &icu);
    if (U_SUCCESS(icu) && icu != U_STRING_NOT_TERMINATED_WARNING) return HG_OK;
    *out = (hg_tag){0};
    return hg_fail(error, HG_ERROR_ARGUMENT,
                   "language tag \"%.64s\" has no canonical form of below %zu characters", text,
                   sizeof out->text);
}

/* The private-use part ("x-formal"), or "" when there is none. */
static const char *private_use(const hg_tag *tag)
{
    if (strncmp(tag->text, "x-", 2) == 0) return tag->text;
    const char *part = strstr(tag->text, "-x-");
    return part ? part + 1 : "";
}

/* Language and script once likely subtags are filled in. */
static void likely(const hg_tag *tag, char language[ULOC_LANG_CAPACITY],
                   char script[ULOC_SCRIPT_CAPACITY])
{
    UErrorCode icu = U_ZERO_ERROR;
    char locale[ULOC_FULLNAME_CAPACITY], full[ULOC_FULLNAME_CAPACITY];
    to_locale(tag, locale);
    uloc_addLikelySubtags(locale, full, sizeof full, &icu);
    const char *from = U_SUCCESS(icu) ? full : locale; /* unknown languages stay as they are */
    icu = U_ZERO_ERROR;
    uloc_getLanguage(from, language, ULOC_LANG_CAPACITY, &icu);
    uloc_getScript(from, script, ULOC_SCRIPT_CAPACITY, &icu);
    assert(U_SUCCESS(icu));
}

hg_tag_match hg_tag_compare(const hg_tag *asked, const hg_tag *offered)
{
    char languages[2][ULOC_LANG_CAPACITY], scripts[2][ULOC_SCRIPT_CAPACITY];
    if (strcmp(asked->text, offered->text) == 0) return HG_TAG_EQUAL;
    const char *variant = private_use(offered);
    if (*variant && strcmp(variant, private_use(asked)) != 0) return HG_TAG_DIFFERENT;
    likely(asked, languages[0], scripts[0]);
    likely(offered, languages[1], scripts[1]);
    bool same =
        *languages[0] && !strcmp(languages[0], languages[1]) && !strcmp(scripts[0], scripts[1]);
    return same ? HG_TAG_SAME_LANGUAGE : HG_TAG_DIFFERENT;
}

/* Writes tag's name in the language of the locale `in`, cut at a whole character when size is
 * small; the tag itself when ICU has no name. */
static void display_name(const hg_tag *tag, const char *in, char *out, size_t size)
{
    UErrorCode icu = U_ZERO_ERROR;
    UDisplayContext contexts[] = {UDISPCTX_DIALECT_NAMES,
                                  UDISPCTX_CAPITALIZATION_FOR_BEGINNING_OF_SENTENCE,
                                  UDISPCTX_LENGTH_SHORT};
    char locale[ULOC_FULLNAME_CAPACITY], bytes[3 * NAME_UNITS + 1] = "";
    UChar wide[NAME_UNITS];
    assert(size > 0);
    to_locale(tag, locale);
    ULocaleDisplayNames *names = uldn_openForContext(in ? in : locale, contexts, 3, &icu);
    char *keywords = strchr(locale, '@'); /* private use has no name */
    if (keywords) *keywords = '\0';
    int32_t units = uldn_localeDisplayName(names, locale, wide, NAME_UNITS, &icu);
    u_strToUTF8(bytes, sizeof bytes, NULL, wide, units, &icu);
    uldn_close(names);
    const char *name = U_SUCCESS(icu) && *bytes ? bytes : tag->text;
    size_t length = strlen(name);
    length = hg_utf8_valid(name, length < size ? length : size - 1);
    memcpy(out, name, length);
    out[length] = '\0';
}

void hg_tag_native_name(const hg_tag *tag, char *out, size_t size)
{
    display_name(tag, NULL, out, size);
}

void hg_tag_english_name(const hg_tag *tag, char *out, size_t size)
{
    display_name(tag, "en", out, size);
}

bool hg_tag_right_to_left(const hg_tag *tag)
{
    char locale[ULOC_FULLNAME_CAPACITY];
    to_locale(tag, locale);
    return uloc_isRightToLeft(locale);
}
