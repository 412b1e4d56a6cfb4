/* int8_item.h: what the int8_*.c that run a step share: an item of a stage, and what can be done
 * with it.
 */
#ifndef HG_KERNELS_CPU_INT8_ITEM_H
#define HG_KERNELS_CPU_INT8_ITEM_H

#include "kernels/cpu/int8.h"

/* What an item works on, and on which thread. */
typedef struct hg_item {
    hg_device *device;
    hg_int8 *s;
    hg_thread8 *thread;
    uint32_t stage, layer;
    uint32_t first, count; /* units: rows, heads, blocks */
} hg_item;

/* The first rows of `from`, quantised for w, in tiles of the thread's own. */
const hg_tiles *hg_item_gather(const hg_item *item, const hg_rows8 *from, uint32_t rows,
                               const hg_packed *w);

/* Norms one row [hidden] and quantises it into row `to` of s->in. */
void hg_item_norm_row(const hg_item *item, const float *x, const float *weight, uint32_t group,
                      uint32_t to);

/* Rows: norm, quantise, and A x of their adapters. */
void hg_item_norm_rows(const hg_item *item, hg_input input);
/* Rows: A x of their adapters, for an input that is quantised already. */
void hg_item_shrink_rows(const hg_item *item, hg_input input);

/* Units of heads: for each KV head its query heads, then K, then V. */
void hg_item_project_head(const hg_item *item, uint32_t unit);
/* Attention of one row and one KV head, quantised into s->mid. */
void hg_item_attend(const hg_item *item, uint32_t row, uint32_t kv_head);
/* Both for one KV head and all rows, on memory of the thread's own. */
void hg_item_attend_head(const hg_item *item, uint32_t kv_head);

/* Blocks: x += O or DOWN of s->mid. */
void hg_item_add_blocks(const hg_item *item, uint32_t projection);
/* Units of a group of DOWN's input: gate, up, SwiGLU, quantised into s->mid. */
void hg_item_gate_up(const hg_item *item);

/* The head: the wanted rows, normed and quantised into s->in. */
void hg_item_norm_wanted(const hg_item *item);
/* Blocks of the head. */
void hg_item_head_blocks(const hg_item *item);
/* Wanted rows: the arg-max of each, once all blocks are through. */
void hg_item_settle_tokens(const hg_item *item);

#endif
