/* gguf_model.c: metadata, then every tensor that the architecture has, then the question what is
 * left, as model.c does with a folder.
 *
 * The file's blocks are no device's form. Tables are put in order once and stay; the linear layers
 * of a block are put in order while somebody holds it (hg_layer_source), so that a large model is
 * never in memory twice; the file's pages leave memory when they were read. Opening reads the
 * scales of all blocks, which must be finite; what rounding those of Q4_K and Q6_K costs is
 * measured on every sixteenth row.
 */
#include "core/model/gguf_model.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/log.h"
#include "core/model/gguf_config.h"
#include "core/model/gguf_tensor.h"
#include "core/model/gguf_tokenizer.h"
#include "core/model/identity.h"
#include "core/model/licence.h"
#include "core/model/projections.h"
#include "core/model/tensors.h"
#include "core/text/utf8.h"

enum { LINE = 64, ROWS_PER_LOSS = 16 };

/* Where a matrix comes from. */
typedef struct origin {
    const hg_gguf_tensor *tensor;
    const hg_gguf_type *type;
    uint32_t head_dim; /* of q and k, whose rows stand in another order; else 0 */
} origin;

struct hg_gguf_model {
    hg_gguf file;
    hg_model_config config;
    hg_tensors set;  /* no files: the memory of all that is made of tensors */
    hg_layer *layer; /* [layers] */
    origin *origins; /* [layers, HG_PROJECTIONS] */
    uint32_t *holds; /* [layers] */
    void **block;    /* [layers] owned: what a held layer was put in order into, or NULL */
    hg_linear table[2];
    origin head;            /* whose pages a release behind the last layer gives back */
    double worst;           /* normalised error of the tensor that rounding changed most */
    const char *worst_name; /* that tensor, or NULL: nothing was rounded */
    uint32_t uses[64];      /* linear layers by number of their type */
};

static hg_status no_memory(const struct hg_gguf_model *g, hg_error *error)
{
    return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory for the model", g->file.path);
}

/* ---- matrices in order ---- */

static size_t up_to_line(size_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

/* Who lays out memory asks layers that nobody holds whether they have offsets: this pointer says
 * yes, and is not read. */
static const uint16_t unheld[1];

/* Dense matrices whose rows stand in our order are used where they lie. */
static bool lies_right(const origin *from)
{
    return from->type->dense && !from->head_dim;
}

/* Memory that putting w in order takes: codes, scales, offsets, each on a line of its own. */
static size_t order_bytes(const hg_linear *w, const origin *from)
{
    const size_t values = (size_t)w->rows * w->columns;
    if (lies_right(from)) return 0;
    if (from->type->dense) return up_to_line(values * from->type->bytes);
    size_t scales = up_to_line(values / w->group * 2);
    return up_to_line(values * w->bits / 8) + scales * (from->type->offsets ? 2 : 1);
}

static const uint8_t *row_in_file(const origin *from, uint32_t row, uint32_t columns)
{
    const size_t bytes = (size_t)columns / from->type->block * from->type->bytes;
    if (from->head_dim) row = hg_gguf_row(row, from->head_dim);
    return from->tensor->data + row * bytes;
}

/* Puts w in order into to [order_bytes]; its scales were found finite before. */
static void order(hg_linear *w, const origin *from, uint8_t *to)
{
    const size_t values = (size_t)w->rows * w->columns;
    const size_t row_bytes = (size_t)w->columns * (w->bits ? w->bits : from->type->bytes * 8u) / 8;
    if (lies_right(from)) return;
    if (from->type->dense) {
        for (uint32_t r = 0; r < w->rows; r++)
            memcpy(to + r * row_bytes, row_in_file(from, r, w->columns), row_bytes);
        w->dense = to;
        return;
    }
    const uint32_t groups = w->columns / w->group;
    uint16_t *scales = (uint16_t *)(void *)(to + up_to_line(values * w->bits / 8));
    uint16_t *offsets = from->type->offsets ? scales + up_to_line(values / w->group * 2) / 2 : NULL;
    for (uint32_t r = 0; r < w->rows; r++) {
        hg_block_row row = {to + r * row_bytes, scales + (size_t)r * groups,
                            offsets ? offsets + (size_t)r * groups : NULL};
        bool fine =
            hg_block_row_order(from->type, row_in_file(from, r, w->columns), w->columns, row, NULL);
        assert(fine);
        (void)fine;
    }
    w->codes = to;
    w->scales = scales;
    w->offsets = offsets;
}

static void release_pages(const struct hg_gguf_model *g, const origin *from)
{
    hg_file_release(&g->file.mapping, from->tensor->data, from->tensor->bytes);
}

static hg_status hold(void *context, uint32_t layer, hg_error *error)
{
    struct hg_gguf_model *g = context;
    if (layer >= g->config.shape.layers || g->holds[layer]++) return HG_OK;
    hg_layer *own = &g->layer[layer];
    const origin *from = &g->origins[(size_t)layer * HG_PROJECTIONS];
    size_t bytes = LINE;
    for (uint32_t p = 0; p < HG_PROJECTIONS; p++) bytes += order_bytes(&own->linear[p], &from[p]);
    uint8_t *to = aligned_alloc(LINE, bytes);
    if (!to) {
        g->holds[layer]--;
        return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory to put layer %u in order: %zu bytes",
                       g->file.path, layer, bytes);
    }
    g->block[layer] = to;
    for (uint32_t p = 0; p < HG_PROJECTIONS; p++) {
        order(&own->linear[p], &from[p], to);
        to += order_bytes(&own->linear[p], &from[p]);
        if (!lies_right(&from[p])) release_pages(g, &from[p]);
    }
    return HG_OK;
}

