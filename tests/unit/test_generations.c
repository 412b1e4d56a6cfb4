/* test_generations.c: the rules by which plugins change: what may be enabled, who is refused, what
 * a rollback goes back to, when a content's folder leaves. What a crash leaves of a change is
 * test_store_faults' question. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/file.h"
#include "db/plugins.h"

static char folder[64];
static hg_store *store;
static hg_error error;

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/hg-generations-XXXXXX");
    return mkdtemp(folder) && !hg_store_open(folder, &store, &error) ? 0 : 1;
}

static int tear_down(void **state)
{
    (void)state;
    hg_store_close(store);
    hg_folder_remove(folder);
    return 0;
}

static const char *digest_of(char digit)
{
    static char digest[65];
    memset(digest, digit, 64);
    return digest;
}

static hg_plugin_record record(const char *name, const char *language, char digit)
{
    return (hg_plugin_record){.name = name,
                              .kind = "language",
                              .language = language,
                              .digest = digest_of(digit),
                              .sources = "[\"en\"]",
                              .state = "enabled",
                              .folder = "/bundled"};
}

/* Content of the plugins folder; returns its generation. */
static uint32_t bundle(const char *name, const char *language, char digit)
{
    hg_plugin_record r = record(name, language, digit);
    if (hg_store_put_plugin(store, &r, &error)) fail_msg("%s", error.message);
    return r.generation;
}

static hg_status add(const char *name, const char *language, char digit, int64_t seen,
                     hg_plugin_record *r)
{
    *r = record(name, language, digit);
    return hg_store_add_generation(store, r, seen, "test", &error);
}

/* An admin's content with this verdict; returns its generation. */
static uint32_t add_judged(const char *name, char digit, const char *verdict)
{
    hg_plugin_record r;
    if (add(name, "de", digit, -1, &r)) fail_msg("%s", error.message);
    if (hg_store_judge(store, r.generation_key, verdict, "{\"chrf\":1}", "test", &error))
        fail_msg("%s", error.message);
    return r.generation;
}

static hg_status change(hg_plugin_action action, uint32_t seen, uint32_t generation, bool insist)
{
    hg_plugin_change wish = {.action = action,
                             .name = "de",
                             .seen = seen,
                             .generation = generation,
                             .insist = insist,
                             .actor = "test"};
    return hg_store_change_plugin(store, &wish, NULL, &error);
}

#define CHANGES(...)                                                                               \
    do {                                                                                           \
        if (change(__VA_ARGS__)) fail_msg("%s", error.message);                                    \
    } while (0)

/* Whether the SQL condition holds, as another program sees the file. */
static bool holds(const char *condition)
{
    char path[96], sql[512];
    sqlite3 *db;
    sqlite3_stmt *s;
    snprintf(path, sizeof path, "%s/hydraglot.db", folder);
    snprintf(sql, sizeof sql, "SELECT %s", condition);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL)) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    bool value = sqlite3_column_int(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return value;
}

static bool serves(uint32_t generation)
{
    char sql[320];
    snprintf(sql, sizeof sql,
             "(SELECT enabled_generation FROM plugin WHERE name = 'de') = %u AND"
             " (SELECT group_concat(generation) FROM plugin_generation WHERE state = 'enabled' AND"
             " plugin_id = (SELECT id FROM plugin WHERE name = 'de')) = '%u'",
             generation, generation);
    return holds(sql);
}

static bool needs(char digit)
{
    return hg_store_needs_content(digest_of(digit), store);
}

static void a_change_needs_the_generation_that_serves(void **state)
{
    (void)state;
    bundle("de", "de", 'a');
    uint32_t next = add_judged("de", 'b', "ready");
    assert_int_equal(next, 2);
    for (int action = 0; action < HG_PLUGIN_ACTIONS; action++) {
        for (uint32_t seen = 0; seen <= 2; seen += 2) {
            assert_int_equal(change((hg_plugin_action)action, seen, 2, false), HG_ERROR_CONFLICT);
            assert_non_null(strstr(error.message, "generation 1 serves"));
        }
    }
    assert_true(serves(1));
    CHANGES(HG_PLUGIN_ENABLE, 1, 2, false);
    assert_true(serves(2));
    assert_int_equal(change(HG_PLUGIN_DISABLE, 1, 0, false), HG_ERROR_CONFLICT);
    hg_plugin_change unknown = {.action = HG_PLUGIN_PIN, .name = "tlh", .actor = "test"};
    assert_int_equal(hg_store_change_plugin(store, &unknown, NULL, &error), HG_ERROR_NOT_FOUND);
}

