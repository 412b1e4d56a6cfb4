/* gguf_config.h: a Llama model's shape and tokens, out of a GGUF file's metadata.
 *
 * What would change the arithmetic and is not computed here is refused by its key. The vocabulary's
 * size is that of the embedding, with which the metadata must agree.
 */
#ifndef HG_MODEL_GGUF_CONFIG_H
#define HG_MODEL_GGUF_CONFIG_H

#include "core/model/config.h"
#include "core/model/gguf.h"

/* Shape, RoPE without the factors of rope_freqs.weight, bos and stop tokens; tied when there is no
 * output.weight. quantization stays empty. */
hg_status hg_gguf_config(const hg_gguf *file, hg_model_config *out, hg_error *error) HG_CHECKED;

/* general.architecture must be llama, and general.type what is wanted ("model", "adapter"). */
hg_status hg_gguf_check_kind(const hg_gguf *file, const char *type, hg_error *error) HG_CHECKED;

#endif
