/* packed.c: quantization_config first, then per layer codes, scales and zero points.
 *
 * Exactness is the rule here: the device form must give the weights that the file means, to the
 * last bit. Codes are not touched, scales are converted only if F16 holds them, and an offset only
 * if F16 holds the product. Anything else is refused rather than rounded.
 */
#include "core/model/packed.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/model/half.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "packed codes are used as they lie in the file, lowest bits first");

/* An option that would change what the codes mean or how a layer computes must be off. */
static hg_status expect_off(const hg_json *at, const char *field, const char *what)
{
    if (hg_json_is_off(hg_json_get(at, field))) return HG_OK;
    return hg_json_fail(at, field, HG_ERROR_UNSUPPORTED, "%s are not supported", what);
}

/* An option of which we know one value; absent it must be allowed to mean that value. */
static hg_status expect_word(const hg_json *at, const char *field, hg_json_need need,
                             const char *expected)
{
    const char *word = expected;
    hg_status status = hg_json_string(at, field, need, 64, &word);
    if (!status && strcmp(word, expected) != 0)
        status =
            hg_json_fail(at, field, HG_ERROR_UNSUPPORTED, "only \"%s\" is supported", expected);
    return status;
}

/* actorder "weight" (also called "static") orders columns during calibration only; "group" stores
 * a permutation (weight_g_idx). */
static hg_status check_order(const hg_json *weights)
{
    const char *order = "weight";
    const json_t *value = hg_json_get(weights, "actorder");
    if (hg_json_is_off(value)) return HG_OK;
    hg_status status = hg_json_string(weights, "actorder", HG_JSON_OPTIONAL, 64, &order);
    if (!status && strcmp(order, "weight") != 0 && strcmp(order, "static") != 0)
        status = hg_json_fail(weights, "actorder", HG_ERROR_UNSUPPORTED,
                              "only null, \"weight\" and \"static\" are supported");
    return status;
}

/* QuantizationArgs of compressed_tensors: what one code means. */
static hg_status parse_weights(const hg_json *weights, hg_quantization *out)
{
    uint32_t bits = 0, group = 0;
    out->symmetric = true;
    hg_status status = expect_word(weights, "type", HG_JSON_OPTIONAL, "int");
    if (!status) status = expect_word(weights, "strategy", HG_JSON_REQUIRED, "group");
    if (!status) status = expect_off(weights, "dynamic", "dynamic scales");
    if (!status) status = expect_off(weights, "block_structure", "blocks");
    if (!status) status = check_order(weights);
    if (!status) status = hg_json_bool(weights, "symmetric", HG_JSON_OPTIONAL, &out->symmetric);
    if (!status) status = hg_json_u32(weights, "num_bits", HG_JSON_REQUIRED, 1, 64, &bits);
    if (!status && bits != 4 && bits != 8)
        status =
            hg_json_fail(weights, "num_bits", HG_ERROR_UNSUPPORTED, "only 4 and 8 are supported");
    if (!status)
        status = hg_json_u32(weights, "group_size", HG_JSON_REQUIRED, 1, UINT16_MAX, &group);
    if (!status && group != 16 && group != 32 && group != 64 && group != 128)
        status = hg_json_fail(weights, "group_size", HG_ERROR_UNSUPPORTED,
                              "only 16, 32, 64 and 128 are supported");
    out->bits = (uint8_t)bits;
    out->group = (uint16_t)group;
    return status;
}

/* config_groups holds one scheme. Which layers it targets and which are ignored need not be read:
 * a layer that is not packed has no weight_packed, and is refused by that name. */
static hg_status parse_groups(const hg_json *quantization, hg_quantization *out)
{
    hg_json groups, group, weights;
    hg_status status = hg_json_object(quantization, "config_groups", HG_JSON_REQUIRED, &groups);
    if (status) return status;
    if (json_object_size(groups.object) != 1)
        return hg_json_fail(quantization, "config_groups", HG_ERROR_UNSUPPORTED,
                            "with %zu groups; only one group for all layers is supported",
                            json_object_size(groups.object));
    const char *name = json_object_iter_key(json_object_iter(groups.object));
    status = hg_json_object(&groups, name, HG_JSON_REQUIRED, &group);
    if (!status) status = expect_word(&group, "format", HG_JSON_OPTIONAL, "pack-quantized");
    if (!status) status = expect_off(&group, "input_activations", "quantised activations");
    if (!status) status = expect_off(&group, "output_activations", "quantised activations");
    if (!status) status = hg_json_object(&group, "weights", HG_JSON_REQUIRED, &weights);
    return status ? status : parse_weights(&weights, out);
}

