/* generations.c: what becomes of a plugin's generations. See plugins.h for states and rules.
 *
 * Each change: begin, look at the plugin's row, compare, swap, write the audit's row, commit. All
 * inside SQLite's write lock, so two callers never both succeed on what one of them saw.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "db/internal.h"
#include "db/plugins.h"

#define STATE_MAX 16

typedef struct change {
    const hg_plugin_change *wish;
    sqlite3 *db;
    int code;          /* of SQLite, the first failure */
    bool done;         /* something was changed */
    int64_t plugin_id; /* 0: no such plugin */
    uint32_t enabled;  /* its generation; 0: none */
    bool is_default, pinned, language;
    uint32_t target;                           /* the generation that this is about; 0: none */
    char state[STATE_MAX], verdict[STATE_MAX]; /* of the target */
    bool replaced;                             /* so are the target's files */
} change;

/* ---- statements; each does nothing once one has failed ---- */

static void run(change *c, const char *sql, int64_t number)
{
    sqlite3_stmt *s = NULL;
    if (c->code) return;
    /* All of a change's statements know the plugin as ?1. */
    c->code = hg_db_bind(c->db, sql, &s, "ii", c->plugin_id, number);
    c->code = hg_db_run(c->code, s);
    c->done = true;
}

static void read_plugin(change *c)
{
    sqlite3_stmt *s = NULL;
    c->code = hg_db_bind(c->db,
                         "SELECT id, coalesce(enabled_generation, 0), is_default, pinned,"
                         " language <> '' FROM plugin WHERE name = ?1",
                         &s, "s", c->wish->name);
    if (!c->code) c->code = sqlite3_step(s);
    if (c->code == SQLITE_ROW) {
        c->plugin_id = sqlite3_column_int64(s, 0);
        c->enabled = (uint32_t)sqlite3_column_int64(s, 1);
        c->is_default = sqlite3_column_int(s, 2);
        c->pinned = sqlite3_column_int(s, 3);
        c->language = sqlite3_column_int(s, 4);
    }
    sqlite3_finalize(s);
    if (c->code == SQLITE_ROW || c->code == SQLITE_DONE) c->code = SQLITE_OK;
}

/* Reads the generation that sql finds, ?2 being number, as the target; 0: there is none. */
static void find_target(change *c, const char *sql, uint32_t number)
{
    sqlite3_stmt *s = NULL;
    if (c->code) return;
    c->code = hg_db_bind(c->db, sql, &s, "ii", c->plugin_id, (int64_t)number);
    if (!c->code) c->code = sqlite3_step(s);
    if (c->code == SQLITE_ROW) {
        c->target = (uint32_t)sqlite3_column_int64(s, 0);
        HG_DB_COPY(c->state, s, 1);
        HG_DB_COPY(c->verdict, s, 2);
        c->replaced = sqlite3_column_int(s, 3);
    }
    sqlite3_finalize(s);
    if (c->code == SQLITE_ROW || c->code == SQLITE_DONE) c->code = SQLITE_OK;
}

int hg_generation_serve(sqlite3 *db, int64_t plugin_id, uint32_t generation)
{
    sqlite3_stmt *s = NULL;
    int code = hg_db_bind(db,
                          "UPDATE plugin_generation SET state = verdict WHERE plugin_id = ?1 AND"
                          " state = 'enabled' AND generation <> ?2",
                          &s, "ii", plugin_id, (int64_t)generation);
    code = hg_db_run(code, s);
    if (code) return code;
    code = hg_db_bind(db,
                      "UPDATE plugin_generation SET state = 'enabled', enabled_at = ?3"
                      " WHERE plugin_id = ?1 AND generation = ?2",
                      &s, "iii", plugin_id, (int64_t)generation, hg_clock_wall_us());
    code = hg_db_run(code, s);
    if (code) return code;
    code = hg_db_bind(db,
                      "UPDATE plugin SET enabled_generation = ?2, is_default = is_default OR"
                      " (language <> '' AND NOT EXISTS (SELECT 1 FROM plugin other WHERE"
                      " other.language = plugin.language AND other.is_default)) WHERE id = ?1",
                      &s, "ii", plugin_id, (int64_t)generation);
    return hg_db_run(code, s);
}

