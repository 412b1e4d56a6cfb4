/* gguf_adapter.c: metadata, then a pair of tensors for each linear layer of the base that the file
 * has one for; what is left over is refused. Matrices are used where they lie, but B of q and k,
 * whose rows stand in the order of llama.cpp's own q and k (hg_gguf_row): they are copied. */
#include "core/model/gguf_adapter.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/model/gguf_config.h"
#include "core/model/gguf_model.h"
#include "core/model/gguf_tensor.h"
#include "core/model/projections.h"
#include "core/model/tensors.h"

/* What the parts of one open share. */
typedef struct reading {
    hg_gguf *file;
    const hg_shape *shape;
    hg_adapter *adapter;
    double alpha;
    hg_error *error;
} reading;

/* llama.cpp takes an alpha of 0 for "not scaled", PEFT for "no adapter": neither is guessed. */
static hg_status read_alpha(reading *in)
{
    static const char key[] = "adapter.lora.alpha";
    hg_gguf_text type = {0};
    hg_status status = hg_gguf_check_kind(in->file, "adapter", in->error);
    if (!status) status = hg_gguf_string(in->file, "adapter.type", true, &type, in->error);
    if (status) return status;
    if (!hg_gguf_text_is(type, "lora"))
        return hg_fail(in->error, HG_ERROR_UNSUPPORTED,
                       "%s: key adapter.type: found %.*s; only lora is supported", in->file->path,
                       type.length < 64 ? (int)type.length : 64, type.text);
    status = hg_gguf_number(in->file, key, true, &in->alpha, in->error);
    if (!status && (!isfinite(in->alpha) || in->alpha == 0))
        status = hg_fail(in->error, HG_ERROR_FORMAT,
                         "%s: key %s: found %g, expected a number other than 0", in->file->path,
                         key, in->alpha);
    return status;
}

/* aLoRA's tokens, u32 as llama.cpp wants them. They mean something in one vocabulary only. */
static hg_status read_invocation(reading *in)
{
    static const char key[] = "adapter.alora.invocation_tokens";
    const hg_gguf_value *list;
    hg_adapter *adapter = in->adapter;
    hg_status status = hg_gguf_array(in->file, key, HG_GGUF_U32, false, &list, in->error);
    if (status || !list) return status;
    if (list->count < 1 || list->count > HG_INVOCATION_MAX)
        return hg_fail(in->error, HG_ERROR_LIMIT, "%s: key %s: %llu tokens, expected 1 to %d",
                       in->file->path, key, (unsigned long long)list->count, HG_INVOCATION_MAX);
    for (uint32_t i = 0; i < list->count; i++) {
        const int64_t token = hg_gguf_integer(list, i);
        if (token >= in->shape->vocabulary)
            return hg_fail(in->error, HG_ERROR_FORMAT,
                           "%s: key %s: found %lld, expected less than %u, the base's vocabulary: "
                           "the adapter was made for another base model",
                           in->file->path, key, (long long)token, in->shape->vocabulary);
        adapter->invocation[i] = (int32_t)token;
    }
    adapter->invocations = (uint32_t)list->count;
    return HG_OK;
}

/* The rank of a pair is the number of rows of its A. */
static hg_status read_rank(const reading *in, const hg_gguf_tensor *a, uint32_t *out)
{
    const uint64_t rank = a->dimensions == 2 ? a->shape[1] : 0;
    *out = (uint32_t)rank;
    if (rank >= 1 && rank <= HG_LIMIT_ADAPTER_RANK) return HG_OK;
    return hg_fail(in->error, HG_ERROR_LIMIT,
                   "%s: tensor %s: found %u dimensions, rank %llu, expected 2 and 1 to %d",
                   in->file->path, a->name, a->dimensions, (unsigned long long)rank,
                   HG_LIMIT_ADAPTER_RANK);
}

/* One matrix of a pair where it lies. */
static hg_status take_matrix(reading *in, const hg_gguf_want *want, hg_matrix *out)
{
    const hg_gguf_tensor *tensor = NULL;
    const hg_gguf_type *type = NULL;
    hg_status status = hg_gguf_take(in->file, want, &tensor, &type, in->error);
    if (!status) status = hg_gguf_check_finite(in->file, tensor, in->error);
    if (status) return status;
    const hg_tensor floats = hg_gguf_floats(tensor);
    in->adapter->lora.bytes += tensor->bytes;
    *out = hg_tensor_matrix(&floats);
    return HG_OK;
}

