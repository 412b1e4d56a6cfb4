/* project.h: the one operation that multiplies: layers times rows, and what is done with the sums.
 * As kernels.h, which it completes.
 */
#ifndef HG_KERNELS_CUDA_PROJECT_H
#define HG_KERNELS_CUDA_PROJECT_H

#include "kernels/cuda/kernels.h"
#include "kernels/cuda/packed.h"

#ifdef __cplusplus
extern "C" {
#endif

#define HG_CUDA_PARTS 3 /* layers that one launch multiplies: Q, K and V */

typedef enum hg_cuda_finish {
    HG_CUDA_QKV,
    HG_CUDA_ADD,
    HG_CUDA_SWIGLU,
    HG_CUDA_HEAD
} hg_cuda_finish;

/* Up to three layers times the same rows, and what is done with the sums. */
typedef struct hg_cuda_project {
    hg_cuda_linear part[HG_CUDA_PARTS];
    uint32_t parts, tiles; /* of all parts */
    hg_cuda_finish finish;
    uint32_t columns;
    /* in: norm(residual), or half when that is set */
    hg_cuda_residual residual; /* also out, of ADD: x += W in */
    const float *norm;         /* [columns] */
    float epsilon;
    const uint16_t *half; /* [rows, columns] F16 */
    /* adapters: NULL for the head */
    const hg_lora *lora; /* [slots, pairs]: of slot 0 the pair of part 0 */
    uint32_t pairs;      /* from one slot to the next */
    /* out */
    uint16_t *out; /* SWIGLU: [rows, outs / 2] F16 silu(gate) * up */
    float *q;      /* QKV: [rows, heads * head_dim]; K and V go to their pages */
    hg_cuda_kv kv;
    const float *frequency; /* [head_dim / 2] */
    uint32_t head_dim;
    float *logits; /* HEAD: [wanted, outs] when the pass says so */
    float *best;   /* HEAD: [rows, tiles] highest logit of each tile, and whose it is */
    int32_t *best_id;
    /* between blocks */
    float *partial;    /* [tiles, chunks, HG_CUDA_ROWS, 64] */
    uint32_t *counter; /* [tiles + 1] zeros, before and after */
    float *h;          /* [HG_CUDA_ROWS, HG_CUDA_PARTS, HG_LIMIT_ADAPTER_RANK] A x */
} hg_cuda_project;

cudaError_t hg_cuda_project_run(const hg_cuda_queue *queue, const hg_cuda_project *project);

/* choice[i] = the id of the highest of best[i][tiles], of equal ones the lowest, and whether it is
 * among the stops of the lane of the wanted row i. */
cudaError_t hg_cuda_arg_max_run(const hg_cuda_queue *queue, const hg_cuda_project *head,
                                hg_cuda_choice *choice);

/* Fills project, for layers whose units have up to unit_bytes; also asks the card for the shared
 * memory that the kernels use. */
cudaError_t hg_cuda_project_residency(uint32_t unit_bytes, hg_cuda_residency *out);

#ifdef __cplusplus
}
#endif
#endif
