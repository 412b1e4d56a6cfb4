/* writer.c: batches on their way to the disk.
 *
 * hg_store_log_batch copies a batch into a bounded list and returns. The writer thread takes the
 * whole list at most HG_LIMIT_DB_COMMIT_MS after its first batch came, and commits it as one
 * transaction; old batches leave in the same transaction. When the database fails, the batches stay
 * and are tried again every HG_LIMIT_DB_RETRY_MS; meanwhile a full list drops and counts what
 * comes. A batch that the schema refuses is dropped alone. The service never waits for any of it.
 *
 * Owned by the writer thread, under the store's `write` lock: the statements and `reserved_id`.
 * Guarded by `queue`: the list, its counts and `closing`.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "db/internal.h"

#define RETENTION_PIECE 1024 /* most batches that leave in one commit, so that none takes long */

enum { INSERT_BATCH, INSERT_LANE, RETAIN, RESERVE, SAVEPOINT, RELEASE, UNDO, STATEMENTS };

static const char *const statement_sql[STATEMENTS] = {
    [INSERT_BATCH] = "INSERT INTO batch VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
                     " ?13, ?14, ?15, ?16, ?17)",
    [INSERT_LANE] = "INSERT INTO lane VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
    [RETAIN] = "DELETE FROM batch WHERE id <= (SELECT max(id) FROM batch) - ?1"
               " AND id < (SELECT min(id) FROM batch) + ?2",
    [RESERVE] = "INSERT INTO setting (key, value) VALUES ('next_batch', ?1)"
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
    [SAVEPOINT] = "SAVEPOINT batch",
    [RELEASE] = "RELEASE batch",
    [UNDO] = "ROLLBACK TO batch",
};

struct hg_writer {
    pthread_t thread;
    pthread_mutex_t queue;
    pthread_cond_t wake; /* something waits, or closing; on the steady clock */
    hg_waiting_batch *first, *last;
    uint32_t waiting;  /* in the list or being committed */
    int64_t oldest_us; /* when the first of the list came */
    bool closing;
    _Atomic uint64_t dropped;
    _Atomic int64_t next_id;
    int64_t reserved_id; /* the database knows that ids below may have been given */
    sqlite3_stmt *statement[STATEMENTS];
    bool told_of_refusal;                 /* a refused batch was logged; once is enough */
    char complaint[HG_ERROR_MESSAGE_MAX]; /* what was logged last; "" while all is well */
};

/* ---- statements ---- */

/* Binds the values of one row from left to right; the first failure stays. */
typedef struct binder {
    sqlite3_stmt *s;
    int column, code;
} binder;

static void bind_number(binder *b, int64_t value)
{
    if (!b->code) b->code = sqlite3_bind_int64(b->s, ++b->column, value);
}

static void bind_real(binder *b, double value)
{
    if (!b->code) b->code = sqlite3_bind_double(b->s, ++b->column, value);
}

static void bind_text(binder *b, const char *value)
{
    if (!b->code) b->code = sqlite3_bind_text(b->s, ++b->column, value, -1, SQLITE_STATIC);
}

/* Runs a statement of one row to its end and makes it ready for the next. */
static int run(binder *b)
{
    int code = b->code ? b->code : sqlite3_step(b->s);
    sqlite3_reset(b->s);
    return code == SQLITE_DONE ? SQLITE_OK : code;
}

static int run_plain(hg_writer *w, int which)
{
    return run(&(binder){.s = w->statement[which]});
}

static int insert_batch(hg_writer *w, const hg_batch_record *r)
{
    binder b = {.s = w->statement[INSERT_BATCH]};
    bind_number(&b, r->id);
    bind_text(&b, r->session);
    bind_number(&b, r->started_us);
    bind_text(&b, r->mode);
    bind_text(&b, r->source_language);
    bind_number(&b, r->source_chars);
    bind_number(&b, r->lanes);
    bind_number(&b, r->prefill_tokens);
    bind_number(&b, r->shared_tokens);
    bind_number(&b, r->decode_tokens);
    bind_real(&b, r->queue_ms);
    bind_real(&b, r->prefill_ms);
    bind_real(&b, r->first_ms);
    bind_real(&b, r->total_ms);
    bind_real(&b, r->tokens_per_s);
    bind_text(&b, r->device);
    bind_text(&b, r->model);
    return run(&b);
}