static void release(void *context, uint32_t layer)
{
    struct hg_gguf_model *g = context;
    if (layer >= g->config.shape.layers) {
        if (lies_right(&g->head)) release_pages(g, &g->head);
        return;
    }
    assert(g->holds[layer] > 0);
    if (--g->holds[layer]) return;
    for (uint32_t p = 0; p < HG_PROJECTIONS; p++) {
        hg_linear *w = &g->layer[layer].linear[p];
        const origin *from = &g->origins[(size_t)layer * HG_PROJECTIONS + p];
        if (lies_right(from))
            release_pages(g, from);
        else
            w->dense = NULL;
        w->codes = NULL;
        w->scales = NULL;
        if (w->offsets) w->offsets = unheld;
    }
    free(g->block[layer]);
    g->block[layer] = NULL;
}

static void pass(void *context, const void *data, size_t bytes)
{
    const struct hg_gguf_model *g = context;
    hg_file_release(&g->file.mapping, data, bytes);
}

/* ---- taking ---- */

static const char by_metadata[] = "the metadata";

/* [count] as F32. */
static hg_status take_floats(struct hg_gguf_model *g, const char *name, uint32_t count,
                             const float **out, hg_error *error)
{
    origin from = {0};
    const hg_gguf_want want = {.name = name, .columns = count, .because = by_metadata};
    hg_status status = hg_gguf_take(&g->file, &want, &from.tensor, &from.type, error);
    if (!status) status = hg_gguf_check_finite(&g->file, from.tensor, error);
    if (status) return status;
    const hg_tensor tensor = hg_gguf_floats(from.tensor);
    *out = hg_tensors_to_f32(&g->set, &tensor);
    return *out ? HG_OK : no_memory(g, error);
}

/* Adds what rounding cost every ROWS_PER_LOSS-th row, put in order into row, to loss. */
static void measure_loss(const hg_linear *w, const origin *from, hg_block_row row,
                         hg_block_loss *loss)
{
    for (uint32_t r = 0; r < w->rows; r += ROWS_PER_LOSS) {
        bool fine =
            hg_block_row_order(from->type, row_in_file(from, r, w->columns), w->columns, row, loss);
        assert(fine);
        (void)fine;
    }
}

/* Of K-quants: the loss of the tensor that it changed most. */
static hg_status note_loss(struct hg_gguf_model *g, const hg_linear *w, const origin *from,
                           hg_error *error)
{
    hg_block_loss loss = {0};
    const uint32_t groups = w->columns / w->group;
    uint8_t *scratch = malloc((size_t)w->columns + 4 * (size_t)groups);
    if (!scratch) return no_memory(g, error);
    uint16_t *scales = (uint16_t *)(void *)scratch;
    const hg_block_row row = {scratch + 4 * (size_t)groups, scales,
                              from->type->offsets ? scales + groups : NULL};
    measure_loss(w, from, row, &loss);
    free(scratch);
    const double part = loss.norm > 0 ? loss.error / loss.norm : 0;
    if (g->worst_name && part <= g->worst) return HG_OK;
    g->worst = part;
    g->worst_name = from->tensor->name;
    return HG_OK;
}

