/* test_model.c: whole models against foreign readers (tests/golden/make_model_values.py), and every
 * way in which a folder can be wrong. */
#include "tests/unit/model_edit.h"
#include "tests/unit/model_fixture.h"
#include "tests/unit/model_pieces.h"

#include <math.h>

#include "core/model/half.h"
#include "core/model/model.h"
#include "core/model/projections.h"

static const json_t *values_of(const char *folder)
{
    static json_t *root; /* read once; lives to the end */
    if (!root) root = json_load_file("tests/golden/model_values.json", 0, NULL);
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(root, "models"), i, entry)
    {
        if (strcmp(json_string_value(json_object_get(entry, "folder")), folder) == 0) return entry;
    }
    fail_msg("no values for %s", folder);
    return NULL;
}

static void expect_sha(const json_t *tensors, const char *name, const void *bytes, size_t size)
{
    char hex[HG_SHA256_HEX];
    const char *expected = json_string_value(json_object_get(tensors, name));
    assert_non_null(expected);
    assert_int_equal(hg_sha256(bytes, size, hex, NULL), HG_OK);
    if (strcmp(hex, expected) != 0) fail_msg("%s differs", name);
}

/* The device form's definition (kernels/weights.h), one weight at a time. */
static float weight_at(const hg_linear *l, size_t row, size_t column)
{
    size_t i = row * l->columns + column, group = row * (l->columns / l->group) + column / l->group;
    unsigned code = l->bits == 8 ? l->codes[i] : l->codes[i / 2] >> (i % 2 ? 4 : 0) & 15;
    float scale = hg_f16_to_f32(l->scales[group]);
    if (l->zeros) return (float)((int)code - l->zeros[group]) * scale;
    return ((float)code - (l->bits == 8 ? 128.0f : 8.0f)) * scale;
}

static void expect_linear(const json_t *tensors, const char *name, const hg_linear *l)
{
    float *weight = malloc((size_t)l->rows * l->columns * sizeof *weight);
    for (size_t row = 0; row < l->rows; row++)
        for (size_t column = 0; column < l->columns; column++)
            weight[row * l->columns + column] = weight_at(l, row, column);
    expect_sha(tensors, name, weight, (size_t)l->rows * l->columns * sizeof *weight);
    free(weight);
}

static void expect_layer(const json_t *tensors, const hg_weights *w, uint32_t index)
{
    char name[128];
    const hg_layer *layer = &w->layer[index];
    size_t norm = w->shape.hidden * sizeof(float);
    snprintf(name, sizeof name, "model.layers.%u.input_layernorm.weight", index);
    expect_sha(tensors, name, layer->attention_norm, norm);
    snprintf(name, sizeof name, "model.layers.%u.post_attention_layernorm.weight", index);
    expect_sha(tensors, name, layer->mlp_norm, norm);
    for (int p = 0; p < HG_PROJECTIONS; p++) {
        hg_projection_name(index, (hg_projection)p, name, sizeof name);
        expect_linear(tensors, name, &layer->linear[p]);
    }
}

static size_t matrix_bytes(const hg_matrix *m)
{
    return (size_t)m->rows * m->columns * (m->type == HG_F32 ? 4 : 2);
}

static hg_model *open_and_compare(const char *folder)
{
    hg_model *model;
    hg_error error = {0};
    if (hg_model_open(folder, &model, &error)) fail_msg("%s", error.message);
    const json_t *values = values_of(folder), *tensors = json_object_get(values, "tensors");
    const json_t *rope = json_object_get(values, "rope");
    const hg_weights *w = &model->weights;
    for (uint32_t i = 0; i < w->shape.layers; i++) expect_layer(tensors, w, i);
    expect_sha(tensors, "model.norm.weight", w->final_norm, w->shape.hidden * sizeof(float));
    expect_sha(tensors, "model.embed_tokens.weight", w->embedding.data,
               matrix_bytes(&w->embedding));
    if (json_object_get(tensors, "lm_head.weight"))
        expect_sha(tensors, "lm_head.weight", w->head.data, matrix_bytes(&w->head));
    else
        assert_ptr_equal(w->head.data, w->embedding.data);
    assert_int_equal(json_array_size(rope), w->shape.head_dim / 2);
    for (uint32_t i = 0; i < w->shape.head_dim / 2; i++) {
        double expected = json_real_value(json_array_get(rope, i));
        assert_true(fabs(w->rope_frequency[i] - expected) <= 3e-7 * expected);
    }
    assert_int_equal(model->parameters, json_integer_value(json_object_get(values, "parameters")));
    return model;
}

