/* bench_load.c: how long a model takes from its folder to a device, and how much memory at most.
 *
 *     bench_load [FOLDER] [--kernel NAME] [--quantize int8|int4] [--fingerprint-first]
 *
 * Prints the time to open (all checks) and to pack, on the clock and of the processor, bytes of the
 * file a second, the packed size and VmHWM, the most memory that the process had. The fingerprint
 * is computed meanwhile; --fingerprint-first waits for it before packing begins. Without FOLDER:
 * hydra-tiny. make_big_checkpoint.py makes a folder of Llama-3-8B's size.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/model/model.h"
#include "kernels/cpu/cpu.h"

static void must(hg_status status, const hg_error *error)
{
    if (!status) return;
    fprintf(stderr, "bench_load: %s\n", error->message);
    exit(1);
}

/* The most memory this process had so far, in MiB. */
static double peak_mib(void)
{
    char line[256];
    double peak = 0;
    FILE *status = fopen("/proc/self/status", "re");
    while (status && fgets(line, sizeof line, status))
        if (strncmp(line, "VmHWM:", 6) == 0) peak = strtod(line + 6, NULL) / 1024;
    if (status) fclose(status);
    return peak;
}

/* Seconds of the processor that this process has used, all threads together. */
static double processor_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int count, char **argument)
{
    const char *folder = "models/hydra-tiny";
    bool fingerprint_first = false;
    hg_device_options options = {0};
    hg_device_plan plan = {
        .pages = 64, .lane_pages = 8, .step_rows = 64, .step_lanes = 8, .adapter_slots = 1};
    for (int i = 1; i < count; i++) {
        const char *value = i + 1 < count ? argument[i + 1] : "";
        if (strcmp(argument[i], "--kernel") == 0)
            options.kernel = value, i++;
        else if (strcmp(argument[i], "--quantize") == 0)
            plan.dense_bits = strcmp(value, "int4") == 0 ? 4 : 8, i++;
        else if (strcmp(argument[i], "--fingerprint-first") == 0)
            fingerprint_first = true;
        else
            folder = argument[i];
    }
    const hg_device_api *api = hg_cpu_device();
    hg_model *model;
    hg_device *device;
    hg_device_info info;
    hg_device_memory memory;
    hg_error error;
    int64_t start = hg_clock_us();
    must(hg_model_open(folder, &model, &error), &error);
    if (fingerprint_first) (void)hg_model_fingerprint(model);
    int64_t opened = hg_clock_us();
    double open_peak = peak_mib(), open_s = processor_s();
    must(api->open(&options, &device, &error), &error);
    must(api->load_model(device, &model->weights, &plan, &error), &error);
    int64_t loaded = hg_clock_us();
    double pack_s = processor_s() - open_s;
    (void)hg_model_fingerprint(model);
    int64_t known = hg_clock_us();
    api->describe(device, &info);
    api->memory(device, &memory);
    double file = (double)model->file_bytes, seconds = (double)(loaded - opened) / 1e6;
    double packed = (double)memory.weights_bytes / (1 << 20);
    printf("%s: %s, %.0f MiB; kernel %s, %u threads\n", model->name, model->weights_form,
           file / (1 << 20), info.kernel, info.threads);
    printf("open %.2f s (processor %.2f s), peak %.0f MiB\n", (double)(opened - start) / 1e6,
           open_s, open_peak);
    printf("pack %.2f s (processor %.2f s): %.2f GB of the file a second, %.2f GB a second of the "
           "processor\n",
           seconds, pack_s, file / seconds / 1e9, file / pack_s / 1e9);
    printf("all of it, fingerprint too, %.2f s: %.2f GB of the file a second\n",
           (double)(known - start) / 1e6, file / (double)(known - start) / 1e3);
    printf("packed %.0f MiB, peak %.0f MiB: %.0f MiB above it\n", packed, peak_mib(),
           peak_mib() - packed);
    api->close(device);
    hg_model_close(model);
    return 0;
}
