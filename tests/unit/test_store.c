/* test_store.c: the database through its public calls, and its file through SQLite itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "db/store.h"

static const char digest_a[] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
static const char digest_b[] = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

typedef struct fixture {
    char folder[64], file[96];
    hg_store *store;
    hg_error error;
} fixture;

static int set_up(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    snprintf(f->folder, sizeof f->folder, "/tmp/hg-store-XXXXXX");
    assert_non_null(mkdtemp(f->folder));
    snprintf(f->file, sizeof f->file, "%s/hydraglot.db", f->folder);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    fixture *f = *state;
    char command[128];
    hg_store_close(f->store);
    snprintf(command, sizeof command, "rm -rf '%s'", f->folder);
    assert_int_equal(system(command), 0);
    free(f);
    return 0;
}

static void open_store(fixture *f)
{
    if (hg_store_open(f->folder, &f->store, &f->error)) fail_msg("%s", f->error.message);
}

static void close_store(fixture *f)
{
    hg_store_close(f->store);
    f->store = NULL;
}

/* Runs sql on the file, as another program would; returns the first column of its first row. */
static int64_t raw(const fixture *f, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    int64_t value = -1;
    assert_int_equal(sqlite3_open(f->file, &db), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL)) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    int code = sqlite3_step(s);
    if (code == SQLITE_ROW) value = sqlite3_column_int64(s, 0);
    if (code != SQLITE_ROW && code != SQLITE_DONE) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sqlite3_finalize(s);
    sqlite3_close(db);
    return value;
}

static hg_plugin_record german(const char *name, const char *digest)
{
    return (hg_plugin_record){.name = name,
                              .title = "German",
                              .kind = "language",
                              .language = "de",
                              .digest = digest,
                              .rank_max = 24,
                              .bytes = 4000000,
                              .sources = "[\"en\"]",
                              .licence = "CC-BY-2.0-FR",
                              .state = "enabled",
                              .report = "{\"chrf\": 50.1}",
                              .folder = "/plugins/de"};
}

static hg_batch_record sample(int64_t id)
{
    hg_batch_record b = {.id = id,
                         .started_us = 1767225600000000 + id,
                         .source_chars = 26,
                         .lanes = 2,
                         .prefill_tokens = 9,
                         .shared_tokens = 7,
                         .decode_tokens = 13,
                         .drafted = 4,
                         .accepted = 3,
                         .queue_ms = 0.125,
                         .prefill_ms = 0.75,
                         .first_ms = 1.5,
                         .total_ms = 4.25,
                         .tokens_per_s = 3151.5};
    snprintf(b.session, sizeof b.session, "s-1");
    snprintf(b.mode, sizeof b.mode, "one_prompt_many");
    snprintf(b.source_language, sizeof b.source_language, "en");
    snprintf(b.device, sizeof b.device, "cpu: test");
    snprintf(b.model, sizeof b.model, "hydra-tiny");
    b.lane[0] = (hg_lane_record){"de", "ok", "eos", 0, 0, 6, 4, 3, 1.5, 4.0};
    b.lane[1] = (hg_lane_record){"ja", "cancelled", "", 0, 0, 7, 0, 0, 1.75, 4.25};
    return b;
}

typedef struct seen {
    uint32_t rows, stop_after;
    hg_plugin_record plugin;
    char name[64], title[64], state[32], digest[80], folder[64];
    hg_batch_record batch; /* the first row */
    int64_t ids[8];
} seen;

static int see_plugin(const hg_plugin_record *r, void *context)
{
    seen *s = context;
    s->plugin = *r;
    snprintf(s->name, sizeof s->name, "%s", r->name);
    snprintf(s->title, sizeof s->title, "%s", r->title);
    snprintf(s->state, sizeof s->state, "%s", r->state);
    snprintf(s->digest, sizeof s->digest, "%s", r->digest);
    snprintf(s->folder, sizeof s->folder, "%s", r->folder);
    return ++s->rows == s->stop_after;
}

static int see_batch(const hg_batch_record *r, void *context)
{
    seen *s = context;
    if (!s->rows) s->batch = *r;
    if (s->rows < 8) s->ids[s->rows] = r->id;
    return ++s->rows == s->stop_after;
}

