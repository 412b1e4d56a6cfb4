/* gguf_config.c: the keys that llama.cpp's convert_hf_to_gguf.py writes for LlamaForCausalLM, as
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md names them. */
#include "core/model/gguf_config.h"

#include <stdio.h>
#include <string.h>

/* Keys of relatives of Llama that share its architecture's name: each must say nothing. */
static const struct {
    const char *key, *why;
    double nothing; /* the value that changes nothing */
} must_be_off[] = {
    {"llama.expert_count", "mixtures of experts are not supported", 0},
    {"llama.attention.sliding_window", "sliding-window attention is not supported", 0},
    {"llama.attention.scale", "scaled attention is not supported", 0},
    {"llama.attention.clamp_kqv", "clamped attention is not supported", 0},
    {"llama.attention.max_alibi_bias", "ALiBi is not supported", 0},
    {"llama.logit_scale", "scaled logits are not supported", 1},
    {"llama.embedding_scale", "scaled embeddings are not supported", 1},
    {"llama.residual_scale", "scaled residuals are not supported", 1},
};

static hg_status check_off(const hg_gguf *file, hg_error *error)
{
    for (size_t i = 0; i < sizeof must_be_off / sizeof *must_be_off; i++) {
        double value = must_be_off[i].nothing;
        hg_status status = hg_gguf_number(file, must_be_off[i].key, false, &value, error);
        if (status) return status;
        if (value != must_be_off[i].nothing)
            return hg_fail(error, HG_ERROR_UNSUPPORTED, "%s: key %s: found %g, expected %g: %s",
                           file->path, must_be_off[i].key, value, must_be_off[i].nothing,
                           must_be_off[i].why);
    }
    return HG_OK;
}

/* A length for "%.*s" in messages. */
static int shown(hg_gguf_text text)
{
    return text.length < 64 ? (int)text.length : 64;
}

hg_status hg_gguf_check_kind(const hg_gguf *file, const char *type, hg_error *error)
{
    hg_gguf_text architecture, found = {type, strlen(type)};
    hg_status status = hg_gguf_string(file, "general.architecture", true, &architecture, error);
    if (!status) status = hg_gguf_string(file, "general.type", false, &found, error);
    if (!status && !hg_gguf_text_is(architecture, "llama"))
        status = hg_fail(error, HG_ERROR_UNSUPPORTED,
                         "%s: key general.architecture: found %.*s; only llama is supported",
                         file->path, shown(architecture), architecture.text);
    if (!status && !hg_gguf_text_is(found, type))
        status = hg_fail(error, HG_ERROR_FORMAT, "%s: key general.type: found %.*s, expected %s",
                         file->path, shown(found), found.text, type);
    return status;
}

/* Rows of the embedding, which metadata need not give. */
static hg_status read_vocabulary(const hg_gguf *file, hg_shape *shape, hg_error *error)
{
    const hg_gguf_tensor *table = hg_gguf_find_tensor(file, "token_embd.weight");
    if (!table || table->dimensions != 2)
        return hg_fail(error, HG_ERROR_FORMAT,
                       "%s: tensor token_embd.weight is %s, expected one of two dimensions",
                       file->path, table ? "of another shape" : "missing");
    if (table->shape[1] > HG_LIMIT_VOCABULARY)
        return hg_fail(error, HG_ERROR_LIMIT,
                       "%s: tensor token_embd.weight: %llu rows, at most %d tokens are allowed",
                       file->path, (unsigned long long)table->shape[1], HG_LIMIT_VOCABULARY);
    shape->vocabulary = (uint32_t)table->shape[1];
    uint32_t said = shape->vocabulary;
    hg_status status = hg_gguf_u32(file, "llama.vocab_size",
                                   (hg_gguf_range){1, HG_LIMIT_VOCABULARY, false}, &said, error);
    if (!status && said != shape->vocabulary)
        status = hg_fail(error, HG_ERROR_FORMAT,
                         "%s: key llama.vocab_size: found %u, but token_embd.weight has %u rows",
                         file->path, said, shape->vocabulary);
    return status;
}

/* head_dim: of keys and values alike, and all of it rotated. */
static hg_status read_heads(const hg_gguf *file, hg_shape *shape, hg_error *error)
{
    static const char *const keys[] = {"llama.attention.key_length", "llama.attention.value_length",
                                       "llama.rope.dimension_count"};
    if (!shape->kv_heads) shape->kv_heads = shape->heads;
    if (shape->heads % shape->kv_heads)
        return hg_fail(error, HG_ERROR_FORMAT,
                       "%s: key llama.attention.head_count_kv: found %u, expected a divisor of "
                       "llama.attention.head_count, %u",
                       file->path, shape->kv_heads, shape->heads);
    shape->head_dim = shape->hidden / shape->heads;
    bool given = hg_gguf_find(file, keys[0]) != NULL;
    if (!given && shape->hidden % shape->heads)
        return hg_fail(error, HG_ERROR_FORMAT,
                       "%s: key llama.embedding_length: found %u, expected a multiple of "
                       "llama.attention.head_count, %u",
                       file->path, shape->hidden, shape->heads);
    for (int i = 0; i < 3; i++) {
        uint32_t size = shape->head_dim;
        hg_status status = hg_gguf_u32(
            file, keys[i], (hg_gguf_range){2, HG_LIMIT_MODEL_WIDTH, false}, &size, error);
        if (status) return status;
        if (i == 0) shape->head_dim = size;
        if (size != shape->head_dim || size % 2)
            return hg_fail(error, HG_ERROR_UNSUPPORTED,
                           "%s: key %s: found %u, expected %u, the head's size, and that even",
                           file->path, keys[i], size, shape->head_dim);
    }
    if ((uint64_t)shape->heads * shape->head_dim > HG_LIMIT_MODEL_WIDTH)
        return hg_fail(error, HG_ERROR_LIMIT,
                       "%s: key llama.attention.head_count: %u heads of %u are more than the %d "
                       "allowed",
                       file->path, shape->heads, shape->head_dim, HG_LIMIT_MODEL_WIDTH);
    return HG_OK;
}

