/* pages.h: who holds which KV page.
 *
 * The device allocates the pool; here are only ids and counts. A page is free, or held by lanes
 * and kept prefixes, each holder counted. A page that only prefixes hold is *idle*: it can be had
 * again by evicting them. Belongs to the engine thread; no locks.
 */
#ifndef HG_ENGINE_PAGES_H
#define HG_ENGINE_PAGES_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/limits.h"

typedef enum hg_holder { HG_HOLDER_LANE, HG_HOLDER_PREFIX } hg_holder;

typedef struct hg_page_count {
    uint16_t holders;  /* all of them; at most STEP_LANES lanes and PREFIXES prefixes */
    uint16_t prefixes; /* those of them that are prefixes */
} hg_page_count;

typedef struct hg_pages {
    hg_page_count *page; /* [count] owned */
    uint32_t *free_id;   /* [count] owned; a stack, the first free are free pages */
    uint32_t count, free, idle;
} hg_pages;

/* All count pages are free. HG_ERROR_MEMORY. */
hg_status hg_pages_open(hg_pages *pages, uint32_t count) HG_CHECKED;
void hg_pages_close(hg_pages *pages);

/* A free page, held by one lane. There must be one: look at pages->free first. */
uint32_t hg_pages_take(hg_pages *pages);

/* One holder more of a page that is held already; one less: the last one frees it. */
void hg_pages_hold(hg_pages *pages, uint32_t id, hg_holder holder);
void hg_pages_release(hg_pages *pages, uint32_t id, hg_holder holder);

/* Held by prefixes alone. */
bool hg_pages_is_idle(const hg_pages *pages, uint32_t id);

/* Pages that tokens positions need. */
static inline uint32_t hg_pages_for(uint32_t tokens)
{
    return (tokens + HG_LIMIT_PAGE_TOKENS - 1) / HG_LIMIT_PAGE_TOKENS;
}

#endif
