/* quantise.c: see quantise.h. One group at a time, a few candidates for its scale. */
#include "core/convert/quantise.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/convert/vectored.h"
#include "kernels/cpu/convert.h"

#define GROUP_MOST 128

/* The smallest normal F16: below it relative precision is lost. */
#define SCALE_LEAST 0x1p-14f

typedef struct group_fit {
    float code[GROUP_MOST]; /* signed, whole */
    float scale, error;
} group_fit;

/* Whole numbers of magnitude up to 2^22, ties to even: adding and taking away a number whose last
 * bit is worth one rounds, and vectorises on every processor. */
#define ROUNDER 0x1.8p23f
#define LANES   8 /* sums apart, so that they are vectors; added in a fixed order */

/* Codes for one scale and their error. A negative scale is allowed: the range of codes is larger on
 * one side. */
HG_INLINE void fit(const float *w, const float *h, uint32_t n, float most, float scale,
                   group_fit *out)
{
    float error[LANES] = {0}, inverse = 1 / scale;
    for (uint32_t i = 0; i < n; i += LANES) {
        for (uint32_t j = 0; j < LANES; j++) {
            float q = w[i + j] * inverse;
            q = q > most ? most : q;
            q = q < -most - 1 ? -most - 1 : q;
            q = (q + ROUNDER) - ROUNDER;
            float d = w[i + j] - q * scale;
            out->code[i + j] = q;
            error[j] += h[i + j] * d * d;
        }
    }
    out->scale = scale;
    out->error = 0;
    for (uint32_t j = 0; j < LANES; j++) out->error += error[j];
}

/* The scale that is best for these codes, or 0. */
HG_INLINE float best_scale(const float *w, const float *h, uint32_t n, const float *code)
{
    float above[LANES] = {0}, below[LANES] = {0};
    for (uint32_t i = 0; i < n; i += LANES) {
        for (uint32_t j = 0; j < LANES; j++) {
            above[j] += h[i + j] * w[i + j] * code[i + j];
            below[j] += h[i + j] * code[i + j] * code[i + j];
        }
    }
    for (uint32_t j = 1; j < LANES; j++) {
        above[0] += above[j];
        below[0] += below[j];
    }
    return below[0] > 0 ? above[0] / below[0] : 0;
}

HG_INLINE float as_f16(float scale)
{
    return hg_f32_of_f16(hg_f16_nearest(scale));
}

HG_INLINE void try_scale(const float *w, const float *h, uint32_t n, float most, float scale,
                         group_fit *best)
{
    group_fit found;
    scale = as_f16(scale);
    if (!(fabsf(scale) >= SCALE_LEAST)) return;
    fit(w, h, n, most, scale, &found);
    if (found.error < best->error) *best = found;
}

/* w, h [n]; most: the largest code, 7 or 127. */
HG_INLINE void fit_group(const float *w, const float *h, uint32_t n, float most, group_fit *best)
{
    static const float shrink[] = {1.0f, 0.95f, 0.9f, 0.85f, 0.8f, 0.75f, 0.7f};
    float peak = 0;
    for (uint32_t i = 0; i < n; i++)
        if (fabsf(w[i]) > fabsf(peak)) peak = w[i];
    float plain = as_f16(fabsf(peak) / most);
    fit(w, h, n, most, plain >= SCALE_LEAST ? plain : SCALE_LEAST, best);
    for (size_t i = 0; i < sizeof shrink / sizeof *shrink; i++) {
        try_scale(w, h, n, most, peak * shrink[i] / most, best);
        try_scale(w, h, n, most, -peak * shrink[i] / (most + 1), best);
    }
    /* Codes and scale in turn; each step can only lower the error. */
    for (int turn = 0; turn < 2; turn++)
        try_scale(w, h, n, most, best_scale(w, h, n, best->code), best);
}

static void store_codes(const group_fit *found, uint32_t n, uint8_t bits, uint8_t *out)
{
    const int zero = bits == 8 ? 128 : 8;
    for (uint32_t i = 0; i < n; i++) {
        uint8_t code = (uint8_t)((int)found->code[i] + zero);
        if (bits == 8)
            out[i] = code;
        else if (i % 2 == 0)
            out[i / 2] = code;
        else
            out[i / 2] |= (uint8_t)(code << 4);
    }
}

HG_INLINE void quantise(const hg_quantise_job *job, const float *row, uint8_t *codes,
                        uint16_t *scales, float *back)
{
    static const float alike[GROUP_MOST] = {[0 ... GROUP_MOST - 1] = 1}; /* GNU: a range */
    const float most = job->bits == 8 ? 127 : 7;
    for (uint32_t g = 0; g < job->columns / job->group; g++) {
        const size_t at = (size_t)g * job->group;
        group_fit best;
        fit_group(row + at, job->importance ? job->importance + at : alike, job->group, most,
                  &best);
        if (codes) store_codes(&best, job->group, job->bits, codes + at * job->bits / 8);
        if (scales) scales[g] = hg_f16_nearest(best.scale);
        for (uint32_t i = 0; back && i < job->group; i++) back[at + i] = best.code[i] * best.scale;
    }
}

HG_AVX2 static void quantise_avx2(const hg_quantise_job *job, const float *row, uint8_t *codes,
                                  uint16_t *scales, float *back)
{
    quantise(job, row, codes, scales, back);
}

void hg_quantise_row(const hg_quantise_job *job, const float *row, uint8_t *codes, uint16_t *scales,
                     float *back)
{
    assert(job->group % LANES == 0 && job->group <= GROUP_MOST && job->columns % job->group == 0);
    assert(job->bits == 4 || job->bits == 8);
    if (hg_have_avx2())
        quantise_avx2(job, row, codes, scales, back);
    else
        quantise(job, row, codes, scales, back);
}
