/* cache.c: see cache.h. */
#include "kernels/cpu/cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/file.h"

#define PIECE     (1 << 20) /* bytes that one digest is of; each is one worker's */
#define SUFFIX    ".packed"
#define TEMPORARY ".writing"

typedef struct head {
    char magic[8];
    uint32_t order, head_bytes; /* order: 0x01020304 as this machine writes it */
    uint32_t version, dense_bits;
    uint64_t bytes, arena_digest;
    char family[32], key[HG_SHA256_HEX + 7];
    uint64_t digest; /* of all above */
} head;

/* ---- digests ------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t a, uint64_t word)
{
    a = (a ^ word) * 0x9E3779B97F4A7C15u;
    return a ^ a >> 29;
}

/* Of words of 64 bits, in four chains: as fast as memory is read. It finds accidents, not forgers:
 * who can write into the folder can do worse. */
static uint64_t digest_of(const void *data, size_t bytes)
{
    const uint8_t *at = data;
    uint64_t chain[4] = {1, 2, 3, bytes}, word[4] = {0};
    for (; bytes >= sizeof word; at += sizeof word, bytes -= sizeof word) {
        memcpy(word, at, sizeof word);
        for (int i = 0; i < 4; i++) chain[i] = mix(chain[i], word[i]);
    }
    memset(word, 0, sizeof word);
    memcpy(word, at, bytes);
    for (int i = 0; i < 4; i++) chain[i] = mix(chain[i], word[i]);
    return mix(mix(mix(chain[0], chain[1]), chain[2]), chain[3]);
}

typedef struct digesting {
    const uint8_t *data;
    size_t bytes;
    uint32_t pieces;
    uint64_t *digest; /* [pieces] */
} digesting;

static uint32_t digest_items(void *context, uint32_t stage)
{
    (void)stage;
    const digesting *d = context;
    return d->pieces < HG_WORKERS_ITEMS ? d->pieces : HG_WORKERS_ITEMS;
}

static void digest_run(void *context, uint32_t stage, uint32_t item, uint32_t worker)
{
    (void)worker;
    const digesting *d = context;
    uint32_t first, count;
    hg_workers_share(d->pieces, digest_items(context, stage), item, &first, &count);
    for (uint32_t p = first; p < first + count; p++) {
        size_t at = (size_t)p * PIECE, left = d->bytes - at;
        d->digest[p] = digest_of(d->data + at, left < PIECE ? left : PIECE);
    }
}

static hg_status digest_arena(const hg_arena *arena, hg_workers *workers, uint64_t *out,
                              hg_error *error)
{
    digesting d = {.data = arena->base, .bytes = arena->size};
    d.pieces = (uint32_t)((arena->size + PIECE - 1) / PIECE);
    d.digest = malloc((d.pieces + 1) * sizeof *d.digest);
    if (!d.digest) return hg_fail(error, HG_ERROR_MEMORY, "no memory for a digest");
    hg_work work = {1, digest_items, digest_run, &d};
    hg_workers_run(workers, &work);
    *out = digest_of(d.digest, d.pieces * sizeof *d.digest);
    free(d.digest);
    return HG_OK;
}

/* ---- names and heads ---------------------------------------------------------------------- */

bool hg_cache_wants(const hg_cached *what)
{
    const hg_device_cache *c = what->cache;
    return c->folder && c->key && *c->key && what->bytes && what->bytes >= c->least_bytes;
}

static hg_status make_path(const hg_cached *what, char *path, hg_error *error)
{
    int n = snprintf(path, HG_PATH_MAX, "%s/%.16s-%s-%u" SUFFIX, what->cache->folder,
                     what->cache->key, what->family, what->dense_bits);
    if (n < HG_PATH_MAX) return HG_OK;
    return hg_fail(error, HG_ERROR_LIMIT, "%s: path too long", what->cache->folder);
}

