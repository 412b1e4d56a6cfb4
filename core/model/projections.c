/* projections.c: one table row for each linear layer of a block. */
#include "core/model/projections.h"

#include <assert.h>
#include <stdio.h>

static const char *const names[HG_PROJECTIONS] = {
    [HG_Q] = "self_attn.q_proj", [HG_K] = "self_attn.k_proj", [HG_V] = "self_attn.v_proj",
    [HG_O] = "self_attn.o_proj", [HG_GATE] = "mlp.gate_proj", [HG_UP] = "mlp.up_proj",
    [HG_DOWN] = "mlp.down_proj",
};

void hg_projection_name(uint32_t layer, hg_projection projection, char *out, size_t size)
{
    assert(projection < HG_PROJECTIONS);
    int length = snprintf(out, size, "model.layers.%u.%s", layer, names[projection]);
    assert(length > 0 && (size_t)length < size);
    (void)length;
}

void hg_projection_size(const hg_shape *shape, hg_projection projection, uint32_t *rows,
                        uint32_t *columns)
{
    const uint32_t attention = shape->heads * shape->head_dim;
    const uint32_t cache = shape->kv_heads * shape->head_dim;
    const struct {
        uint32_t rows, columns;
    } sizes[HG_PROJECTIONS] = {
        [HG_Q] = {attention, shape->hidden},
        [HG_K] = {cache, shape->hidden},
        [HG_V] = {cache, shape->hidden},
        [HG_O] = {shape->hidden, attention},
        [HG_GATE] = {shape->intermediate, shape->hidden},
        [HG_UP] = {shape->intermediate, shape->hidden},
        [HG_DOWN] = {shape->hidden, shape->intermediate},
    };
    assert(projection < HG_PROJECTIONS);
    *rows = sizes[projection].rows;
    *columns = sizes[projection].columns;
}
