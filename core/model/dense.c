/* dense.c: linear layers that are not quantised: weight F32, F16 or BF16 [rows, columns], used
 * where it lies. NaN and infinities are looked for here, which reads the layer once.
 */
#include "core/model/layers.h"

hg_status hg_dense_take(hg_tensors *set, const hg_linear_want *want, hg_linear *out,
                        hg_error *error)
{
    hg_part weight = {.want = {.types = HG_TENSOR_FLOATS,
                               .dimensions = 2,
                               .shape = {want->rows, want->columns},
                               .because = "rows, columns by config.json"}};
    hg_status status = hg_part_take(set, want->module, "weight", &weight, error);
    if (!status) status = hg_tensors_check_finite(set, &weight.tensor, error);
    if (status) return status;
    const hg_matrix matrix = hg_tensor_matrix(&weight.tensor);
    *out = (hg_linear){.rows = want->rows,
                       .columns = want->columns,
                       .dense = matrix.data,
                       .dense_type = matrix.type};
    return HG_OK;
}
