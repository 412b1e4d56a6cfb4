/* cublaslt.h: what is used of cuBLASLt, which is opened at run time: the device works without it.
 *
 * Values and layouts are CUDA's (cublasLt.h, the same in 12 and 13), so that neither its header nor
 * its library is needed to build. Handles are opaque.
 */
#ifndef HG_KERNELS_CUDA_CUBLASLT_H
#define HG_KERNELS_CUDA_CUBLASLT_H

#include <cuda_runtime_api.h>
#include <stdint.h>

enum {
    HG_BLAS_F32 = 0,             /* CUDA_R_32F */
    HG_BLAS_F16 = 2,             /* CUDA_R_16F */
    HG_BLAS_TRANSPOSED = 1,      /* CUBLAS_OP_T */
    HG_BLAS_COMPUTE_F32 = 68,    /* CUBLAS_COMPUTE_32F */
    HG_BLAS_DESC_FIRST = 3,      /* CUBLASLT_MATMUL_DESC_TRANSA */
    HG_BLAS_WISH_WORKSPACE = 1,  /* CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES */
    HG_BLAS_WISH_REDUCTIONS = 3, /* CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK */
};

typedef struct hg_blas_algorithm {
    uint64_t data[8];
} hg_blas_algorithm;

typedef struct hg_blas_found { /* cublasLtMatmulHeuristicResult_t */
    hg_blas_algorithm algorithm;
    size_t workspace_bytes;
    int state;
    float waves;
    int reserved[4];
} hg_blas_found;

/* The functions, in the order of hg_blas_names; all return 0 when well. A matrix is stored column
 * by column, ld apart. */
typedef struct hg_blas_api {
    int (*create)(void **handle);
    int (*destroy)(void *handle);
    int (*desc_create)(void **desc, int compute_type, int scale_type);
    int (*desc_set)(void *desc, int attribute, const void *value, size_t bytes);
    int (*desc_destroy)(void *desc);
    int (*layout_create)(void **layout, int type, uint64_t rows, uint64_t columns, int64_t ld);
    int (*layout_destroy)(void *layout);
    int (*preference_create)(void **preference);
    int (*preference_set)(void *preference, int attribute, const void *value, size_t bytes);
    int (*preference_destroy)(void *preference);
    int (*heuristic)(void *handle, void *desc, void *a, void *b, void *c, void *d, void *preference,
                     int wanted, hg_blas_found *found, int *count);
    int (*matmul)(void *handle, void *desc, const void *alpha, const void *a, void *a_layout,
                  const void *b, void *b_layout, const void *beta, const void *c, void *c_layout,
                  void *d, void *d_layout, const hg_blas_algorithm *algorithm, void *workspace,
                  size_t workspace_bytes, cudaStream_t stream);
} hg_blas_api;

#define HG_BLAS_NAMES                                                                              \
    {                                                                                              \
        "cublasLtCreate", "cublasLtDestroy", "cublasLtMatmulDescCreate",                           \
            "cublasLtMatmulDescSetAttribute", "cublasLtMatmulDescDestroy",                         \
            "cublasLtMatrixLayoutCreate", "cublasLtMatrixLayoutDestroy",                           \
            "cublasLtMatmulPreferenceCreate", "cublasLtMatmulPreferenceSetAttribute",              \
            "cublasLtMatmulPreferenceDestroy", "cublasLtMatmulAlgoGetHeuristic", "cublasLtMatmul"  \
    }

#endif