hg_status hg_quantization_parse(const hg_json *config, hg_quantization *out)
{
    hg_json quantization, sparsity;
    *out = (hg_quantization){0};
    if (!hg_json_get(config, "quantization_config"))
        return hg_json_fail(config, "quantization_config", HG_ERROR_UNSUPPORTED,
                            "the weights are not quantised; quantise the model to "
                            "compressed-tensors pack-quantized INT4 or INT8 first");
    hg_status status =
        hg_json_object(config, "quantization_config", HG_JSON_REQUIRED, &quantization);
    if (!status)
        status = expect_word(&quantization, "quant_method", HG_JSON_REQUIRED, "compressed-tensors");
    if (!status) status = expect_word(&quantization, "format", HG_JSON_REQUIRED, "pack-quantized");
    if (!status)
        status = expect_word(&quantization, "quantization_status", HG_JSON_OPTIONAL, "compressed");
    if (!status) status = expect_off(&quantization, "kv_cache_scheme", "quantised KV caches");
    if (!status) status = expect_off(&quantization, "transform_config", "transforms of layers");
    if (!status) status = expect_off(&quantization, "moe_sparsity_config", "experts");
    if (!status)
        status = hg_json_object(&quantization, "sparsity_config", HG_JSON_OPTIONAL, &sparsity);
    if (!status && sparsity.object && json_object_size(sparsity.object))
        status = expect_word(&sparsity, "format", HG_JSON_REQUIRED, "dense");
    return status ? status : parse_groups(&quantization, out);
}

/* One tensor of a layer: its whole name and what is wanted of it. */
typedef struct part {
    char name[HG_LIMIT_TENSOR_NAME];
    hg_tensor_want want;
    hg_tensor tensor;
} part;

/* Takes module.suffix as out->want describes it. */
static hg_status take_part(hg_tensors *set, const hg_packed_want *want, const char *suffix,
                           part *out, hg_error *error)
{
    snprintf(out->name, sizeof out->name, "%s.%s", want->module, suffix);
    out->want.name = out->name;
    return hg_tensors_take(set, &out->want, &out->tensor, error);
}

/* weight_shape repeats the layer's size before packing. */
static hg_status check_shape(hg_tensors *set, const hg_packed_want *want, hg_error *error)
{
    part shape = {.want = {.types = HG_TENSOR_BIT(I64) | HG_TENSOR_BIT(I32),
                           .dimensions = 1,
                           .shape = {2},
                           .because = "rows and columns"}};
    hg_status status = take_part(set, want, "weight_shape", &shape, error);
    if (status) return status;
    int64_t size[2];
    const int32_t *narrow = (const void *)shape.tensor.data;
    if (shape.tensor.type == HG_TENSOR_I64)
        memcpy(size, shape.tensor.data, sizeof size);
    else
        size[0] = narrow[0], size[1] = narrow[1];
    if (size[0] == want->rows && size[1] == want->columns) return HG_OK;
    return hg_fail(error, HG_ERROR_FORMAT,
                   "%s: tensor %s: says [%lld, %lld], expected [%u, %u] by config.json", set->path,
                   shape.name, (long long)size[0], (long long)size[1], want->rows, want->columns);
}

/* Scales that are not F16 are converted if F16 holds each of them exactly: nothing is lost. */
static hg_status scales_to_f16(hg_tensors *set, const hg_tensor *tensor, const uint16_t **out,
                               hg_error *error)
{
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
                       "%s: tensor %s: scale %.9g of row %zu, group %zu is not a value of F16; "
                       "store the scales as F16",
                       set->path, tensor->name, (double)scale, i / from.columns, i % from.columns);
    }
    *out = half;
    return HG_OK;
}

/* w = (code - zero) * scale = code * scale + offset with offset = -zero * scale, which must be a
 * value of F16. zero [row, g] is element row of packed column g, as a stored (unsigned) code. */