/* The scales of all blocks, after which the pages leave memory again. */
static hg_status check_blocks(struct hg_gguf_model *g, const hg_linear *w, const origin *from,
                              hg_error *error)
{
    for (uint32_t r = 0; r < w->rows; r++)
        if (!hg_block_row_check(from->type, row_in_file(from, r, w->columns), w->columns))
            return hg_fail(error, HG_ERROR_FORMAT,
                           "%s: tensor %s: a scale of row %u is NaN, infinite or too large for F16",
                           g->file.path, from->tensor->name, r);
    hg_status status = from->type->rounded ? note_loss(g, w, from, error) : HG_OK;
    release_pages(g, from);
    return status;
}

/* A matrix, without its codes yet. */
static hg_status take_matrix(struct hg_gguf_model *g, const char *name, hg_linear *w, origin *from,
                             hg_error *error)
{
    const hg_gguf_want want = {name, w->rows, w->columns, true, by_metadata};
    hg_status status = hg_gguf_take(&g->file, &want, &from->tensor, &from->type, error);
    if (status) return status;
    w->bits = from->type->bits;
    w->group = from->type->group;
    w->offsets = from->type->offsets ? unheld : NULL;
    if (w->bits) return check_blocks(g, w, from, error);
    w->dense_type = from->type->floats;
    if (lies_right(from)) w->dense = from->tensor->data;
    return hg_gguf_check_finite(&g->file, from->tensor, error);
}

/* Embedding or head, put in order for good. */
static hg_status take_table(struct hg_gguf_model *g, const char *name, hg_linear *w, hg_matrix *out,
                            hg_error *error)
{
    origin from = {0};
    *w = (hg_linear){.rows = g->config.shape.vocabulary, .columns = g->config.shape.hidden};
    hg_status status = take_matrix(g, name, w, &from, error);
    if (status) return status;
    if (!lies_right(&from)) {
        uint8_t *to = hg_memory_alloc(&g->set.memory, order_bytes(w, &from), 1);
        if (!to) return no_memory(g, error);
        order(w, &from, to);
        release_pages(g, &from);
    }
    g->head = from;
    *out = hg_linear_matrix(w);
    return HG_OK;
}

static const char *const names[HG_PROJECTIONS] = {
    [HG_Q] = "attn_q",      [HG_K] = "attn_k",  [HG_V] = "attn_v",      [HG_O] = "attn_output",
    [HG_GATE] = "ffn_gate", [HG_UP] = "ffn_up", [HG_DOWN] = "ffn_down",
};

void hg_gguf_projection_name(uint32_t layer, hg_projection projection, const char *suffix,
                             char *out, size_t size)
{
    assert(projection < HG_PROJECTIONS);
    snprintf(out, size, "blk.%u.%s.%s", layer, names[projection], suffix);
}

/* Norms and projections of one block. */
static hg_status take_layer(hg_model *model, uint32_t index, hg_error *error)
{
    char name[HG_LIMIT_TENSOR_NAME];
    struct hg_gguf_model *g = model->gguf;
    const hg_shape *shape = &g->config.shape;
    hg_layer *layer = &g->layer[index];
    snprintf(name, sizeof name, "blk.%u.attn_norm.weight", index);
    hg_status status = take_floats(g, name, shape->hidden, &layer->attention_norm, error);
    snprintf(name, sizeof name, "blk.%u.ffn_norm.weight", index);
    if (!status) status = take_floats(g, name, shape->hidden, &layer->mlp_norm, error);
    model->parameters += 2 * (uint64_t)shape->hidden;
    for (int p = 0; !status && p < HG_PROJECTIONS; p++) {
        hg_linear *w = &layer->linear[p];
        origin *from = &g->origins[(size_t)index * HG_PROJECTIONS + (size_t)p];
        if (p == HG_Q || p == HG_K) from->head_dim = shape->head_dim;
        hg_projection_size(shape, (hg_projection)p, &w->rows, &w->columns);
        hg_gguf_projection_name(index, (hg_projection)p, "weight", name, sizeof name);
        status = take_matrix(g, name, w, from, error);
        if (status) return status;
        model->parameters += (uint64_t)w->rows * w->columns;
        g->uses[from->type->number]++;
    }
    return status;
}

