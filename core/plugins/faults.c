/* faults.c: the ways in which adapters fail, seen in one translation beside its reference. Each is
 * held against the reference too, so that what a person would write is no fault. */
#include <string.h>
#include <unicode/uchar.h>
#include <unicode/utf8.h>

#include "core/plugins/gate.h"
#include "core/text/detector.h"
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

/* Whether a word is of the kind that is carried over as it stands. */
static bool is_placeholder(const char *word, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if ((word[i] >= '0' && word[i] <= '9') || strchr("{}%<>@#", word[i])) return true;
    return length > 6 && memchr(word, ':', length - 2) && strstr(word, "://");
}

static bool has_piece(const char *text, const char *piece, size_t length)
{
    for (; (text = strchr(text, *piece)); text++)
        if (strncmp(text, piece, length) == 0) return true;
    return false;
}

/* A placeholder of the source that the reference has and the translation has not. Marks at a word's
 * end belong to the sentence. */
static bool loses_placeholder(const char *source, const char *reference, const char *translation)
{
    for (const char *at = source + strspn(source, " \t"); *at; at += strspn(at, " \t")) {
        size_t whole = strcspn(at, " \t"), length = whole;
        while (length && strchr(".,;:!?\"')(", at[length - 1])) length--;
        if (length && is_placeholder(at, length) && has_piece(reference, at, length) &&
            !has_piece(translation, at, length))
            return true;
        at += whole;
    }
    return false;
}

unsigned hg_gate_faults(const char *source, const char *reference, const char *translation,
                        const char *language)
{
    unsigned faults = 0;
    size_t wanted = hg_utf8_length(reference, strlen(reference));
    size_t got = hg_utf8_length(translation, strlen(translation));
    if (!has_letter(translation) && has_letter(reference)) faults |= 1u << HG_FAULT_EMPTY;
    if (is_alike(translation, source) && !is_alike(reference, source))
        faults |= 1u << HG_FAULT_COPIED;
    if (is_foreign(translation, language) && !is_foreign(reference, language))
        faults |= 1u << HG_FAULT_LANGUAGE;
    if (got > 2 * wanted + 20) faults |= 1u << HG_FAULT_ANSWERED;
    if (loses_placeholder(source, reference, translation)) faults |= 1u << HG_FAULT_PLACEHOLDERS;
    return faults;
}