static head make_head(const hg_cached *what, uint64_t arena_digest)
{
    head h = {.magic = "hgpack\r\n",
              .order = 0x01020304,
              .head_bytes = HG_CACHE_HEAD,
              .version = what->version,
              .dense_bits = what->dense_bits,
              .bytes = what->bytes,
              .arena_digest = arena_digest};
    snprintf(h.family, sizeof h.family, "%s", what->family);
    snprintf(h.key, sizeof h.key, "%s", what->cache->key);
    h.digest = digest_of(&h, offsetof(head, digest));
    return h;
}

/* Whether a file's head is that of what is wanted. */
static hg_status check_head(const char *path, int fd, const hg_cached *what, head *have,
                            hg_error *error)
{
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode))
        return hg_fail(error, HG_ERROR_FORMAT, "%s: not a regular file", path);
    if ((uint64_t)st.st_size != (uint64_t)HG_CACHE_HEAD + what->bytes)
        return hg_fail(error, HG_ERROR_FORMAT, "%s: %lld bytes, expected %llu", path,
                       (long long)st.st_size, (unsigned long long)HG_CACHE_HEAD + what->bytes);
    if (pread(fd, have, sizeof *have, 0) != (ssize_t)sizeof *have)
        return hg_fail(error, HG_ERROR_IO, "%s: cannot be read", path);
    head want = make_head(what, have->arena_digest);
    if (memcmp(have, &want, sizeof want) == 0) return HG_OK;
    return hg_fail(error, HG_ERROR_FORMAT,
                   "%s: its head is damaged, or that of another model, kernel or version", path);
}

/* ---- reading ------------------------------------------------------------------------------ */

hg_status hg_cache_map(const hg_cached *what, hg_workers *workers, hg_arena *out, hg_error *error)
{
    char path[HG_PATH_MAX];
    head h = {.digest = 0};
    uint64_t digest = 0;
    hg_status status = make_path(what, path, error);
    if (status) return status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return hg_fail(error, errno == ENOENT ? HG_ERROR_NOT_FOUND : HG_ERROR_IO,
                       "%s: cannot open: %s", path, strerror(errno));
    status = check_head(path, fd, what, &h, error);
    hg_arena arena = {.size = what->bytes};
    if (!status) {
        void *base = mmap(NULL, arena.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd,
                          HG_CACHE_HEAD);
        if (base == MAP_FAILED)
            status = hg_fail(error, HG_ERROR_MEMORY, "%s: cannot map: %s", path, strerror(errno));
        else
            arena.base = base;
    }
    if (!status) status = digest_arena(&arena, workers, &digest, error);
    if (!status && digest != h.arena_digest)
        status = hg_fail(error, HG_ERROR_FORMAT, "%s: its content is damaged", path);
    if (!status) (void)futimens(fd, NULL); /* used now; if not so, it only leaves earlier */
    close(fd);
    if (status)
        hg_arena_unmap(&arena);
    else
        *out = arena;
    return status;
}

/* ---- room --------------------------------------------------------------------------------- */

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name), s = strlen(suffix);
    return n >= s && strcmp(name + n - s, suffix) == 0;
}

/* Removes what a writer left that is no more: nobody has it locked. */
static void sweep(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) (void)unlinkat(folder, name, 0);
    close(fd);
}

/* Sums the files and names the one used the longest ago, "" when there is none. */
static uint64_t survey(DIR *dir, char *oldest, size_t size)
{
    uint64_t sum = 0;
    struct timespec when = {0};
    *oldest = '\0';
    rewinddir(dir);
    for (struct dirent *e; (e = readdir(dir));) {
        struct stat st;
        if (ends_with(e->d_name, TEMPORARY)) sweep(dirfd(dir), e->d_name);
        if (!ends_with(e->d_name, SUFFIX) ||
            fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW))
            continue;
        sum += (uint64_t)st.st_size;
        bool older = st.st_mtim.tv_sec < when.tv_sec ||
                     (st.st_mtim.tv_sec == when.tv_sec && st.st_mtim.tv_nsec < when.tv_nsec);
        if (*oldest && !older) continue;
        when = st.st_mtim;
        snprintf(oldest, size, "%s", e->d_name);
    }
    return sum;
}

