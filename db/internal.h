/* internal.h: what the files of db/ share: the store's parts, the connection's rules, errors.
 *
 * store.c        open and close, the folder's lock, audit
 * plugins.c      a plugin's content becomes a generation
 * generations.c  what becomes of generations: enabled, disabled, rolled back, removed
 * tokens.c       access tokens
 * migrate.c      from an empty or older file to the present schema
 * writer.c       the queue of batches, its thread, retention, batch ids
 * read.c         read-only connections and what is listed from them
 *
 * Locks: `write` guards the one writing connection and its statements; `queue` guards the queue.
 * A thread that needs both takes `queue` last and never waits for `write` while it holds it.
 */
#ifndef HG_DB_INTERNAL_H
#define HG_DB_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>

#include "core/base/file.h"
#include "db/store.h"

/* Ids are reserved in the database in blocks of this many, so that one given by a run that was
 * killed is not given again: at each commit half a block is left, which is more than the queue and
 * the engine can take before the next. A killed run skips at most a block. */
#define HG_BATCH_ID_BLOCK (2 * (HG_LIMIT_DB_QUEUE + HG_LIMIT_JOBS))

/* How much a commit must survive. */
typedef enum hg_durability {
    HG_SURVIVES_PROCESS, /* kill -9: the bytes are with the operating system */
    HG_SURVIVES_POWER,   /* they are on the disk: the log is synced before the commit returns */
} hg_durability;

/* A batch that waits for the writer; allocated for its own number of lanes only. */
typedef struct hg_waiting_batch {
    struct hg_waiting_batch *next;
    hg_batch_record record; /* lane[record.lanes] is allocated, not more */
} hg_waiting_batch;

typedef struct hg_writer hg_writer;

struct hg_store {
    char path[HG_PATH_MAX]; /* of hydraglot.db */
    int lock_fd;            /* holds the folder's lock; -1 in a reading store */
    pthread_mutex_t write;  /* guards db */
    sqlite3 *db;            /* the writing connection; NULL in a reading store */
    hg_writer *writer;      /* NULL in a reading store */
};

/* ---- errors ---- */
/* Says what SQLite's failure on path means to the operator. db may be NULL. */
hg_status hg_db_fail(const char *path, sqlite3 *db, int code, const char *doing, hg_error *error);

/* ---- connections ---- */
/* Opens path with this program's pragmas; flags are those of sqlite3_open_v2. */
hg_status hg_db_connect(const char *path, int flags, sqlite3 **out, hg_error *error) HG_CHECKED;
hg_status hg_db_exec(const char *path, sqlite3 *db, const char *sql, hg_error *error) HG_CHECKED;
/* Prepares sql and binds the values named by types, one letter each: i int64_t, s text or NULL.
 * Returns SQLite's code; the caller finalises *out either way. */
int hg_db_bind(sqlite3 *db, const char *sql, sqlite3_stmt **out, const char *types, ...) HG_CHECKED;
/* Steps a statement that returns nothing, and finalises it; code is how its preparing went. */
int hg_db_run(int code, sqlite3_stmt *statement) HG_CHECKED;
/* Adds a row of the audit, within the caller's transaction. */
int hg_db_audit(sqlite3 *db, const char *actor, const char *action, const char *object,
                const char *detail) HG_CHECKED;
/* begin waits for the store's write lock; end commits or, with ok false, rolls back, and lets it
 * go. After a failed begin no end may follow. */
hg_status hg_db_begin(hg_store *store, hg_durability durability, hg_error *error) HG_CHECKED;
hg_status hg_db_end(hg_store *store, bool ok, hg_error *error) HG_CHECKED;
/* Ends the transaction by how it went: code is its last statement's, a status without one that a
 * rule refused; error says why. */
hg_status hg_db_finish(hg_store *store, hg_status status, int code, const char *doing,
                       hg_error *error) HG_CHECKED;

/* ---- plugins.c ---- */
/* The folder of a generation that the plugins folder has brought other content in the place of. */
#define HG_DB_REPLACED "replaced"

/* ---- generations.c ---- */
/* The generation serves from now on, within the caller's transaction; the one that did until now
 * is what its check said of it. A language without a default plugin gets this one. */
int hg_generation_serve(sqlite3 *db, int64_t plugin_id, uint32_t generation) HG_CHECKED;

/* ---- read.c ---- */
/* A column's text, "" where it has none; valid until the statement steps on. */
const char *hg_db_text_at(sqlite3_stmt *s, int column);
/* Text that outgrew its field was written by another version: it is cut, not refused. */
#define HG_DB_COPY(field, s, column)                                                               \
    ((void)snprintf(field, sizeof(field), "%s", hg_db_text_at(s, column)))

/* ---- migrate.c ---- */
/* Brings the file to the present version, each step one transaction. */
hg_status hg_db_migrate(const char *path, sqlite3 *db, hg_error *error) HG_CHECKED;
/* HG_OK when the file has exactly the present version. */
hg_status hg_db_check_version(const char *path, sqlite3 *db, hg_error *error) HG_CHECKED;

/* ---- writer.c ---- */
hg_status hg_writer_open(hg_store *store, hg_error *error) HG_CHECKED;
void hg_writer_close(hg_store *store); /* commits what waits, joins the thread */

#endif
