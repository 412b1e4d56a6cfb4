/* tokenizer.h: text to token ids and back: byte-level BPE as Hugging Face's tokenizer.json, Meta's
 * tokenizer.model and GGUF files have it.
 *
 * Encoding equals the `tokenizers` library with encode_special_tokens=True and
 * add_special_tokens=False: special-token text inside user text stays plain text. Special tokens
 * come from hg_tokenizer_special only. The one known difference: letters and digits that Unicode
 * got after the version of ICU in use (15.0 on Debian 12) split words as unassigned code points do.
 *
 * A tokenizer is immutable after open; any thread may use it.
 */
#ifndef HG_TEXT_TOKENIZER_H
#define HG_TEXT_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/error.h"

typedef struct hg_tokenizer hg_tokenizer;

/* A growing list of token ids, owned by whoever made it; zero-initialise, free with
 * hg_tokens_free. */
typedef struct hg_tokens {
    int32_t *id; /* [count] */
    uint32_t count, capacity;
} hg_tokens;

hg_status hg_tokens_append(hg_tokens *tokens, int32_t id) HG_CHECKED;
void hg_tokens_free(hg_tokens *tokens);

/* Reads tokenizer.json. What its pre-tokenizer, normaliser or model ask for beyond byte-level BPE
 * is refused by name. */
hg_status hg_tokenizer_open(const char *path, hg_tokenizer **out, hg_error *error) HG_CHECKED;

/* Reads Meta's tokenizer.model for Llama 3 (tiktoken's ranks), whose special tokens it brings
 * along. Encoding equals tiktoken's encode with disallowed_special=(). */
hg_status hg_tokenizer_open_ranks(const char *path, hg_tokenizer **out, hg_error *error) HG_CHECKED;
void hg_tokenizer_close(hg_tokenizer *tokenizer);

/* One more than the highest id. */
uint32_t hg_tokenizer_vocabulary(const hg_tokenizer *tokenizer);

/* Appends the ids of text; HG_ERROR_FORMAT, with the byte offset, when it is not valid UTF-8. */
hg_status hg_tokenizer_encode(const hg_tokenizer *tokenizer, const char *text, size_t count,
                              hg_tokens *out, hg_error *error) HG_CHECKED;

/* Id of the special token whose content is exactly text, or -1. */
int32_t hg_tokenizer_special(const hg_tokenizer *tokenizer, const char *text, size_t count);

/* The special token that stands at the start of text (longest match), or -1; *length is its bytes.
 */
int32_t hg_tokenizer_special_at(const hg_tokenizer *tokenizer, const char *text, size_t count,
                                size_t *length);

/* The bytes of a token, which need not be whole characters; *count is 0 for special tokens and ids
 * out of range. Owned by the tokenizer. */
const char *hg_tokenizer_bytes(const hg_tokenizer *tokenizer, int32_t id, size_t *count);

/* Bytes of tokens to whole characters. Zero-initialise. Invalid sequences become U+FFFD as Python's
 * bytes.decode("utf-8", "replace") has it. */
typedef struct hg_decoder {
    char pending[4]; /* an unfinished character */
    uint8_t pendings;
} hg_decoder;

/* Appends to out the whole characters that are complete after token id. */
hg_status hg_decoder_push(hg_decoder *decoder, const hg_tokenizer *tokenizer, int32_t id,
                          hg_buf *out) HG_CHECKED;

/* The end of the text: an unfinished character becomes U+FFFD. */
hg_status hg_decoder_finish(hg_decoder *decoder, hg_buf *out) HG_CHECKED;

#endif
