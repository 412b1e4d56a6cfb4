/* config.c: transformers' LlamaConfig: its defaults, its two ways to write RoPE (rope_theta and
 * rope_scaling up to v4, rope_parameters from v5 on). */
#include "core/model/config.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/model/json.h"

/* Switches that must be off: each changes the arithmetic in a way that is not computed here. */
static const struct {
    const char *field, *why;
} switches_off[] = {
    {"attention_bias", "biases in attention layers are not supported"},
    {"mlp_bias", "biases in MLP layers are not supported"},
    {"sliding_window", "sliding-window attention is not supported"},
    {"num_local_experts", "mixtures of experts are not supported"},
    {"num_experts", "mixtures of experts are not supported"},
};

static hg_status check_switches(const hg_json *at)
{
    uint32_t ranks = 1;
    for (size_t i = 0; i < sizeof switches_off / sizeof *switches_off; i++)
        if (!hg_json_is_off(hg_json_get(at, switches_off[i].field)))
            return hg_json_fail(at, switches_off[i].field, HG_ERROR_UNSUPPORTED, "%s",
                                switches_off[i].why);
    hg_status status = hg_json_u32(at, "pretraining_tp", HG_JSON_OPTIONAL, 1, 1024, &ranks);
    if (!status && ranks != 1)
        status = hg_json_fail(at, "pretraining_tp", HG_ERROR_UNSUPPORTED,
                              "layers that are computed in slices are not supported, only 1 is");
    return status;
}

/* Architecture and activation. Many relatives of Llama share its tensor names but not its
 * arithmetic (Granite scales, Gemma shifts norms), so the architecture's own name is what counts.
 */
static hg_status check_kind(const hg_json *at)
{
    json_t *architectures;
    const char *type = "llama", *activation = "silu";
    hg_status status =
        hg_json_array(at, "architectures", HG_JSON_REQUIRED, HG_JSON_STRINGS, 16, &architectures);
    if (status) return status;
    const char *first = json_string_value(json_array_get(architectures, 0));
    if (json_array_size(architectures) != 1 || strcmp(first, "LlamaForCausalLM") != 0)
        return hg_json_fail(at, "architectures", HG_ERROR_UNSUPPORTED,
                            "that of %.64s; only LlamaForCausalLM is supported",
                            first ? first : "nothing");
    status = hg_json_string(at, "model_type", HG_JSON_OPTIONAL, 64, &type);
    if (!status && strcmp(type, "llama") != 0)
        status = hg_json_fail(at, "model_type", HG_ERROR_UNSUPPORTED, "only llama is supported");
    if (!status) status = hg_json_string(at, "hidden_act", HG_JSON_OPTIONAL, 64, &activation);
    if (!status && strcmp(activation, "silu") != 0)
        status = hg_json_fail(at, "hidden_act", HG_ERROR_UNSUPPORTED, "only silu is supported");
    return status ? status : check_switches(at);
}

/* Relations between the sizes, once each is in its range. */
static hg_status check_heads(const hg_json *at, hg_shape *shape, bool head_dim_given)
{
    if (shape->heads % shape->kv_heads)
        return hg_json_fail(at, "num_key_value_heads", HG_ERROR_FORMAT,
                            "expected a divisor of num_attention_heads, %u", shape->heads);
    if (!head_dim_given) {
        if (shape->hidden % shape->heads)
            return hg_json_fail(at, "hidden_size", HG_ERROR_FORMAT,
                                "expected a multiple of num_attention_heads, %u", shape->heads);
        shape->head_dim = shape->hidden / shape->heads;
    }
    if (shape->head_dim % 2)
        return hg_fail(at->error, HG_ERROR_FORMAT,
                       "%s: field head_dim: %u is odd, expected an even size for RoPE", at->file,
                       shape->head_dim);
    if ((uint64_t)shape->heads * shape->head_dim > HG_LIMIT_MODEL_WIDTH)
        return hg_json_fail(at, "num_attention_heads", HG_ERROR_LIMIT,
                            "times head_dim %u is more than the %d allowed", shape->head_dim,
                            HG_LIMIT_MODEL_WIDTH);
    return HG_OK;
}

