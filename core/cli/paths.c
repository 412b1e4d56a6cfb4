/* paths.c: where things lie when nobody says. See settings.h. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cli/settings.h"

#define LEVELS                                                                                     \
    3 /* build/hydraglot, build/asan/hydraglot: a tree is not deeper above its binary              \
       */

static bool is_tree(const char *folder)
{
    char models[HG_PATH_MAX];
    return !hg_path_join(models, sizeof models, folder, "models", NULL) && hg_file_exists(models);
}

/* The nearest folder above the binary's own that has models in it: the source tree of
 * build/hydraglot. When none has, the one right above, for messages that say where was looked. */
static hg_status find_tree(char *tree, hg_error *error)
{
    char path[HG_PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0) return hg_fail(error, HG_ERROR_IO, "/proc/self/exe: cannot read the link");
    path[length] = '\0';
    for (int level = 0; level <= LEVELS; level++) {
        char *slash = strrchr(path, '/');
        if (!slash || (level && slash == path)) break;
        slash[slash == path] = '\0';
        if (level == 1) memcpy(tree, path, sizeof path);
        if (level < 1 || !is_tree(path)) continue;
        memcpy(tree, path, sizeof path);
        break;
    }
    return HG_OK;
}

static hg_status data_default(hg_settings *settings, const char *tree, hg_error *error)
{
    char makefile[HG_PATH_MAX];
    size_t room = sizeof settings->data_default;
    hg_status status = hg_path_join(makefile, sizeof makefile, tree, "Makefile", error);
    if (status) return status;
    if (hg_file_exists(makefile))
        return hg_path_join(settings->data_default, room, tree, "var", error);
    const char *home = getenv("XDG_DATA_HOME");
    if (home && home[0] == '/')
        return hg_path_join(settings->data_default, room, home, "hydraglot", error);
    home = getenv("HOME");
    return hg_path_join(settings->data_default, room, home && home[0] ? home : "/var/lib",
                        home && home[0] ? ".local/share/hydraglot" : "hydraglot", error);
}

hg_status hg_paths_default(hg_settings *settings, hg_error *error)
{
    char tree[HG_PATH_MAX] = "/";
    hg_status status = find_tree(tree, error);
    if (!status)
        status = hg_path_join(settings->model_default, sizeof settings->model_default, tree,
                              "models/hydra-tiny", error);
    if (!status)
        status = hg_path_join(settings->plugins_default, sizeof settings->plugins_default, tree,
                              "plugins", error);
    if (!status)
        status =
            hg_path_join(settings->web_default, sizeof settings->web_default, tree, "web", error);
    if (!status)
        status = hg_path_join(settings->python_default, sizeof settings->python_default, tree,
                              "build/train/bin/python", error);
    if (!status)
        status = hg_path_join(settings->trainer, sizeof settings->trainer, tree,
                              "plugins/train/train.py", error);
    if (!status) status = data_default(settings, tree, error);
    if (status) return status;
    settings->model = settings->model_default;
    settings->plugins = settings->plugins_default;
    settings->web = settings->web_default;
    settings->python = settings->python_default;
    settings->data = settings->data_default;
    return HG_OK;
}