static void list_plugins(fixture *f, seen *s)
{
    memset(s, 0, sizeof *s);
    if (hg_store_each_plugin(f->store, see_plugin, s, &f->error)) fail_msg("%s", f->error.message);
}

static void list_batches(fixture *f, seen *s)
{
    memset(s, 0, sizeof *s);
    if (hg_store_each_batch(f->store, 100, see_batch, s, &f->error))
        fail_msg("%s", f->error.message);
}

static void put(fixture *f, hg_plugin_record *r)
{
    if (hg_store_put_plugin(f->store, r, &f->error)) fail_msg("%s", f->error.message);
}

static void a_new_database_has_every_table(void **state)
{
    fixture *f = *state;
    open_store(f);
    assert_int_equal(raw(f, "PRAGMA user_version"), 3);
    assert_int_equal(raw(f, "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name IN"
                            "('plugin','plugin_generation','batch','lane','token','audit',"
                            "'setting')"),
                     7);
    assert_int_equal(raw(f, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    close_store(f);
    open_store(f); /* and opens again */
}

static void a_plugin_becomes_a_generation_and_default(void **state)
{
    fixture *f = *state;
    seen s;
    open_store(f);
    hg_plugin_record r = german("de", digest_a);
    put(f, &r);
    assert_int_equal(r.generation, 1);
    assert_true(r.enabled && r.is_default && r.plugin_id > 0 && r.generation_key > 0);
    list_plugins(f, &s);
    assert_int_equal(s.rows, 1);
    assert_string_equal(s.name, "de");
    assert_string_equal(s.title, "German");
    assert_string_equal(s.state, "enabled");
    assert_string_equal(s.digest, digest_a);
    assert_int_equal(s.plugin.rank_max, 24);
    assert_int_equal(s.plugin.bytes, 4000000);
    assert_int_equal(s.plugin.generation_key, r.generation_key);
}

static void the_same_content_is_not_recorded_twice(void **state)
{
    fixture *f = *state;
    seen s;
    open_store(f);
    hg_plugin_record first = german("de", digest_a), again = german("de", digest_a);
    again.folder = "/moved/de";
    put(f, &first);
    put(f, &again);
    assert_int_equal(again.generation, 1);
    assert_int_equal(again.generation_key, first.generation_key);
    assert_int_equal(again.plugin_id, first.plugin_id);
    assert_true(again.enabled && again.is_default);
    list_plugins(f, &s);
    assert_int_equal(s.rows, 1);
    assert_string_equal(s.folder, "/moved/de");
}

static void other_content_is_the_next_generation(void **state)
{
    fixture *f = *state;
    seen s;
    open_store(f);
    hg_plugin_record first = german("de", digest_a), second = german("de", digest_b);
    put(f, &first);
    put(f, &second);
    assert_int_equal(second.generation, 2);
    assert_int_not_equal(second.generation_key, first.generation_key);
    list_plugins(f, &s);
    assert_int_equal(s.rows, 1);
    assert_int_equal(s.plugin.generation, 2);
    assert_int_equal(raw(f, "SELECT state = 'ready' FROM plugin_generation WHERE generation = 1"),
                     1);
    /* What a generation has already is that generation, whose files are the ones there now. */
    hg_plugin_record third = german("de", digest_a);
    put(f, &third);
    assert_int_equal(third.generation, 1);
    assert_true(third.enabled);
    list_plugins(f, &s);
    assert_int_equal(s.plugin.generation, 1);
    assert_string_equal(s.state, "enabled");
    assert_string_equal(s.folder, "/plugins/de");
    assert_int_equal(raw(f, "SELECT state = 'ready' FROM plugin_generation WHERE generation = 2"),
                     1);
}

static void a_language_has_one_default(void **state)
{
    fixture *f = *state;
    seen s;
    open_store(f);
    hg_plugin_record plain = german("de", digest_a), formal = german("de-formal", digest_b);
    hg_plugin_record task = german("refine", digest_b);
    task.kind = "task", task.language = "";
    put(f, &plain);
    put(f, &formal);
    put(f, &task);
    assert_true(plain.is_default);
    assert_false(formal.is_default);
    assert_false(task.is_default);
    list_plugins(f, &s);
    assert_int_equal(s.rows, 3);
}

static void a_refused_plugin_leaves_nothing(void **state)
{
    fixture *f = *state;
    seen s;
    open_store(f);
    hg_plugin_record r = german("de", digest_a);
    r.sources = "[\"en\"";
    assert_int_equal(hg_store_put_plugin(f->store, &r, &f->error), HG_ERROR_DATABASE);
    assert_non_null(strstr(f->error.message, f->file));
    assert_non_null(strstr(f->error.message, "json_valid(sources)"));
    assert_int_equal(r.plugin_id, 0);
    list_plugins(f, &s);
    assert_int_equal(s.rows, 0);
    r.sources = "[\"en\"]"; /* and the store works on */
    put(f, &r);
}

static void batches_come_back_newest_first(void **state)
{
    fixture *f = *state;
    seen s;
    open_store(f);
    for (int i = 0; i < 5; i++) {
        hg_batch_record b = sample(hg_store_next_batch(f->store));
        hg_store_log_batch(f->store, &b);
    }
    close_store(f); /* commits what waits */
    open_store(f);
    list_batches(f, &s);
    assert_int_equal(s.rows, 5);
    for (int i = 0; i < 5; i++) assert_int_equal(s.ids[i], 5 - i);
    hg_batch_record want = sample(5);
    assert_memory_equal(&s.batch, &want, sizeof want);
    memset(&s, 0, sizeof s);
    s.stop_after = 2;
    assert_int_equal(hg_store_each_batch(f->store, 100, see_batch, &s, &f->error), HG_OK);
    assert_int_equal(s.rows, 2);
    assert_int_equal(hg_store_next_batch(f->store), 6); /* a clean end skips no ids */
    assert_int_equal(hg_store_dropped_batches(f->store), 0);
}

static void a_reader_works_beside_a_service(void **state)
{
    fixture *f = *state;
    hg_store *reader;
    seen s = {0};
    assert_int_equal(hg_store_open_read(f->folder, &reader, &f->error), HG_ERROR_NOT_FOUND);
    assert_non_null(strstr(f->error.message, f->file));
    open_store(f);
    assert_int_equal(hg_store_open_read(f->folder, &reader, &f->error), HG_OK);
    hg_plugin_record r = german("de", digest_a);
    put(f, &r);
    assert_int_equal(hg_store_each_plugin(reader, see_plugin, &s, &f->error), HG_OK);
    assert_int_equal(s.rows, 1);
    hg_store_close(reader);
}

static void two_services_cannot_share_a_folder(void **state)
{
    fixture *f = *state;
    hg_store *second;
    open_store(f);
    assert_int_equal(hg_store_open(f->folder, &second, &f->error), HG_ERROR_STATE);
    assert_null(second);
    char pid[32];
    snprintf(pid, sizeof pid, "process %d", (int)getpid());
    assert_non_null(strstr(f->error.message, pid));
    assert_non_null(strstr(f->error.message, "--data"));
}

static void ids_are_not_given_again_after_a_kill(void **state)
{
    fixture *f = *state;
    open_store(f);
    close_store(f);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        hg_store *store;
        if (hg_store_open(f->folder, &store, NULL)) _exit(2);
        for (int i = 0; i < 50; i++) (void)hg_store_next_batch(store);
        kill(getpid(), SIGKILL);
    }
    int how;
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how));
    open_store(f);
    assert_true(hg_store_next_batch(f->store) > 50);
}

