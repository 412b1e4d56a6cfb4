/* lora_config.c: one table of fields, the modules' patterns, and the choice for a module.
 *
 * Patterns are compiled once at parse time; lists of names stay JSON and are compared as PEFT does:
 * the whole module name, or its end after a dot.
 */
#include "core/model/lora_config.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/model/json.h"
#include "core/model/pattern.h"

/* Every field of PEFT's LoraConfig (0.21). READ: parsed below. TRAINING: matters to training or
 * bookkeeping only. OFF: must be off, since it changes what the adapter computes. */
enum field_use { READ, TRAINING, OFF };
static const struct {
    const char *name;
    enum field_use use;
    const char *what; /* of OFF fields: what it switches on */
} fields[] = {
    {"peft_type", READ, ""},
    {"task_type", READ, ""},
    {"r", READ, ""},
    {"lora_alpha", READ, ""},
    {"use_rslora", READ, ""},
    {"target_modules", READ, ""},
    {"exclude_modules", READ, ""},
    {"layers_to_transform", READ, ""},
    {"layers_pattern", READ, ""},
    {"rank_pattern", READ, ""},
    {"alpha_pattern", READ, ""},
    {"alora_invocation_tokens", READ, ""},
    {"init_lora_weights", READ, ""},
    {"bias", READ, ""},
    {"auto_mapping", TRAINING, ""},
    {"base_model_name_or_path", TRAINING, ""},
    {"revision", TRAINING, ""},
    {"inference_mode", TRAINING, ""},
    {"peft_version", TRAINING, ""},
    {"lora_dropout", TRAINING, ""},
    {"loftq_config", TRAINING, ""},
    {"eva_config", TRAINING, ""},
    {"corda_config", TRAINING, ""},
    {"lora_ga_config", TRAINING, ""},
    {"megatron_core", TRAINING, ""},
    {"qalora_group_size", TRAINING, ""},
    {"runtime_config", TRAINING, ""},
    {"ensure_weight_tying", TRAINING, ""},
    {"fan_in_fan_out", TRAINING, ""}, /* of Conv1D; for Llama's linear layers PEFT turns it off */
    {"use_dora", OFF, "DoRA"},
    {"modules_to_save", OFF, "modules that are replaced whole (modules_to_save)"},
    {"lora_bias", OFF, "a bias on LoRA B"},
    {"trainable_token_indices", OFF, "trained embeddings of single tokens"},
    {"target_parameters", OFF, "LoRA on bare parameters"},
    {"megatron_config", OFF, "Megatron's parallel layers"},
    {"layer_replication", OFF, "replicated layers"},
    {"use_qalora", OFF, "QALoRA"},
    {"use_bdlora", OFF, "block-diagonal LoRA"},
    {"arrow_config", OFF, "Arrow routing"},
    {"kasa_config", OFF, "KaSA"},
    {"velora_config", OFF, "VeLoRA"},
    {"monteclora_config", OFF, "Monte Carlo LoRA"},
};

/* One entry of rank_pattern or alpha_pattern, in the file's order: the first that matches wins. */
typedef struct override {
    hg_pattern *pattern; /* owned */
    double value;
} override;

struct hg_lora_config {
    char file[HG_PATH_MAX];
    json_t *root; /* owned; lists below are borrowed from it */
    double rank, alpha;
    bool rslora, all_linear;
    const json_t *targets, *excluded;             /* lists of names, or NULL */
    hg_pattern *target_pattern, *exclude_pattern; /* instead of a list; owned */
    const json_t *layers;                         /* list of indices, one index, or NULL: all */
    override *layer_pattern;                      /* [layer_patterns] owned; value unused */
    override *rank_pattern, *alpha_pattern;       /* owned */
    uint32_t layer_patterns, rank_patterns, alpha_patterns;
    int32_t invocation[HG_INVOCATION_MAX];
    uint32_t invocations;
};

/* A module "is" an entry when it is the entry or ends in "." and the entry. */
static bool names_module(const char *entry, const char *module)
{
    size_t length = strlen(entry), whole = strlen(module);
    if (length > whole || strcmp(module + whole - length, entry) != 0) return false;
    return length == whole || module[whole - length - 1] == '.';
}

