/* stage.c: see stage.h. */
#include "core/plugins/stage.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define COMING ".coming-"

static hg_status fail_errno(hg_error *error, const char *did, const char *path)
{
    return hg_fail(error, HG_ERROR_IO, "%s: cannot %s: %s", path, did, strerror(errno));
}

/* The folder of all plugins' contents and its lock; how: LOCK_SH, or LOCK_EX | LOCK_NB. */
static hg_status lock_root(const char *data_path, int how, hg_stage *out, hg_error *error)
{
    char path[HG_PATH_MAX];
    out->lock = -1;
    *out->folder = 0;
    hg_status status = hg_path_join(out->root, sizeof out->root, data_path, "plugins", error);
    if (!status) status = hg_folder_make(out->root, error);
    if (!status) status = hg_path_join(path, sizeof path, out->root, ".lock", error);
    if (status) return status;
    out->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (out->lock < 0) return fail_errno(error, "open", path);
    int code;
    do {
        code = flock(out->lock, how);
    } while (code && errno == EINTR);
    if (!code) return HG_OK;
    bool held = errno == EWOULDBLOCK;
    status = fail_errno(error, "lock", path);
    hg_stage_unlock(out->lock);
    out->lock = -1;
    return held ? HG_ERROR_STATE : status;
}

hg_status hg_stage_open(const char *data_path, hg_stage *out, hg_error *error)
{
    hg_status status = lock_root(data_path, LOCK_SH, out, error);
    if (status) return status;
    snprintf(out->folder, sizeof out->folder, "%s/" COMING "XXXXXX", out->root);
    if (mkdtemp(out->folder)) return HG_OK;
    status = fail_errno(error, "make", out->folder);
    *out->folder = 0;
    hg_stage_unlock(out->lock);
    out->lock = -1;
    return status;
}

/* One file to the disk, not to be written any more. */
static hg_status seal(const char *path, hg_error *error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return fail_errno(error, "open", path);
    hg_status status = HG_OK;
    if (fchmod(fd, 0400) || fsync(fd)) status = fail_errno(error, "sync", path);
    close(fd);
    return status;
}

static hg_status seal_all(const char *folder, hg_error *error)
{
    char path[HG_PATH_MAX];
    hg_status status = HG_OK;
    DIR *list = opendir(folder);
    if (!list) return fail_errno(error, "open", folder);
    for (const struct dirent *item; !status && (item = readdir(list));) {
        if (item->d_name[0] == '.') continue;
        status = hg_path_join(path, sizeof path, folder, item->d_name, error);
        if (!status) status = seal(path, error);
    }
    closedir(list);
    return status ? status : hg_folder_sync(folder, error);
}

hg_status hg_stage_keep(hg_stage *stage, const char *digest,
                        bool (*whole)(const char *folder, const char *digest), char *path,
                        hg_error *error)
{
    hg_status status = hg_path_join(path, HG_PATH_MAX, stage->root, digest, error);
    if (!status) status = seal_all(stage->folder, error);
    if (status) return status;
    if (hg_file_exists(path) && whole(path, digest)) return hg_folder_sync(stage->root, error);
    /* The names are exchanged, so that there is a folder of this name at each moment; what was
     * damaged leaves with the stage. */
    const unsigned how = hg_file_exists(path) ? RENAME_EXCHANGE : RENAME_NOREPLACE;
    if (renameat2(AT_FDCWD, stage->folder, AT_FDCWD, path, how)) {
        const int why = errno; /* EEXIST: another intake of the same content came first */
        if (why == EEXIST && whole(path, digest)) return hg_folder_sync(stage->root, error);
        errno = why;
        return fail_errno(error, "rename to", path);
    }
    if (how == RENAME_NOREPLACE) *stage->folder = 0;
    return hg_folder_sync(stage->root, error);
}

void hg_stage_close(hg_stage *stage)
{
    if (*stage->folder) hg_folder_remove(stage->folder);
    *stage->folder = 0;
}

void hg_stage_unlock(int lock)
{
    if (lock >= 0) close(lock);
}

static bool is_digest(const char *name)
{
    return strlen(name) == HG_SHA256_HEX - 1 && !name[strspn(name, "0123456789abcdef")];
}

hg_status hg_stage_sweep(const char *data_path, bool (*wanted)(const char *digest, void *context),
                         void *context, hg_error *error)
{
    hg_stage stage;
    char path[HG_PATH_MAX];
    hg_error held;
    hg_status status = lock_root(data_path, LOCK_EX | LOCK_NB, &stage, &held);
    if (status == HG_ERROR_STATE) return HG_OK; /* somebody is adding */
    if (status) return hg_fail(error, status, "%s", held.message);
    DIR *list = opendir(stage.root);
    if (!list) status = fail_errno(error, "open", stage.root);
    for (const struct dirent *item; !status && list && (item = readdir(list));) {
        bool left = strncmp(item->d_name, COMING, strlen(COMING)) == 0;
        bool denied = wanted && is_digest(item->d_name) && !wanted(item->d_name, context);
        if (!left && !denied) continue;
        status = hg_path_join(path, sizeof path, stage.root, item->d_name, error);
        if (!status) hg_folder_remove(path);
    }
    if (list) closedir(list);
    hg_stage_unlock(stage.lock);
    return status;
}
