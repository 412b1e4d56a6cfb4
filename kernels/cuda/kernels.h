/* kernels.h: the operations of a step on the card, as the host calls them.
 *
 * A step runs in passes of up to HG_CUDA_ROWS rows. What a pass is about stands in card memory
 * (hg_cuda_pass), so a captured launch serves every pass of its width. Each function queues one
 * launch and returns at once; the error is that of the launch. Pointers are the card's, except
 * those to the argument structs themselves, which are read before the call returns. The host side
 * is C, so this header is too.
 */
#ifndef HG_KERNELS_CUDA_KERNELS_H
#define HG_KERNELS_CUDA_KERNELS_H

#include <cuda_runtime_api.h>

#include "core/base/limits.h"
#include "kernels/device.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HG_CUDA_ROWS         32  /* of a pass */
#define HG_CUDA_SPLIT        128 /* positions that one block of attention looks at */
#define HG_CUDA_HEAD_DIM_MAX 256

typedef struct hg_cuda_pass {
    uint32_t rows, wanted;
    uint32_t rank_most; /* of the adapters of these rows; 0: no row has one */
    uint32_t splits;    /* of the row furthest along */
    uint32_t logits;    /* 1: the head writes them */
    uint32_t stops;     /* 1: the lanes have stop tokens */
    hg_row row[HG_CUDA_ROWS];
    uint32_t want[HG_CUDA_ROWS]; /* [wanted] rows whose result is asked for */
} hg_cuda_pass;

/* What comes of a row. */
typedef struct hg_cuda_choice {
    int32_t token;   /* arg-max of its logits */
    int32_t stopped; /* 1: it is one of the lane's stop tokens */
} hg_cuda_choice;

/* Where a launch goes and what all launches know. */
typedef struct hg_cuda_queue {
    cudaStream_t stream;
    uint32_t blocks;    /* that the card runs at once, of the launch's kernel */
    bool overlap;       /* the card can start a launch before the one ahead has ended */
    uint32_t row_tiles; /* 1, 2 or 4: room for 8, 16 or 32 rows */
    uint32_t lane_pages;
    const hg_cuda_pass *pass;
    const uint32_t *page; /* [lanes, lane_pages] */
    const int32_t *stop;  /* [lanes, HG_LIMIT_STOP_TOKENS] where the pass has stops */
} hg_cuda_queue;

/* The KV pool, of one layer: [pages, layers, K and V, HG_LIMIT_PAGE_TOKENS, width] F16. */
typedef struct hg_cuda_kv {
    uint16_t *pool;
    uint32_t layers, layer;
    uint32_t width; /* kv_heads * head_dim */
} hg_cuda_kv;

/* The residual stream and, of each 64 of its values, the sum of their squares. */
typedef struct hg_cuda_residual {
    float *x;      /* [rows, hidden] */
    float *square; /* [rows, hidden / 64 rounded up] */
    uint32_t hidden;
} hg_cuda_residual;

/* Blocks of the kernels that one processor of the card holds at once. */
typedef struct hg_cuda_residency {
    int project[3]; /* for row_tiles 1, 2 and 4 */
    int attend;
} hg_cuda_residency;

typedef struct hg_cuda_attend {
    const float *q; /* [rows, heads * head_dim] */
    uint16_t *out;  /* [rows, heads * head_dim] F16 */
    hg_cuda_kv kv;
    uint32_t heads, kv_heads, head_dim;
    uint32_t splits; /* of the longest lane */
    float *partial;  /* [HG_CUDA_ROWS, heads, splits, head_dim + 2]: sums, their weight, maximum */
    uint32_t *counter; /* [HG_CUDA_ROWS, kv_heads] zeros, before and after */
} hg_cuda_attend;

/* out = softmax(q k / sqrt(head_dim)) v, over positions 0 .. the row's own. */
cudaError_t hg_cuda_attend_run(const hg_cuda_queue *queue, const hg_cuda_attend *attend);

cudaError_t hg_cuda_attend_residency(hg_cuda_residency *out);

/* x = embedding[token] of each row, with its squares. */
cudaError_t hg_cuda_embed_run(const hg_cuda_queue *queue, const hg_matrix *embedding,
                              const hg_cuda_residual *residual);

/* Copies the first tokens K and V entries of all layers from one page to another. */
cudaError_t hg_cuda_page_copy(const hg_cuda_queue *queue, const hg_cuda_kv *kv, uint32_t from,
                              uint32_t to, uint32_t tokens);

#ifdef __cplusplus
}
#endif
#endif
