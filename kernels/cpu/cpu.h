/* cpu.h: the CPU device. Kernel families, chosen at open:
 *
 *   reference    plain C loops, F32: the oracle of all others
 *   avx2         INT8 activations, 256-bit integer dot products
 *   avxvnni      the same with VNNI on 256 bits
 *   avx512vnni   the same on AVX-512 VNNI
 *   amx          that, and the tiles of AMX-INT8 for many rows
 *   neondot      the same on Arm's NEON with dot products
 *   neoni8mm     that, and NEON's products of 8-bit matrices for more than one row
 *
 * hg_device_options.kernel names one; asking for one that this processor lacks is an error that
 * lists those it has.
 */
#ifndef HG_KERNELS_CPU_CPU_H
#define HG_KERNELS_CPU_CPU_H

#include "kernels/device.h"

const hg_device_api *hg_cpu_device(void);

/* Names of the families that run on this processor, best first; NULL ends the list. */
const char *const *hg_cpu_kernels(void);

/* Cores this process may run on, at most HG_LIMIT_WORKERS: what `threads` 0 means. */
uint32_t hg_cpu_usable_cores(void);

#endif
