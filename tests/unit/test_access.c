/* test_access.c: scopes, tokens in the store, rates; a database of the version before tokens were
 * used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/service/access.h"

static char folder[64];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/hydraglot_test_access.XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static hg_store *open_store(void)
{
    hg_store *store;
    hg_error error;
    if (hg_store_open(folder, &store, &error)) fail_msg("%s", error.message);
    return store;
}

static void test_scopes(void **state)
{
    (void)state;
    unsigned scopes;
    hg_error error;
    char text[HG_TOKEN_SCOPES];
    assert_int_equal(hg_scopes_parse("metrics,translate", &scopes, &error), HG_OK);
    assert_int_equal(scopes, HG_SCOPE_METRICS | HG_SCOPE_TRANSLATE);
    hg_scopes_print(scopes, text);
    assert_string_equal(text, "translate,metrics");
    static const char *const bad[] = {"", "translat", "translate,,admin", "translate admin",
                                      "Admin"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(hg_scopes_parse(bad[i], &scopes, &error), HG_ERROR_ARGUMENT);
}

/* A new token of translate, in the store. */
static void add(hg_store *store, char *text, const char *parent, int64_t expires_us)
{
    hg_error error;
    hg_token_record record = {.scopes = "translate", .rate = 60, .expires_us = expires_us};
    assert_int_equal(hg_token_new(text, &record, &error), HG_OK);
    memcpy(record.parent, parent, strlen(parent) + 1);
    if (hg_store_add_token(store, &record, "test", &error)) fail_msg("%s", error.message);
}

static bool ended(hg_token_reader *reader, const hg_caller *caller)
{
    bool unsure = false, found = hg_caller_ended(reader, caller, true, &unsure);
    assert_false(unsure);
    return found;
}

static void test_tokens_are_found_while_they_last(void **state)
{
    (void)state;
    hg_error error;
    hg_token_reader *reader;
    char a[HG_TOKEN_TEXT], b[HG_TOKEN_TEXT], c[HG_TOKEN_TEXT];
    hg_store *store = open_store();
    assert_int_equal(hg_token_reader_open(store, &reader, &error), HG_OK);
    add(store, a, "", 0);
    assert_true(hg_token_reader_changed(reader));
    assert_false(hg_token_reader_changed(reader));
    const hg_caller one = hg_caller_find(reader, a, strlen(a));
    assert_int_equal(one.scopes, HG_SCOPE_TRANSLATE);
    assert_int_equal(one.rate, 60);
    add(store, b, one.hash, hg_clock_wall_us() + INT64_C(3600000000));
    add(store, c, "", hg_clock_wall_us() - 1);
    const hg_caller two = hg_caller_find(reader, b, strlen(b));
    assert_string_equal(two.parent, one.hash);
    assert_true(!*one.parent && two.parent_rate == 60 && two.expires_us);
    assert_int_equal(*hg_caller_find(reader, c, strlen(c)).hash, '\0'); /* expired */
    assert_int_equal(*hg_caller_find(reader, a, strlen(a) - 1).hash, '\0');
    a[0] ^= 1;
    assert_int_equal(*hg_caller_find(reader, a, strlen(a)).hash, '\0');
    assert_int_equal(*hg_caller_find(NULL, b, strlen(b)).hash, '\0');
    assert_false(ended(reader, &one) || ended(reader, &two));
    assert_int_equal(hg_store_revoke_token(store, "zzzz", "test", &error), HG_ERROR_NOT_FOUND);
    assert_int_equal(hg_store_revoke_token(store, "", "test", &error), HG_ERROR_ARGUMENT);
    assert_int_equal(hg_store_revoke_token(store, one.hash, "test", &error), HG_OK);
    assert_true(hg_token_reader_changed(reader));
    assert_true(ended(reader, &one) && ended(reader, &two));
    hg_token_reader_close(reader);
    hg_store_close(store);
}

