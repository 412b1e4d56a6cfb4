/* memory.c: a list of blocks, each with its link in a cache line of its own before the payload. */
#include "core/model/memory.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { LINE = 64 };

struct hg_memory_block {
    struct hg_memory_block *next;
};

void *hg_memory_alloc(hg_memory *memory, size_t count, size_t size)
{
    assert(size > 0);
    if (count > (SIZE_MAX / 2 - 2 * LINE) / size) return NULL;
    size_t bytes = (count * size + LINE - 1) / LINE * LINE;
    struct hg_memory_block *block = aligned_alloc(LINE, LINE + bytes);
    if (!block) return NULL;
    memset((char *)block + LINE, 0, bytes);
    assert((uintptr_t)block % LINE == 0);
    block->next = memory->first;
    memory->first = block;
    return (char *)block + LINE;
}

void hg_memory_free(hg_memory *memory)
{
    for (struct hg_memory_block *block = memory->first, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    memory->first = NULL;
}