/* Whether any entry of a list names the module. A missing list names none. */
static bool list_names(const json_t *list, const char *module)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (names_module(json_string_value(json_array_get(list, i)), module)) return true;
    return false;
}

/* Walks the file's fields, not the table's, so that a field from a later PEFT is seen too: switched
 * on, it would change the result in a way that nobody here knows. */
static hg_status check_fields(const hg_json *at, const hg_lora_sink *sink)
{
    hg_status first = HG_OK;
    const char *name;
    json_t *value;
    json_object_foreach(at->object, name, value)
    {
        size_t i = 0, count = sizeof fields / sizeof *fields;
        while (i < count && strcmp(fields[i].name, name) != 0) i++;
        if ((i < count && fields[i].use != OFF) || hg_json_is_off(value)) continue;
        hg_status status =
            hg_json_fail(at, name, HG_ERROR_UNSUPPORTED, "%s%s; train the adapter without it",
                         i < count ? fields[i].what : "an option that hydraglot does not know",
                         i < count ? " is not supported" : "");
        if (!sink) return status;
        sink->problem(sink->context, at->error);
        if (!first) first = status;
    }
    return first;
}

static hg_status check_type(const hg_json *at)
{
    const char *type = "";
    hg_status status = hg_json_string(at, "peft_type", HG_JSON_REQUIRED, 64, &type);
    if (status || strcmp(type, "LORA") == 0) return status;
    return hg_json_fail(at, "peft_type", HG_ERROR_UNSUPPORTED, "only LORA is supported");
}

/* Fields whose value must be one of a few words. */
static hg_status check_task(const hg_json *at, hg_lora_config *config)
{
    (void)config;
    const char *task = "CAUSAL_LM";
    hg_status status = hg_json_string(at, "task_type", HG_JSON_OPTIONAL, 64, &task);
    if (status || strcmp(task, "CAUSAL_LM") == 0) return status;
    return hg_json_fail(at, "task_type", HG_ERROR_UNSUPPORTED, "only CAUSAL_LM is supported");
}

static hg_status check_bias(const hg_json *at, hg_lora_config *config)
{
    (void)config;
    const char *bias = "none";
    hg_status status = hg_json_string(at, "bias", HG_JSON_OPTIONAL, 64, &bias);
    if (status || strcmp(bias, "none") == 0) return status;
    return hg_json_fail(at, "bias", HG_ERROR_UNSUPPORTED,
                        "only \"none\" is supported: trained biases of the base are not");
}

static hg_status check_init(const hg_json *at, hg_lora_config *config)
{
    (void)config;
    static const char *const inits[] = {"gaussian", "eva", "orthogonal", "mica"};
    const char *init = inits[0];
    if (json_is_boolean(hg_json_get(at, "init_lora_weights"))) return HG_OK;
    hg_status status = hg_json_string(at, "init_lora_weights", HG_JSON_OPTIONAL, 64, &init);
    for (size_t i = 0; !status && i < sizeof inits / sizeof *inits; i++)
        if (strcmp(init, inits[i]) == 0) return HG_OK;
    if (status) return status;
    return hg_json_fail(at, "init_lora_weights", HG_ERROR_UNSUPPORTED,
                        "an initialisation that changes the base's weights or the layer; convert "
                        "the adapter to a plain LoRA (save_pretrained with "
                        "path_initial_model_for_weight_conversion)");
}

/* Rank and alpha where no pattern says otherwise. */
static hg_status read_scale(const hg_json *at, hg_lora_config *config)
{
    uint32_t rank = 8; /* PEFT's default, of alpha too */
    config->alpha = 8;
    hg_status status = hg_json_u32(at, "r", HG_JSON_OPTIONAL, 1, HG_LIMIT_ADAPTER_RANK, &rank);
    config->rank = rank;
    if (!status) status = hg_json_number(at, "lora_alpha", HG_JSON_OPTIONAL, &config->alpha);
    return status ? status : hg_json_bool(at, "use_rslora", HG_JSON_OPTIONAL, &config->rslora);
}

