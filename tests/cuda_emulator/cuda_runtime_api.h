/* cuda_runtime_api.h: what kernels/cuda's host files use of CUDA's runtime, on the CPU.
 *
 * Stands in for the toolkit's header of that name when tests/cuda_emulator is on the include path,
 * so the host files compile unchanged without a toolkit. Names, values and meanings are CUDA's
 * (CUDA Runtime API, 13.0); only what is used is here. One thread uses the emulator at a time.
 *
 * Memory of the card is malloc's, so AddressSanitizer guards each block; it begins as all ones
 * (NaN) so that what is read before it is written shows. What is queued on a stream runs as late as
 * CUDA allows: when somebody waits for it (streams.cpp), so what was not waited for shows too.
 */
#ifndef HG_TESTS_CUDA_RUNTIME_API_H
#define HG_TESTS_CUDA_RUNTIME_API_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CUDART_VERSION         13000
#define cudaStreamNonBlocking  1
#define cudaEventDisableTiming 2

typedef enum cudaStreamCaptureMode { cudaStreamCaptureModeThreadLocal = 1 } cudaStreamCaptureMode;

typedef enum cudaError {
    cudaSuccess = 0,
    cudaErrorInvalidValue = 1,
    cudaErrorMemoryAllocation = 2,
    cudaErrorInsufficientDriver = 35,
    cudaErrorNoDevice = 100,
    cudaErrorLaunchFailure = 719,
    cudaErrorUnknown = 999,
} cudaError_t;

typedef enum cudaMemcpyKind {
    cudaMemcpyHostToDevice = 1,
    cudaMemcpyDeviceToHost = 2,
    cudaMemcpyDeviceToDevice = 3
} cudaMemcpyKind;

typedef struct CUstream_st *cudaStream_t;
typedef struct CUevent_st *cudaEvent_t;
typedef struct CUgraph_st *cudaGraph_t;
typedef struct CUgraphExec_st *cudaGraphExec_t;

struct cudaDeviceProp {
    char name[256];
    int major, minor;
    int multiProcessorCount;
};

cudaError_t cudaDriverGetVersion(int *version);
cudaError_t cudaGetDeviceCount(int *count);
cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int device);
cudaError_t cudaSetDevice(int device);
cudaError_t cudaDeviceSynchronize(void);
cudaError_t cudaDeviceReset(void);
cudaError_t cudaMemGetInfo(size_t *left, size_t *whole);
cudaError_t cudaMalloc(void **out, size_t bytes);
cudaError_t cudaFree(void *block);
cudaError_t cudaMallocHost(void **out, size_t bytes);
cudaError_t cudaFreeHost(void *block);
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind);
cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream);
cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags);
cudaError_t cudaStreamDestroy(cudaStream_t stream);
cudaError_t cudaStreamSynchronize(cudaStream_t stream);
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags);
cudaError_t cudaEventDestroy(cudaEvent_t event);
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream);
cudaError_t cudaEventSynchronize(cudaEvent_t event);
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags);
cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream);
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode);
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out);
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph, unsigned long long flags);
cudaError_t cudaGraphDestroy(cudaGraph_t graph);
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph);
cudaError_t cudaGraphUpload(cudaGraphExec_t graph, cudaStream_t stream);
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream);
cudaError_t cudaGetLastError(void); /* and forgets it */
const char *cudaGetErrorName(cudaError_t error);
const char *cudaGetErrorString(cudaError_t error);

/* ---- for tests ---- */

/* The machine: CUDA version of the driver (0: none), cards, the first one's memory. */
typedef struct hg_emulator_machine {
    int driver, cards, major;
    size_t memory_bytes;
    int processors; /* of the card, 0: 3 */
} hg_emulator_machine;

void hg_emulator_set_machine(const hg_emulator_machine *machine);

/* The call number n from now (0: the next; -1: none) fails with error, and none after it. Calls
 * that free are counted and fail, but do free. */
void hg_emulator_fail(long n, cudaError_t error);
/* From call number n on all fail with cudaErrorLaunchFailure, as CUDA has it once a kernel failed,
 * until cudaDeviceReset has been called so many times; 0: for ever. */
void hg_emulator_lose(long n, long resets);
long hg_emulator_calls(void); /* since the last hg_emulator_fail or start */
long hg_emulator_held(void);  /* blocks, streams and events not given back */

/* Whether cuBLASLt can be opened; it can at start. */
void hg_emulator_set_blas(bool there);

/* The order in which the blocks of a grid run: by number (0), or backwards from some block. */
void hg_emulator_set_order(unsigned seed);

/* The first fault found in a kernel (race, divergence, bounds), or NULL; and forgets it. */
const char *hg_emulator_fault(void);

#ifdef __cplusplus
}
#endif
#endif
