/* stage.h: where a plugin's files are put together, and how they become content.
 *
 * Below plugins/ of the data folder stand contents, each named by its digest, folders ".coming-..."
 * of intakes under way, and ".lock". An intake holds the lock with others; a sweep takes it alone,
 * so what it finds half made is nobody's any more: a killed process's locks end with it.
 */
#ifndef HG_PLUGINS_STAGE_H
#define HG_PLUGINS_STAGE_H

#include <stdbool.h>

#include "core/base/error.h"
#include "core/base/file.h"

typedef struct hg_stage {
    char root[HG_PATH_MAX - 128]; /* plugins/ of the data folder */
    char folder[HG_PATH_MAX];     /* where the files come together; "" when there is none */
    int lock;                     /* open file; -1: none */
} hg_stage;

/* Makes the folder, which is empty. After a failure nothing is left. */
hg_status hg_stage_open(const char *data_path, hg_stage *out, hg_error *error) HG_CHECKED;

/* Syncs all files, makes them read-only and renames the folder to its digest's, whose path goes
 * into path [HG_PATH_MAX]. Content that is there already stays when whole says so, given its
 * folder; else it gives way. */
hg_status hg_stage_keep(hg_stage *stage, const char *digest,
                        bool (*whole)(const char *folder, const char *digest), char *path,
                        hg_error *error) HG_CHECKED;

/* Removes what was not kept. The lock stays held until hg_stage_unlock. */
void hg_stage_close(hg_stage *stage);
void hg_stage_unlock(int lock);

/* As hg_intake_sweep says. */
hg_status hg_stage_sweep(const char *data_path, bool (*wanted)(const char *digest, void *context),
                         void *context, hg_error *error) HG_CHECKED;

#endif
