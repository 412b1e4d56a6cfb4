/* scales.c: see scales.h. */
#include "core/model/scales.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/model/projections.h"
#include "core/model/tensors.h"

struct hg_scales_owned {
    hg_tensors set;
    hg_layer_scales *layer; /* [layers] in the set's memory */
};

/* One list, if the file has it. */
static hg_status take_list(hg_tensors *set, const char *module, const char *which, uint32_t count,
                           const float **out, hg_error *error)
{
    char name[HG_LIMIT_TENSOR_NAME];
    hg_tensor tensor;
    snprintf(name, sizeof name, "%s.%s_scale", module, which);
    if (!hg_tensors_have(set, name)) return HG_OK;
    const hg_tensor_want want = {.name = name,
                                 .types = HG_TENSOR_BIT(F32),
                                 .dimensions = 1,
                                 .shape = {count},
                                 .because = "inputs or outputs of the base's layer"};
    hg_status status = hg_tensors_take(set, &want, &tensor, error);
    if (status) return status;
    *out = (const void *)tensor.data;
    for (uint32_t i = 0; i < count; i++)
        if (!((*out)[i] > 0 && isfinite((*out)[i])))
            return hg_fail(error, HG_ERROR_FORMAT,
                           "%s: tensor %s: value %u is %g, expected a positive number", set->path,
                           name, i, (double)(*out)[i]);
    return HG_OK;
}

static hg_status take_all(struct hg_scales_owned *owned, const hg_shape *shape, hg_error *error)
{
    hg_tensors *set = &owned->set;
    hg_status status = HG_OK;
    owned->layer = hg_memory_alloc(&set->memory, shape->layers, sizeof *owned->layer);
    if (!owned->layer) return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", set->path);
    for (uint32_t l = 0; l < shape->layers; l++) {
        for (int p = 0; !status && p < HG_PROJECTIONS; p++) {
            char module[HG_LIMIT_TENSOR_NAME / 2];
            uint32_t rows, columns;
            hg_projection_name(l, (hg_projection)p, module, sizeof module);
            hg_projection_size(shape, (hg_projection)p, &rows, &columns);
            status = take_list(set, module, "input", columns, &owned->layer[l].input[p], error);
            if (!status)
                status = take_list(set, module, "output", rows, &owned->layer[l].output[p], error);
        }
    }
    if (!status) status = hg_tensors_check_all_taken(set, "the base has no such layer", error);
    return status;
}

hg_status hg_scales_open(const char *model_path, const hg_shape *shape, hg_scales **out,
                         hg_error *error)
{
    char path[HG_PATH_MAX];
    *out = NULL;
    hg_status status = hg_path_join(path, sizeof path, model_path, HG_SCALES_FILE, error);
    if (status || !hg_file_exists(path)) return status;
    hg_scales *scales = calloc(1, sizeof *scales);
    struct hg_scales_owned *owned = calloc(1, sizeof *owned);
    if (!scales || !owned) {
        free(scales);
        free(owned);
        return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", path);
    }
    scales->owned = owned;
    status = hg_tensors_open(path, &owned->set, error);
    if (!status) status = take_all(owned, shape, error);
    scales->layer = owned->layer;
    if (status)
        hg_scales_close(scales);
    else
        *out = scales;
    return status;
}

void hg_scales_close(hg_scales *scales)
{
    if (!scales) return;
    hg_tensors_close(&scales->owned->set);
    free(scales->owned);
    free(scales);
}
