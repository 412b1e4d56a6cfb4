/* folder.h: the folder of a converted model: made beside its name, complete before it gets it. */
#ifndef HG_CONVERT_FOLDER_H
#define HG_CONVERT_FOLDER_H

#include <stdint.h>

#include "core/base/error.h"
#include "core/base/file.h"

typedef struct hg_folder {
    char path[HG_PATH_MAX];    /* the name it will have */
    char partial[HG_PATH_MAX]; /* where it is made: path + ".partial" */
} hg_folder;

/* HG_ERROR_STATE when out is there already. What an interrupted run left beside it goes; another
 * folder of that name is HG_ERROR_STATE too. */
hg_status hg_folder_begin(const char *out, hg_folder *folder, hg_error *error) HG_CHECKED;

/* Copies what a model folder has beside its weights: tokenizer, generation_config.json, notice,
 * licences. from must be a folder with a config.json. */
hg_status hg_folder_copy(const hg_folder *folder, const char *from, hg_error *error) HG_CHECKED;

/* Copies from/name to to/name; a file that is not there is left out. */
hg_status hg_file_copy_into(const char *from, const char *to, const char *name,
                            hg_error *error) HG_CHECKED;

/* config.json of from with the new form of weights: compressed-tensors with bits 4 or 8, BF16 with
 * bits 0. */
hg_status hg_folder_config(const hg_folder *folder, const char *from, uint8_t bits, uint16_t group,
                           hg_error *error) HG_CHECKED;

/* Syncs it and gives it its name. */
hg_status hg_folder_commit(const hg_folder *folder, hg_error *error) HG_CHECKED;

/* Removes what was made, unless it was committed. */
void hg_folder_abandon(const hg_folder *folder);

#endif
