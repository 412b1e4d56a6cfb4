/* kernels.h: the operations of a step on the card, as the host calls them.
 *
 * Each function queues one operation on a stream and returns at once; the error is that of the
 * launch. All pointers are the card's, except those to the argument structs themselves, which are
 * read before the call returns. Matrices are the views of kernels/weights.h with the card's
 * pointers in them, rows of activations are F32. The host side is C, so this header is too.
 */
#ifndef HG_KERNELS_CUDA_KERNELS_H
#define HG_KERNELS_CUDA_KERNELS_H

#include <cuda_runtime_api.h>

#include "core/base/limits.h"
#include "kernels/device.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HG_CUDA_HEAD_ROWS    32  /* rows whose logits are held at once */
#define HG_CUDA_HEAD_DIM_MAX 256 /* attention keeps two values of a head in each of 128 threads */

/* The rows of one step and where their state lives. */
typedef struct hg_cuda_rows {
    const hg_row *row;    /* [rows] */
    const uint32_t *page; /* [lanes, lane_pages] */
    uint32_t rows, lane_pages;
    uint32_t rank_max; /* the largest rank of the step's adapters; 0: no row has one */
    cudaStream_t stream;
} hg_cuda_rows;

/* The KV pool, of one layer: [pages, layers, K and V, HG_LIMIT_PAGE_TOKENS, width] F32. */
typedef struct hg_cuda_kv {
    float *pool;
    uint32_t layers, layer;
    uint32_t width; /* kv_heads * head_dim */
} hg_cuda_kv;

/* x[r] = embedding[token of row r]; x [rows, hidden]. */
cudaError_t hg_cuda_embed(const hg_cuda_rows *rows, const hg_matrix *embedding, float *x);

typedef struct hg_cuda_norm {
    const float *x;      /* [rows, columns] */
    const float *weight; /* [columns] */
    float *out;          /* [rows, columns] */
    uint32_t columns;
    float epsilon;
} hg_cuda_norm;

/* out = x / rms(x) * weight */
cudaError_t hg_cuda_rms_norm(const hg_cuda_rows *rows, const hg_cuda_norm *norm);

/* y = W x, or y += W x; x [rows, columns], y [rows, rows of w]. */
cudaError_t hg_cuda_linear(const hg_cuda_rows *rows, const hg_linear *w, const float *x, bool add,
                           float *y);

typedef struct hg_cuda_lora {
    const hg_lora *pair;    /* [slots, pairs]; of slot 0 the one of this layer and projection */
    uint32_t pairs;         /* from one slot to the next */
    uint32_t columns, outs; /* of the projection */
    const float *x;         /* [rows, columns] */
    float *h;               /* [rows, HG_LIMIT_ADAPTER_RANK] A x */
    float *y;               /* [rows, outs] */
} hg_cuda_lora;

/* y += scale * B (A x), for each row with its own slot's pair at its own rank. */
cudaError_t hg_cuda_lora_add(const hg_cuda_rows *rows, const hg_cuda_lora *lora);

typedef struct hg_cuda_heads {
    const float *frequency; /* [head_dim / 2] */
    float *q;               /* [rows, heads * head_dim]; turned in place */
    const float *k, *v;     /* [rows, kv_heads * head_dim] */
    float *out;             /* [rows, heads * head_dim] of attention */
    uint32_t heads, kv_heads, head_dim;
} hg_cuda_heads;

/* Turns q and k by their positions and puts k and v into the rows' pages. */
cudaError_t hg_cuda_rope_append(const hg_cuda_rows *rows, const hg_cuda_kv *kv,
                                const hg_cuda_heads *heads);

/* out = softmax(q k / sqrt(head_dim)) v, over positions 0 .. the row's own. */
cudaError_t hg_cuda_attention(const hg_cuda_rows *rows, const hg_cuda_kv *kv,
                              const hg_cuda_heads *heads);

/* gate = silu(gate) * up; both [rows, columns]. */
cudaError_t hg_cuda_swiglu(const hg_cuda_rows *rows, float *gate, const float *up,
                           uint32_t columns);

typedef struct hg_cuda_head {
    hg_matrix matrix;       /* [vocabulary, hidden] */
    const float *x;         /* [rows, hidden] */
    const uint32_t *wanted; /* [count] rows whose logits are asked for */
    uint32_t count;         /* at most HG_CUDA_HEAD_ROWS */
    float *logits;          /* [count, vocabulary] */
    int32_t *token;         /* [count] arg-max */
} hg_cuda_head;

/* Logits of the wanted rows and their arg-max; of equal ones the lowest id. */
cudaError_t hg_cuda_head_run(const hg_cuda_rows *rows, const hg_cuda_head *head);

/* Copies the first tokens K and V entries of all layers from one page to another. */
cudaError_t hg_cuda_page_copy(const hg_cuda_kv *kv, uint32_t from, uint32_t to, uint32_t tokens,
                              cudaStream_t stream);

#ifdef __cplusplus
}
#endif
#endif
