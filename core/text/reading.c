/* reading.c: see reading.h. One row for each language; ICU does the work. */
#include "core/text/reading.h"

#include <assert.h>
#include <string.h>

#include "core/text/pinyin.h"
#include "core/text/rules.h"
#include "core/text/utf8.h"

static const struct row {
    hg_tag tag;
    const char *rules;
} rows[] = {
    {{"be"}, "::Belarusian-Latin/BGN;"},     {{"bg"}, "::Bulgarian-Latin/BGN;"},
    {{"el"}, "::Greek-Latin/UNGEGN;"},       {{"hy"}, "::Armenian-Latin/BGN;"},
    {{"ka"}, "::Georgian-Latin/BGN;"},       {{"kk"}, "::Kazakh-Latin/BGN;"},
    {{"ko"}, "::Korean-Latin/BGN;"},         {{"ky"}, "::Kirghiz-Latin/BGN;"},
    {{"mk"}, "::Macedonian-Latin/BGN;"},     {{"mn"}, "::Mongolian-Latin/BGN;"},
    {{"ru"}, "::Russian-Latin/BGN;"},        {{"sr"}, "::Serbian-Latin/BGN;"},
    {{"uk"}, "::Ukrainian-Latin/BGN;"},      {{"zh"}, HG_PINYIN},
    {{"zh-Hant"}, "::Hant-Hans;" HG_PINYIN},
};

#define ROWS (sizeof rows / sizeof *rows)
static_assert(ROWS <= HG_READINGS_MAX, "a place for each");

/* How many bytes of a tag are its language. */
static size_t language_bytes(const hg_tag *tag)
{
    return strcspn(tag->text, "-");
}

/* ROWS: none. The languages are compared first: to compare tags, scripts and all, is slow. */
static size_t find(const hg_tag *tag)
{
    size_t bytes = language_bytes(tag);
    for (size_t row = 0; row < ROWS; row++) {
        const hg_tag *known = &rows[row].tag;
        if (language_bytes(known) == bytes && memcmp(known->text, tag->text, bytes) == 0 &&
            hg_tag_compare(tag, known) != HG_TAG_DIFFERENT)
            return row;
    }
    return ROWS;
}

bool hg_reading_has(const hg_tag *tag)
{
    return find(tag) < ROWS;
}

hg_status hg_reading_of(hg_readings *readings, const hg_tag *tag, const char *text, hg_buf *out,
                        hg_error *error)
{
    size_t row = find(tag), count = strlen(text);
    if (row == ROWS) return hg_fail(error, HG_ERROR_ARGUMENT, "%s has no reading", tag->text);
    if (hg_utf8_length(text, count) > HG_LIMIT_READING)
        return hg_fail(error, HG_ERROR_LIMIT, "reading: the text is longer than %d characters",
                       HG_LIMIT_READING);
    if (!readings->rules[row]) {
        hg_status status = hg_rules_open(rows[row].rules, &readings->rules[row], error);
        if (status) return status;
    }
    hg_status status = hg_rules_apply(readings->rules[row], text, count, out);
    if (status) return hg_fail(error, status, "reading: a text of %s could not be read", tag->text);
    return HG_OK;
}

void hg_readings_free(hg_readings *readings)
{
    for (size_t i = 0; i < ROWS; i++) hg_rules_close(readings->rules[i]);
    *readings = (hg_readings){0};
}
