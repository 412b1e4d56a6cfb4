/* language.h: BCP-47 tags and what ICU knows of their languages. Any thread. */
#ifndef HG_TEXT_LANGUAGE_H
#define HG_TEXT_LANGUAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"
#include "core/base/limits.h"

/* A canonical tag ("zh-Hans", "de-x-formal"). */
typedef struct hg_tag {
    char text[HG_LIMIT_TAG];
} hg_tag;

/* Checks and canonicalises: case, aliases ("iw" -> "he"), order. HG_ERROR_ARGUMENT, naming the
 * tag, when it is not well-formed. */
hg_status hg_tag_parse(const char *text, hg_tag *out, hg_error *error) HG_CHECKED;

typedef enum hg_tag_match {
    HG_TAG_DIFFERENT,
    HG_TAG_SAME_LANGUAGE, /* same language and script once likely subtags are filled in: zh, zh-CN
                           * and zh-Hans; de and de-AT; not zh-Hans and zh-TW; a private-use
                           * variant (de-x-formal) is offered only to who asks for it */
    HG_TAG_EQUAL,
} hg_tag_match;

/* How well what is offered serves what was asked. */
hg_tag_match hg_tag_compare(const hg_tag *asked, const hg_tag *offered);

/* The language's name in itself ("Français", "简体中文"), capitalised, and in English; a
 * private-use part is left out. Cut at a whole character when size [bytes] is too small. */
void hg_tag_native_name(const hg_tag *tag, char *out, size_t size);
void hg_tag_english_name(const hg_tag *tag, char *out, size_t size);

bool hg_tag_right_to_left(const hg_tag *tag);

#endif
