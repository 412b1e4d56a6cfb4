/* reading.h: how a text in another script sounds, in Latin letters, for who cannot read it.
 *
 * Only where that follows from the text: Cyrillic, Greek, Georgian, Armenian and Korean by ICU's
 * rules of their own languages (BGN, UNGEGN), Chinese in pinyin. Others have none rather than a
 * wrong one: Japanese (ICU reads kanji as Chinese), Arabic, Hebrew and Persian (their vowels are
 * not written), Thai and the scripts of India (ICU spells, it does not say).
 */
#ifndef HG_TEXT_READING_H
#define HG_TEXT_READING_H

#include <stdbool.h>

#include "core/base/buf.h"
#include "core/text/language.h"

/* Zeroed at first. Rules are compiled when a language is first read: some milliseconds, Chinese a
 * tenth of a second. One thread at a time. */
#define HG_READINGS_MAX 24

typedef struct hg_readings {
    struct hg_rules *rules[HG_READINGS_MAX]; /* owned; NULL: not used yet */
} hg_readings;

/* Whether texts of this language have one. Any thread. */
bool hg_reading_has(const hg_tag *tag);

/* Replaces out's content by the reading of text (valid UTF-8). HG_ERROR_ARGUMENT: the language has
 * none; HG_ERROR_LIMIT: the text has more than HG_LIMIT_READING code points; and what rules.h says,
 * where ICU lacks the data. */
hg_status hg_reading_of(hg_readings *readings, const hg_tag *tag, const char *text, hg_buf *out,
                        hg_error *error) HG_CHECKED;

void hg_readings_free(hg_readings *readings);

#endif