/* Llama 3's scaling: each frequency has a factor that it is divided by. */
static hg_status take_rope(hg_model *model, hg_error *error)
{
    struct hg_gguf_model *g = model->gguf;
    const uint32_t pairs = g->config.shape.head_dim / 2;
    const float *factor = NULL;
    float *rope = hg_memory_alloc(&g->set.memory, pairs, sizeof *rope);
    if (!rope) return no_memory(g, error);
    hg_rope_frequencies(&g->config.rope, g->config.shape.head_dim, rope);
    model->weights.rope_frequency = rope;
    if (!hg_gguf_find_tensor(&g->file, "rope_freqs.weight")) return HG_OK;
    hg_status status = take_floats(g, "rope_freqs.weight", pairs, &factor, error);
    for (uint32_t i = 0; !status && i < pairs; i++) {
        if (!(factor[i] > 0))
            return hg_fail(error, HG_ERROR_FORMAT,
                           "%s: tensor rope_freqs.weight: factor %u is %g, expected more than 0",
                           g->file.path, i, (double)factor[i]);
        rope[i] /= factor[i];
    }
    return status;
}

static hg_status take_tables(hg_model *model, hg_error *error)
{
    struct hg_gguf_model *g = model->gguf;
    hg_weights *w = &model->weights;
    hg_status status = take_table(g, "token_embd.weight", &g->table[0], &w->embedding, error);
    w->head = w->embedding;
    if (!status && !g->config.tied)
        status = take_table(g, "output.weight", &g->table[1], &w->head, error);
    if (!status)
        status = take_floats(g, "output_norm.weight", w->shape.hidden, &w->final_norm, error);
    model->parameters +=
        (uint64_t)w->shape.vocabulary * w->shape.hidden * (g->config.tied ? 1 : 2) +
        w->shape.hidden;
    return status;
}

static hg_status take_weights(hg_model *model, hg_error *error)
{
    struct hg_gguf_model *g = model->gguf;
    hg_weights *w = &model->weights;
    hg_memory *memory = &g->set.memory;
    const uint32_t layers = g->config.shape.layers;
    w->shape = g->config.shape;
    g->layer = hg_memory_alloc(memory, layers, sizeof *g->layer);
    g->origins = hg_memory_alloc(memory, (size_t)layers * HG_PROJECTIONS, sizeof *g->origins);
    g->holds = hg_memory_alloc(memory, layers, sizeof *g->holds);
    g->block = hg_memory_alloc(memory, layers, sizeof *g->block);
    if (!g->layer || !g->origins || !g->holds || !g->block) return no_memory(g, error);
    hg_status status = take_tables(model, error);
    if (!status) status = take_rope(model, error);
    for (uint32_t i = 0; !status && i < layers; i++) status = take_layer(model, i, error);
    if (!status)
        status = hg_gguf_check_all_taken(
            &g->file, "a llama as the metadata describe it has no such tensor", error);
    w->layer = g->layer;
    w->source = (hg_layer_source){hold, release, pass, g};
    return status;
}

/* ---- what people see ---- */

/* Printable UTF-8 of a text into out; false when it is none. */
static bool copy_text(hg_gguf_text text, char *out, size_t room)
{
    if (text.length == 0 || text.length >= room ||
        hg_utf8_valid(text.text, (size_t)text.length) != text.length)
        return false;
    for (uint64_t i = 0; i < text.length; i++)
        if ((unsigned char)text.text[i] < ' ' || text.text[i] == 127) return false;
    snprintf(out, room, "%.*s", (int)text.length, text.text);
    return true;
}

/* general.name, or the file's name where there is none that can be shown. */
static hg_status name_model(hg_model *model, const char *path, hg_error *error)
{
    const struct hg_gguf_model *g = model->gguf;
    hg_gguf_text name = {0}, licence = {0};
    char id[256];
    const char *file = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    hg_status status = hg_gguf_string(&g->file, "general.name", false, &name, error);
    if (!status) status = hg_gguf_string(&g->file, "general.license", false, &licence, error);
    if (status) return status;
    if (!copy_text(name, model->name, sizeof model->name))
        snprintf(model->name, sizeof model->name, "%.*s", (int)sizeof model->name - 1, file);
    if (copy_text(licence, id, sizeof id))
        (void)hg_notice_of_licence(id, model->notice, sizeof model->notice);
    if (snprintf(model->path, sizeof model->path, "%s", path) >= (int)sizeof model->path)
        return hg_fail(error, HG_ERROR_LIMIT, "%s: path too long", path);
    snprintf(model->tokenizer_path, sizeof model->tokenizer_path, "%s", path);
    return HG_OK;
}