static void test_a_store_that_fails_revokes_nothing(void **state)
{
    (void)state;
    hg_error error;
    hg_token_reader *reader;
    sqlite3 *db;
    char path[96], text[HG_TOKEN_TEXT];
    bool unsure = false;
    hg_store *store = open_store();
    assert_int_equal(hg_token_reader_open(store, &reader, &error), HG_OK);
    add(store, text, "", 0);
    hg_caller one = hg_caller_find(reader, text, strlen(text));
    snprintf(path, sizeof path, "%s/hydraglot.db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE token RENAME TO away", 0, 0, 0), SQLITE_OK);
    assert_false(hg_caller_ended(reader, &one, false, &unsure) || unsure);
    assert_false(hg_caller_ended(reader, &one, true, &unsure));
    assert_true(unsure);
    const hg_caller unknown = hg_caller_find(reader, text, strlen(text));
    assert_true(unknown.failed && !*unknown.hash);
    one.expires_us = 1;
    assert_true(hg_caller_ended(reader, &one, true, &unsure));
    assert_int_equal(sqlite3_exec(db, "ALTER TABLE away RENAME TO token", 0, 0, 0), SQLITE_OK);
    one.expires_us = 0;
    assert_false(ended(reader, &one));
    sqlite3_close(db);
    hg_token_reader_close(reader);
    hg_store_close(store);
}

static void test_living_children_are_bounded(void **state)
{
    (void)state;
    char path[96], sql[512], text[HG_TOKEN_TEXT];
    hg_error error;
    sqlite3 *db;
    hg_token_record maker = {.scopes = "translate"}, child = maker;
    hg_store *store = open_store();
    assert_int_equal(hg_token_new(text, &maker, &error), HG_OK);
    assert_int_equal(hg_store_add_token(store, &maker, "test", &error), HG_OK);
    snprintf(path, sizeof path, "%s/hydraglot.db", folder);
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)"
             " INSERT INTO token (hash, scopes, rate, created_at, parent)"
             " SELECT printf('%%064d', i), 'translate', 0, 0, '%s' FROM n",
             HG_LIMIT_MINTED - 1, maker.hash);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
    memcpy(child.parent, maker.hash, sizeof child.parent);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(hg_token_new(text, &child, &error), HG_OK);
        assert_int_equal(hg_store_add_token(store, &child, "test", &error),
                         i ? HG_ERROR_LIMIT : HG_OK);
    }
    assert_int_equal(hg_store_revoke_token(store, maker.hash, "test", &error), HG_OK);
    hg_store_close(store);
}

static void test_the_first_token_is_made_once(void **state)
{
    (void)state;
    hg_error error;
    char text[HG_TOKEN_TEXT];
    bool made;
    for (int i = 0; i < 3; i++) {
        hg_store *store = open_store();
        hg_token_record record = {.scopes = "admin"};
        assert_int_equal(hg_token_new(text, &record, &error), HG_OK);
        assert_int_equal(hg_store_first_token(store, &record, &made, &error), HG_OK);
        assert_int_equal(made, i == 0);
        if (made)
            assert_int_equal(hg_store_revoke_token(store, record.hash, "test", &error), HG_OK);
        hg_store_close(store);
    }
}

static void test_tokens_change_beside_a_service(void **state)
{
    (void)state;
    hg_error error;
    hg_store *beside, *second;
    hg_token_reader *reader;
    char text[HG_TOKEN_TEXT];
    hg_store *store = open_store();
    assert_int_equal(hg_store_open(folder, &second, &error), HG_ERROR_STATE);
    assert_int_equal(hg_store_open_beside(folder, &beside, &error), HG_OK);
    assert_int_equal(hg_token_reader_open(store, &reader, &error), HG_OK);
    assert_true(hg_token_reader_changed(reader));
    add(beside, text, "", 0);
    assert_true(hg_token_reader_changed(reader));
    assert_int_equal(hg_caller_find(reader, text, strlen(text)).scopes, HG_SCOPE_TRANSLATE);
    hg_store_close(beside);
    hg_token_reader_close(reader);
    hg_store_close(store);
}

/* Makes the database one of version 1, as it was released, with a token in it. */
static void back_to_version_1(void)
{
    char path[96];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/hydraglot.db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    static const char sql[] = "ALTER TABLE plugin_generation DROP COLUMN verdict;"
                              "ALTER TABLE plugin_generation DROP COLUMN enabled_at;"
                              "DELETE FROM token; DROP INDEX token_parent;"
                              "ALTER TABLE token DROP COLUMN parent;"
                              "ALTER TABLE token DROP COLUMN created_at; PRAGMA user_version = 1;"
                              "INSERT INTO token (hash, scopes, rate)"
                              " VALUES (printf('%064d', 7), 'translate', 0)";
    char *message = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &message)) fail_msg("%s", message);
    sqlite3_close(db);
}

