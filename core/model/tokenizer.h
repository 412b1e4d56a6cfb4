/* tokenizer.h: which of a model folder's files has the tokenizer; private to core/model, as the
 * rest of the program asks hg_model_tokenizer. */
#ifndef HG_MODEL_TOKENIZER_H
#define HG_MODEL_TOKENIZER_H

#include "core/model/model.h"

/* Sets model->tokenizer_path to the folder's tokenizer.json or, without one, tokenizer.model. */
hg_status hg_model_find_tokenizer(hg_model *model, hg_error *error) HG_CHECKED;

#endif
