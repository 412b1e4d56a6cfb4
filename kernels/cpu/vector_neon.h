/* vector_neon.h: the v16 of vector.h on four registers of NEON. */
#ifndef HG_KERNELS_CPU_VECTOR_NEON_H
#define HG_KERNELS_CPU_VECTOR_NEON_H

#include <arm_neon.h>
#include <stdint.h>

typedef struct v16 {
    float32x4_t q[4];
} v16;
#define V16_TILE 1

#define V16_EACH(expression)                                                                       \
    v16 y;                                                                                         \
    for (int i = 0; i < 4; i++) y.q[i] = (expression);                                             \
    return y

static inline v16 v16_set1(float x)
{
    V16_EACH(vdupq_n_f32(x));
}
static inline v16 v16_add(v16 a, v16 b)
{
    V16_EACH(vaddq_f32(a.q[i], b.q[i]));
}
static inline v16 v16_mul(v16 a, v16 b)
{
    V16_EACH(vmulq_f32(a.q[i], b.q[i]));
}
static inline v16 v16_div(v16 a, v16 b)
{
    V16_EACH(vdivq_f32(a.q[i], b.q[i]));
}
static inline v16 v16_max(v16 a, v16 b)
{
    V16_EACH(vmaxq_f32(a.q[i], b.q[i]));
}
static inline v16 v16_abs(v16 a)
{
    V16_EACH(vabsq_f32(a.q[i]));
}
static inline v16 v16_fma(v16 a, v16 b, v16 c)
{
    V16_EACH(vfmaq_f32(c.q[i], a.q[i], b.q[i]));
}
static inline v16 v16_round(v16 a)
{
    V16_EACH(vrndnq_f32(a.q[i]));
}
static inline v16 v16_load(const float *p)
{
    V16_EACH(vld1q_f32(p + 4 * i));
}

static inline v16 v16_load_half(const uint16_t *p)
{
    V16_EACH(vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p + 4 * i))));
}

static inline float32x4_t power2(float32x4_t n)
{
    int32x4_t biased = vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127));
    return vreinterpretq_f32_s32(vshlq_n_s32(biased, 23));
}

static inline v16 v16_scale2(v16 a, v16 n)
{
    V16_EACH(vmulq_f32(a.q[i], power2(n.q[i])));
}

static inline void v16_store(float *p, v16 a)
{
    for (int i = 0; i < 4; i++) vst1q_f32(p + 4 * i, a.q[i]);
}

static inline void v16_store_half(uint16_t *p, v16 a)
{
    for (int i = 0; i < 4; i++) vst1_u16(p + 4 * i, vreinterpret_u16_f16(vcvt_f16_f32(a.q[i])));
}

static inline float v16_sum(v16 a)
{
    return vaddvq_f32(vaddq_f32(vaddq_f32(a.q[0], a.q[2]), vaddq_f32(a.q[1], a.q[3])));
}

static inline float v16_most(v16 a)
{
    return vmaxvq_f32(vmaxq_f32(vmaxq_f32(a.q[0], a.q[2]), vmaxq_f32(a.q[1], a.q[3])));
}

static inline uint32_t v16_above(v16 a, v16 b)
{
    static const uint32_t bit[4] = {1, 2, 4, 8};
    uint32_t above = 0;
    for (int i = 0; i < 4; i++)
        above |= vaddvq_u32(vandq_u32(vcgtq_f32(a.q[i], b.q[i]), vld1q_u32(bit))) << 4 * i;
    return above;
}

static inline int32_t v16_store_int8(int8_t *p, v16 a)
{
    int32x4_t w[4];
    for (int i = 0; i < 4; i++) w[i] = vcvtnq_s32_f32(a.q[i]);
    int16x8_t low = vcombine_s16(vqmovn_s32(w[0]), vqmovn_s32(w[1]));
    int16x8_t high = vcombine_s16(vqmovn_s32(w[2]), vqmovn_s32(w[3]));
    vst1q_s8(p, vcombine_s8(vqmovn_s16(low), vqmovn_s16(high)));
    return vaddvq_s32(vaddq_s32(vaddq_s32(w[0], w[1]), vaddq_s32(w[2], w[3])));
}

#endif