static void test_hydra_tiny(void **state)
{
    (void)state;
    hg_model *model = open_and_compare("models/hydra-tiny");
    json_error_t why;
    json_t *plugin = json_load_file("plugins/de/plugin.json", 0, &why), *base;
    base = json_object_get(plugin, "base");
    assert_string_equal(hg_model_fingerprint(model),
                        json_string_value(json_object_get(base, "fingerprint")));
    assert_string_equal(model->name, "hydra-tiny");
    assert_string_equal(model->tokenizer_path, "models/hydra-tiny/tokenizer.json");
    assert_string_equal(model->weights_form, "compressed-tensors INT4 group 32");
    assert_int_equal(model->parameters, 22026624);
    assert_int_equal(model->file_bytes, 25986352);
    assert_int_equal(model->bos, 24320);
    assert_int_equal(model->stops, 1);
    assert_int_equal(model->stop[0], 24322);
    json_decref(plugin);
    hg_model_close(model);
}

static void test_other_forms(void **state)
{
    (void)state;
    hg_model *model = open_and_compare("tests/golden/models/int8-asymmetric");
    assert_string_equal(model->weights_form, "compressed-tensors INT8 group 16 with zero points");
    assert_ptr_not_equal(model->weights.head.data, model->weights.embedding.data);
    hg_model_close(model);
    model = open_and_compare("tests/golden/models/int4-asymmetric");
    assert_int_equal(model->weights.embedding.type, HG_BF16);
    hg_model_close(model);
    model = open_and_compare(TINY);
    assert_int_equal(model->weights.embedding.type, HG_F32);
    assert_int_equal(model->weights.shape.head_dim, 8);
    hg_model_close(model);
}

/* A folder like TINY whose weights the caller may change between begin and end. */
typedef struct broken {
    char folder[64];
    pieces list;
} broken;

static void broken_begin(broken *b)
{
    folder_new(b->folder);
    copy_file(TINY, b->folder, "config.json");
    copy_file(TINY, b->folder, "tokenizer.json");
    pieces_load(&b->list, TINY, "model.safetensors");
}

static hg_status broken_open(broken *b, hg_error *error)
{
    hg_model *model;
    pieces_save(&b->list, b->folder, "model.safetensors", 0);
    hg_status status = hg_model_open(b->folder, &model, error);
    if (!status) hg_model_close(model);
    return status;
}

static void broken_end(broken *b)
{
    pieces_free(&b->list);
    folder_remove(b->folder);
}

static void test_every_tensor_is_needed(void **state)
{
    (void)state;
    broken b;
    hg_error error;
    broken_begin(&b);
    assert_int_equal(broken_open(&b, &error), HG_OK);
    for (int i = 0; i < b.list.count; i++) {
        char kept[128];
        strcpy(kept, b.list.piece[i].name);
        strcpy(b.list.piece[i].name, "elsewhere");
        assert_int_equal(broken_open(&b, &error), HG_ERROR_FORMAT);
        EXPECT_MESSAGE(&error, b.folder, "model.safetensors: tensor", kept, "is missing");
        strcpy(b.list.piece[i].name, kept);
    }
    broken_end(&b);
}

/* Each tensor with another shape, then with another type. */
static void test_every_shape_and_type_counts(void **state)
{
    (void)state;
    broken b;
    hg_error error;
    broken_begin(&b);
    for (int i = 0; i < b.list.count; i++) {
        piece *p = &b.list.piece[i];
        p->dimensions = 3;
        p->shape[2] = 1;
        if (p->shape[1] == 0) p->shape[1] = 1;
        assert_int_equal(broken_open(&b, &error), HG_ERROR_FORMAT);
        EXPECT_MESSAGE(&error, b.folder, p->name, "found shape [", ", 1], expected [");
        p->dimensions = strstr(p->name, "norm") || strstr(p->name, "_shape") ? 1 : 2;
        char kept[16];
        strcpy(kept, p->type);
        strcpy(p->type, strcmp(kept, "I64") == 0 ? "U64" : "U32");
        assert_int_equal(broken_open(&b, &error), HG_ERROR_FORMAT);
        EXPECT_MESSAGE(&error, b.folder, p->name, "found type U", "expected ", kept);
        strcpy(p->type, kept);
    }
    assert_int_equal(broken_open(&b, &error), HG_OK);
    broken_end(&b);
}

