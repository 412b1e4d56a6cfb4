/* fuzz_gguf.c: any bytes as a GGUF file: container, model and tokenizer, adapter; what is accepted
 * is put in order and read to its end. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/gguf.h"
#include "core/model/gguf_adapter.h"
#include "core/model/gguf_model.h"
#include "tests/fuzz/matrix.h"
#include "tests/support/small_bases.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned read_model(hg_model *model)
{
    unsigned sum = 0;
    hg_error error;
    hg_tokenizer *tokenizer;
    for (uint32_t l = 0; l < model->weights.shape.layers; l++) {
        if (hg_hold_layer(&model->weights, l, &error)) continue;
        const hg_linear *w = &model->weights.layer[l].linear[HG_Q];
        if (w->bits) sum += w->codes[(size_t)w->rows * w->columns * w->bits / 8 - 1];
        hg_release_layer(&model->weights, l);
    }
    if (!hg_model_tokenizer(model, &tokenizer, &error)) hg_tokenizer_close(tokenizer);
    return sum;
}

static unsigned read_adapter(hg_gguf *file)
{
    unsigned sum = 0;
    hg_lora_layer layer = {0};
    hg_adapter adapter = {0};
    hg_error error;
    if (hg_gguf_adapter_take(file, &gguf_base, &layer, &adapter, &error)) return 0;
    for (int p = 0; p < HG_PROJECTIONS; p++)
        if (layer.pair[p].rank) sum += fuzz_sum(&layer.pair[p].a) + fuzz_sum(&layer.pair[p].b);
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hg_gguf file;
    hg_model *model;
    hg_error error;
    unsigned sum = 0;
    uint8_t *copy = aligned_alloc(64, (size + 64) / 64 * 64); /* a mapping is aligned */
    if (!copy) abort();
    memcpy(copy, data, size);
    if (!hg_gguf_parse(copy, size, "fuzz", &file, &error)) {
        for (uint32_t i = 0; i < file.tensors; i++) {
            if (hg_gguf_find_tensor(&file, file.tensor[i].name) != &file.tensor[i]) abort();
            for (size_t k = 0; k < file.tensor[i].bytes; k++) sum += file.tensor[i].data[k];
        }
        sum += read_adapter(&file);
        hg_gguf_close(&file);
    }
    if (!hg_gguf_model_parse(copy, size, "fuzz", &model, &error)) {
        sum += read_model(model);
        hg_model_close(model);
    }
    free(copy);
    return sum == 1 ? -1 : 0;
}
