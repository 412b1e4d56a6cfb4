/* test_adapter.c: adapters against PEFT's own answers (tests/golden/make_model_values.py), and
 * every way in which a folder can be wrong or made for another base. */
#include "tests/unit/model_edit.h"
#include "tests/unit/model_fixture.h"
#include "tests/unit/model_pieces.h"

#include <math.h>

#include "core/model/adapter.h"
#include "core/model/lora_config.h"
#include "core/model/projections.h"
#include "tests/support/small_bases.h"

static const hg_shape hydra_tiny = {.vocabulary = 24576,
                                    .hidden = 384,
                                    .intermediate = 1024,
                                    .layers = 8,
                                    .heads = 6,
                                    .kv_heads = 2,
                                    .head_dim = 64,
                                    .positions = 512};

static hg_lora_config *parse(json_t *config)
{
    hg_lora_config *out;
    hg_error error = {0};
    char *text = json_dumps(config, 0);
    if (hg_lora_config_parse(text, strlen(text), "adapter_config.json", &out, &error))
        fail_msg("%s: %s", error.message, text);
    free(text);
    return out;
}

/* Rank and scale of each module of a four-layer model, as PEFT set them up. */
static void test_choices_are_pefts(void **state)
{
    (void)state;
    size_t i, targeted = 0;
    json_t *cases = json_load_file("tests/golden/lora_choices.json", 0, NULL), *entry;
    json_array_foreach(cases, i, entry)
    {
        const json_t *modules = json_object_get(entry, "modules");
        hg_lora_config *config = parse(json_object_get(entry, "config"));
        for (uint32_t k = 0; k < 4 * HG_PROJECTIONS; k++) {
            char name[128];
            hg_lora_choice choice;
            hg_error error;
            hg_projection_name(k / HG_PROJECTIONS, (hg_projection)(k % HG_PROJECTIONS), name, 128);
            const json_t *expected = json_object_get(modules, name);
            assert_int_equal(hg_lora_config_choose(config, name, true, &choice, &error), HG_OK);
            if (choice.targeted != (expected != NULL)) fail_msg("case %zu: %s", i, name);
            if (!expected) continue;
            targeted++;
            assert_int_equal(choice.rank, json_integer_value(json_array_get(expected, 0)));
            double scale = json_number_value(json_array_get(expected, 1));
            assert_true(choice.scale == (float)scale);
        }
        hg_lora_config_free(config);
    }
    assert_int_equal(json_array_size(cases), 15);
    assert_true(targeted > 150);
    json_decref(cases);
}

/* Bytes of all pairs, in the order of layers and projections, as one digest. */
static void pairs_digest(const hg_adapter *adapter, char *hex)
{
    hg_buf all = hg_buf_new(64 << 20);
    for (uint32_t l = 0; l < adapter->lora.layers; l++)
        for (int p = 0; p < HG_PROJECTIONS; p++) {
            const hg_lora *pair = &adapter->lora.layer[l].pair[p];
            size_t width = pair->a.type == HG_F32 ? 4 : 2;
            size_t a = pair->a.rows * pair->a.columns * width;
            size_t b = pair->b.rows * pair->b.columns * width;
            assert_int_equal(hg_buf_append(&all, pair->a.data, a), HG_OK);
            assert_int_equal(hg_buf_append(&all, pair->b.data, b), HG_OK);
        }
    assert_int_equal(all.length, adapter->lora.bytes);
    assert_int_equal(hg_sha256(all.data, all.length, hex, NULL), HG_OK);
    hg_buf_free(&all);
}

