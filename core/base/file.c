/* file.c: POSIX files with messages that name the path. SHA-256 is OpenSSL's. */
#include "core/base/file.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <libgen.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static hg_status fail_errno(hg_error *error, const char *verb, const char *path)
{
    hg_status status = errno == ENOENT ? HG_ERROR_NOT_FOUND : HG_ERROR_IO;
    return hg_fail(error, status, "%s: cannot %s: %s", path, verb, strerror(errno));
}

/* Opens a regular file for reading. */
static hg_status open_regular(const char *path, int *fd, struct stat *st, hg_error *error)
{
    *st = (struct stat){0};
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    if (*fd < 0) return fail_errno(error, "open", path);
    if (fstat(*fd, st) != 0 || !S_ISREG(st->st_mode)) {
        close(*fd);
        return hg_fail(error, HG_ERROR_IO, "%s: not a regular file", path);
    }
    return HG_OK;
}

static int64_t ns_of(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

hg_status hg_file_map(const char *path, hg_mapping *out, hg_error *error)
{
    int fd;
    struct stat st;
    *out = (hg_mapping){0};
    hg_status status = open_regular(path, &fd, &st, error);
    if (status) return status;
    out->size = (size_t)st.st_size;
    out->id = (hg_file_id){.device = st.st_dev,
                           .inode = st.st_ino,
                           .modified_ns = ns_of(st.st_mtim),
                           .changed_ns = ns_of(st.st_ctim)};
    if (out->size) {
        void *data = mmap(NULL, out->size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            status = fail_errno(error, "map", path);
        else
            out->data = data;
    }
    close(fd);
    if (status) *out = (hg_mapping){0};
    return status;
}

void hg_file_release(const hg_mapping *mapping, const void *data, size_t bytes)
{
    uintptr_t base = (uintptr_t)mapping->data, at = (uintptr_t)data;
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    if (!bytes || at < base || at - base >= mapping->size) return;
    assert(bytes <= mapping->size - (at - base));
    uintptr_t first = at / page * page, end = (at + bytes + page - 1) / page * page;
    /* Advice that is not taken costs memory, nothing else. */
    (void)madvise((void *)first, end - first, MADV_DONTNEED);
}

void hg_file_unmap(hg_mapping *mapping)
{
    if (mapping->data) munmap((void *)(uintptr_t)mapping->data, mapping->size);
    *mapping = (hg_mapping){0};
}

hg_status hg_file_read(const char *path, hg_buf *buf, hg_error *error)
{
    int fd;
    struct stat st;
    hg_status status = open_regular(path, &fd, &st, error);
    if (status) return status;
    char piece[1 << 16];
    ssize_t got = 0;
    while (!status && (got = read(fd, piece, sizeof piece)) > 0) {
        status = hg_buf_append(buf, piece, (size_t)got);
    }
    if (status) {
        hg_fail(error, status, "%s: %zu bytes, more than the %zu that are read", path,
                (size_t)st.st_size, buf->maximum);
    } else if (got < 0) {
        status = fail_errno(error, "read", path);
    }
    close(fd);
    return status;
}

static hg_status write_all(int fd, const char *bytes, size_t count)
{
    while (count) {
        ssize_t put = write(fd, bytes, count);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return HG_ERROR_IO;
        bytes += put;
        count -= (size_t)put;
    }
    return HG_OK;
}

hg_status hg_folder_sync(const char *path, hg_error *error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return fail_errno(error, "open", path);
    hg_status status = fsync(fd) ? fail_errno(error, "sync", path) : HG_OK;
    close(fd);
    return status;
}

static hg_status sync_folder_of(const char *path, hg_error *error)
{
    char copy[HG_PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    return hg_folder_sync(dirname(copy), error);
}

hg_status hg_file_write(const char *path, const void *bytes, size_t count, hg_error *error)
{
    char partial[HG_PATH_MAX];
    if (snprintf(partial, sizeof partial, "%s.partial", path) >= (int)sizeof partial)
        return hg_fail(error, HG_ERROR_LIMIT, "%s: path too long", path);
    int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return fail_errno(error, "create", partial);
    hg_status status = HG_OK;
    if (write_all(fd, bytes, count) || fsync(fd)) status = fail_errno(error, "write", partial);
    close(fd);
    if (!status && rename(partial, path)) status = fail_errno(error, "rename to", path);
    if (status) unlink(partial);
    return status ? status : sync_folder_of(path, error);
}

hg_status hg_folder_make(const char *path, hg_error *error)
{
    char copy[HG_PATH_MAX];
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy)
        return hg_fail(error, HG_ERROR_LIMIT, "%s: path too long", path);
    for (char *p = copy + 1;; p++) {
        if (*p != '/' && *p != '\0') continue;
        char kept = *p;
        *p = '\0';
        if (mkdir(copy, 0700) && errno != EEXIST) return fail_errno(error, "create", copy);
        *p = kept;
        if (!kept) return HG_OK;
    }
}

static int remove_item(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st, (void)type, (void)at;
    return remove(path);
}

void hg_folder_remove(const char *path)
{
    if (hg_file_exists(path)) nftw(path, remove_item, 8, FTW_DEPTH | FTW_PHYS);
}

bool hg_file_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

hg_status hg_path_join(char *out, size_t size, const char *folder, const char *name,
                       hg_error *error)
{
    if (snprintf(out, size, "%s/%s", folder, name) < (int)size) return HG_OK;
    return hg_fail(error, HG_ERROR_LIMIT, "%s/%s: path too long", folder, name);
}

static void to_hex(const uint8_t *digest, char *hex)
{
    for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
}

hg_status hg_sha256(const void *bytes, size_t count, char *hex, hg_error *error)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    if (!EVP_Digest(bytes, count, digest, &length, EVP_sha256(), NULL))
        return hg_fail(error, HG_ERROR_MEMORY, "OpenSSL could not compute SHA-256");
    assert(length == 32);
    to_hex(digest, hex);
    return HG_OK;
}

hg_status hg_mapping_sha256(const hg_mapping *mapping, const atomic_bool *stop, char *hex,
                            hg_error *error)
{
    enum { PIECE = 4 << 20 };
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool fine = context && EVP_DigestInit_ex(context, EVP_sha256(), NULL);
    if (mapping->size)
        (void)madvise((void *)(uintptr_t)mapping->data, mapping->size, MADV_SEQUENTIAL);
    bool stopped = false;
    for (size_t at = 0; fine && !stopped && at < mapping->size; at += PIECE) {
        size_t count = mapping->size - at < PIECE ? mapping->size - at : PIECE;
        fine = EVP_DigestUpdate(context, mapping->data + at, count);
        hg_file_release(mapping, mapping->data + at, count);
        stopped = stop && *stop;
    }
    /* Rows of its tables are read here and there as long as the model serves. */
    if (mapping->size) (void)madvise((void *)(uintptr_t)mapping->data, mapping->size, MADV_NORMAL);
    fine = fine && EVP_DigestFinal_ex(context, digest, &length);
    EVP_MD_CTX_free(context);
    if (stopped) return hg_fail(error, HG_ERROR_STATE, "a digest was no longer wanted");
    if (!fine) return hg_fail(error, HG_ERROR_MEMORY, "OpenSSL could not compute SHA-256");
    assert(length == 32);
    to_hex(digest, hex);
    return HG_OK;
}

hg_status hg_file_sha256(const char *path, char *hex, hg_error *error)
{
    hg_mapping file;
    hg_status status = hg_file_map(path, &file, error);
    if (status) return status;
    status = hg_mapping_sha256(&file, NULL, hex, error);
    hg_file_unmap(&file);
    return status;
}
