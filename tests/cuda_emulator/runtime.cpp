/* runtime.cpp: the emulator's side of CUDA's runtime: memory, streams, errors on demand.
 *
 * Streams do their work at once, so ordering between them is not checked here; while a stream is
 * captured its launches are taken down, and nothing else may be asked of it. Every call is
 * counted and may be made to fail (hg_emulator_fail). All state belongs to the one thread that uses
 * the emulator.
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <vector>

#include "tests/cuda_emulator/cuda_runtime.h"
#include "tests/cuda_emulator/emulator.h"

static hg_emulator_machine machine = {13000, 1, 9, (size_t)1 << 30, 0};
static long calls, fail_at = -1, objects;
static cudaError_t fail_with, last_error;
static std::map<void *, size_t> blocks; /* of the card */
static size_t card_bytes;
static cudaGraph_t capture; /* under way, of that stream; else NULL */
static cudaStream_t captured;

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
    out->multiProcessorCount = machine.processors ? machine.processors : 3;
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

/* A machine may have been set that has less than is held. */
static size_t card_left(void)
{
    return machine.memory_bytes > card_bytes ? machine.memory_bytes - card_bytes : 0;
}

cudaError_t cudaMemGetInfo(size_t *left, size_t *whole)
{
    CALL();
    *left = card_left();
    *whole = machine.memory_bytes;
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **out, size_t bytes)
{
    CALL();
    if (bytes > card_left()) return done(false, cudaErrorMemoryAllocation);
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
    bool ok = !bytes || (in == (kind != cudaMemcpyDeviceToHost) &&
                         out == (kind != cudaMemcpyHostToDevice));
    if (ok && bytes) memcpy(to, from, bytes);
    return done(ok, cudaErrorInvalidValue);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    (void)stream;
    return cudaMemcpy(to, from, bytes, kind);
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    (void)stream;
    CALL();
    bool ok = on_card(to, bytes);
    if (ok) memset(to, value, bytes);
    return done(ok, cudaErrorInvalidValue);
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

/* ---- launches and graphs ---- */

struct CUgraph_st {
    std::vector<emulator_job> jobs;
};
struct CUgraphExec_st {
    std::vector<emulator_job> jobs;
};

void emulator_launch(cudaStream_t stream, emulator_job job)
{
    if (emulator_call_fails()) return;
    if (!emulator_fits(&job)) return emulator_set_error(cudaErrorInvalidValue);
    if (capture && stream == captured)
        capture->jobs.push_back(job);
    else
        emulator_run_grid(&job);
}

cudaError_t emulator_ask(void)
{
    CALL();
    return cudaSuccess;
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode)
{
    (void)mode;
    CALL();
    if (capture) return done(false, cudaErrorInvalidValue);
    capture = new CUgraph_st();
    captured = stream;
    objects++;
    return cudaSuccess;
}

/* A capture ends even where the call fails: CUDA's is invalid then, and gives nothing. */
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out)
{
    bool ok = capture && stream == captured;
    *out = capture;
    capture = NULL;
    if (emulator_call_fails()) {
        objects -= ok;
        delete *out;
        *out = NULL;
        return fail_with;
    }
    return done(ok, cudaErrorInvalidValue);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags)
{
    CALL();
    if (flags || !graph) return done(false, cudaErrorInvalidValue);
    *out = new CUgraphExec_st{graph->jobs};
    objects++;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    objects -= graph != NULL;
    delete graph;
    CALL();
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph)
{
    objects -= graph != NULL;
    delete graph;
    CALL();
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream)
{
    (void)stream;
    CALL();
    for (const emulator_job &job : graph->jobs) emulator_run_grid(&job);
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
