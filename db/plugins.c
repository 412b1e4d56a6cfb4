/* plugins.c: a plugin's content becomes a generation. One durable transaction.
 *
 * Content comes from the plugins folder, at each start (hg_store_put_plugin), or from an admin
 * (hg_store_add_generation), who has it checked before it may serve. Either way content that a
 * generation has already is not recorded again; other content becomes generation n + 1 of its name.
 * Content of the plugins folder takes over from what that folder brought before, whose files are no
 * longer there, also where it is known from earlier still; what an admin disabled, removed, or put
 * in its place, it leaves alone.
 */
#include "db/plugins.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "db/internal.h"

/* What runs inside the transaction. */
typedef struct put {
    hg_store *store;
    hg_plugin_record *record;
    bool bundled; /* of the plugins folder: removed content counts as known, it would only return */
    int64_t now_us;
    uint32_t newest, enabled; /* generations; 0: none */
    bool own;                 /* the enabled one was added by an admin */
    bool fits;                /* kind and language are the record's */
    bool barred;              /* what has this content was removed, or is being checked */
} put;

static int look_plugin_up(put *p)
{
    static const char sql[] =
        "SELECT p.id, p.is_default, coalesce(p.enabled_generation, 0),"
        " coalesce((SELECT max(generation) FROM plugin_generation WHERE plugin_id = p.id), 0),"
        " coalesce((SELECT folder = '' FROM plugin_generation WHERE plugin_id = p.id"
        " AND generation = p.enabled_generation), 0), p.kind = ?2 AND p.language = ?3"
        " FROM plugin p WHERE p.name = ?1";
    hg_plugin_record *r = p->record;
    sqlite3_stmt *s = NULL;
    r->plugin_id = r->generation_key = 0;
    r->generation = 0;
    r->is_default = r->enabled = false;
    p->fits = true;
    int code = hg_db_bind(p->store->db, sql, &s, "sss", r->name, r->kind, r->language);
    if (!code) code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        r->plugin_id = sqlite3_column_int64(s, 0);
        r->is_default = sqlite3_column_int(s, 1);
        p->enabled = (uint32_t)sqlite3_column_int64(s, 2);
        p->newest = (uint32_t)sqlite3_column_int64(s, 3);
        p->own = sqlite3_column_int(s, 4);
        p->fits = sqlite3_column_int(s, 5);
    }
    sqlite3_finalize(s);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

/* The generation that has this content, into the record; 0: none has. */
static int look_content_up(put *p)
{
    static const char sql[] =
        "SELECT id, generation, state IN ('removed', 'checking') FROM plugin_generation"
        " WHERE plugin_id = ?1 AND digest = ?2 AND (?3 OR state <> 'removed')"
        " ORDER BY generation DESC LIMIT 1";
    hg_plugin_record *r = p->record;
    sqlite3_stmt *s = NULL;
    int code =
        hg_db_bind(p->store->db, sql, &s, "isi", r->plugin_id, r->digest, (int64_t)p->bundled);
    if (!code) code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        r->generation_key = sqlite3_column_int64(s, 0);
        r->generation = (uint32_t)sqlite3_column_int64(s, 1);
        p->barred = sqlite3_column_int(s, 2);
        r->enabled = r->generation == p->enabled;
    }
    sqlite3_finalize(s);
    return code == SQLITE_ROW || code == SQLITE_DONE ? SQLITE_OK : code;
}

static int look_up(put *p)
{
    int code = look_plugin_up(p);
    return code ? code : look_content_up(p);
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static int put_name(put *p)
{
    hg_plugin_record *r = p->record;
    sqlite3 *db = p->store->db;
    sqlite3_stmt *s = NULL;
    int code;
    if (r->plugin_id) {
        code =
            hg_db_bind(db, "UPDATE plugin SET title = ?2, kind = ?3, language = ?4 WHERE id = ?1",
                       &s, "isss", r->plugin_id, or_empty(r->title), r->kind, r->language);
        return hg_db_run(code, s);
    }
    code = hg_db_bind(db,
                      "INSERT INTO plugin (name, title, kind, language, created_at)"
                      " VALUES (?1, ?2, ?3, ?4, ?5)",
                      &s, "ssssi", r->name, or_empty(r->title), r->kind, r->language, p->now_us);
    code = hg_db_run(code, s);
    if (!code) r->plugin_id = sqlite3_last_insert_rowid(db);
    return code;
}

static int put_generation(put *p, const char *state)
{
    static const char sql[] =
        "INSERT INTO plugin_generation (plugin_id, generation, digest, rank_max, bytes, sources,"
        " licence, state, report, folder, created_at, verdict)"
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, nullif(?9, ''), ?10, ?11, ?12)";
    hg_plugin_record *r = p->record;
    sqlite3_stmt *s = NULL;
    r->generation = p->newest + 1;
    int code = hg_db_bind(p->store->db, sql, &s, "iisiisssssis", r->plugin_id,
                          (int64_t)r->generation, r->digest, (int64_t)r->rank_max,
                          (int64_t)r->bytes, r->sources, or_empty(r->licence), state,
                          or_empty(r->report), p->bundled ? or_empty(r->folder) : "", p->now_us,
                          p->bundled ? "ready" : "unproven");
    code = hg_db_run(code, s);
    if (!code) r->generation_key = sqlite3_last_insert_rowid(p->store->db);
    return code;
}

