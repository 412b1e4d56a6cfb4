/* add.c: see add.h. */
#include "core/plugins/add.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/plugins/check.h"
#include "core/plugins/incoming.h"
#include "core/plugins/propose.h"
#include "core/plugins/stage.h"
#include "core/plugins/unpack.h"

/* The files, side by side in the stage. */
static hg_status gather(const hg_intake_options *options, const hg_stage *stage, hg_notes *notes,
                        hg_error *error)
{
    struct stat st;
    hg_incoming in = hg_incoming_new(stage, notes);
    bool folder = stat(options->path, &st) == 0 && S_ISDIR(st.st_mode);
    hg_status status = folder ? hg_unpack_folder(options->path, &in, error)
                              : hg_unpack_archive(options->path, &in, error);
    if (!status) hg_incoming_end(&in);
    hg_incoming_free(&in);
    return status;
}

/* What a person calls the files, without slashes at its end. */
static void name_files(const hg_intake_options *options, char *out, size_t size)
{
    snprintf(out, size, "%s", options->called ? options->called : options->path);
    for (size_t n = strlen(out); n > 1 && out[n - 1] == '/'; n--) out[n - 1] = 0;
}

/* Whether the folder has the content of its name. */
static bool is_whole(const char *folder, const char *digest)
{
    hg_plugin *plugin = NULL;
    hg_error ignored;
    bool whole = !hg_plugin_open(folder, &plugin, &ignored) && strcmp(plugin->digest, digest) == 0;
    hg_plugin_close(plugin);
    return whole;
}

/* Gathers, completes, checks. Problems are noted; an error is ours. */
static hg_status examine(const hg_intake_options *options, const hg_stage *stage, hg_intake *intake,
                         hg_error *error)
{
    char called[HG_PATH_MAX];
    name_files(options, called, sizeof called);
    hg_status status = gather(options, stage, &intake->notes, error);
    /* Files that are not all there have nothing to say. */
    if (status || intake->notes.kinds[HG_NOTE_PROBLEM]) return status;
    status = hg_plugin_propose(options, called, stage->folder, &intake->notes, error);
    if (status) return status;
    return hg_plugin_check(options, stage->folder, &intake->notes, &intake->plugin,
                           &intake->rank_max, error);
}

/* What was only read leaves, so the digest is taken anew; then the content gets its name. */
static hg_status finish(const hg_intake_options *options, hg_stage *stage, hg_intake *intake,
                        hg_error *error)
{
    char path[HG_PATH_MAX] = "";
    hg_status status = hg_incoming_drop_read(stage, error);
    hg_plugin_close(intake->plugin);
    intake->plugin = NULL;
    if (!status) status = hg_plugin_open(stage->folder, &intake->plugin, error);
    if (!status && options->keep)
        status = hg_stage_keep(stage, intake->plugin->digest, is_whole, path, error);
    if (!status) memcpy(intake->plugin->folder, path, sizeof path);
    return status;
}

hg_status hg_plugin_intake(const hg_intake_options *options, hg_intake **out, hg_error *error)
{
    hg_stage stage;
    assert(options->path && options->data_path && options->model && options->tokenizer);
    hg_intake *intake = *out = calloc(1, sizeof *intake);
    if (!intake) return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", options->path);
    intake->lock = -1;
    hg_status status = hg_stage_sweep(options->data_path, NULL, NULL, error);
    if (!status) status = hg_stage_open(options->data_path, &stage, error);
    if (status) return status;
    intake->lock = stage.lock;
    char within[HG_PATH_MAX];
    memcpy(within, stage.folder, sizeof within);
    intake->notes.within = within;
    status = examine(options, &stage, intake, error);
    if (!status) status = hg_notes_verdict(&intake->notes, error);
    if (!status) status = finish(options, &stage, intake, error);
    intake->notes.within = NULL;
    hg_stage_close(&stage);
    if (status) {
        hg_plugin_close(intake->plugin);
        intake->plugin = NULL;
    }
    return status;
}

void hg_intake_free(hg_intake *intake)
{
    if (!intake) return;
    hg_plugin_close(intake->plugin);
    hg_stage_unlock(intake->lock);
    free(intake);
}

hg_status hg_intake_sweep(const char *data_path, bool (*wanted)(const char *digest, void *context),
                          void *context, hg_error *error)
{
    return hg_stage_sweep(data_path, wanted, context, error);
}
