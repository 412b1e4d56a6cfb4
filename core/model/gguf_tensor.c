/* gguf_tensor.c: see gguf_tensor.h. Shapes are the file's, innermost first, in messages too. */
#include "core/model/gguf_tensor.h"

#include <assert.h>
#include <stdio.h>

#include "core/model/tensors.h"

static hg_status check_shape(const hg_gguf *file, const hg_gguf_want *want,
                             const hg_gguf_tensor *tensor, hg_error *error)
{
    const uint32_t dimensions = want->rows ? 2 : 1;
    if (tensor->dimensions == dimensions && tensor->shape[0] == want->columns &&
        (!want->rows || tensor->shape[1] == want->rows))
        return HG_OK;
    return hg_fail(error, HG_ERROR_FORMAT,
                   "%s: tensor %s: found %u dimensions, [%llu, %llu], expected %u, [%u, %u] "
                   "(innermost first), by %s",
                   file->path, want->name, tensor->dimensions, (unsigned long long)tensor->shape[0],
                   (unsigned long long)(tensor->dimensions > 1 ? tensor->shape[1] : 1), dimensions,
                   want->columns, want->rows ? want->rows : 1, want->because);
}

hg_status hg_gguf_take(hg_gguf *file, const hg_gguf_want *want, const hg_gguf_tensor **out,
                       const hg_gguf_type **type, hg_error *error)
{
    hg_gguf_tensor *tensor = hg_gguf_find_tensor(file, want->name);
    if (!tensor)
        return hg_fail(error, HG_ERROR_FORMAT, "%s: tensor %s is missing", file->path, want->name);
    tensor->taken = true;
    *out = tensor;
    *type = hg_gguf_type_find(tensor->type);
    assert(*type);
    hg_status status = check_shape(file, want, tensor, error);
    if (status || (*type)->dense || (want->blocks && (*type)->bits)) return status;
    return hg_fail(error, HG_ERROR_UNSUPPORTED,
                   "%s: tensor %s: type %s is not supported here, only F32, F16, BF16%s",
                   file->path, want->name, (*type)->name,
                   want->blocks ? ", Q8_0, Q4_0, Q4_1, Q4_K and Q6_K" : "");
}

hg_tensor hg_gguf_floats(const hg_gguf_tensor *tensor)
{
    static const hg_tensor_type types[] = {
        [HG_F32] = HG_TENSOR_F32, [HG_F16] = HG_TENSOR_F16, [HG_BF16] = HG_TENSOR_BF16};
    const hg_gguf_type *type = hg_gguf_type_find(tensor->type);
    assert(type && type->dense && tensor->dimensions <= 2);
    hg_tensor out = {.name = tensor->name,
                     .type = types[type->floats],
                     .dimensions = tensor->dimensions,
                     .data = tensor->data,
                     .bytes = tensor->bytes};
    for (uint32_t i = 0; i < tensor->dimensions; i++)
        out.shape[i] = tensor->shape[tensor->dimensions - 1 - i];
    return out;
}

hg_status hg_gguf_check_finite(const hg_gguf *file, const hg_gguf_tensor *tensor, hg_error *error)
{
    hg_safetensors pages = {.mapping = file->mapping};
    hg_tensors set = {.file = &pages, .files = 1};
    const hg_tensor floats = hg_gguf_floats(tensor);
    snprintf(set.path, sizeof set.path, "%s", file->path); /* for the message */
    return hg_tensors_check_finite(&set, &floats, error);
}

hg_status hg_gguf_check_all_taken(const hg_gguf *file, const char *why, hg_error *error)
{
    for (uint32_t i = 0; i < file->tensors; i++)
        if (!file->tensor[i].taken)
            return hg_fail(error, HG_ERROR_FORMAT, "%s: tensor %s is not expected: %s", file->path,
                           file->tensor[i].name, why);
    return HG_OK;
}
