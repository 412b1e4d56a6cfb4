/* planted.h: kernels with one mistake each, to see that the emulator finds it. */
#ifndef HG_TESTS_PLANTED_H
#define HG_TESTS_PLANTED_H

#include "tests/cuda_emulator/cuda_runtime_api.h"

typedef enum planted_mistake {
    PLANTED_NONE,
    PLANTED_RACE,
    PLANTED_OVERTAKING,
    PLANTED_EARLY_END,
    PLANTED_TWO_BARRIERS,
    PLANTED_LONE_SHUFFLE,
    PLANTED_BOUNDS,
    PLANTED_ORDERED_COPY, /* no mistake */
    PLANTED_UNAWAITED,
    PLANTED_NO_WARP_BARRIER,
    PLANTED_OVERWRITTEN,
    PLANTED_ABANDONED
} planted_mistake;

#ifdef __cplusplus
extern "C"
#endif
    /* Runs it; out is eight floats of the card. */
    cudaError_t
    planted_run(planted_mistake mistake, float *out);

#endif