static void test_values_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *tensor;
        uint32_t bits; /* of its second F32 */
        const char *message;
    } bad[] = {
        {"model.embed_tokens.weight", 0x7F800000, "NaN or infinity"},
        {"model.norm.weight", 0xFFC00000, "NaN or infinity"},
        {"model.layers.0.mlp.up_proj.weight_scale", 0x7FC00000, "NaN or infinity"},
        {"model.layers.0.mlp.up_proj.weight_scale", 0x3F800001, "at [0, 1] is not a value of F16"},
        {"model.layers.0.mlp.up_proj.weight_scale", 0x47800000, "scale 65536 at [0, 1]"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        broken b;
        hg_error error;
        broken_begin(&b);
        memcpy(pieces_find(&b.list, bad[i].tensor)->data + 4, &bad[i].bits, 4);
        assert_int_not_equal(broken_open(&b, &error), HG_OK);
        EXPECT_MESSAGE(&error, "model.safetensors", bad[i].tensor, bad[i].message);
        broken_end(&b);
    }
}

static void test_weight_shape_must_agree(void **state)
{
    (void)state;
    broken b;
    hg_error error;
    broken_begin(&b);
    pieces_find(&b.list, "model.layers.0.mlp.down_proj.weight_shape")->data[8] = 7;
    assert_int_equal(broken_open(&b, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, "down_proj.weight_shape", "says [64, 7], expected [64, 128]");
    broken_end(&b);
}

static void test_left_over_tensors(void **state)
{
    (void)state;
    broken b;
    hg_error error;
    broken_begin(&b);
    pieces_add(&b.list, "model.layers.0.self_attn.rotary_emb.inv_freq", "F32", 1, (long[]){4}, 16);
    assert_int_equal(broken_open(&b, &error), HG_OK);
    pieces_add(&b.list, "model.layers.0.self_attn.q_proj.bias", "F32", 1, (long[]){32}, 128);
    assert_int_equal(broken_open(&b, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, "tensor model.layers.0.self_attn.q_proj.bias is not expected");
    broken_end(&b);
}

static void test_tied_head(void **state)
{
    (void)state;
    broken b;
    hg_error error;
    broken_begin(&b);
    piece *embedding = pieces_find(&b.list, "model.embed_tokens.weight");
    piece *head =
        pieces_add(&b.list, "lm_head.weight", "F32", 2, embedding->shape, embedding->size);
    memcpy(head->data, embedding->data, head->size);
    assert_int_equal(broken_open(&b, &error), HG_OK);
    head->data[100] ^= 1;
    assert_int_equal(broken_open(&b, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, "tensor lm_head.weight differs", "tie_word_embeddings");
    broken_end(&b);
}

/* A layer that the quantiser left alone is dense; one in another method's form is refused. */
static void test_other_quantisations(void **state)
{
    (void)state;
    broken b;
    hg_error error;
    broken_begin(&b);
    piece *p = pieces_find(&b.list, "model.layers.0.mlp.gate_proj.weight_packed");
    snprintf(p->name, sizeof p->name, "model.layers.0.mlp.gate_proj.qweight");
    assert_int_equal(broken_open(&b, &error), HG_ERROR_UNSUPPORTED);
    EXPECT_MESSAGE(&error, p->name, "AutoAWQ's or GPTQ's", "weight_packed");
    snprintf(p->name, sizeof p->name, "model.layers.0.mlp.gate_proj.weight");
    assert_int_equal(broken_open(&b, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, p->name, "found type I32, expected F32 or F16 or BF16");
    broken_end(&b);
}

/* Every cut of the real file at a border of tensors, and inside the header. */
static void test_cut_files(void **state)
{
    (void)state;
    broken b;
    hg_error error;
    hg_model *model;
    size_t size;
    uint8_t *bytes = read_bytes(TINY, "model.safetensors", &size);
    broken_begin(&b);
    for (size_t cut = 0; cut < size; cut += 509) {
        write_bytes(b.folder, "model.safetensors", bytes, cut);
        assert_int_equal(hg_model_open(b.folder, &model, &error), HG_ERROR_FORMAT);
        assert_null(model);
        EXPECT_MESSAGE(&error, b.folder, "model.safetensors");
    }
    free(bytes);
    broken_end(&b);
}

static void test_group_must_divide(void **state)
{
    (void)state;
    broken b;
    hg_error error;
    broken_begin(&b);
    copy_json(TINY, b.folder, "config.json",
              "quantization_config.config_groups.group_0.weights.group_size", "128");
    assert_int_equal(broken_open(&b, &error), HG_ERROR_UNSUPPORTED);
    EXPECT_MESSAGE(&error, "layer model.layers.0.self_attn.q_proj", "64 columns", "group size 128");
    broken_end(&b);
}

static void test_folders(void **state)
{
    (void)state;
    char folder[64], path[128];
    hg_model *model;
    hg_error error;
    folder_new(folder);
    assert_int_equal(hg_model_open("/nowhere/model", &model, &error), HG_ERROR_NOT_FOUND);
    EXPECT_MESSAGE(&error, "/nowhere/model");
    write_text(folder, "x.gguf", "GGML");
    snprintf(path, sizeof path, "%s/x.gguf", folder);
    assert_int_equal(hg_model_open(path, &model, &error), HG_ERROR_UNSUPPORTED);
    EXPECT_MESSAGE(&error, "x.gguf", "GGUF");
    assert_int_equal(hg_model_open(folder, &model, &error), HG_ERROR_NOT_FOUND);
    EXPECT_MESSAGE(&error, "config.json");
    copy_file(TINY, folder, "config.json");
    assert_int_equal(hg_model_open(folder, &model, &error), HG_ERROR_NOT_FOUND);
    EXPECT_MESSAGE(&error, "tokenizer.json");
    write_text(folder, "tokenizer.json", "{}");
    assert_int_equal(hg_model_open(folder, &model, &error), HG_ERROR_NOT_FOUND);
    EXPECT_MESSAGE(&error, "model.safetensors: no such file");
    write_text(folder, "pytorch_model.bin", "");
    assert_int_equal(hg_model_open(folder, &model, &error), HG_ERROR_UNSUPPORTED);
    EXPECT_MESSAGE(&error, "pytorch_model.bin", "pickles");
    folder_remove(folder);
}

static void test_shards(void **state)
{
    (void)state;
    static const char *const from = "tests/golden/models/int8-asymmetric";
    static const char index[] = "model.safetensors.index.json";
    static const char *const files[] = {"config.json", "tokenizer.json", index,
                                        "model-00001-of-00002.safetensors"};
    char folder[64];
    hg_model *model;
    hg_error error;
    folder_new(folder);
    for (size_t i = 0; i < 4; i++) copy_file(from, folder, files[i]);
    assert_int_equal(hg_model_open(folder, &model, &error), HG_ERROR_NOT_FOUND);
    EXPECT_MESSAGE(&error, "model-00002-of-00002.safetensors");
    copy_json(from, folder, index, "weight_map", "{\"a\":\"../x.safetensors\"}");
    assert_int_equal(hg_model_open(folder, &model, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, index, "\"../x.safetensors\" is not in the model's folder");
    copy_json(from, folder, index, "weight_map", "{\"a\":7}");
    assert_int_equal(hg_model_open(folder, &model, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, index, "weight_map.a: found 7");
    folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hydra_tiny),
        cmocka_unit_test(test_other_forms),
        cmocka_unit_test(test_every_tensor_is_needed),
        cmocka_unit_test(test_every_shape_and_type_counts),
        cmocka_unit_test(test_values_are_checked),
        cmocka_unit_test(test_weight_shape_must_agree),
        cmocka_unit_test(test_left_over_tensors),
        cmocka_unit_test(test_tied_head),
        cmocka_unit_test(test_other_quantisations),
        cmocka_unit_test(test_cut_files),
        cmocka_unit_test(test_group_must_divide),
        cmocka_unit_test(test_folders),
        cmocka_unit_test(test_shards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