static void test_bundled_adapters(void **state)
{
    (void)state;
    size_t i;
    json_t *root = json_load_file("tests/golden/model_values.json", 0, NULL), *entry;
    json_t *plugins = json_object_get(root, "plugins");
    assert_int_equal(json_array_size(plugins), 10);
    json_array_foreach(plugins, i, entry)
    {
        char hex[HG_SHA256_HEX];
        hg_adapter *adapter;
        hg_error error = {0};
        const char *folder = json_string_value(json_object_get(entry, "folder"));
        if (hg_adapter_open(folder, &hydra_tiny, &adapter, &error)) fail_msg("%s", error.message);
        pairs_digest(adapter, hex);
        assert_string_equal(hex, json_string_value(json_object_get(entry, "pairs")));
        assert_int_equal(adapter->lora.bytes,
                         2 * json_integer_value(json_object_get(entry, "values")));
        assert_int_equal(adapter->invocations, 1);
        assert_true(adapter->invocation[0] >= 24324 && adapter->invocation[0] <= 24333);
        assert_true(adapter->lora.layer[7].pair[HG_DOWN].scale == 2.0f);
        assert_int_equal(adapter->lora.layer[0].pair[HG_Q].rank, adapter->lora.rank_max);
        hg_adapter_close(adapter);
    }
    json_decref(root);
}

/* A hand-made adapter of rank 2 on q_proj of a base with two layers, 8 wide. */
typedef struct broken {
    char folder[64];
    json_t *config;
    pieces list;
} broken;

static void broken_begin(broken *b)
{
    folder_new(b->folder);
    b->list.count = 0;
    b->config = json_pack("{s:s,s:i,s:i,s:[s]}", "peft_type", "LORA", "r", 2, "lora_alpha", 3,
                          "target_modules", "q_proj");
    for (int l = 0; l < 2; l++) {
        char name[128];
        snprintf(name, sizeof name,
                 "base_model.model.model.layers.%d.self_attn.q_proj.lora_A.weight", l);
        piece *a = pieces_add(&b->list, name, "F32", 2, (long[]){2, 8}, 64);
        for (int i = 0; i < 16; i++) ((float *)(void *)a->data)[i] = (float)(i + l);
        snprintf(name, sizeof name,
                 "base_model.model.model.layers.%d.self_attn.q_proj.lora_B.weight", l);
        pieces_add(&b->list, name, "BF16", 2, (long[]){8, 2}, 32);
    }
}

static hg_status broken_open(broken *b, hg_adapter **adapter, hg_error *error)
{
    char *text = json_dumps(b->config, 0);
    write_text(b->folder, "adapter_config.json", text);
    free(text);
    pieces_save(&b->list, b->folder, "adapter_model.safetensors", 1);
    return hg_adapter_open(b->folder, &small_base, adapter, error);
}

static void broken_end(broken *b)
{
    json_decref(b->config);
    pieces_free(&b->list);
    folder_remove(b->folder);
}

/* Types may differ within a pair, and a misaligned file is read as it was written. */
static void test_small_adapter(void **state)
{
    (void)state;
    broken b;
    hg_error error = {0};
    hg_adapter *adapter;
    broken_begin(&b);
    memcpy(b.list.piece[3].data, "\x7F\x7F", 2); /* the largest BF16 is finite */
    if (broken_open(&b, &adapter, &error)) fail_msg("%s", error.message);
    const hg_lora *q = &adapter->lora.layer[1].pair[HG_Q];
    assert_int_equal(q->rank, 2);
    assert_true(q->scale == 1.5f);
    assert_int_equal(q->a.type, HG_F32);
    assert_int_equal(q->b.type, HG_BF16);
    assert_int_equal(q->a.columns, 8);
    assert_int_equal(q->b.rows, 8);
    assert_int_equal((uintptr_t)q->a.data % 4, 0);
    assert_true(((const float *)q->a.data)[15] == 16.0f);
    assert_int_equal(adapter->lora.layer[1].pair[HG_K].rank, 0);
    assert_int_equal(adapter->lora.bytes, 192);
    assert_int_equal(adapter->invocations, 0);
    hg_adapter_close(adapter);
    broken_end(&b);
}

