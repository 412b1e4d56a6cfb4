/* test_config.c: config.json field by field: what is refused, by which name, and what is taken. */
#include "tests/unit/model_edit.h"
#include "tests/unit/model_fixture.h"
#include "tests/unit/model_pieces.h"

#include "core/model/config.h"

/* Parses TINY's config.json with one field changed (JSON text; NULL deletes it). */
static hg_status parse_with(const char *field, const char *value, hg_model_config *out,
                            hg_error *error)
{
    char folder[64];
    size_t size;
    folder_new(folder);
    copy_json(TINY, folder, "config.json", field, value);
    uint8_t *text = read_bytes(folder, "config.json", &size);
    hg_status status = hg_model_config_parse((char *)text, size, "config.json", out, error);
    free(text);
    folder_remove(folder);
    return status;
}

static void test_takes_all_fields(void **state)
{
    (void)state;
    hg_model_config config;
    hg_error error;
    assert_int_equal(parse_with("rms_norm_eps", "1e-5", &config, &error), HG_OK);
    const hg_shape *s = &config.shape;
    assert_int_equal(s->vocabulary, 48);
    assert_int_equal(s->hidden, 64);
    assert_int_equal(s->intermediate, 128);
    assert_int_equal(s->layers, 1);
    assert_int_equal(s->heads, 4);
    assert_int_equal(s->kv_heads, 2);
    assert_int_equal(s->head_dim, 8);
    assert_int_equal(s->positions, 64);
    assert_true(s->rms_epsilon == 1e-5f);
    assert_true(config.tied);
    assert_int_equal(config.bos, 1);
    assert_int_equal(config.stops, 2);
    assert_int_equal(config.stop[1], 3);
    assert_int_equal(config.quantization.bits, 8);
    assert_int_equal(config.quantization.file_group, 32);
    assert_true(config.quantization.symmetric);
}

static void test_defaults(void **state)
{
    (void)state;
    hg_model_config config;
    hg_error error;
    assert_int_equal(parse_with("head_dim", NULL, &config, &error), HG_OK);
    assert_int_equal(config.shape.head_dim, 16);
    assert_int_equal(parse_with("num_key_value_heads", NULL, &config, &error), HG_OK);
    assert_int_equal(config.shape.kv_heads, 4);
    assert_int_equal(parse_with("rms_norm_eps", NULL, &config, &error), HG_OK);
    assert_true(config.shape.rms_epsilon == 1e-6f);
    assert_int_equal(parse_with("tie_word_embeddings", NULL, &config, &error), HG_OK);
    assert_false(config.tied);
    assert_int_equal(parse_with("bos_token_id", "null", &config, &error), HG_OK);
    assert_int_equal(config.bos, -1);
    assert_int_equal(parse_with("eos_token_id", "7", &config, &error), HG_OK);
    assert_int_equal(config.stops, 1);
    assert_int_equal(config.stop[0], 7);
}

/* The spellings of RoPE before and after transformers v5. */
static void test_rope_spellings(void **state)
{
    (void)state;
    static const char old[] = "{\"type\":\"linear\",\"factor\":2}";
    hg_model_config config;
    hg_error error;
    assert_int_equal(parse_with("rope_parameters", NULL, &config, &error), HG_OK);
    assert_int_equal(config.rope.kind, HG_ROPE_DEFAULT);
    assert_true(config.rope.theta == 10000);
    assert_int_equal(parse_with("rope_parameters", "{\"rope_theta\":5e5}", &config, &error), HG_OK);
    assert_true(config.rope.theta == 5e5);
    assert_int_equal(parse_with("rope_scaling", old, &config, &error), HG_OK);
    assert_int_equal(config.rope.kind, HG_ROPE_LINEAR);
    assert_true(config.rope.factor == 2);
}

