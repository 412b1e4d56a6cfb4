/* test_store_faults.c: the n-th write or sync fails, for all n.
 *
 * Whatever n is: the call says so or has done its work, and afterwards the database opens, is
 * sound, and is in the state before or in the state after.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/base/file.h"
#include "core/base/log.h"
#include "db/tokens.h"
#include "tests/support/failing_disk.h"

static const int codes[] = {SQLITE_IOERR_WRITE, SQLITE_FULL};

/* Returns false when the call never came to its n-th write. */
static bool migrate_once(int n, bool stays, int code)
{
    fixture f = make_folder();
    hg_store *store = NULL;
    hg_error error = {0};
    failing_disk_arm(n, stays, code, 0);
    hg_status status = hg_store_open(f.folder, &store, &error);
    bool hit = failing_disk_hits() > 0;
    if (status) {
        assert_null(store);
        assert_true(hit);
        assert_int_equal(status, HG_ERROR_DATABASE);
        assert_non_null(strstr(error.message, f.file));
    }
    failing_disk_arm(0, false, 0, 0); /* the disk is well again */
    hg_store_close(store);
    if (hg_file_exists(f.file)) {
        int64_t version = query(&f, "PRAGMA user_version");
        assert_in_range(version, 0, 3);
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
    failing_disk_arm(n, stays, code, 0);
    hg_plugin_record r = german('b');
    hg_status status = hg_store_put_plugin(store, &r, &error);
    bool hit = failing_disk_hits() > 0;
    failing_disk_arm(0, false, 0, 0);
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

/* ---- tokens ---- */

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
    failing_disk_arm(n, stays, code, 0);
    hg_status added = hg_store_add_token(store, &b, "test", &error);
    hg_status revoked = hg_store_revoke_token(store, "aaaa", "test", &error);
    bool hit = failing_disk_hits() > 0;
    failing_disk_arm(0, false, 0, 0);
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
    failing_disk_arm(1, true, SQLITE_FULL, 50000);
    log_batches(store, 20);
    while (!failing_disk_hits()) usleep(1000); /* until the writer met the full disk */
    failing_disk_arm(0, false, 0, 0);
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
    failing_disk_arm(1, true, SQLITE_FULL, 0);
    log_batches(store, HG_LIMIT_DB_QUEUE + 7);
    assert_int_equal(hg_store_dropped_batches(store), 7);
    hg_error error = {0};
    hg_plugin_record r = german('b');
    assert_int_equal(hg_store_put_plugin(store, &r, &error), HG_ERROR_DATABASE);
    assert_non_null(strstr(error.message, "full"));
    hg_store_close(store); /* ends, though nothing can be written */
    failing_disk_arm(0, false, 0, 0);
    check_sound(&f);
    assert_int_equal(query(&f, "SELECT enabled_generation FROM plugin"), 1);
    remove_folder(&f);
}

int main(void)
{
    hg_log_set_level(HG_LOG_ERROR);
    failing_disk_install();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_migration_happens_or_does_not),
        cmocka_unit_test(a_plugin_is_put_or_is_not),
        cmocka_unit_test(tokens_change_with_their_audit_or_not_at_all),
        cmocka_unit_test(a_full_disk_delays_batches_and_loses_none),
        cmocka_unit_test(a_disk_that_stays_full_ends_no_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