/* ---- the actions: HG_OK, or what a rule refused ---- */

#define STORED                                                                                     \
    "SELECT generation, state, verdict, folder = '" HG_DB_REPLACED "' FROM plugin_generation"      \
    " WHERE plugin_id = ?1 AND state <> 'removed'"

static const char by_number[] = STORED " AND generation = ?2";

static hg_status need_target(change *c, hg_error *error)
{
    if (c->target || c->code) return HG_OK;
    return hg_fail(error, HG_ERROR_NOT_FOUND, "plugin %s: no generation %u is stored",
                   c->wish->name, c->wish->generation);
}

static hg_status serve(change *c, hg_error *error)
{
    if (c->code || c->target == c->enabled) return HG_OK;
    if (c->replaced)
        return hg_fail(error, HG_ERROR_STATE,
                       "plugin %s: the plugins folder has other files than generation %u's by now",
                       c->wish->name, c->target);
    c->code = hg_generation_serve(c->db, c->plugin_id, c->target);
    c->enabled = c->target;
    c->done = true;
    return HG_OK;
}

static hg_status enable(change *c, hg_error *error)
{
    find_target(c, by_number, c->wish->generation);
    hg_status status = need_target(c, error);
    if (status || c->code) return status;
    if (strcmp(c->state, "checking") == 0)
        return hg_fail(error, HG_ERROR_STATE, "plugin %s: generation %u is still being checked",
                       c->wish->name, c->target);
    if (strcmp(c->verdict, "ready") != 0 && c->target != c->enabled && !c->wish->insist)
        return hg_fail(error, HG_ERROR_STATE,
                       "plugin %s: generation %u is %s: read its report, then insist (--insist, "
                       "\"insist\": true) if it shall serve all the same",
                       c->wish->name, c->target, c->verdict);
    return serve(c, error);
}

/* Who rolls back must not have to think: what has served needs no insisting. Going back again goes
 * further back, never to what was left; where none serves, from the one that served last. */
static hg_status roll_back(change *c, hg_error *error)
{
    static const char before[] =
        STORED " AND enabled_at IS NOT NULL AND folder <> '" HG_DB_REPLACED "' AND generation <"
               " coalesce(nullif(?2, 0), (SELECT generation FROM plugin_generation WHERE"
               " plugin_id = ?1 AND enabled_at IS NOT NULL"
               " ORDER BY enabled_at DESC, generation DESC LIMIT 1))"
               " ORDER BY enabled_at DESC, generation DESC LIMIT 1";
    static const char served[] = STORED " AND generation = ?2 AND enabled_at IS NOT NULL";
    uint32_t wanted = c->wish->generation;
    find_target(c, wanted ? served : before, wanted ? wanted : c->enabled);
    if (!c->target && !c->code)
        return hg_fail(error, HG_ERROR_NOT_FOUND,
                       "plugin %s: no earlier generation that has served is stored", c->wish->name);
    return serve(c, error);
}

static hg_status disable(change *c, hg_error *error)
{
    (void)error;
    if (!c->enabled) return HG_OK;
    run(c, "UPDATE plugin SET enabled_generation = NULL WHERE id = ?1 AND enabled_generation = ?2",
        c->enabled);
    run(c,
        "UPDATE plugin_generation SET state = 'disabled' WHERE plugin_id = ?1 AND"
        " generation = ?2",
        c->enabled);
    c->target = c->enabled;
    c->enabled = 0;
    return HG_OK;
}

static hg_status remove_one(change *c, hg_error *error)
{
    find_target(c, by_number, c->wish->generation);
    hg_status status = need_target(c, error);
    if (status || c->code) return status;
    if (c->target == c->enabled)
        return hg_fail(error, HG_ERROR_STATE,
                       "plugin %s: generation %u serves: disable it or roll back first",
                       c->wish->name, c->target);
    run(c,
        "UPDATE plugin_generation SET state = 'removed' WHERE plugin_id = ?1 AND"
        " generation = ?2",
        c->target);
    return HG_OK;
}

