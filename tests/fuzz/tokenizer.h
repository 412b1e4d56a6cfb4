/* tokenizer.h: what every reader of tokenizers promises: an error with a message, or a tokenizer
 * that encodes text to ids of its vocabulary, which decode to the text again if every byte has its
 * token.
 */
#ifndef HG_TESTS_FUZZ_TOKENIZER_H
#define HG_TESTS_FUZZ_TOKENIZER_H

#include <stdlib.h>
#include <string.h>

#include "core/text/tokenizer_internal.h"

static inline void fuzz_require(int truth)
{
    if (!truth) abort();
}

static inline void fuzz_use_tokenizer(const hg_tokenizer *tokenizer)
{
    static const char text[] = "hello world, noo aaaaaaa 12345\r\n  <|end|> <|eot_id|> it's "
                               "\xE4\xBD\xA0\xF0\x9F\x98\x80";
    hg_tokens tokens = {0};
    hg_decoder decoder = {0};
    hg_error error;
    hg_buf back = hg_buf_new(1 << 20);
    hg_status status = hg_tokenizer_encode(tokenizer, text, sizeof text - 1, &tokens, &error);
    fuzz_require(!status || status == HG_ERROR_LIMIT); /* a pattern that backtracks too long */
    for (uint32_t i = 0; i < tokens.count; i++) {
        fuzz_require(tokens.id[i] >= 0 &&
                     (uint32_t)tokens.id[i] < hg_tokenizer_vocabulary(tokenizer));
        fuzz_require(!hg_decoder_push(&decoder, tokenizer, tokens.id[i], &back));
    }
    fuzz_require(!hg_decoder_finish(&decoder, &back));
    bool whole = true; /* else bytes without a token vanish */
    for (int byte = 0; byte < 256; byte++) whole = whole && tokenizer->byte_token[byte] >= 0;
    fuzz_require(status || !whole || strcmp(hg_buf_text(&back), text) == 0);
    hg_buf_free(&back);
    hg_tokens_free(&tokens);
}

static inline void fuzz_read_tokenizer(hg_tokenizer_parser *parse, const char *bytes, size_t count)
{
    hg_tokenizer *tokenizer;
    hg_error error = {0};
    hg_status status = parse(bytes, count, "fuzz", &tokenizer, &error);
    fuzz_require(!status == (tokenizer != NULL));
    fuzz_require(!status || (error.status == status && error.message[0]));
    if (tokenizer) fuzz_use_tokenizer(tokenizer);
    hg_tokenizer_close(tokenizer);
}

#endif
