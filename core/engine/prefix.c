/* prefix.c: a small table, searched from end to end.
 *
 * 256 entries are compared in about a microsecond, because most differ in their first tokens; a
 * radix tree would save nothing that a step of milliseconds could show.
 */
#include "core/engine/prefix.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void hg_prefixes_open(hg_prefixes *prefixes, hg_pages *pages)
{
    prefixes->pages = pages;
    prefixes->count = 0;
    prefixes->chunk_rows = 0;
    prefixes->stamp = 0;
}

static void drop(hg_prefixes *prefixes, hg_prefix *entry)
{
    assert(entry >= prefixes->entry && entry < prefixes->entry + prefixes->count);
    for (uint32_t i = 0; i < hg_pages_for(entry->tokens); i++)
        hg_pages_release(prefixes->pages, entry->page[i], HG_HOLDER_PREFIX);
    free(entry->token);
    free(entry->page);
    *entry = prefixes->entry[--prefixes->count];
}

void hg_prefixes_close(hg_prefixes *prefixes)
{
    while (prefixes->count > 0) drop(prefixes, &prefixes->entry[0]);
}

static uint32_t common(const int32_t *a, const int32_t *b, uint32_t most)
{
    uint32_t n = 0;
    while (n < most && a[n] == b[n]) n++;
    return n;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

uint32_t hg_common_tokens(uint32_t common, uint32_t shared, uint32_t other, uint32_t chunk_rows)
{
    uint32_t whole = hg_whole_tokens(shared, chunk_rows);
    uint32_t theirs = hg_whole_tokens(other, chunk_rows);
    if (whole == theirs && common >= whole) return common;
    return hg_whole_tokens(smaller(common, smaller(whole, theirs)), chunk_rows);
}

uint32_t hg_prefix_find(hg_prefixes *prefixes, uint64_t key, const int32_t *token, uint32_t tokens,
                        const uint32_t **page)
{
    hg_prefix *best = NULL;
    uint32_t longest = 0;
    for (uint32_t i = 0; i < prefixes->count; i++) {
        hg_prefix *entry = &prefixes->entry[i];
        if (entry->key != key) continue;
        uint32_t n = common(entry->token, token, smaller(entry->tokens, tokens));
        n = hg_common_tokens(n, tokens, entry->tokens, prefixes->chunk_rows);
        if (n <= longest) continue;
        longest = n;
        best = entry;
    }
    if (!best) return 0;
    best->used = ++prefixes->stamp;
    *page = best->page;
    return longest;
}

/* The entry that left the longest unused; with an idle page if so asked. */
static hg_prefix *oldest(hg_prefixes *prefixes, bool want_idle)
{
    hg_prefix *old = NULL;
    for (uint32_t i = 0; i < prefixes->count; i++) {
        hg_prefix *entry = &prefixes->entry[i];
        if (old && entry->used > old->used) continue;
        bool idle = false;
        for (uint32_t p = 0; p < hg_pages_for(entry->tokens) && !idle; p++)
            idle = hg_pages_is_idle(prefixes->pages, entry->page[p]);
        if (idle || !want_idle) old = entry;
    }
    return old;
}

bool hg_prefix_evict(hg_prefixes *prefixes)
{
    hg_prefix *entry = oldest(prefixes, true);
    if (entry) drop(prefixes, entry);
    return entry != NULL;
}

/* Drops entries that the new sequence begins with; true when an entry begins with the new one. */
static bool make_way(hg_prefixes *prefixes, uint64_t key, const int32_t *token, uint32_t tokens)
{
    for (uint32_t i = 0; i < prefixes->count;) {
        hg_prefix *entry = &prefixes->entry[i];
        uint32_t shorter = smaller(entry->tokens, tokens);
        if (entry->key != key || common(entry->token, token, shorter) < shorter) {
            i++;
        } else if (entry->tokens >= tokens) {
            entry->used = ++prefixes->stamp;
            return true;
        } else {
            drop(prefixes, entry); /* another one stands in its place now */
        }
    }
    return false;
}

void hg_prefix_keep(hg_prefixes *prefixes, uint64_t key, const int32_t *token, uint32_t tokens,
                    const uint32_t *page)
{
    if (tokens == 0 || make_way(prefixes, key, token, tokens)) return;
    if (prefixes->count == HG_LIMIT_PREFIXES) drop(prefixes, oldest(prefixes, false));

    uint32_t pages = hg_pages_for(tokens);
    hg_prefix entry = {.key = key, .tokens = tokens, .used = ++prefixes->stamp};
    entry.token = malloc(tokens * sizeof *entry.token);
    entry.page = malloc(pages * sizeof *entry.page);
    if (!entry.token || !entry.page) {
        free(entry.token);
        free(entry.page);
        return;
    }
    memcpy(entry.token, token, tokens * sizeof *token);
    memcpy(entry.page, page, pages * sizeof *page);
    for (uint32_t i = 0; i < pages; i++) hg_pages_hold(prefixes->pages, page[i], HG_HOLDER_PREFIX);
    prefixes->entry[prefixes->count++] = entry;
}

void hg_prefix_forget(hg_prefixes *prefixes, uint64_t key)
{
    for (uint32_t i = 0; i < prefixes->count;) {
        if (prefixes->entry[i].key == key)
            drop(prefixes, &prefixes->entry[i]);
        else
            i++;
    }
}
