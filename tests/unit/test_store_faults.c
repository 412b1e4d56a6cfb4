/* test_store_faults.c: the n-th write or sync fails, for all n.
 *
 * A VFS that stands before SQLite's own counts writes, syncs and truncations and lets one of them
 * fail, or that one and all after it (a full disk stays full). Whatever n is: the call says so or
 * has done its work, and afterwards the database opens, is sound, and is in the state before or in
 * the state after. After the manner of sqlite's own ioerr tests.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "db/tokens.h"

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

static void install(void)
{
    fault.real = sqlite3_vfs_find(NULL);
    assert_non_null(fault.real);
    fault.vfs = *fault.real;
    fault.vfs.zName = "fault";
    fault.vfs.szOsFile = (int)sizeof(fault_file) + fault.real->szOsFile;
    fault.vfs.xOpen = on_open;
    assert_int_equal(sqlite3_vfs_register(&fault.vfs, 1), SQLITE_OK);
}

/* The n-th call from now on fails; n 0: none. */
static void arm(int n, bool stays, int code)
{
    fault.broken = false;
    fault.hits = 0;
    fault.stays = stays;
    fault.code = code;
    fault.countdown = n;
}

/* ---- a database of its own for each n ---- */

typedef struct fixture {
    char folder[64], file[96];
} fixture;

static fixture make_folder(void)
{
    fixture f = {.folder = "/tmp/hg-fault-XXXXXX"};
    assert_non_null(mkdtemp(f.folder));
    snprintf(f.file, sizeof f.file, "%s/hydraglot.db", f.folder);
    return f;
}

static void remove_folder(const fixture *f)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
    assert_int_equal(system(command), 0);
}

static hg_store *open_good(const fixture *f)
{
    hg_store *store;
    hg_error error;
    arm(0, false, 0);
    if (hg_store_open(f->folder, &store, &error)) fail_msg("%s", error.message);
    return store;
}

static int64_t query(const fixture *f, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_open(f->file, &db), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL)) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return value;
}

static void check_sound(const fixture *f)
{
    assert_int_equal(query(f, "SELECT integrity_check = 'ok' FROM pragma_integrity_check"), 1);
    assert_int_equal(query(f, "SELECT count(*) FROM pragma_foreign_key_check"), 0);
}

static hg_plugin_record german(char digit)
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

static void put_good(hg_store *store, char digit)
{
    hg_error error;
    hg_plugin_record r = german(digit);
    if (hg_store_put_plugin(store, &r, &error)) fail_msg("%s", error.message);
}

/* ---- for all n ---- */

static const int codes[] = {SQLITE_IOERR_WRITE, SQLITE_FULL};

/* Returns false when the call never came to its n-th write. */
static bool migrate_once(int n, bool stays, int code)
{
    fixture f = make_folder();
    hg_store *store = NULL;
    hg_error error = {0};
    arm(n, stays, code);
    hg_status status = hg_store_open(f.folder, &store, &error);
    bool hit = fault.hits > 0;
    if (status) {
        assert_null(store);
        assert_true(hit);
        assert_int_equal(status, HG_ERROR_DATABASE);
        assert_non_null(strstr(error.message, f.file));
    }
    arm(0, false, 0); /* the disk is well again */
    hg_store_close(store);
    if (hg_file_exists(f.file)) {
        int64_t version = query(&f, "PRAGMA user_version");
        assert_in_range(version, 0, 2);
        assert_int_equal(query(&f, "SELECT count(*) > 0 FROM sqlite_master"), version > 0);
        assert_int_equal(query(&f, "SELECT count(*) FROM pragma_table_info('token')"
                                   " WHERE name = 'parent'"),
                         version > 1);
        check_sound(&f);
    }
    store = open_good(&f);
    put_good(store, 'a');
    hg_store_close(store);
    check_sound(&f);
    remove_folder(&f);
    return hit;
}

static void a_migration_happens_or_does_not(void **state)
{
    (void)state;
    for (int stays = 0; stays < 2; stays++) {
        for (int c = 0; c < 2; c++) {
            int n = 1;
            while (migrate_once(n, stays, codes[c])) n++;
            assert_true(n > 5); /* the walk met writes at all */
        }
    }
}

static bool put_once(int n, bool stays, int code)
{
    fixture f = make_folder();
    hg_store *store = open_good(&f);
    hg_error error = {0};
    put_good(store, 'a');
    arm(n, stays, code);
    hg_plugin_record r = german('b');
    hg_status status = hg_store_put_plugin(store, &r, &error);
    bool hit = fault.hits > 0;
    arm(0, false, 0);
    if (status) {
        assert_true(hit);
        assert_non_null(strstr(error.message, f.file));
        assert_int_equal(r.generation, 0);
    }
    hg_store_close(store);
    check_sound(&f);
    /* Both rows or none, and what serves is what is newest. */
    int64_t newest = query(&f, "SELECT max(generation) FROM plugin_generation");
    assert_true(newest == 1 || newest == 2);
    assert_true(status || newest == 2);
    assert_int_equal(query(&f, "SELECT enabled_generation FROM plugin"), newest);
    assert_int_equal(query(&f, "SELECT sum(state = 'enabled') FROM plugin_generation"), 1);
    store = open_good(&f); /* and the same call, made again, ends in the state after */
    put_good(store, 'b');
    hg_store_close(store);
    assert_int_equal(query(&f, "SELECT enabled_generation FROM plugin"), 2);
    remove_folder(&f);
    return hit;
}

