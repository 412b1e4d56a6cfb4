/* gptq.c: linear layers in GPTQ's form.
 *
 * qweight I32 [columns * bits / 32, rows] holds several inputs of one output in a word, lowest bits
 * first, so its words are those of the device form, transposed. qzeros I32 [groups, rows * bits /
 * 32] holds several outputs in a word; its first format ("gptq") stores each zero point less one,
 * "gptq_v2" as it is. scales F16 [groups, rows]. w = (code - zero) * scale. g_idx I32 [columns] is
 * each input's group: any order but the plain one is refused, as is desc_act, which makes one.
 * Formats: https://github.com/AutoGPTQ/AutoGPTQ, https://github.com/ModelCloud/GPTQModel.
 */
#include <stdio.h>
#include <string.h>

#include "core/model/layers.h"

/* GPTQModel says checkpoint_format, or format; who says nothing is of the time before v2. */
static hg_status parse_format(const hg_json *at, hg_quantization *out)
{
    const char *format = "gptq";
    const char *field = hg_json_get(at, "checkpoint_format") ? "checkpoint_format" : "format";
    hg_status status = hg_json_string(at, field, HG_JSON_OPTIONAL, 64, &format);
    if (!status && strcmp(format, "gptq") != 0 && strcmp(format, "gptq_v2") != 0)
        status = hg_json_fail(at, field, HG_ERROR_UNSUPPORTED,
                              "only \"gptq\" and \"gptq_v2\" are supported");
    out->zero_plus = strcmp(format, "gptq") == 0;
    return status;
}

hg_status hg_gptq_parse(const hg_json *at, hg_quantization *out)
{
    bool order = false, symmetric = true;
    hg_status status = parse_format(at, out);
    if (!status) status = hg_json_bool(at, "desc_act", HG_JSON_OPTIONAL, &order);
    if (!status && order)
        status = hg_json_fail(at, "desc_act", HG_ERROR_UNSUPPORTED,
                              "reordered inputs are not supported; only false is");
    if (!status) status = hg_json_bool(at, "sym", HG_JSON_OPTIONAL, &symmetric);
    out->symmetric = symmetric; /* what the quantiser did: zero points are stored either way */
    if (!status) status = hg_quantization_off(at, "dynamic", "other sizes of single layers");
    if (!status) status = hg_quantization_off(at, "lm_head", "quantised heads in this form");
    if (!status) status = hg_quantization_word(at, "pack_dtype", HG_JSON_OPTIONAL, "int32");
    return status ? status : hg_quantization_sizes(at, "bits", "group_size", out);
}

/* g_idx, where it is: column / group, by position. */
static hg_status check_order(hg_tensors *set, const hg_linear_want *want, hg_error *error)
{
    hg_part part = {.want = {.types = HG_TENSOR_BIT(I32),
                             .dimensions = 1,
                             .shape = {want->columns},
                             .because = "inputs by config.json"}};
    snprintf(part.name, sizeof part.name, "%s.g_idx", want->module);
    if (!hg_tensors_have(set, part.name)) return HG_OK;
    hg_status status = hg_part_take(set, want->module, "g_idx", &part, error);
    if (status) return status;
    const int32_t *group = (const void *)part.tensor.data;
    uint32_t size = want->quantization.file_group ? want->quantization.file_group : want->columns;
    for (uint32_t c = 0; c < want->columns; c++)
        if (group[c] != (int32_t)(c / size))
            return hg_fail(error, HG_ERROR_UNSUPPORTED,
                           "%s: tensor %s: input %u is in group %d, expected %u: reordered inputs "
                           "(desc_act) are not supported",
                           set->path, part.name, c, group[c], c / size);
    return HG_OK;
}

/* AutoGPTQ writes a bias for layers that have none; it must then be zero. */
static hg_status check_bias(hg_tensors *set, const hg_linear_want *want, hg_error *error)
{
    hg_part part = {.want = {.types = HG_TENSOR_FLOATS,
                             .dimensions = 1,
                             .shape = {want->rows},
                             .because = "outputs by config.json"}};
    snprintf(part.name, sizeof part.name, "%s.bias", want->module);
    if (!hg_tensors_have(set, part.name)) return HG_OK;
    hg_status status = hg_part_take(set, want->module, "bias", &part, error);
    if (status) return status;
    for (size_t i = 0; i < part.tensor.bytes; i++)
        if (part.tensor.data[i])
            return hg_fail(error, HG_ERROR_UNSUPPORTED,
                           "%s: tensor %s: is not all zero, and biases are not supported",
                           set->path, part.name);
    return HG_OK;
}

