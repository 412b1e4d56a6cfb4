/* store.c: opening and closing the database, the folder's lock, and the durable calls.
 *
 * Two levels of durability. In WAL mode a commit's bytes are with the operating system when it
 * returns, so kill -9 never loses a committed row. Batch rows stop there (synchronous=NORMAL: a
 * power cut may take the last of them, never the database). Plugin and audit rows also wait for
 * the disk (synchronous=FULL).
 */
#include "db/internal.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/base/clock.h"

/* ---- errors ---- */

/* What the operator can do about a primary result code. */
static const char *advice(int code)
{
    switch (code) {
    case SQLITE_FULL: return "the disk is full: free some space";
    case SQLITE_READONLY: return "it may not be written: check owner and mode of file and folder";
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_CANTOPEN: return "check that the folder exists and who may read and write it";
    case SQLITE_BUSY:
    case SQLITE_LOCKED: return "another program holds it locked: end that program";
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return "it is damaged: stop the service, move the file away (a new one is made at the next "
               "start) and try `sqlite3 FILE .recover` on it";
    case SQLITE_IOERR: return "the disk failed: look at the system's log";
    default: return "this should not happen: please report it";
    }
}

hg_status hg_db_fail(const char *path, sqlite3 *db, int code, const char *doing, hg_error *error)
{
    if (code == SQLITE_NOMEM) return hg_fail(error, HG_ERROR_MEMORY, "%s: out of memory", path);
    /* sqlite3_errmsg speaks of the last failure only; the code is what this caller saw. */
    bool same = db && (sqlite3_errcode(db) & 0xff) == (code & 0xff);
    return hg_fail(error, HG_ERROR_DATABASE, "%s: cannot %s: %s; %s", path, doing,
                   same ? sqlite3_errmsg(db) : sqlite3_errstr(code), advice(code & 0xff));
}

/* ---- connections ---- */

hg_status hg_db_exec(const char *path, sqlite3 *db, const char *sql, hg_error *error)
{
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    return code ? hg_db_fail(path, db, code, "run a statement", error) : HG_OK;
}

int hg_db_bind(sqlite3 *db, const char *sql, sqlite3_stmt **out, const char *types, ...)
{
    va_list values;
    int code = sqlite3_prepare_v2(db, sql, -1, out, NULL);
    va_start(values, types);
    for (int i = 1; !code && types[i - 1]; i++) {
        assert(types[i - 1] == 'i' || types[i - 1] == 's');
        if (types[i - 1] == 'i')
            code = sqlite3_bind_int64(*out, i, va_arg(values, int64_t));
        else
            code = sqlite3_bind_text(*out, i, va_arg(values, const char *), -1, SQLITE_STATIC);
    }
    va_end(values);
    return code;
}

hg_status hg_db_connect(const char *path, int flags, sqlite3 **out, hg_error *error)
{
    sqlite3 *db = NULL;
    *out = NULL;
    int code = sqlite3_open_v2(path, &db, flags | SQLITE_OPEN_NOMUTEX, NULL);
    hg_status status = code ? hg_db_fail(path, db, code, "open", error) : HG_OK;
    /* Patience for a reader of the command line or a backup that holds a lock for a moment. */
    if (!status) sqlite3_busy_timeout(db, HG_LIMIT_DB_BUSY_MS);
    if (!status) status = hg_db_exec(path, db, "PRAGMA foreign_keys = ON", error);
    if (!status && !(flags & SQLITE_OPEN_READONLY))
        status = hg_db_exec(path, db, "PRAGMA journal_mode = WAL", error);
    if (status) {
        sqlite3_close(db);
        return status;
    }
    *out = db;
    return HG_OK;
}

hg_status hg_db_begin(hg_store *store, hg_durability durability, hg_error *error)
{
    assert(store->db);
    pthread_mutex_lock(&store->write);
    /* synchronous can only change between transactions, and nobody else is in one now. */
    hg_status status =
        hg_db_exec(store->path, store->db,
                   durability == HG_SURVIVES_POWER ? "PRAGMA synchronous = FULL; BEGIN IMMEDIATE"
                                                   : "PRAGMA synchronous = NORMAL; BEGIN IMMEDIATE",
                   error);
    if (status) pthread_mutex_unlock(&store->write);
    return status;
}

hg_status hg_db_end(hg_store *store, bool ok, hg_error *error)
{
    hg_status status = HG_OK;
    if (ok) status = hg_db_exec(store->path, store->db, "COMMIT", error);
    /* SQLite rolls back by itself after some errors; then there is nothing left to end. */
    if (!sqlite3_get_autocommit(store->db)) sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
    assert(sqlite3_get_autocommit(store->db));
    pthread_mutex_unlock(&store->write);
    return status;
}

hg_status hg_db_finish(hg_store *store, hg_status status, int code, const char *doing,
                       hg_error *error)
{
    if (!status && code) status = hg_db_fail(store->path, store->db, code, doing, error);
    hg_status ended = hg_db_end(store, !status, status ? NULL : error);
    return status ? status : ended;
}

