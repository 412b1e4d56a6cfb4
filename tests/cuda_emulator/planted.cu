/* planted.cu: kernels with one mistake each, which the emulator must find. */
#include "kernels/cuda/vocabulary.cuh"
#include "tests/cuda_emulator/planted.h"

/* A sum over the block whose halves are read without a barrier in between. */
static __global__ void race_kernel(float *out)
{
    HG_SHARED(float, value, THREADS);
    value[threadIdx.x] = 1;
    __syncthreads();
    for (uint32_t step = THREADS / 2; step > 0; step /= 2)
        if (threadIdx.x < step) value[threadIdx.x] += value[threadIdx.x + step];
    if (threadIdx.x == 0) *out = value[0];
}

/* A write that overtakes another thread's read. */
static __global__ void overtaking_kernel(float *out)
{
    HG_SHARED(float, value, THREADS);
    value[threadIdx.x] = (float)threadIdx.x;
    __syncthreads();
    float other = value[THREADS - 1 - threadIdx.x];
    value[threadIdx.x] = other;
    if (threadIdx.x == 0) *out = other;
}

/* The same with the barrier that was missing. */
static __global__ void ordered_kernel(float *out)
{
    HG_SHARED(float, value, THREADS);
    value[threadIdx.x] = (float)threadIdx.x;
    __syncthreads();
    float other = value[THREADS - 1 - threadIdx.x];
    __syncthreads();
    value[threadIdx.x] = other;
    if (threadIdx.x == 0) *out = other;
}

static __global__ void early_end_kernel(float *out)
{
    if (threadIdx.x > 64) return;
    __syncthreads();
    if (threadIdx.x == 0) *out = 1;
}

static __global__ void two_barriers_kernel(float *out)
{
    if (threadIdx.x < 64)
        __syncthreads();
    else
        __syncthreads(); /* another place */
    if (threadIdx.x == 0) *out = 1;
}

static __global__ void lone_shuffle_kernel(float *out)
{
    float value = 1;
    if (threadIdx.x % 32 < 31) value += __shfl_xor_sync(0xFFFFFFFFu, value, 1);
    if (threadIdx.x == 0) *out = value;
}

static __global__ void bounds_kernel(float *out)
{
    HG_SHARED(float, value, THREADS);
    value[threadIdx.x + 1] = 1;
    __syncthreads();
    if (threadIdx.x == 0) *out = value[1];
}

/* Each lane copies 16 bytes for its neighbour, and the warp says when they are there. */
template <planted_mistake mistake> static __global__ void copy_kernel(const float *in, float *out)
{
    HG_DYNAMIC(uint32_t, value, 0, THREADS * 4);
    uint32_t me = threadIdx.x, other = me ^ 1;
    copy_async(value, me * 4, in);
    copy_commit();
    if (mistake != PLANTED_UNAWAITED) copy_wait(0);
    if (mistake != PLANTED_NO_WARP_BARRIER) warp_barrier();
    *out = __uint_as_float(value[other * 4]);
    if (mistake == PLANTED_UNAWAITED) copy_wait(0);
    if (mistake == PLANTED_OVERWRITTEN) value[me * 4] = 0; /* which the neighbour still reads */
    if (mistake == PLANTED_ABANDONED) {
        warp_barrier();
        copy_async(value, me * 4, in);
    }
}

extern "C" cudaError_t planted_run(planted_mistake mistake, float *out)
{
    const hg_cuda_queue now = {};
    switch (mistake) {
    case PLANTED_NONE: HG_LAUNCH(ordered_kernel, 2, 0, now, out); break;
    case PLANTED_RACE: HG_LAUNCH(race_kernel, 2, 0, now, out); break;
    case PLANTED_OVERTAKING: HG_LAUNCH(overtaking_kernel, 2, 0, now, out); break;
    case PLANTED_EARLY_END: HG_LAUNCH(early_end_kernel, 2, 0, now, out); break;
    case PLANTED_TWO_BARRIERS: HG_LAUNCH(two_barriers_kernel, 2, 0, now, out); break;
    case PLANTED_LONE_SHUFFLE: HG_LAUNCH(lone_shuffle_kernel, 2, 0, now, out); break;
    case PLANTED_BOUNDS: HG_LAUNCH(bounds_kernel, 2, 0, now, out); break;
    case PLANTED_ORDERED_COPY:
        HG_LAUNCH(copy_kernel<PLANTED_ORDERED_COPY>, 2, 0, now, out + 4, out);
        break;
    case PLANTED_UNAWAITED:
        HG_LAUNCH(copy_kernel<PLANTED_UNAWAITED>, 2, 0, now, out + 4, out);
        break;
    case PLANTED_NO_WARP_BARRIER:
        HG_LAUNCH(copy_kernel<PLANTED_NO_WARP_BARRIER>, 2, 0, now, out + 4, out);
        break;
    case PLANTED_OVERWRITTEN:
        HG_LAUNCH(copy_kernel<PLANTED_OVERWRITTEN>, 2, 0, now, out + 4, out);
        break;
    case PLANTED_ABANDONED:
        HG_LAUNCH(copy_kernel<PLANTED_ABANDONED>, 2, 0, now, out + 4, out);
        break;
    }
    return cudaGetLastError();
}
