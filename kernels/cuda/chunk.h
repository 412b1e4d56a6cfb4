/* chunk.h: whole chunks of a prompt (device.h): the rows of several together, layer by layer,
 * through cuBLASLt and panels of weights as F16. As kernels.h, which it completes.
 *
 * Kernels take the rows in passes of HG_CUDA_ROWS, as launches of two dimensions: block (x, y) is
 * block x of pass y, whose arrays begin y passes behind those of the arguments.
 */
#ifndef HG_KERNELS_CUDA_CHUNK_H
#define HG_KERNELS_CUDA_CHUNK_H

#include "kernels/cuda/blas.h"
#include "kernels/cuda/layer.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifndef HG_CUDA_CHUNK_ROWS /* the emulator's are smaller: both are only sizes */
#define HG_CUDA_CHUNK_ROWS  HG_LIMIT_CHUNK_ROWS
#define HG_CUDA_PANEL_BYTES (32 << 20) /* of a panel, unless a single tile has more */
#endif

/* Activations of all chunks of a step; rows is 0 where there is no cuBLASLt. */
typedef struct hg_cuda_chunks {
    hg_blas blas;
    bool assumed; /* a plan is made: cuBLASLt counts as there, whether this machine has it or not */
    uint32_t rows; /* room: a multiple of HG_CUDA_CHUNK_ROWS */
    hg_cuda_between between;
    uint16_t *normed;   /* [rows, hidden] F16 */
    float *product;     /* [rows, outs of a panel] */
    uint16_t *panel;    /* of the widest */
    void *workspace;    /* cuBLASLt's */
    hg_cuda_pass *pass; /* [rows / HG_CUDA_ROWS] */
} hg_cuda_chunks;

/* Tiles of one part that are multiplied at once. */
typedef struct hg_cuda_panel {
    uint32_t part, first, tiles; /* first: tile of the part */
    uint32_t passes;             /* of the rows */
    uint16_t *values;            /* [tiles * 64, columns] F16 */
    float *product;              /* [rows, tiles * 64] */
} hg_cuda_panel;

/* normed = norm(residual) as F16. */
cudaError_t hg_cuda_chunk_norm(const hg_cuda_queue *queue, const hg_cuda_project *project,
                               uint32_t passes, uint16_t *normed);

/* h = A x of all rows' adapters; x is project->half. */
cudaError_t hg_cuda_chunk_shrink(const hg_cuda_queue *queue, const hg_cuda_project *project,
                                 uint32_t passes);

/* values = the panel's weights. */
cudaError_t hg_cuda_chunk_widen(const hg_cuda_queue *queue, const hg_cuda_project *project,
                                const hg_cuda_panel *panel);

/* What follows the products, as project_finish.cuh has it for a pass. */
cudaError_t hg_cuda_chunk_finish(const hg_cuda_queue *queue, const hg_cuda_project *project,
                                 const hg_cuda_panel *panel);

/* chunk.c: memory for plan.chunks, where cuBLASLt is there; its products' algorithms, each tried
 * once, or rows becomes 0, when layers stand where they will stay; a step's chunks of so many rows,
 * given their passes (pinned). */
hg_status hg_cuda_chunks_take(hg_device *device, hg_error *error) HG_CHECKED;
hg_status hg_cuda_chunks_ready(hg_device *device, hg_error *error) HG_CHECKED;
hg_status hg_cuda_chunks_run(hg_device *device, const hg_cuda_pass *pass, uint32_t rows,
                             hg_error *error) HG_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