/* target_modules or exclude_modules: a list of names or one pattern for whole names. */
static hg_status read_modules(const hg_json *at, const char *field, const json_t **list,
                              hg_pattern **pattern)
{
    json_t *names = NULL, *value = hg_json_get(at, field);
    if (!value) return HG_OK;
    if (json_is_string(value)) {
        const hg_pattern_source source = {"", json_string_value(value), "", at->file, field};
        return hg_pattern_open(&source, pattern, at->error);
    }
    hg_status status = hg_json_array(at, field, HG_JSON_REQUIRED, HG_JSON_STRINGS,
                                     HG_LIMIT_ADAPTER_PATTERNS, &names);
    *list = names;
    return status;
}

/* "all-linear" in any case of letters; a missing target_modules means PEFT's default for Llama. */
static hg_status read_targets(const hg_json *at, hg_lora_config *config)
{
    const char *word = json_string_value(hg_json_get(at, "target_modules"));
    hg_status status = HG_OK;
    config->all_linear = word && strcasecmp(word, "all-linear") == 0;
    if (!config->all_linear)
        status = read_modules(at, "target_modules", &config->targets, &config->target_pattern);
    if (!status && !hg_json_is_off(hg_json_get(at, "exclude_modules")))
        status = read_modules(at, "exclude_modules", &config->excluded, &config->exclude_pattern);
    return status;
}

static hg_status no_memory(const hg_json *at)
{
    return hg_fail(at->error, HG_ERROR_MEMORY, "%s: no memory", at->file);
}

/* layers_pattern: one pattern or several, for the name of the list of layers ("layers"). A module
 * name of ours holds exactly one number between dots, so what PEFT captures is that number. */
static hg_status read_layer_patterns(const hg_json *at, hg_lora_config *config)
{
    json_t *value = hg_json_get(at, "layers_pattern"), *list = NULL;
    if (hg_json_is_off(value)) return HG_OK;
    bool one = json_is_string(value);
    hg_status status = HG_OK;
    if (!one)
        status = hg_json_array(at, "layers_pattern", HG_JSON_REQUIRED, HG_JSON_STRINGS,
                               HG_LIMIT_ADAPTER_PATTERNS, &list);
    if (status) return status;
    size_t count = one ? 1 : json_array_size(list);
    config->layer_pattern = calloc(count, sizeof *config->layer_pattern);
    if (!config->layer_pattern) return no_memory(at);
    for (size_t i = 0; !status && i < count; i++) {
        const char *text = json_string_value(one ? value : json_array_get(list, i));
        const hg_pattern_source source = {"(?:^|.*?\\.)", text, "\\.(\\d+)\\..*", at->file,
                                          "layers_pattern"};
        status = hg_pattern_open(&source, &config->layer_pattern[i].pattern, at->error);
        if (!status) config->layer_patterns++;
    }
    return status;
}

/* layers_to_transform: one index or a list, beside a list of target_modules only. */
static hg_status read_layers(const hg_json *at, hg_lora_config *config)
{
    json_t *value = hg_json_get(at, "layers_to_transform"), *list;
    bool patterns = !hg_json_is_off(hg_json_get(at, "layers_pattern"));
    if (!value && patterns)
        return hg_json_fail(at, "layers_pattern", HG_ERROR_FORMAT,
                            "expected layers_to_transform beside it");
    if ((value || patterns) && (config->target_pattern || config->all_linear))
        return hg_json_fail(at, value ? "layers_to_transform" : "layers_pattern", HG_ERROR_FORMAT,
                            "which PEFT allows only where target_modules is a list");
    config->layers = value;
    if (!value || (json_is_integer(value) && json_integer_value(value) >= 0))
        return read_layer_patterns(at, config);
    hg_status status = hg_json_array(at, "layers_to_transform", HG_JSON_REQUIRED, HG_JSON_INTEGERS,
                                     HG_LIMIT_MODEL_LAYERS, &list);
    if (!status && json_array_size(list) == 0) config->layers = NULL; /* as PEFT: all layers */
    return status ? status : read_layer_patterns(at, config);
}

