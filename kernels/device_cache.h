/* device_cache.h: a part of device.h's options: where packed models are kept. */
#ifndef HG_KERNELS_DEVICE_CACHE_H
#define HG_KERNELS_DEVICE_CACHE_H

#include <stddef.h>

/* Where a device may keep what load_model packed, so that the next start only maps it. It may
 * ignore this. Nothing about the cache makes load_model fail; strings stay valid until it returns.
 */
typedef struct hg_device_cache {
    const char *folder; /* exists, and only we write there; NULL: nothing is kept */
    const char *key;    /* digest in hex of what the packed model depends on but device and plan */
    size_t bytes;       /* most that all files of the folder may have */
    size_t least_bytes; /* a model that packs to less is not kept */
} hg_device_cache;

#endif
