/* layers.c: blocks taken, held and released; what the forms' files have in common. */
#include "core/model/layers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/half.h"
#include "core/model/projections.h"

enum { LINE = 64 };

/* ---- parts of a layer ---- */

hg_status hg_part_take(hg_tensors *set, const char *module, const char *suffix, hg_part *out,
                       hg_error *error)
{
    snprintf(out->name, sizeof out->name, "%s.%s", module, suffix);
    out->want.name = out->name;
    return hg_tensors_take(set, &out->want, &out->tensor, error);
}

hg_status hg_part_scales(hg_tensors *set, const hg_part *scales, const uint16_t **out,
                         hg_error *error)
{
    const hg_tensor *tensor = &scales->tensor;
    hg_status status = hg_tensors_check_finite(set, tensor, error);
    if (status) return status;
    *out = (const void *)tensor->data;
    if (tensor->type == HG_TENSOR_F16) return HG_OK;
    size_t count = tensor->shape[0] * tensor->shape[1];
    uint16_t *half = hg_memory_alloc(&set->memory, count, sizeof *half);
    if (!half) return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory for scales", set->path);
    const hg_matrix from = hg_tensor_matrix(tensor);
    assert(from.type == HG_F32 || from.type == HG_BF16);
    for (size_t i = 0; i < count; i++) {
        float scale = from.type == HG_F32 ? ((const float *)from.data)[i]
                                          : hg_bf16_to_f32(((const uint16_t *)from.data)[i]);
        if (hg_f16_from_f32(scale, &half[i])) continue;
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "%s: tensor %s: scale %.9g at [%zu, %zu] is not a value of F16; "
                       "store the scales as F16",
                       set->path, tensor->name, (double)scale, i / from.columns, i % from.columns);
    }
    *out = half;
    return HG_OK;
}

hg_status hg_layers_size(const hg_tensors *set, const hg_linear_want *want, hg_linear *out,
                         hg_error *error)
{
    const hg_quantization *q = &want->quantization;
    *out = (hg_linear){.rows = want->rows, .columns = want->columns, .bits = q->bits};
    out->group = hg_quantization_group(q, want->columns);
    if (out->group) return HG_OK;
    return hg_fail(error, HG_ERROR_UNSUPPORTED,
                   "%s: layer %s: %u columns are not a multiple of the group size %u", set->path,
                   want->module, want->columns, q->file_group ? q->file_group : 16);
}

/* ---- putting in order ---- */