/* All sizes, each in its range of limits.h, so that their products fit 64 bits. */
static hg_status read_shape(const hg_json *at, hg_shape *shape)
{
    const struct {
        const char *field;
        hg_json_need need;
        uint32_t max, *out;
    } sizes[] = {
        {"vocab_size", HG_JSON_REQUIRED, HG_LIMIT_VOCABULARY, &shape->vocabulary},
        {"hidden_size", HG_JSON_REQUIRED, HG_LIMIT_MODEL_WIDTH, &shape->hidden},
        {"intermediate_size", HG_JSON_REQUIRED, HG_LIMIT_MODEL_WIDTH, &shape->intermediate},
        {"num_hidden_layers", HG_JSON_REQUIRED, HG_LIMIT_MODEL_LAYERS, &shape->layers},
        {"num_attention_heads", HG_JSON_REQUIRED, HG_LIMIT_MODEL_HEADS, &shape->heads},
        {"num_key_value_heads", HG_JSON_OPTIONAL, HG_LIMIT_MODEL_HEADS, &shape->kv_heads},
        {"head_dim", HG_JSON_OPTIONAL, HG_LIMIT_MODEL_WIDTH, &shape->head_dim},
        {"max_position_embeddings", HG_JSON_REQUIRED, HG_LIMIT_MODEL_POSITIONS, &shape->positions},
    };
    double epsilon = 1e-6; /* LlamaConfig's default */
    hg_status status = HG_OK;
    for (size_t i = 0; !status && i < sizeof sizes / sizeof *sizes; i++)
        status = hg_json_u32(at, sizes[i].field, sizes[i].need, 1, sizes[i].max, sizes[i].out);
    if (!status) status = hg_json_number(at, "rms_norm_eps", HG_JSON_OPTIONAL, &epsilon);
    if (!status && (epsilon <= 0 || epsilon >= 1))
        status = hg_json_fail(at, "rms_norm_eps", HG_ERROR_FORMAT, "expected more than 0, below 1");
    if (status) return status;
    shape->rms_epsilon = (float)epsilon;
    if (!shape->kv_heads) shape->kv_heads = shape->heads;
    return check_heads(at, shape, shape->head_dim != 0);
}

/* A number above 0 where the field is given; *out stays as it was where it is not. */
static hg_status require_positive(const hg_json *at, const char *field, hg_json_need need,
                                  double *out)
{
    hg_status status = hg_json_number(at, field, need, out);
    if (!status && hg_json_get(at, field) && *out <= 0)
        status = hg_json_fail(at, field, HG_ERROR_FORMAT, "expected a number above 0");
    return status;
}

/* Llama 3.1's own fields; without an original length the model's own length counts. */
static hg_status read_llama3(const hg_json *at, uint32_t positions, hg_rope *rope)
{
    rope->original_max_position_embeddings = positions;
    hg_status status =
        require_positive(at, "low_freq_factor", HG_JSON_REQUIRED, &rope->low_freq_factor);
    if (!status)
        status =
            require_positive(at, "high_freq_factor", HG_JSON_REQUIRED, &rope->high_freq_factor);
    if (!status && rope->high_freq_factor <= rope->low_freq_factor)
        status = hg_json_fail(at, "high_freq_factor", HG_ERROR_FORMAT,
                              "expected more than low_freq_factor, %g", rope->low_freq_factor);
    if (!status)
        status = hg_json_u32(at, "original_max_position_embeddings", HG_JSON_OPTIONAL, 1,
                             HG_LIMIT_MODEL_POSITIONS, &rope->original_max_position_embeddings);
    return status;
}

/* rope_theta and partial_rotary_factor stand in the root, in the scaling object, or in both. */
static hg_status read_theta(const hg_json *at, hg_rope *rope)
{
    double partial = 1;
    hg_status status = require_positive(at, "rope_theta", HG_JSON_OPTIONAL, &rope->theta);
    if (!status) status = hg_json_number(at, "partial_rotary_factor", HG_JSON_OPTIONAL, &partial);
    if (!status && partial != 1)
        status =
            hg_json_fail(at, "partial_rotary_factor", HG_ERROR_UNSUPPORTED, "only 1 is supported");
    return status;
}

/* The scaling object; before v4.43 its kind was called "type". */
static hg_status read_scaling(const hg_json *at, uint32_t positions, hg_rope *rope)
{
    const char *kind = "default";
    hg_status status = read_theta(at, rope);
    const char *field = hg_json_get(at, "rope_type") ? "rope_type" : "type";
    if (!status) status = hg_json_string(at, field, HG_JSON_OPTIONAL, 64, &kind);
    if (status || strcmp(kind, "default") == 0) return status;
    if (strcmp(kind, "linear") == 0)
        rope->kind = HG_ROPE_LINEAR;
    else if (strcmp(kind, "llama3") == 0)
        rope->kind = HG_ROPE_LLAMA3;
    else
        return hg_json_fail(at, field, HG_ERROR_UNSUPPORTED,
                            "only default, linear and llama3 are supported");
    status = require_positive(at, "factor", HG_JSON_REQUIRED, &rope->factor);
    if (!status && rope->kind == HG_ROPE_LLAMA3) status = read_llama3(at, positions, rope);
    return status;
}

