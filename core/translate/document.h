/* document.h: a text of any length as its sentences, which are translated one by one, and what
 * stands between them, which stays byte for byte.
 *
 * In HTML a sentence runs through inline tags, which its translation gets back (place.h). What must
 * stay inside of a sentence (<i class="notranslate">) is translated with it as a word; so that it
 * stays even where the translation loses that word, the stretches before and behind it are pieces
 * too, which then stand in for the whole.
 *
 * Immutable once open; any thread.
 */
#ifndef HG_TRANSLATE_DOCUMENT_H
#define HG_TRANSLATE_DOCUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/error.h"

typedef struct hg_document hg_document;

typedef enum hg_format { HG_FORMAT_TEXT, HG_FORMAT_HTML } hg_format;

/* text [bytes] is valid UTF-8 without NUL and is copied; language: of its abbreviations. */
hg_status hg_document_open(const char *text, size_t bytes, hg_format format, const char *language,
                           hg_document **out, hg_error *error) HG_CHECKED;
void hg_document_close(hg_document *document); /* NULL is allowed */

/* What is to be translated: piece [0 .. pieces). *bytes is its length; no NUL ends it. */
uint32_t hg_document_pieces(const hg_document *document);
const char *hg_document_piece(const hg_document *document, uint32_t piece, size_t *bytes);

/* The translation of a piece. */
typedef const char *(*hg_document_translated)(uint32_t piece, void *context);

/* Appends what stands before and in the first pieces of a plain text, and the rest when whole. */
hg_status hg_document_print_first(const hg_document *document, uint32_t pieces, bool whole,
                                  hg_document_translated translated, void *context,
                                  hg_buf *out) HG_CHECKED;
/* Appends the document with all its pieces translated. */
hg_status hg_document_print(const hg_document *document, hg_document_translated translated,
                            void *context, hg_buf *out) HG_CHECKED;

#endif