static size_t up_to_line(size_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

/* Zeros, of one byte, stand last, so that scales are aligned behind codes of whole lines. */
size_t hg_inputs_bytes(const hg_linear *linear)
{
    size_t values = (size_t)linear->rows * linear->columns, groups = values / linear->group;
    return up_to_line(values * linear->bits / 8) + up_to_line(groups * 2) + up_to_line(groups);
}

void hg_inputs_order(const hg_inputs *inputs, hg_linear *out, uint8_t *to)
{
    const hg_quantization *q = &inputs->quantization;
    const size_t values = (size_t)out->rows * out->columns, count = values / out->group;
    const uint32_t groups = out->columns / out->group;
    uint16_t *scales = (uint16_t *)(void *)(to + up_to_line(values * out->bits / 8));
    uint8_t *zeros = (uint8_t *)scales + up_to_line(count * 2);
    (q->form == HG_FORM_AWQ ? hg_awq_order : hg_gptq_order)(inputs, out, to, zeros);
    for (uint32_t row = 0; row < out->rows; row++)
        for (uint32_t g = 0; g < groups; g++) {
            size_t of = q->file_group ? g * out->group / q->file_group : 0;
            scales[(size_t)row * groups + g] = inputs->scales[of * out->rows + row];
        }
    out->codes = to;
    out->scales = scales;
    out->zeros = zeros;
}

/* The files' pages of a linear layer, in the form in which it lies there. */
static void release_files(const hg_layers *layers, const hg_linear *linear, const hg_inputs *inputs)
{
    const hg_tensors *set = layers->set;
    size_t values = (size_t)linear->rows * linear->columns;
    if (!linear->bits) {
        hg_tensors_release(set, linear->dense, values * (linear->dense_type == HG_F32 ? 4 : 2));
        return;
    }
    uint32_t group = inputs->codes ? inputs->quantization.file_group : linear->group;
    size_t groups = (size_t)linear->rows * (group ? linear->columns / group : 1);
    hg_tensors_release(set, inputs->codes ? inputs->codes : linear->codes,
                       values * linear->bits / 8);
    hg_tensors_release(set, inputs->codes ? inputs->scales : linear->scales, groups * 2);
    hg_tensors_release(set, inputs->zeros, groups * linear->bits / 8);
}

hg_status hg_layers_hold(void *context, uint32_t layer, hg_error *error)
{
    hg_layers *layers = context;
    if (layer >= layers->count || layers->holds[layer]++) return HG_OK;
    hg_layer *own = &layers->layer[layer];
    const hg_inputs *inputs = &layers->inputs[(size_t)layer * HG_PROJECTIONS];
    size_t bytes = 0;
    for (uint32_t p = 0; p < HG_PROJECTIONS; p++)
        if (inputs[p].codes) bytes += hg_inputs_bytes(&own->linear[p]);
    if (!bytes) return HG_OK;
    uint8_t *to = aligned_alloc(LINE, bytes);
    if (!to) {
        layers->holds[layer]--;
        return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory to put layer %u in order: %zu bytes",
                       layers->set->path, layer, bytes);
    }
    layers->block[layer] = to;
    for (uint32_t p = 0; p < HG_PROJECTIONS; p++) {
        if (!inputs[p].codes) continue;
        hg_inputs_order(&inputs[p], &own->linear[p], to);
        to += hg_inputs_bytes(&own->linear[p]);
        release_files(layers, &own->linear[p], &inputs[p]);
    }
    return HG_OK;
}

void hg_layers_release(void *context, uint32_t layer)
{
    hg_layers *layers = context;
    if (layer >= layers->count) {
        size_t width = layers->head.type == HG_F32 ? 4 : 2;
        hg_tensors_release(layers->set, layers->head.data,
                           width * layers->head.rows * layers->head.columns);
        return;
    }
    assert(layers->holds[layer] > 0);
    if (--layers->holds[layer]) return;
    hg_layer *own = &layers->layer[layer];
    const hg_inputs *inputs = &layers->inputs[(size_t)layer * HG_PROJECTIONS];
    for (uint32_t p = 0; p < HG_PROJECTIONS; p++) {
        release_files(layers, &own->linear[p], &inputs[p]);
        if (!inputs[p].codes) continue;
        own->linear[p].codes = NULL;
        own->linear[p].scales = NULL;
        own->linear[p].zeros = inputs[p].zeros;
    }
    free(layers->block[layer]);
    layers->block[layer] = NULL;
}

void hg_layers_pass(void *context, const void *data, size_t bytes)
{
    const hg_layers *layers = context;
    hg_tensors_release(layers->set, data, bytes);
}

/* ---- taking ---- */

hg_status hg_layers_take_norm(hg_tensors *set, const char *name, uint32_t count, const float **out,
                              hg_error *error)
{
    hg_tensor tensor;
    const hg_tensor_want want = {.name = name,
                                 .types = HG_TENSOR_FLOATS,
                                 .dimensions = 1,
                                 .shape = {count},
                                 .because = "hidden_size of config.json"};
    hg_status status = hg_tensors_take(set, &want, &tensor, error);
    if (!status) status = hg_tensors_check_finite(set, &tensor, error);
    if (status) return status;
    *out = hg_tensors_to_f32(set, &tensor);
    return *out ? HG_OK : hg_fail(error, HG_ERROR_MEMORY, "%s: no memory for norms", set->path);
}

