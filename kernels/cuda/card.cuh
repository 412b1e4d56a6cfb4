/* card.cuh: the words of vocabulary.cuh as a card has them. tests/cuda_emulator/words.h has the
 * same words for a CPU; nothing else of CUDA stands in a kernel.
 */
#ifndef HG_KERNELS_CUDA_CARD_CUH
#define HG_KERNELS_CUDA_CARD_CUH

#include <cuda_fp16.h>

/* A shared array of the block; one in the block's dynamic part, whose bytes the launch names. */
#define HG_SHARED(type, name, count) __shared__ type name[count]
extern __shared__ __align__(16) unsigned char hg_dynamic[];
#define HG_DYNAMIC(type, name, offset, count) type *name = (type *)(void *)(hg_dynamic + (offset))

#define HG_BLOCKS_AT_LEAST(blocks) __launch_bounds__(128, blocks)

/* A launch: kernel, blocks, bytes of dynamic shared memory, queue, arguments. Where the card can,
 * it starts before the launch ahead of it has ended (programmatic dependent launch); each kernel
 * waits for that with previous_done before it reads anything but weights. */
template <class... Parameters, class... Arguments>
static inline void card_launch(void (*kernel)(Parameters...), dim3 grid, size_t shared_bytes,
                               const hg_cuda_queue &queue, const Arguments &...arguments)
{
    cudaLaunchAttribute overlap = {};
    overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    overlap.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t config = {};
    config.gridDim = grid;
    config.blockDim = dim3(128);
    config.dynamicSmemBytes = shared_bytes;
    config.stream = queue.stream;
    config.attrs = &overlap;
    config.numAttrs = queue.overlap ? 1 : 0;
    cudaLaunchKernelEx(&config, kernel, Parameters(arguments)...);
}
#define HG_LAUNCH(kernel, grid, shared_bytes, queue, ...)                                          \
    card_launch(kernel, grid, shared_bytes, queue, __VA_ARGS__)

template <class Kernel>
static inline cudaError_t card_resident(Kernel kernel, size_t shared_bytes, int *out)
{
    cudaError_t failed = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                              (int)shared_bytes);
    if (failed != cudaSuccess) return failed;
    return cudaOccupancyMaxActiveBlocksPerMultiprocessor(out, kernel, 128, shared_bytes);
}
#define HG_RESIDENT(kernel, shared_bytes, out) card_resident(kernel, shared_bytes, out)

static __device__ inline void previous_done(void)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.wait;" ::: "memory");
#endif
}

static __device__ inline void next_may_start(void)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("griddepcontrol.launch_dependents;");
#endif
}

static __device__ inline void warp_barrier(void)
{
    __syncwarp();
}

/* 16 bytes of the card's memory to shared words [index, index + 4), past the first cache. */
static __device__ inline void copy_async(uint32_t *to, size_t index, const void *from)
{
    uint32_t at = (uint32_t)__cvta_generic_to_shared(to + index);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(at), "l"(from) : "memory");
}
static __device__ inline void copy_commit(void)
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

/* Until all but the newest left groups of this thread's copies are there. */
template <int left> static __device__ inline void card_copy_wait(void)
{
    asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
}
#define copy_wait(left) card_copy_wait<(left)>()

/* d += a b, of the warp: [16, 8] F32 += [16, 16] [16, 8] F16 */
static __device__ inline void multiply_fragments(float *d, const uint32_t *a, uint32_t b0,
                                                 uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
                 "{%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#include "kernels/cuda/card_values.cuh"

#endif
