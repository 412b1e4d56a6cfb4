/* fuzz_model_config.c: any text as config.json and generation_config.json; what is accepted keeps
 * the relations that later code relies on. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/model/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    hg_model_config config;
    hg_error error;
    if (hg_model_config_parse((const char *)data, size, "fuzz", &config, &error)) return 0;
    const hg_shape *s = &config.shape;
    if (!s->layers || !s->hidden || !s->positions || s->heads % s->kv_heads || s->head_dim % 2)
        abort();
    if (config.stops > HG_LIMIT_STOP_TOKENS || config.bos >= (int32_t)s->vocabulary) abort();
    float *frequency = malloc(s->head_dim / 2 * sizeof *frequency);
    if (frequency) hg_rope_frequencies(&config.rope, s->head_dim, frequency);
    free(frequency);
    if (hg_generation_config_parse((const char *)data, size, "fuzz", &config, &error)) abort();
    return 0;
}