static int count_row(const hg_token_record *token, void *context)
{
    assert_string_equal(token->scopes, "translate");
    assert_string_equal(token->parent, "");
    ++*(int *)context;
    return 0;
}

static void test_an_older_database_keeps_its_tokens(void **state)
{
    (void)state;
    hg_error error;
    hg_store *beside;
    int rows = 0;
    back_to_version_1();
    assert_int_equal(hg_store_open_beside(folder, &beside, &error), HG_ERROR_DATABASE);
    hg_store *store = open_store();
    assert_int_equal(hg_store_each_token(store, count_row, &rows, &error), HG_OK);
    assert_int_equal(rows, 1);
    hg_store_close(store);
}

static void test_rates(void **state)
{
    (void)state;
    static hg_rates rates;
    hg_caller caller = {.hash = "a", .rate = 60}, other = {.hash = "b", .rate = 60}, free = {0};
    const int64_t s = 1000000;
    assert_int_equal(hg_rate_take(&rates, &caller, 50, 0), 0);
    uint32_t wait_ms = hg_rate_take(&rates, &caller, 20, 0);
    assert_in_range(wait_ms, 10000, 10001); /* one a second comes back: ten are missing */
    assert_int_equal(hg_rate_take(&rates, &caller, 10, 0), 0);
    assert_int_equal(hg_rate_take(&rates, &other, 60, 0), 0);
    assert_int_equal(hg_rate_take(&rates, &caller, 20, 20 * s + 1), 0);
    /* More than a minute's: when the minute is whole, and paid by waiting. */
    assert_int_equal(hg_rate_take(&rates, &caller, 180, 600 * s), 0);
    assert_in_range(hg_rate_take(&rates, &caller, 1, 601 * s), 119000, 121000);
    assert_int_equal(hg_rate_take(&rates, &caller, 1, 722 * s), 0);
    assert_int_equal(hg_rate_take(&rates, &free, 100000, 0), 0);
    /* Beyond the table's room the oldest is forgotten. */
    for (int i = 0; i < HG_RATES + 10; i++) {
        snprintf(other.hash, sizeof other.hash, "c%d", i);
        assert_int_equal(hg_rate_take(&rates, &other, 60, 800 * s + i), 0);
    }
    assert_int_equal(rates.count, HG_RATES);
    assert_int_equal(hg_rate_take(&rates, &caller, 60, 801 * s), 0);
}

static void test_what_was_minted_draws_on_its_makers_minute(void **state)
{
    (void)state;
    static hg_rates rates;
    hg_caller maker = {.hash = "m", .rate = 60};
    hg_caller a = {.hash = "a", .rate = 60, .parent = "m", .parent_rate = 60}, b = a;
    strcpy(b.hash, "b");
    assert_int_equal(hg_rate_take(&rates, &a, 40, 0), 0);
    assert_in_range(hg_rate_take(&rates, &b, 40, 0), 20000, 20001);
    assert_int_equal(hg_rate_take(&rates, &b, 20, 0), 0); /* what was refused cost nothing */
    assert_in_range(hg_rate_wait(&rates, &maker, 1, 0), 1000, 1001);
    assert_int_equal(hg_rate_take(&rates, &maker, 1, 1000001), 0);
    b.rate = 10; /* its own bound holds too */
    strcpy(b.hash, "c");
    assert_int_equal(hg_rate_take(&rates, &b, 10, 600000000), 0);
    assert_in_range(hg_rate_take(&rates, &b, 1, 600000000), 6000, 6001);
    assert_int_equal(hg_rate_take(&rates, &maker, 50, 600000000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scopes),
        cmocka_unit_test(test_tokens_are_found_while_they_last),
        cmocka_unit_test(test_a_store_that_fails_revokes_nothing),
        cmocka_unit_test(test_living_children_are_bounded),
        cmocka_unit_test(test_the_first_token_is_made_once),
        cmocka_unit_test(test_tokens_change_beside_a_service),
        cmocka_unit_test(test_an_older_database_keeps_its_tokens),
        cmocka_unit_test(test_rates),
        cmocka_unit_test(test_what_was_minted_draws_on_its_makers_minute),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