static void test_config_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        const char *field, *value, *message;
    } bad[] = {
        {"peft_type", "\"IA3\"", "found \"IA3\", only LORA"},
        {"peft_type", "null", "found nothing"},
        {"task_type", "\"SEQ_CLS\"", "found \"SEQ_CLS\""},
        {"r", "0", "an integer 1 to 256"},
        {"r", "257", "an integer 1 to 256"},
        {"lora_alpha", "\"x\"", "expected a number"},
        {"use_rslora", "1", "expected true or false"},
        {"use_dora", "true", "DoRA is not supported"},
        {"bias", "\"all\"", "only \"none\""},
        {"lora_bias", "true", "a bias on LoRA B"},
        {"modules_to_save", "[\"lm_head\"]", "modules_to_save"},
        {"init_lora_weights", "\"pissa\"", "changes the base's weights"},
        {"init_lora_weights", "\"pissa_niter_4\"", "changes the base's weights"},
        {"init_lora_weights", "\"olora\"", "changes the base's weights"},
        {"init_lora_weights", "\"loftq\"", "changes the base's weights"},
        {"init_lora_weights", "\"corda\"", "changes the base's weights"},
        {"init_lora_weights", "\"corda_fast\"", "changes the base's weights or the layer"},
        {"init_lora_weights", "\"lora_ga\"", "changes the base's weights"},
        {"init_lora_weights", "7", "expected a string"},
        {"trainable_token_indices", "[1]", "embeddings of single tokens"},
        {"target_parameters", "[\"x\"]", "bare parameters"},
        {"megatron_config", "{\"a\":1}", "Megatron"},
        {"layer_replication", "[[0,1]]", "replicated layers"},
        {"use_qalora", "true", "QALoRA"},
        {"use_bdlora", "{\"nblocks\":2}", "block-diagonal"},
        {"arrow_config", "{\"a\":2}", "Arrow"},
        {"kasa_config", "{\"a\":2}", "KaSA"},
        {"velora_config", "{\"a\":2}", "VeLoRA"},
        {"monteclora_config", "{\"a\":2}", "Monte Carlo"},
        {"use_teleport", "true", "does not know"},
        {"target_modules", "7", "list of non-empty strings"},
        {"target_modules", "[]", "names no linear layer"},
        {"target_modules", "[\"x\"]", "names no linear layer"},
        {"target_modules", "[\"_proj\"]", "names no linear layer"},
        {"target_modules", "\"*\"", "not a regular expression"},
        {"target_modules", "[\"q_proj\",\"lm_head\"]", "names lm_head"},
        {"target_modules", "\".*q_proj|.*embed_tokens\"", "names model.embed_tokens"},
        {"exclude_modules", "\"(\"", "not a regular expression"},
        {"layers_to_transform", "-1", "list of integers"},
        {"layers_to_transform", "[0,\"1\"]", "entry 1"},
        {"layers_pattern", "\"layers\"", "expected layers_to_transform"},
        {"rank_pattern", "{\"q_proj\":0}", "rank_pattern.q_proj: found 0"},
        {"rank_pattern", "{\"q_proj\":1.5}", "rank_pattern.q_proj: found 1.5"},
        {"rank_pattern", "{\"q(\":1}", "\"q(\" is not a regular expression"},
        {"alpha_pattern", "{\"q_proj\":\"x\"}", "alpha_pattern.q_proj: found \"x\""},
        {"alora_invocation_tokens", "[]", "at least one token"},
        {"alora_invocation_tokens", "[16]", "found 16, expected less than 16"},
        {"alora_invocation_tokens", "[1.5]", "entry 0"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        broken b;
        hg_error error = {0};
        hg_adapter *adapter;
        broken_begin(&b);
        json_object_set_new(b.config, bad[i].field,
                            json_loads(bad[i].value, JSON_DECODE_ANY, NULL));
        if (!broken_open(&b, &adapter, &error)) fail_msg("%s: %s", bad[i].field, bad[i].value);
        assert_null(adapter);
        EXPECT_MESSAGE(&error, b.folder, "adapter_config.json", bad[i].field, bad[i].message);
        broken_end(&b);
    }
}

