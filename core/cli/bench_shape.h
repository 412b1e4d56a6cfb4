/* bench_shape.h: random models and adapters of a given shape, made in memory, for timing only. The
 * caller owns what is opened.
 */
#ifndef HG_CLI_BENCH_SHAPE_H
#define HG_CLI_BENCH_SHAPE_H

#include "core/base/error.h"
#include "kernels/weights.h"

typedef struct hg_shaped hg_shaped; /* owns the memory of weights */

/* name: one of --shape. Random INT4 codes, symmetric; all layers view the same memory, for what a
 * device packs is its own. */
hg_status hg_shaped_open(const char *name, hg_shaped **out, hg_error *error) HG_CHECKED;
/* The same without values, and with a table of BF16: for planning only. */
hg_status hg_shaped_open_sizes(const char *name, hg_shaped **out, hg_error *error) HG_CHECKED;
void hg_shaped_close(hg_shaped *shaped); /* NULL is allowed */
const hg_weights *hg_shaped_weights(const hg_shaped *shaped);

/* An adapter on all linear layers, F16. */
typedef struct hg_shaped_adapter hg_shaped_adapter;
hg_status hg_shaped_adapter_open(const hg_shape *shape, uint32_t rank, hg_shaped_adapter **out,
                                 hg_error *error) HG_CHECKED;
void hg_shaped_adapter_close(hg_shaped_adapter *adapter); /* NULL is allowed */
const hg_lora_weights *hg_shaped_adapter_weights(const hg_shaped_adapter *adapter);

#endif
