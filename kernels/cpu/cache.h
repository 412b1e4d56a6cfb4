/* cache.h: packed models in files, for the next start (hg_device_cache in device.h).
 *
 * A file is a header of HG_CACHE_HEAD bytes and the arena of a packed model as it lies in memory.
 * It is known by the caller's key for the model's content, the kernel family, the packed form's
 * version and what dense layers were rounded to; the header says all of these, its own digest and
 * the arena's. A file that differs in anything is refused, and the model is packed anew: the arena
 * holds numbers only (what pointers it has are laid out again), so the worst that a file could do
 * is checked away.
 *
 * Files are written beside their name, synced and renamed, so that readers, whatever happens, find
 * old or new; two programs that start at once both write, and the last one stays. What is mapped
 * stays what it is when its name goes to another file.
 */
#ifndef HG_KERNELS_CPU_CACHE_H
#define HG_KERNELS_CPU_CACHE_H

#include "kernels/cpu/arena.h"
#include "kernels/cpu/workers.h"
#include "kernels/device.h"

#define HG_CACHE_HEAD (64 << 10) /* a multiple of every page size in use */

/* What an arena is of. */
typedef struct hg_cached {
    const hg_device_cache *cache;
    const char *family;
    uint32_t version; /* of the packed form */
    uint32_t dense_bits;
    size_t bytes; /* of the arena */
} hg_cached;

/* Whether such a model is kept at all: there is a folder and a key, and it is large enough. */
bool hg_cache_wants(const hg_cached *what);

/* Maps the arena; what is written to it stays with this process. HG_ERROR_NOT_FOUND without a
 * file, HG_ERROR_FORMAT, saying why, for one that will not do. */
hg_status hg_cache_map(const hg_cached *what, hg_workers *workers, hg_arena *out,
                       hg_error *error) HG_CHECKED;

/* Writes the arena, after the files used the longest ago have left, when it would not fit beside
 * them. HG_ERROR_LIMIT when it can never fit. */
hg_status hg_cache_write(const hg_cached *what, hg_workers *workers, const hg_arena *arena,
                         hg_error *error) HG_CHECKED;

#endif