int hg_db_run(int code, sqlite3_stmt *statement)
{
    if (!code) code = sqlite3_step(statement);
    sqlite3_finalize(statement);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

/* ---- open, close ---- */

/* One service a data folder. The kernel lets the lock go when the process ends, however it ends. */
static hg_status lock_folder(const char *folder, int *fd, hg_error *error)
{
    char path[HG_PATH_MAX], pid[32] = "";
    hg_status status = hg_path_join(path, sizeof path, folder, "hydraglot.lock", error);
    if (status) return status;
    *fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (*fd < 0) {
        return hg_fail(error, HG_ERROR_IO, "%s: cannot open: %s; check who may write the folder",
                       path, strerror(errno));
    }
    if (flock(*fd, LOCK_EX | LOCK_NB)) {
        ssize_t got = pread(*fd, pid, sizeof pid - 1, 0);
        pid[got > 0 ? got : 0] = '\0';
        pid[strcspn(pid, "\n")] = '\0';
        close(*fd);
        *fd = -1;
        return hg_fail(error, HG_ERROR_STATE,
                       "%s: another hydraglot (process %s) uses this data folder; stop it, or "
                       "choose another folder with --data",
                       folder, pid[0] ? pid : "unknown");
    }
    /* The number is a courtesy for the message above: the lock itself does not need it. */
    int length = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
    if (ftruncate(*fd, 0) || pwrite(*fd, pid, (size_t)length, 0) != length) {
        status = hg_fail(error, HG_ERROR_IO, "%s: cannot write: %s", path, strerror(errno));
        close(*fd);
        *fd = -1;
    }
    return status;
}

static hg_status store_new(const char *folder, hg_store **out, hg_error *error)
{
    *out = NULL;
    hg_store *store = calloc(1, sizeof *store);
    if (!store) return hg_fail(error, HG_ERROR_MEMORY, "%s: out of memory", folder);
    store->lock_fd = -1;
    hg_status status = hg_path_join(store->path, sizeof store->path, folder, "hydraglot.db", error);
    if (!status && pthread_mutex_init(&store->write, NULL))
        status = hg_fail(error, HG_ERROR_MEMORY, "%s: cannot make a lock", store->path);
    if (status)
        free(store);
    else
        *out = store;
    return status;
}

hg_status hg_store_open(const char *folder, hg_store **out, hg_error *error)
{
    hg_store *store;
    *out = NULL;
    hg_status status = store_new(folder, &store, error);
    if (status) return status;
    assert(store);
    status = hg_folder_make(folder, error);
    if (!status) status = lock_folder(folder, &store->lock_fd, error);
    if (!status)
        status = hg_db_connect(store->path, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, &store->db,
                               error);
    /* A migration is as dear as a plugin: it waits for the disk. */
    if (!status) status = hg_db_exec(store->path, store->db, "PRAGMA synchronous = FULL", error);
    if (!status) status = hg_db_migrate(store->path, store->db, error);
    if (!status) status = hg_writer_open(store, error);
    if (status) {
        hg_store_close(store);
        return status;
    }
    *out = store;
    return HG_OK;
}

/* The database as it is, without the folder's lock. */
static hg_status connect_beside(hg_store *store, int flags, sqlite3 **out, hg_error *error)
{
    if (!hg_file_exists(store->path))
        return hg_fail(error, HG_ERROR_NOT_FOUND,
                       "%s: there is no database here; start `hydraglot serve` once on this "
                       "folder, or name another with --data",
                       store->path);
    hg_status status = hg_db_connect(store->path, flags, out, error);
    return status ? status : hg_db_check_version(store->path, *out, error);
}

hg_status hg_store_open_beside(const char *folder, hg_store **out, hg_error *error)
{
    hg_store *store;
    *out = NULL;
    hg_status status = store_new(folder, &store, error);
    if (status) return status;
    assert(store);
    status = connect_beside(store, SQLITE_OPEN_READWRITE, &store->db, error);
    if (status)
        hg_store_close(store);
    else
        *out = store;
    return status;
}

hg_status hg_store_open_read(const char *folder, hg_store **out, hg_error *error)
{
    hg_store *store;
    sqlite3 *db = NULL;
    *out = NULL;
    hg_status status = store_new(folder, &store, error);
    if (status) return status;
    assert(store);
    status = connect_beside(store, SQLITE_OPEN_READONLY, &db, error);
    sqlite3_close(db);
    if (status)
        hg_store_close(store);
    else
        *out = store;
    return status;
}

void hg_store_close(hg_store *store)
{
    if (!store) return;
    if (store->writer) hg_writer_close(store);
    int code = sqlite3_close(store->db);
    assert(code == SQLITE_OK); /* every statement was finalised */
    (void)code;
    if (store->lock_fd >= 0) close(store->lock_fd);
    pthread_mutex_destroy(&store->write);
    free(store);
}

/* ---- audit ---- */

int hg_db_audit(sqlite3 *db, const char *actor, const char *action, const char *object,
                const char *detail)
{
    sqlite3_stmt *s = NULL;
    int code = hg_db_bind(db,
                          "INSERT INTO audit (at, actor, action, object, detail)"
                          " VALUES (?1, ?2, ?3, ?4, ?5)",
                          &s, "issss", hg_clock_wall_us(), actor, action, object, detail);
    return hg_db_run(code, s);
}

hg_status hg_store_audit(hg_store *store, const char *actor, const char *action, const char *object,
                         const char *detail, hg_error *error)
{
    hg_status status = hg_db_begin(store, HG_SURVIVES_POWER, error);
    if (status) return status;
    int code = hg_db_audit(store->db, actor, action, object, detail ? detail : "");
    return hg_db_finish(store, HG_OK, code, "record an audit row", error);
}
