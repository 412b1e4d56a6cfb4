/* card_values.cuh: the words of card.cuh about values: pairs of F16, vectors of shared memory,
 * memory that other blocks write.
 */
#ifndef HG_KERNELS_CUDA_CARD_VALUES_CUH
#define HG_KERNELS_CUDA_CARD_VALUES_CUH

static __device__ inline float f32_of_f16(uint16_t bits)
{
    return __half2float(__ushort_as_half(bits));
}

/* The nearest F16, beyond its range the largest. */
static __device__ inline uint16_t f16_of_f32(float value)
{
    return __half_as_ushort(__float2half_rn(fminf(fmaxf(value, -65504.0f), 65504.0f)));
}

/* Said outright, so that no compiler chooses between one rounding and two. */
static __device__ inline float multiply_add(float a, float b, float c)
{
    return fmaf(a, b, c);
}

static __device__ inline __half2 card_half2(uint32_t bits)
{
    __half2_raw raw = {(unsigned short)bits, (unsigned short)(bits >> 16)};
    return __half2(raw);
}

static __device__ inline uint32_t card_bits(__half2 pair)
{
    __half2_raw raw = pair;
    return raw.x | (uint32_t)raw.y << 16;
}

static __device__ inline uint32_t f16x2(float low, float high)
{
    return f16_of_f32(low) | (uint32_t)f16_of_f32(high) << 16;
}

static __device__ inline uint32_t f16x2_add(uint32_t a, uint32_t b)
{
    return card_bits(__hadd2(card_half2(a), card_half2(b)));
}

static __device__ inline uint32_t f16x2_multiply_add(uint32_t a, uint32_t b, uint32_t c)
{
    return card_bits(__hfma2(card_half2(a), card_half2(b), card_half2(c)));
}

static __device__ inline uint32_t byte_permute(uint32_t a, uint32_t b, uint32_t selector)
{
    return __byte_perm(a, b, selector);
}

/* Words of shared memory; index is a multiple of what is loaded. */
static __device__ inline uint4 load4(const uint32_t *words, size_t index)
{
    return *(const uint4 *)(const void *)(words + index);
}

static __device__ inline uint2 load2(const uint32_t *words, size_t index)
{
    return *(const uint2 *)(const void *)(words + index);
}

static __device__ inline void store2(uint32_t *words, size_t index, uint2 value)
{
    *(uint2 *)(void *)(words + index) = value;
}

/* Two floats that another block may have written. */
static __device__ inline float2 load_fresh(const float *p)
{
    return __ldcg((const float2 *)(const void *)p);
}

static __device__ inline uint32_t atomic_add(uint32_t *p, uint32_t value)
{
    return atomicAdd(p, value);
}

static __device__ inline void memory_fence(void)
{
    __threadfence();
}

#endif
