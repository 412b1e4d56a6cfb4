/* failing_disk.c: see failing_disk.h. */
#include "tests/support/failing_disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the failing VFS ---- */

typedef struct fault_file {
    sqlite3_file base;
    sqlite3_file *real; /* in the same allocation, behind */
} fault_file;

static struct {
    sqlite3_vfs vfs, *real;
    _Atomic int countdown; /* calls until the failing one; 0: none fails */
    bool stays;            /* those after it fail too */
    _Atomic bool broken;
    _Atomic int hits;
    int code;         /* what a failing call returns */
    unsigned slow_us; /* and how long it takes to find out */
} fault;

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((fault_file *)file)->real;
}

/* What the call fails with, or 0: it does not. */
static int failure(int code)
{
    bool now = fault.countdown > 0 && --fault.countdown == 0;
    if (now && fault.stays) fault.broken = true;
    bool failing = now || fault.broken;
    if (!failing) return 0;
    fault.hits++;
    usleep(fault.slow_us);
    return code;
}

#define REAL(method, ...)                                                                          \
    do {                                                                                           \
        sqlite3_file *real = real_of(file);                                                        \
        return real->pMethods->method(real, ##__VA_ARGS__);                                        \
    } while (0)

static int on_close(sqlite3_file *file)
{
    REAL(xClose);
}
static int on_read(sqlite3_file *file, void *out, int count, sqlite3_int64 at)
{
    REAL(xRead, out, count, at);
}
static int on_write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 at)
{
    const int code = failure(fault.code);
    if (code) return code;
    REAL(xWrite, bytes, count, at);
}
static int on_truncate(sqlite3_file *file, sqlite3_int64 size)
{
    if (failure(SQLITE_IOERR_TRUNCATE)) return SQLITE_IOERR_TRUNCATE;
    REAL(xTruncate, size);
}
static int on_sync(sqlite3_file *file, int flags)
{
    if (failure(SQLITE_IOERR_FSYNC)) return SQLITE_IOERR_FSYNC;
    REAL(xSync, flags);
}
static int on_size(sqlite3_file *file, sqlite3_int64 *out)
{
    REAL(xFileSize, out);
}
static int on_lock(sqlite3_file *file, int level)
{
    REAL(xLock, level);
}
static int on_unlock(sqlite3_file *file, int level)
{
    REAL(xUnlock, level);
}
static int on_reserved(sqlite3_file *file, int *out)
{
    REAL(xCheckReservedLock, out);
}
static int on_control(sqlite3_file *file, int what, void *value)
{
    REAL(xFileControl, what, value);
}
static int on_sector(sqlite3_file *file)
{
    REAL(xSectorSize);
}
static int on_device(sqlite3_file *file)
{
    REAL(xDeviceCharacteristics);
}
static int on_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
    REAL(xShmMap, page, size, extend, out);
}
static int on_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
    REAL(xShmLock, offset, count, flags);
}
static void on_shm_barrier(sqlite3_file *file)
{
    real_of(file)->pMethods->xShmBarrier(real_of(file));
}
static int on_shm_unmap(sqlite3_file *file, int gone)
{
    REAL(xShmUnmap, gone);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = on_close,
    .xRead = on_read,
    .xWrite = on_write,
    .xTruncate = on_truncate,
    .xSync = on_sync,
    .xFileSize = on_size,
    .xLock = on_lock,
    .xUnlock = on_unlock,
    .xCheckReservedLock = on_reserved,
    .xFileControl = on_control,
    .xSectorSize = on_sector,
    .xDeviceCharacteristics = on_device,
    .xShmMap = on_shm_map,
    .xShmLock = on_shm_lock,
    .xShmBarrier = on_shm_barrier,
    .xShmUnmap = on_shm_unmap,
};

static int on_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *out)
{
    (void)vfs;
    fault_file *f = (fault_file *)file;
    f->real = (sqlite3_file *)(f + 1);
    f->base.pMethods = NULL;
    int code = fault.real->xOpen(fault.real, name, f->real, flags, out);
    if (f->real->pMethods) f->base.pMethods = &methods;
    return code;
}

void failing_disk_install(void)
{
    fault.real = sqlite3_vfs_find(NULL);
    assert_non_null(fault.real);
    fault.vfs = *fault.real;
    fault.vfs.zName = "fault";
    fault.vfs.szOsFile = (int)sizeof(fault_file) + fault.real->szOsFile;
    fault.vfs.xOpen = on_open;
    assert_int_equal(sqlite3_vfs_register(&fault.vfs, 1), SQLITE_OK);
}

void failing_disk_arm(int n, bool stays, int code, unsigned slow_us)
{
    fault.broken = false;
    fault.hits = 0;
    fault.stays = stays;
    fault.code = code;
    fault.slow_us = slow_us;
    fault.countdown = n;
}

int failing_disk_hits(void)
{
    return fault.hits;
}

/* ---- a database of its own for each n ---- */

/* In memory where there is such a place: no real disk is waited for. */
fixture make_folder(void)
{
    fixture f = {.folder = "/dev/shm/hg-fault-XXXXXX"};
    if (!mkdtemp(f.folder)) {
        snprintf(f.folder, sizeof f.folder, "/tmp/hg-fault-XXXXXX");
        assert_non_null(mkdtemp(f.folder));
    }
    snprintf(f.file, sizeof f.file, "%s/hydraglot.db", f.folder);
    return f;
}

void remove_folder(const fixture *f)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
    assert_int_equal(system(command), 0);
}

hg_store *open_good(const fixture *f)
{
    hg_store *store;
    hg_error error;
    failing_disk_arm(0, false, 0, 0);
    if (hg_store_open(f->folder, &store, &error)) fail_msg("%s", error.message);
    return store;
}

/* Steps to the first row; the caller ends both. */
static sqlite3 *begin_query(const fixture *f, const char *sql, sqlite3_stmt **s)
{
    sqlite3 *db;
    assert_int_equal(sqlite3_open(f->file, &db), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, s, NULL)) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(*s), SQLITE_ROW);
    return db;
}

int64_t query(const fixture *f, const char *sql)
{
    sqlite3_stmt *s;
    sqlite3 *db = begin_query(f, sql, &s);
    int64_t value = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return value;
}

void query_text(const fixture *f, const char *sql, char *out, size_t size)
{
    sqlite3_stmt *s;
    sqlite3 *db = begin_query(f, sql, &s);
    snprintf(out, size, "%s", (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    sqlite3_close(db);
}

void check_sound(const fixture *f)
{
    assert_int_equal(query(f, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
    assert_int_equal(query(f, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

hg_plugin_record german(char digit)
{
    static char digest[65];
    memset(digest, digit, 64);
    return (hg_plugin_record){.name = "de",
                              .kind = "language",
                              .language = "de",
                              .digest = digest,
                              .sources = "[\"en\"]",
                              .state = "enabled",
                              .folder = "/plugins/de"};
}

void put_good(hg_store *store, char digit)
{
    hg_error error;
    hg_plugin_record r = german(digit);
    if (hg_store_put_plugin(store, &r, &error)) fail_msg("%s", error.message);
}