/* A field, another value for it (NULL: none), and what the refusal says. */
static const struct {
    const char *field, *value;
    hg_status status;
    const char *message;
} refused_config[] = {
    {"architectures", "[\"MistralForCausalLM\"]", HG_ERROR_UNSUPPORTED, "MistralForCausalLM"},
    {"architectures", "[\"MixtralForCausalLM\"]", HG_ERROR_UNSUPPORTED, "MixtralForCausalLM"},
    {"architectures", "[\"Qwen2ForCausalLM\"]", HG_ERROR_UNSUPPORTED, "Qwen2ForCausalLM"},
    {"architectures", "[\"GemmaForCausalLM\"]", HG_ERROR_UNSUPPORTED, "GemmaForCausalLM"},
    {"architectures", "[\"LlamaForSequenceClassification\"]", HG_ERROR_UNSUPPORTED,
     "that of LlamaForSequenceClassification"},
    {"architectures", "[\"LlamaForCausalLM\",\"Phi3ForCausalLM\"]", HG_ERROR_UNSUPPORTED,
     "only LlamaForCausalLM"},
    {"architectures", "[]", HG_ERROR_UNSUPPORTED, "only LlamaForCausalLM"},
    {"architectures", NULL, HG_ERROR_FORMAT, "found nothing"},
    {"model_type", "\"mllama\"", HG_ERROR_UNSUPPORTED, "\"mllama\""},
    {"model_type", "\"mistral\"", HG_ERROR_UNSUPPORTED, "\"mistral\", only llama"},
    {"hidden_act", "\"gelu\"", HG_ERROR_UNSUPPORTED, "\"gelu\""},
    {"hidden_act", "\"gelu_pytorch_tanh\"", HG_ERROR_UNSUPPORTED,
     "\"gelu_pytorch_tanh\", only silu"},
    {"hidden_act", "\"relu2\"", HG_ERROR_UNSUPPORTED, "\"relu2\", only silu"},
    {"num_local_experts", "8", HG_ERROR_UNSUPPORTED, "found 8, mixtures of experts"},
    {"num_experts", "128", HG_ERROR_UNSUPPORTED, "found 128, mixtures of experts"},
    {"pretraining_tp", "2", HG_ERROR_UNSUPPORTED, "found 2, layers that are computed in slices"},
    {"pretraining_tp", "0", HG_ERROR_FORMAT, "found 0"},
    {"attention_bias", "true", HG_ERROR_UNSUPPORTED, "biases in attention"},
    {"mlp_bias", "true", HG_ERROR_UNSUPPORTED, "biases in MLP"},
    {"sliding_window", "4096", HG_ERROR_UNSUPPORTED, "found 4096, sliding-window"},
    {"vocab_size", NULL, HG_ERROR_FORMAT, "found nothing, expected an integer 1 to 1048576"},
    {"vocab_size", "0", HG_ERROR_FORMAT, "found 0, expected an integer"},
    {"vocab_size", "48.5", HG_ERROR_FORMAT, "found 48.5"},
    {"vocab_size", "\"48\"", HG_ERROR_FORMAT, "found \"48\""},
    {"hidden_size", "4294967360", HG_ERROR_FORMAT, "found 4294967360"},
    {"num_hidden_layers", "257", HG_ERROR_FORMAT, "1 to 256"},
    {"num_key_value_heads", "3", HG_ERROR_FORMAT, "divisor of num_attention_heads, 4"},
    {"head_dim", "7", HG_ERROR_FORMAT, "odd"},
    {"head_dim", "131072", HG_ERROR_LIMIT, "num_attention_heads"},
    {"rms_norm_eps", "0", HG_ERROR_FORMAT, "expected more than 0"},
    {"tie_word_embeddings", "1", HG_ERROR_FORMAT, "expected true or false"},
    {"bos_token_id", "48", HG_ERROR_FORMAT, "0 to 47"},
    {"eos_token_id", "48", HG_ERROR_FORMAT, "0 to 47"},
    {"eos_token_id", "[2,48]", HG_ERROR_FORMAT, "entry 1"},
    {"eos_token_id", "[2,-1]", HG_ERROR_FORMAT, "entry 1"},
    {"rope_theta", "-1", HG_ERROR_FORMAT, "above 0"},
    {"partial_rotary_factor", "0.5", HG_ERROR_UNSUPPORTED, "only 1"},
    {"rope_parameters.rope_type", "\"yarn\"", HG_ERROR_UNSUPPORTED, "\"yarn\""},
    {"rope_scaling", "{\"rope_type\":\"dynamic\",\"factor\":2}", HG_ERROR_UNSUPPORTED,
     "rope_scaling.rope_type: found \"dynamic\""},
    {"rope_parameters.rope_type", "\"longrope\"", HG_ERROR_UNSUPPORTED,
     "rope_parameters.rope_type: found \"longrope\""},
    {"rope_parameters.rope_type", "\"dynamic\"", HG_ERROR_UNSUPPORTED, "found \"dynamic\""},
    {"rope_parameters.partial_rotary_factor", "0.25", HG_ERROR_UNSUPPORTED,
     "rope_parameters.partial_rotary_factor: found 0.25"},
    {"rope_scaling", "{\"type\":\"yarn\",\"factor\":4}", HG_ERROR_UNSUPPORTED,
     "rope_scaling.type: found \"yarn\""},
    {"rope_scaling", "{\"type\":\"longrope\",\"long_factor\":[1]}", HG_ERROR_UNSUPPORTED,
     "rope_scaling.type: found \"longrope\""},
    {"rope_scaling", "{\"rope_type\":\"linear\",\"factor\":0}", HG_ERROR_FORMAT,
     "rope_scaling.factor: found 0"},
    {"rope_scaling", "{\"rope_type\":\"llama3\",\"factor\":8}", HG_ERROR_FORMAT,
     "rope_scaling.low_freq_factor: found nothing"},
    {"rope_scaling", "{\"rope_type\":\"linear\"}", HG_ERROR_FORMAT, "rope_scaling.factor"},
    {"rope_scaling",
     "{\"rope_type\":\"llama3\",\"factor\":8,\"low_freq_factor\":4,\"high_freq_factor\":4}",
     HG_ERROR_FORMAT, "rope_scaling.high_freq_factor"},
    {"quantization_config.quant_method", "\"bitsandbytes\"", HG_ERROR_UNSUPPORTED,
     "quant_method: found \"bitsandbytes\", only"},
    {"quantization_config", "{}", HG_ERROR_FORMAT, "quant_method"},
#define AWQ "{\"quant_method\":\"awq\",\"bits\":4,\"group_size\":128"
    {"quantization_config", AWQ ",\"version\":\"gemv\"}", HG_ERROR_UNSUPPORTED,
     "quantization_config.version: found \"gemv\", only \"gemm\""},
    {"quantization_config", AWQ ",\"zero_point\":false}", HG_ERROR_UNSUPPORTED,
     "quantization_config.zero_point"},
    {"quantization_config", "{\"quant_method\":\"awq\",\"bits\":8,\"group_size\":128}",
     HG_ERROR_UNSUPPORTED, "quantization_config.bits: found 8"},
#define GPTQ "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":128"
    {"quantization_config", GPTQ ",\"desc_act\":true}", HG_ERROR_UNSUPPORTED,
     "quantization_config.desc_act: found true"},
    {"quantization_config", GPTQ ",\"checkpoint_format\":\"marlin\"}", HG_ERROR_UNSUPPORTED,
     "quantization_config.checkpoint_format: found \"marlin\""},
    {"quantization_config", GPTQ ",\"dynamic\":{\"-:lm_head\":{}}}", HG_ERROR_UNSUPPORTED,
     "quantization_config.dynamic"},
    {"quantization_config", GPTQ ",\"lm_head\":true}", HG_ERROR_UNSUPPORTED,
     "quantization_config.lm_head: found true"},
    {"quantization_config", "{\"quant_method\":\"gptq\",\"bits\":3,\"group_size\":128}",
     HG_ERROR_UNSUPPORTED, "quantization_config.bits: found 3, only 4 and 8"},
    {"quantization_config", "{\"quant_method\":\"gptq\",\"bits\":4,\"group_size\":48}",
     HG_ERROR_UNSUPPORTED, "quantization_config.group_size: found 48"},
    {"quantization_config.format", "\"float-quantized\"", HG_ERROR_UNSUPPORTED, "float-quantiz"},
    {"quantization_config.quantization_status", "\"frozen\"", HG_ERROR_UNSUPPORTED, "frozen"},
    {"quantization_config.kv_cache_scheme", "{\"num_bits\":8}", HG_ERROR_UNSUPPORTED, "KV cache"},
    {"quantization_config.transform_config", "{\"a\":8}", HG_ERROR_UNSUPPORTED, "transforms"},
    {"quantization_config.sparsity_config", "{\"format\":\"sparse-24\"}", HG_ERROR_UNSUPPORTED,
     "sparsity_config.format: found \"sparse-24\""},
    {"quantization_config.config_groups", "{}", HG_ERROR_UNSUPPORTED, "with 0 groups"},
    {"quantization_config.config_groups.group_1", "{}", HG_ERROR_UNSUPPORTED, "with 2 groups"},
    {"quantization_config.config_groups.group_0.input_activations", "{\"num_bits\":8}",
     HG_ERROR_UNSUPPORTED, "quantised activations"},
    {"quantization_config.config_groups.group_0.format", "\"marlin-24\"", HG_ERROR_UNSUPPORTED,
     "marlin-24"},
    {"quantization_config.config_groups.group_0.weights", "null", HG_ERROR_FORMAT, "an object"},
#define W "quantization_config.config_groups.group_0.weights."
    {W "num_bits", "3", HG_ERROR_UNSUPPORTED, "found 3, only 4 and 8"},
    {W "type", "\"float\"", HG_ERROR_UNSUPPORTED, "only \"int\""},
    {W "strategy", "\"channel\"", HG_ERROR_UNSUPPORTED, "only \"group\""},
    {W "group_size", "48", HG_ERROR_UNSUPPORTED, "only 16, 32, 64 and multiples of 128"},
    {W "group_size", "-1", HG_ERROR_FORMAT, "found -1"},
    {W "actorder", "\"group\"", HG_ERROR_UNSUPPORTED, "found \"group\""},
    {W "dynamic", "true", HG_ERROR_UNSUPPORTED, "dynamic scales"},
    {W "symmetric", "\"yes\"", HG_ERROR_FORMAT, "expected true or false"},
    {W "block_structure", "[128,128]", HG_ERROR_UNSUPPORTED, "a list of 2"},
};

