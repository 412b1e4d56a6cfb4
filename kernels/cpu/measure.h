/* measure.h: what this machine can do at most: how fast all threads together read a working set,
 * and how many INT8 operations their registers do. `bench` holds steps against it.
 */
#ifndef HG_KERNELS_CPU_MEASURE_H
#define HG_KERNELS_CPU_MEASURE_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

typedef struct hg_measure hg_measure;

/* threads as in hg_device_options. */
hg_status hg_measure_open(uint32_t threads, hg_measure **out, hg_error *error) HG_CHECKED;
void hg_measure_close(hg_measure *measure); /* NULL is allowed */

/* The clock of all measurements, microseconds: the steady one; with a single thread that thread's
 * own processor time, which what others run on this machine disturbs less. */
int64_t hg_measure_clock_us(const hg_measure *measure);

/* Bytes/s of reading the same bytes over and over with the widest loads, each thread its own part:
 * out of whichever caches hold them. More than HG_MEASURE_BYTES come from memory anyway and are
 * measured as that many. Takes some milliseconds; the fastest of a few passes. */
#define HG_MEASURE_BYTES ((size_t)512 << 20)
hg_status hg_measure_read(hg_measure *measure, size_t bytes, double *bytes_per_s,
                          hg_error *error) HG_CHECKED;

/* Operations/s (a product and its sum are two) of the INT8 instruction that a kernel family stands
 * on, all operands in registers. 0 for a family without one, or that does not run here. Takes some
 * milliseconds. */
double hg_measure_int8(hg_measure *measure, const char *kernel);

#endif
