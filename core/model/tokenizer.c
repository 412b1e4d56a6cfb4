/* tokenizer.c: the tokenizer of an opened model, from whichever file has it, checked against the
 * model's number of tokens. */
#include "core/model/model.h"

hg_status hg_model_tokenizer(const hg_model *model, hg_tokenizer **out, hg_error *error)
{
    *out = NULL;
    hg_tokenizer *tokenizer;
    hg_status status = hg_tokenizer_open(model->tokenizer_path, &tokenizer, error);
    if (status) return status;
    uint32_t have = hg_tokenizer_vocabulary(tokenizer);
    uint32_t room = model->weights.shape.vocabulary;
    if (have > room) {
        hg_tokenizer_close(tokenizer);
        return hg_fail(error, HG_ERROR_FORMAT,
                       "%s: token ids up to %u, but vocab_size of %s/config.json is %u: the "
                       "tokenizer is another model's",
                       model->tokenizer_path, have - 1, model->path, room);
    }
    *out = tokenizer;
    return HG_OK;
}