static hg_status remove_generations(change *c, hg_error *error)
{
    if (c->wish->generation) return remove_one(c, error);
    run(c,
        "UPDATE plugin SET enabled_generation = NULL, is_default = 0, pinned = 0"
        " WHERE id = ?1 AND ?2 = 0",
        0);
    run(c, "UPDATE plugin_generation SET state = 'removed' WHERE plugin_id = ?1 AND ?2 = 0", 0);
    c->enabled = 0;
    return HG_OK;
}

static hg_status make_default(change *c, hg_error *error)
{
    if (!c->language)
        return hg_fail(error, HG_ERROR_STATE, "plugin %s: a task is no language's default",
                       c->wish->name);
    if (c->is_default) return HG_OK;
    run(c,
        "UPDATE plugin SET is_default = 0 WHERE is_default AND id <> ?1 AND ?2 = 0 AND"
        " language = (SELECT language FROM plugin WHERE id = ?1)",
        0);
    run(c, "UPDATE plugin SET is_default = 1 WHERE id = ?1 AND ?2 = 0", 0);
    return HG_OK;
}

static hg_status pin(change *c, hg_error *error)
{
    (void)error;
    bool wanted = c->wish->action == HG_PLUGIN_PIN;
    if (c->pinned != wanted) run(c, "UPDATE plugin SET pinned = ?2 WHERE id = ?1", wanted);
    return HG_OK;
}

static const struct {
    const char *name, *audit;
    hg_status (*run)(change *c, hg_error *error);
} actions[HG_PLUGIN_ACTIONS] = {
    [HG_PLUGIN_ENABLE] = {"enable", "plugin.enable", enable},
    [HG_PLUGIN_DISABLE] = {"disable", "plugin.disable", disable},
    [HG_PLUGIN_ROLL_BACK] = {"rollback", "plugin.rollback", roll_back},
    [HG_PLUGIN_REMOVE] = {"remove", "plugin.remove", remove_generations},
    [HG_PLUGIN_DEFAULT] = {"default", "plugin.default", make_default},
    [HG_PLUGIN_PIN] = {"pin", "plugin.pin", pin},
    [HG_PLUGIN_UNPIN] = {"unpin", "plugin.unpin", pin},
};

const char *hg_plugin_action_name(hg_plugin_action action)
{
    assert((unsigned)action < HG_PLUGIN_ACTIONS);
    return actions[action].name;
}

static hg_status compare(const change *c, hg_error *error)
{
    const hg_plugin_change *wish = c->wish;
    if (c->code) return HG_OK; /* told by who ends the transaction */
    if (!c->plugin_id)
        return hg_fail(error, HG_ERROR_NOT_FOUND, "no plugin is called %s", wish->name);
    if (c->enabled == wish->seen) return HG_OK;
    char now[32] = "none", then[32] = "none";
    if (c->enabled) snprintf(now, sizeof now, "generation %u", c->enabled);
    if (wish->seen) snprintf(then, sizeof then, "generation %u", wish->seen);
    return hg_fail(error, HG_ERROR_CONFLICT,
                   "plugin %s: %s serves, no longer %s as you saw: look again", wish->name, now,
                   then);
}

static void audit(change *c)
{
    char detail[96] = "";
    const hg_plugin_change *wish = c->wish;
    if (c->code || !c->done) return;
    bool insisted = wish->action == HG_PLUGIN_ENABLE && strcmp(c->verdict, "ready") != 0;
    if (c->target)
        snprintf(detail, sizeof detail, "generation %u, before %u%s%s", c->target, wish->seen,
                 insisted ? ", insisted: " : "", insisted ? c->verdict : "");
    c->code = hg_db_audit(c->db, wish->actor, actions[wish->action].audit, wish->name, detail);
}

