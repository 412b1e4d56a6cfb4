/* document.c: see document.h. */
#include "core/translate/document.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/sentences.h"
#include "core/translate/place.h"

/* A piece. In plain text its text is that of the document; in HTML it is decoded and its own. */
typedef struct sentence {
    size_t start, end; /* bytes of the document that its translation replaces */
    char *own;         /* owned, or NULL */
    const char *text;  /* [bytes] own, or in the document */
    size_t bytes;
    hg_mark *mark; /* [marks] owned; they count from the sentence's beginning */
    uint32_t marks;
    uint32_t parts; /* how many pieces behind it stand in for it */
    bool part;      /* it is one of those */
} sentence;

struct hg_document {
    char *text; /* [bytes] owned */
    size_t bytes;
    hg_format format;
    const char *language; /* the caller's, while it opens */
    sentence *sentence;   /* [sentences] owned */
    uint32_t sentences, room;
};

void hg_document_close(hg_document *document)
{
    if (!document) return;
    for (uint32_t i = 0; i < document->sentences; i++) {
        free(document->sentence[i].own);
        free(document->sentence[i].mark);
    }
    free(document->sentence);
    free(document->text);
    free(document);
}

/* ---- cutting ---- */

static sentence *add(hg_document *d)
{
    if (d->sentences == d->room) {
        uint32_t room = d->room ? d->room * 2 : 8;
        sentence *grown = realloc(d->sentence, room * sizeof *grown);
        if (!grown) return NULL;
        d->sentence = grown;
        d->room = room;
    }
    sentence *s = &d->sentence[d->sentences++];
    *s = (sentence){0};
    return s;
}

/* Appends the sentences of text [bytes]. */
static hg_status find_sentences(const hg_document *d, const char *text, size_t bytes,
                                hg_spans *spans)
{
    hg_protected_list kept = {0};
    hg_status status = hg_protected_find(text, bytes, NULL, &kept);
    if (!status) status = hg_sentences_find(text, bytes, d->language, &kept, spans);
    hg_protected_free(&kept);
    return status;
}

static hg_status cut_text(hg_document *d)
{
    hg_spans spans = {0};
    hg_status status = find_sentences(d, d->text, d->bytes, &spans);
    for (uint32_t i = 0; i < spans.count && !status; i++) {
        sentence *s = add(d);
        if (!s) status = HG_ERROR_MEMORY;
        if (!s) break;
        s->start = spans.span[i].start;
        s->bytes = spans.span[i].count;
        s->end = s->start + s->bytes;
        s->text = d->text + s->start;
    }
    hg_spans_free(&spans);
    return status;
}

/* A piece of bytes [start, end) of the run, with the marks that lie in it. */
static hg_status add_marked(hg_document *d, const hg_run *run, size_t start, size_t end)
{
    sentence *s = add(d);
    if (!s) return HG_ERROR_MEMORY;
    s->start = run->from[start];
    s->end = run->to[end - 1];
    s->bytes = end - start;
    s->own = malloc(s->bytes);
    s->mark = calloc(run->marks + 1, sizeof *s->mark);
    if (!s->own || !s->mark) return HG_ERROR_MEMORY;
    memcpy(s->own, run->text + start, s->bytes);
    s->text = s->own;
    for (uint32_t i = 0; i < run->marks; i++) {
        const hg_mark *m = &run->mark[i];
        if (m->start < s->start || m->start + m->count > s->end) continue;
        s->mark[s->marks] = *m;
        s->mark[s->marks++].at -= (uint32_t)start;
    }
    return HG_OK;
}

/* The stretches of a sentence between what stays. */
static hg_status add_parts(hg_document *d, const hg_run *run, size_t start, size_t end)
{
    const uint32_t whole = d->sentences - 1;
    hg_status status = HG_OK;
    size_t from = start;
    for (uint32_t i = 0; i <= run->marks && !status; i++) {
        const hg_mark *m = i < run->marks ? &run->mark[i] : NULL;
        if (m && (!m->content || m->at < start || m->at + m->content > end)) continue;
        size_t to = m ? m->at : end;
        hg_spans spans = {0};
        status = find_sentences(d, run->text + from, to - from, &spans);
        for (uint32_t k = 0; k < spans.count && !status; k++) {
            size_t at = from + spans.span[k].start;
            status = add_marked(d, run, at, at + spans.span[k].count);
            if (status) break;
            d->sentence[d->sentences - 1].part = true;
            d->sentence[whole].parts++;
        }
        hg_spans_free(&spans);
        if (m) from = m->at + m->content;
    }
    return status;
}

static bool has_kept(const sentence *s)
{
    for (uint32_t i = 0; i < s->marks; i++)
        if (s->mark[i].content) return true;
    return false;
}

static void drop_last(hg_document *d)
{
    sentence *s = &d->sentence[--d->sentences];
    free(s->own);
    free(s->mark);
}

