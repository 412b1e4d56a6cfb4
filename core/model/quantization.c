/* quantization.c: the choice between methods, and what their parsers have in common. */
#include "core/model/quantization.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

hg_status hg_quantization_off(const hg_json *at, const char *field, const char *what)
{
    if (hg_json_is_off(hg_json_get(at, field))) return HG_OK;
    return hg_json_fail(at, field, HG_ERROR_UNSUPPORTED, "%s are not supported", what);
}

hg_status hg_quantization_word(const hg_json *at, const char *field, hg_json_need need,
                               const char *expected)
{
    const char *word = expected;
    hg_status status = hg_json_string(at, field, need, 64, &word);
    if (!status && strcmp(word, expected) != 0)
        status =
            hg_json_fail(at, field, HG_ERROR_UNSUPPORTED, "only \"%s\" is supported", expected);
    return status;
}

hg_status hg_quantization_sizes(const hg_json *at, const char *bits_field, const char *group_field,
                                hg_quantization *out)
{
    uint32_t bits = 0, group = 0;
    hg_status status = hg_json_u32(at, bits_field, HG_JSON_REQUIRED, 1, 64, &bits);
    if (!status && bits != 4 && bits != 8)
        status = hg_json_fail(at, bits_field, HG_ERROR_UNSUPPORTED, "only 4 and 8 are supported");
    if (status) return status;
    out->bits = (uint8_t)bits;
    const json_t *all = hg_json_get(at, group_field);
    if (json_is_integer(all) && json_integer_value(all) == -1) return HG_OK;
    status = hg_json_u32(at, group_field, HG_JSON_REQUIRED, 1, HG_LIMIT_MODEL_WIDTH, &group);
    if (!status && group % 128 && group != 16 && group != 32 && group != 64)
        status = hg_json_fail(at, group_field, HG_ERROR_UNSUPPORTED,
                              "only 16, 32, 64 and multiples of 128 are supported");
    out->file_group = group;
    return status;
}

uint16_t hg_quantization_group(const hg_quantization *quantization, uint32_t columns)
{
    uint32_t group = quantization->file_group ? quantization->file_group : columns;
    if (!group || columns % group) return 0;
    for (uint16_t size = 128; size >= 16; size /= 2)
        if (group % size == 0) return size;
    return 0;
}

void hg_quantization_name(const hg_quantization *quantization, char *text, size_t size)
{
    static const char *const name[] = {"dense", "compressed-tensors", "AutoAWQ", "GPTQ"};
    int used = snprintf(text, size, "%s", name[quantization->form]);
    if (quantization->form == HG_FORM_DENSE) return;
    assert(used > 0 && (size_t)used < size);
    used += snprintf(text + used, size - (size_t)used, " INT%u", quantization->bits);
    if (quantization->file_group)
        used += snprintf(text + used, size - (size_t)used, " group %u", quantization->file_group);
    if (!quantization->symmetric) snprintf(text + used, size - (size_t)used, " with zero points");
}

hg_status hg_quantization_parse(const hg_json *config, hg_quantization *out)
{
    static const struct {
        const char *name;
        hg_form form;
        hg_status (*parse)(const hg_json *at, hg_quantization *out);
    } methods[] = {{"compressed-tensors", HG_FORM_PACKED, hg_packed_parse},
                   {"awq", HG_FORM_AWQ, hg_awq_parse},
                   {"gptq", HG_FORM_GPTQ, hg_gptq_parse}};
    hg_json at;
    const char *method = NULL;
    *out = (hg_quantization){0};
    hg_status status = hg_json_object(config, "quantization_config", HG_JSON_OPTIONAL, &at);
    if (status || !at.object) return status;
    status = hg_json_string(&at, "quant_method", HG_JSON_REQUIRED, 64, &method);
    if (status) return status;
    assert(method);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (strcmp(method, methods[i].name) != 0) continue;
        out->form = methods[i].form;
        return methods[i].parse(&at, out);
    }
    return hg_json_fail(&at, "quant_method", HG_ERROR_UNSUPPORTED,
                        "only \"compressed-tensors\" (pack-quantized), \"awq\" and \"gptq\" are "
                        "supported");
}