static hg_status make_offsets(hg_tensors *set, const hg_packed_want *want, const part *zero,
                              hg_linear *out, hg_error *error)
{
    const uint8_t bits = want->quantization.bits;
    const size_t groups = want->columns / want->quantization.group, per_word = 32 / bits;
    const uint32_t *word = (const void *)zero->tensor.data; /* [rows / per_word, groups] */
    assert(out->scales && zero->tensor.bytes >= want->rows / per_word * groups * sizeof *word);
    uint16_t *offsets = hg_memory_alloc(&set->memory, want->rows * groups, sizeof *offsets);
    if (!offsets) return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory for offsets", set->path);
    for (size_t i = 0; i < want->rows * groups; i++) {
        size_t row = i / groups;
        unsigned shift = (unsigned)(row % per_word) * bits;
        uint32_t code = word[row / per_word * groups + i % groups] >> shift & ((1u << bits) - 1);
        float scale = hg_f16_to_f32(out->scales[i]);
        if (hg_f16_from_f32(-(float)code * scale, &offsets[i])) continue;
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "%s: tensor %s: zero point %u times scale %.9g of row %zu, group %zu is not "
                       "a value of F16; quantise symmetrically",
                       set->path, zero->name, code, (double)scale, row, i % groups);
    }
    out->offsets = offsets;
    return HG_OK;
}

/* Zero points are packed down the rows: rows is rounded up to whole words. */
static hg_status take_offsets(hg_tensors *set, const hg_packed_want *want, hg_linear *out,
                              hg_error *error)
{
    const hg_quantization *q = &want->quantization;
    const uint32_t per_word = 32u / q->bits;
    part zero = {
        .want = {.types = HG_TENSOR_BIT(I32),
                 .dimensions = 2,
                 .shape = {(want->rows + per_word - 1) / per_word, want->columns / q->group},
                 .because = "rows * bits / 32, columns / group"}};
    hg_status status = take_part(set, want, "weight_zero_point", &zero, error);
    return status ? status : make_offsets(set, want, &zero, out, error);
}

/* A layer without packed weights: says which other form it has, if it is one we know. */
static hg_status refuse_other_form(const hg_tensors *set, const char *module, hg_error *error)
{
    static const struct {
        const char *suffix, *form;
    } forms[] = {{"weight", "is not quantised (config.json's ignore list?)"},
                 {"qweight", "is in AutoAWQ's or GPTQ's form"},
                 {"weight_g_idx", "has permuted columns"}};
    char name[HG_LIMIT_TENSOR_NAME];
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        snprintf(name, sizeof name, "%s.%s", module, forms[i].suffix);
        if (hg_tensors_have(set, name))
            return hg_fail(error, HG_ERROR_UNSUPPORTED,
                           "%s: tensor %s: the layer %s; expected %s.weight_packed "
                           "(compressed-tensors pack-quantized)",
                           set->path, name, forms[i].form, module);
    }
    return HG_OK;
}

hg_status hg_packed_take(hg_tensors *set, const hg_packed_want *want, hg_linear *out,
                         hg_error *error)
{
    const hg_quantization *q = &want->quantization;
    if (want->columns % q->group)
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "%s: layer %s: %u columns are not a multiple of the group size %u",
                       set->path, want->module, want->columns, q->group);
    assert(want->columns % (32u / q->bits) == 0); /* groups are whole words */
    part codes = {.want = {.types = HG_TENSOR_BIT(I32),
                           .dimensions = 2,
                           .shape = {want->rows, want->columns / (32u / q->bits)},
                           .because = "rows, columns * bits / 32 by config.json"}};
    part scales = {.want = {.types = HG_TENSOR_FLOATS,
                            .dimensions = 2,
                            .shape = {want->rows, want->columns / q->group},
                            .because = "rows, columns / group by config.json"}};
    snprintf(codes.name, sizeof codes.name, "%s.weight_packed", want->module);
    hg_status status = HG_OK;
    if (!hg_tensors_have(set, codes.name)) status = refuse_other_form(set, want->module, error);
    if (!status) status = take_part(set, want, "weight_packed", &codes, error);
    if (!status) status = take_part(set, want, "weight_scale", &scales, error);
    if (!status) status = hg_tensors_check_finite(set, &scales.tensor, error);
    if (!status) status = check_shape(set, want, error);
    if (status) return status;
    assert(scales.tensor.shape[1] * q->group == want->columns);
    *out = (hg_linear){.codes = codes.tensor.data,
                       .rows = want->rows,
                       .columns = want->columns,
                       .group = q->group,
                       .bits = q->bits};
    status = scales_to_f16(set, &scales.tensor, &out->scales, error);
    return status || q->symmetric ? status : take_offsets(set, want, out, error);
}