static hg_status add_sentence(hg_document *d, const hg_run *run, size_t start, size_t end)
{
    hg_status status = add_marked(d, run, start, end);
    const uint32_t whole = d->sentences - 1;
    if (status || !has_kept(&d->sentence[whole])) return status;
    status = add_parts(d, run, start, end);
    if (!status && !d->sentence[whole].parts) drop_last(d); /* all of it stays */
    return status;
}

/* A cut at end; in what stays it moves to the beginning of that. */
static size_t outside_marks(const hg_run *run, size_t end)
{
    for (uint32_t i = 0; i < run->marks; i++) {
        const hg_mark *m = &run->mark[i];
        if (m->at < end && end < (size_t)m->at + m->content) return m->at;
    }
    return end;
}

/* The sentences of the run from *from on. Where a sentence that is too long was cut in what stays,
 * that is left to the next call. */
static hg_status cut_from(hg_document *d, const hg_run *run, const char *masked, size_t *from)
{
    hg_spans spans = {0};
    const size_t first = *from;
    *from = run->bytes;
    hg_status status = find_sentences(d, masked + first, run->bytes - first, &spans);
    for (uint32_t i = 0; i < spans.count && !status; i++) {
        size_t start = first + spans.span[i].start, found = start + spans.span[i].count;
        size_t end = outside_marks(run, found);
        assert(end > start); /* what stays inside a run is shorter than the longest sentence */
        status = add_sentence(d, run, start, end);
        if (end == found) continue;
        *from = end;
        break;
    }
    hg_spans_free(&spans);
    return status;
}

/* No sentence ends inside of what stays: to the one who looks for borders it is a word. */
static hg_status cut_run(const hg_run *run, void *context)
{
    char *masked = malloc(run->bytes + 1);
    if (!masked) return HG_ERROR_MEMORY;
    memcpy(masked, run->text, run->bytes);
    for (uint32_t i = 0; i < run->marks; i++)
        memset(masked + run->mark[i].at, 'X', run->mark[i].content);
    hg_status status = HG_OK;
    for (size_t from = 0; from < run->bytes && !status;)
        status = cut_from(context, run, masked, &from);
    free(masked);
    return status;
}

hg_status hg_document_open(const char *text, size_t bytes, hg_format format, const char *language,
                           hg_document **out, hg_error *error)
{
    *out = NULL;
    hg_document *document = calloc(1, sizeof *document);
    hg_status status = document ? HG_OK : HG_ERROR_MEMORY;
    if (document) {
        *document = (hg_document){.bytes = bytes, .format = format, .language = language};
        document->text = malloc(bytes + 1);
        if (!document->text) status = HG_ERROR_MEMORY;
    }
    if (!status) {
        memcpy(document->text, text, bytes);
        status = format == HG_FORMAT_HTML ? hg_markup_read(document->text, bytes, cut_run, document)
                                          : cut_text(document);
    }
    if (!status) {
        *out = document;
        return HG_OK;
    }
    hg_document_close(document);
    return hg_fail(error, status, "no memory for a text of %zu bytes", bytes);
}

uint32_t hg_document_pieces(const hg_document *document)
{
    return document->sentences;
}

const char *hg_document_piece(const hg_document *document, uint32_t piece, size_t *bytes)
{
    assert(piece < document->sentences);
    *bytes = document->sentence[piece].bytes;
    return document->sentence[piece].text;
}

/* ---- printing ---- */

typedef struct printing {
    const hg_document *document;
    hg_document_translated translated;
    void *context;
    size_t at; /* what of the document is printed */
    hg_buf *out;
} printing;

static hg_status print_until(printing *p, size_t end)
{
    assert(end >= p->at);
    hg_status status = hg_buf_append(p->out, p->document->text + p->at, end - p->at);
    p->at = end;
    return status;
}

static hg_status print_piece(printing *p, uint32_t piece)
{
    const sentence *s = &p->document->sentence[piece];
    const char *translation = p->translated(piece, p->context);
    hg_status status = print_until(p, s->start);
    if (status) return status;
    if (p->document->format == HG_FORMAT_TEXT) {
        p->at = s->end;
        return hg_buf_append_text(p->out, translation);
    }
    const hg_marked marked = {s->text, s->bytes, s->mark, s->marks, p->document->text};
    if (!hg_place_keeps(&marked, translation)) {
        for (uint32_t i = 1; i <= s->parts && !status; i++) status = print_piece(p, piece + i);
        return status;
    }
    p->at = s->end;
    return hg_place(&marked, translation, p->out);
}

hg_status hg_document_print_first(const hg_document *document, uint32_t pieces, bool whole,
                                  hg_document_translated translated, void *context, hg_buf *out)
{
    printing p = {document, translated, context, 0, out};
    hg_status status = HG_OK;
    for (uint32_t i = 0; i < pieces && !status; i++)
        if (!document->sentence[i].part) status = print_piece(&p, i);
    return status || !whole ? status : print_until(&p, document->bytes);
}

hg_status hg_document_print(const hg_document *document, hg_document_translated translated,
                            void *context, hg_buf *out)
{
    return hg_document_print_first(document, document->sentences, true, translated, context, out);
}
