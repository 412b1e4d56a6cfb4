/* adapter.c: an adapter in PEFT's form, or in GGUF (gguf_adapter.c), whichever the folder has. Asks
 * the configuration about every linear layer of the base and takes a pair of tensors for each that
 * it targets. A missing tensor and one too many are both refused, so what is
 * loaded is what was trained. */
#include "core/model/adapter.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buf.h"
#include "core/model/gguf_adapter.h"
#include "core/model/lora_config.h"
#include "core/model/projections.h"
#include "core/model/scales.h"
#include "core/model/tensors.h"
#include "kernels/cpu/convert.h"

struct hg_adapter_owned {
    hg_tensors tensors; /* of PEFT's form; of both, the memory */
    hg_gguf gguf;
    hg_lora_layer *layer; /* [layers] in the tensors' memory */
};

/* What the parts of one open share. */
typedef struct reading {
    const char *folder;
    hg_adapter *adapter;
    const hg_shape *shape;
    hg_lora_config *config;
    hg_error *error;
} reading;

/* adapter_config.json alone; nothing of the weights is looked at before it is understood. */
static hg_status read_config(const char *folder, hg_lora_config **out, hg_error *error)
{
    char path[HG_PATH_MAX];
    hg_buf text = hg_buf_new(HG_LIMIT_FILE_JSON);
    *out = NULL;
    hg_status status = hg_path_join(path, sizeof path, folder, "adapter_config.json", error);
    if (!status) status = hg_file_read(path, &text, error);
    if (!status) status = hg_lora_config_parse(hg_buf_text(&text), text.length, path, out, error);
    hg_buf_free(&text);
    return status;
}

/* Token ids mean something in one vocabulary only. */
static hg_status take_invocation(const reading *in)
{
    hg_adapter *adapter = in->adapter;
    adapter->invocations = hg_lora_config_invocation(in->config, adapter->invocation);
    for (uint32_t i = 0; i < adapter->invocations; i++)
        if ((uint32_t)adapter->invocation[i] >= in->shape->vocabulary)
            return hg_fail(in->error, HG_ERROR_FORMAT,
                           "%s/adapter_config.json: field alora_invocation_tokens: found %d, "
                           "expected less than %u, the base's vocabulary: the adapter was made for "
                           "another base model",
                           in->folder, adapter->invocation[i], in->shape->vocabulary);
    return HG_OK;
}

/* How the file calls a matrix. PEFT leaves the adapter's name out; a state dict that was saved
 * without PEFT's help has it. */
static void name_matrix(const hg_tensors *set, const char *module, char which, char *name)
{
    snprintf(name, HG_LIMIT_TENSOR_NAME, "base_model.model.%s.lora_%c.default.weight", module,
             which);
    if (!hg_tensors_have(set, name))
        snprintf(name, HG_LIMIT_TENSOR_NAME, "base_model.model.%s.lora_%c.weight", module, which);
}

/* One matrix of a pair, [rows, columns]. */
static hg_status take_matrix(const reading *in, const char *module, char which, uint32_t rows,
                             uint32_t columns, hg_matrix *out)
{
    char name[HG_LIMIT_TENSOR_NAME];
    hg_tensor tensor;
    hg_tensors *set = &in->adapter->owned->tensors;
    name_matrix(set, module, which, name);
    const hg_tensor_want want = {
        .name = name,
        .types = HG_TENSOR_FLOATS,
        .dimensions = 2,
        .shape = {rows, columns},
        .because = which == 'A' ? "rank by adapter_config.json, inputs of the base's layer"
                                : "outputs of the base's layer, rank by adapter_config.json"};
    hg_status status = hg_tensors_take(set, &want, &tensor, in->error);
    if (!status) status = hg_tensors_check_finite(set, &tensor, in->error);
    if (status) return status;
    assert(which == 'A' || which == 'B');
    in->adapter->lora.bytes += tensor.bytes;
    *out = hg_tensor_matrix(&tensor);
    return HG_OK;
}

/* A and B of one linear layer, if the configuration targets it; else the pair stays rank 0. */
static hg_status take_pair(const reading *in, uint32_t layer, hg_projection projection)
{
    char module[HG_LIMIT_TENSOR_NAME / 2];
    hg_lora_choice choice;
    uint32_t rows, columns;
    assert(layer < in->shape->layers);
    hg_lora *pair = &in->adapter->owned->layer[layer].pair[projection];
    hg_projection_name(layer, projection, module, sizeof module);
    hg_status status = hg_lora_config_choose(in->config, module, true, &choice, in->error);
    if (status || !choice.targeted) return status;
    hg_projection_size(in->shape, projection, &rows, &columns);
    status = take_matrix(in, module, 'A', choice.rank, columns, &pair->a);
    if (!status) status = take_matrix(in, module, 'B', rows, choice.rank, &pair->b);
    pair->rank = choice.rank;
    pair->scale = choice.scale;
    if (choice.rank > in->adapter->lora.rank_max) in->adapter->lora.rank_max = choice.rank;
    return status;
}

