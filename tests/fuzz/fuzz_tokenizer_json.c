/* fuzz_tokenizer_json.c: any bytes as tokenizer.json give an error with a message, or a tokenizer
 * that encodes text to ids of its vocabulary, which decode to the text again if every byte has its
 * token. */
#include <stdlib.h>
#include <string.h>

#include "core/text/tokenizer_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] =
    "hello world, noo aaaaaaa 12345\r\n  <|end|> it's \xE4\xBD\xA0\xF0\x9F\x98\x80";

static void require(int truth)
{
    if (!truth) abort();
}

static void use(const hg_tokenizer *tokenizer)
{
    hg_tokens tokens = {0};
    hg_decoder decoder = {0};
    hg_error error;
    hg_buf back = hg_buf_new(1 << 20);
    hg_status status = hg_tokenizer_encode(tokenizer, text, sizeof text - 1, &tokens, &error);
    require(!status || status == HG_ERROR_LIMIT); /* a pattern that backtracks too long */
    for (uint32_t i = 0; i < tokens.count; i++) {
        require(tokens.id[i] >= 0 && (uint32_t)tokens.id[i] < hg_tokenizer_vocabulary(tokenizer));
        require(!hg_decoder_push(&decoder, tokenizer, tokens.id[i], &back));
    }
    require(!hg_decoder_finish(&decoder, &back));
    bool whole = true; /* else bytes without a token vanish */
    for (int byte = 0; byte < 256; byte++) whole = whole && tokenizer->byte_token[byte] >= 0;
    require(status || !whole || strcmp(hg_buf_text(&back), text) == 0);
    hg_buf_free(&back);
    hg_tokens_free(&tokens);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hg_tokenizer *tokenizer;
    hg_error error = {0};
    hg_status status = hg_tokenizer_parse((const char *)data, size, "fuzz", &tokenizer, &error);
    require(!status == (tokenizer != NULL));
    require(!status || (error.status == status && error.message[0]));
    if (tokenizer) use(tokenizer);
    hg_tokenizer_close(tokenizer);
    return 0;
}
