/* adapter.h: a LoRA or aLoRA adapter from disk, checked against its base.
 *
 * Reads PEFT's adapter_config.json and adapter_model.safetensors, or adapter.gguf as llama.cpp's
 * converter makes it of them (gguf_adapter.h). Scale, rank and alpha patterns, target
 * modules (list, regular expression, "all-linear"), excluded modules and layers are PEFT's; an
 * option that we cannot honour (DoRA, bias, modules_to_save, ...) is refused by its name.
 */
#ifndef HG_MODEL_ADAPTER_H
#define HG_MODEL_ADAPTER_H

#include "core/base/error.h"
#include "core/model/model.h"

#define HG_INVOCATION_MAX 32
#define HG_ADAPTER_GGUF   "adapter.gguf"

typedef struct hg_adapter {
    hg_lora_weights lora; /* views into what this adapter owns */
    /* aLoRA: the adapter acts from the first token of the last occurrence of this sequence in the
     * prompt on. None: it acts on all tokens. */
    int32_t invocation[HG_INVOCATION_MAX];
    uint32_t invocations;
    struct hg_adapter_owned *owned; /* private to core/model */
} hg_adapter;

/* folder: the adapter's. shape: the base it must fit. */
hg_status hg_adapter_open(const char *folder, const hg_shape *shape, hg_adapter **out,
                          hg_error *error) HG_CHECKED;

/* The same for an opened base. Where the base's layers were scaled (core/model/scales.h), the
 * adapter's matrices are scaled to match, as F32 copies: it acts as on the unscaled base. */
hg_status hg_adapter_open_on(const char *folder, const hg_model *model, hg_adapter **out,
                             hg_error *error) HG_CHECKED;

/* The file with an adapter folder's weights, which need not be there, into path, and whether it is
 * GGUF by its name; an error when the folder has an adapter in both forms. */
hg_status hg_adapter_file(const char *folder, char *path, size_t size, bool *gguf,
                          hg_error *error) HG_CHECKED;
void hg_adapter_close(hg_adapter *adapter);

#endif
