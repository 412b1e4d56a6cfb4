/* cuda.h: the CUDA device, in a library of its own: libhydraglot_cuda.so, opened at run time.
 *
 * One kernel family, "f16": weights of 4, 8 or 16 bits, activations and KV in F16, sums in F32.
 * Whole chunks of prompts go through cuBLASLt, which is opened at run time; without it there are
 * none. Compute capability 8.0 and later. Asked to run without a driver or a card, open says which
 * is missing.
 */
#ifndef HG_KERNELS_CUDA_CUDA_H
#define HG_KERNELS_CUDA_CUDA_H

#include "kernels/device.h"

/* The library's one exported symbol. */
const hg_device_api *hg_cuda_device(void);

#endif
