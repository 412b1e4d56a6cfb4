/* lora_config.h: adapter_config.json as PEFT writes it, and what it says about each module.
 *
 * Matching is PEFT's (tuners_utils.check_target_module_exists, utils.other.get_pattern_key). Fields
 * that only training uses are ignored; any other field must be off, or it is refused by its name,
 * known to us or not: an option that is not honoured would change the result without a word.
 */
#ifndef HG_MODEL_LORA_CONFIG_H
#define HG_MODEL_LORA_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/model/adapter.h"

typedef struct hg_lora_config hg_lora_config;

/* Who wants to hear of every problem. */
typedef struct hg_lora_sink {
    hg_problem_sink problem;
    void *context;
} hg_lora_sink;

/* What the configuration says about one module. */
typedef struct hg_lora_choice {
    bool targeted;
    uint32_t rank; /* 1 .. HG_LIMIT_ADAPTER_RANK when targeted */
    float scale;
} hg_lora_choice;

/* Parses the text; file is for messages and is copied. */
hg_status hg_lora_config_parse(const char *bytes, size_t count, const char *file,
                               hg_lora_config **out, hg_error *error) HG_CHECKED;
/* The same; sink, if it is not NULL, gets each problem, the first of which is the result. */
hg_status hg_lora_config_parse_all(const char *bytes, size_t count, const char *file,
                                   const hg_lora_sink *sink, hg_lora_config **out,
                                   hg_error *error) HG_CHECKED;
void hg_lora_config_free(hg_lora_config *config);

/* module: "model.layers.3.self_attn.q_proj"; linear: whether "all-linear" means it. Not
 * thread-safe: matchers keep state. */
hg_status hg_lora_config_choose(hg_lora_config *config, const char *module, bool linear,
                                hg_lora_choice *out, hg_error *error) HG_CHECKED;

/* aLoRA's invocation tokens; token [HG_INVOCATION_MAX]. Returns how many: 0 for a plain LoRA. */
uint32_t hg_lora_config_invocation(const hg_lora_config *config, int32_t *token);

#endif
