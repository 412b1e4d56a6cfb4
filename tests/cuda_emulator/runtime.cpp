/* runtime.cpp: the emulator's side of CUDA's runtime: memory, launches, graphs, errors on demand.
 *
 * While a stream is captured its launches are taken down, and nothing else may be asked of it.
 * Every call is counted and may be made to fail (hg_emulator_fail, hg_emulator_lose). All state
 * belongs to the one thread that uses the emulator, but for *emulator_asked.
 */
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include "tests/cuda_emulator/cuda_runtime.h"
#include "tests/cuda_emulator/emulator.h"

static emulator_control own = {{0}, {-1}, {0}, {0}, {0}, {INT64_C(1) << 30}, {0}, {0}, {0}};
emulator_control *emulator_asked = &own;
static hg_emulator_machine machine = {13000, 1, 9, 0, 0}; /* its memory is in the control */
static long objects;
static cudaError_t last_error;
static std::map<void *, size_t> pinned; /* blocks of the host */
static std::map<void *, size_t> blocks; /* of the card */
static size_t card_bytes;
static cudaGraph_t capture; /* under way, of that stream; else NULL */
static cudaStream_t captured;

void hg_emulator_set_machine(const hg_emulator_machine *m)
{
    machine = *m;
    emulator_asked->memory_bytes = (int64_t)m->memory_bytes;
}

void hg_emulator_fail(long n, cudaError_t error)
{
    emulator_control *asked = emulator_asked;
    asked->calls = 0;
    asked->fail_with = error;
    asked->loses = 0;
    asked->fail_at = n;
    last_error = cudaSuccess;
}

void hg_emulator_lose(long n, long resets)
{
    hg_emulator_fail(n, cudaErrorLaunchFailure);
    emulator_asked->resets_left = resets;
    emulator_asked->loses = 1;
}

long hg_emulator_calls(void)
{
    return (long)emulator_asked->calls;
}

long hg_emulator_held(void)
{
    return objects + emulator_streams_held() + emulator_blas_objects() + (long)blocks.size();
}

const char *hg_emulator_fault(void)
{
    return emulator_fault_text();
}

void emulator_set_error(cudaError_t error)
{
    if (error == cudaErrorLaunchFailure) emulator_asked->faults++;
    last_error = error;
}

cudaError_t emulator_work_error(void)
{
    return last_error == cudaErrorLaunchFailure ? last_error : cudaSuccess;
}

/* Whether the context has been lost by now. */
static bool is_lost(void)
{
    int64_t from = emulator_asked->fail_at;
    return emulator_asked->loses && from >= 0 && emulator_asked->calls >= from;
}

cudaError_t emulator_call_fails(void)
{
    bool fails = is_lost() || emulator_asked->calls == emulator_asked->fail_at;
    emulator_asked->calls++;
    if (!fails) return cudaSuccess;
    last_error = (cudaError_t)emulator_asked->fail_with.load();
    return last_error;
}

static cudaError_t done(bool ok, cudaError_t error)
{
    if (!ok) last_error = error;
    return ok ? cudaSuccess : error;
}

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

cudaError_t cudaDeviceReset(void)
{
    while (emulator_asked->holds) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    emulator_asked->left_behind += hg_emulator_held();
    if (is_lost() && emulator_asked->resets_left && !--emulator_asked->resets_left) {
        emulator_asked->fail_at = -1;
        last_error = cudaSuccess;
    }
    CALL();
    return cudaSuccess;
}

/* A machine may have been set that has less than is held. */
static size_t card_left(void)
{
    size_t whole = (size_t)emulator_asked->memory_bytes;
    return whole > card_bytes ? whole - card_bytes : 0;
}

