/* fuzz_tokenizer_ranks.c: any bytes as Meta's tokenizer.model. Whole byte alphabets are too long to
 * be found by chance: the input follows one. */
#include "tests/fuzz/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The 256 bytes with their values as ranks, a line each. */
static void append_alphabet(hg_buf *file)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (int byte = 0; byte < 256; byte++)
        fuzz_require(
            !hg_buf_printf(file, "%c%c== %d\n", digits[byte >> 2], digits[(byte & 3) << 4], byte));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hg_buf file = hg_buf_new(1 << 24);
    append_alphabet(&file);
    if (size < 1 << 20 && !hg_buf_append(&file, data, size))
        fuzz_read_tokenizer(hg_tokenizer_parse_ranks, hg_buf_text(&file), file.length);
    fuzz_read_tokenizer(hg_tokenizer_parse_ranks, (const char *)data, size);
    hg_buf_free(&file);
    return 0;
}