static hg_status read_shape(const hg_gguf *file, hg_shape *shape, hg_error *error)
{
    const struct {
        const char *key;
        bool required;
        uint32_t max, *out;
    } sizes[] = {
        {"llama.block_count", true, HG_LIMIT_MODEL_LAYERS, &shape->layers},
        {"llama.embedding_length", true, HG_LIMIT_MODEL_WIDTH, &shape->hidden},
        {"llama.feed_forward_length", true, HG_LIMIT_MODEL_WIDTH, &shape->intermediate},
        {"llama.attention.head_count", true, HG_LIMIT_MODEL_HEADS, &shape->heads},
        {"llama.attention.head_count_kv", false, HG_LIMIT_MODEL_HEADS, &shape->kv_heads},
        {"llama.context_length", true, HG_LIMIT_MODEL_POSITIONS, &shape->positions},
    };
    double epsilon = 0;
    hg_status status = HG_OK;
    for (size_t i = 0; !status && i < sizeof sizes / sizeof *sizes; i++)
        status =
            hg_gguf_u32(file, sizes[i].key, (hg_gguf_range){1, sizes[i].max, sizes[i].required},
                        sizes[i].out, error);
    static const char key[] = "llama.attention.layer_norm_rms_epsilon";
    if (!status) status = hg_gguf_number(file, key, true, &epsilon, error);
    if (!status && !(epsilon > 0 && epsilon < 1))
        status = hg_fail(error, HG_ERROR_FORMAT,
                         "%s: key %s: found %g, expected more than 0, below "
                         "1",
                         file->path, key, epsilon);
    shape->rms_epsilon = (float)epsilon;
    if (!status) status = read_vocabulary(file, shape, error);
    return status ? status : read_heads(file, shape, error);
}

/* Llama 3's scaling comes as the factors of rope_freqs.weight, not as a type. */
static hg_status read_rope(const hg_gguf *file, hg_rope *rope, hg_error *error)
{
    hg_gguf_text type = {"none", 4};
    *rope = (hg_rope){.kind = HG_ROPE_DEFAULT, .theta = 10000, .factor = 1};
    hg_status status = hg_gguf_number(file, "llama.rope.freq_base", false, &rope->theta, error);
    if (!status) status = hg_gguf_string(file, "llama.rope.scaling.type", false, &type, error);
    if (status) return status;
    const bool linear = hg_gguf_text_is(type, "linear");
    if (!linear && !hg_gguf_text_is(type, "none"))
        return hg_fail(error, HG_ERROR_UNSUPPORTED,
                       "%s: key llama.rope.scaling.type: found %.*s; only none, linear and Llama "
                       "3's rope_freqs.weight are supported",
                       file->path, shown(type), type.text);
    /* The older key of linear scaling. */
    status = hg_gguf_number(file, "llama.rope.scale_linear", false, &rope->factor, error);
    if (!status && linear)
        status = hg_gguf_number(file, "llama.rope.scaling.factor", true, &rope->factor, error);
    if (!status &&
        !(rope->theta > 0 && rope->factor > 0 && rope->theta < 1e30 && rope->factor < 1e30))
        status = hg_fail(error, HG_ERROR_FORMAT,
                         "%s: keys llama.rope.freq_base, llama.rope.scaling.factor: found %g and "
                         "%g, expected numbers above 0",
                         file->path, rope->theta, rope->factor);
    if (rope->factor != 1) rope->kind = HG_ROPE_LINEAR;
    return status;
}

/* The ends of a text, of a turn and of a message all end a translation. */
static hg_status read_tokens(const hg_gguf *file, hg_model_config *out, hg_error *error)
{
    static const char *const ends[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    const hg_gguf_range ids = {.max = out->shape.vocabulary - 1};
    uint32_t id = UINT32_MAX;
    hg_status status = hg_gguf_u32(file, "tokenizer.ggml.bos_token_id", ids, &id, error);
    if (!status && id != UINT32_MAX) out->bos = (int32_t)id;
    for (size_t i = 0; !status && i < sizeof ends / sizeof *ends; i++) {
        id = UINT32_MAX;
        status = hg_gguf_u32(file, ends[i], ids, &id, error);
        bool known = id == UINT32_MAX;
        for (uint32_t k = 0; k < out->stops; k++) known = known || out->stop[k] == (int32_t)id;
        if (!known) out->stop[out->stops++] = (int32_t)id;
    }
    return status;
}

hg_status hg_gguf_config(const hg_gguf *file, hg_model_config *out, hg_error *error)
{
    *out = (hg_model_config){.bos = -1};
    hg_status status = hg_gguf_check_kind(file, "model", error);
    if (!status) status = check_off(file, error);
    if (!status) status = read_shape(file, &out->shape, error);
    if (!status) status = read_rope(file, &out->rope, error);
    if (!status) status = read_tokens(file, out, error);
    out->tied = !hg_gguf_find_tensor(file, "output.weight");
    return status;
}
