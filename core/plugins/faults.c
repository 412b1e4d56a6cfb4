/* faults.c: the ways in which adapters fail, seen in one translation beside its reference. Each is
 * held against the reference too, so that what a person would write is no fault. */
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include "core/plugins/gate.h"
#include "core/text/detector.h"
#include "core/text/spans.h"
#include "core/text/utf8.h"

static const char *const names[HG_FAULTS] = {
    "failed", "empty", "endless", "copied", "wrong_language", "answered", "lost_placeholders"};

const char *hg_fault_name(hg_fault fault)
{
    return names[fault];
}

static bool has_letter(const char *text)
{
    for (size_t at = 0; text[at];) {
        UChar32 c;
        U8_NEXT_UNSAFE(text, at, c);
        if (u_isalpha(c)) return true;
    }
    return false;
}

/* Equal but for white space and case. */
static bool is_alike(const char *a, const char *b)
{
    size_t i = 0, j = 0;
    UChar32 c, d;
    do {
        do {
            U8_NEXT_UNSAFE(a, i, c);
        } while (u_isUWhiteSpace(c));
        do {
            U8_NEXT_UNSAFE(b, j, d);
        } while (u_isUWhiteSpace(d));
        if (u_foldCase(c, U_FOLD_CASE_DEFAULT) != u_foldCase(d, U_FOLD_CASE_DEFAULT)) return false;
    } while (c && d);
    return c == d;
}

/* Whether the detector is sure that text is in another of its languages than this one. */
static bool is_foreign(const char *text, const char *language)
{
    unsigned confidence = 0;
    hg_detector detector = {0};
    hg_detector_read(&detector, text, strlen(text));
    const char *guess = hg_detector_guess(&detector, &confidence);
    size_t length = strcspn(language, "-");
    return confidence >= HG_DETECTOR_SURE &&
           (strcspn(guess, "-") != length || strncmp(guess, language, length) != 0);
}

/* Whether the list of text has what is [count] bytes at piece. */
static bool has_span(const hg_protected_list *list, const char *text, const char *piece,
                     size_t count)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->span[i].count == count && !memcmp(text + list->span[i].start, piece, count))
            return true;
    return false;
}

/* Whether the reference has something protected of the source, no mark, that the translation has
 * nowhere, in *out. */
static hg_status loses_protected(const char *source, const char *reference, const char *translation,
                                 bool *out)
{
    hg_protected_list said = {0}, kept = {0};
    bool lost = false;
    hg_status status = hg_protected_find(source, strlen(source), NULL, &said);
    if (!status) status = hg_protected_find(reference, strlen(reference), NULL, &kept);
    for (uint32_t i = 0; !status && !lost && i < said.count; i++) {
        const hg_protected *span = &said.span[i];
        const char *piece = source + span->start;
        lost = !hg_protected_is_mark(span) && has_span(&kept, reference, piece, span->count) &&
               !memmem(translation, strlen(translation), piece, span->count);
    }
    hg_protected_free(&said);
    hg_protected_free(&kept);
    *out = lost;
    return status;
}

unsigned hg_gate_faults(const char *source, const char *reference, const char *translation,
                        const char *language)
{
    unsigned faults = 0;
    bool lost;
    size_t wanted = hg_utf8_length(reference, strlen(reference));
    size_t got = hg_utf8_length(translation, strlen(translation));
    if (!has_letter(translation) && has_letter(reference)) faults |= 1u << HG_FAULT_EMPTY;
    if (is_alike(translation, source) && !is_alike(reference, source))
        faults |= 1u << HG_FAULT_COPIED;
    if (is_foreign(translation, language) && !is_foreign(reference, language))
        faults |= 1u << HG_FAULT_LANGUAGE;
    if (got > 2 * wanted + 20) faults |= 1u << HG_FAULT_ANSWERED;
    if (loses_protected(source, reference, translation, &lost)) faults |= 1u << HG_FAULT_FAILED;
    if (lost) faults |= 1u << HG_FAULT_PLACEHOLDERS;
    return faults;
}
