/* gguf_blocks.h: ggml's tensor types, and their blocks in the device's form.
 *
 * A block holds the codes of 32 or 256 neighbours of a row beside their scales; a device wants all
 * codes of a matrix in one array and all scales in another. Codes are the file's own. So are the
 * scales of Q8_0, Q4_0 and Q4_1; those of Q4_K and Q6_K are products of two numbers, rounded to
 * F16 here: hg_block_loss says what that changes. Layouts: ggml-common.h and ggml-quants.c of
 * https://github.com/ggml-org/ggml.
 */
#ifndef HG_MODEL_GGUF_BLOCKS_H
#define HG_MODEL_GGUF_BLOCKS_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/weights.h"

typedef struct hg_gguf_type {
    const char *name;
    uint32_t number; /* in the file */
    uint16_t block;  /* elements of a block; 1: no blocks */
    uint16_t bytes;  /* of a block */
    uint8_t bits;    /* of a code in the device's form; 0 with dense: floats; else not supported */
    uint8_t group;   /* elements that share a scale */
    bool offsets;    /* w = code * scale + offset */
    bool rounded;    /* scales are rounded to F16 */
    bool dense;      /* F32, F16, BF16 */
    hg_dtype floats; /* with dense */
} hg_gguf_type;

/* NULL for a number that ggml has not given to a type of tensors in files. */
const hg_gguf_type *hg_gguf_type_find(uint32_t number);

/* What rounding scales did: squared error and squared norm of the weights. */
typedef struct hg_block_loss {
    double error, norm;
} hg_block_loss;

/* Where one row goes. */
typedef struct hg_block_row {
    uint8_t *codes;    /* [columns * bits / 8] */
    uint16_t *scales;  /* [columns / group] */
    uint16_t *offsets; /* the same, or NULL */
} hg_block_row;

/* Puts a row of `columns` elements in order; loss may be NULL. False when a scale or offset is not
 * finite in F16. */
bool hg_block_row_order(const hg_gguf_type *type, const uint8_t *from, uint32_t columns,
                        hg_block_row to, hg_block_loss *loss);

/* Whether a row's scales and offsets are finite in F16: what hg_block_row_order says, for the price
 * of the scales. */
bool hg_block_row_check(const hg_gguf_type *type, const uint8_t *from, uint32_t columns);

#endif
