/* intake_help.h: a data folder and a base for tests of core/plugins. */
#ifndef HG_TESTS_INTAKE_HELP_H
#define HG_TESTS_INTAKE_HELP_H

#include <stdbool.h>

#include "tests/support/plugin_files.h"
#include "tests/unit/model_fixture.h"

#include "core/plugins/add.h"

static hg_model *model;
static hg_tokenizer *tokenizer;
static char room[64], data_path[128]; /* a folder for everything, and the data folder in it */

static inline int open_base(void **state)
{
    (void)state;
    hg_error error = {0};
    if (hg_model_open("models/hydra-tiny", &model, &error) ||
        hg_model_tokenizer(model, &tokenizer, &error))
        fail_msg("%s", error.message);
    folder_new(room);
    snprintf(data_path, sizeof data_path, "%s/data", room);
    return 0;
}

static inline int close_base(void **state)
{
    (void)state;
    hg_tokenizer_close(tokenizer);
    hg_model_close(model);
    hg_folder_remove(room);
    return 0;
}

static inline hg_status take_in(const char *path, bool keep, hg_plugin_words words, hg_intake **out,
                                hg_error *error)
{
    const hg_intake_options options = {.path = path,
                                       .data_path = data_path,
                                       .keep = keep,
                                       .words = words,
                                       .model = model,
                                       .tokenizer = tokenizer};
    *error = (hg_error){0};
    return hg_plugin_intake(&options, out, error);
}

/* What stands in plugins/ of the data folder beside the lock. */
static inline unsigned count_contents(void)
{
    char path[160];
    unsigned count = 0;
    snprintf(path, sizeof path, "%s/plugins", data_path);
    DIR *list = opendir(path);
    for (const struct dirent *item; list && (item = readdir(list));)
        count += strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0 &&
                 strcmp(item->d_name, ".lock") != 0;
    if (list) closedir(list);
    return count;
}

static inline bool has_note(const hg_intake *intake, hg_note_kind kind, const char *text)
{
    for (uint32_t i = 0; i < intake->notes.count; i++)
        if (intake->notes.note[i].kind == kind && strstr(intake->notes.note[i].text, text))
            return true;
    return false;
}

#endif
