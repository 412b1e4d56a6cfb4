/* runtime.cpp: the emulator's side of CUDA's runtime: memory, streams, errors on demand.
 *
 * Streams do their work at once, so ordering between them is not checked here. Every call is
 * counted and may be made to fail (hg_emulator_fail). All state belongs to the one thread that uses
 * the emulator.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

#include "tests/cuda_emulator/emulator.h"

static hg_emulator_machine machine = {13000, 1, 9, (size_t)1 << 30};
static long calls, fail_at = -1, objects;
static cudaError_t fail_with, last_error;
static std::map<void *, size_t> blocks; /* of the card */
static size_t card_bytes;

void hg_emulator_set_machine(const hg_emulator_machine *m)
{
    machine = *m;
}

void hg_emulator_fail(long n, cudaError_t error)
{
    calls = 0;
    fail_at = n;
    fail_with = error;
    last_error = cudaSuccess;
}

long hg_emulator_calls(void)
{
    return calls;
}

long hg_emulator_held(void)
{
    return objects + (long)blocks.size();
}

const char *hg_emulator_fault(void)
{
    return emulator_fault_text();
}

void emulator_set_error(cudaError_t error)
{
    last_error = error;
}

bool emulator_call_fails(void)
{
    if (calls++ != fail_at) return false;
    last_error = fail_with;
    return true;
}

static cudaError_t done(bool ok, cudaError_t error)
{
    if (!ok) last_error = error;
    return ok ? cudaSuccess : error;
}

#define CALL()                                                                                     \
    do {                                                                                           \
        if (emulator_call_fails()) return fail_with;                                               \
    } while (0)

cudaError_t cudaDriverGetVersion(int *version)
{
    CALL();
    *version = machine.driver;
    return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    CALL();
    *count = machine.cards;
    if (machine.driver < CUDART_VERSION) return done(false, cudaErrorInsufficientDriver);
    return done(machine.cards > 0, cudaErrorNoDevice);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int device)
{
    CALL();
    if (device >= machine.cards) return done(false, cudaErrorInvalidValue);
    memset(out, 0, sizeof *out);
    snprintf(out->name, sizeof out->name, "Emulator");
    out->major = machine.major;
    return cudaSuccess;
}

cudaError_t cudaSetDevice(int device)
{
    CALL();
    return done(device < machine.cards, cudaErrorInvalidValue);
}

cudaError_t cudaDeviceSynchronize(void)
{
    CALL();
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *left, size_t *whole)
{
    CALL();
    *left = machine.memory_bytes - card_bytes;
    *whole = machine.memory_bytes;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    CALL();
    if (bytes > machine.memory_bytes - card_bytes) return done(false, cudaErrorMemoryAllocation);
    void *block = malloc(bytes);
    if (!block) return done(false, cudaErrorMemoryAllocation);
    memset(block, 0xFF, bytes);
    blocks[block] = bytes;
    card_bytes += bytes;
    *out = block;
    return cudaSuccess;
}

cudaError_t cudaFree(void *block)
{
    auto found = blocks.find(block);
    bool ok = !block || found != blocks.end();
    if (block && ok) {
        card_bytes -= found->second;
        blocks.erase(found);
        free(block);
    }
    CALL();
    return done(ok, cudaErrorInvalidValue);
}

cudaError_t cudaMallocHost(void **out, size_t bytes)
{
    CALL();
    *out = malloc(bytes);
    objects += *out != NULL;
    return done(*out != NULL, cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeHost(void *block)
{
    objects -= block != NULL;
    free(block);
    CALL();
    return cudaSuccess;
}

/* True when [p, p + bytes) lies in one block of the card. */
static bool on_card(const void *p, size_t bytes)
{
    auto after = blocks.upper_bound((void *)p);
    if (after == blocks.begin()) return false;
    --after;
    return (const char *)p + bytes <= (const char *)after->first + after->second;
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    CALL();
    bool in = on_card(to, bytes), out = on_card(from, bytes);
    bool ok = !bytes || (kind == cudaMemcpyHostToDevice ? in && !out : out && !in);
    if (ok && bytes) memcpy(to, from, bytes);
    return done(ok, cudaErrorInvalidValue);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    (void)stream;
    return cudaMemcpy(to, from, bytes, kind);
}

/* Streams and events are only counted: each is a byte with an address. */
static cudaError_t make(void **out)
{
    CALL();
    *out = malloc(1);
    objects++;
    return cudaSuccess;
}

static cudaError_t destroy(void *object)
{
    objects--;
    free(object);
    CALL();
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags)
{
    (void)flags;
    return make((void **)out);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    return destroy(stream);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    (void)stream;
    CALL();
    return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags)
{
    (void)flags;
    return make((void **)out);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    return destroy(event);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    (void)event, (void)stream;
    CALL();
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    (void)event;
    CALL();
    return cudaSuccess;
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}

const char *cudaGetErrorName(cudaError_t error)
{
    switch (error) {
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorLaunchFailure: return "cudaErrorLaunchFailure";
    case cudaErrorInvalidValue: return "cudaErrorInvalidValue";
    default: return "cudaErrorUnknown";
    }
}

const char *cudaGetErrorString(cudaError_t error)
{
    switch (error) {
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorLaunchFailure: return "unspecified launch failure";
    case cudaErrorInvalidValue: return "invalid argument";
    default: return "unknown error";
    }
}
