/* templates.h: prompt templates that come with the program, which plugin.json may name instead of
 * spelling one out. One table; docs/OPERATIONS.md's is printed from it. */
#ifndef HG_TRANSLATE_TEMPLATES_H
#define HG_TRANSLATE_TEMPLATES_H

#include "core/base/buf.h"
#include "core/base/error.h"

#define HG_TEMPLATE_STOPS 4

typedef struct hg_template {
    const char *name, *what;
    const char *text;                    /* {language} stands for the plugin's language subtag */
    const char *stop[HG_TEMPLATE_STOPS]; /* special tokens that end an answer beside the base's own,
                                          * when plugin.json names none; NULL behind the last; those
                                          * that a base lacks do not count */
    const char *chat; /* what a chat template (Jinja) has that means this one; NULL: none does */
} hg_template;

/* The templates in order, NULL behind the last. */
const hg_template *hg_template_at(unsigned index);

/* What plugin.json's `template` stands for: a text with {source} in it is itself, anything else the
 * name of a template above. Appends the text to out; *named is NULL when it was none.
 * language is a BCP-47 tag or "". */
hg_status hg_template_resolve(const char *template, const char *language, hg_buf *out,
                              const hg_template **named, hg_error *error) HG_CHECKED;

#endif
