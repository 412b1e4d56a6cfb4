/* unpack.c: see unpack.h. An archive is read once, front to back, and each entry decided as it
 * comes; nothing is believed that a header says of sizes: what comes out is counted. */
#include "core/plugins/unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 1 << 16 };

static void problem(hg_incoming *in, const char *path, const char *what)
{
    hg_notes_add(in->notes, HG_NOTE_PROBLEM, HG_ERROR_FORMAT, "%.200s: %s", path, what);
}

/* ---- archives ---- */

typedef struct reading {
    struct archive *archive;
    struct archive_entry *entry;
    hg_incoming *in;
    const char *called; /* the archive's name, for messages */
    bool over;          /* the rest is not read */
} reading;

static const char *reason(const reading *r)
{
    const char *text = archive_error_string(r->archive);
    return text ? text : "it is damaged";
}

/* Why an entry is none that a plugin may have, or NULL. */
static const char *kind_fault(struct archive_entry *entry)
{
    if (archive_entry_hardlink(entry)) return "a hard link; pack the file itself";
    switch (archive_entry_filetype(entry)) {
    case AE_IFREG:
    case AE_IFDIR: break;
    case AE_IFLNK: return "a symbolic link; pack the file itself";
    case AE_IFCHR:
    case AE_IFBLK: return "a device; pack it without";
    case AE_IFIFO: return "a pipe; pack it without";
    default: return "neither file nor folder; pack it without";
    }
    return archive_entry_is_encrypted(entry) ? "encrypted; pack it without a password" : NULL;
}

/* The entry's data, into fd unless that is -1. */
static hg_status copy_data(reading *r, const char *path, int fd, hg_error *error)
{
    const void *piece;
    size_t bytes;
    la_int64_t offset, at = 0;
    int code;
    hg_status status = HG_OK;
    while (!status &&
           (code = archive_read_data_block(r->archive, &piece, &bytes, &offset)) == ARCHIVE_OK) {
        if (hg_incoming_count(r->in, path, bytes)) {
            r->over = true;
            return HG_OK;
        }
        if (offset != at) {
            problem(r->in, path, "a sparse file; pack it whole");
            r->over = true;
            return HG_OK;
        }
        at += (la_int64_t)bytes;
        if (fd >= 0) status = hg_incoming_write(fd, path, piece, bytes, error);
    }
    if (status || code == ARCHIVE_EOF) {
        bool lies =
            !status && archive_entry_size_is_set(r->entry) && archive_entry_size(r->entry) != at;
        if (lies) problem(r->in, path, "has another size than the archive says");
        return status;
    }
    problem(r->in, path, reason(r));
    r->over = true;
    return HG_OK;
}

static hg_status take_entry(reading *r, hg_error *error)
{
    const char *path = archive_entry_pathname_utf8(r->entry), *name = NULL;
    bool take, folder = archive_entry_filetype(r->entry) == AE_IFDIR;
    int fd = -1;
    if (!path) path = archive_entry_pathname(r->entry);
    const char *fault = kind_fault(r->entry);
    hg_status status = hg_incoming_ask(r->in, path ? path : "", folder, &take, &name);
    if (status == HG_ERROR_LIMIT) {
        r->over = true;
        return HG_OK;
    }
    if (status) return hg_fail(error, status, "%s: no memory", r->called);
    if (fault) problem(r->in, path ? path : "", fault);
    take = take && !folder && !fault;
    if (take) status = hg_incoming_create(r->in, name, &fd, error);
    /* What is not taken is read too: what libarchive skips, it unpacks, and nobody counts it. */
    if (!status) status = copy_data(r, path ? path : "", fd, error);
    if (fd >= 0 && close(fd) && !status)
        status = hg_fail(error, HG_ERROR_IO, "%s: cannot write: %s", name, strerror(errno));
    return status;
}

/* Headers until the end. A stack of filters is a way to unpack to much more than one can. */
static hg_status take_entries(reading *r, hg_error *error)
{
    hg_status status = HG_OK;
    while (!status && !r->over) {
        int code = archive_read_next_header(r->archive, &r->entry);
        if (code == ARCHIVE_EOF) break;
        if (code != ARCHIVE_OK && code != ARCHIVE_WARN) {
            problem(r->in, r->called, reason(r));
            break;
        }
        if (archive_filter_count(r->archive) > 2) {
            problem(r->in, r->called, "packed more than once; pack it once");
            break;
        }
        status = take_entry(r, error);
    }
    return status;
}

