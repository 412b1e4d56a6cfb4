/* cuda_runtime.h: CUDA's kernel language as C++: the sources of kernels/cuda on the CPU.
 *
 * A block runs as one fiber for each of its threads. A fiber runs until a barrier, a shuffle or its
 * end; then the scheduler (emulator.cpp) goes to the next. Checked on the way:
 * - all threads of a block meet at the same __syncthreads, none has ended before;
 * - all lanes of a warp take part in a shuffle, a matrix product or the warp's barrier, the same
 * one;
 * - shared arrays: indices within bounds, and accesses in an order (shared.h). (A shuffle orders
 *   nothing.)
 */
#ifndef HG_TESTS_CUDA_RUNTIME_H
#define HG_TESTS_CUDA_RUNTIME_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "tests/cuda_emulator/cuda_runtime_api.h"
#include "tests/cuda_emulator/shared.h"
#include "tests/cuda_emulator/values.h"

#define __global__
#define __device__
#define __host__
#define __grid_constant__
#define HG_BLOCKS_AT_LEAST(blocks)

struct dim3 {
    uint32_t x, y, z;
    dim3(uint32_t a = 1, uint32_t b = 1, uint32_t c = 1) : x(a), y(b), z(c) {}
};

/* The thread that runs now; its block is block_now. */
struct emulator_thread {
    dim3 index;
    uint32_t number;
};
extern emulator_thread *emulator_now;
extern dim3 emulator_block, emulator_grid;

#define threadIdx (emulator_now->index)
#define blockIdx  emulator_block
#define gridDim   emulator_grid

void emulator_barrier(const char *site);

/* What a whole warp does together, given each lane's operand; NULL: its barrier. */
typedef void (*emulator_collective)(void *const *operand);
void emulator_together(const char *site, emulator_collective what, void *operand);
void emulator_exchange(void *const *operand);

#define EMULATOR_TEXT2(line) #line
#define EMULATOR_TEXT(line)  EMULATOR_TEXT2(line)
#define EMULATOR_SITE        __FILE__ ":" EMULATOR_TEXT(__LINE__)

#define HG_SHARED(type, name, count)                                                               \
    emulator_view<type> name = {emulator_shared(EMULATOR_SITE " " #name, sizeof(type), count)}
#define __syncthreads() emulator_barrier(EMULATOR_SITE)
#define __shfl_xor_sync(mask, value, lanes)                                                        \
    ((void)(mask), emulator_shuffle(EMULATOR_SITE, value, lanes))

struct emulator_shuffled { /* of one lane */
    uint32_t bits, lanes;
};

template <class T> static inline T emulator_shuffle(const char *site, T value, uint32_t lanes)
{
    static_assert(sizeof(T) == 4, "a register");
    emulator_shuffled mine = {0, lanes};
    memcpy(&mine.bits, &value, sizeof value);
    emulator_together(site, emulator_exchange, &mine);
    memcpy(&value, &mine.bits, sizeof value);
    return value;
}

/* Two roundings where the card has one: the difference is what the tests' tolerance is for. */
static inline float multiply_add(float a, float b, float c)
{
    return a * b + c;
}

#include "tests/cuda_emulator/launch.h"
#include "tests/cuda_emulator/words.h"

#endif