hg_status hg_store_change_plugin(hg_store *store, const hg_plugin_change *wish, uint32_t *serves,
                                 hg_error *error)
{
    assert((unsigned)wish->action < HG_PLUGIN_ACTIONS && wish->name && wish->actor);
    change c = {.wish = wish, .db = store->db};
    hg_status status = hg_db_begin(store, HG_SURVIVES_POWER, error);
    if (status) return status;
    read_plugin(&c);
    status = compare(&c, error);
    if (!status) status = actions[wish->action].run(&c, error);
    if (!status) audit(&c);
    status = hg_db_finish(store, status, c.code, "change a plugin", error);
    if (!status && serves) *serves = c.enabled;
    return status;
}

/* ---- checks ---- */

hg_status hg_store_judge(hg_store *store, int64_t generation_key, const char *verdict,
                         const char *report, const char *actor, hg_error *error)
{
    static const char sql[] =
        "UPDATE plugin_generation SET verdict = ?2, report = nullif(?3, ''),"
        " state = CASE WHEN state IN ('enabled', 'disabled') THEN state ELSE ?2 END"
        " WHERE id = ?1 AND state <> 'removed' RETURNING generation,"
        " (SELECT name FROM plugin WHERE id = plugin_id)";
    char name[HG_LIMIT_PLUGIN_NAME + 1] = "", detail[64] = "";
    sqlite3_stmt *s = NULL;
    hg_status status = hg_db_begin(store, HG_SURVIVES_POWER, error);
    if (status) return status;
    int code = hg_db_bind(store->db, sql, &s, "iss", generation_key, verdict, report);
    while (!code && (code = sqlite3_step(s)) == SQLITE_ROW) {
        snprintf(detail, sizeof detail, "generation %u: %s", (unsigned)sqlite3_column_int64(s, 0),
                 verdict);
        HG_DB_COPY(name, s, 1);
        code = SQLITE_OK;
    }
    sqlite3_finalize(s);
    if (code == SQLITE_DONE) code = SQLITE_OK;
    if (!code && !*name)
        status = hg_fail(error, HG_ERROR_NOT_FOUND, "the generation was removed meanwhile");
    if (!code && !status) code = hg_db_audit(store->db, actor, "plugin.check", name, detail);
    return hg_db_finish(store, status, code, "record a check", error);
}

hg_status hg_store_end_checks(hg_store *store, hg_error *error)
{
    hg_status status = hg_db_begin(store, HG_SURVIVES_POWER, error);
    if (status) return status;
    int code = sqlite3_exec(store->db,
                            "UPDATE plugin_generation SET state = 'unproven'"
                            " WHERE state = 'checking'",
                            NULL, NULL, NULL);
    return hg_db_finish(store, HG_OK, code, "end checks", error);
}

/* ---- contents ---- */

hg_status hg_store_content_path(const hg_store *store, const char *digest, char *path,
                                hg_error *error)
{
    int folder = (int)(strrchr(store->path, '/') - store->path);
    int length = snprintf(path, HG_PATH_MAX, "%.*s/plugins/%s", folder, store->path, digest);
    if (length < HG_PATH_MAX) return HG_OK;
    return hg_fail(error, HG_ERROR_LIMIT, "%.*s: path too long", folder, store->path);
}

bool hg_store_needs_content(const char *digest, void *store)
{
    sqlite3 *db;
    sqlite3_stmt *s = NULL;
    hg_error error;
    bool needed = true;
    const hg_store *from = store;
    if (hg_db_connect(from->path, SQLITE_OPEN_READONLY, &db, &error)) return true;
    int code = hg_db_bind(db,
                          "SELECT count(*) FROM plugin_generation WHERE digest = ?1 AND"
                          " folder = '' AND state <> 'removed'",
                          &s, "s", digest);
    if (!code && sqlite3_step(s) == SQLITE_ROW) needed = sqlite3_column_int(s, 0) > 0;
    sqlite3_finalize(s);
    sqlite3_close(db);
    return needed;
}
