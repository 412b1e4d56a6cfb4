/* prefix.h: token sequences whose KV is kept for reuse.
 *
 * Who types on sends the same sentence again with a few tokens more; what was computed for the
 * common beginning is still right, as long as the same weights made it. So an entry is known by
 * the adapter that acted on all of its tokens (HG_NO_ADAPTER: the base alone) and by the tokens.
 * An entry holds its pages by reference. Its last page may be partly filled; a lane that made it
 * may go on writing behind the entry's tokens, so readers share whole pages and copy the rest.
 *
 * At most HG_LIMIT_PREFIXES entries; the least recently used leaves for a new one, and entries
 * leave when a job needs their pages. Belongs to the engine thread; no locks.
 */
#ifndef HG_ENGINE_PREFIX_H
#define HG_ENGINE_PREFIX_H

#include "core/engine/pages.h"

typedef struct hg_prefix {
    uint64_t key;   /* of the adapter */
    int32_t *token; /* [tokens] owned */
    uint32_t *page; /* [hg_pages_for(tokens)] owned; the pages are held */
    uint32_t tokens;
    uint64_t used; /* stamp of the last use; larger is later */
} hg_prefix;

typedef struct hg_prefixes {
    hg_pages *pages;
    hg_prefix entry[HG_LIMIT_PREFIXES]; /* the first count are in use, in no order */
    uint32_t count;
    uint32_t chunk_rows; /* the device's, 0: it has no whole chunks */
    uint64_t stamp;
} hg_prefixes;

/* Positions of a shared part of so many tokens that are computed in whole chunks of chunk_rows, the
 * first ones; none with chunk_rows 0. Known by the prompt alone, so that its bits are too. */
static inline uint32_t hg_whole_tokens(uint32_t shared, uint32_t chunk_rows)
{
    return chunk_rows ? shared / chunk_rows * chunk_rows : 0;
}

/* Of the common first tokens of two shared parts, how many the one computes with the bits that the
 * other gives them. */
uint32_t hg_common_tokens(uint32_t common, uint32_t shared, uint32_t other, uint32_t chunk_rows);

void hg_prefixes_open(hg_prefixes *prefixes, hg_pages *pages);
void hg_prefixes_close(hg_prefixes *prefixes); /* releases all pages */

/* Length of the longest common prefix of token [tokens] with an entry of this key, as far as it has
 * the bits that they would be computed with (hg_common_tokens). When it is not
 * 0, *page are the entry's pages, which the caller must hold before anything else is kept or
 * evicted. Counts as a use. */
uint32_t hg_prefix_find(hg_prefixes *prefixes, uint64_t key, const int32_t *token, uint32_t tokens,
                        const uint32_t **page);

/* Remembers token [tokens], whose KV stands in page [hg_pages_for(tokens)]. Entries that the new
 * one begins with leave; when an entry already begins with the new one, that one is used instead.
 * Without memory nothing is kept, which costs only time later. */
void hg_prefix_keep(hg_prefixes *prefixes, uint64_t key, const int32_t *token, uint32_t tokens,
                    const uint32_t *page);

/* Drops the least recently used entry that holds an idle page; false when there is none. While
 * pages->idle > 0 there is one. */
bool hg_prefix_evict(hg_prefixes *prefixes);

/* Drops all entries of an adapter that left. */
void hg_prefix_forget(hg_prefixes *prefixes, uint64_t key);

#endif
