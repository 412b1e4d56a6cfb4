/* glossary.h: words that have a fixed translation: {source word: {language: word}}.
 *
 * Counted by reference, so that a session's, its requests' and their rounds' are one. Filled by
 * who makes it, immutable from then on. One thread.
 */
#ifndef HG_TRANSLATE_GLOSSARY_H
#define HG_TRANSLATE_GLOSSARY_H

#include "core/text/language.h"
#include "core/text/spans.h"

typedef struct hg_glossary hg_glossary;

/* With one reference; NULL without memory. */
hg_glossary *hg_glossary_new(void);
hg_glossary *hg_glossary_hold(hg_glossary *glossary); /* NULL is allowed, here and below */
void hg_glossary_release(hg_glossary *glossary);

/* All are copied; a word and language that are there already are replaced. HG_ERROR_MEMORY. */
hg_status hg_glossary_add(hg_glossary *glossary, const char *word, const hg_tag *language,
                          const char *translation) HG_CHECKED;

/* Its source words; NULL without any. */
const hg_terms *hg_glossary_terms(const hg_glossary *glossary);
/* Of the term, in a language that is equal or at least like; NULL: there is none. */
const char *hg_glossary_find(const hg_glossary *glossary, uint32_t term, const hg_tag *language);

#endif
