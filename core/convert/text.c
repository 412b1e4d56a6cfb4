/* text.c: see text.h. */
#include "core/convert/text.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/limits.h"

#define TOKENS_LEAST 64

/* Every second line of one validation.tsv; the tab between the languages becomes a space. */
static hg_status add_pairs(const char *path, hg_text_half half, hg_buf *out, hg_error *error)
{
    hg_buf text = hg_buf_new(HG_LIMIT_TOKENIZER_TEXT);
    hg_status status = hg_file_read(path, &text, error);
    unsigned line = 0;
    for (const char *at = hg_buf_text(&text); !status && *at; line++) {
        size_t length = strcspn(at, "\n");
        if (line % 2 == (unsigned)half) status = hg_buf_append(out, at, length + (at[length] != 0));
        at += length + (at[length] != 0);
    }
    if (status == HG_ERROR_LIMIT) hg_fail(error, status, "%s: too much text", path);
    hg_buf_free(&text);
    return status;
}

static hg_status read_pairs(const hg_text_want *want, hg_buf *out, hg_error *error)
{
    struct dirent **item = NULL;
    hg_status status = HG_OK;
    int items = scandir(want->plugins, &item, NULL, alphasort);
    for (int i = 0; i < items; i++) {
        char folder[HG_PATH_MAX], path[HG_PATH_MAX];
        if (!status && item[i]->d_name[0] != '.') {
            status = hg_path_join(folder, sizeof folder, want->plugins, item[i]->d_name, error);
            if (!status) status = hg_path_join(path, sizeof path, folder, "validation.tsv", error);
            if (!status && hg_file_exists(path)) status = add_pairs(path, want->half, out, error);
        }
        free(item[i]);
    }
    free(item);
    for (size_t i = 0; i < out->length; i++)
        if (out->data[i] == '\t') out->data[i] = ' ';
    if (!status && !out->length)
        status = hg_fail(error, HG_ERROR_NOT_FOUND,
                         "%s: no plugin with a validation.tsv there; give a text", want->plugins);
    return status;
}

/* Cuts all into sequences and takes as many as may be, spread over the text. */
static hg_status cut(const hg_model *model, const hg_tokens *all, uint32_t most, hg_tokens *out)
{
    const uint32_t first = model->bos >= 0, body = HG_TEXT_SPAN - first;
    const uint32_t whole = (all->count + body - 1) / body, room = most / HG_TEXT_SPAN;
    const uint32_t sequences = whole < room ? whole : room;
    hg_status status = HG_OK;
    for (uint32_t i = 0; i < sequences; i++) {
        uint32_t at = (uint32_t)((uint64_t)whole * i / sequences) * body;
        if (first) status = hg_tokens_append(out, model->bos);
        for (uint32_t j = at; !status && j < at + body && j < all->count; j++)
            status = hg_tokens_append(out, all->id[j]);
        if (status) return status;
    }
    return HG_OK;
}

hg_status hg_text_tokens(const hg_model *model, const hg_text_want *want, hg_tokens *out,
                         hg_error *error)
{
    hg_buf text = hg_buf_new(HG_LIMIT_TOKENIZER_TEXT);
    hg_tokenizer *tokenizer = NULL;
    hg_tokens all = {0};
    const char *from = want->file ? want->file : want->plugins;
    assert(want->most >= HG_TEXT_SPAN);
    *out = (hg_tokens){0};
    hg_status status =
        want->file ? hg_file_read(want->file, &text, error) : read_pairs(want, &text, error);
    if (!status) status = hg_model_tokenizer(model, &tokenizer, error);
    if (!status)
        status = hg_tokenizer_encode(tokenizer, hg_buf_text(&text), text.length, &all, error);
    if (!status && all.count < TOKENS_LEAST)
        status = hg_fail(error, HG_ERROR_ARGUMENT, "%s: %u tokens of text, expected at least %d",
                         from, all.count, TOKENS_LEAST);
    if (!status && cut(model, &all, want->most, out))
        status = hg_fail(error, HG_ERROR_MEMORY, "%s: no memory for its tokens", from);
    hg_tokenizer_close(tokenizer);
    hg_tokens_free(&all);
    hg_buf_free(&text);
    if (status) hg_tokens_free(out);
    return status;
}
