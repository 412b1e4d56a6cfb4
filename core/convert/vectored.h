/* vectored.h: plain loops compiled twice, once for AVX2, chosen at run time.
 *
 * GNU attributes: a function marked HG_INLINE is compiled into each of its callers for the
 * instruction set of that caller, and a caller marked HG_AVX2 is compiled for AVX2. So the loops
 * stay plain C, and the compiler's vectoriser does the rest. Quantising and calibrating are no part
 * of serving: they need no kernels of their own.
 */
#ifndef HG_CONVERT_VECTORED_H
#define HG_CONVERT_VECTORED_H

#include <stdbool.h>

#define HG_INLINE static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define HG_AVX2 __attribute__((target("avx2,fma")))
static inline bool hg_have_avx2(void)
{
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
}
#else
#define HG_AVX2
static inline bool hg_have_avx2(void)
{
    return false;
}
#endif

#endif
