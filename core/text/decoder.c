/* decoder.c: token ids back to text, whole characters only.
 *
 * A byte either continues the unfinished character or ends it in U+FFFD and is looked at afresh:
 * one U+FFFD per maximal subpart (Unicode 15, section 3.9), which is what Python does. */
#include <assert.h>
#include <string.h>

#include "core/text/tokenizer.h"
#include "core/text/utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

static hg_status push_byte(hg_decoder *decoder, char byte, hg_buf *out)
{
    assert(decoder->pendings < 4);
    if (decoder->pendings) {
        if (hg_utf8_may_follow(decoder->pending, decoder->pendings, (uint8_t)byte)) {
            decoder->pending[decoder->pendings++] = byte;
            if (decoder->pendings < hg_utf8_width((uint8_t)decoder->pending[0])) return HG_OK;
            hg_status status = hg_buf_append(out, decoder->pending, decoder->pendings);
            decoder->pendings = 0;
            return status;
        }
        hg_status status = hg_decoder_finish(decoder, out);
        if (status) return status;
    }
    size_t width = hg_utf8_width((uint8_t)byte);
    if (width == 1) return hg_buf_append(out, &byte, 1);
    if (width == 0) return hg_buf_append_text(out, REPLACEMENT);
    decoder->pending[0] = byte;
    decoder->pendings = 1;
    return HG_OK;
}

hg_status hg_decoder_push(hg_decoder *decoder, const hg_tokenizer *tokenizer, int32_t id,
                          hg_buf *out)
{
    size_t count;
    const char *bytes = hg_tokenizer_bytes(tokenizer, id, &count);
    hg_status status = HG_OK;
    for (size_t i = 0; i < count && !status; i++) status = push_byte(decoder, bytes[i], out);
    return status;
}

hg_status hg_decoder_finish(hg_decoder *decoder, hg_buf *out)
{
    if (!decoder->pendings) return HG_OK;
    decoder->pendings = 0;
    return hg_buf_append_text(out, REPLACEMENT);
}
