/* tables.c: see tables.h. */
#include "core/convert/tables.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/model/half.h"
#include "kernels/cpu/convert.h"

uint16_t hg_bf16_nearest(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (isnan(value)) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float hg_value_rounded(float value, hg_tensor_type type)
{
    assert(type == HG_TENSOR_F32 || type == HG_TENSOR_F16 || type == HG_TENSOR_BF16);
    if (type == HG_TENSOR_F16) return hg_f32_of_f16(hg_f16_nearest(value));
    return type == HG_TENSOR_BF16 ? hg_f32_of_bf16(hg_bf16_nearest(value)) : value;
}

hg_tensor_type hg_table_type(const hg_matrix *table)
{
    if (table->type == HG_F32) return HG_TENSOR_F32;
    return table->type == HG_F16 ? HG_TENSOR_F16 : HG_TENSOR_BF16;
}

static bool holds(hg_tensor_type type, const float *value, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (hg_value_rounded(value[i], type) != value[i]) return false;
    return true;
}

hg_tensor_type hg_norm_type(const hg_weights *w)
{
    const hg_tensor_type type = hg_table_type(&w->embedding);
    bool all = holds(type, w->final_norm, w->shape.hidden);
    for (uint32_t l = 0; all && l < w->shape.layers; l++)
        all = holds(type, w->layer[l].attention_norm, w->shape.hidden) &&
              holds(type, w->layer[l].mlp_norm, w->shape.hidden);
    return all ? type : HG_TENSOR_F32;
}

hg_status hg_values_put(hg_tensor_writer *writer, const float *value, uint32_t count,
                        hg_tensor_type type, hg_error *error)
{
    if (type == HG_TENSOR_F32)
        return hg_tensor_writer_put(writer, value, count * sizeof *value, error);
    uint16_t *half = malloc(count * sizeof *half);
    if (!half) return hg_fail(error, HG_ERROR_MEMORY, "no memory for %u values", count);
    for (uint32_t i = 0; i < count; i++)
        half[i] = type == HG_TENSOR_F16 ? hg_f16_nearest(value[i]) : hg_bf16_nearest(value[i]);
    hg_status status = hg_tensor_writer_put(writer, half, count * sizeof *half, error);
    free(half);
    return status;
}

hg_status hg_table_put(hg_tensor_writer *writer, const hg_matrix *table, hg_error *error)
{
    float *row = malloc(table->columns * sizeof *row);
    hg_status status = HG_OK;
    if (!row) return hg_fail(error, HG_ERROR_MEMORY, "no memory for a row");
    const size_t bytes = table->columns * hg_dtype_bytes(table->type);
    for (uint32_t r = 0; !status && r < table->rows; r++) {
        if (table->type != HG_QUANTISED) {
            status =
                hg_tensor_writer_put(writer, (const char *)table->data + r * bytes, bytes, error);
            continue;
        }
        hg_matrix_read(table, r, 0, table->columns, row);
        status = hg_values_put(writer, row, table->columns, HG_TENSOR_BF16, error);
    }
    free(row);
    return status;
}
