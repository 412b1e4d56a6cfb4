/* pattern.c: ICU's uregex behind three functions.
 *
 * ICU matches UTF-16 and keeps a pointer to the text, so a pattern carries the last text with it.
 * Backtracking is bounded twice: in steps by us, in memory by ICU's own default of 8 MB.
 */
#include "core/model/pattern.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <unicode/uregex.h>
#include <unicode/ustring.h>

#include "core/base/limits.h"

enum { WRAPPING = 64 }; /* room for what callers put around an expression */

struct hg_pattern {
    URegularExpression *regex;
    char where[256];                  /* file and field, for messages */
    UChar text[HG_LIMIT_TENSOR_NAME]; /* of the last match; ICU does not copy it */
};

hg_status hg_pattern_open(const hg_pattern_source *source, hg_pattern **out, hg_error *error)
{
    char whole[HG_LIMIT_ADAPTER_PATTERN + WRAPPING];
    UChar wide[HG_LIMIT_ADAPTER_PATTERN + WRAPPING];
    UErrorCode code = U_ZERO_ERROR;
    int32_t length;
    assert(strlen(source->before) + strlen(source->after) < WRAPPING);
    if (strlen(source->expression) > HG_LIMIT_ADAPTER_PATTERN)
        return hg_fail(error, HG_ERROR_LIMIT, "%s: field %s: a pattern of more than %d bytes",
                       source->file, source->field, HG_LIMIT_ADAPTER_PATTERN);
    int bytes =
        snprintf(whole, sizeof whole, "%s%s%s", source->before, source->expression, source->after);
    assert(bytes >= 0 && (size_t)bytes < sizeof whole);
    u_strFromUTF8(wide, HG_LIMIT_ADAPTER_PATTERN + WRAPPING, &length, whole, bytes, &code);
    hg_pattern *pattern = calloc(1, sizeof *pattern);
    if (!pattern) return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", source->file);
    snprintf(pattern->where, sizeof pattern->where, "%.180s: field %s", source->file,
             source->field);
    pattern->regex = uregex_open(wide, length, 0, NULL, &code);
    uregex_setTimeLimit(pattern->regex, HG_LIMIT_ADAPTER_PATTERN_STEPS, &code);
    if (U_FAILURE(code)) {
        hg_pattern_close(pattern);
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "%s: field %s: \"%.128s\" is not a regular expression that ICU reads: %s",
                       source->file, source->field, source->expression, u_errorName(code));
    }
    *out = pattern;
    return HG_OK;
}

void hg_pattern_close(hg_pattern *pattern)
{
    if (!pattern) return;
    if (pattern->regex) uregex_close(pattern->regex);
    free(pattern);
}

hg_status hg_pattern_matches(hg_pattern *pattern, const char *text, bool *out, hg_error *error)
{
    UErrorCode code = U_ZERO_ERROR;
    int32_t length;
    u_strFromUTF8(pattern->text, HG_LIMIT_TENSOR_NAME, &length, text, -1, &code);
    assert(U_SUCCESS(code));
    assert(length < HG_LIMIT_TENSOR_NAME);
    uregex_setText(pattern->regex, pattern->text, length, &code);
    *out = uregex_matches(pattern->regex, 0, &code);
    if (U_SUCCESS(code)) return HG_OK;
    return hg_fail(error, HG_ERROR_LIMIT, "%s: its pattern takes too long on \"%s\": %s",
                   pattern->where, text, u_errorName(code));
}
