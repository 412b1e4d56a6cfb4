/* project_expand.cuh: where a tile's sums belong, and the adapters' second halves, y += scale * B h
 * (Hu et al., 2021; rows with different adapters as in Punica's SGMV, Chen et al., 2023).
 *
 * A warp takes a row, a lane two outputs that stand side by side in the tile.
 */
#ifndef HG_KERNELS_CUDA_PROJECT_EXPAND_CUH
#define HG_KERNELS_CUDA_PROJECT_EXPAND_CUH

#include "kernels/cuda/project_input.cuh"

/* One lane's two values: their row, part and places in the layer that the file has. */
struct finished {
    float y[2];
    uint32_t row, part, out[2];
    uint32_t layer[2]; /* of the launch's, for the adapters */
    bool real;         /* not what fills the tile up */
};

static __device__ inline void find_places(const hg_cuda_project &p, uint32_t packed, finished *f)
{
    const hg_cuda_linear &w = p.part[f->part];
    uint32_t half = p.head_dim / 2;
    f->real = packed < w.outs;
    f->layer[0] = f->layer[1] = f->part;
    f->out[0] = packed;
    f->out[1] = packed + 1;
    if (w.order == HG_CUDA_TURNED) {
        f->out[0] = packed / 2 / half * p.head_dim + packed / 2 % half;
        f->out[1] = f->out[0] + half;
    } else if (w.order == HG_CUDA_PAIRED) {
        f->out[0] = f->out[1] = packed / 2;
        f->layer[1] = 1;
    }
}

/* The row's adapter's share. An odd number of outputs leaves the second place empty. */
static __device__ inline void expand(const hg_cuda_project &p, const hg_cuda_pass &pass,
                                     finished *f)
{
    for (uint32_t j = 0; j < 2 && f->real; j++) {
        const hg_lora *pair = find_pair(p, pass, f->row, f->layer[j]);
        if (!pair || !pair->rank || f->out[j] >= pair->b.rows) continue;
        const float *h =
            p.h + ((size_t)f->row * HG_CUDA_PARTS + f->layer[j]) * HG_LIMIT_ADAPTER_RANK;
        float sum = 0;
        for (uint32_t i = 0; i < pair->rank; i += 2) {
            float2 two = load_fresh(h + i);
            size_t at = (size_t)f->out[j] * pair->rank + i;
            sum = multiply_add(float_value(pair->b.data, pair->b.type, at), two.x, sum);
            if (i + 1 < pair->rank)
                sum = multiply_add(float_value(pair->b.data, pair->b.type, at + 1), two.y, sum);
        }
        f->y[j] = multiply_add(pair->scale, sum, f->y[j]);
    }
}

#endif
