/* gguf_tokenizer.h: the tokenizer that a GGUF file carries; private to core/model. */
#ifndef HG_MODEL_GGUF_TOKENIZER_H
#define HG_MODEL_GGUF_TOKENIZER_H

#include "core/model/gguf.h"
#include "core/text/vocabulary.h"

/* Byte-level BPE only; another model, an unknown way to split text or type of token is refused by
 * name. The caller closes *out. */
hg_status hg_gguf_vocabulary_tokenizer(const hg_gguf *file, hg_tokenizer **out,
                                       hg_error *error) HG_CHECKED;

#endif
