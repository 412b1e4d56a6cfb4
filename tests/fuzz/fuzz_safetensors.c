/* fuzz_safetensors.c: any bytes as a safetensors file; what is accepted is then read to its end. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/model/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hg_safetensors file;
    hg_error error;
    unsigned sum = 0;
    if (hg_safetensors_parse(data, size, "fuzz", &file, &error)) return 0;
    for (uint32_t i = 0; i < file.tensors; i++) {
        if (hg_safetensors_find(&file, file.tensor[i].name) != &file.tensor[i]) abort();
        for (size_t k = 0; k < file.tensor[i].bytes; k++) sum += file.tensor[i].data[k];
    }
    hg_safetensors_close(&file);
    return sum == 1 ? -1 : 0;
}
