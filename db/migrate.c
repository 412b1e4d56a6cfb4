/* migrate.c: from an empty or older file to the schema of this program.
 *
 * Step n brings user_version from n - 1 to n, in one transaction that also sets user_version: a
 * crash leaves the version before or the version after. Step 1 is db/schema.sql, which the build
 * turns into a C string.
 */
#include <assert.h>
#include <stdio.h>

#include "db/internal.h"

#define HG_APPLICATION_ID 1213810508 /* "HYGL", as in schema.sql */

static const char *const steps[] = {
#include "db/schema.sql.inc"
    ,
    /* 2: when a token was made, and which one minted it; that one's end is its own. */
    "ALTER TABLE token ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE token ADD COLUMN parent TEXT REFERENCES token (hash) ON DELETE CASCADE;"
    "CREATE INDEX token_parent ON token (parent);",
    /* 3: what its check said of a generation, whatever has become of it since, and when it was
     * enabled last. Until now only what had served, or serves, was recorded. A folder of '' is
     * content of the data folder's own, named by its digest. */
    "ALTER TABLE plugin_generation ADD COLUMN verdict TEXT NOT NULL DEFAULT 'ready'"
    " CHECK (verdict IN ('ready', 'unproven', 'failed'));"
    "ALTER TABLE plugin_generation ADD COLUMN enabled_at INTEGER;"
    "UPDATE plugin_generation SET enabled_at = created_at;",
};

#define HG_SCHEMA_VERSION ((int)(sizeof steps / sizeof *steps))

static hg_status read_number(const char *path, sqlite3 *db, const char *sql, int *out,
                             hg_error *error)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code == SQLITE_OK) code = sqlite3_step(statement);
    if (code == SQLITE_ROW) *out = sqlite3_column_int(statement, 0);
    hg_status status = HG_OK;
    if (code != SQLITE_ROW) status = hg_db_fail(path, db, code, "read its version", error);
    sqlite3_finalize(statement);
    return status;
}

/* The file's version; a database that another program made is refused. */
static hg_status read_version(const char *path, sqlite3 *db, int *version, hg_error *error)
{
    int application = 0, tables = 0;
    hg_status status = read_number(path, db, "PRAGMA user_version", version, error);
    if (!status) status = read_number(path, db, "PRAGMA application_id", &application, error);
    if (!status)
        status = read_number(path, db, "SELECT count(*) FROM sqlite_master", &tables, error);
    if (status) return status;
    if (application != HG_APPLICATION_ID && (tables || *version || application)) {
        return hg_fail(error, HG_ERROR_DATABASE,
                       "%s: this is a database of another program; choose another folder with "
                       "--data, or move the file away",
                       path);
    }
    if (*version > HG_SCHEMA_VERSION) {
        return hg_fail(error, HG_ERROR_DATABASE,
                       "%s: the database has version %d, this program knows versions up to %d; "
                       "run the newer hydraglot, or choose another folder with --data",
                       path, *version, HG_SCHEMA_VERSION);
    }
    return HG_OK;
}

static hg_status run_step(const char *path, sqlite3 *db, int version, hg_error *error)
{
    assert(version >= 1 && version <= HG_SCHEMA_VERSION);
    char finish[64];
    snprintf(finish, sizeof finish, "PRAGMA user_version = %d; COMMIT", version);
    hg_status status = hg_db_exec(path, db, "BEGIN IMMEDIATE", error);
    if (status) return status;
    status = hg_db_exec(path, db, steps[version - 1], error);
    if (!status) status = hg_db_exec(path, db, finish, error);
    /* The rollback may find that SQLite has already rolled back: both are the state before. */
    if (status && !sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    return status;
}

hg_status hg_db_migrate(const char *path, sqlite3 *db, hg_error *error)
{
    int version = 0;
    hg_status status = read_version(path, db, &version, error);
    while (!status && version < HG_SCHEMA_VERSION) status = run_step(path, db, ++version, error);
    return status;
}

hg_status hg_db_check_version(const char *path, sqlite3 *db, hg_error *error)
{
    int version = 0;
    hg_status status = read_version(path, db, &version, error);
    if (!status && version < HG_SCHEMA_VERSION) {
        status = hg_fail(error, HG_ERROR_DATABASE,
                         "%s: the database has version %d, this program needs %d; start "
                         "`hydraglot serve` once on this folder to migrate it",
                         path, version, HG_SCHEMA_VERSION);
    }
    return status;
}
