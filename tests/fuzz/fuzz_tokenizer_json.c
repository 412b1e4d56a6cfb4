/* fuzz_tokenizer_json.c: any bytes as tokenizer.json. */
#include "tests/fuzz/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_read_tokenizer(hg_tokenizer_parse, (const char *)data, size);
    return 0;
}