static void a_full_queue_drops_and_counts(void **state)
{
    fixture *f = *state;
    sqlite3 *other;
    open_store(f);
    /* Another program holds the write lock, so that nothing can be committed. */
    assert_int_equal(sqlite3_open(f->file, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < HG_LIMIT_DB_QUEUE + 10; i++) {
        hg_batch_record b = sample(hg_store_next_batch(f->store));
        hg_store_log_batch(f->store, &b);
    }
    assert_int_equal(hg_store_dropped_batches(f->store), 10);
    assert_int_equal(sqlite3_exec(other, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    close_store(f);
    assert_int_equal(raw(f, "SELECT count(*) FROM batch"), HG_LIMIT_DB_QUEUE);
    assert_int_equal(raw(f, "SELECT count(*) FROM lane"), 2 * HG_LIMIT_DB_QUEUE);
}

static void a_batch_that_the_schema_refuses_goes_alone(void **state)
{
    fixture *f = *state;
    open_store(f);
    for (int i = 0; i < 3; i++) {
        hg_batch_record b = sample(hg_store_next_batch(f->store));
        if (i == 1) snprintf(b.lane[1].status, sizeof b.lane[1].status, "lost");
        hg_store_log_batch(f->store, &b);
    }
    while (raw(f, "SELECT count(*) FROM batch") < 2) usleep(1000);
    while (hg_store_dropped_batches(f->store) < 1) usleep(1000);
    assert_int_equal(raw(f, "SELECT count(*) FROM batch WHERE id = 2"), 0);
    assert_int_equal(raw(f, "SELECT count(*) FROM lane WHERE batch_id = 2"), 0);
}

static void old_batches_leave(void **state)
{
    fixture *f = *state;
    open_store(f);
    hg_batch_record b = sample(hg_store_next_batch(f->store));
    hg_store_log_batch(f->store, &b);
    close_store(f);
    char sql[128];
    snprintf(sql, sizeof sql, "UPDATE setting SET value = '%d' WHERE key = 'next_batch'",
             HG_LIMIT_DB_BATCH_ROWS);
    raw(f, sql);
    open_store(f);
    for (int i = 0; i < 2; i++) { /* ids DB_BATCH_ROWS (keeps row 1) and one more (does not) */
        assert_int_equal(raw(f, "SELECT count(*) FROM batch WHERE id = 1"), 1);
        b = sample(hg_store_next_batch(f->store));
        hg_store_log_batch(f->store, &b);
        snprintf(sql, sizeof sql, "SELECT count(*) FROM batch WHERE id = %lld", (long long)b.id);
        while (!raw(f, sql)) usleep(1000);
    }
    assert_int_equal(raw(f, "SELECT count(*) FROM batch WHERE id = 1"), 0);
    assert_int_equal(raw(f, "SELECT count(*) FROM lane WHERE batch_id = 1"), 0);
}

static void audit_rows_are_kept(void **state)
{
    fixture *f = *state;
    open_store(f);
    assert_int_equal(hg_store_audit(f->store, "admin", "enable", "de", NULL, &f->error), HG_OK);
    assert_int_equal(raw(f, "SELECT count(*) FROM audit WHERE actor = 'admin' AND action ="
                            "'enable' AND object = 'de' AND detail = '' AND at > 0"),
                     1);
}

static void files_that_are_not_ours_are_refused(void **state)
{
    fixture *f = *state;
    open_store(f);
    close_store(f);
    raw(f, "PRAGMA user_version = 7");
    assert_int_equal(hg_store_open(f->folder, &f->store, &f->error), HG_ERROR_DATABASE);
    assert_non_null(strstr(f->error.message, "version 7"));
    assert_non_null(strstr(f->error.message, f->file));

    raw(f, "PRAGMA user_version = 3");
    raw(f, "PRAGMA application_id = 5");
    assert_int_equal(hg_store_open(f->folder, &f->store, &f->error), HG_ERROR_DATABASE);
    assert_non_null(strstr(f->error.message, "another program"));

    FILE *file = fopen(f->file, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++) fputs("this is no database ", file);
    fclose(file);
    assert_int_equal(hg_store_open(f->folder, &f->store, &f->error), HG_ERROR_DATABASE);
    assert_non_null(strstr(f->error.message, "damaged"));
    assert_non_null(strstr(f->error.message, f->file));

    hg_store *store;
    assert_int_not_equal(hg_store_open(f->file, &store, &f->error), HG_OK); /* a file, no folder */
    assert_non_null(strstr(f->error.message, f->file));
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_new_database_has_every_table),
        T(a_plugin_becomes_a_generation_and_default),
        T(the_same_content_is_not_recorded_twice),
        T(other_content_is_the_next_generation),
        T(a_language_has_one_default),
        T(a_refused_plugin_leaves_nothing),
        T(batches_come_back_newest_first),
        T(a_reader_works_beside_a_service),
        T(two_services_cannot_share_a_folder),
        T(ids_are_not_given_again_after_a_kill),
        T(a_full_queue_drops_and_counts),
        T(a_batch_that_the_schema_refuses_goes_alone),
        T(old_batches_leave),
        T(audit_rows_are_kept),
        T(files_that_are_not_ours_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