/* What PEFT writes and training alone uses, and switches that are off in every spelling. */
static void test_harmless_fields(void **state)
{
    (void)state;
    static const char *const fine[][2] = {
        {"lora_dropout", "0.1"},
        {"megatron_core", "\"megatron.core\""},
        {"use_dora", "null"},
        {"modules_to_save", "[]"},
        {"init_lora_weights", "\"eva\""},
        {"init_lora_weights", "\"mica\""},
        {"fan_in_fan_out", "true"}, /* PEFT turns it off for Llama's layers */
        {"loftq_config", "{\"a\":1}"},
        {"qalora_group_size", "16"},
        {"something_new", "false"},
        {"layers_to_transform", "[0,1]"},
        {"task_type", "\"CAUSAL_LM\""},
        {"lora_alpha", "1.5"},
        {"peft_version", "\"0.21.2\""},
    };
    for (size_t i = 0; i < sizeof fine / sizeof *fine; i++) {
        broken b;
        hg_error error = {0};
        hg_adapter *adapter;
        broken_begin(&b);
        json_object_set_new(b.config, fine[i][0], json_loads(fine[i][1], JSON_DECODE_ANY, NULL));
        if (broken_open(&b, &adapter, &error)) fail_msg("%s", error.message);
        hg_adapter_close(adapter);
        broken_end(&b);
    }
}

static void test_hostile_pattern_ends(void **state)
{
    (void)state;
    broken b;
    hg_error error;
    hg_adapter *adapter;
    broken_begin(&b);
    json_object_set_new(b.config, "target_modules", json_string("((([a-z0-9._]+)*)*)*!"));
    assert_int_equal(broken_open(&b, &adapter, &error), HG_ERROR_LIMIT);
    EXPECT_MESSAGE(&error, "adapter_config.json", "target_modules", "takes too long");
    broken_end(&b);
}