static void unproven_ones_need_insisting_each_time(void **state)
{
    (void)state;
    bundle("de", "de", 'a');
    add_judged("de", 'b', "unproven");
    add_judged("de", 'c', "failed");
    assert_int_equal(change(HG_PLUGIN_ENABLE, 1, 2, false), HG_ERROR_STATE);
    assert_non_null(strstr(error.message, "unproven"));
    assert_int_equal(change(HG_PLUGIN_ENABLE, 1, 3, false), HG_ERROR_STATE);
    assert_true(serves(1));
    CHANGES(HG_PLUGIN_ENABLE, 1, 2, true);
    assert_true(holds("(SELECT detail FROM audit ORDER BY id DESC LIMIT 1) ="
                      " 'generation 2, before 1, insisted: unproven'"));
    CHANGES(HG_PLUGIN_DISABLE, 2, 0, false);
    assert_true(holds("(SELECT state FROM plugin_generation WHERE generation = 2) = 'disabled'"));
    assert_int_equal(change(HG_PLUGIN_ENABLE, 0, 2, false), HG_ERROR_STATE);
    CHANGES(HG_PLUGIN_ENABLE, 0, 1, false);
    assert_true(holds("(SELECT state FROM plugin_generation WHERE generation = 2) = 'disabled'"));
}

static void what_is_being_checked_is_not_enabled(void **state)
{
    (void)state;
    hg_plugin_record r;
    assert_int_equal(add("de", "de", 'b', 0, &r), HG_OK);
    assert_int_equal(r.generation, 1);
    assert_int_equal(change(HG_PLUGIN_ENABLE, 0, 1, true), HG_ERROR_STATE);
    assert_non_null(strstr(error.message, "being checked"));
    assert_int_equal(hg_store_end_checks(store, &error), HG_OK);
    CHANGES(HG_PLUGIN_ENABLE, 0, 1, true);
    assert_true(serves(1));
    /* A check that ends late changes the verdict, not what serves. */
    assert_int_equal(hg_store_judge(store, r.generation_key, "failed", "{}", "t", &error), HG_OK);
    assert_true(serves(1));
    assert_true(holds("(SELECT is_default FROM plugin) = 1"));
}

static void a_rollback_goes_back_to_what_served(void **state)
{
    (void)state;
    bundle("de", "de", 'a');
    assert_int_equal(change(HG_PLUGIN_ROLL_BACK, 1, 0, false), HG_ERROR_NOT_FOUND);
    add_judged("de", 'b', "unproven");
    add_judged("de", 'c', "ready");
    add_judged("de", 'd', "ready");
    CHANGES(HG_PLUGIN_ENABLE, 1, 2, true);
    CHANGES(HG_PLUGIN_ENABLE, 2, 4, false);
    CHANGES(HG_PLUGIN_ROLL_BACK, 4, 0, false); /* 3 never served; 2 did, and needs no insisting */
    assert_true(serves(2));
    CHANGES(HG_PLUGIN_ROLL_BACK, 2, 0, false);
    assert_true(serves(1));
    CHANGES(HG_PLUGIN_ROLL_BACK, 1, 4, false);
    assert_true(serves(4));
    assert_int_equal(change(HG_PLUGIN_ROLL_BACK, 4, 3, false), HG_ERROR_NOT_FOUND);
    CHANGES(HG_PLUGIN_REMOVE, 4, 2, false);
    CHANGES(HG_PLUGIN_ROLL_BACK, 4, 0, false);
    assert_true(serves(1));
    CHANGES(HG_PLUGIN_ENABLE, 1, 4, false);
    CHANGES(HG_PLUGIN_DISABLE, 4, 0, false);
    CHANGES(HG_PLUGIN_ROLL_BACK, 0, 0, false); /* before what was disabled */
    assert_true(serves(1));
    CHANGES(HG_PLUGIN_DISABLE, 1, 0, false);
    assert_int_equal(change(HG_PLUGIN_ROLL_BACK, 0, 0, false), HG_ERROR_NOT_FOUND);
}