/* LoRA on the embedding or the head is well-formed, but no kernel of ours adds it. */
static hg_status refuse_tables(const reading *in)
{
    static const char *const tables[] = {"model.embed_tokens", "lm_head"};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        hg_lora_choice choice;
        hg_status status = hg_lora_config_choose(in->config, tables[i], false, &choice, in->error);
        if (status) return status;
        if (choice.targeted)
            return hg_fail(in->error, HG_ERROR_UNSUPPORTED,
                           "%s/adapter_config.json: field target_modules: names %s; LoRA is "
                           "supported on the linear layers of blocks only",
                           in->folder, tables[i]);
    }
    return HG_OK;
}

/* save_pretrained adds the embedding and the head when the vocabulary was enlarged in training, or
 * when it is told to. They replace the base's own, which the other lanes of a batch use. */
static hg_status refuse_saved_tables(const reading *in)
{
    static const char *const tables[] = {"model.embed_tokens", "lm_head"};
    const hg_safetensors *file = &in->adapter->owned->tensors.file[0];
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        char name[HG_LIMIT_TENSOR_NAME];
        snprintf(name, sizeof name, "base_model.model.%s.weight", tables[i]);
        const hg_tensor *table = hg_safetensors_find(file, name);
        if (!table) continue;
        uint64_t rows = table->dimensions == 2 ? table->shape[0] : 0;
        return hg_fail(in->error, HG_ERROR_UNSUPPORTED,
                       "%s: tensor %s: the adapter brings its own %s for %llu tokens, the "
                       "base has %u; train it with the base's vocabulary and save it with "
                       "save_embedding_layers=False",
                       file->path, name, i ? "head" : "embedding", (unsigned long long)rows,
                       in->shape->vocabulary);
    }
    return HG_OK;
}

/* Every linear layer of the base is asked about, then what is left in the file is refused: tensors
 * of a deeper base, of a module that is not targeted, or in a form that we do not know. */
static hg_status take_pairs(const reading *in)
{
    hg_adapter *adapter = in->adapter;
    hg_tensors *set = &adapter->owned->tensors;
    hg_status status = refuse_tables(in);
    if (!status) status = refuse_saved_tables(in);
    for (uint32_t l = 0; !status && l < in->shape->layers; l++)
        for (int p = 0; !status && p < HG_PROJECTIONS; p++)
            status = take_pair(in, l, (hg_projection)p);
    if (!status && !adapter->lora.rank_max)
        status = hg_fail(in->error, HG_ERROR_FORMAT,
                         "%s/adapter_config.json: field target_modules: names no linear layer of "
                         "the base",
                         in->folder);
    if (!status)
        status = hg_tensors_check_all_taken(
            set, "adapter_config.json does not target it, or the base has no such layer",
            in->error);
    adapter->lora.layer = adapter->owned->layer;
    adapter->lora.layers = in->shape->layers;
    return status;
}

/* The weights; PEFT's older form of them, a pickle, may run code when it is read. */
static hg_status open_weights(const char *folder, hg_tensors *out, hg_error *error)
{
    char path[HG_PATH_MAX], pickle[HG_PATH_MAX];
    hg_status status = hg_path_join(path, sizeof path, folder, "adapter_model.safetensors", error);
    if (!status) status = hg_path_join(pickle, sizeof pickle, folder, "adapter_model.bin", error);
    if (status) return status;
    if (!hg_file_exists(path) && hg_file_exists(pickle))
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "%s: PyTorch pickles are not read; save the adapter as safetensors", pickle);
    return hg_tensors_open(path, out, error);
}

static hg_status make_layers(const reading *in)
{
    struct hg_adapter_owned *owned = in->adapter->owned;
    owned->layer = hg_memory_alloc(&owned->tensors.memory, in->shape->layers, sizeof *owned->layer);
    return owned->layer ? HG_OK : hg_fail(in->error, HG_ERROR_MEMORY, "%s: no memory", in->folder);
}

static hg_status open_peft(reading *in)
{
    hg_status status = read_config(in->folder, &in->config, in->error);
    if (!status) status = open_weights(in->folder, &in->adapter->owned->tensors, in->error);
    if (!status) status = make_layers(in);
    if (!status) status = take_invocation(in);
    if (!status) status = take_pairs(in);
    hg_lora_config_free(in->config);
    return status;
}

