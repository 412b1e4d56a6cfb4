/* fuzz_tokenizer_ranks.c: any bytes as Meta's tokenizer.model give an error with a message, or a
 * tokenizer that encodes text to ids of its vocabulary, which decode to the text again. Whole byte
 * alphabets are too long to be found by chance: the input follows one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text/tokenizer_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] =
    "hello world, noo aaaaaaa 12345\r\n  <|eot_id|> it's \xE4\xBD\xA0\xF0\x9F\x98\x80";

static void require(int truth)
{
    if (!truth) abort();
}

static void use(const hg_tokenizer *tokenizer)
{
    hg_tokens tokens = {0};
    hg_decoder decoder = {0};
    hg_error error;
    hg_buf back = hg_buf_new(1 << 16);
    require(!hg_tokenizer_encode(tokenizer, text, sizeof text - 1, &tokens, &error));
    for (uint32_t i = 0; i < tokens.count; i++) {
        require(tokens.id[i] >= 0 && (uint32_t)tokens.id[i] < hg_tokenizer_vocabulary(tokenizer));
        require(!hg_decoder_push(&decoder, tokenizer, tokens.id[i], &back));
    }
    require(!hg_decoder_finish(&decoder, &back));
    require(strcmp(hg_buf_text(&back), text) == 0);
    hg_buf_free(&back);
    hg_tokens_free(&tokens);
}

/* The 256 bytes with their values as ranks, a line each. */
static void append_alphabet(hg_buf *file)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int byte = 0; byte < 256; byte++)
        require(
            !hg_buf_printf(file, "%c%c== %d\n", digits[byte >> 2], digits[(byte & 3) << 4], byte));
}

static void parse(const char *bytes, size_t count)
{
    hg_tokenizer *tokenizer;
    hg_error error = {0};
    hg_status status = hg_tokenizer_parse_ranks(bytes, count, "fuzz", &tokenizer, &error);
    require(!status == (tokenizer != NULL));
    require(!status || (error.status == status && error.message[0]));
    if (tokenizer) use(tokenizer);
    hg_tokenizer_close(tokenizer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hg_buf file = hg_buf_new(1 << 24);
    append_alphabet(&file);
    if (size < 1 << 20 && !hg_buf_append(&file, data, size)) parse(hg_buf_text(&file), file.length);
    parse((const char *)data, size);
    hg_buf_free(&file);
    return 0;
}