/* The plugins folder has one content of a name; what it brought before cannot be read any more. */
static void what_the_folder_has_no_longer_does_not_serve(void **state)
{
    (void)state;
    bundle("de", "de", 'a');
    bundle("de", "de", 'b');
    assert_true(serves(2));
    assert_int_equal(change(HG_PLUGIN_ROLL_BACK, 2, 0, false), HG_ERROR_NOT_FOUND);
    assert_int_equal(change(HG_PLUGIN_ROLL_BACK, 2, 1, false), HG_ERROR_STATE);
    assert_int_equal(change(HG_PLUGIN_ENABLE, 2, 1, true), HG_ERROR_STATE);
    assert_non_null(strstr(error.message, "other files than generation 1's"));
    assert_int_equal(bundle("de", "de", 'a'), 1);
    assert_true(serves(1));
    assert_int_equal(change(HG_PLUGIN_ENABLE, 1, 2, true), HG_ERROR_STATE);
    CHANGES(HG_PLUGIN_REMOVE, 1, 2, false);
    assert_int_equal(bundle("de", "de", 'b'), 2); /* what was removed stays so */
    assert_true(serves(1));
    assert_int_equal(bundle("de", "de", 'a'), 1);
    CHANGES(HG_PLUGIN_DISABLE, 1, 0, false);
    assert_int_equal(bundle("de", "de", 'a'), 1);
    assert_true(holds("(SELECT enabled_generation IS NULL FROM plugin)"));
    CHANGES(HG_PLUGIN_ENABLE, 0, 1, false);
}

static void contents_are_needed_until_their_last_row_is_removed(void **state)
{
    (void)state;
    hg_plugin_record r;
    add_judged("de", 'b', "ready");
    assert_int_equal(add("twin", "de", 'b', 0, &r), HG_OK); /* the same content, another name */
    add_judged("de", 'c', "ready");
    CHANGES(HG_PLUGIN_ENABLE, 0, 2, false);
    assert_int_equal(change(HG_PLUGIN_REMOVE, 2, 2, false), HG_ERROR_STATE);
    CHANGES(HG_PLUGIN_REMOVE, 2, 1, false);
    assert_true(needs('b') && needs('c')); /* the twin's */
    assert_int_equal(change(HG_PLUGIN_ENABLE, 2, 1, true), HG_ERROR_NOT_FOUND);
    CHANGES(HG_PLUGIN_REMOVE, 2, 0, false);
    assert_false(needs('c'));
    assert_true(holds("NOT EXISTS (SELECT 1 FROM plugin WHERE enabled_generation IS NOT NULL)"));
    assert_true(holds("(SELECT group_concat(state) FROM plugin_generation) ="
                      " 'removed,checking,removed'"));
    add_judged("de", 'c', "ready"); /* and it may come again, as a new generation */
    assert_true(needs('c'));
    CHANGES(HG_PLUGIN_ENABLE, 0, 3, false);
}

static void an_admin_has_the_last_word_at_a_start(void **state)
{
    (void)state;
    bundle("de", "de", 'a');
    add_judged("de", 'b', "ready");
    CHANGES(HG_PLUGIN_ENABLE, 1, 2, false);
    assert_int_equal(bundle("de", "de", 'a'), 1);
    assert_true(serves(2));
    assert_int_equal(bundle("de", "de", 'c'), 3); /* the program brings another one */
    assert_true(serves(2));
    CHANGES(HG_PLUGIN_ENABLE, 2, 3, false);
    assert_int_equal(bundle("de", "de", 'd'), 4);
    assert_true(serves(4));
    CHANGES(HG_PLUGIN_DISABLE, 4, 0, false);
    assert_int_equal(bundle("de", "de", 'e'), 5);
    assert_true(holds("(SELECT enabled_generation IS NULL FROM plugin)"));
    CHANGES(HG_PLUGIN_REMOVE, 0, 0, false);
    assert_int_equal(bundle("de", "de", 'e'), 5);
    assert_true(holds("(SELECT count(*) FROM plugin_generation WHERE state <> 'removed') = 0"));
}