/* rope_scaling wins over rope_parameters, and a theta within over the root's, as in transformers.
 */
static hg_status read_rope(const hg_json *at, uint32_t positions, hg_rope *rope)
{
    hg_json scaling;
    *rope = (hg_rope){.kind = HG_ROPE_DEFAULT, .theta = 10000, .factor = 1};
    const char *field =
        hg_json_is_off(hg_json_get(at, "rope_scaling")) ? "rope_parameters" : "rope_scaling";
    hg_status status = read_theta(at, rope);
    if (!status) status = hg_json_object(at, field, HG_JSON_OPTIONAL, &scaling);
    return status || !scaling.object ? status : read_scaling(&scaling, positions, rope);
}

/* bos_token_id, and eos_token_id, which may be one id or a list. */
static hg_status read_tokens(const hg_json *at, hg_model_config *out)
{
    uint32_t bos = 0, last = out->shape.vocabulary - 1, one = 0;
    json_t *list = NULL;
    hg_status status = hg_json_u32(at, "bos_token_id", HG_JSON_OPTIONAL, 0, last, &bos);
    if (status) return status;
    if (hg_json_get(at, "bos_token_id")) out->bos = (int32_t)bos;
    const json_t *eos = hg_json_get(at, "eos_token_id");
    if (!eos) return HG_OK;
    if (!json_is_array(eos)) {
        status = hg_json_u32(at, "eos_token_id", HG_JSON_REQUIRED, 0, last, &one);
        out->stop[0] = (int32_t)one;
        out->stops = 1;
        return status;
    }
    status = hg_json_array(at, "eos_token_id", HG_JSON_REQUIRED, HG_JSON_INTEGERS,
                           HG_LIMIT_STOP_TOKENS, &list);
    if (status) return status;
    out->stops = (uint32_t)json_array_size(list);
    for (uint32_t i = 0; i < out->stops; i++) {
        json_int_t id = json_integer_value(json_array_get(list, i));
        if (id > (json_int_t)last)
            return hg_json_fail(at, "eos_token_id", HG_ERROR_FORMAT,
                                "whose entry %u is not below the vocabulary's size %u", i,
                                last + 1);
        out->stop[i] = (int32_t)id;
    }
    return HG_OK;
}

hg_status hg_model_config_parse(const char *bytes, size_t count, const char *file,
                                hg_model_config *out, hg_error *error)
{
    hg_json at;
    *out = (hg_model_config){.bos = -1};
    hg_status status = hg_json_parse(bytes, count, file, &at, error);
    if (!status) status = check_kind(&at);
    if (!status) status = read_shape(&at, &out->shape);
    if (!status) status = read_rope(&at, out->shape.positions, &out->rope);
    if (!status) status = hg_json_bool(&at, "tie_word_embeddings", HG_JSON_OPTIONAL, &out->tied);
    if (!status) status = read_tokens(&at, out);
    if (!status) status = hg_quantization_parse(&at, &out->quantization);
    json_decref(at.object);
    return status;
}

hg_status hg_generation_config_parse(const char *bytes, size_t count, const char *file,
                                     hg_model_config *config, hg_error *error)
{
    hg_json at;
    assert(config->shape.vocabulary > 0);
    hg_status status = hg_json_parse(bytes, count, file, &at, error);
    if (!status) status = read_tokens(&at, config);
    json_decref(at.object);
    return status;
}

/* Llama 3.1: long waves are slowed by factor, short ones kept, those between blended. */
static float scale_llama3(const hg_rope *rope, float frequency)
{
    const float pi = 3.14159265358979323846f;
    const float old = (float)rope->original_max_position_embeddings, factor = (float)rope->factor;
    const float low = (float)rope->low_freq_factor, high = (float)rope->high_freq_factor;
    const float wave = 2 * pi / frequency;
    if (wave > old / low) return frequency / factor;
    if (wave < old / high) return frequency;
    const float smooth = (old / wave - low) / (high - low);
    return (1 - smooth) * frequency / factor + smooth * frequency;
}

void hg_rope_frequencies(const hg_rope *rope, uint32_t head_dim, float *frequency)
{
    assert(head_dim % 2 == 0 && rope->theta > 0 && rope->factor > 0);
    for (uint32_t i = 0; i < head_dim / 2; i++) {
        float f = 1.0f / powf((float)rope->theta, (float)(2 * i) / (float)head_dim);
        if (rope->kind == HG_ROPE_LINEAR) f /= (float)rope->factor;
        if (rope->kind == HG_ROPE_LLAMA3) f = scale_llama3(rope, f);
        frequency[i] = f;
    }
}
