/* embed.cu: the rows' tokens become activations.
 *
 * One block a row; the matrix keeps the file's type and is widened on the way.
 * Bytes moved: rows * hidden * (2 or 4 read, 4 written).
 */
#include "kernels/cuda/vocabulary.cuh"

static __global__ void embed_kernel(hg_cuda_rows rows, hg_matrix embedding, float *x)
{
    uint32_t r = blockIdx.x, hidden = embedding.columns;
    size_t from = (size_t)rows.row[r].token * hidden;
    for (uint32_t i = threadIdx.x; i < hidden; i += THREADS)
        x[(size_t)r * hidden + i] = matrix_value(embedding, from + i);
}

extern "C" cudaError_t hg_cuda_embed(const hg_cuda_rows *rows, const hg_matrix *embedding, float *x)
{
    HG_LAUNCH(embed_kernel, rows->rows, THREADS, rows->stream, *rows, *embedding, x);
    return cudaGetLastError();
}