static int insert_lane(hg_writer *w, int64_t batch_id, uint32_t index, const hg_lane_record *r)
{
    binder b = {.s = w->statement[INSERT_LANE]};
    bind_number(&b, batch_id);
    bind_number(&b, index);
    bind_text(&b, r->language);
    if (r->plugin_id) {
        bind_number(&b, r->plugin_id);
        bind_number(&b, r->generation);
    } else {
        sqlite3_bind_null(b.s, ++b.column);
        sqlite3_bind_null(b.s, ++b.column);
    }
    bind_text(&b, r->status);
    bind_text(&b, r->stop);
    bind_number(&b, r->tokens);
    bind_number(&b, r->drafted);
    bind_number(&b, r->accepted);
    bind_real(&b, r->first_ms);
    bind_real(&b, r->total_ms);
    return run(&b);
}

/* ---- one commit ---- */

/* Says it once, until something else happens. */
static void complain(hg_writer *w, const char *message)
{
    if (strcmp(w->complaint, message) == 0) return;
    snprintf(w->complaint, sizeof w->complaint, "%s", message);
    if (message[0])
        hg_log(HG_LOG_ERROR, "db", "batches wait or are lost: %s", message);
    else
        hg_log(HG_LOG_INFO, "db", "batches are recorded again");
}

/* A batch with its lanes, or nothing of it when the schema refuses a value. */
static int put_batch(hg_store *store, const hg_batch_record *r, bool *refused)
{
    hg_writer *w = store->writer;
    int code = run_plain(w, SAVEPOINT);
    if (code) return code;
    code = insert_batch(w, r);
    for (uint32_t i = 0; !code && i < r->lanes; i++) code = insert_lane(w, r->id, i, &r->lane[i]);
    *refused = (code & 0xff) == SQLITE_CONSTRAINT;
    if (*refused) {
        if (!w->told_of_refusal)
            hg_log(HG_LOG_ERROR, "db", "%s: batch %" PRId64 " is lost: %s", store->path, r->id,
                   sqlite3_errmsg(store->db));
        w->told_of_refusal = true;
        code = run_plain(w, UNDO);
    }
    return code ? code : run_plain(w, RELEASE);
}

static int write_next_id(hg_writer *w, int64_t id)
{
    binder b = {.s = w->statement[RESERVE]};
    char value[24];
    snprintf(value, sizeof value, "%" PRId64, id);
    bind_text(&b, value);
    return run(&b);
}

/* Ids that may be given before the next commit: what fits into the queue and the engine. */
static int reserve_ids(hg_writer *w)
{
    int64_t next = atomic_load(&w->next_id);
    if (w->reserved_id - next >= HG_BATCH_ID_BLOCK / 2) return SQLITE_OK;
    int64_t reserve = next + HG_BATCH_ID_BLOCK;
    int code = write_next_id(w, reserve);
    if (!code) w->reserved_id = reserve;
    return code;
}

/* Ids have few gaps, so a bound on ids is a bound on rows. */
static int retain(hg_writer *w)
{
    binder b = {.s = w->statement[RETAIN]};
    bind_number(&b, HG_LIMIT_DB_BATCH_ROWS);
    bind_number(&b, RETENTION_PIECE);
    return run(&b);
}

/* Commits the list, all of it or nothing; *refused counts the batches that the schema refused. */
static hg_status commit(hg_store *store, const hg_waiting_batch *list, uint64_t *refused,
                        hg_error *error)
{
    hg_writer *w = store->writer;
    *refused = 0;
    hg_status status = hg_db_begin(store, HG_SURVIVES_PROCESS, error);
    if (status) return status;
    int64_t reserved_before = w->reserved_id;
    int code = SQLITE_OK;
    for (const hg_waiting_batch *b = list; b && !code; b = b->next) {
        bool no = false;
        code = put_batch(store, &b->record, &no);
        *refused += no;
    }
    if (!code) code = reserve_ids(w);
    if (!code) code = retain(w);
    if (code) status = hg_db_fail(store->path, store->db, code, "record batches", error);
    hg_status ended = hg_db_end(store, !status, status ? NULL : error);
    if (!status) status = ended;
    if (status) w->reserved_id = reserved_before;
    return status;
}

