/* config.h: config.json and generation_config.json of a Llama model, checked field by field.
 *
 * What would change the arithmetic and is not computed here is refused by its name; fields that
 * only training or other runtimes use are ignored.
 */
#ifndef HG_MODEL_CONFIG_H
#define HG_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/limits.h"
#include "core/model/quantization.h"
#include "kernels/weights.h"

typedef enum hg_rope_kind { HG_ROPE_DEFAULT, HG_ROPE_LINEAR, HG_ROPE_LLAMA3 } hg_rope_kind;

/* Names as in Hugging Face's rope_parameters. */
typedef struct hg_rope {
    hg_rope_kind kind;
    double theta;
    double factor;                             /* LINEAR, LLAMA3 */
    double low_freq_factor, high_freq_factor;  /* LLAMA3 */
    uint32_t original_max_position_embeddings; /* LLAMA3 */
} hg_rope;

typedef struct hg_model_config {
    hg_shape shape;
    hg_rope rope;
    hg_quantization quantization;
    bool tied;   /* the head is the embedding */
    int32_t bos; /* -1: none */
    int32_t stop[HG_LIMIT_STOP_TOKENS];
    uint32_t stops;
} hg_model_config;

/* config.json; file is for messages. */
hg_status hg_model_config_parse(const char *bytes, size_t count, const char *file,
                                hg_model_config *out, hg_error *error) HG_CHECKED;

/* generation_config.json: its bos_token_id and eos_token_id replace those of *config. */
hg_status hg_generation_config_parse(const char *bytes, size_t count, const char *file,
                                     hg_model_config *config, hg_error *error) HG_CHECKED;

/* frequency [head_dim / 2]: radians per position of each rotated pair. F32 arithmetic in the order
 * of transformers' modeling_rope_utils.py. */
void hg_rope_frequencies(const hg_rope *rope, uint32_t head_dim, float *frequency);

#endif
