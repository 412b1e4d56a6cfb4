/* device.c: the CUDA device's life: opening a card, its memory, its errors.
 *
 * The library is linked with its own copy of CUDA's runtime, so it loads on any machine; whether a
 * driver and a card are there is found out by open. The first card is taken (CUDA_VISIBLE_DEVICES
 * chooses another). Products take F16 and add in F32, KV is F16, weights keep their codes.
 *
 * After some errors (a kernel's, a card's memory's) CUDA answers every call with that error. close
 * destroys the context then (cudaDeviceReset), and the next open makes another. CUDA promises no
 * more than that a new process would work, so an open that follows may still fail: whoever
 * tries again needs something to fall back on (core/engine/device.c).
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/cuda/cuda.h"
#include "kernels/cuda/state.h"

#define LEAST_MAJOR   8 /* compute capability of the oldest cubin: sm_80 */
#define OVERLAP_MAJOR 9 /* from here on a launch may begin before the one ahead has ended */

hg_status hg_cuda_fail(hg_device *d, cudaError_t failed, const char *call, hg_error *error)
{
    assert(failed != cudaSuccess);
    /* The call's name without its arguments: they mean nothing to who reads the message. */
    int name = (int)strcspn(call, "(");
    if (failed == cudaErrorMemoryAllocation) {
        cudaGetLastError(); /* or the next launch would be told of it */
        return hg_fail(error, HG_ERROR_MEMORY,
                       "%.*s: %s (%s); the device holds %zu bytes: free memory of the card, or "
                       "plan for less",
                       name, call, cudaGetErrorString(failed), cudaGetErrorName(failed),
                       hg_cuda_held(d));
    }
    hg_status status = hg_fail(&d->lost, HG_ERROR_DEVICE, "%.*s: %s (%s)", name, call,
                               cudaGetErrorString(failed), cudaGetErrorName(failed));
    if (error) *error = d->lost;
    return status;
}

void hg_cuda_note(hg_device *d, cudaError_t result, const char *call)
{
    if (result == cudaSuccess || d->lost.status) return;
    hg_status status = hg_cuda_fail(d, result, call, NULL);
    assert(status);
    (void)status;
}

hg_status hg_cuda_alive(const hg_device *d, hg_error *error)
{
    if (!d->lost.status) return HG_OK;
    if (error) *error = d->lost;
    return d->lost.status;
}

static void cuda_close(hg_device *d)
{
    if (!d) return;
    if (d->compute) hg_cuda_note(d, cudaStreamSynchronize(d->compute), "cudaStreamSynchronize");
    if (d->upload) hg_cuda_note(d, cudaStreamSynchronize(d->upload), "cudaStreamSynchronize");
    hg_cuda_unload_model(d);
    for (int i = 0; i < HG_CUDA_STAGES; i++) {
        const hg_cuda_stage *stage = &d->stage[i];
        if (stage->memory) hg_cuda_note(d, cudaFreeHost(stage->memory), "cudaFreeHost");
        if (stage->sent) hg_cuda_note(d, cudaEventDestroy(stage->sent), "cudaEventDestroy");
    }
    if (d->committed) hg_cuda_note(d, cudaEventDestroy(d->committed), "cudaEventDestroy");
    if (d->upload) hg_cuda_note(d, cudaStreamDestroy(d->upload), "cudaStreamDestroy");
    if (d->compute) hg_cuda_note(d, cudaStreamDestroy(d->compute), "cudaStreamDestroy");
    if (d->lost.status) cudaDeviceReset(); /* the context is of no use any more */
    free(d);
}

