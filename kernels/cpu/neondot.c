/* neondot.c: the family for Arm's NEON with the dot product instructions.
 *
 * A register holds four columns of four output rows; sdot multiplies it by four activations of one
 * row, picked from a register that holds those of four rows, and adds into exact 32-bit sums.
 * Compiled with the instruction set's flags, run only where runs_here says so.
 */
#if defined(__aarch64__)

#include <sys/auxv.h>

#include "kernels/cpu/int8_neon.h"

INLINE void dot_group(const uint8_t *codes, const int8_t *q, s16 *sum, const uint32_t rows,
                      const uint32_t bits, const uint32_t group)
{
    dot_quads(codes, q, sum, rows, bits, group);
}

#include "kernels/cpu/int8_tiles.h"

static bool runs_here(void)
{
    return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
}

HG_INT8_FAMILY(neondot, vector_linear);

#endif
