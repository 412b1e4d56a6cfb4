/* layer.c: see layer.h. What an operation reads and writes is named here and nowhere else. */
#include "kernels/cuda/state.h"

hg_cuda_kv hg_cuda_kv_of(const hg_device *d)
{
    return (hg_cuda_kv){
        .pool = d->kv, .layers = d->shape.layers, .width = d->shape.kv_heads * d->shape.head_dim};
}

/* Of parts [parts], whose adapters' pairs begin with that of first: all but finish, in and out. */
static hg_cuda_project product_of(const hg_device *d, uint32_t layer,
                                  const hg_cuda_between *between, hg_projection first,
                                  const hg_cuda_linear *part, uint32_t parts)
{
    hg_cuda_project p = {.parts = parts,
                         .residual = between->residual,
                         .epsilon = d->shape.rms_epsilon,
                         .pairs = d->shape.layers * HG_PROJECTIONS,
                         .lora = d->work.lora + (size_t)layer * HG_PROJECTIONS + first,
                         .kv = hg_cuda_kv_of(d),
                         .frequency = d->frequency,
                         .head_dim = d->shape.head_dim,
                         .h = between->h};
    p.kv.layer = layer;
    for (uint32_t i = 0; i < parts; i++) {
        p.part[i] = part[i];
        p.tiles += part[i].tiles;
    }
    return p;
}

hg_cuda_products hg_cuda_products_of(const hg_device *d, uint32_t layer,
                                     const hg_cuda_between *between)
{
    const hg_cuda_layer *weights = &d->layer[layer];
    hg_cuda_products p;
    p.qkv = product_of(d, layer, between, HG_Q, weights->qkv, 3);
    p.qkv.finish = HG_CUDA_QKV;
    p.qkv.columns = d->shape.hidden;
    p.qkv.norm = weights->attention_norm;
    p.qkv.q = between->q;
    p.o = product_of(d, layer, between, HG_O, &weights->o, 1);
    p.o.finish = HG_CUDA_ADD;
    p.o.columns = d->shape.heads * d->shape.head_dim;
    p.o.half = between->attention;
    p.gate_up = product_of(d, layer, between, HG_GATE, &weights->gate_up, 1);
    p.gate_up.finish = HG_CUDA_SWIGLU;
    p.gate_up.columns = d->shape.hidden;
    p.gate_up.norm = weights->mlp_norm;
    p.gate_up.out = between->mlp;
    p.down = product_of(d, layer, between, HG_DOWN, &weights->down, 1);
    p.down.finish = HG_CUDA_ADD;
    p.down.columns = d->shape.intermediate;
    p.down.half = between->mlp;
    return p;
}

hg_cuda_attend hg_cuda_attend_of(const hg_device *d, uint32_t layer, const hg_cuda_between *between)
{
    uint32_t positions = d->plan.lane_pages * HG_LIMIT_PAGE_TOKENS;
    hg_cuda_attend a = {.q = between->q,
                        .out = between->attention,
                        .kv = hg_cuda_kv_of(d),
                        .heads = d->shape.heads,
                        .kv_heads = d->shape.kv_heads,
                        .head_dim = d->shape.head_dim,
                        .splits = (positions + HG_CUDA_SPLIT - 1) / HG_CUDA_SPLIT,
                        .partial = d->work.attend_partial,
                        .counter = d->work.attend_counter};
    a.kv.layer = layer;
    return a;
}
