/* carry.h: what is protected in a sentence goes through its translation.
 *
 * A small model neither copies a URL nor leaves it out; but it copies a common name without fail.
 * So the sentence that is translated has *stand-ins*, which plugin.json names (and what they look
 * like in its language), and the translation has what they stood for put back, in the form's place:
 * "See https://example.com." is read as "See Tom.". In plugins that name none, it stands for
 * itself. Marks (emoji, tags), and what finds no stand-in left, leave the sentence and are put back
 * by their place (spread.h), and so is what the translation lost, at its end; before that, a
 * sentence that lost something is tried again with other stand-ins (HG_LIMIT_PROTECTED_TRIES).
 * Plain numbers of up to four digits stand for themselves at the first try, because words agree
 * with them.
 *
 * Each span comes back byte for byte, once; a further form of its stand-in is dropped. Text that
 * rests on a span is only committed when all before it is sure: hg_restoring.safe.
 *
 * A carry is one lane's in one sentence and borrows the plugin's, the request's text and its
 * glossary. What must outlive it, so that the same span stands for itself in the next revision, is
 * an hg_carried_past, of the sentence's language.
 */
#ifndef HG_TRANSLATE_CARRY_H
#define HG_TRANSLATE_CARRY_H

#include "core/base/buf.h"
#include "core/base/limits.h"
#include "core/model/plugin.h"
#include "core/text/spans.h"
#include "core/translate/glossary.h"

typedef struct hg_carried {
    size_t start, count;    /* bytes of the text */
    uint32_t sign;          /* of the text that comes back: equal texts have equal ones */
    hg_protected_kind kind; /* TERM: only those that the glossary has in the lane's language */
    int32_t stand_in;       /* index among the plugin's of its kind, or one of those below */
} hg_carried;

#define HG_ITSELF   (-1)
#define HG_LEFT_OUT (-2)

typedef struct hg_carried_past {
    hg_carried span[HG_LIMIT_PROTECTED]; /* [spans] of the open sentence, in order */
    uint32_t spans;
    uint64_t generation; /* of the plugin whose stand-ins they are; it may be gone */
} hg_carried_past;

typedef struct hg_carry_span {
    hg_carried is;
    size_t at, content; /* bytes of the source that stand for it; what is left out has none */
    bool spaced;        /* left out between white space, one side of which went with it */
    bool literal;       /* what stands for it may be said once more */
    const char *text;   /* [bytes] what comes back */
    size_t bytes;
} hg_carry_span;

typedef struct hg_carry {
    const hg_plugin *plugin;
    uint64_t generation;
    hg_buf source; /* what is translated */
    hg_carry_span span[HG_LIMIT_PROTECTED];
    uint32_t spans;
} hg_carry;

/* What a carry is made of. */
typedef struct hg_carry_of {
    const char *text;  /* where the spans count from */
    size_t start, end; /* of the sentence in it */
    const hg_protected_list *kept;
    const hg_glossary *glossary; /* or NULL */
    const hg_tag *language;      /* that it is translated into */
    const hg_plugin *plugin;
    uint64_t generation; /* of the plugin: hg_catalog_entry's id, which no other ever has */
    const hg_carried_past *past;
} hg_carry_of;

/* *out is NULL when the sentence has nothing to carry. HG_ERROR_MEMORY, HG_ERROR_LIMIT. */
hg_status hg_carry_new(const hg_carry_of *of, hg_carry **out) HG_CHECKED;
void hg_carry_free(hg_carry *carry); /* NULL is allowed */

/* carry NULL: nothing is carried. */
void hg_carry_remember(const hg_carry *carry, hg_carried_past *past);
/* Gives those that are missing other stand-ins, in past. False: there are none. */
bool hg_carry_retry(const hg_carry *carry, uint64_t missing, hg_carried_past *past);
/* Whether the first bytes of the text have the same spans in the sentence that `of` names as they
 * had in the past. */
bool hg_carry_holds(const hg_carry_of *of, size_t bytes);

typedef struct hg_restoring {
    hg_buf *out;                   /* appended to */
    uint64_t found;                /* bit i: span i was found */
    size_t to[HG_LIMIT_PROTECTED]; /* where it stands in what was appended */
    size_t safe; /* bytes of the translation that no later place of what is missing lies before */
} hg_restoring;

/* Appends text [bytes], a translation of the sentence or its beginning, with its spans put back but
 * those in placed, which stand before it. */
hg_status hg_carry_restore(const hg_carry *carry, uint64_t placed, const char *text, size_t bytes,
                           hg_restoring *restoring) HG_CHECKED;
/* `at`, or where in text [bytes] what may stand for a span begins that has `at` inside of it. */
size_t hg_carry_outside(const hg_carry *carry, const char *text, size_t bytes, size_t at);
/* Those not in placed that stand in text [bytes], which has been restored, as they are. */
uint64_t hg_carry_contained(const hg_carry *carry, uint64_t placed, const char *text, size_t bytes);
/* Spans that are in neither. */
uint64_t hg_carry_missing(const hg_carry *carry, uint64_t found, uint64_t placed);
/* The same without what was left out. */
uint64_t hg_carry_lost(const hg_carry *carry, uint64_t found, uint64_t placed);
/* Replaces what was restored, the end of restoring->out from byte `begin` on, by itself with what
 * is missing, none of it before byte `from`. */
hg_status hg_carry_place(const hg_carry *carry, uint64_t placed, const hg_restoring *restoring,
                         size_t begin, size_t from) HG_CHECKED;

#endif