/* B of q or k with its rows in our order. */
static hg_status unpermute(reading *in, hg_matrix *b)
{
    const size_t bytes = b->columns * (b->type == HG_F32 ? sizeof(float) : sizeof(uint16_t));
    uint8_t *out = hg_memory_alloc(&in->file->memory, b->rows, bytes);
    if (!out) return hg_fail(in->error, HG_ERROR_MEMORY, "%s: no memory", in->file->path);
    for (uint32_t row = 0; row < b->rows; row++)
        memcpy(out + row * bytes,
               (const uint8_t *)b->data + hg_gguf_row(row, in->shape->head_dim) * bytes, bytes);
    b->data = out;
    return HG_OK;
}

/* A and B of one linear layer, if the file has any of them; else the pair stays rank 0. */
static hg_status take_pair(reading *in, uint32_t layer, hg_projection projection, hg_lora *pair)
{
    char name_a[HG_LIMIT_TENSOR_NAME], name_b[HG_LIMIT_TENSOR_NAME];
    uint32_t rows, columns, rank = 0;
    hg_gguf_projection_name(layer, projection, "weight.lora_a", name_a, sizeof name_a);
    hg_gguf_projection_name(layer, projection, "weight.lora_b", name_b, sizeof name_b);
    const hg_gguf_tensor *a = hg_gguf_find_tensor(in->file, name_a);
    const hg_gguf_tensor *b = hg_gguf_find_tensor(in->file, name_b);
    if (!a && !b) return HG_OK;
    if (!a || !b)
        return hg_fail(in->error, HG_ERROR_FORMAT, "%s: tensor %s is missing, the other half of %s",
                       in->file->path, a ? name_b : name_a, a ? name_a : name_b);
    hg_status status = read_rank(in, a, &rank);
    if (status) return status;
    hg_projection_size(in->shape, projection, &rows, &columns);
    const hg_gguf_want want_a = {name_a, rank, columns, false, "the inputs of the base's layer"};
    const hg_gguf_want want_b = {name_b, rows, rank, false,
                                 "lora_a's rank and the outputs of the base's layer"};
    status = take_matrix(in, &want_a, &pair->a);
    if (!status) status = take_matrix(in, &want_b, &pair->b);
    if (!status && (projection == HG_Q || projection == HG_K)) status = unpermute(in, &pair->b);
    pair->rank = rank;
    pair->scale = (float)(in->alpha / rank);
    if (rank > in->adapter->lora.rank_max) in->adapter->lora.rank_max = rank;
    return status;
}

/* LoRA on the embedding or the head is well-formed, but no kernel of ours adds it; nor do we add
 * norms, which llama.cpp passes over in silence. */
static hg_status refuse_others(const reading *in)
{
    static const struct {
        const char *begin, *what;
    } others[] = {{"token_embd.weight", "the embedding"}, {"output.weight", "the head"}};
    for (uint32_t t = 0; t < in->file->tensors; t++)
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
            if (strncmp(in->file->tensor[t].name, others[i].begin, strlen(others[i].begin)) == 0)
                return hg_fail(in->error, HG_ERROR_UNSUPPORTED,
                               "%s: tensor %s: LoRA on %s is not supported, only on the linear "
                               "layers of blocks",
                               in->file->path, in->file->tensor[t].name, others[i].what);
    return hg_gguf_check_all_taken(
        in->file, "the base has no such linear layer, or it is no half of a LoRA pair", in->error);
}

hg_status hg_gguf_adapter_take(hg_gguf *file, const hg_shape *shape, hg_lora_layer *layer,
                               hg_adapter *adapter, hg_error *error)
{
    reading in = {.file = file, .shape = shape, .adapter = adapter, .error = error};
    hg_status status = read_alpha(&in);
    if (!status) status = read_invocation(&in);
    for (uint32_t l = 0; !status && l < shape->layers; l++)
        for (int p = 0; !status && p < HG_PROJECTIONS; p++)
            status = take_pair(&in, l, (hg_projection)p, &layer[l].pair[p]);
    if (!status) status = refuse_others(&in);
    if (!status && !adapter->lora.rank_max)
        status = hg_fail(error, HG_ERROR_FORMAT, "%s: holds no LoRA pair", file->path);
    adapter->lora.layer = layer;
    adapter->lora.layers = shape->layers;
    return status;
}
