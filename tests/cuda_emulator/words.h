/* words.h: the words of kernels/cuda/vocabulary.cuh on the CPU: tensor fragments, pairs of F16,
 * asynchronous copies, atomics. Meanings as in the PTX ISA (mma.m16n8k16, cp.async). A matrix
 * product adds in F32 from left to right; the card's own order is not documented.
 */
#ifndef HG_TESTS_EMULATOR_WORDS_H
#define HG_TESTS_EMULATOR_WORDS_H

#define HG_DYNAMIC(type, name, offset, count)                                                      \
    emulator_view<type> name = {emulator_shared(EMULATOR_SITE " " #name, sizeof(type), count)};    \
    (void)(offset)
#define copy_wait(left)  emulator_copy_wait(EMULATOR_SITE, left)
#define copy_commit()    emulator_copy_commit()
#define warp_barrier()   emulator_together(EMULATOR_SITE, nullptr, nullptr)
#define previous_done()  ((void)0) /* kernels run one after the other here */
#define next_may_start() ((void)0)

struct emulator_product { /* of one lane */
    float *d;
    const uint32_t *a;
    uint32_t b[2];
};
void emulator_multiply(void *const *operand);

/* d += a b: [16 outputs, 8 rows] += [16, 16] [16, 8] */
#define multiply_fragments(d, a, b0, b1)                                                           \
    do {                                                                                           \
        emulator_product lane_ = {d, a, {b0, b1}};                                                 \
        emulator_together(EMULATOR_SITE, emulator_multiply, &lane_);                               \
    } while (0)

struct alignas(16) uint4 {
    uint32_t x, y, z, w;
};
struct alignas(8) uint2 {
    uint32_t x, y;
};
struct alignas(8) float2 {
    float x, y;
};

uint16_t f16_of_f32(float value); /* nearest, ties to even; beyond F16 its largest */

static inline uint32_t f16x2(float low, float high)
{
    return f16_of_f32(low) | (uint32_t)f16_of_f32(high) << 16;
}

static inline uint32_t f16x2_add(uint32_t a, uint32_t b)
{
    return f16x2(f32_of_f16((uint16_t)a) + f32_of_f16((uint16_t)b),
                 f32_of_f16((uint16_t)(a >> 16)) + f32_of_f16((uint16_t)(b >> 16)));
}

static inline uint32_t f16x2_multiply_add(uint32_t a, uint32_t b, uint32_t c)
{
    return f16x2(f32_of_f16((uint16_t)a) * f32_of_f16((uint16_t)b) + f32_of_f16((uint16_t)c),
                 f32_of_f16((uint16_t)(a >> 16)) * f32_of_f16((uint16_t)(b >> 16)) +
                     f32_of_f16((uint16_t)(c >> 16)));
}

/* Bytes number of the eight of a and b, in the order that the nibbles of selector give. */
static inline uint32_t byte_permute(uint32_t a, uint32_t b, uint32_t selector)
{
    uint64_t both = a | (uint64_t)b << 32;
    uint32_t out = 0;
    for (int i = 0; i < 4; i++)
        out |= (uint32_t)(both >> ((selector >> 4 * i & 7) * 8) & 0xFF) << 8 * i;
    return out;
}

static inline void copy_async(emulator_view<uint32_t> to, size_t index, const void *from)
{
    emulator_copy(to.array, index, 4, from);
}

static inline uint4 load4(emulator_view<uint32_t> v, size_t i)
{
    return {v[i], v[i + 1], v[i + 2], v[i + 3]};
}

static inline uint2 load2(emulator_view<uint32_t> v, size_t i)
{
    return {v[i], v[i + 1]};
}

static inline void store2(emulator_view<uint32_t> v, size_t i, uint2 value)
{
    v[i] = value.x;
    v[i + 1] = value.y;
}

/* Of the card's memory, past the caches of one processor. */
static inline float2 load_fresh(const float *p)
{
    return {p[0], p[1]};
}

static inline uint32_t atomic_add(uint32_t *p, uint32_t value)
{
    uint32_t old = *p;
    *p += value;
    return old;
}

static inline void memory_fence(void) {}

#endif