static void test_refuses_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refused_config / sizeof *refused_config; i++) {
        hg_model_config config;
        hg_error error;
        hg_status status =
            parse_with(refused_config[i].field, refused_config[i].value, &config, &error);
        if (status != refused_config[i].status)
            fail_msg("%s = %s", refused_config[i].field, refused_config[i].value);
        EXPECT_MESSAGE(&error, "config.json", refused_config[i].message);
        const char *last = strrchr(refused_config[i].field, '.');
        if (!strstr(refused_config[i].message, "group") && !strstr(refused_config[i].message, "."))
            EXPECT_MESSAGE(&error, last ? last + 1 : refused_config[i].field);
    }
}

static void test_generation_config(void **state)
{
    (void)state;
    hg_model_config config;
    hg_error error;
    static const char text[] = "{\"eos_token_id\":[9,8,7]}", bad[] = "{\"eos_token_id\":99}";
    assert_int_equal(parse_with("mlp_bias", "false", &config, &error), HG_OK);
    assert_int_equal(hg_generation_config_parse(text, sizeof text - 1, "generation_config.json",
                                                &config, &error),
                     HG_OK);
    assert_int_equal(config.bos, 1);
    assert_int_equal(config.stops, 3);
    assert_int_equal(config.stop[2], 7);
    assert_int_equal(
        hg_generation_config_parse(bad, sizeof bad - 1, "generation_config.json", &config, &error),
        HG_ERROR_FORMAT);
    EXPECT_MESSAGE(&error, "generation_config.json", "eos_token_id", "found 99");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes_all_fields),  cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_rope_spellings),    cmocka_unit_test(test_refuses_by_name),
        cmocka_unit_test(test_generation_config),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
