/* fuzz_markup.c: any text as HTML: the first byte chooses how it is translated. Reading must end,
 * all of a document whose pieces stay as they are must come out again, and valid UTF-8 in any case.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/text/utf8.h"
#include "core/translate/document.h"

#define MOST (64 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *translated(uint32_t piece, void *context)
{
    static const char *const words[] = {"", "x", "one two three", "一二三", " . ", "a b c d e f"};
    size_t count = sizeof words / sizeof *words;
    return words[(piece + *(const uint8_t *)context) % count];
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hg_error error;
    hg_document *document;
    if (size < 1 || size > MOST || memchr(data, 0, size)) return 0;
    const char *text = (const char *)data + 1;
    uint8_t choice = data[0];
    if (hg_utf8_valid(text, size - 1) != size - 1) return 0;
    hg_format format = choice & 1 ? HG_FORMAT_HTML : HG_FORMAT_TEXT;
    hg_buf out = hg_buf_new(64 * MOST);
    if (!hg_document_open(text, size - 1, format, "en", &document, &error)) {
        hg_status status = hg_document_print(document, translated, &choice, &out);
        assert(!status && hg_utf8_valid(hg_buf_text(&out), out.length) == out.length);
        if (!hg_document_pieces(document)) assert(out.length == size - 1);
        hg_document_close(document);
    }
    hg_buf_free(&out);
    return 0;
}
