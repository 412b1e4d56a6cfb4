/* fuzz_adapter_folder.c: any two files as an adapter of a small base; of what is accepted every
 * value is read, as an upload does, and each pair fits its layer. */
#include "tests/fuzz/folder.h"

#include <assert.h>

#include "core/model/adapter.h"
#include "core/model/projections.h"
#include "tests/fuzz/matrix.h"
#include "tests/support/small_bases.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hg_adapter *adapter;
    hg_error error;
    unsigned sum = 0;
    fuzz_split(data, size, "adapter_config.json", "adapter_model.safetensors");
    if (hg_adapter_open(fuzz_folder, &small_base, &adapter, &error)) return 0;
    for (uint32_t i = 0; i < small_base.layers * HG_PROJECTIONS; i++) {
        uint32_t rows, columns;
        const hg_lora *pair = &adapter->lora.layer[i / HG_PROJECTIONS].pair[i % HG_PROJECTIONS];
        if (!pair->rank) continue;
        hg_projection_size(&small_base, (hg_projection)(i % HG_PROJECTIONS), &rows, &columns);
        assert(pair->a.rows == pair->rank && pair->a.columns == columns);
        assert(pair->b.rows == rows && pair->b.columns == pair->rank);
        sum += fuzz_sum(&pair->a) + fuzz_sum(&pair->b);
    }
    hg_adapter_close(adapter);
    return sum == 0xFFFFFFFFu; /* the reads must not be optimised away */
}
