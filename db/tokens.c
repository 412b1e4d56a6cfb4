/* tokens.c: access tokens: added, revoked, listed and looked up.
 *
 * Each change is one transaction with the audit row that tells of it. Looking up is a primary key's
 * search over a read-only connection that stays open: some microseconds, so nothing is cached and
 * a revoked token is refused from its very end on.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "db/internal.h"
#include "db/tokens.h"

#define COLUMNS                                                                                    \
    "hash, coalesce(parent, ''), scopes, label, created_at, coalesce(expires_at, 0), rate"

/* ---- changes ---- */

static int insert(sqlite3 *db, const hg_token_record *t)
{
    sqlite3_stmt *s = NULL;
    int code = hg_db_bind(db,
                          "INSERT INTO token (hash, scopes, expires_at, rate, label, created_at,"
                          " parent) VALUES (?1, ?2, nullif(?3, 0), ?4, ?5, ?6, nullif(?7, ''))",
                          &s, "ssiisis", t->hash, t->scopes, t->expires_us, (int64_t)t->rate,
                          t->label, t->created_us, t->parent);
    return hg_db_run(code, s);
}

/* Rows name a token as people do. */
static int audit(sqlite3 *db, const char *actor, const char *action, const char *hash,
                 const char *detail)
{
    char object[HG_TOKEN_ID + 1];
    snprintf(object, sizeof object, "%.*s", HG_TOKEN_ID, hash);
    return hg_db_audit(db, actor, action, object, detail);
}

static int forget_expired(sqlite3 *db)
{
    sqlite3_stmt *s = NULL;
    int code =
        hg_db_bind(db, "DELETE FROM token WHERE expires_at <= ?1", &s, "i", hg_clock_wall_us());
    return hg_db_run(code, s);
}

/* The tokens that parent minted. */
static int count_minted(sqlite3 *db, const char *parent, int64_t *out)
{
    sqlite3_stmt *s = NULL;
    int code = hg_db_bind(db, "SELECT count(*) FROM token WHERE parent = ?1", &s, "s", parent);
    if (!code && (code = sqlite3_step(s)) == SQLITE_ROW) {
        *out = sqlite3_column_int64(s, 0);
        code = SQLITE_OK;
    }
    sqlite3_finalize(s);
    return code;
}

/* Mints are many: their audit rows leave as batches do. */
static int retain_mints(sqlite3 *db)
{
    sqlite3_stmt *s = NULL;
    int code = hg_db_bind(db,
                          "DELETE FROM audit WHERE action = 'token.mint'"
                          " AND id <= (SELECT max(id) FROM audit) - ?1",
                          &s, "i", (int64_t)HG_LIMIT_DB_BATCH_ROWS);
    return hg_db_run(code, s);
}

hg_status hg_store_add_token(hg_store *store, const hg_token_record *token, const char *actor,
                             hg_error *error)
{
    bool minted = *token->parent;
    int64_t siblings = 0;
    hg_status status = hg_db_begin(store, minted ? HG_SURVIVES_PROCESS : HG_SURVIVES_POWER, error);
    if (status) return status;
    int code = forget_expired(store->db);
    if (!code && minted) code = count_minted(store->db, token->parent, &siblings);
    const bool room = siblings < HG_LIMIT_MINTED;
    if (!code && room) code = insert(store->db, token);
    if (!code && room)
        code = audit(store->db, actor, minted ? "token.mint" : "token.add", token->hash,
                     token->scopes);
    if (!code && minted) code = retain_mints(store->db);
    status = hg_db_finish(store, HG_OK, code, "record a token", error);
    if (status || room) return status;
    return hg_fail(error, HG_ERROR_LIMIT, "the token has minted %d that live: wait until some end",
                   HG_LIMIT_MINTED);
}

hg_status hg_store_first_token(hg_store *store, const hg_token_record *first, bool *made,
                               hg_error *error)
{
    hg_status status = hg_db_begin(store, HG_SURVIVES_POWER, error);
    *made = false;
    if (status) return status;
    int code = sqlite3_exec(store->db,
                            "INSERT INTO setting (key, value) VALUES ('first_token', 'made')"
                            " ON CONFLICT (key) DO NOTHING",
                            NULL, NULL, NULL);
    bool fresh = !code && sqlite3_changes(store->db) == 1;
    if (fresh) code = insert(store->db, first);
    if (fresh && !code) code = audit(store->db, "start", "token.add", first->hash, first->scopes);
    status = hg_db_finish(store, HG_OK, code, "record the first token", error);
    *made = fresh && !status;
    return status;
}

