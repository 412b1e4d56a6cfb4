/* fuzz_scales.c: any bytes as input_scales.safetensors of a small base; of what is accepted every
 * scale is read, and none is anything but a positive number. */
#include "tests/fuzz/folder.h"

#include "core/model/projections.h"
#include "core/model/scales.h"
#include "tests/support/small_bases.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(const float *scale, uint32_t count)
{
    for (uint32_t i = 0; scale && i < count; i++)
        if (!(scale[i] > 0)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hg_scales *scales;
    hg_error error;
    fuzz_make_folder();
    fuzz_write(HG_SCALES_FILE, data, size);
    if (hg_scales_open(fuzz_folder, &small_base, &scales, &error)) return 0;
    for (uint32_t i = 0; i < small_base.layers * HG_PROJECTIONS; i++) {
        uint32_t rows, columns, p = i % HG_PROJECTIONS;
        hg_projection_size(&small_base, (hg_projection)p, &rows, &columns);
        read_all(scales->layer[i / HG_PROJECTIONS].input[p], columns);
        read_all(scales->layer[i / HG_PROJECTIONS].output[p], rows);
    }
    hg_scales_close(scales);
    return 0;
}
