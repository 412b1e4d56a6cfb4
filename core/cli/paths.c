/* paths.c: where things lie when nobody says. See settings.h. */
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cli/settings.h"

/* The folder above the one that the binary is in: the source tree of build/hydraglot. */
static hg_status find_tree(char *tree, hg_error *error)
{
    char path[HG_PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", path, sizeof path - 1);
    if (length < 0) return hg_fail(error, HG_ERROR_IO, "/proc/self/exe: cannot read the link");
    path[length] = '\0';
    memcpy(tree, path, sizeof path);
    char *folder = dirname(dirname(tree)); /* works in place, or gives a constant */
    memmove(tree, folder, strlen(folder) + 1);
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
    char tree[HG_PATH_MAX];
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
    if (!status) status = data_default(settings, tree, error);
    if (status) return status;
    settings->model = settings->model_default;
    settings->plugins = settings->plugins_default;
    settings->web = settings->web_default;
    settings->data = settings->data_default;
    return HG_OK;
}
