/* plugins.c: a plugin's content becomes a generation. One durable transaction.
 *
 * The rules: content whose digest is already the newest generation's is not recorded again (only
 * where it lies may have changed); other content becomes generation n + 1 of its name. Content that
 * comes in with state "enabled" is what the plugin serves from then on, and a language without a
 * default plugin gets this one.
 */
#include <assert.h>
#include <string.h>

#include "core/base/clock.h"
#include "db/internal.h"

/* What runs inside the transaction; each function stops at the first failure. */
typedef struct put {
    hg_store *store;
    hg_plugin_record *record;
    hg_error *error;
    char newest_digest[HG_SHA256_HEX]; /* "" when the plugin is new */
    int64_t now_us, default_id;        /* default_id: the language's default plugin, 0: none */
} put;

/* Steps a statement that returns nothing, and finalises it. */
static hg_status run(put *p, int code, sqlite3_stmt *statement)
{
    if (!code) code = sqlite3_step(statement);
    hg_status status = HG_OK;
    if (code != SQLITE_DONE)
        status = hg_db_fail(p->store->path, p->store->db, code, "record a plugin", p->error);
    sqlite3_finalize(statement);
    return status;
}

/* Fills the ids and flags of the record from what is stored; plugin_id 0: a new name. */
static hg_status look_up(put *p)
{
    static const char sql[] =
        "SELECT p.id, p.is_default, coalesce(p.enabled_generation, 0), g.id, g.generation, g.digest"
        " FROM plugin p JOIN plugin_generation g ON g.plugin_id = p.id"
        " WHERE p.name = ?1 ORDER BY g.generation DESC LIMIT 1";
    hg_plugin_record *r = p->record;
    sqlite3_stmt *s = NULL;
    r->plugin_id = r->generation_key = 0;
    r->generation = 0;
    r->is_default = r->enabled = false;
    int code = hg_db_bind(p->store->db, sql, &s, "s", r->name);
    if (!code) code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        r->plugin_id = sqlite3_column_int64(s, 0);
        r->is_default = sqlite3_column_int(s, 1);
        r->generation_key = sqlite3_column_int64(s, 3);
        r->generation = (uint32_t)sqlite3_column_int64(s, 4);
        r->enabled = sqlite3_column_int64(s, 2) == r->generation;
        const char *digest = (const char *)sqlite3_column_text(s, 5);
        if (!digest || strlen(digest) >= sizeof p->newest_digest)
            code = SQLITE_CORRUPT;
        else
            memcpy(p->newest_digest, digest, strlen(digest) + 1);
    }
    hg_status status = HG_OK;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = hg_db_fail(p->store->path, p->store->db, code, "look a plugin up", p->error);
    sqlite3_finalize(s);
    return status;
}

static hg_status find_default(put *p)
{
    sqlite3_stmt *s = NULL;
    int code =
        hg_db_bind(p->store->db, "SELECT id FROM plugin WHERE language = ?1 AND is_default = 1", &s,
                   "s", p->record->language);
    if (!code) code = sqlite3_step(s);
    if (code == SQLITE_ROW) p->default_id = sqlite3_column_int64(s, 0);
    hg_status status = HG_OK;
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        status = hg_db_fail(p->store->path, p->store->db, code, "look a language up", p->error);
    sqlite3_finalize(s);
    return status;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static hg_status put_name(put *p)
{
    hg_plugin_record *r = p->record;
    sqlite3_stmt *s = NULL;
    int code;
    if (r->plugin_id) {
        code = hg_db_bind(p->store->db,
                          "UPDATE plugin SET title = ?2, kind = ?3, language = ?4 WHERE id = ?1",
                          &s, "isss", r->plugin_id, or_empty(r->title), r->kind, r->language);
        return run(p, code, s);
    }
    code = hg_db_bind(p->store->db,
                      "INSERT INTO plugin (name, title, kind, language, created_at)"
                      " VALUES (?1, ?2, ?3, ?4, ?5)",
                      &s, "ssssi", r->name, or_empty(r->title), r->kind, r->language, p->now_us);
    hg_status status = run(p, code, s);
    if (!status) r->plugin_id = sqlite3_last_insert_rowid(p->store->db);
    return status;
}

static hg_status put_generation(put *p)
{
    static const char sql[] =
        "INSERT INTO plugin_generation (plugin_id, generation, digest, rank_max, bytes, sources,"
        " licence, state, report, folder, created_at)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    hg_plugin_record *r = p->record;
    sqlite3_stmt *s = NULL;
    r->generation++;
    const char *report = r->report && r->report[0] ? r->report : NULL;
    int code =
        hg_db_bind(p->store->db, sql, &s, "iisiisssssi", r->plugin_id, (int64_t)r->generation,
                   r->digest, (int64_t)r->rank_max, (int64_t)r->bytes, r->sources,
                   or_empty(r->licence), r->state, report, or_empty(r->folder), p->now_us);
    hg_status status = run(p, code, s);
    if (!status) r->generation_key = sqlite3_last_insert_rowid(p->store->db);
    return status;
}

/* The generation that served until now stays at hand for a rollback: "ready". */
static hg_status enable(put *p)
{
    hg_plugin_record *r = p->record;
    sqlite3_stmt *s = NULL;
    r->enabled = strcmp(r->state, "enabled") == 0;
    if (!r->enabled) return HG_OK;
    int code = hg_db_bind(p->store->db,
                          "UPDATE plugin_generation SET state = 'ready' WHERE plugin_id = ?1 AND"
                          " state = 'enabled' AND generation <> ?2",
                          &s, "ii", r->plugin_id, (int64_t)r->generation);
    hg_status status = run(p, code, s);
    if (status) return status;
    if (r->language[0]) status = find_default(p);
    if (status) return status;
    if (r->language[0] && !p->default_id) p->default_id = r->plugin_id;
    r->is_default = p->default_id == r->plugin_id;
    code = hg_db_bind(p->store->db,
                      "UPDATE plugin SET enabled_generation = ?2, is_default = ?3 WHERE id = ?1",
                      &s, "iii", r->plugin_id, (int64_t)r->generation, (int64_t)r->is_default);
    return run(p, code, s);
}

static hg_status move_folder(put *p)
{
    sqlite3_stmt *s = NULL;
    int code = hg_db_bind(p->store->db, "UPDATE plugin_generation SET folder = ?2 WHERE id = ?1",
                          &s, "is", p->record->generation_key, or_empty(p->record->folder));
    return run(p, code, s);
}

hg_status hg_store_put_plugin(hg_store *store, hg_plugin_record *record, hg_error *error)
{
    assert(record->name && record->kind && record->language && record->digest && record->sources &&
           record->state);
    put p = {.store = store, .record = record, .error = error, .now_us = hg_clock_wall_us()};
    hg_plugin_record before = *record;
    hg_status status = hg_db_begin(store, HG_SURVIVES_POWER, error);
    if (status) return status;
    status = look_up(&p);
    if (!status && strcmp(p.newest_digest, record->digest) == 0) {
        status = move_folder(&p);
    } else {
        if (!status) status = put_name(&p);
        if (!status) status = put_generation(&p);
        if (!status) status = enable(&p);
    }
    hg_status ended = hg_db_end(store, !status, status ? NULL : error);
    if (!status) status = ended;
    if (status) *record = before; /* no ids of rows that do not exist */
    return status;
}