static void test_tensors_refused_by_name(void **state)
{
    (void)state;
    broken b;
    hg_error error;
    hg_adapter *adapter;
    broken_begin(&b);
    for (int i = 0; i < b.list.count; i++) {
        piece *p = &b.list.piece[i];
        const char *path = "adapter_model.safetensors: tensor";
        char kept[128];
        strcpy(kept, p->name);
        strcpy(p->name, "elsewhere");
        assert_int_equal(broken_open(&b, &adapter, &error), HG_ERROR_FORMAT);
        EXPECT_MESSAGE(&error, b.folder, path, kept, "is missing");
        strcpy(p->name, kept);
        p->shape[0] /= 2, p->shape[1] *= 2;
        assert_int_equal(broken_open(&b, &adapter, &error), HG_ERROR_FORMAT);
        EXPECT_MESSAGE(&error, b.folder, path, kept, "found shape [", "expected [",
                       "rank by adapter");
        p->shape[0] *= 2, p->shape[1] /= 2;
        memcpy(p->data + p->size - 4, "\x80\x7F\x80\x7F", 4); /* infinity in BF16, NaN in F32 */
        assert_int_equal(broken_open(&b, &adapter, &error), HG_ERROR_FORMAT);
        EXPECT_MESSAGE(&error, b.folder, path, kept, "NaN or infinity");
        memset(p->data + p->size - 4, 0, 4);
        strcpy(p->type, i % 2 ? "I16" : "I32");
        assert_int_equal(broken_open(&b, &adapter, &error), HG_ERROR_FORMAT);
        EXPECT_MESSAGE(&error, b.folder, path, kept, "found type I", "expected F32 or F16 or BF16");
        strcpy(p->type, i % 2 ? "BF16" : "F32");
    }
    pieces_add(&b.list, "base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight", "F32", 2,
               (long[]){2, 8}, 64);
    assert_int_equal(broken_open(&b, &adapter, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, "layers.2.self_attn.q_proj.lora_A.weight is not expected",
                   "no such layer");
    broken_end(&b);
}

/* Pieces of the hand-made adapter under other names: those of a state dict that has the adapter's
 * name in it load; both forms of one matrix do not. */
static void test_names_with_the_adapters_own(void **state)
{
    (void)state;
    broken b;
    hg_error error = {0};
    hg_adapter *adapter;
    broken_begin(&b);
    for (int i = 0; i < b.list.count; i++)
        strcpy(strstr(b.list.piece[i].name, ".weight"), ".default.weight");
    if (broken_open(&b, &adapter, &error)) fail_msg("%s", error.message);
    assert_true(((const float *)adapter->lora.layer[1].pair[HG_Q].a.data)[15] == 16.0f);
    hg_adapter_close(adapter);
    pieces_add(&b.list, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", "F32", 2,
               (long[]){2, 8}, 64);
    assert_int_equal(broken_open(&b, &adapter, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, "layers.0.self_attn.q_proj.lora_A.weight is not expected");
    broken_end(&b);
}

/* What PEFT and its users put beside the pairs, each named in its refusal. */
static void test_other_tensors_refused_by_name(void **state)
{
    (void)state;
#define MODULE "base_model.model.model.layers.0."
    static const struct {
        const char *name;
        hg_status status;
        const char *message;
    } others[] = {
        {"base_model.model.model.embed_tokens.weight", HG_ERROR_UNSUPPORTED,
         "its own embedding for 16 tokens, the base has 16"},
        {"base_model.model.lm_head.weight", HG_ERROR_UNSUPPORTED, "its own head for 16 tokens"},
        {MODULE "self_attn.q_proj.lora_B.bias", HG_ERROR_FORMAT, "lora_B.bias is not expected"},
        {MODULE "self_attn.q_proj.lora_magnitude_vector", HG_ERROR_FORMAT, "magnitude_vector is"},
        {MODULE "self_attn.k_proj.lora_A.weight", HG_ERROR_FORMAT, "does not target it"},
        {MODULE "self_attn.q_proj.lora_C.weight", HG_ERROR_FORMAT, "lora_C.weight is not"},
        {MODULE "self_attn.w_proj.lora_A.weight", HG_ERROR_FORMAT, "no such layer"},
        {MODULE "input_layernorm.weight", HG_ERROR_FORMAT, "input_layernorm.weight is not"},
        {"base_model.model.model.embed_tokens.lora_embedding_A", HG_ERROR_FORMAT, "embedding_A is"},
        {"model.layers.0.self_attn.q_proj.lora_A.weight", HG_ERROR_FORMAT, "is not expected"},
    };
#undef MODULE
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        broken b;
        hg_error error = {0};
        hg_adapter *adapter;
        broken_begin(&b);
        pieces_add(&b.list, others[i].name, "F32", 2, (long[]){16, 8}, 512);
        assert_int_equal(broken_open(&b, &adapter, &error), others[i].status);
        assert_null(adapter);
        EXPECT_MESSAGE(&error, b.folder, "adapter_model.safetensors: tensor ", others[i].name,
                       others[i].message);
        broken_end(&b);
    }
}

/* A matrix that is there twice, one that has another rank than its partner, and a rank that the
 * configuration does not have. */
static void test_ranks_must_agree(void **state)
{
    (void)state;
    broken b;
    hg_error error = {0};
    hg_adapter *adapter;
    broken_begin(&b);
    piece *a = &b.list.piece[0], *twin = &b.list.piece[1];
    a->shape[0] = 1, a->size = 32;
    assert_int_equal(broken_open(&b, &adapter, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, a->name, "found shape [1, 8], expected [2, 8]");
    json_object_set_new(b.config, "r", json_integer(1));
    assert_int_equal(broken_open(&b, &adapter, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, twin->name, "found shape [8, 2], expected [8, 1]");
    json_object_set_new(b.config, "r", json_integer(2));
    a->shape[0] = 1L << 40, a->shape[1] = 1L << 40;
    assert_int_equal(broken_open(&b, &adapter, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, b.folder, "adapter_model.safetensors", a->name);
    a->shape[0] = 2, a->shape[1] = 8, a->size = 64;
    strcpy(a->name, twin->name);
    assert_int_equal(broken_open(&b, &adapter, &error), HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, b.folder, "adapter_model.safetensors", "duplicate");
    broken_end(&b);
}

/* German's adapter on bases that differ in one size each: width, layers, heads, vocabulary. */
static void test_wrong_base(void **state)
{
    (void)state;
    static const struct {
        hg_shape shape;
        const char *message;
    } bases[] = {
        {{24576, 512, 1024, 8, 6, 2, 64, 512, 0}, "found shape [16, 384], expected [16, 512]"},
        {{24576, 384, 1536, 8, 6, 2, 64, 512, 0}, "found shape [1024, 16], expected [1536, 16]"},
        {{24576, 384, 1024, 9, 6, 2, 64, 512, 0},
         "layers.8.self_attn.q_proj.lora_A.weight is missing"},
        {{24576, 384, 1024, 7, 6, 2, 64, 512, 0},
         "layers.7.mlp.down_proj.lora_A.weight is not expected"},
        {{24576, 384, 1024, 8, 6, 3, 64, 512, 0}, "found shape [128, 16], expected [192, 16]"},
        {{24000, 384, 1024, 8, 6, 2, 64, 512, 0}, "found 24325, expected less than 24000"},
    };
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        hg_adapter *adapter;
        hg_error error;
        assert_int_equal(hg_adapter_open("plugins/de", &bases[i].shape, &adapter, &error),
                         HG_ERROR_FORMAT);
        assert_null(adapter);
        EXPECT_MESSAGE(&error, "plugins/de/adapter_", bases[i].message);
    }
}

static void test_cut_and_missing_files(void **state)
{
    (void)state;
    char folder[64];
    size_t size;
    hg_adapter *adapter;
    hg_error error;
    folder_new(folder);
    assert_int_equal(hg_adapter_open(folder, &hydra_tiny, &adapter, &error), HG_ERROR_NOT_FOUND);
    EXPECT_MESSAGE(&error, folder, "adapter_config.json");
    copy_file("plugins/nl", folder, "adapter_config.json");
    assert_int_equal(hg_adapter_open(folder, &hydra_tiny, &adapter, &error), HG_ERROR_NOT_FOUND);
    EXPECT_MESSAGE(&error, folder, "adapter_model.safetensors");
    write_text(folder, "adapter_model.bin", "PK");
    assert_int_equal(hg_adapter_open(folder, &hydra_tiny, &adapter, &error), HG_ERROR_UNSUPPORTED);
    EXPECT_MESSAGE(&error, folder, "adapter_model.bin", "pickles are not read");
    uint8_t *bytes = read_bytes("plugins/nl", "adapter_model.safetensors", &size);
    const size_t cuts[] = {0, 7, 8, 100, size / 2, size - 1};
    for (size_t i = 0; i < sizeof cuts / sizeof *cuts; i++) {
        write_bytes(folder, "adapter_model.safetensors", bytes, cuts[i]);
        assert_int_equal(hg_adapter_open(folder, &hydra_tiny, &adapter, &error), HG_ERROR_FORMAT);
        EXPECT_MESSAGE(&error, folder, "adapter_model.safetensors");
    }
    free(bytes);
    folder_remove(folder);
}

/* The hand-made adapter, cut before, at and after the border of each of its tensors. */
static void test_cut_at_every_tensor(void **state)
{
    (void)state;
    broken b;
    size_t size;
    hg_error error = {0};
    hg_adapter *adapter;
    broken_begin(&b);
    if (broken_open(&b, &adapter, &error)) fail_msg("%s", error.message);
    hg_adapter_close(adapter);
    uint8_t *bytes = read_bytes(b.folder, "adapter_model.safetensors", &size);
    size_t border = size;
    for (int i = b.list.count; i >= 0; i--) { /* from the end of the file to the first tensor */
        for (size_t cut = border - 1; cut <= border + 1 && cut < size; cut++) {
            write_bytes(b.folder, "adapter_model.safetensors", bytes, cut);
            assert_int_equal(hg_adapter_open(b.folder, &small_base, &adapter, &error),
                             HG_ERROR_FORMAT);
            assert_null(adapter);
            EXPECT_MESSAGE(&error, b.folder, "adapter_model.safetensors", "cut short");
        }
        if (i) border -= b.list.piece[i - 1].size;
    }
    free(bytes);
    broken_end(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_choices_are_pefts),
        cmocka_unit_test(test_bundled_adapters),
        cmocka_unit_test(test_small_adapter),
        cmocka_unit_test(test_config_refused_by_name),
        cmocka_unit_test(test_harmless_fields),
        cmocka_unit_test(test_hostile_pattern_ends),
        cmocka_unit_test(test_tensors_refused_by_name),
        cmocka_unit_test(test_names_with_the_adapters_own),
        cmocka_unit_test(test_other_tensors_refused_by_name),
        cmocka_unit_test(test_ranks_must_agree),
        cmocka_unit_test(test_wrong_base),
        cmocka_unit_test(test_cut_and_missing_files),
        cmocka_unit_test(test_cut_at_every_tensor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
