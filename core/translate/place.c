/* place.c: see place.h. Marks keep the order they have in the source, so what was well-formed stays
 * so wherever they go. */
#include "core/translate/place.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/translate/spread.h"

hg_status hg_escape_html(const char *text, size_t bytes, hg_buf *out)
{
    hg_status status = HG_OK;
    size_t start = 0;
    for (size_t i = 0; i < bytes && !status; i++) {
        const char *entity = text[i] == '&'   ? "&amp;"
                             : text[i] == '<' ? "&lt;"
                             : text[i] == '>' ? "&gt;"
                                              : NULL;
        if (!entity) continue;
        status = hg_buf_append(out, text + start, i - start);
        if (!status) status = hg_buf_append_text(out, entity);
        start = i + 1;
    }
    return status ? status : hg_buf_append(out, text + start, bytes - start);
}

bool hg_place_keeps(const hg_marked *sentence, const char *translation)
{
    const char *from = translation;
    for (uint32_t i = 0; i < sentence->marks; i++) {
        const hg_mark *m = &sentence->mark[i];
        if (!m->content) continue;
        const char *at =
            hg_find_once(translation, strlen(translation), sentence->text + m->at, m->content);
        if (!at || at < from) return false;
        from = at + m->content;
    }
    return true;
}

/* The marks as what is to be spread: what stays takes its own words' place, where hg_place_keeps
 * found them, in order. */
static void set_spots(const hg_marked *s, hg_spread *spread)
{
    for (uint32_t i = 0; i < s->marks; i++) {
        const hg_mark *m = &s->mark[i];
        hg_spot *spot = &spread->spot[i];
        const bool empty = s->source[m->start + m->count - 2] == '/';
        *spot = (hg_spot){.at = m->at, .content = m->content, .own = m->content};
        spot->closes = m->closes;
        spot->opens = !m->closes && !m->content && !empty;
        if (!m->content) continue;
        const char *at =
            hg_find_once(spread->translation, spread->translated, s->text + m->at, m->content);
        assert(at);
        spot->to = (size_t)(at - spread->translation);
        spot->fixed = true;
    }
}

static hg_status print(const hg_marked *s, const hg_spread *spread, hg_buf *out)
{
    hg_status status = HG_OK;
    size_t at = 0;
    for (uint32_t i = 0; i < s->marks && !status; i++) {
        const hg_spot *spot = &spread->spot[i];
        status = hg_escape_html(spread->translation + at, spot->to - at, out);
        if (!status) status = hg_buf_append(out, s->source + s->mark[i].start, s->mark[i].count);
        at = spot->to + spot->own;
    }
    return status ? status : hg_escape_html(spread->translation + at, spread->translated - at, out);
}

hg_status hg_place(const hg_marked *sentence, const char *translation, hg_buf *out)
{
    hg_spread spread = {.text = sentence->text,
                        .bytes = sentence->bytes,
                        .translation = translation,
                        .translated = strlen(translation),
                        .spots = sentence->marks};
    spread.spot = calloc(sentence->marks + 1, sizeof *spread.spot);
    if (!spread.spot) return HG_ERROR_MEMORY;
    set_spots(sentence, &spread);
    hg_spread_out(&spread);
    hg_status status = print(sentence, &spread, out);
    free(spread.spot);
    return status;
}
