/* fuzz_adapter_folder.c: any two files as an adapter of a small base; of what is accepted every
 * value is read, as an upload does, and each pair fits its layer. */
#include "tests/fuzz/folder.h"

#include <assert.h>

#include "core/model/adapter.h"
#include "core/model/projections.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const hg_shape base = {.vocabulary = 16,
                              .hidden = 8,
                              .intermediate = 12,
                              .layers = 2,
                              .heads = 2,
                              .kv_heads = 1,
                              .head_dim = 4,
                              .positions = 32};

static unsigned sum_of(const hg_matrix *matrix)
{
    unsigned sum = 0;
    const uint8_t *bytes = matrix->data;
    size_t count = (size_t)matrix->rows * matrix->columns * (matrix->type == HG_F32 ? 4 : 2);
    for (size_t i = 0; i < count; i++) sum += bytes[i];
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hg_adapter *adapter;
    hg_error error;
    unsigned sum = 0;
    fuzz_split(data, size, "adapter_config.json", "adapter_model.safetensors");
    if (hg_adapter_open(fuzz_folder, &base, &adapter, &error)) return 0;
    for (uint32_t i = 0; i < base.layers * HG_PROJECTIONS; i++) {
        uint32_t rows, columns;
        const hg_lora *pair = &adapter->lora.layer[i / HG_PROJECTIONS].pair[i % HG_PROJECTIONS];
        if (!pair->rank) continue;
        hg_projection_size(&base, (hg_projection)(i % HG_PROJECTIONS), &rows, &columns);
        assert(pair->a.rows == pair->rank && pair->a.columns == columns);
        assert(pair->b.rows == rows && pair->b.columns == pair->rank);
        sum += sum_of(&pair->a) + sum_of(&pair->b);
    }
    hg_adapter_close(adapter);
    return sum == 0xFFFFFFFFu; /* the reads must not be optimised away */
}
