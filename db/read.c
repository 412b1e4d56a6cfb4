/* read.c: what is listed from the database, over a read-only connection made for each call.
 *
 * A connection of its own costs a fraction of a millisecond and buys that a listing takes no lock
 * of ours, sees one moment of the database, and may call the store from its row function.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "db/internal.h"
#include "db/plugins.h"

typedef struct reading {
    const hg_store *store;
    sqlite3 *db;
    sqlite3_stmt *statement, *lanes; /* lanes: NULL but for batches */
    hg_error *error;
} reading;

static hg_status reading_open(reading *r, const char *sql)
{
    hg_status status = hg_db_connect(r->store->path, SQLITE_OPEN_READONLY, &r->db, r->error);
    if (status) return status;
    /* One transaction, so that batches and their lanes are of one moment. */
    status = hg_db_exec(r->store->path, r->db, "BEGIN", r->error);
    if (status) return status;
    int code = sqlite3_prepare_v2(r->db, sql, -1, &r->statement, NULL);
    return code ? hg_db_fail(r->store->path, r->db, code, "read", r->error) : HG_OK;
}

static void reading_close(reading *r)
{
    sqlite3_finalize(r->statement);
    sqlite3_finalize(r->lanes);
    int code = sqlite3_close(r->db);
    assert(code == SQLITE_OK);
    (void)code;
}

/* After the last row: was it the end, or a failure? */
static hg_status reading_end(reading *r, int code)
{
    if (code == SQLITE_DONE || code == SQLITE_ROW) return HG_OK;
    return hg_db_fail(r->store->path, r->db, code, "read", r->error);
}

const char *hg_db_text_at(sqlite3_stmt *s, int column)
{
    const char *text = (const char *)sqlite3_column_text(s, column);
    return text ? text : "";
}

