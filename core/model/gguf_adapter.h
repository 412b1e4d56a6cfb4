/* gguf_adapter.h: a LoRA or aLoRA adapter as llama.cpp's convert_lora_to_gguf.py writes it; private
 * to core/model, as the rest of the program asks hg_adapter_open.
 *
 * The file says rank (by the shapes) and alpha; its scale is alpha / rank. What PEFT has beyond
 * that (rsLoRA, alpha_pattern) that converter leaves out: such an adapter is better kept in PEFT's
 * form.
 */
#ifndef HG_MODEL_GGUF_ADAPTER_H
#define HG_MODEL_GGUF_ADAPTER_H

#include "core/model/adapter.h"
#include "core/model/gguf.h"

/* Takes the file's pairs into layer [shape->layers], zeroed before, and its invocation into
 * *adapter, whose lora then has these layers. All is views into file and its memory. */
hg_status hg_gguf_adapter_take(hg_gguf *file, const hg_shape *shape, hg_lora_layer *layer,
                               hg_adapter *adapter, hg_error *error) HG_CHECKED;

#endif