/* rank_pattern or alpha_pattern: {pattern of the name's end: value}. */
static hg_status read_overrides(const hg_json *at, const char *field, bool ranks, override **out,
                                uint32_t *count)
{
    hg_json map;
    const char *key;
    json_t *value;
    hg_status status = hg_json_object(at, field, HG_JSON_OPTIONAL, &map);
    size_t entries = json_object_size(map.object);
    if (status || !entries) return status;
    if (entries > HG_LIMIT_ADAPTER_PATTERNS)
        return hg_json_fail(at, field, HG_ERROR_LIMIT, "with more than %d entries",
                            HG_LIMIT_ADAPTER_PATTERNS);
    *out = calloc(entries, sizeof **out);
    if (!*out) return no_memory(at);
    json_object_foreach(map.object, key, value)
    {
        const hg_pattern_source source = {"(.*\\.)?(", key, ")", at->file, field};
        override *entry = &(*out)[*count];
        uint32_t rank = 0;
        status = hg_json_number(&map, key, HG_JSON_REQUIRED, &entry->value);
        if (!status && ranks)
            status = hg_json_u32(&map, key, HG_JSON_REQUIRED, 1, HG_LIMIT_ADAPTER_RANK, &rank);
        if (!status) status = hg_pattern_open(&source, &entry->pattern, at->error);
        if (status) return status;
        ++*count;
    }
    return HG_OK;
}

/* An empty list is refused: an empty sequence has no last occurrence to begin at. */
static hg_status read_invocation(const hg_json *at, hg_lora_config *config)
{
    static const char field[] = "alora_invocation_tokens";
    json_t *list;
    hg_status status =
        hg_json_array(at, field, HG_JSON_OPTIONAL, HG_JSON_INTEGERS, HG_INVOCATION_MAX, &list);
    if (status || !list) return status;
    config->invocations = (uint32_t)json_array_size(list);
    if (!config->invocations)
        return hg_json_fail(at, field, HG_ERROR_FORMAT,
                            "expected at least one token, or null for a plain LoRA");
    for (uint32_t i = 0; i < config->invocations; i++)
        config->invocation[i] = (int32_t)json_integer_value(json_array_get(list, i));
    return HG_OK;
}

static hg_status read_ranks(const hg_json *at, hg_lora_config *config)
{
    return read_overrides(at, "rank_pattern", true, &config->rank_pattern, &config->rank_patterns);
}

static hg_status read_alphas(const hg_json *at, hg_lora_config *config)
{
    return read_overrides(at, "alpha_pattern", false, &config->alpha_pattern,
                          &config->alpha_patterns);
}

/* All fields of a document. Without a sink the first problem ends it; with one too when it is no
 * LoRA, whose fields are not ours to judge. */
static hg_status read_fields(const hg_json *at, hg_lora_config *config, const hg_lora_sink *sink)
{
    static hg_status (*const steps[])(const hg_json *, hg_lora_config *) = {
        check_task,  check_bias, check_init,  read_scale,     read_targets,
        read_layers, read_ranks, read_alphas, read_invocation};
    hg_status first = check_type(at);
    if (first) {
        if (sink) sink->problem(sink->context, at->error);
        return first;
    }
    first = check_fields(at, sink);
    for (size_t i = 0; i < sizeof steps / sizeof *steps && (!first || sink); i++) {
        hg_status status = steps[i](at, config);
        if (status && sink) sink->problem(sink->context, at->error);
        if (!first) first = status;
    }
    return first;
}

hg_status hg_lora_config_parse_all(const char *bytes, size_t count, const char *file,
                                   const hg_lora_sink *sink, hg_lora_config **out, hg_error *error)
{
    hg_json at;
    *out = NULL;
    hg_lora_config *config = calloc(1, sizeof *config);
    if (!config) return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", file);
    snprintf(config->file, sizeof config->file, "%s", file);
    hg_status status = hg_json_parse(bytes, count, config->file, &at, error);
    config->root = at.object;
    if (status && sink) sink->problem(sink->context, error);
    if (!status) status = read_fields(&at, config, sink);
    if (status)
        hg_lora_config_free(config);
    else
        *out = config;
    return status;
}

hg_status hg_lora_config_parse(const char *bytes, size_t count, const char *file,
                               hg_lora_config **out, hg_error *error)
{
    return hg_lora_config_parse_all(bytes, count, file, NULL, out, error);
}

static void free_overrides(override *entry, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) hg_pattern_close(entry[i].pattern);
    free(entry);
}