/* A layer of any form. One that the quantiser left alone has its weight and no codes. */
static hg_status take_linear(hg_tensors *set, const hg_linear_want *want, hg_linear *out,
                             hg_inputs *inputs, hg_error *error)
{
    static const char *const codes[] = {"weight", "weight_packed", "qweight", "qweight"};
    char name[HG_LIMIT_TENSOR_NAME], dense[HG_LIMIT_TENSOR_NAME];
    snprintf(name, sizeof name, "%s.%s", want->module, codes[want->quantization.form]);
    snprintf(dense, sizeof dense, "%s.weight", want->module);
    if (!hg_tensors_have(set, name) && hg_tensors_have(set, dense))
        return hg_dense_take(set, want, out, error);
    switch (want->quantization.form) {
    case HG_FORM_PACKED: return hg_packed_take(set, want, out, error);
    case HG_FORM_AWQ: return hg_awq_take(set, want, out, inputs, error);
    case HG_FORM_GPTQ: return hg_gptq_take(set, want, out, inputs, error);
    default: return hg_dense_take(set, want, out, error);
    }
}

/* Norms and projections of one block. */
static hg_status take_layer(hg_layers *layers, const hg_shape *shape, uint32_t index,
                            const hg_quantization *quantization, hg_error *error)
{
    char name[HG_LIMIT_TENSOR_NAME];
    hg_tensors *set = layers->set;
    hg_layer *layer = &layers->layer[index];
    hg_inputs *inputs = &layers->inputs[(size_t)index * HG_PROJECTIONS];
    snprintf(name, sizeof name, "model.layers.%u.input_layernorm.weight", index);
    hg_status status = hg_layers_take_norm(set, name, shape->hidden, &layer->attention_norm, error);
    snprintf(name, sizeof name, "model.layers.%u.post_attention_layernorm.weight", index);
    if (!status) status = hg_layers_take_norm(set, name, shape->hidden, &layer->mlp_norm, error);
    layers->parameters += 2 * (uint64_t)shape->hidden;
    for (int p = 0; !status && p < HG_PROJECTIONS; p++) {
        hg_linear_want want = {.module = name, .quantization = *quantization};
        hg_projection_name(index, (hg_projection)p, name, sizeof name);
        hg_projection_size(shape, (hg_projection)p, &want.rows, &want.columns);
        status = take_linear(set, &want, &layer->linear[p], &inputs[p], error);
        layers->parameters += (uint64_t)want.rows * want.columns;
        layers->dense += !status && !layer->linear[p].bits;
    }
    /* Old checkpoints carry RoPE's frequencies, which config.json gives too. */
    snprintf(name, sizeof name, "model.layers.%u.self_attn.rotary_emb.inv_freq", index);
    hg_tensors_pass_over(set, name);
    return status;
}

hg_status hg_layers_take(hg_layers *layers, hg_tensors *set, const hg_shape *shape,
                         const hg_quantization *quantization, hg_error *error)
{
    *layers = (hg_layers){.set = set, .count = shape->layers};
    hg_memory *memory = &set->memory;
    layers->layer = hg_memory_alloc(memory, shape->layers, sizeof *layers->layer);
    layers->inputs =
        hg_memory_alloc(memory, (size_t)shape->layers * HG_PROJECTIONS, sizeof *layers->inputs);
    layers->holds = hg_memory_alloc(memory, shape->layers, sizeof *layers->holds);
    layers->block = hg_memory_alloc(memory, shape->layers, sizeof *layers->block);
    if (!layers->layer || !layers->inputs || !layers->holds || !layers->block)
        return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory for the layers", set->path);
    hg_status status = HG_OK;
    for (uint32_t i = 0; !status && i < shape->layers; i++)
        status = take_layer(layers, shape, i, quantization, error);
    return status;
}

void hg_layers_free(hg_layers *layers)
{
    for (uint32_t i = 0; layers->block && i < layers->count; i++) free(layers->block[i]);
    *layers = (hg_layers){0};
}
