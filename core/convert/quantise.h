/* quantise.h: rows of weights to symmetric 4- or 8-bit codes with an F16 scale a group.
 *
 * A scale is searched for, not computed: candidates shrink the group's largest magnitude, and each
 * is mended once by least squares (for codes q, the scale that fits weights w best is
 * sum(h w q) / sum(h q q)); the pair of codes and F16 scale with the least error sum h (w - s q)^2
 * wins, where h says how much each input counts: 1, or the mean square of its activations. The
 * plain round-to-nearest scale is among the candidates, so the error is never above its.
 */
#ifndef HG_CONVERT_QUANTISE_H
#define HG_CONVERT_QUANTISE_H

#include <stdint.h>

#include "core/base/error.h"
#include "kernels/weights.h"

typedef struct hg_quantise_job {
    uint32_t columns;        /* a multiple of group */
    uint16_t group;          /* 16, 32, 64 or 128 */
    uint8_t bits;            /* 4 or 8 */
    const float *importance; /* [columns], or NULL: all inputs count alike */
} hg_quantise_job;

/* row [columns]. codes [columns * bits / 8], of two 4-bit codes the low nibble first; scales
 * [columns / group] F16; back [columns] gets the weights that the codes mean. Any of the three may
 * be NULL. */
void hg_quantise_row(const hg_quantise_job *job, const float *row, uint8_t *codes, uint16_t *scales,
                     float *back);

#endif