static uint32_t count_at(sqlite3_stmt *s, int column)
{
    int64_t value = sqlite3_column_int64(s, column);
    return value < 0 ? 0 : value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

/* ---- plugins ---- */

#define PLUGIN_COLUMNS                                                                             \
    "SELECT p.id, g.id, g.generation, g.rank_max, g.bytes, p.name, p.kind, p.language, g.digest,"  \
    " g.sources, g.licence, g.state, g.report, g.folder, p.title, p.is_default,"                   \
    " g.generation IS p.enabled_generation, p.pinned"                                              \
    " FROM plugin p JOIN plugin_generation g ON g.plugin_id = p.id AND g.state <> 'removed'"

static const char plugins_sql[] =
    PLUGIN_COLUMNS " AND g.generation = coalesce(p.enabled_generation, (SELECT max(generation) FROM"
                   " plugin_generation WHERE plugin_id = p.id AND state <> 'removed'))"
                   " ORDER BY p.name";

static const char generations_sql[] =
    PLUGIN_COLUMNS " WHERE ?1 IS NULL OR p.name = ?1 ORDER BY p.name, g.generation DESC";

static hg_plugin_record plugin_at(sqlite3_stmt *s)
{
    return (hg_plugin_record){
        .plugin_id = sqlite3_column_int64(s, 0),
        .generation_key = sqlite3_column_int64(s, 1),
        .generation = count_at(s, 2),
        .rank_max = count_at(s, 3),
        .bytes = (uint64_t)sqlite3_column_int64(s, 4),
        .name = hg_db_text_at(s, 5),
        .kind = hg_db_text_at(s, 6),
        .language = hg_db_text_at(s, 7),
        .digest = hg_db_text_at(s, 8),
        .sources = hg_db_text_at(s, 9),
        .licence = hg_db_text_at(s, 10),
        .state = hg_db_text_at(s, 11),
        .report = hg_db_text_at(s, 12),
        .folder = hg_db_text_at(s, 13),
        .title = hg_db_text_at(s, 14),
        .is_default = sqlite3_column_int(s, 15),
        .enabled = sqlite3_column_int(s, 16),
        .pinned = sqlite3_column_int(s, 17),
    };
}

static hg_status list_plugins(reading *r, int (*row)(const hg_plugin_record *, void *),
                              void *context)
{
    char path[HG_PATH_MAX];
    hg_status status = HG_OK;
    int code = SQLITE_DONE, stop = 0;
    while (!status && !stop && (code = sqlite3_step(r->statement)) == SQLITE_ROW) {
        hg_plugin_record record = plugin_at(r->statement);
        record.own = !*record.folder;
        if (record.own) status = hg_store_content_path(r->store, record.digest, path, r->error);
        if (record.own) record.folder = path;
        if (!status) stop = row(&record, context);
    }
    return status ? status : reading_end(r, code);
}

hg_status hg_store_each_plugin(hg_store *store,
                               int (*row)(const hg_plugin_record *record, void *context),
                               void *context, hg_error *error)
{
    reading r = {.store = store, .error = error};
    hg_status status = reading_open(&r, plugins_sql);
    if (!status) status = list_plugins(&r, row, context);
    reading_close(&r);
    return status;
}

hg_status hg_store_each_generation(hg_store *store, const char *name,
                                   int (*row)(const hg_plugin_record *record, void *context),
                                   void *context, hg_error *error)
{
    reading r = {.store = store, .error = error};
    hg_status status = reading_open(&r, generations_sql);
    int code = status ? SQLITE_OK : sqlite3_bind_text(r.statement, 1, name, -1, SQLITE_STATIC);
    if (code) status = reading_end(&r, code);
    if (!status) status = list_plugins(&r, row, context);
    reading_close(&r);
    return status;
}

/* ---- batches ---- */

static const char batches_sql[] =
    "SELECT id, started_at, session, mode, source_language, device, model, source_chars, lanes,"
    " prefill_tokens, shared_tokens, decode_tokens, queue_ms, prefill_ms, first_ms, total_ms,"
    " tokens_per_s FROM batch ORDER BY id DESC LIMIT ?1";

static const char lanes_sql[] =
    "SELECT language, status, stop, plugin_id, generation, tokens, drafted, accepted, first_ms,"
    " total_ms FROM lane WHERE batch_id = ?1 ORDER BY lane";

static void batch_at(sqlite3_stmt *s, hg_batch_record *batch)
{
    memset(batch, 0, sizeof *batch);
    batch->id = sqlite3_column_int64(s, 0);
    batch->started_us = sqlite3_column_int64(s, 1);
    HG_DB_COPY(batch->session, s, 2);
    HG_DB_COPY(batch->mode, s, 3);
    HG_DB_COPY(batch->source_language, s, 4);
    HG_DB_COPY(batch->device, s, 5);
    HG_DB_COPY(batch->model, s, 6);
    batch->source_chars = count_at(s, 7);
    batch->prefill_tokens = count_at(s, 9);
    batch->shared_tokens = count_at(s, 10);
    batch->decode_tokens = count_at(s, 11);
    batch->queue_ms = sqlite3_column_double(s, 12);
    batch->prefill_ms = sqlite3_column_double(s, 13);
    batch->first_ms = sqlite3_column_double(s, 14);
    batch->total_ms = sqlite3_column_double(s, 15);
    batch->tokens_per_s = sqlite3_column_double(s, 16);
}

static void lane_at(sqlite3_stmt *s, hg_lane_record *lane)
{
    HG_DB_COPY(lane->language, s, 0);
    HG_DB_COPY(lane->status, s, 1);
    HG_DB_COPY(lane->stop, s, 2);
    lane->plugin_id = sqlite3_column_int64(s, 3);
    lane->generation = count_at(s, 4);
    lane->tokens = count_at(s, 5);
    lane->drafted = count_at(s, 6);
    lane->accepted = count_at(s, 7);
    lane->first_ms = sqlite3_column_double(s, 8);
    lane->total_ms = sqlite3_column_double(s, 9);
}

static int read_lanes(sqlite3_stmt *s, hg_batch_record *batch)
{
    int code = sqlite3_bind_int64(s, 1, batch->id);
    while (!code && batch->lanes < HG_LIMIT_LANES && (code = sqlite3_step(s)) == SQLITE_ROW) {
        hg_lane_record *lane = &batch->lane[batch->lanes++];
        lane_at(s, lane);
        batch->drafted += lane->drafted;
        batch->accepted += lane->accepted;
        code = SQLITE_OK;
    }
    sqlite3_reset(s);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static hg_status list_batches(reading *r, int (*row)(const hg_batch_record *, void *),
                              void *context)
{
    hg_batch_record batch;
    int code = sqlite3_prepare_v2(r->db, lanes_sql, -1, &r->lanes, NULL);
    int stop = 0;
    while (!code && !stop && (code = sqlite3_step(r->statement)) == SQLITE_ROW) {
        batch_at(r->statement, &batch);
        code = read_lanes(r->lanes, &batch);
        if (!code) stop = row(&batch, context);
    }
    return reading_end(r, stop ? SQLITE_DONE : code);
}

hg_status hg_store_each_batch(hg_store *store, uint32_t count,
                              int (*row)(const hg_batch_record *batch, void *context),
                              void *context, hg_error *error)
{
    reading r = {.store = store, .error = error};
    hg_status status = reading_open(&r, batches_sql);
    if (!status) {
        int code = sqlite3_bind_int64(r.statement, 1, count);
        status = code ? reading_end(&r, code) : list_batches(&r, row, context);
    }
    reading_close(&r);
    return status;
}