/* "GGUF Q4_K, scales rounded to F16: error 3.1e-08": the type of most linear layers. */
static void name_form(hg_model *model)
{
    const struct hg_gguf_model *g = model->gguf;
    uint32_t most = 0;
    for (uint32_t t = 0; t < sizeof g->uses / sizeof *g->uses; t++)
        if (g->uses[t] > g->uses[most]) most = t;
    const char *type = hg_gguf_type_find(most)->name;
    if (!g->worst_name) {
        snprintf(model->weights_form, sizeof model->weights_form, "GGUF %s", type);
        return;
    }
    snprintf(model->weights_form, sizeof model->weights_form,
             "GGUF %s, scales rounded to F16: error %.1e", type, g->worst);
    hg_log(HG_LOG_INFO, "model",
           "%s: scales of Q4_K and Q6_K were rounded to F16: normalised error of the weights up to "
           "%.2e, in %s",
           g->file.path, g->worst, g->worst_name);
}

static hg_status read_model(hg_model *model, hg_error *error)
{
    struct hg_gguf_model *g = model->gguf;
    const hg_gguf *file = &g->file;
    snprintf(g->set.path, sizeof g->set.path, "%s", file->path);
    hg_status status = hg_gguf_config(file, &g->config, error);
    if (!status) status = name_model(model, file->path, error);
    if (!status) status = take_weights(model, error);
    if (status) return status;
    model->bos = g->config.bos;
    model->stops = g->config.stops;
    memcpy(model->stop, g->config.stop, sizeof model->stop);
    name_form(model);
    return HG_OK;
}

static hg_status new_model(const char *path, hg_model **out, hg_error *error)
{
    *out = calloc(1, sizeof **out);
    if (*out) (*out)->gguf = calloc(1, sizeof *(*out)->gguf);
    if (*out && (*out)->gguf) return HG_OK;
    free(*out);
    *out = NULL;
    hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", path);
    return HG_ERROR_MEMORY;
}

hg_status hg_gguf_model_parse(const uint8_t *bytes, size_t size, const char *path, hg_model **out,
                              hg_error *error)
{
    hg_model *model;
    *out = NULL;
    hg_status status = new_model(path, &model, error);
    if (status) return status;
    status = hg_gguf_parse(bytes, size, path, &model->gguf->file, error);
    if (!status) status = read_model(model, error);
    if (status)
        hg_gguf_model_close(model);
    else
        *out = model;
    return status;
}

static hg_status take_fingerprint(hg_model *model, const char *cache, hg_error *error)
{
    const hg_fingerprint_file file = {&model->gguf->file.mapping, model->name};
    const hg_fingerprint_want want = {&file, 1, cache, model->identity};
    hg_identity identity;
    hg_identity_start(&identity);
    hg_status status = hg_identity_add(&identity, file.mapping, error);
    if (!status) status = hg_identity_finish(&identity, model->identity, error);
    hg_identity_free(&identity);
    return status ? status : hg_fingerprint_start(&want, &model->fingerprint, error);
}

hg_status hg_gguf_model_open(const char *path, const char *cache, hg_model **out, hg_error *error)
{
    hg_model *model;
    *out = NULL;
    hg_status status = new_model(path, &model, error);
    if (status) return status;
    hg_gguf *file = &model->gguf->file;
    status = hg_gguf_open(path, file, error);
    if (!status) status = read_model(model, error);
    if (!status) status = take_fingerprint(model, cache, error);
    if (status) {
        hg_gguf_model_close(model);
        return status;
    }
    model->file_bytes = file->mapping.size;
    *out = model;
    return HG_OK;
}

void hg_gguf_model_close(hg_model *model)
{
    struct hg_gguf_model *g = model->gguf;
    for (uint32_t i = 0; g->block && i < g->config.shape.layers; i++) free(g->block[i]);
    hg_tensors_close(&g->set);
    hg_gguf_close(&g->file);
    free(g);
    free(model);
}

hg_status hg_gguf_tokenizer(const hg_model *model, hg_tokenizer **out, hg_error *error)
{
    return hg_gguf_vocabulary_tokenizer(&model->gguf->file, out, error);
}
