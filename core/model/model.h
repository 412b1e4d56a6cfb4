/* model.h: a base model from disk, checked and ready for a device.
 *
 * hg_model_open reads a folder in Hugging Face layout (config.json, generation_config.json,
 * tokenizer.json, *.safetensors) or a GGUF file, which has all of that in one. Files are mapped;
 * every offset, shape, type and size is checked against the file and the config before anything is
 * used. The result is one struct of views that lives until hg_model_close. An error names the file,
 * the tensor or field, what was found and what was expected.
 */
#ifndef HG_MODEL_MODEL_H
#define HG_MODEL_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/file.h"
#include "core/base/limits.h"
#include "core/text/tokenizer.h"
#include "kernels/weights.h"

typedef struct hg_model {
    hg_weights weights; /* views into what this model owns */
    char name[64];      /* the folder's name, or general.name of a GGUF file */
    char path[HG_PATH_MAX];
    char tokenizer_path[HG_PATH_MAX];
    char identity[HG_SHA256_HEX]; /* identity.h; "" while it has none */
    char notice[512];             /* what its licence wants shown, on one line; "" for nothing */
    char weights_form[64];        /* "compressed-tensors INT4 group 32", for people */
    uint64_t parameters;
    size_t file_bytes;                  /* of the weights */
    int32_t bos;                        /* -1: none */
    int32_t stop[HG_LIMIT_STOP_TOKENS]; /* eos_token_id of generation_config.json or config.json */
    uint32_t stops;
    struct hg_fingerprint *fingerprint; /* of the weights; hg_model_fingerprint asks for it */
    struct hg_model_owned *owned;       /* mappings and arrays; private to core/model */
    struct hg_gguf_model *gguf;         /* instead of owned: a model out of a GGUF file */
} hg_model;

hg_status hg_model_open(const char *path, hg_model **out, hg_error *error) HG_CHECKED;
/* The same; the fingerprint of a large model is kept in folder cache and found there the next time.
 * NULL: it is computed. */
hg_status hg_model_open_kept(const char *path, const char *cache, hg_model **out,
                             hg_error *error) HG_CHECKED;
void hg_model_close(hg_model *model);

/* "sha256:" and the digest of the weights, as fingerprint.h says: waits until it is known, from any
 * thread. It lives as long as the model. */
const char *hg_model_fingerprint(const hg_model *model);

/* The model's tokenizer, which the caller closes. An error when it has ids that the model has not.
 */
hg_status hg_model_tokenizer(const hg_model *model, hg_tokenizer **out, hg_error *error) HG_CHECKED;

#endif
