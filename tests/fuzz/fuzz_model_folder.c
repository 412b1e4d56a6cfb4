/* fuzz_model_folder.c: any two files as a model; what is accepted runs one token on the reference,
 * which reads every weight. */
#include "tests/fuzz/folder.h"

#include <assert.h>

#include "core/model/model.h"
#include "kernels/cpu/cpu.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Room for a page of a model as small as the input. */
static void run(const hg_weights *weights)
{
    const hg_device_api *api = hg_cpu_device();
    const hg_device_options options = {
        .kernel = "reference", .threads = 1, .memory_bytes = 256u << 20};
    const hg_device_plan plan = {
        .pages = 1, .lane_pages = 1, .step_rows = 1, .step_lanes = 1, .adapter_slots = 1};
    const hg_row row = {.slot = HG_NO_SLOT, .want = true};
    const uint32_t page = 0;
    const hg_step step = {.row = &row, .page = &page, .rows = 1, .lanes = 1};
    int32_t token = -1;
    hg_result result = {.token = &token};
    hg_device *device;
    hg_error error;
    if (api->open(&options, &device, &error)) abort();
    if (!api->load_model(device, weights, &plan, &error) &&
        !api->forward(device, &step, &result, &error))
        assert(token >= 0 && (uint32_t)token < weights->shape.vocabulary);
    api->close(device);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hg_model *model;
    hg_error error;
    fuzz_split(data, size, "config.json", "model.safetensors");
    fuzz_write("tokenizer.json", "{}", 2);
    if (hg_model_open(fuzz_folder, &model, &error)) return 0;
    run(&model->weights);
    hg_model_close(model);
    return 0;
}
