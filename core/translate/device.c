/* device.c: the table of devices, in the order in which "auto" tries them. */
#include "core/translate/device.h"

#include <assert.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "kernels/cpu/cpu.h"

#define CUDA_LIBRARY "libhydraglot_cuda.so"
#define CUDA_ENTRY   "hg_cuda_device"

/* The path of a file beside the running binary. */
static hg_status beside_binary(const char *name, char *out, size_t size, hg_error *error)
{
    char folder[HG_PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", folder, sizeof folder - 1);
    if (n < 0) return hg_fail(error, HG_ERROR_IO, "/proc/self/exe: cannot be read");
    folder[n] = '\0';
    char *slash = strrchr(folder, '/');
    if (slash) *slash = '\0';
    return hg_path_join(out, size, folder, name, error);
}

static hg_status find_cuda(const hg_device_api **out, hg_error *error)
{
    char path[HG_PATH_MAX];
    hg_status status = beside_binary(CUDA_LIBRARY, path, sizeof path, error);
    if (status) return status;
    if (!hg_file_exists(path))
        return hg_fail(error, HG_ERROR_NOT_FOUND,
                       "%s is not there: build it with `make cuda` (needs nvcc), or use "
                       "--device cpu",
                       path);
    /* The library stays open for the life of the process: the engine's device lives in it. */
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        const char *why = dlerror();
        return hg_fail(error, HG_ERROR_DEVICE, "%s cannot be opened: %s", path,
                       why ? why : "no reason given");
    }
    const hg_device_api *(*entry)(void) = NULL;
    void *symbol = dlsym(library, CUDA_ENTRY);
    memcpy(&entry, &symbol, sizeof entry); /* ISO C has no cast from data to function pointers */
    const hg_device_api *api = entry ? entry() : NULL;
    if (!api || api->version != HG_DEVICE_VERSION)
        return hg_fail(error, HG_ERROR_DEVICE,
                       "%s is not of this build (interface %u, expected %d): build it again with "
                       "`make cuda`",
                       path, api ? api->version : 0, HG_DEVICE_VERSION);
    *out = api;
    return HG_OK;
}

static hg_status find_cpu(const hg_device_api **out, hg_error *error)
{
    (void)error;
    *out = hg_cpu_device();
    return HG_OK;
}

static const struct {
    const char *name;
    hg_status (*find)(const hg_device_api **out, hg_error *error);
} device_row[] = {
    {"cuda", find_cuda},
    {"cpu", find_cpu},
};

#define DEVICE_ROWS (sizeof device_row / sizeof device_row[0])

hg_status hg_device_find(const char *name, const hg_device_api **out, hg_error *error)
{
    for (size_t i = 0; i < DEVICE_ROWS; i++)
        if (strcmp(name, device_row[i].name) == 0) return device_row[i].find(out, error);
    return hg_fail(error, HG_ERROR_ARGUMENT, "there is no device \"%s\"", name);
}

static hg_status open_row(size_t row, hg_engine_options *options, hg_engine **out, hg_error *error)
{
    assert(row < DEVICE_ROWS);
    hg_status status = device_row[row].find(&options->api, error);
    options->recovery.spare = options->api == hg_cpu_device() ? NULL : hg_cpu_device();
    return status ? status : hg_engine_open(options, out, error);
}

/* A kernel family names its device too: "auto" with --kernel avx2 means the CPU. */
static bool is_cpu_kernel(const char *kernel)
{
    if (!kernel) return false;
    for (const char *const *name = hg_cpu_kernels(); *name; name++)
        if (strcmp(*name, kernel) == 0) return true;
    return false;
}

hg_status hg_device_open_engine(const char *name, hg_engine_options *options, hg_engine **out,
                                hg_error *error)
{
    bool any = !name || strcmp(name, "auto") == 0;
    if (any && is_cpu_kernel(options->device.kernel)) {
        name = "cpu";
        any = false;
    }
    for (size_t i = 0; i < DEVICE_ROWS; i++) {
        if (!any && strcmp(name, device_row[i].name) != 0) continue;
        hg_status status = open_row(i, options, out, error);
        if (!status || !any || i + 1 == DEVICE_ROWS) return status;
        hg_log(HG_LOG_INFO, "translate", "not on %s: %s", device_row[i].name, error->message);
    }
    return hg_fail(error, HG_ERROR_ARGUMENT, "--device: \"%s\" is none of auto, cpu, cuda", name);
}