static hg_status open_gguf(const reading *in, const char *path)
{
    struct hg_adapter_owned *owned = in->adapter->owned;
    hg_status status = hg_gguf_open(path, &owned->gguf, in->error);
    if (!status) status = make_layers(in);
    if (status) return status;
    return hg_gguf_adapter_take(&owned->gguf, in->shape, owned->layer, in->adapter, in->error);
}

hg_status hg_adapter_file(const char *folder, char *path, size_t size, bool *gguf, hg_error *error)
{
    char peft[HG_PATH_MAX];
    static const char *const files[] = {"adapter_model.safetensors", "adapter_config.json"};
    hg_status status = hg_path_join(path, size, folder, HG_ADAPTER_GGUF, error);
    if (status) return status;
    *gguf = hg_file_exists(path);
    for (size_t i = 0; *gguf && i < sizeof files / sizeof *files; i++) {
        status = hg_path_join(peft, sizeof peft, folder, files[i], error);
        if (status) return status;
        if (hg_file_exists(peft))
            return hg_fail(error, HG_ERROR_FORMAT,
                           "%s: stands beside " HG_ADAPTER_GGUF
                           "; a plugin is one adapter: remove the one or the other",
                           peft);
    }
    return *gguf ? HG_OK : hg_path_join(path, size, folder, files[0], error);
}

hg_status hg_adapter_open(const char *folder, const hg_shape *shape, hg_adapter **out,
                          hg_error *error)
{
    char path[HG_PATH_MAX];
    bool gguf = false;
    *out = NULL;
    hg_adapter *adapter = calloc(1, sizeof *adapter);
    struct hg_adapter_owned *owned = calloc(1, sizeof *owned);
    if (!adapter || !owned) {
        free(adapter);
        free(owned);
        hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", folder);
        return HG_ERROR_MEMORY;
    }
    adapter->owned = owned;
    reading in = {.folder = folder, .adapter = adapter, .shape = shape, .error = error};
    hg_status status = hg_adapter_file(folder, path, sizeof path, &gguf, error);
    if (!status) status = gguf ? open_gguf(&in, path) : open_peft(&in);
    if (status)
        hg_adapter_close(adapter);
    else
        *out = adapter;
    return status;
}

/* A copy of m as F32, its columns multiplied and its rows divided; either list may be NULL. */
static hg_status rescale(hg_adapter *adapter, hg_matrix *m, const float *times, const float *over,
                         hg_error *error)
{
    if (!times && !over) return HG_OK;
    float *out =
        hg_memory_alloc(&adapter->owned->tensors.memory, m->rows, m->columns * sizeof *out);
    if (!out) return hg_fail(error, HG_ERROR_MEMORY, "no memory for a scaled adapter");
    for (uint32_t r = 0; r < m->rows; r++) {
        float *row = out + (size_t)r * m->columns;
        hg_matrix_read(m, r, 0, m->columns, row);
        for (uint32_t c = 0; times && c < m->columns; c++) row[c] *= times[c];
        for (uint32_t c = 0; over && c < m->columns; c++) row[c] /= over[r];
    }
    adapter->lora.bytes += (size_t)m->rows * m->columns * (sizeof *out - hg_dtype_bytes(m->type));
    m->data = out;
    m->type = HG_F32;
    return HG_OK;
}

hg_status hg_adapter_open_on(const char *folder, const hg_model *model, hg_adapter **out,
                             hg_error *error)
{
    hg_scales *scales = NULL;
    const hg_shape *shape = &model->weights.shape;
    hg_status status = hg_adapter_open(folder, shape, out, error);
    if (!status) status = hg_scales_open(model->path, shape, &scales, error);
    for (uint32_t l = 0; !status && scales && l < shape->layers; l++) {
        for (int p = 0; !status && p < HG_PROJECTIONS; p++) {
            hg_lora *pair = &(*out)->owned->layer[l].pair[p];
            if (!pair->rank) continue;
            status = rescale(*out, &pair->a, scales->layer[l].input[p], NULL, error);
            if (!status) status = rescale(*out, &pair->b, NULL, scales->layer[l].output[p], error);
        }
    }
    hg_scales_close(scales);
    if (status) {
        hg_adapter_close(*out);
        *out = NULL;
    }
    return status;
}

void hg_adapter_close(hg_adapter *adapter)
{
    if (!adapter) return;
    hg_tensors_close(&adapter->owned->tensors);
    hg_gguf_close(&adapter->owned->gguf);
    free(adapter->owned);
    free(adapter);
}
