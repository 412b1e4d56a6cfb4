/* memory.h: blocks that live as long as the model or adapter they were made for.
 *
 * Converted norms and scales, copies of misaligned tensors, tables of layers: all are freed
 * together, so a loader that fails half-way leaks nothing. Not thread-safe.
 */
#ifndef HG_MODEL_MEMORY_H
#define HG_MODEL_MEMORY_H

#include <stddef.h>

/* Zero-initialise. */
typedef struct hg_memory {
    struct hg_memory_block *first; /* owned */
} hg_memory;

/* count * size zeroed bytes, aligned to 64, or NULL (no memory, or the product overflows). */
void *hg_memory_alloc(hg_memory *memory, size_t count, size_t size);
void hg_memory_free(hg_memory *memory);

#endif
