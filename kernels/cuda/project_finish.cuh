/* project_finish.cuh: what becomes of a tile's sums: the block that finishes a tile adds up its
 * chunks in order, adds the adapters' second halves (project_expand.cuh) and does what follows the
 * layer: RoPE and the append to the KV pages, the residual and its squares, SwiGLU, the tile's
 * arg-max.
 */
#ifndef HG_KERNELS_CUDA_PROJECT_FINISH_CUH
#define HG_KERNELS_CUDA_PROJECT_FINISH_CUH

#include "kernels/cuda/project_expand.cuh"

/* Rotary positions (Su et al., 2021) for q and k; k and v go to the row's page. */
static __device__ inline void finish_qkv(const hg_cuda_project &p, const hg_cuda_pass &pass,
                                         const uint32_t *page, uint32_t lane_pages, finished *f)
{
    if (!f->real) return;
    const hg_row &row = pass.row[f->row];
    if (f->part < 2) {
        float angle = (float)row.position * p.frequency[f->out[0] % p.head_dim];
        float c = cosf(angle), s = sinf(angle), a = f->y[0], b = f->y[1];
        f->y[0] = a * c - b * s;
        f->y[1] = b * c + a * s;
    }
    if (!f->part) {
        float *q = p.q + (size_t)f->row * p.part[0].outs;
        for (uint32_t j = 0; j < 2; j++) q[f->out[j]] = f->y[j];
        return;
    }
    uint32_t own = page[(size_t)row.lane * lane_pages + row.position / HG_LIMIT_PAGE_TOKENS];
    uint16_t *entry = kv_entry(p.kv, own, f->part - 1, row.position);
    for (uint32_t j = 0; j < 2; j++)
        if (f->out[j] < p.part[f->part].outs) entry[f->out[j]] = f16_of_f32(f->y[j]);
}

static __device__ inline void finish_add(const hg_cuda_project &p, uint32_t tile, const finished &f)
{
    float square = 0;
    float *x = p.residual.x + (size_t)f.row * p.residual.hidden;
    for (uint32_t j = 0; j < 2; j++) {
        if (f.out[j] >= p.residual.hidden) continue;
        float sum = x[f.out[j]] + f.y[j];
        x[f.out[j]] = sum;
        square = multiply_add(sum, sum, square);
    }
    square = warp_sum(square);
    if (threadIdx.x % 32 == 0) p.residual.square[(size_t)f.row * p.tiles + tile] = square;
}

/* silu(gate) * up (Shazeer, 2020) */
static __device__ inline void finish_swiglu(const hg_cuda_project &p, const finished &f)
{
    if (!f.real) return;
    float value = f.y[0] / (1.0f + expf(-f.y[0])) * f.y[1];
    p.out[(size_t)f.row * (p.part[0].outs / 2) + f.out[0]] = f16_of_f32(value);
}

/* The tile's highest logit; of equal ones the lowest id; id 0 where none compares (all NaN). */
static __device__ inline void finish_head(const hg_cuda_project &p, const hg_cuda_pass &pass,
                                          uint32_t tile, const finished &f)
{
    float best = -INFINITY;
    int32_t id = 0;
    for (uint32_t j = 0; j < 2; j++) {
        if (f.out[j] >= p.part[0].outs) continue;
        if (pass.logits) p.logits[(size_t)f.row * p.part[0].outs + f.out[j]] = f.y[j];
        if (!(f.y[j] > best)) continue;
        best = f.y[j];
        id = (int32_t)f.out[j];
    }
    for (int step = 16; step > 0; step /= 2) {
        float other = __shfl_xor_sync(0xFFFFFFFFu, best, step);
        int32_t other_id = __shfl_xor_sync(0xFFFFFFFFu, id, step);
        if (other < best || (other == best && other_id >= id)) continue;
        best = other;
        id = other_id;
    }
    if (threadIdx.x % 32) return;
    p.best[(size_t)f.row * p.tiles + tile] = best;
    p.best_id[(size_t)f.row * p.tiles + tile] = id;
}

#endif