/* ---- the thread ---- */

static uint32_t free_list(hg_waiting_batch *list)
{
    uint32_t count = 0;
    while (list) {
        hg_waiting_batch *next = list->next;
        free(list);
        list = next;
        count++;
    }
    return count;
}

/* Waits, with `queue` held, until the list is due: its first batch is old enough, the list is half
 * full, or the store closes. After a failure only time and closing count. */
static void wait_until_due(hg_writer *w, bool failed)
{
    int64_t wait_us = (failed ? HG_LIMIT_DB_RETRY_MS : HG_LIMIT_DB_COMMIT_MS) * INT64_C(1000);
    while (!w->first && !w->closing) pthread_cond_wait(&w->wake, &w->queue);
    int64_t due_us = (failed ? hg_clock_us() : w->oldest_us) + wait_us;
    struct timespec due = {.tv_sec = due_us / 1000000, .tv_nsec = due_us % 1000000 * 1000};
    int timed_out = 0;
    while (!w->closing && !timed_out && (failed || w->waiting < HG_LIMIT_DB_QUEUE / 2))
        timed_out = pthread_cond_timedwait(&w->wake, &w->queue, &due);
}

/* Puts what could not be committed before what came meanwhile. */
static void put_back(hg_writer *w, hg_waiting_batch *list)
{
    hg_waiting_batch *end = list;
    while (end->next) end = end->next;
    end->next = w->first;
    if (!w->first) w->last = end;
    w->first = list;
}

static void *writer_main(void *argument)
{
    hg_store *store = argument;
    hg_writer *w = store->writer;
    bool failed = false;
    pthread_mutex_lock(&w->queue);
    for (;;) {
        wait_until_due(w, failed);
        hg_waiting_batch *list = w->first;
        if (!list) break; /* closing, and nothing waits */
        const bool last_try = w->closing;
        w->first = w->last = NULL;
        pthread_mutex_unlock(&w->queue);

        hg_error error = {0};
        uint64_t refused;
        failed = commit(store, list, &refused, &error) != HG_OK;
        complain(w, error.message);

        pthread_mutex_lock(&w->queue);
        if (!failed) {
            atomic_fetch_add(&w->dropped, refused);
            w->waiting -= free_list(list);
        } else {
            put_back(w, list);
            if (last_try) break; /* begun after closing: more would never end */
        }
    }
    pthread_mutex_unlock(&w->queue);
    return NULL;
}

/* ---- the public part ---- */

int64_t hg_store_next_batch(hg_store *store)
{
    assert(store->writer); /* a reading store gives no ids */
    return atomic_fetch_add(&store->writer->next_id, 1);
}

void hg_store_log_batch(hg_store *store, const hg_batch_record *batch)
{
    hg_writer *w = store->writer;
    assert(w && batch->lanes <= HG_LIMIT_LANES && batch->id > 0);
    /* At least the whole struct without lanes, so that no access is outside of the allocation. */
    size_t bytes = offsetof(hg_batch_record, lane) + batch->lanes * sizeof batch->lane[0];
    hg_waiting_batch *waiting = malloc(offsetof(hg_waiting_batch, record) + bytes);
    if (waiting) {
        memcpy((char *)waiting + offsetof(hg_waiting_batch, record), batch, bytes);
        waiting->next = NULL;
    }
    pthread_mutex_lock(&w->queue);
    bool room = waiting && w->waiting < HG_LIMIT_DB_QUEUE;
    if (room) {
        if (w->first)
            w->last->next = waiting;
        else
            w->first = waiting, w->oldest_us = hg_clock_us();
        w->last = waiting;
        w->waiting++;
        pthread_cond_signal(&w->wake);
    }
    pthread_mutex_unlock(&w->queue);
    if (!room) {
        free(waiting);
        atomic_fetch_add(&w->dropped, 1);
    }
}