/* A hash that begins with id; *found is how many there are, 2 for more. */
static int find_whole(sqlite3 *db, const char *id, char whole[HG_TOKEN_HASH], int *found)
{
    sqlite3_stmt *s = NULL;
    int code = hg_db_bind(db, "SELECT hash FROM token WHERE substr(hash, 1, ?1) = ?2 LIMIT 2", &s,
                          "is", (int64_t)strlen(id), id);
    *found = 0;
    while (!code && (code = sqlite3_step(s)) == SQLITE_ROW) {
        snprintf(whole, HG_TOKEN_HASH, "%s", (const char *)sqlite3_column_text(s, 0));
        ++*found;
        code = SQLITE_OK;
    }
    sqlite3_finalize(s);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

hg_status hg_store_revoke_token(hg_store *store, const char *id, const char *actor, hg_error *error)
{
    char whole[HG_TOKEN_HASH];
    sqlite3_stmt *s = NULL;
    int found = 0;
    hg_status status = hg_db_begin(store, HG_SURVIVES_POWER, error);
    if (status) return status;
    int code = find_whole(store->db, id, whole, &found);
    if (!code && found == 1) {
        code = hg_db_bind(store->db, "DELETE FROM token WHERE hash = ?1", &s, "s", whole);
        code = hg_db_run(code, s);
        if (!code) code = audit(store->db, actor, "token.revoke", whole, "");
    }
    status = hg_db_finish(store, HG_OK, code, "revoke a token", error);
    if (status || found == 1) return status;
    if (found) return hg_fail(error, HG_ERROR_ARGUMENT, "%s: several tokens begin so", id);
    return hg_fail(error, HG_ERROR_NOT_FOUND, "%s: no token has this id; `token list` shows them",
                   id);
}

/* ---- reading ---- */

static void record_at(sqlite3_stmt *s, hg_token_record *out)
{
    HG_DB_COPY(out->hash, s, 0);
    HG_DB_COPY(out->parent, s, 1);
    HG_DB_COPY(out->scopes, s, 2);
    HG_DB_COPY(out->label, s, 3);
    out->created_us = sqlite3_column_int64(s, 4);
    out->expires_us = sqlite3_column_int64(s, 5);
    out->rate = (uint32_t)sqlite3_column_int64(s, 6);
}

hg_status hg_store_each_token(hg_store *store,
                              int (*row)(const hg_token_record *token, void *context),
                              void *context, hg_error *error)
{
    sqlite3 *db;
    sqlite3_stmt *s = NULL;
    hg_token_record record;
    hg_status status = hg_db_connect(store->path, SQLITE_OPEN_READONLY, &db, error);
    if (status) return status;
    int code = hg_db_bind(db, "SELECT " COLUMNS " FROM token ORDER BY created_at, hash", &s, "");
    while (!code && (code = sqlite3_step(s)) == SQLITE_ROW) {
        record_at(s, &record);
        code = row(&record, context) ? SQLITE_DONE : SQLITE_OK;
    }
    if (code != SQLITE_DONE) status = hg_db_fail(store->path, db, code, "read tokens", error);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return status;
}

struct hg_token_reader {
    const hg_store *store;
    sqlite3 *db;
    sqlite3_stmt *find, *version;
    int64_t seen; /* data_version at the last look */
};

hg_status hg_token_reader_open(hg_store *store, hg_token_reader **out, hg_error *error)
{
    *out = NULL;
    hg_token_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return hg_fail(error, HG_ERROR_MEMORY, "%s: out of memory", store->path);
    reader->store = store;
    hg_status status = hg_db_connect(store->path, SQLITE_OPEN_READONLY, &reader->db, error);
    int code = status
                   ? SQLITE_OK
                   : sqlite3_prepare_v2(reader->db, "SELECT " COLUMNS " FROM token WHERE hash = ?1",
                                        -1, &reader->find, NULL);
    if (!status && !code)
        code = sqlite3_prepare_v2(reader->db, "PRAGMA data_version", -1, &reader->version, NULL);
    if (code) status = hg_db_fail(store->path, reader->db, code, "read tokens", error);
    if (status)
        hg_token_reader_close(reader);
    else
        *out = reader;
    return status;
}

void hg_token_reader_close(hg_token_reader *reader)
{
    if (!reader) return;
    sqlite3_finalize(reader->find);
    sqlite3_finalize(reader->version);
    sqlite3_close(reader->db);
    free(reader);
}

hg_status hg_token_find(hg_token_reader *reader, const char *hash, hg_token_record *out,
                        hg_error *error)
{
    int code = sqlite3_bind_text(reader->find, 1, hash, -1, SQLITE_TRANSIENT);
    if (!code) code = sqlite3_step(reader->find);
    if (code == SQLITE_ROW) record_at(reader->find, out);
    sqlite3_reset(reader->find);
    if (code == SQLITE_ROW) return HG_OK;
    if (code == SQLITE_DONE) return hg_fail(error, HG_ERROR_NOT_FOUND, "no such token");
    return hg_db_fail(reader->store->path, reader->db, code, "look up a token", error);
}

bool hg_token_reader_changed(hg_token_reader *reader)
{
    int64_t now = -1;
    if (sqlite3_step(reader->version) == SQLITE_ROW) now = sqlite3_column_int64(reader->version, 0);
    sqlite3_reset(reader->version);
    bool changed = now < 0 || now != reader->seen;
    reader->seen = now;
    return changed;
}
