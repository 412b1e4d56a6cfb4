/* awq.c: linear layers in AutoAWQ's GEMM form.
 *
 * qweight I32 [columns, rows / 8] and qzeros I32 [groups, rows / 8] hold eight outputs in a word;
 * nibble i, lowest first, is output 0 2 4 6 1 3 5 7 of the eight. scales F16 [groups, rows].
 * w = (code - zero) * scale. Format: https://github.com/casper-hansen/AutoAWQ. Its other versions
 * (gemv, marlin, exllama) order the words otherwise and are refused.
 */
#include <string.h>
#include <strings.h>

#include "core/model/layers.h"

hg_status hg_awq_parse(const hg_json *at, hg_quantization *out)
{
    const char *version = "gemm";
    bool zero_point = true;
    /* transformers writes bits and group_size, AutoAWQ's own files w_bit and q_group_size. */
    bool own = hg_json_get(at, "w_bit") && !hg_json_get(at, "bits");
    hg_status status = hg_json_string(at, "version", HG_JSON_OPTIONAL, 64, &version);
    if (!status && strcasecmp(version, "gemm") != 0)
        status = hg_json_fail(at, "version", HG_ERROR_UNSUPPORTED, "only \"gemm\" is supported");
    if (!status) status = hg_json_bool(at, "zero_point", HG_JSON_OPTIONAL, &zero_point);
    if (!status && !zero_point)
        status = hg_json_fail(at, "zero_point", HG_ERROR_UNSUPPORTED, "only true is supported");
    if (!status)
        status = hg_quantization_sizes(at, own ? "w_bit" : "bits",
                                       own ? "q_group_size" : "group_size", out);
    if (!status && out->bits != 4)
        status =
            hg_json_fail(at, own ? "w_bit" : "bits", HG_ERROR_UNSUPPORTED, "AutoAWQ's form has 4");
    return status;
}

hg_status hg_awq_take(hg_tensors *set, const hg_linear_want *want, hg_linear *out,
                      hg_inputs *inputs, hg_error *error)
{
    hg_status status = hg_layers_size(set, want, out, error);
    if (status) return status;
    if (want->rows % 8)
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "%s: layer %s: %u outputs are not a multiple of the 8 in a word", set->path,
                       want->module, want->rows);
    uint32_t group = want->quantization.file_group, groups = group ? want->columns / group : 1;
    hg_part codes = {.want = {.types = HG_TENSOR_BIT(I32),
                              .dimensions = 2,
                              .shape = {want->columns, want->rows / 8},
                              .because = "AutoAWQ's inputs, outputs / 8 by config.json"}};
    hg_part zeros = codes, scales = codes;
    zeros.want.shape[0] = scales.want.shape[0] = groups;
    zeros.want.because = "AutoAWQ's groups, outputs / 8 by config.json";
    scales.want.shape[1] = want->rows;
    scales.want.types = HG_TENSOR_FLOATS;
    scales.want.because = "AutoAWQ's groups, outputs by config.json";
    status = hg_part_take(set, want->module, "qweight", &codes, error);
    if (!status) status = hg_part_take(set, want->module, "qzeros", &zeros, error);
    if (!status) status = hg_part_take(set, want->module, "scales", &scales, error);
    if (!status) status = hg_part_scales(set, &scales, &inputs->scales, error);
    inputs->codes = codes.tensor.data;
    inputs->zeros = out->zeros = zeros.tensor.data; /* there are some: layouts depend on it */
    inputs->quantization = want->quantization;
    return status;
}

/* Eight words of eight nibbles: nibble k of word i becomes nibble i of word k. */
static void transpose8(uint32_t *word)
{
    static const uint32_t mask[] = {0x0000FFFF, 0x00FF00FF, 0x0F0F0F0F};
    for (uint32_t step = 0, distance = 4; step < 3; step++, distance /= 2) {
        for (uint32_t i = 0; i < 8; i++) {
            if (i & distance) continue;
            uint32_t swap = (word[i] >> 4 * distance ^ word[i + distance]) & mask[step];
            word[i + distance] ^= swap;
            word[i] ^= swap << 4 * distance;
        }
    }
}

static const uint8_t output_of_nibble[8] = {0, 2, 4, 6, 1, 3, 5, 7};

void hg_awq_order(const hg_inputs *inputs, const hg_linear *out, uint8_t *codes, uint8_t *zeros)
{
    const uint32_t *from = (const void *)inputs->codes, *zero = (const void *)inputs->zeros;
    const uint32_t words = out->rows / 8, groups = out->columns / out->group;
    const uint32_t file_group = inputs->quantization.file_group;
    const size_t row_bytes = out->columns / 2;
    for (uint32_t w = 0; w < words; w++) {
        for (uint32_t c = 0; c < out->columns; c += 8) {
            uint32_t word[8];
            for (uint32_t i = 0; i < 8; i++) word[i] = from[(size_t)(c + i) * words + w];
            transpose8(word);
            for (uint32_t i = 0; i < 8; i++)
                memcpy(codes + (w * 8 + output_of_nibble[i]) * row_bytes + c / 2, &word[i], 4);
        }
        for (uint32_t g = 0; g < groups; g++) {
            uint32_t of = file_group ? g * out->group / file_group : 0;
            for (uint32_t i = 0; i < 8; i++)
                zeros[(size_t)(w * 8 + output_of_nibble[i]) * groups + g] =
                    zero[(size_t)of * words + w] >> 4 * i & 15;
        }
    }
}