/* Zero point number `at` of the file, [groups, rows]. */
static uint32_t zero_point(const hg_inputs *inputs, const hg_linear *out, uint32_t group,
                           uint32_t row)
{
    const uint32_t *word = (const void *)inputs->zeros, bits = out->bits, per_word = 32 / bits;
    size_t at = (size_t)group * (out->rows / per_word) + row / per_word;
    return (word[at] >> row % per_word * bits & ((1u << bits) - 1)) +
           inputs->quantization.zero_plus;
}

/* The device form has a byte for a zero point. With 8 bits and the first format a stored 255 is 256
 * to some readers and 0 to others. */
static hg_status check_zeros(const hg_tensors *set, const hg_linear_want *want,
                             const hg_inputs *inputs, const hg_linear *out, hg_error *error)
{
    uint32_t group = want->quantization.file_group, groups = group ? want->columns / group : 1;
    if (out->bits < 8 || !want->quantization.zero_plus) return HG_OK;
    for (uint32_t g = 0; g < groups; g++)
        for (uint32_t row = 0; row < want->rows; row++)
            if (zero_point(inputs, out, g, row) > UINT8_MAX)
                return hg_fail(error, HG_ERROR_UNSUPPORTED,
                               "%s: tensor %s.qzeros: zero point of group %u, output %u is stored "
                               "as 255, which checkpoint_format \"gptq\" leaves undefined; convert "
                               "the model to \"gptq_v2\"",
                               set->path, want->module, g, row);
    return HG_OK;
}

hg_status hg_gptq_take(hg_tensors *set, const hg_linear_want *want, hg_linear *out,
                       hg_inputs *inputs, hg_error *error)
{
    hg_status status = hg_layers_size(set, want, out, error);
    if (status) return status;
    uint32_t per_word = 32u / out->bits;
    if (want->rows % per_word)
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "%s: layer %s: %u outputs are not a multiple of the %u in a word", set->path,
                       want->module, want->rows, per_word);
    uint32_t group = want->quantization.file_group, groups = group ? want->columns / group : 1;
    hg_part codes = {.want = {.types = HG_TENSOR_BIT(I32),
                              .dimensions = 2,
                              .shape = {want->columns / per_word, want->rows},
                              .because = "GPTQ's inputs * bits / 32, outputs by config.json"}};
    hg_part zeros = codes, scales = codes;
    zeros.want.shape[0] = scales.want.shape[0] = groups;
    zeros.want.shape[1] = want->rows / per_word;
    zeros.want.because = "GPTQ's groups, outputs * bits / 32 by config.json";
    scales.want.types = HG_TENSOR_FLOATS;
    scales.want.because = "GPTQ's groups, outputs by config.json";
    status = hg_part_take(set, want->module, "qweight", &codes, error);
    if (!status) status = hg_part_take(set, want->module, "qzeros", &zeros, error);
    if (!status) status = hg_part_take(set, want->module, "scales", &scales, error);
    if (!status) status = hg_part_scales(set, &scales, &inputs->scales, error);
    if (!status) status = check_order(set, want, error);
    if (!status) status = check_bias(set, want, error);
    if (status) return status;
    inputs->codes = codes.tensor.data;
    inputs->zeros = out->zeros = zeros.tensor.data; /* there are some: layouts depend on it */
    inputs->quantization = want->quantization;
    return check_zeros(set, want, inputs, out, error);
}

void hg_gptq_order(const hg_inputs *inputs, const hg_linear *out, uint8_t *codes, uint8_t *zeros)
{
    enum { TILE = 16 }; /* words of a row of the file: a cache line */
    const uint32_t *from = (const void *)inputs->codes;
    const uint32_t words = out->columns * out->bits / 32, groups = out->columns / out->group;
    const uint32_t file_group = inputs->quantization.file_group;
    for (uint32_t row = 0; row < out->rows; row += TILE)
        for (uint32_t w = 0; w < words; w++)
            for (uint32_t r = row; r < row + TILE && r < out->rows; r++)
                memcpy(codes + ((size_t)r * words + w) * 4, &from[(size_t)w * out->rows + r], 4);
    for (uint32_t row = 0; row < out->rows; row++)
        for (uint32_t g = 0; g < groups; g++) {
            uint32_t of = file_group ? g * out->group / file_group : 0;
            zeros[(size_t)row * groups + g] = (uint8_t)zero_point(inputs, out, of, row);
        }
}
