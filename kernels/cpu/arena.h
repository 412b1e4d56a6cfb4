/* arena.h: one mapping that holds many arrays.
 *
 * A layout is a function that takes arrays from an arena. It runs twice: first on an empty arena,
 * which only counts, then, after hg_arena_map, on the memory itself. So the size and the layout
 * cannot disagree, and nothing is freed piece by piece. Pages are the operating system's: zero, and
 * resident only once touched.
 */
#ifndef HG_KERNELS_CPU_ARENA_H
#define HG_KERNELS_CPU_ARENA_H

#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>

#include "core/base/error.h"

#define HG_ARENA_ALIGN 64 /* a cache line and a 512-bit register */

typedef struct hg_arena {
    uint8_t *base; /* NULL: only counting */
    size_t used, size;
} hg_arena;

/* The next bytes, aligned; NULL while counting. */
static inline void *hg_arena_take(hg_arena *arena, size_t bytes)
{
    size_t at = arena->used;
    arena->used += (bytes + HG_ARENA_ALIGN - 1) / HG_ARENA_ALIGN * HG_ARENA_ALIGN;
    assert(!arena->base || arena->used <= arena->size);
    return arena->base ? arena->base + at : NULL;
}

/* Turns an arena that has counted into one that holds; what names it in the error. */
static inline hg_status hg_arena_map(hg_arena *arena, const char *what, hg_error *error)
{
    assert(!arena->base);
    size_t size = arena->used ? arena->used : HG_ARENA_ALIGN;
    void *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED)
        return hg_fail(error, HG_ERROR_MEMORY, "no memory for %s: %zu bytes", what, size);
    *arena = (hg_arena){.base = base, .size = size};
    return HG_OK;
}

static inline void hg_arena_unmap(hg_arena *arena)
{
    if (arena->base) munmap(arena->base, arena->size);
    *arena = (hg_arena){0};
}

#endif