cudaError_t cudaMemGetInfo(size_t *left, size_t *whole)
{
    CALL();
    *left = card_left();
    *whole = (size_t)emulator_asked->memory_bytes;
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

/* Whatever still uses the block comes first. */
cudaError_t cudaFree(void *block)
{
    emulator_drain_all();
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
    pinned[*out] = bytes;
    return done(*out != NULL, cudaErrorMemoryAllocation);
}

cudaError_t cudaFreeHost(void *block)
{
    emulator_drain_all();
    pinned.erase(block);
    objects -= block != NULL;
    free(block);
    CALL();
    return cudaSuccess;
}

/* True when [p, p + bytes) lies in one of the blocks. */
static bool lies_in(const std::map<void *, size_t> &list, const void *p, size_t bytes)
{
    auto after = list.upper_bound((void *)p);
    if (after == list.begin()) return false;
    --after;
    return (const char *)p + bytes <= (const char *)after->first + after->second;
}

bool emulator_on_card(const void *p, size_t bytes)
{
    return lies_in(blocks, p, bytes);
}

static bool may_copy(const void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    bool in = emulator_on_card(to, bytes), out = emulator_on_card(from, bytes);
    return !bytes ||
           (in == (kind != cudaMemcpyDeviceToHost) && out == (kind != cudaMemcpyHostToDevice));
}

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind)
{
    CALL();
    bool ok = may_copy(to, from, bytes, kind);
    if (ok && bytes) memcpy(to, from, bytes);
    return done(ok, cudaErrorInvalidValue);
}

/* As CUDA documents it: what comes from pageable memory is read before the call returns, what goes
 * there is written before. */
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    CALL();
    if (!may_copy(to, from, bytes, kind)) return done(false, cudaErrorInvalidValue);
    if (kind == cudaMemcpyHostToDevice && !lies_in(pinned, from, bytes)) {
        std::vector<char> bytes_now((const char *)from, (const char *)from + bytes);
        emulator_queue(stream, [=] { memcpy(to, bytes_now.data(), bytes); });
        return cudaSuccess;
    }
    emulator_queue(stream, [=] { memcpy(to, from, bytes); });
    if (kind == cudaMemcpyDeviceToHost && !lies_in(pinned, to, bytes)) emulator_drain(stream);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream)
{
    CALL();
    bool ok = emulator_on_card(to, bytes);
    if (ok) emulator_queue(stream, [=] { memset(to, value, bytes); });
    return done(ok, cudaErrorInvalidValue);
}

/* ---- launches and graphs ---- */

typedef std::vector<emulator_job> job_list;
struct CUgraph_st {
    job_list jobs;
};
struct CUgraphExec_st {
    std::shared_ptr<const job_list> jobs; /* launches that wait keep it */
    bool uploaded;
};

void emulator_launch(cudaStream_t stream, emulator_job job)
{
    if (emulator_call_fails()) return;
    if (!emulator_fits(&job)) return emulator_set_error(cudaErrorInvalidValue);
    if (capture && stream == captured)
        capture->jobs.push_back(job);
    else
        emulator_queue(stream, [job] { emulator_run_grid(&job); });
}

cudaError_t emulator_ask(void)
{
    return emulator_call_fails();
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
    cudaError_t told = emulator_call_fails();
    if (told) {
        objects -= ok;
        delete *out;
        *out = NULL;
        return told;
    }
    return done(ok, cudaErrorInvalidValue);
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags)
{
    CALL();
    if (flags || !graph) return done(false, cudaErrorInvalidValue);
    *out = new CUgraphExec_st{std::make_shared<const job_list>(graph->jobs), false};
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

/* What a graph takes of the card; it is taken by the upload. */
static size_t graph_bytes(cudaGraphExec_t graph)
{
    return graph->uploaded ? graph->jobs->size() * 1000 : 0;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t graph, cudaStream_t stream)
{
    CALL();
    if (capture && stream == captured) return done(false, cudaErrorInvalidValue);
    card_bytes -= graph_bytes(graph);
    graph->uploaded = true;
    card_bytes += graph_bytes(graph);
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph)
{
    objects -= graph != NULL;
    if (graph) card_bytes -= graph_bytes(graph);
    delete graph;
    CALL();
    return cudaSuccess;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream)
{
    CALL();
    std::shared_ptr<const job_list> jobs = graph->jobs;
    emulator_queue(stream, [jobs] {
        for (const emulator_job &job : *jobs) emulator_run_grid(&job);
    });
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
