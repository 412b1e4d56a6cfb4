/* fuzz_adapter_config.c: any text as adapter_config.json; what is accepted then chooses modules. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/base/limits.h"
#include "core/model/lora_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const modules[] = {"model.layers.0.self_attn.q_proj",
                                          "model.layers.12.mlp.down_proj", "lm_head"};
    hg_lora_config *config;
    hg_error error;
    int32_t token[HG_INVOCATION_MAX];
    if (hg_lora_config_parse((const char *)data, size, "fuzz", &config, &error)) return 0;
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++) {
        hg_lora_choice choice;
        if (hg_lora_config_choose(config, modules[i], i < 2, &choice, &error)) continue;
        if (choice.targeted && (choice.rank < 1 || choice.rank > HG_LIMIT_ADAPTER_RANK)) abort();
    }
    if (hg_lora_config_invocation(config, token) > HG_INVOCATION_MAX) abort();
    hg_lora_config_free(config);
    return 0;
}