hg_status hg_unpack_archive(const char *path, hg_incoming *in, hg_error *error)
{
    struct stat st;
    const char *slash = strrchr(path, '/');
    reading r = {.archive = archive_read_new(), .in = in, .called = slash ? slash + 1 : path};
    if (!r.archive) return hg_fail(error, HG_ERROR_MEMORY, "%s: no memory", path);
    archive_read_support_format_tar(r.archive);
    archive_read_support_format_zip(r.archive);
    archive_read_support_filter_gzip(r.archive);
    archive_read_support_filter_zstd(r.archive);
    archive_read_support_filter_xz(r.archive);
    hg_status status = HG_OK;
    if (stat(path, &st) || !S_ISREG(st.st_mode)) {
        status = hg_fail(error, HG_ERROR_NOT_FOUND, "%s: no such folder or archive", path);
    } else if (archive_read_open_filename(r.archive, path, PIECE)) {
        hg_notes_add(in->notes, HG_NOTE_PROBLEM, HG_ERROR_FORMAT,
                     "%s: no archive that can be read (%s); tar, tar.gz, tar.zst, tar.xz and zip "
                     "are",
                     r.called, reason(&r));
    } else {
        uint64_t most = (uint64_t)st.st_size * HG_LIMIT_ARCHIVE_RATIO;
        if (most < HG_LIMIT_ARCHIVE_LEAST) most = HG_LIMIT_ARCHIVE_LEAST;
        if (most < in->bytes_most) in->bytes_most = most;
        status = take_entries(&r, error);
    }
    archive_read_free(r.archive);
    return status;
}

/* ---- folders ---- */

static hg_status copy_file(const char *from, const char *name, hg_incoming *in, hg_error *error)
{
    char piece[PIECE];
    int to = -1;
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return hg_fail(error, HG_ERROR_IO, "%s: cannot open: %s", from, strerror(errno));
    hg_status status = hg_incoming_create(in, name, &to, error);
    ssize_t got = 0;
    while (!status && (got = read(fd, piece, sizeof piece)) > 0) {
        if (hg_incoming_count(in, name, (size_t)got)) break;
        status = hg_incoming_write(to, name, piece, (size_t)got, error);
    }
    if (got < 0) status = hg_fail(error, HG_ERROR_IO, "%s: cannot read: %s", from, strerror(errno));
    close(fd);
    if (to >= 0 && close(to) && !status)
        status = hg_fail(error, HG_ERROR_IO, "%s: cannot write: %s", name, strerror(errno));
    return status;
}

/* One item of the folder. What stands in folders below is not looked at. */
static hg_status take_item(const char *folder, const char *item, hg_incoming *in, hg_error *error)
{
    char path[HG_PATH_MAX];
    struct stat st;
    bool take;
    const char *name;
    hg_status status = hg_path_join(path, sizeof path, folder, item, error);
    if (status) return status;
    if (stat(path, &st) || S_ISDIR(st.st_mode)) return HG_OK;
    status = hg_incoming_ask(in, item, false, &take, &name);
    if (status) return hg_fail(error, status, "%s: too many files, or no memory", path);
    if (take && !S_ISREG(st.st_mode)) {
        problem(in, item, "neither a file nor a link to one");
        return HG_OK;
    }
    return take ? copy_file(path, name, in, error) : HG_OK;
}

hg_status hg_unpack_folder(const char *path, hg_incoming *in, hg_error *error)
{
    hg_status status = HG_OK;
    DIR *list = opendir(path);
    if (!list) return hg_fail(error, HG_ERROR_IO, "%s: cannot open: %s", path, strerror(errno));
    for (const struct dirent *item; !status && (item = readdir(list));)
        if (strcmp(item->d_name, ".") != 0 && strcmp(item->d_name, "..") != 0)
            status = take_item(path, item->d_name, in, error);
    closedir(list);
    return status;
}
