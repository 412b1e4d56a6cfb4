/* tokenizer.c: the tokenizer of an opened model, from whichever file has it, checked against the
 * model's number of tokens. */
#include "core/model/tokenizer.h"

#include <string.h>

#include "core/model/gguf_model.h"

static const char JSON_FILE[] = "tokenizer.json", RANKS_FILE[] = "tokenizer.model";

hg_status hg_model_find_tokenizer(hg_model *model, hg_error *error)
{
    char *path = model->tokenizer_path;
    const size_t room = sizeof model->tokenizer_path;
    hg_status status = hg_path_join(path, room, model->path, JSON_FILE, error);
    if (status || hg_file_exists(path)) return status;
    status = hg_path_join(path, room, model->path, RANKS_FILE, error);
    if (status || hg_file_exists(path)) return status;
    return hg_fail(error, HG_ERROR_NOT_FOUND, "%s: neither %s nor Meta's %s is there", model->path,
                   JSON_FILE, RANKS_FILE);
}

/* Ids that the model has no rows for are an error; rows without ids are padding. Meta's file has no
 * mark of its end, and its special tokens follow the last line: one that was cut would give them
 * wrong ids, so there the numbers must be equal. */
static hg_status check_tokens(const hg_model *model, uint32_t have, bool exact, hg_error *error)
{
    uint32_t room = model->weights.shape.vocabulary;
    if (have <= room && !(exact && have < room)) return HG_OK;
    return hg_fail(
        error, HG_ERROR_FORMAT,
        "%s: token ids up to %u, but vocab_size of %s/config.json is %u: the tokenizer is "
        "another model's%s",
        model->tokenizer_path, have - 1, model->path, room, exact ? " or was cut" : "");
}

hg_status hg_model_tokenizer(const hg_model *model, hg_tokenizer **out, hg_error *error)
{
    *out = NULL;
    hg_tokenizer *tokenizer;
    const char *path = model->tokenizer_path;
    size_t length = strlen(path), ending = strlen(RANKS_FILE);
    bool ranks = length > ending && strcmp(path + length - ending, RANKS_FILE) == 0;
    hg_status status = model->gguf ? hg_gguf_tokenizer(model, &tokenizer, error)
                       : ranks     ? hg_tokenizer_open_ranks(path, &tokenizer, error)
                                   : hg_tokenizer_open(path, &tokenizer, error);
    if (status) return status;
    status = check_tokens(model, hg_tokenizer_vocabulary(tokenizer), ranks, error);
    if (status)
        hg_tokenizer_close(tokenizer);
    else
        *out = tokenizer;
    return status;
}