void hg_lora_config_free(hg_lora_config *config)
{
    if (!config) return;
    hg_pattern_close(config->target_pattern);
    hg_pattern_close(config->exclude_pattern);
    free_overrides(config->layer_pattern, config->layer_patterns);
    free_overrides(config->rank_pattern, config->rank_patterns);
    free_overrides(config->alpha_pattern, config->alpha_patterns);
    json_decref(config->root);
    free(config);
}

/* Whether layers_to_transform has the module's layer. */
static hg_status layer_is_meant(hg_lora_config *config, const char *module, bool *out,
                                hg_error *error)
{
    hg_status status = HG_OK;
    unsigned layer = 0;
    bool numbered = sscanf(module, "model.layers.%u.", &layer) == 1, named = false;
    for (uint32_t i = 0; !status && !named && i < config->layer_patterns; i++)
        status = hg_pattern_matches(config->layer_pattern[i].pattern, module, &named, error);
    *out = false;
    if (status || !numbered || (config->layer_patterns && !named)) return status;
    if (json_is_integer(config->layers)) {
        *out = json_integer_value(config->layers) == (json_int_t)layer;
        return HG_OK;
    }
    for (size_t i = 0; !*out && i < json_array_size(config->layers); i++)
        *out = json_integer_value(json_array_get(config->layers, i)) == (json_int_t)layer;
    return HG_OK;
}

/* The order of the questions is PEFT's: excluded, pattern, whole name (which layers_to_transform
 * does not touch), end of the name. */
static hg_status is_targeted(hg_lora_config *config, const char *module, bool linear, bool *out,
                             hg_error *error)
{
    bool excluded = list_names(config->excluded, module);
    hg_status status = HG_OK;
    *out = false;
    if (config->exclude_pattern)
        status = hg_pattern_matches(config->exclude_pattern, module, &excluded, error);
    if (status || excluded) return status;
    if (config->all_linear) {
        *out = linear;
        return HG_OK;
    }
    if (config->target_pattern)
        return hg_pattern_matches(config->target_pattern, module, out, error);
    if (!config->targets) { /* PEFT's default for Llama */
        *out = names_module("q_proj", module) || names_module("v_proj", module);
    } else {
        *out = list_names(config->targets, module);
        for (size_t i = 0; *out && i < json_array_size(config->targets); i++)
            if (strcmp(json_string_value(json_array_get(config->targets, i)), module) == 0)
                return HG_OK;
    }
    return *out && config->layers ? layer_is_meant(config, module, out, error) : HG_OK;
}

/* The first entry that matches, in the order of the file. PEFT's writer sorts the keys, so that
 * order may not be the one in which they were given for training; its reader goes by the file too.
 */
static hg_status apply_override(override *entry, uint32_t count, const char *module, double *value,
                                hg_error *error)
{
    assert(entry || !count);
    for (uint32_t i = 0; i < count; i++) {
        bool matches;
        hg_status status = hg_pattern_matches(entry[i].pattern, module, &matches, error);
        if (status) return status;
        if (!matches) continue;
        *value = entry[i].value;
        break;
    }
    return HG_OK;
}

hg_status hg_lora_config_choose(hg_lora_config *config, const char *module, bool linear,
                                hg_lora_choice *out, hg_error *error)
{
    double rank = config->rank, alpha = config->alpha;
    assert(strlen(module) < HG_LIMIT_TENSOR_NAME);
    *out = (hg_lora_choice){0};
    hg_status status = is_targeted(config, module, linear, &out->targeted, error);
    if (status || !out->targeted) return status;
    status = apply_override(config->rank_pattern, config->rank_patterns, module, &rank, error);
    if (!status)
        status =
            apply_override(config->alpha_pattern, config->alpha_patterns, module, &alpha, error);
    if (status) return status;
    out->rank = (uint32_t)rank;
    assert(out->rank >= 1 && out->rank <= HG_LIMIT_ADAPTER_RANK);
    out->scale = (float)(alpha / (config->rslora ? sqrt(rank) : rank));
    return HG_OK;
}

uint32_t hg_lora_config_invocation(const hg_lora_config *config, int32_t *token)
{
    assert(config->invocations <= HG_INVOCATION_MAX);
    memcpy(token, config->invocation, sizeof config->invocation);
    return config->invocations;
}
