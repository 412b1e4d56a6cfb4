/* blas.h: products of chunks of rows with panels of weights, by cuBLASLt.
 *
 * The library is opened at run time. The algorithm of a shape is what its heuristic names when the
 * model is loaded, and stays, with the same workspace; algorithms that share a sum among blocks
 * are not asked for. So a product's bits depend on its operands alone.
 */
#ifndef HG_KERNELS_CUDA_BLAS_H
#define HG_KERNELS_CUDA_BLAS_H

#include <stdbool.h>

#include "kernels/cuda/cublaslt.h"

#define HG_BLAS_SHAPES 16
#ifndef HG_BLAS_WORKSPACE_BYTES /* the emulator's is smaller */
#define HG_BLAS_WORKSPACE_BYTES (32 << 20)
#endif

/* product [rows, outs] F32 = x [rows, columns] F16 * panel [outs, columns] F16, transposed. */
typedef struct hg_blas_shape {
    uint32_t columns, outs;
    void *x, *panel, *product; /* layouts */
    hg_blas_algorithm algorithm;
} hg_blas_shape;

typedef struct hg_blas {
    void *library, *handle, *desc; /* library NULL: there is none */
    hg_blas_api api;
    hg_blas_shape shape[HG_BLAS_SHAPES];
    uint32_t shapes;
} hg_blas;

/* False, with *blas zero, where the library or one of its functions is missing. */
bool hg_blas_open(hg_blas *blas);
void hg_blas_close(hg_blas *blas); /* a zero one too */

/* Makes a shape ready, unless it is; false when the library cannot do it. */
bool hg_blas_prepare(hg_blas *blas, uint32_t rows, uint32_t columns, uint32_t outs);

/* Queues a product of a prepared shape; workspace has HG_BLAS_WORKSPACE_BYTES. */
typedef struct hg_blas_operands {
    const uint16_t *x, *panel;
    float *product;
    void *workspace;
    cudaStream_t stream;
} hg_blas_operands;
cudaError_t hg_blas_multiply(const hg_blas *blas, uint32_t columns, uint32_t outs,
                             const hg_blas_operands *operands);

#endif
