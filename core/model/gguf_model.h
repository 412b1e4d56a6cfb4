/* gguf_model.h: a base model out of one GGUF file; private to core/model, as the rest of the
 * program asks hg_model_open. */
#ifndef HG_MODEL_GGUF_MODEL_H
#define HG_MODEL_GGUF_MODEL_H

#include "core/model/model.h"

hg_status hg_gguf_model_open(const char *path, const char *cache, hg_model **out,
                             hg_error *error) HG_CHECKED;
void hg_gguf_model_close(hg_model *model); /* one with model->gguf */

/* The same for a file image in memory, aligned to 8, which must stay; path is for messages. */
hg_status hg_gguf_model_parse(const uint8_t *bytes, size_t size, const char *path, hg_model **out,
                              hg_error *error) HG_CHECKED;

/* The file's own vocabulary. */
hg_status hg_gguf_tokenizer(const hg_model *model, hg_tokenizer **out, hg_error *error) HG_CHECKED;

/* "blk.3.attn_q.<suffix>" into out [size]: how GGUF calls a linear layer's tensors. */
void hg_gguf_projection_name(uint32_t layer, hg_projection projection, const char *suffix,
                             char *out, size_t size);

/* Which row of q or k in the file is row `row` of ours. llama.cpp rotates neighbours (2i, 2i + 1)
 * of a head, we rotate (i, i + half), so its files have the rows of the two halves in turn. */
static inline uint32_t hg_gguf_row(uint32_t row, uint32_t head_dim)
{
    const uint32_t half = head_dim / 2, at = row % head_dim;
    return row - at + at % half * 2 + at / half;
}

#endif
