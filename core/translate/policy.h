/* policy.h: which words of a sentence that is still being typed are committed, and which are shown.
 *
 * Each revision of a sentence is translated anew; its translation is a *hypothesis* of what the
 * whole sentence's will be. Words are *committed* when the hypotheses of the last `agreement`
 * revisions agree on them, revisions that differ by a whole word of the source each (local
 * agreement: Liu et al. 2020, Polak et al. 2022) and rest on `least_words` of it: what is said of
 * the first words alone agrees by chance. A sentence that the person ended with a mark needs no
 * agreement. Beyond the committed words, `ahead` more are *shown*, or those that `likely`
 * hypotheses agree on where there are more (in scripts with spaces: elsewhere a word is a
 * character, which is agreed on by chance), but never the last `hold_back` ones of a sentence that
 * goes on: those change most. What is shown stays as long as the newest hypothesis says so too.
 * Before anything is shown, and when the sentence was ended, `ahead` does not bound it.
 *
 * A revision that changes more than the last word is an *edit*, mostly half of one: a mistake, or
 * one that is being mended. During the first `patience` of them in a row what was shown stays as it
 * is, as far as commits allow.
 *
 * docs/PERFORMANCE.md has what other policies cost. A final revision needs none of this: its words
 * are committed as they are complete. Pure functions but for the past, which has one owner.
 */
#ifndef HG_TRANSLATE_POLICY_H
#define HG_TRANSLATE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/limits.h"

typedef struct hg_policy {
    uint32_t agreement;   /* hypotheses that must agree; 0: only a final revision commits */
    uint32_t least_words; /* whole words of source that each of them must rest on */
    uint32_t ahead;       /* words */
    uint32_t hold_back;   /* words */
    uint32_t likely;      /* hypotheses that must agree on words to show them; 0: none */
    uint32_t patience;    /* revisions */
} hg_policy;

/* What an earlier revision said behind what is committed now. */
typedef struct hg_hypothesis {
    hg_buf tail;    /* raw text; without the mark that ended a sentence which the source did not */
    size_t settled; /* bytes of source that it rests on, but for an unfinished word */
    uint32_t words; /* in them */
    bool ended;     /* that source ends with a mark that ends a sentence */
    bool whole;     /* its lane came to its end */
} hg_hypothesis;

/* Of one language of a sentence: newest first, each resting on less source than the one before. */
typedef struct hg_past {
    hg_hypothesis hypothesis[HG_LIMIT_AGREEMENT - 1];
    uint32_t count;
} hg_past;

void hg_past_free(hg_past *past);

/* Drops all that rests on more than the first bytes of the source: the person has changed it. */
void hg_past_forget(hg_past *past, size_t bytes);

/* Takes a hypothesis, in the place of what rests on as much source or more. One that was cut short
 * is only taken when it says more than the newest. Without memory it is not taken: words are
 * committed later. */
void hg_past_note(hg_past *past, const hg_hypothesis *now);

/* piece [bytes] was committed: what goes on otherwise is dropped. */
void hg_past_commit(hg_past *past, const char *piece, size_t bytes);

/* Bytes of now's tail that are to be committed, up to a border in all that agree; 0: none. */
size_t hg_policy_agreed(const hg_policy *policy, const hg_past *past, const hg_hypothesis *now);

/* Words between white space that as many hypotheses as `likely` agree on. */
uint32_t hg_policy_likely(const hg_policy *policy, const hg_past *past, const hg_hypothesis *now);

/* What a reader of a sentence that goes on may see. */
typedef struct hg_preview {
    const hg_buf *text;   /* the hypothesis, committed text included */
    size_t committed;     /* bytes of it */
    const hg_buf *before; /* what the reader sees now */
    uint32_t likely;      /* of hg_policy_likely */
    bool first;           /* there was nothing to agree with, and nothing is shown */
    bool ended;           /* the person ended the sentence with a mark */
} hg_preview;

/* Bytes of text to show, at least the committed ones. *change: whether the reader's text should be
 * replaced by them while more is coming. It should not when they only repeat its beginning, nor
 * when they say something else and are shorter so far: text neither flickers nor shrinks to grow
 * again.
 */
size_t hg_policy_shown(const hg_policy *policy, const hg_preview *preview, bool *change);

#endif