static void a_plugin_is_put_or_is_not(void **state)
{
    (void)state;
    for (int stays = 0; stays < 2; stays++) {
        for (int c = 0; c < 2; c++) {
            int n = 1;
            while (put_once(n, stays, codes[c])) n++;
            assert_true(n > 3);
        }
    }
}

static hg_token_record token(char digit)
{
    hg_token_record t = {.scopes = "translate", .label = "a", .created_us = 1};
    memset(t.hash, digit, sizeof t.hash - 1);
    return t;
}

static void add_good(hg_store *store, char digit)
{
    hg_error error;
    const hg_token_record t = token(digit);
    if (hg_store_add_token(store, &t, "test", &error)) fail_msg("%s", error.message);
}

/* A token is added, another revoked: each is there with its audit row, or neither is. */
static bool token_once(int n, bool stays, int code)
{
    fixture f = make_folder();
    hg_store *store = open_good(&f);
    hg_error error = {0};
    const hg_token_record b = token('b');
    add_good(store, 'a');
    arm(n, stays, code);
    hg_status added = hg_store_add_token(store, &b, "test", &error);
    hg_status revoked = hg_store_revoke_token(store, "aaaa", "test", &error);
    bool hit = fault.hits > 0;
    arm(0, false, 0);
    assert_true(hit || (!added && !revoked));
    hg_store_close(store);
    check_sound(&f);
    int64_t has_b = query(&f, "SELECT count(*) FROM token WHERE hash LIKE 'b%'");
    int64_t has_a = query(&f, "SELECT count(*) FROM token WHERE hash LIKE 'a%'");
    assert_true(added || has_b);
    assert_true(revoked || !has_a);
    assert_int_equal(query(&f, "SELECT count(*) FROM audit WHERE action = 'token.add'"), 1 + has_b);
    assert_int_equal(query(&f, "SELECT count(*) FROM audit WHERE action = 'token.revoke'"),
                     1 - has_a);
    remove_folder(&f);
    return hit;
}

static void tokens_change_with_their_audit_or_not_at_all(void **state)
{
    (void)state;
    for (int stays = 0; stays < 2; stays++) {
        for (int c = 0; c < 2; c++) {
            int n = 1;
            while (token_once(n, stays, codes[c])) n++;
            assert_true(n > 3);
        }
    }
}

/* ---- the writer ---- */

static void log_batches(hg_store *store, int count)
{
    for (int i = 0; i < count; i++) {
        hg_batch_record b = {.id = hg_store_next_batch(store), .started_us = 1, .lanes = 1};
        b.lane[0] = (hg_lane_record){"de", "ok", "eos", 0, 0, 6, 0, 0, 1, 2};
        hg_store_log_batch(store, &b);
    }
}

/* The store closes while the writer is still failing: it tries once more. */
static void a_full_disk_delays_batches_and_loses_none(void **state)
{
    (void)state;
    fixture f = make_folder();
    hg_store *store = open_good(&f);
    fault.slow_us = 50000;
    arm(1, true, SQLITE_FULL);
    log_batches(store, 20);
    while (!fault.hits) usleep(1000); /* until the writer met the full disk */
    arm(0, false, 0);
    fault.slow_us = 0;
    hg_store_close(store);
    assert_int_equal(query(&f, "SELECT count(*) FROM batch"), 20);
    assert_int_equal(query(&f, "SELECT count(*) FROM lane"), 20);
    check_sound(&f);
    remove_folder(&f);
}

static void a_disk_that_stays_full_ends_no_service(void **state)
{
    (void)state;
    fixture f = make_folder();
    hg_store *store = open_good(&f);
    put_good(store, 'a');
    arm(1, true, SQLITE_FULL);
    log_batches(store, HG_LIMIT_DB_QUEUE + 7);
    assert_int_equal(hg_store_dropped_batches(store), 7);
    hg_error error = {0};
    hg_plugin_record r = german('b');
    assert_int_equal(hg_store_put_plugin(store, &r, &error), HG_ERROR_DATABASE);
    assert_non_null(strstr(error.message, "full"));
    hg_store_close(store); /* ends, though nothing can be written */
    arm(0, false, 0);
    check_sound(&f);
    assert_int_equal(query(&f, "SELECT enabled_generation FROM plugin"), 1);
    remove_folder(&f);
}

int main(void)
{
    hg_log_set_level(HG_LOG_ERROR);
    install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_migration_happens_or_does_not),
        cmocka_unit_test(a_plugin_is_put_or_is_not),
        cmocka_unit_test(tokens_change_with_their_audit_or_not_at_all),
        cmocka_unit_test(a_full_disk_delays_batches_and_loses_none),
        cmocka_unit_test(a_disk_that_stays_full_ends_no_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
