/* avx512vnni.c: the family for AVX-512 with VNNI: int8_avx512.h and nothing else. Compiled with the
 * instruction set's flags, run only where runs_here says so.
 */
#if defined(__x86_64__)

#include "kernels/cpu/int8_avx512.h"
#include "kernels/cpu/int8_tiles.h"

static bool runs_here(void)
{
    return runs_avx512();
}

HG_INT8_FAMILY(avx512vnni, vector_linear);

#endif