/* A driver and a card that our cubins run on, or why not. */
static hg_status find_card(hg_device *d, hg_error *error)
{
    int driver = 0, cards = 0;
    hg_status status = HG_CUDA_TRY(d, cudaDriverGetVersion(&driver), error);
    if (status) return status;
    if (!driver)
        return hg_fail(error, HG_ERROR_DEVICE,
                       "no NVIDIA driver is installed: install one, or use --device cpu");
    cudaError_t counted = cudaGetDeviceCount(&cards);
    if (counted == cudaErrorInsufficientDriver)
        return hg_fail(error, HG_ERROR_DEVICE,
                       "the NVIDIA driver (for CUDA %d.%d) is too old for this build (CUDA %d.%d): "
                       "update it, or use --device cpu",
                       driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000,
                       CUDART_VERSION % 1000 / 10);
    if (counted == cudaErrorNoDevice || (counted == cudaSuccess && !cards))
        return hg_fail(error, HG_ERROR_DEVICE,
                       "the NVIDIA driver shows no card: see nvidia-smi, or use --device cpu");
    status = hg_cuda_check(d, counted, "cudaGetDeviceCount", error);
    if (status) return status;
    struct cudaDeviceProp card;
    status = HG_CUDA_TRY(d, cudaGetDeviceProperties(&card, d->card), error);
    if (status) return status;
    snprintf(d->name, sizeof d->name, "cuda: %.57s", card.name);
    d->processors = (uint32_t)card.multiProcessorCount;
    d->overlap = card.major >= OVERLAP_MAJOR;
    if (card.major < LEAST_MAJOR)
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "%s has compute capability %d.%d, %d.0 is needed: use --device cpu", d->name,
                       card.major, card.minor, LEAST_MAJOR);
    return HG_OK;
}

static hg_status make_event(hg_device *d, cudaEvent_t *out, hg_error *error)
{
    return HG_CUDA_TRY(d, cudaEventCreateWithFlags(out, cudaEventDisableTiming), error);
}

static hg_status make_streams(hg_device *d, hg_error *error)
{
    hg_status status = HG_CUDA_TRY(d, cudaSetDevice(d->card), error);
    if (!status)
        status =
            HG_CUDA_TRY(d, cudaStreamCreateWithFlags(&d->compute, cudaStreamNonBlocking), error);
    if (!status)
        status =
            HG_CUDA_TRY(d, cudaStreamCreateWithFlags(&d->upload, cudaStreamNonBlocking), error);
    if (!status) status = make_event(d, &d->committed, error);
    for (int i = 0; i < HG_CUDA_STAGES && !status; i++) {
        void **memory = (void **)&d->stage[i].memory;
        status = make_event(d, &d->stage[i].sent, error);
        if (!status) status = HG_CUDA_TRY(d, cudaMallocHost(memory, HG_LIMIT_ADAPTER_PIECE), error);
    }
    return status;
}

static hg_status cuda_open(const hg_device_options *options, hg_device **out, hg_error *error)
{
    *out = NULL;
    if (options->kernel && strcmp(options->kernel, "f16") != 0)
        return hg_fail(error, HG_ERROR_ARGUMENT, "--kernel %s: the CUDA device has: f16",
                       options->kernel);
    hg_device *d = calloc(1, sizeof *d);
    if (!d) return hg_fail(error, HG_ERROR_MEMORY, "no memory for the CUDA device");
    d->memory_bytes = options->memory_bytes;
    cudaGetLastError(); /* what an earlier try left, a launch would be told of */
    hg_status status = find_card(d, error);
    if (!status) status = make_streams(d, error);
    if (status) {
        cuda_close(d);
        return status;
    }
    *out = d;
    return HG_OK;
}

static void cuda_describe(const hg_device *d, hg_device_info *out)
{
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "%s", d->name);
    snprintf(out->kernel, sizeof out->kernel, "f16");
    const hg_shape *s = &d->shape;
    if (d->loaded)
        out->page_bytes = (size_t)s->layers * 2 * HG_LIMIT_PAGE_TOKENS * s->kv_heads * s->head_dim *
                          sizeof *d->kv;
    if (!d->chunks.rows) return;
    out->chunk_rows = HG_CUDA_CHUNK_ROWS;
    out->chunks = d->chunks.rows / HG_CUDA_CHUNK_ROWS;
}

__attribute__((visibility("default"))) const hg_device_api *hg_cuda_device(void)
{
    static const hg_device_api api = {
        .version = HG_DEVICE_VERSION,
        .name = "cuda",
        .open = cuda_open,
        .close = cuda_close,
        .describe = cuda_describe,
        .memory = hg_cuda_memory,
        .measure = hg_cuda_measure,
        .room = hg_cuda_room,
        .load_model = hg_cuda_load_model,
        .put_adapter_begin = hg_cuda_put_begin,
        .put_adapter_step = hg_cuda_put_step,
        .put_adapter_commit = hg_cuda_put_commit,
        .drop_adapter = hg_cuda_drop,
        .copy_page = hg_cuda_copy_page,
        .forward = hg_cuda_forward,
    };
    return &api;
}
