/* emulator.h: between the emulator's files: emulator.cpp (kernels), runtime.cpp (calls) and
 * streams.cpp (order), cublaslt.cpp (products). */
#ifndef HG_TESTS_EMULATOR_H
#define HG_TESTS_EMULATOR_H

#include <atomic>
#include <functional>

#include "tests/cuda_emulator/cuda_runtime_api.h"

/* What is to happen, and what did. outside.cpp shares it with another process, word by word. */
struct emulator_control {
    std::atomic<int64_t> calls;        /* of the runtime so far */
    std::atomic<int64_t> fail_at;      /* the call of this number fails, -1: none, */
    std::atomic<int64_t> fail_with;    /* a cudaError_t, */
    std::atomic<int64_t> loses;        /* not 0: and so do all behind it, */
    std::atomic<int64_t> resets_left;  /* until so many resets, 0: for ever */
    std::atomic<int64_t> memory_bytes; /* of the card */
    std::atomic<int64_t> faults;       /* kernels that did what none may */
    std::atomic<int64_t> left_behind;  /* at resets: what was not given back */
    std::atomic<int64_t> holds;        /* not 0: a reset does not come to its end */
};
extern emulator_control *emulator_asked;

/* Counts a call of the runtime; the error that it is to fail with, which is set, or cudaSuccess. */
cudaError_t emulator_call_fails(void);

/* A call of the runtime begins, or ends at once with the error that it is to fail with. */
#define CALL()                                                                                     \
    do {                                                                                           \
        cudaError_t told = emulator_call_fails();                                                  \
        if (told) return told;                                                                     \
    } while (0)

/* What cudaGetLastError tells next. */
void emulator_set_error(cudaError_t error);

/* The error that waiting for work tells: that of a kernel that failed, else none. */
cudaError_t emulator_work_error(void);

/* Streams and events not given back. */
long emulator_streams_held(void);

/* Work for a stream; NULL, the default stream, does it at once. */
void emulator_queue(cudaStream_t stream, std::function<void()> work);
void emulator_drain(cudaStream_t stream); /* does all that is queued */
void emulator_drain_all(void);

/* True when [p, p + bytes) lies in one block of the card. */
bool emulator_on_card(const void *p, size_t bytes);

/* What of cuBLASLt was not given back. */
long emulator_blas_objects(void);

/* A kernel as it was launched; emulator_run_grid runs all its blocks. */
struct emulator_job;
void emulator_run_grid(const emulator_job *job);
bool emulator_fits(const emulator_job *job);

/* The first fault of a kernel since the last time, or NULL. */
const char *emulator_fault_text(void);

#endif
