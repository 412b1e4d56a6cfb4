/* pages.c: two counters a page and a stack of free ids.
 *
 * The stack gives back first what was freed last, so a lightly used pool touches little memory.
 */
#include "core/engine/pages.h"

#include <assert.h>
#include <stdlib.h>

_Static_assert(HG_LIMIT_STEP_LANES + HG_LIMIT_PREFIXES < UINT16_MAX, "holders fit their counter");

hg_status hg_pages_open(hg_pages *pages, uint32_t count)
{
    *pages = (hg_pages){.count = count, .free = count};
    pages->page = calloc(count, sizeof *pages->page);
    pages->free_id = calloc(count, sizeof *pages->free_id);
    if (!pages->page || !pages->free_id) {
        hg_pages_close(pages);
        return HG_ERROR_MEMORY;
    }
    for (uint32_t i = 0; i < count; i++) pages->free_id[i] = count - 1 - i;
    return HG_OK;
}

void hg_pages_close(hg_pages *pages)
{
    free(pages->page);
    free(pages->free_id);
    *pages = (hg_pages){0};
}

bool hg_pages_is_idle(const hg_pages *pages, uint32_t id)
{
    assert(id < pages->count);
    const hg_page_count *page = &pages->page[id];
    return page->holders > 0 && page->holders == page->prefixes;
}

uint32_t hg_pages_take(hg_pages *pages)
{
    assert(pages->free > 0);
    uint32_t id = pages->free_id[--pages->free];
    assert(pages->page[id].holders == 0);
    pages->page[id] = (hg_page_count){.holders = 1};
    return id;
}

void hg_pages_hold(hg_pages *pages, uint32_t id, hg_holder holder)
{
    assert(id < pages->count && pages->page[id].holders > 0);
    bool was_idle = hg_pages_is_idle(pages, id);
    pages->page[id].holders++;
    if (holder == HG_HOLDER_PREFIX) pages->page[id].prefixes++;
    if (was_idle && holder == HG_HOLDER_LANE) pages->idle--;
}

void hg_pages_release(hg_pages *pages, uint32_t id, hg_holder holder)
{
    assert(id < pages->count && pages->page[id].holders > 0);
    hg_page_count *page = &pages->page[id];
    bool was_idle = hg_pages_is_idle(pages, id);
    assert(holder == HG_HOLDER_LANE ? page->holders > page->prefixes : page->prefixes > 0);
    page->holders--;
    if (holder == HG_HOLDER_PREFIX) page->prefixes--;
    bool idle = hg_pages_is_idle(pages, id);
    if (was_idle && !idle) pages->idle--;
    if (!was_idle && idle) pages->idle++;
    if (page->holders == 0) pages->free_id[pages->free++] = id;
}