uint64_t hg_store_dropped_batches(hg_store *store)
{
    return store->writer ? atomic_load(&store->writer->dropped) : 0;
}

/* ---- open, close ---- */

static hg_status first_id(hg_store *store, int64_t *out, hg_error *error)
{
    static const char sql[] =
        "SELECT max(coalesce((SELECT max(id) FROM batch), 0) + 1,"
        " coalesce((SELECT CAST(value AS INTEGER) FROM setting WHERE key = 'next_batch'), 1))";
    sqlite3_stmt *s = NULL;
    int code = sqlite3_prepare_v2(store->db, sql, -1, &s, NULL);
    if (!code) code = sqlite3_step(s);
    if (code == SQLITE_ROW) *out = sqlite3_column_int64(s, 0);
    hg_status status = HG_OK;
    if (code != SQLITE_ROW)
        status = hg_db_fail(store->path, store->db, code, "read the next batch id", error);
    sqlite3_finalize(s);
    return status;
}

static hg_status prepare(hg_store *store, hg_error *error)
{
    for (int i = 0; i < STATEMENTS; i++) {
        int code = sqlite3_prepare_v3(store->db, statement_sql[i], -1, SQLITE_PREPARE_PERSISTENT,
                                      &store->writer->statement[i], NULL);
        if (code) return hg_db_fail(store->path, store->db, code, "prepare to write", error);
    }
    return HG_OK;
}

/* The locks and the thread; all or nothing. */
static hg_status start(hg_store *store, hg_error *error)
{
    hg_writer *w = store->writer;
    pthread_condattr_t steady;
    int failed = pthread_condattr_init(&steady);
    if (!failed) failed = pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    if (!failed) failed = pthread_cond_init(&w->wake, &steady);
    if (!failed) failed = pthread_mutex_init(&w->queue, NULL);
    if (!failed) failed = pthread_create(&w->thread, NULL, writer_main, store);
    if (!failed) return HG_OK;
    return hg_fail(error, HG_ERROR_IO, "%s: cannot start the writer thread: %s", store->path,
                   strerror(failed));
}

static void writer_free(hg_store *store)
{
    for (int i = 0; i < STATEMENTS; i++) sqlite3_finalize(store->writer->statement[i]);
    free(store->writer);
    store->writer = NULL;
}

hg_status hg_writer_open(hg_store *store, hg_error *error)
{
    int64_t next = 1;
    store->writer = calloc(1, sizeof *store->writer);
    if (!store->writer) return hg_fail(error, HG_ERROR_MEMORY, "%s: out of memory", store->path);
    uint64_t none;
    hg_status status = prepare(store, error);
    if (!status) status = first_id(store, &next, error);
    if (!status) {
        assert(next > 0);
        store->writer->next_id = next;
        status = commit(store, NULL, &none, error); /* reserves the first block of ids */
    }
    if (!status) status = start(store, error);
    if (status) writer_free(store);
    return status;
}

/* Gives back the ids that were reserved and not used. A failure only leaves a gap. */
static void return_ids(hg_store *store)
{
    hg_writer *w = store->writer;
    if (hg_db_begin(store, HG_SURVIVES_PROCESS, NULL)) return;
    int code = write_next_id(w, atomic_load(&w->next_id));
    hg_status status = hg_db_end(store, !code, NULL);
    if (code || status) hg_log(HG_LOG_WARN, "db", "%s: some batch ids are skipped", store->path);
}

void hg_writer_close(hg_store *store)
{
    hg_writer *w = store->writer;
    pthread_mutex_lock(&w->queue);
    w->closing = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->queue);
    pthread_join(w->thread, NULL);
    uint32_t lost = free_list(w->first);
    if (lost) hg_log(HG_LOG_ERROR, "db", "%u batches are lost: %s", lost, w->complaint);
    return_ids(store);
    pthread_mutex_destroy(&w->queue);
    pthread_cond_destroy(&w->wake);
    writer_free(store);
}
