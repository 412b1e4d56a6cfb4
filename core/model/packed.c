/* packed.c: linear layers in compressed-tensors' pack-quantized form.
 *
 * weight_packed I32 [rows, columns * bits / 32] holds codes lowest bits first; in little endian
 * that is byte for byte the device form, so codes are used where they lie. A stored code is the
 * signed value plus 2^(bits - 1). weight_scale [rows, columns / group] becomes F16, weight_shape
 * I64 [2] must agree, weight_zero_point I32 [rows * bits / 32, columns / group] (asymmetric only)
 * is packed along the rows. Format: https://github.com/vllm-project/compressed-tensors.
 *
 * Exactness is the rule here: the device form must give the weights that the file means, to the
 * last bit. Codes are not touched, and scales are converted only if F16 holds them; anything else
 * is refused rather than rounded.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/model/layers.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "packed codes are used as they lie in the file, lowest bits first");

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
    out->symmetric = true;
    hg_status status = hg_quantization_word(weights, "type", HG_JSON_OPTIONAL, "int");
    if (!status) status = hg_quantization_word(weights, "strategy", HG_JSON_REQUIRED, "group");
    if (!status) status = hg_quantization_off(weights, "dynamic", "dynamic scales");
    if (!status) status = hg_quantization_off(weights, "block_structure", "blocks");
    if (!status) status = check_order(weights);
    if (!status) status = hg_json_bool(weights, "symmetric", HG_JSON_OPTIONAL, &out->symmetric);
    if (!status) status = hg_quantization_sizes(weights, "num_bits", "group_size", out);
    if (!status && !out->file_group)
        status =
            hg_json_fail(weights, "group_size", HG_ERROR_FORMAT, "expected columns of a group");
    return status;
}

/* config_groups holds one scheme. Which layers it targets and which are ignored need not be read:
 * a layer that is not packed has no weight_packed. */
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
    if (!status)
        status = hg_quantization_word(&group, "format", HG_JSON_OPTIONAL, "pack-quantized");
    if (!status) status = hg_quantization_off(&group, "input_activations", "quantised activations");
    if (!status)
        status = hg_quantization_off(&group, "output_activations", "quantised activations");
    if (!status) status = hg_json_object(&group, "weights", HG_JSON_REQUIRED, &weights);
    return status ? status : parse_weights(&weights, out);
}

hg_status hg_packed_parse(const hg_json *at, hg_quantization *out)
{
    hg_json sparsity;
    hg_status status = hg_quantization_word(at, "format", HG_JSON_REQUIRED, "pack-quantized");
    if (!status)
        status = hg_quantization_word(at, "quantization_status", HG_JSON_OPTIONAL, "compressed");
    if (!status) status = hg_quantization_off(at, "kv_cache_scheme", "quantised KV caches");
    if (!status) status = hg_quantization_off(at, "transform_config", "transforms of layers");
    if (!status) status = hg_quantization_off(at, "moe_sparsity_config", "experts");
    if (!status) status = hg_json_object(at, "sparsity_config", HG_JSON_OPTIONAL, &sparsity);
    if (!status && sparsity.object && json_object_size(sparsity.object))
        status = hg_quantization_word(&sparsity, "format", HG_JSON_REQUIRED, "dense");
    return status ? status : parse_groups(at, out);
}

/* Groups of a row in the file. */
static uint32_t want_groups(const hg_linear_want *want)
{
    uint32_t group = want->quantization.file_group;
    return group ? want->columns / group : 1;
}

/* weight_shape repeats the layer's size before packing. */
static hg_status check_shape(hg_tensors *set, const hg_linear_want *want, hg_error *error)
{
    hg_part shape = {.want = {.types = HG_TENSOR_BIT(I64) | HG_TENSOR_BIT(I32),
                              .dimensions = 1,
                              .shape = {2},
                              .because = "rows and columns"}};
    hg_status status = hg_part_take(set, want->module, "weight_shape", &shape, error);
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

/* A group of more than 128 columns is several in device form, each with its scale. */
static hg_status spread_scales(hg_tensors *set, const hg_linear_want *want, hg_linear *out,
                               hg_error *error)
{
    uint32_t groups = out->columns / out->group, share = groups / want_groups(want);
    if (share == 1) return HG_OK;
    size_t count = (size_t)out->rows * groups;
    uint16_t *spread = hg_memory_alloc(&set->memory, count, sizeof *spread);
    if (!spread) return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory for scales", set->path);
    for (size_t i = 0; i < count; i++) spread[i] = out->scales[i / share];
    out->scales = spread;
    return HG_OK;
}

/* Zero points, stored codes themselves, packed down the rows, which are rounded up to whole words.
 */
static hg_status take_zeros(hg_tensors *set, const hg_linear_want *want, hg_linear *out,
                            hg_error *error)
{
    const uint32_t bits = out->bits, per_word = 32 / bits, groups = out->columns / out->group;
    const uint32_t share = groups / want_groups(want);
    hg_part zero = {.want = {.types = HG_TENSOR_BIT(I32),
                             .dimensions = 2,
                             .shape = {(want->rows + per_word - 1) / per_word, want_groups(want)},
                             .because = "rows * bits / 32, columns / group"}};
    hg_status status = hg_part_take(set, want->module, "weight_zero_point", &zero, error);
    if (status) return status;
    uint8_t *zeros = hg_memory_alloc(&set->memory, (size_t)want->rows * groups, 1);
    if (!zeros) return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory for zero points", set->path);
    const uint32_t *word = (const void *)zero.tensor.data;
    for (uint32_t row = 0; row < want->rows; row++)
        for (uint32_t g = 0; g < groups; g++)
            zeros[(size_t)row * groups + g] =
                (uint8_t)(word[(size_t)(row / per_word) * want_groups(want) + g / share] >>
                              (row % per_word * bits) &
                          ((1u << bits) - 1));
    out->zeros = zeros;
    return HG_OK;
}

/* A layer without packed weights: says which other form it has, if it is one we know. */
static hg_status refuse_other_form(const hg_tensors *set, const char *module, hg_error *error)
{
    static const struct {
        const char *suffix, *form;
    } forms[] = {{"qweight", "is in AutoAWQ's or GPTQ's form"},
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

hg_status hg_packed_take(hg_tensors *set, const hg_linear_want *want, hg_linear *out,
                         hg_error *error)
{
    hg_status status = hg_layers_size(set, want, out, error);
    if (status) return status;
    assert(want->columns % (32u / out->bits) == 0); /* groups are whole words */
    hg_part codes = {.want = {.types = HG_TENSOR_BIT(I32),
                              .dimensions = 2,
                              .shape = {want->rows, want->columns / (32u / out->bits)},
                              .because = "rows, columns * bits / 32 by config.json"}};
    hg_part scales = {.want = {.types = HG_TENSOR_FLOATS,
                               .dimensions = 2,
                               .shape = {want->rows, want_groups(want)},
                               .because = "rows, columns / group by config.json"}};
    snprintf(codes.name, sizeof codes.name, "%s.weight_packed", want->module);
    if (!hg_tensors_have(set, codes.name)) status = refuse_other_form(set, want->module, error);
    if (!status) status = hg_part_take(set, want->module, "weight_packed", &codes, error);
    if (!status) status = hg_part_take(set, want->module, "weight_scale", &scales, error);
    if (!status) status = hg_part_scales(set, &scales, &out->scales, error);
    if (!status) status = check_shape(set, want, error);
    if (!status) status = spread_scales(set, want, out, error);
    if (status) return status;
    out->codes = codes.tensor.data;
    return want->quantization.symmetric ? HG_OK : take_zeros(set, want, out, error);
}
