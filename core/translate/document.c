/* document.c: see document.h. */
#include "core/translate/document.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/sentences.h"

struct hg_document {
    char *text; /* [bytes] owned */
    size_t bytes;
    hg_spans pieces; /* of text */
};

void hg_document_close(hg_document *document)
{
    if (!document) return;
    hg_spans_free(&document->pieces);
    free(document->text);
    free(document);
}

hg_status hg_document_open(const char *text, size_t bytes, const char *language, hg_document **out,
                           hg_error *error)
{
    *out = NULL;
    hg_document *document = calloc(1, sizeof *document);
    if (document) document->text = malloc(bytes + 1);
    if (!document || !document->text ||
        hg_sentences_find(text, bytes, language, &document->pieces)) {
        hg_document_close(document);
        return hg_fail(error, HG_ERROR_MEMORY, "no memory for a text of %zu bytes", bytes);
    }
    memcpy(document->text, text, bytes);
    document->bytes = bytes;
    *out = document;
    return HG_OK;
}

uint32_t hg_document_pieces(const hg_document *document)
{
    return document->pieces.count;
}

const char *hg_document_piece(const hg_document *document, uint32_t piece, size_t *bytes)
{
    assert(piece < document->pieces.count);
    const hg_span *span = &document->pieces.span[piece];
    *bytes = span->count;
    return document->text + span->start;
}

hg_status hg_document_print(const hg_document *document, hg_document_translated translated,
                            void *context, hg_buf *out)
{
    hg_status status = HG_OK;
    size_t at = 0;
    for (uint32_t i = 0; i < document->pieces.count && !status; i++) {
        const hg_span *span = &document->pieces.span[i];
        status = hg_buf_append(out, document->text + at, span->start - at);
        if (!status) status = hg_buf_append_text(out, translated(i, context));
        at = span->start + span->count;
    }
    return status ? status : hg_buf_append(out, document->text + at, document->bytes - at);
}