static int serve(put *p)
{
    int code = hg_generation_serve(p->store->db, p->record->plugin_id, p->record->generation);
    if (code) return code;
    p->enabled = p->record->generation;
    return look_up(p); /* its flags */
}

/* Where the plugins folder lies now; what it brought before is not there any more. Content of an
 * admin's stays where it is. */
static int move_folder(put *p)
{
    sqlite3_stmt *s = NULL;
    int code = hg_db_bind(p->store->db,
                          "UPDATE plugin_generation SET folder ="
                          " CASE id WHEN ?2 THEN ?3 ELSE '" HG_DB_REPLACED "' END"
                          " WHERE plugin_id = ?1 AND folder <> ''",
                          &s, "iis", p->record->plugin_id, p->record->generation_key,
                          or_empty(p->record->folder));
    return hg_db_run(code, s);
}

/* Whether the content shall serve. What the folder brought before cannot be read any more. */
static bool takes_over(const put *p, bool is_new)
{
    if (p->record->enabled || p->barred || p->own) return false;
    return p->enabled || (is_new && p->newest == 0);
}

hg_status hg_store_put_plugin(hg_store *store, hg_plugin_record *record, hg_error *error)
{
    assert(record->name && record->kind && record->language && record->digest && record->sources);
    put p = {.store = store, .record = record, .bundled = true, .now_us = hg_clock_wall_us()};
    hg_plugin_record before = *record;
    hg_status status = hg_db_begin(store, HG_SURVIVES_POWER, error);
    if (status) return status;
    int code = look_up(&p);
    const bool is_new = !record->generation;
    if (!code && is_new) code = put_name(&p);
    if (!code && is_new) code = put_generation(&p, "ready");
    if (!code) code = move_folder(&p);
    if (!code && takes_over(&p, is_new)) code = serve(&p);
    status = hg_db_finish(store, HG_OK, code, "record a plugin", error);
    if (status) *record = before; /* no ids of rows that do not exist */
    return status;
}

/* ---- content that an admin adds ---- */

/* Whether the name may have this content next. */
static hg_status check_name(const put *p, int64_t seen, hg_error *error)
{
    const char *name = p->record->name;
    if (seen >= 0 && seen != p->newest)
        return hg_fail(error, HG_ERROR_CONFLICT,
                       "plugin %s: its newest generation is %u, not %lld: look again", name,
                       p->newest, (long long)seen);
    if (p->fits) return HG_OK;
    return hg_fail(error, HG_ERROR_ARGUMENT,
                   "plugin.json: name: %s is the name of another language's plugin, or kind's: "
                   "choose another",
                   name);
}

static int record_adding(put *p, const char *actor)
{
    char detail[HG_SHA256_HEX + 32];
    int code = put_name(p);
    if (!code) code = put_generation(p, "checking");
    snprintf(detail, sizeof detail, "generation %u, %s", p->record->generation, p->record->digest);
    return code ? code : hg_db_audit(p->store->db, actor, "plugin.add", p->record->name, detail);
}

hg_status hg_store_add_generation(hg_store *store, hg_plugin_record *record, int64_t seen,
                                  const char *actor, hg_error *error)
{
    put p = {.store = store, .record = record, .now_us = hg_clock_wall_us()};
    hg_plugin_record before = *record;
    hg_status status = hg_db_begin(store, HG_SURVIVES_POWER, error);
    if (status) return status;
    int code = look_up(&p);
    if (!code) status = check_name(&p, seen, error);
    if (!code && !status && !record->generation) code = record_adding(&p, actor);
    status = hg_db_finish(store, status, code, "record a plugin", error);
    if (status) *record = before;
    return status;
}
