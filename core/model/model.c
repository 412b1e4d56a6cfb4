/* model.c: opens the files of a folder in order config, tokenizer, weights, and takes every tensor
 * that the architecture has. What is left over in the weights is refused: a bias, a scale or an
 * expert that was not applied would give wrong text without a word. */
#include "core/model/model.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/buf.h"
#include "core/model/config.h"
#include "core/model/gguf.h"
#include "core/model/gguf_model.h"
#include "core/model/identity.h"
#include "core/model/layers.h"
#include "core/model/licence.h"
#include "core/model/tokenizer.h"
#include "core/text/utf8.h"

struct hg_model_owned {
    hg_tensors tensors;
    hg_model_config config;
    hg_layers layers; /* in the tensors' memory */
};

static hg_status no_memory(const hg_model *model, hg_error *error)
{
    return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory for the model", model->path);
}

static hg_status check_folder(const char *path, hg_error *error)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return hg_fail(error, HG_ERROR_NOT_FOUND, "%s: no such model folder", path);
    if (S_ISDIR(st.st_mode)) return HG_OK;
    return hg_fail(error, HG_ERROR_UNSUPPORTED,
                   "%s: is a file, but not GGUF; expected a GGUF file or a folder in Hugging Face "
                   "layout (config.json, tokenizer.json, model.safetensors)",
                   path);
}

/* A model is called after its folder, also when that was given as "." or by a link. */
static hg_status name_model(hg_model *model, const char *path, hg_error *error)
{
    char *real = realpath(path, NULL);
    const char *name = real ? strrchr(real, '/') + 1 : path;
    snprintf(model->name, sizeof model->name, "%s", name);
    free(real);
    if (snprintf(model->path, sizeof model->path, "%s", path) >= (int)sizeof model->path)
        return hg_fail(error, HG_ERROR_LIMIT, "%s: path too long", path);
    return HG_OK;
}

/* The two parsers of config.c have this form. */
typedef hg_status parse_text(const char *bytes, size_t count, const char *file,
                             hg_model_config *config, hg_error *error);

static hg_status parse_file(const char *path, parse_text *parse, hg_model_config *config,
                            hg_error *error)
{
    hg_buf text = hg_buf_new(HG_LIMIT_FILE_JSON);
    hg_status status = hg_file_read(path, &text, error);
    if (!status) status = parse(hg_buf_text(&text), text.length, path, config, error);
    hg_buf_free(&text);
    return status;
}

/* Both configs and the model's tokens and form, before any of the weights is looked at: most wrong
 * folders end here, and their message then names a field instead of a tensor. */
static hg_status read_configs(hg_model *model, hg_error *error)
{
    char path[HG_PATH_MAX];
    hg_model_config *config = &model->owned->config;
    hg_status status = hg_path_join(path, sizeof path, model->path, "config.json", error);
    if (!status) status = parse_file(path, hg_model_config_parse, config, error);
    if (!status)
        status = hg_path_join(path, sizeof path, model->path, "generation_config.json", error);
    if (!status && hg_file_exists(path))
        status = parse_file(path, hg_generation_config_parse, config, error);
    if (!status) status = hg_model_find_tokenizer(model, error);
    if (status) return status;
    model->bos = config->bos;
    model->stops = config->stops;
    memcpy(model->stop, config->stop, sizeof model->stop);
    return HG_OK;
}

/* [vocabulary, hidden] in the file's type. */
static hg_status take_table(hg_model *model, const char *name, hg_matrix *out, hg_error *error)
{
    hg_tensor tensor;
    hg_tensors *set = &model->owned->tensors;
    const hg_shape *shape = &model->weights.shape;
    const hg_tensor_want want = {.name = name,
                                 .types = HG_TENSOR_FLOATS,
                                 .dimensions = 2,
                                 .shape = {shape->vocabulary, shape->hidden},
                                 .because = "vocab_size, hidden_size of config.json"};
    hg_status status = hg_tensors_take(set, &want, &tensor, error);
    if (!status) status = hg_tensors_check_finite(set, &tensor, error);
    if (status) return status;
    *out = hg_tensor_matrix(&tensor);
    return HG_OK;
}

/* Compared piece by piece: two large tables need not be in memory together. */
static bool same_table(const hg_tensors *set, const hg_matrix *a, const hg_matrix *b)
{
    enum { PIECE = 4 << 20 };
    const uint8_t *left = a->data, *right = b->data;
    const size_t size = (size_t)a->rows * a->columns * (a->type == HG_F32 ? 4 : 2);
    bool same = a->type == b->type;
    for (size_t at = 0; same && left != right && at < size; at += PIECE) {
        size_t bytes = size - at < PIECE ? size - at : PIECE;
        same = memcmp(left + at, right + at, bytes) == 0;
        hg_tensors_release(set, left + at, bytes);
        hg_tensors_release(set, right + at, bytes);
    }
    return same;
}

/* Tied models may still carry the head; it must then be the embedding, or one of them is wrong. */
static hg_status take_head(hg_model *model, hg_error *error)
{
    static const char name[] = "lm_head.weight";
    hg_weights *w = &model->weights;
    const uint64_t elements = (uint64_t)w->shape.vocabulary * w->shape.hidden;
    hg_matrix head = w->embedding;
    hg_status status = HG_OK;
    if (!model->owned->config.tied || hg_tensors_have(&model->owned->tensors, name))
        status = take_table(model, name, &head, error);
    if (status) return status;
    if (model->owned->config.tied && !same_table(&model->owned->tensors, &head, &w->embedding))
        return hg_fail(error, HG_ERROR_FORMAT,
                       "%s: tensor %s differs from model.embed_tokens.weight, but config.json says "
                       "tie_word_embeddings",
                       model->owned->tensors.path, name);
    w->head = model->owned->config.tied ? w->embedding : head;
    model->parameters += elements * (model->owned->config.tied ? 1 : 2);
    return HG_OK;
}