static void additions_are_compared_too(void **state)
{
    (void)state;
    hg_plugin_record r;
    assert_int_equal(add("de", "de", 'b', 0, &r), HG_OK);
    assert_int_equal(add("de", "de", 'c', 0, &r), HG_ERROR_CONFLICT);
    assert_int_equal(add("de", "de", 'c', 1, &r), HG_OK);
    assert_int_equal(r.generation, 2);
    assert_int_equal(add("de", "de", 'b', -1, &r), HG_OK); /* what is there is not added again */
    assert_int_equal(r.generation, 1);
    assert_int_equal(add("de", "fr", 'd', -1, &r), HG_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "name"));
    assert_false(needs('d'));
    assert_int_equal(hg_store_judge(store, 77, "ready", "{}", "test", &error), HG_ERROR_NOT_FOUND);
}

static void a_language_has_one_default_that_an_admin_chooses(void **state)
{
    (void)state;
    bundle("other", "de", 'a');
    bundle("de", "de", 'b');
    assert_true(holds("(SELECT group_concat(name) FROM plugin WHERE is_default) = 'other'"));
    CHANGES(HG_PLUGIN_DEFAULT, 1, 0, false);
    assert_true(holds("(SELECT group_concat(name) FROM plugin WHERE is_default) = 'de'"));
    CHANGES(HG_PLUGIN_PIN, 1, 0, false);
    assert_true(holds("(SELECT group_concat(name) FROM plugin WHERE pinned) = 'de'"));
    CHANGES(HG_PLUGIN_PIN, 1, 0, false); /* is so already: no row of the audit */
    assert_true(holds("(SELECT count(*) FROM audit WHERE action = 'plugin.pin') = 1"));
    CHANGES(HG_PLUGIN_UNPIN, 1, 0, false);
    assert_true(holds("NOT EXISTS (SELECT 1 FROM plugin WHERE pinned)"));
}

static int count_row(const hg_plugin_record *r, void *context)
{
    char *list = context;
    size_t used = strlen(list);
    snprintf(list + used, 96 - used, "%s%u%s%s ", r->name, r->generation, r->state,
             r->enabled ? "!" : "");
    return 0;
}

static void generations_are_listed(void **state)
{
    (void)state;
    char list[96] = "";
    bundle("de", "de", 'a');
    add_judged("de", 'b', "failed");
    bundle("fr", "fr", 'c');
    assert_int_equal(hg_store_each_generation(store, "de", count_row, list, &error), HG_OK);
    assert_string_equal(list, "de2failed de1enabled! ");
    *list = '\0';
    assert_int_equal(hg_store_each_generation(store, NULL, count_row, list, &error), HG_OK);
    assert_string_equal(list, "de2failed de1enabled! fr1enabled! ");
    CHANGES(HG_PLUGIN_REMOVE, 1, 0, false);
    *list = '\0';
    assert_int_equal(hg_store_each_plugin(store, count_row, list, &error), HG_OK);
    assert_string_equal(list, "fr1enabled! ");
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(a_change_needs_the_generation_that_serves),
        T(unproven_ones_need_insisting_each_time),
        T(what_is_being_checked_is_not_enabled),
        T(a_rollback_goes_back_to_what_served),
        T(what_the_folder_has_no_longer_does_not_serve),
        T(contents_are_needed_until_their_last_row_is_removed),
        T(an_admin_has_the_last_word_at_a_start),
        T(additions_are_compared_too),
        T(a_language_has_one_default_that_an_admin_chooses),
        T(generations_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
