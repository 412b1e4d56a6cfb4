/* emulator.h: between the emulator's two files, emulator.cpp (kernels) and runtime.cpp (calls). */
#ifndef HG_TESTS_EMULATOR_H
#define HG_TESTS_EMULATOR_H

#include "tests/cuda_emulator/cuda_runtime_api.h"

/* Counts a call of the runtime; true when it is the one that is to fail: the error is set. */
bool emulator_call_fails(void);

/* What cudaGetLastError tells next. */
void emulator_set_error(cudaError_t error);

/* A kernel as it was launched; emulator_run_grid runs all its blocks. */
struct emulator_job;
void emulator_run_grid(const emulator_job *job);
bool emulator_fits(const emulator_job *job);

/* The first fault of a kernel since the last time, or NULL. */
const char *emulator_fault_text(void);

#endif