/* "GPTQ INT4 group 128, 2 layers dense"; of a model that is dense all over, "BF16". */
static void name_form(hg_model *model)
{
    static const char *const type[] = {"F32", "F16", "BF16"};
    const hg_layers *layers = &model->owned->layers;
    const hg_quantization *q = &model->owned->config.quantization;
    char form[sizeof model->weights_form];
    hg_quantization_name(q, form, sizeof form);
    if (q->form == HG_FORM_DENSE)
        snprintf(form, sizeof form, "%s", type[layers->layer[0].linear[0].dense_type]);
    else if (layers->dense)
        snprintf(form + strlen(form), sizeof form - strlen(form), ", %u dense", layers->dense);
    snprintf(model->weights_form, sizeof model->weights_form, "%s", form);
}

static hg_status identify(hg_model *model, hg_error *error)
{
    char config[HG_PATH_MAX];
    hg_identity identity;
    const hg_tensors *set = &model->owned->tensors;
    hg_identity_start(&identity);
    hg_status status = hg_path_join(config, sizeof config, model->path, "config.json", error);
    if (!status) status = hg_identity_add_text(&identity, config, error);
    for (uint32_t i = 0; i < set->files && !status; i++)
        status = hg_identity_add(&identity, &set->file[i].mapping, error);
    if (!status) status = hg_identity_finish(&identity, model->identity, error);
    hg_identity_free(&identity);
    return status;
}

/* Everything that the architecture has, then the question what is left. */
static hg_status take_weights(hg_model *model, hg_error *error)
{
    struct hg_model_owned *owned = model->owned;
    hg_weights *w = &model->weights;
    assert(owned->config.shape.layers > 0 && owned->config.shape.head_dim % 2 == 0);
    w->shape = owned->config.shape;
    hg_status status = hg_tensors_open_model(model->path, &owned->tensors, error);
    if (status) return status;
    hg_memory *memory = &owned->tensors.memory;
    float *rope = hg_memory_alloc(memory, w->shape.head_dim / 2, sizeof *rope);
    if (!rope) return no_memory(model, error);
    hg_rope_frequencies(&owned->config.rope, w->shape.head_dim, rope);
    w->rope_frequency = rope;
    status = take_table(model, "model.embed_tokens.weight", &w->embedding, error);
    if (!status)
        status = hg_layers_take_norm(&owned->tensors, "model.norm.weight", w->shape.hidden,
                                     &w->final_norm, error);
    if (!status) status = take_head(model, error);
    if (!status)
        status = hg_layers_take(&owned->layers, &owned->tensors, &w->shape,
                                &owned->config.quantization, error);
    if (!status)
        status = hg_tensors_check_all_taken(&owned->tensors,
                                            "LlamaForCausalLM as config.json describes it has no "
                                            "such tensor",
                                            error);
    if (status) return status;
    w->layer = owned->layers.layer;
    owned->layers.head = w->head;
    w->source = (hg_layer_source){.hold = hg_layers_hold,
                                  .release = hg_layers_release,
                                  .pass = hg_layers_pass,
                                  .context = &owned->layers};
    model->parameters += owned->layers.parameters + w->shape.hidden;
    name_form(model);
    model->file_bytes = hg_tensors_bytes(&owned->tensors);
    return HG_OK;
}

hg_status hg_model_open(const char *path, hg_model **out, hg_error *error)
{
    return hg_model_open_kept(path, NULL, out, error);
}

hg_status hg_model_open_kept(const char *path, const char *cache, hg_model **out, hg_error *error)
{
    *out = NULL;
    if (hg_gguf_is(path)) return hg_gguf_model_open(path, cache, out, error);
    hg_model *model = calloc(1, sizeof *model);
    struct hg_model_owned *owned = calloc(1, sizeof *owned);
    if (!model || !owned) {
        free(model);
        free(owned);
        return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", path);
    }
    model->owned = owned;
    hg_status status = check_folder(path, error);
    if (!status) status = name_model(model, path, error);
    if (!status) status = read_configs(model, error);
    if (!status) status = hg_notice_of_folder(path, model->notice, sizeof model->notice, error);
    if (!status) status = take_weights(model, error);
    if (!status) status = identify(model, error);
    if (!status)
        status = hg_tensors_fingerprint(&owned->tensors, cache, model->identity,
                                        &model->fingerprint, error);
    if (status)
        hg_model_close(model);
    else
        *out = model;
    return status;
}

const char *hg_model_fingerprint(const hg_model *model)
{
    return hg_fingerprint_wait(model->fingerprint);
}

void hg_model_close(hg_model *model)
{
    if (!model) return;
    hg_fingerprint_stop(model->fingerprint);
    if (model->gguf) {
        hg_gguf_model_close(model);
        return;
    }
    hg_layers_free(&model->owned->layers);
    hg_tensors_close(&model->owned->tensors);
    free(model->owned);
    free(model);
}