/* Lets files go until one of bytes more fits. */
static hg_status make_room(const hg_device_cache *cache, uint64_t bytes, hg_error *error)
{
    char oldest[256];
    if (bytes > cache->bytes)
        return hg_fail(error, HG_ERROR_LIMIT,
                       "the packed model has %llu bytes, the cache may have %zu: raise --cache to "
                       "start faster",
                       (unsigned long long)bytes, cache->bytes);
    DIR *dir = opendir(cache->folder);
    if (!dir)
        return hg_fail(error, HG_ERROR_IO, "%s: cannot be listed: %s", cache->folder,
                       strerror(errno));
    hg_status status = HG_OK;
    while (!status && survey(dir, oldest, sizeof oldest) + bytes > cache->bytes)
        if (unlinkat(dirfd(dir), oldest, 0) && errno != ENOENT)
            status = hg_fail(error, HG_ERROR_IO, "%s/%s: cannot be removed: %s", cache->folder,
                             oldest, strerror(errno));
    closedir(dir);
    return status;
}

/* ---- writing ------------------------------------------------------------------------------ */

static bool write_at(int fd, const void *data, size_t bytes, off_t at)
{
    const char *from = data;
    while (bytes) {
        ssize_t put = pwrite(fd, from, bytes, at);
        if (put < 0 && errno == EINTR) continue;
        if (put <= 0) return false;
        from += put;
        at += put;
        bytes -= (size_t)put;
    }
    return true;
}

static hg_status write_file(int fd, const char *path, const head *h, const hg_arena *arena,
                            hg_error *error)
{
    off_t whole = (off_t)(HG_CACHE_HEAD + arena->size);
    bool fine = flock(fd, LOCK_EX | LOCK_NB) == 0;
    /* Room first, where the file system can say so: a full disk is left as it was. */
    if (fine && fallocate(fd, 0, 0, whole)) fine = errno == EOPNOTSUPP;
    fine = fine && write_at(fd, arena->base, arena->size, HG_CACHE_HEAD) &&
           write_at(fd, h, sizeof *h, 0) && fsync(fd) == 0;
    return fine ? HG_OK
                : hg_fail(error, HG_ERROR_IO, "%s: cannot be written: %s", path, strerror(errno));
}

/* What was renamed is there after a power cut, too. */
static void sync_folder(const char *folder)
{
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd); /* else the file may be missing then: it is packed again */
    close(fd);
}

hg_status hg_cache_write(const hg_cached *what, hg_workers *workers, const hg_arena *arena,
                         hg_error *error)
{
    char path[HG_PATH_MAX], partial[HG_PATH_MAX + 40];
    uint64_t digest = 0;
    hg_status status = make_path(what, path, error);
    if (status) return status;
    (void)unlink(path); /* it would not do */
    status = make_room(what->cache, (uint64_t)HG_CACHE_HEAD + arena->size, error);
    if (!status) status = digest_arena(arena, workers, &digest, error);
    if (status) return status;
    head h = make_head(what, digest);
    snprintf(partial, sizeof partial, "%s.%ld.%p" TEMPORARY, path, (long)getpid(),
             (const void *)arena->base); /* of this device alone */
    int fd = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return hg_fail(error, HG_ERROR_IO, "%s: cannot create: %s", partial, strerror(errno));
    status = write_file(fd, partial, &h, arena, error);
    if (!status && rename(partial, path))
        status = hg_fail(error, HG_ERROR_IO, "%s: cannot rename: %s", partial, strerror(errno));
    if (status)
        (void)unlink(partial);
    else
        sync_folder(what->cache->folder);
    close(fd);
    return status;
}
