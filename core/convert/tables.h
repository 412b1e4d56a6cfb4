/* tables.h: embedding, head and norms on their way from a model to a writer, kept in their type.
 * A table in one of GGUF's quantised types becomes BF16, which holds its values to 8 bits. */
#ifndef HG_CONVERT_TABLES_H
#define HG_CONVERT_TABLES_H

#include "core/convert/tensor_writer.h"
#include "kernels/weights.h"

hg_tensor_type hg_table_type(const hg_matrix *table);

/* The type of all norms: the embedding's when it holds each of their values, else F32. */
hg_tensor_type hg_norm_type(const hg_weights *weights);

/* Puts the rows of a table as hg_table_type says. */
hg_status hg_table_put(hg_tensor_writer *writer, const hg_matrix *table,
                       hg_error *error) HG_CHECKED;

/* Puts count values, rounded to type (F32, F16 or BF16). */
hg_status hg_values_put(hg_tensor_writer *writer, const float *value, uint32_t count,
                        hg_tensor_type type, hg_error *error) HG_CHECKED;

/* The nearest value of the type, ties to even. */
float hg_value_rounded(float value, hg_tensor_type type);
uint16_t hg_bf16_nearest(float value);

#endif
